"""Checks of operand counts and shapes that operators share; all raise ValueError with the numbers."""

from collections.abc import Sequence

from dlfusion.ops.operator import Shape

Parameters = Sequence[tuple[int, ...]]
"""The shapes of an operator's constants."""


def require_operands(name: str, inputs: Sequence[Shape], parameters: Parameters, counts: tuple[int, int]) -> None:
    """Check how many activations and constants an operator got, and that every activation has four positive sizes.

    Args:
        name: the operator's name, for the message.
        inputs: shapes of the activations.
        parameters: shapes of the constants.
        counts: how many activations and how many constants are needed.

    Raises:
        ValueError: a count differs, or an activation's shape is not four sizes of at least 1.
    """
    if (len(inputs), len(parameters)) != counts:
        raise ValueError(
            f"{name} needs {counts[0]} activations and {counts[1]} constants, "
            f"but has {len(inputs)} and {len(parameters)}"
        )
    require_shapes(name, inputs)


def require_shapes(name: str, inputs: Sequence[tuple[int, ...]]) -> None:
    """Check that every activation is N x C x H x W with sizes of at least 1.

    Raises:
        ValueError: a shape has another rank or a size below 1.
    """
    for shape in inputs:
        if len(shape) != 4 or min(shape) < 1:
            raise ValueError(f"{name} needs N x C x H x W with sizes of at least 1, but an input is {shape}")


def require_parameter(name: str, what: str, actual: tuple[int, ...], needed: tuple[int, ...]) -> None:
    """Check a constant's shape.

    Raises:
        ValueError: `actual` differs from `needed`, or has no elements.
    """
    if actual != needed:
        raise ValueError(f"{name} needs {what} of shape {needed}, but it is {actual}")
    if 0 in actual:
        raise ValueError(f"{name} needs {what} with sizes of at least 1, but they are {actual}")
