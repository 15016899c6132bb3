"""Normalizations that exporters wrote as means, differences and roots become single nodes again.

Before opset 17 ONNX had no LayerNormalization, and models that normalize channels of maps still spell it out:

    (x - mean(x)) / sqrt(mean((x - mean(x)) ** 2) + epsilon)

TensorFlow writes it with the scale and the shift that follow it, whatever the axes:

    x * f + (shift - mean(x) * f),  f = scale / sqrt(mean((x - mean(x)) ** 2) + epsilon)
"""

from dataclasses import dataclass, replace

from dlfusion.frontend.model import Attribute, Model, Node, Value
from dlfusion.frontend.patterns import Producers, compose, integers, made, number


def compose_normalizations(model: Model) -> Model:
    """The model with MeanVarianceNormalization, which gets an attribute `epsilon`, in place of what computes it."""
    return compose(model, lambda node, producers: _difference_form(node, producers) or _factor_form(node, producers))


@dataclass(frozen=True, slots=True)
class _Centered:
    """x less its mean over `axes`."""

    source: str
    axes: tuple[int, ...]


def _difference_form(node: Node, producers: Producers) -> tuple[Node, ...]:
    """A difference divided by a root."""
    quotient = _quotient(node, producers)
    if quotient is None:
        return ()
    difference, root = quotient
    centered = _centered(made(difference, "Sub", producers), producers)
    epsilon = None if centered is None else _epsilon(root, centered, producers)
    if centered is None or epsilon is None:
        return ()
    source = next(value for value in _sub_inputs(difference, producers) if value.name == centered.source)
    return (_normalization(node, source, centered.axes, epsilon),)


def _factor_form(node: Node, producers: Producers) -> tuple[Node, ...]:
    """A product with a factor, to which is added what the factor makes of the mean."""
    if node.op_type != "Add":
        return ()
    for first, second in (node.inputs, node.inputs[::-1]):
        product = made(first, "Mul", producers)
        for source, factor in (product.inputs, product.inputs[::-1]) if product else ():
            scaled = _scaled_root(factor, producers)
            shifted = _shifted_mean(second, factor, producers)
            if source is None or scaled is None or shifted is None:
                continue
            (root, scale), (mean, shift) = scaled, shifted
            averaged = _mean(mean, producers)
            if averaged is None or averaged[0] is None or averaged[0].name != source.name:
                continue
            epsilon = _epsilon(root, _Centered(source.name, averaged[1]), producers)
            if epsilon is not None:
                return _scaled(_normalization(node, source, averaged[1], epsilon), scale, shift)
    return ()


def _scaled_root(factor: Value | None, producers: Producers) -> tuple[Node | None, Value | None] | None:
    """The root and the scale of a factor: 1 / root, or scale * (1 / root) in any order; the scale is constant."""
    inverse = made(factor, "Reciprocal", producers)
    if inverse is not None:
        return made(inverse.inputs[0], "Sqrt", producers), None
    product = made(factor, "Mul", producers)
    for scale, other in (product.inputs, product.inputs[::-1]) if product else ():
        inverse = made(other, "Reciprocal", producers)
        if inverse is not None and scale is not None and scale.constant is not None:
            return made(inverse.inputs[0], "Sqrt", producers), scale
    return None


def _shifted_mean(
    value: Value | None, factor: Value | None, producers: Producers
) -> tuple[Value | None, Value | None] | None:
    """The mean and the shift of shift - mean * factor; TensorFlow's converter makes shift + (-mean) * factor of it."""
    total, difference = made(value, "Add", producers), made(value, "Sub", producers)
    if difference is not None:
        candidates = [(difference.inputs[1], difference.inputs[0], False)]
    else:
        pairs = (total.inputs, total.inputs[::-1]) if total else ()
        candidates = [(product, shift, True) for product, shift in pairs]
    for product, shift, is_negative in candidates:
        own = made(product, "Mul", producers)
        for mean, other in (own.inputs, own.inputs[::-1]) if own and shift and shift.constant else ():
            if factor is None or other is None or other.name != factor.name:
                continue
            negated = made(mean, "Neg", producers)
            if not is_negative or negated is not None:
                return (negated.inputs[0] if is_negative and negated else mean), shift
    return None


def _epsilon(root: Node | None, centered: _Centered, producers: Producers) -> float | None:
    """What is added to the variance of `centered` under the root; None if it is the root of something else."""
    total = None if root is None else made(root.inputs[0], "Add", producers)
    for mean, epsilon in (total.inputs[:2], total.inputs[1::-1]) if total else ():
        variance = _mean(mean, producers)
        added = number(epsilon)
        if variance is None or added is None or variance[1] != centered.axes:
            continue
        squared = _squared(variance[0], producers)
        if _centered(made(squared, "Sub", producers), producers) == centered:
            return added
    return None


def _normalization(node: Node, source: Value, axes: tuple[int, ...], epsilon: float) -> Node:
    attributes = {"axes": Attribute("INTS", axes), "epsilon": Attribute("FLOAT", epsilon)}
    return replace(node, op_type="MeanVarianceNormalization", inputs=(source,), attributes=attributes)


def _scaled(normalization: Node, scale: Value | None, shift: Value | None) -> tuple[Node, ...]:
    """The normalization, then its scale and shift where it has them; the last node gives its output."""
    steps = [(kind, constant) for kind, constant in (("Mul", scale), ("Add", shift)) if constant is not None]
    (output,) = normalization.outputs
    values = [replace(output, name=f"{output.name}, {'normalized' if index == 0 else 'scaled'}") for index in range(2)]
    results = [*values[: len(steps)], output]
    nodes = [replace(normalization, outputs=(results[0],))]
    for (kind, constant), read, result in zip(steps, results, results[1:], strict=False):
        nodes.append(replace(normalization, op_type=kind, inputs=(read, constant), outputs=(result,), attributes={}))
    return tuple(nodes)


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
    mean = _mean(difference.inputs[1], producers)
    if source is None or mean is None or mean[0] is None or mean[0].name != source.name:
        return None
    return _Centered(source.name, mean[1])


def _sub_inputs(difference: Value | None, producers: Producers) -> tuple[Value, ...]:
    subtraction = made(difference, "Sub", producers)
    return () if subtraction is None else tuple(value for value in subtraction.inputs if value is not None)


def _mean(value: Value | None, producers: Producers) -> tuple[Value | None, tuple[int, ...]] | None:
    """What a value is the mean of, and over which axes; None if it is none, does not keep them or leaves them out."""
    reshape = made(value, "Reshape", producers)
    if reshape and value and value.shape and reshape.inputs[0] and reshape.inputs[0].shape == value.shape:
        return _mean(reshape.inputs[0], producers)
    pool = made(value, "GlobalAveragePool", producers)
    if pool is not None and value is not None and value.shape is not None:
        return pool.inputs[0], tuple(range(2, len(value.shape)))
    node = made(value, "ReduceMean", producers)
    if node is None or not _keeps(node):
        return None
    axes = integers(node, "axes", 1)
    return None if axes is None else (node.inputs[0], axes)


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
