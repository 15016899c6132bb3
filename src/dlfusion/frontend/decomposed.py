"""What exporters wrote as several nodes becomes one again: normalizations, Softplus, and Gather.

Before opset 17 ONNX had no LayerNormalization, and models that normalize channels of maps still spell it out:

    (x - mean(x)) / sqrt(mean((x - mean(x)) ** 2) + epsilon)

PyTorch's Softplus is its own argument above a threshold:

    where(x > 20, x, softplus(x))

Its newer exporter takes channels by number, x[:, numbers], with GatherND from the first axis, where it brings them and
from where it brings them back.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from dlfusion.frontend.model import Attribute, Model, Node, Value

Producers = Mapping[str, Node]

NO_BATCH = Attribute("INT", 0)

STRAIGHT_FROM = 17.0
"""Beyond it float32 does not tell softplus(x) = x + log(1 + exp(-x)) from x."""


def compose(model: Model) -> Model:
    """The model with Softplus and MeanVarianceNormalization, which gets an attribute `epsilon`, for their parts."""
    producers = {node.outputs[0].name: node for node in model.nodes}
    nodes = [_composed(node, producers) for node in model.nodes]
    if all(new is old for new, old in zip(nodes, model.nodes, strict=True)):
        return model
    return replace(model, nodes=tuple(_needed(nodes, model.outputs)))


@dataclass(frozen=True, slots=True)
class _Centered:
    """x less its mean over `axes`."""

    source: str
    axes: tuple[int, ...]


def _composed(node: Node, producers: Producers) -> Node:
    """The node that computes all of a pattern, if this one ends it; else the node itself."""
    if node.op_type == "Where" and len(node.inputs) == 3:
        return _without_straight_part(node, producers)
    if node.op_type == "Transpose":
        return _gather(node, producers)
    quotient = _quotient(node, producers)
    if quotient is None:
        return node
    difference, root = quotient
    centered = _centered(_made(difference, "Sub", producers), producers)
    total = None if root is None else _made(root.inputs[0], "Add", producers)
    if centered is None or total is None:
        return node
    for mean, epsilon in (total.inputs[:2], total.inputs[1::-1]):
        variance = _mean(_made(mean, "ReduceMean", producers))
        number = _number(epsilon)
        if variance is None or number is None or variance[1] != centered.axes:
            continue
        squared = _squared(variance[0], producers)
        if _centered(_made(squared, "Sub", producers), producers) == centered:
            source = next(value for value in _sub_inputs(difference, producers) if value.name == centered.source)
            attributes = {"axes": Attribute("INTS", centered.axes), "epsilon": Attribute("FLOAT", number)}
            return replace(node, op_type="MeanVarianceNormalization", inputs=(source,), attributes=attributes)
    return node


def _without_straight_part(node: Node, producers: Producers) -> Node:
    """Softplus, with or without a factor, in place of the choice between it and its argument; else the node itself."""
    above = _made(node.inputs[0], "Greater", producers)
    if above is None or (_number(above.inputs[1]) or 0) < STRAIGHT_FROM:
        return node
    _, straight, bent = node.inputs
    argument, result = straight, bent
    quotient, product = _made(bent, "Div", producers), _made(above.inputs[0], "Mul", producers)
    if quotient is not None and product is not None:
        factor = _number(product.inputs[1])
        if factor is None or factor != _number(quotient.inputs[1]) or product.inputs[0] != straight:
            return node
        argument, result = above.inputs[0], quotient.inputs[0]
    softplus = _made(result, "Softplus", producers)
    if softplus is None or not argument == above.inputs[0] == softplus.inputs[0]:
        return node
    return replace(node, op_type="Identity", inputs=(bent,), attributes={})


def _gather(node: Node, producers: Producers) -> Node:
    """Gather along an axis in place of GatherND between two transpositions; else the node itself."""
    taken = _made(node.inputs[0], "GatherND", producers)
    brought = None if taken is None else _made(taken.inputs[0], "Transpose", producers)
    numbers = None if taken is None else taken.inputs[1]
    if taken is None or brought is None or numbers is None or numbers.constant is None:
        return node
    there, back = (_integers(one, "perm") for one in (brought, node))
    indices = numbers.constant()
    is_plain = taken.attributes.get("batch_dims", NO_BATCH) == NO_BATCH and indices.ndim == 2 and indices.shape[1] == 1
    if not is_plain or not there or [there[axis] for axis in back] != list(range(len(there))):
        return node
    single = Value(f"{numbers.name}, one each", indices.shape[:1], lambda: indices[:, 0])
    inputs = (brought.inputs[0], single)
    return replace(node, op_type="Gather", inputs=inputs, attributes={"axis": Attribute("INT", there[0])})


def _integers(node: Node, name: str) -> tuple[int, ...]:
    """A list of integers; empty if the node does not have it."""
    attribute = node.attributes.get(name)
    return tuple(attribute.value) if attribute is not None and isinstance(attribute.value, Iterable) else ()


def _quotient(node: Node, producers: Producers) -> tuple[Value | None, Node | None] | None:
    """Dividend and the root that it is divided by: a / sqrt(b), or a * (1 / sqrt(b)) in any order."""
    if node.op_type == "Div" and len(node.inputs) == 2:
        return node.inputs[0], _made(node.inputs[1], "Sqrt", producers)
    if node.op_type == "Mul" and len(node.inputs) == 2:
        for dividend, inverse in (node.inputs, node.inputs[::-1]):
            reciprocal = _made(inverse, "Reciprocal", producers) or _made(inverse, "Div", producers)
            if reciprocal is not None and (reciprocal.op_type == "Reciprocal" or _number(reciprocal.inputs[0]) == 1):
                return dividend, _made(reciprocal.inputs[-1], "Sqrt", producers)
    return None


def _centered(difference: Node | None, producers: Producers) -> _Centered | None:
    """What a Sub of a value and its own mean stands for."""
    if difference is None or len(difference.inputs) != 2:
        return None
    source = difference.inputs[0]
    mean = _mean(_made(difference.inputs[1], "ReduceMean", producers))
    if source is None or mean is None or mean[0] is None or mean[0].name != source.name:
        return None
    return _Centered(source.name, mean[1])


def _sub_inputs(difference: Value | None, producers: Producers) -> tuple[Value, ...]:
    made = _made(difference, "Sub", producers)
    return () if made is None else tuple(value for value in made.inputs if value is not None)


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
    power, product = _made(value, "Pow", producers), _made(value, "Mul", producers)
    if power is not None and _number(power.inputs[1]) == 2:
        return power.inputs[0]
    if product is not None and None not in product.inputs and len({one.name for one in product.inputs if one}) == 1:
        return product.inputs[0]
    return None


def _made(value: Value | None, kind: str, producers: Producers) -> Node | None:
    """The node of this kind that computes the value."""
    node = None if value is None else producers.get(value.name)
    return node if node is not None and node.op_type == kind else None


def _number(value: Value | None) -> float | None:
    """The constant number that the value is."""
    if value is None or value.constant is None:
        return None
    array = value.constant()
    return float(array.astype(float).reshape(-1)[0]) if array.size == 1 else None


def _needed(nodes: Iterable[Node], outputs: Iterable[Value]) -> list[Node]:
    """The nodes that the outputs depend on."""
    read = {value.name for value in outputs}
    kept = []
    for node in reversed(list(nodes)):
        if any(output.name in read for output in node.outputs):
            kept.append(node)
            read.update(value.name for value in node.inputs if value is not None)
    return kept[::-1]
