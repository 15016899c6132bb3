"""Normalizations that exporters wrote as means, differences and roots become single nodes again.

Before opset 17 ONNX had no LayerNormalization, and models that normalize channels of maps still spell it out:

    (x - mean(x)) / sqrt(mean((x - mean(x)) ** 2) + epsilon)
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from dlfusion.frontend.model import Attribute, Model, Node, Value
from dlfusion.frontend.patterns import Producers, made, needed, number


def compose_normalizations(model: Model) -> Model:
    """The model with MeanVarianceNormalization, which gets an attribute `epsilon`, in place of what computes it."""
    producers = {node.outputs[0].name: node for node in model.nodes}
    nodes = [_composed(node, producers) for node in model.nodes]
    if all(new is old for new, old in zip(nodes, model.nodes, strict=True)):
        return model
    return replace(model, nodes=tuple(needed(nodes, model.outputs)))


@dataclass(frozen=True, slots=True)
class _Centered:
    """x less its mean over `axes`."""

    source: str
    axes: tuple[int, ...]


def _composed(node: Node, producers: Producers) -> Node:
    """The node that normalizes x, if this one ends its normalization; else the node itself."""
    quotient = _quotient(node, producers)
    if quotient is None:
        return node
    difference, root = quotient
    centered = _centered(made(difference, "Sub", producers), producers)
    total = None if root is None else made(root.inputs[0], "Add", producers)
    if centered is None or total is None:
        return node
    for mean, epsilon in (total.inputs[:2], total.inputs[1::-1]):
        variance = _mean(made(mean, "ReduceMean", producers))
        added = number(epsilon)
        if variance is None or added is None or variance[1] != centered.axes:
            continue
        squared = _squared(variance[0], producers)
        if _centered(made(squared, "Sub", producers), producers) == centered:
            source = next(value for value in _sub_inputs(difference, producers) if value.name == centered.source)
            attributes = {"axes": Attribute("INTS", centered.axes), "epsilon": Attribute("FLOAT", added)}
            return replace(node, op_type="MeanVarianceNormalization", inputs=(source,), attributes=attributes)
    return node


def _quotient(node: Node, producers: Producers) -> tuple[Value | None, Node | None] | None:
    """Dividend and the root that it is divided by: a / sqrt(b), or a * (1 / sqrt(b)) in any order."""
    if node.op_type == "Div" and len(node.inputs) == 2:
        return node.inputs[0], made(node.inputs[1], "Sqrt", producers)
    if node.op_type == "Mul" and len(node.inputs) == 2:
        for dividend, inverse in (node.inputs, node.inputs[::-1]):
            reciprocal = made(inverse, "Reciprocal", producers) or made(inverse, "Div", producers)
            if reciprocal is not None and (reciprocal.op_type == "Reciprocal" or number(reciprocal.inputs[0]) == 1):
                return dividend, made(reciprocal.inputs[-1], "Sqrt", producers)
    return None


def _centered(difference: Node | None, producers: Producers) -> _Centered | None:
    """What a Sub of a value and its own mean stands for."""
    if difference is None or len(difference.inputs) != 2:
        return None
    source = difference.inputs[0]
    mean = _mean(made(difference.inputs[1], "ReduceMean", producers))
    if source is None or mean is None or mean[0] is None or mean[0].name != source.name:
        return None
    return _Centered(source.name, mean[1])


def _sub_inputs(difference: Value | None, producers: Producers) -> tuple[Value, ...]:
    subtraction = made(difference, "Sub", producers)
    return () if subtraction is None else tuple(value for value in subtraction.inputs if value is not None)


def _mean(node: Node | None) -> tuple[Value | None, tuple[int, ...]] | None:
    """What a ReduceMean reads, and its axes; None if it does not keep them or leaves them out."""
    if node is None or not _keeps(node):
        return None
    attribute = node.attributes.get("axes")
    if attribute is not None and isinstance(attribute.value, Iterable):
        return node.inputs[0], tuple(int(axis) for axis in attribute.value)
    constant = node.inputs[1].constant if len(node.inputs) > 1 and node.inputs[1] is not None else None
    return None if constant is None else (node.inputs[0], tuple(int(axis) for axis in constant().reshape(-1)))


def _keeps(node: Node) -> bool:
    attribute = node.attributes.get("keepdims")
    return attribute is None or attribute.value == 1


def _squared(value: Value | None, producers: Producers) -> Value | None:
    """What is squared: x in x ** 2 and x * x."""
    power, product = made(value, "Pow", producers), made(value, "Mul", producers)
    if power is not None and number(power.inputs[1]) == 2:
        return power.inputs[0]
    if product is not None and None not in product.inputs and len({one.name for one in product.inputs if one}) == 1:
        return product.inputs[0]
    return None
