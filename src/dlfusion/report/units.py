"""Numbers as people read them: each with its unit, to three digits or so."""


def bytes_text(count: float) -> str:
    """A number of bytes in the largest of B, KiB, MiB and GiB that leaves at least one before the point.

    >>> bytes_text(355_632)
    '347.3 KiB'
    """
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count:.0f} B"


def milliseconds(seconds: float) -> str:
    """Seconds as milliseconds without the unit, to at least three digits down to a tenth of a millisecond.

    >>> milliseconds(0.0123456)
    '12.35'
    """
    value = seconds * 1e3
    decimals = 3 if value < 1 else 2 if value < 100 else 1
    return f"{value:.{decimals}f}"


def percent(share: float) -> str:
    """A share as a percentage with one decimal: 0.125 is `12.5 %`."""
    return f"{round(share * 100, 1) + 0.0:.1f} %"  # adding 0.0 turns -0.0 into 0.0


def operations_text(count: float) -> str:
    """Arithmetic operations in MOP or GOP; a multiply-accumulate counts as two.

    >>> operations_text(8_178_368_512)
    '8.18 GOP'
    """
    return f"{count / 1e9:.2f} GOP" if count >= 1e9 else f"{count / 1e6:.2f} MOP"


def cores_text(cores: int) -> str:
    """`1 core`, `2 cores`."""
    return f"{cores} core{'' if cores == 1 else 's'}"
