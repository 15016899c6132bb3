"""Reads attributes of ONNX nodes, and what several operators state in the same way."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dlfusion.frontend.context import InvalidNodeError, UnsupportedNodeError
from dlfusion.frontend.model import Node
from dlfusion.ops.spatial import Padding, Pair, extent

MOST_PADDING = 2**20
"""At one end of an axis: operators may count its rows and columns one by one."""


def integer(node: Node, name: str, default: int) -> int:
    """An integer attribute."""
    return int(_attribute(node, name, "INT", default))


def number(node: Node, name: str, default: float) -> float:
    """A float attribute."""
    return float(_attribute(node, name, "FLOAT", default))


def text(node: Node, name: str, default: str) -> str:
    """A string attribute."""
    return str(_attribute(node, name, "STRING", default))


def integers(node: Node, name: str) -> tuple[int, ...] | None:
    """A list of integers; None if the node does not have it."""
    values = _attribute(node, name, "INTS", None)
    return None if values is None else tuple(values)


def numbers(node: Node, name: str) -> tuple[float, ...] | None:
    """A list of floats; None if the node does not have it."""
    values = _attribute(node, name, "FLOATS", None)
    return None if values is None else tuple(values)


def per_axis(node: Node, name: str, count: int, default: int) -> tuple[int, ...]:
    """A list of `count` integers, all `default` if the node does not have it.

    Raises:
        InvalidNodeError: the list has another length.
    """
    values = integers(node, name)
    if values is None:
        return (default,) * count
    if len(values) != count:
        raise InvalidNodeError(f"{name} is {list(values)}, but must have {count} numbers")
    return values


def from_front(axis: int, rank: int) -> int:
    """An axis counted from the front, for one that may be counted from the back by negative numbers.

    Raises:
        InvalidNodeError: there is no such axis.
    """
    if not -rank <= axis < rank:
        raise InvalidNodeError(f"axis {axis} does not exist: there are {rank} axes")
    return axis % rank


def _attribute(node: Node, name: str, kind: str, default: Any) -> Any:
    """The attribute's value, which is of the type that belongs to `kind`."""
    attribute = node.attributes.get(name)
    if attribute is None:
        return default
    if attribute.kind != kind:
        raise InvalidNodeError(f"the attribute {name} is {attribute.kind}, but must be {kind}")
    return attribute.value


def require(node: Node, name: str, allowed: int | str) -> None:
    """Rejects any value but the allowed one, which is also the default.

    Raises:
        UnsupportedNodeError: the attribute has another value.
    """
    actual = integer(node, name, allowed) if isinstance(allowed, int) else text(node, name, allowed)
    if actual != allowed:
        raise UnsupportedNodeError(f"{name} is {actual}; only {allowed} is supported")


def pair(values: Sequence[int], default: int) -> Pair:
    """Values for height and width; a one-dimensional operator runs along the width, with `default` for the height."""
    return (values[0], values[1]) if len(values) > 1 else (default, values[0])


@dataclass(frozen=True, slots=True)
class Sliding:
    """How a convolution or pooling moves over the map, as the operators state it."""

    kernel: Pair
    strides: Pair
    pads: Padding
    dilations: Pair


def sliding(node: Node, kernel: Sequence[int], size: Sequence[int]) -> Sliding:
    """Kernel, strides, padding and dilation of a convolution or pooling over a map of `size`.

    Raises:
        UnsupportedNodeError: the operator is not one- or two-dimensional, or a pad is negative.
    """
    rank = len(size)
    if rank not in (1, 2) or len(kernel) != rank:
        raise UnsupportedNodeError(f"it has {rank} spatial dimensions, its kernel {len(kernel)}; 1 and 2 are supported")
    strides = per_axis(node, "strides", rank, 1)
    dilations = per_axis(node, "dilations", rank, 1)
    mode = text(node, "auto_pad", "NOTSET")
    if mode == "NOTSET":
        pads = per_axis(node, "pads", 2 * rank, 0)
    elif mode == "VALID":
        pads = (0,) * (2 * rank)
    elif mode in ("SAME_UPPER", "SAME_LOWER"):
        spans = [extent(taps, dilation) for taps, dilation in zip(kernel, dilations, strict=True)]
        totals = [
            max(0, (-(length // -stride) - 1) * stride + span - length)
            for length, stride, span in zip(size, strides, spans, strict=True)
        ]
        pads = split_padding(totals, mode)
    else:
        raise UnsupportedNodeError(f"auto_pad is {mode}")
    return Sliding(pair(kernel, 1), pair(strides, 1), padding(pads), pair(dilations, 1))


def split_padding(totals: Sequence[int], mode: str) -> tuple[int, ...]:
    """Padding before and after each axis; an odd rest goes to the end in SAME_UPPER, else to the beginning."""
    small, large = [total // 2 for total in totals], [total - total // 2 for total in totals]
    return (*small, *large) if mode == "SAME_UPPER" else (*large, *small)


def padding(pads: Sequence[int]) -> Padding:
    """ONNX's list, all beginnings and then all ends, as top, left, bottom, right.

    Raises:
        UnsupportedNodeError: a pad is negative or beyond all sense.
    """
    if min(pads) < 0:
        raise UnsupportedNodeError(f"pads are {list(pads)}; negative ones are not supported")
    if max(pads) > MOST_PADDING:
        raise UnsupportedNodeError(f"pads are {list(pads)}; more than {MOST_PADDING} are not supported")
    if len(pads) == 2:
        return (0, pads[0], 0, pads[1])
    return (pads[0], pads[1], pads[2], pads[3])
