"""Which C++ operation of `operations.hpp` a pointwise operator becomes, and with what numbers."""

import math
from dataclasses import dataclass

from dlfusion.ops.abs import Abs
from dlfusion.ops.add import Add
from dlfusion.ops.binary import Binary
from dlfusion.ops.ceil import Ceil
from dlfusion.ops.celu import Celu
from dlfusion.ops.clip import Clip
from dlfusion.ops.div import Div
from dlfusion.ops.elu import Elu
from dlfusion.ops.erf import Erf
from dlfusion.ops.exp import Exp
from dlfusion.ops.floor import Floor
from dlfusion.ops.gelu import Gelu
from dlfusion.ops.hard_sigmoid import HardSigmoid
from dlfusion.ops.hard_swish import HardSwish
from dlfusion.ops.leaky_relu import LeakyRelu
from dlfusion.ops.log import Log
from dlfusion.ops.max import Max
from dlfusion.ops.min import Min
from dlfusion.ops.mish import Mish
from dlfusion.ops.mul import Mul
from dlfusion.ops.operator import Operator
from dlfusion.ops.pow import Pow
from dlfusion.ops.reciprocal import Reciprocal
from dlfusion.ops.selu import Selu
from dlfusion.ops.sigmoid import Sigmoid
from dlfusion.ops.softplus import Softplus
from dlfusion.ops.softsign import Softsign
from dlfusion.ops.sqrt import Sqrt
from dlfusion.ops.sub import Sub
from dlfusion.ops.swish import Swish
from dlfusion.ops.tanh import Tanh
from dlfusion.ops.thresholded_relu import ThresholdedRelu


@dataclass(frozen=True, slots=True)
class Step:
    """An operation type and the members of its `EpilogueStep`; the operation says what the numbers mean."""

    operation: str
    input: int = -1
    constant: int = -1
    a: float = 0.0
    b: float = 0.0
    row_stride: int = 0
    channel_stride: int = 0


_FUNCTIONS: dict[type[Operator], str] = {
    Abs: "Abs",
    Ceil: "Ceil",
    Erf: "Erf",
    Exp: "Exp",
    Floor: "Floor",
    HardSwish: "HardSwish",
    Log: "Log",
    Mish: "Mish",
    Reciprocal: "Reciprocal",
    Sigmoid: "Sigmoid",
    Softplus: "Softplus",
    Softsign: "Softsign",
    Sqrt: "Sqrt",
    Tanh: "Tanh",
}
"""Operators without attributes, constants and further activations."""

_POWERS = {2.0: "Mul<Itself>", 3.0: "Cube", 0.5: "Sqrt", -1.0: "Reciprocal"}
"""Exponents that need no general power."""


def unary(operator: Operator) -> list[Step] | None:
    """The operations of an operator of one activation and no constants, none if it changes nothing; None if unknown."""
    if type(operator) in _FUNCTIONS:
        return [Step(_FUNCTIONS[type(operator)])]
    match operator:
        case Clip(low=low, high=high):
            return _clip(low, high)
        case LeakyRelu(alpha=alpha):
            return [Step("Leaky<Number>", a=alpha)]
        case HardSigmoid(alpha=alpha, beta=beta):
            return [Step("HardSigmoid", a=alpha, b=beta)]
        case Elu(alpha=alpha):
            return [Step("Elu", a=alpha, b=1.0)]
        case Celu(alpha=alpha):
            return [Step("Elu", a=alpha, b=1 / alpha)]
        case Selu(alpha=alpha, gamma=gamma):
            return [Step("Selu", a=alpha * gamma, b=gamma)]
        case Swish(alpha=alpha):
            return [Step("Swish<Number>", a=alpha)]
        case Gelu(by_tanh=by_tanh):
            return [Step("GeluByTanh" if by_tanh else "Gelu")]
        case ThresholdedRelu(alpha=alpha):
            return [Step("ThresholdedRelu", a=alpha)]
    return None


def combination(operator: Binary, is_second: bool) -> str | None:
    """The operation's template, such as `Sub`; `is_second` if the running value is the operator's second activation."""
    match operator:
        case Add() | Mul() | Max() | Min():
            return type(operator).__name__
        case Sub(reversed=is_reversed):
            return "SubFrom" if is_reversed is not is_second else "Sub"
        case Div(reversed=is_reversed):
            return "DivOf" if is_reversed is not is_second else "Div"
        case Pow(reversed=is_reversed):
            return "PowOf" if is_reversed is not is_second else "Pow"
    return None


def with_number(operation: str, number: float) -> Step:
    """The operation of `combination` with one number as the other operand."""
    if operation == "Pow" and number in _POWERS:
        return Step(_POWERS[number])
    return Step(f"{operation}<Number>", a=number)


def _clip(low: float, high: float) -> list[Step]:
    """One comparison where one bound is infinite."""
    if math.isinf(low) and math.isinf(high):
        return []
    if math.isinf(high):
        return [Step("AtLeast", a=low)]
    if math.isinf(low):
        return [Step("AtMost", a=high)]
    return [Step("Clip", a=low, b=high)]
