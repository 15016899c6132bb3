"""Operators that exporters spell out become single nodes again.

Kernels see one image at a time and compute nothing but float32. Some nodes mix images or compare numbers, but amount to
what needs no more than that; others copy along a new axis, and amount to what keeps channels where they are:

    sum(stack((a, b, ...)), axis 0)         a + b + ...
    x[:, indices]                           Gather; PyTorch writes a GatherND of an axis that it brings to the front
    x if x > 20 else log(1 + exp(x))        Softplus, to the last bit of float32; also of x with a factor
    repeat(x, 2, axis)                      Resize to the nearest; Keras tiles an axis that it adds and joins again
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dlfusion.frontend.model import Attribute, Model, Node, Value
from dlfusion.frontend.patterns import Producers, compose, constant, integers, made, number

_COMBINED = {"ReduceSum": "Sum", "ReduceMean": "Mean", "ReduceMax": "Max", "ReduceMin": "Min"}
"""What a reduction over a stack does to what was stacked."""

_OLDEST_RESIZE = 11
"""The first operator set whose Resize says what the nearest element is."""

_LINEAR_FROM = 17.0
"""From here on log(1 + exp(x)) is x in float32: they differ by exp(-x), half a unit in the last place of 1."""


def compose_operators(model: Model) -> Model:
    """The model with single nodes in place of what is spelled out."""

    def find(node: Node, producers: Producers) -> tuple[Node, ...]:
        ends = None if model.opset < _OLDEST_RESIZE and node.op_type == "Reshape" else _ENDS.get(node.op_type)
        found = ends(node, producers) if ends else None
        return () if found is None else (found,)

    return compose(model, find)


def _sum_of_stack(node: Node, producers: Producers) -> Node | None:
    """A reduction over the first axis of what was stacked along it."""
    joined = made(node.inputs[0], "Concat", producers)
    axes = integers(node, "axes", 1)
    keeps = node.attributes.get("keepdims")
    if joined is None or _integer(joined, "axis") != 0 or axes != (0,) or keeps is None or keeps.value != 0:
        return None
    parts = [made(value, "Unsqueeze", producers) for value in joined.inputs]
    sources = tuple(part.inputs[0] for part in parts if part is not None and integers(part, "axes", 1) == (0,))
    if len(sources) < len(parts):
        return None
    return replace(node, op_type=_COMBINED[node.op_type], inputs=sources, attributes={})


def _lookup(node: Node, producers: Producers) -> Node | None:
    """A Transpose back, behind a GatherND of single indices along an axis that another one brought to the front."""
    lookup = made(node.inputs[0], "GatherND", producers)
    front = made(lookup.inputs[0], "Transpose", producers) if lookup else None
    order, back = (integers(own, "perm") for own in (front, node)) if front else (None, None)
    if lookup is None or front is None or order is None or back is None or _integer(lookup, "batch_dims"):
        return None
    indices = lookup.inputs[1]
    axis = order[0] if order else 0
    rest = [place for place in range(len(order)) if place != axis]
    array = constant(indices)
    if indices is None or array is None or list(order) != [axis, *rest]:
        return None
    if back != tuple(order.index(place) for place in range(len(order))):
        return None
    if array.ndim != 2 or array.shape[1] != 1:
        return None
    flat = replace(indices, shape=array.shape[:1], constant=lambda: array.reshape(-1))
    return replace(node, op_type="Gather", inputs=(front.inputs[0], flat), attributes={"axis": Attribute("INT", axis)})


def _softplus(node: Node, producers: Producers) -> Node | None:
    """Softplus that hands large numbers through; with a factor it is softplus(factor * x) / factor."""
    condition, large, small = node.inputs
    comparison = made(condition, "Greater", producers)
    if comparison is None or (number(comparison.inputs[1]) or 0) < _LINEAR_FROM:
        return None
    argument, result = comparison.inputs[0], small
    product, quotient = made(argument, "Mul", producers), made(small, "Div", producers)
    if product is not None and quotient is not None:
        factor = number(product.inputs[1])
        is_factor = factor is not None and factor == number(quotient.inputs[1]) and _is_same(large, product.inputs[0])
        large, result = (argument, quotient.inputs[0]) if is_factor else (None, None)
    softplus = made(result, "Softplus", producers)
    if softplus is None or not (_is_same(argument, large) and _is_same(argument, softplus.inputs[0])):
        return None
    return replace(node, op_type="Identity", inputs=(small,), attributes={})


def _is_same(first: Value | None, second: Value | None) -> bool:
    return first is not None and second is not None and first.name == second.name


def _repeat(node: Node, producers: Producers) -> Node | None:
    """A Reshape that joins an axis with copies of each of its elements, which lie along a new axis behind it."""
    copies = made(node.inputs[0], "Tile", producers) or made(node.inputs[0], "Expand", producers)
    added = made(copies.inputs[0], "Unsqueeze", producers) if copies else None
    axes = integers(added, "axes", 1) if added else None
    if copies is None or added is None or axes is None or len(axes) != 1:
        return None
    source, before, after, result = (
        value.shape if value else None
        for value in (added.inputs[0], added.outputs[0], copies.outputs[0], node.outputs[0])
    )
    if source is None or before is None or after is None or result is None or len(source) not in (3, 4):
        return None
    if len(before) != len(source) + 1:
        return None
    axis = axes[0] % len(before) - 1
    count = after[axis + 1] if len(after) == len(before) else 0
    grown = tuple(size * count if place == axis else size for place, size in enumerate(source))
    repeated = (*source[: axis + 1], count, *source[axis + 1 :])
    if axis < 1 or result != grown or after != repeated:
        return None
    scales = np.array([count if place == axis else 1 for place in range(len(source))], np.float32)
    inputs = (added.inputs[0], _constant(node, "region", np.zeros(0, np.float32)), _constant(node, "scales", scales))
    modes = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    attributes = {name: Attribute("STRING", value) for name, value in modes.items()}
    return replace(node, op_type="Resize", inputs=inputs, attributes=attributes)


def _constant(node: Node, role: str, array: NDArray[np.generic]) -> Value:
    return Value(f"{node.outputs[0].name}, {role}", array.shape, lambda: array)


def _integer(node: Node, name: str) -> int:
    """An integer attribute; 0 if it is missing."""
    attribute = node.attributes.get(name)
    return attribute.value if attribute is not None and isinstance(attribute.value, int) else 0


_ENDS: dict[str, Callable[[Node, Producers], Node | None]] = {
    **dict.fromkeys(_COMBINED, _sum_of_stack),
    "Reshape": _repeat,
    "Transpose": _lookup,
    "Where": _softplus,
}
"""What may end with a node, by its operator."""
