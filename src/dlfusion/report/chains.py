"""Labels of chains of layers, which name their layers, so that a fused chain finds the samples of its layers alone."""

from collections.abc import Sequence

_BETWEEN = " + "


def chain_label(layers: Sequence[str]) -> str:
    """The label of a block of the layers with these labels: `chain 2: first + second`."""
    return f"chain {len(layers)}: {_BETWEEN.join(layers)}"


def chain_layers(label: str) -> tuple[str, ...]:
    """The labels of the layers of a block with this label; those of a single layer are its own."""
    head, colon, members = label.partition(": ")
    return tuple(members.split(_BETWEEN)) if colon and head.startswith("chain ") else (label,)
