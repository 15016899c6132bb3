"""Units: the boundaries at which a number changes its unit or its digits."""

import pytest

from dlfusion.report.units import bytes_text, cores_text, milliseconds, operations_text, percent


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (355_632, "347.3 KiB"),
        (3_813_376, "3.6 MiB"),
        (3 << 30, "3.0 GiB"),
    ],
)
def test_bytes(count: int, text: str) -> None:
    assert bytes_text(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0000123, "0.012"), (0.001, "1.00"), (0.0999, "99.90"), (0.1, "100.0")]
)
def test_milliseconds(seconds: float, text: str) -> None:
    assert milliseconds(seconds) == text


@pytest.mark.parametrize(("share", "text"), [(0.125, "12.5 %"), (-0.00001, "0.0 %"), (-0.02, "-2.0 %")])
def test_percent(share: float, text: str) -> None:
    assert percent(share) == text


def test_operations() -> None:
    assert operations_text(8_178_368_512) == "8.18 GOP"
    assert operations_text(2_500) == "0.00 MOP"
    assert operations_text(999_000_000) == "999.00 MOP"


def test_cores() -> None:
    assert cores_text(1) == "1 core"
    assert cores_text(2) == "2 cores"
