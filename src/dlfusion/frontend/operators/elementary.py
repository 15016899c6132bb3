"""Elementary functions of each element, without attributes."""

from collections.abc import Callable

from dlfusion.frontend.context import Activation, Context
from dlfusion.frontend.model import Node
from dlfusion.ops.abs import Abs
from dlfusion.ops.ceil import Ceil
from dlfusion.ops.erf import Erf
from dlfusion.ops.exp import Exp
from dlfusion.ops.floor import Floor
from dlfusion.ops.hard_swish import HardSwish
from dlfusion.ops.log import Log
from dlfusion.ops.mish import Mish
from dlfusion.ops.pointwise import Pointwise
from dlfusion.ops.reciprocal import Reciprocal
from dlfusion.ops.sigmoid import Sigmoid
from dlfusion.ops.softplus import Softplus
from dlfusion.ops.softsign import Softsign
from dlfusion.ops.sqrt import Sqrt
from dlfusion.ops.tanh import Tanh


def _converter(operator: Pointwise) -> Callable[[Node, Context], Activation]:
    def convert(node: Node, context: Context) -> Activation:
        return context.result(operator, context.activation(node))

    convert.__doc__ = f"{type(operator).__name__}."
    return convert


OPERATORS: tuple[Pointwise, ...] = (
    Abs(),
    Ceil(),
    Erf(),
    Exp(),
    Floor(),
    HardSwish(),
    Log(),
    Mish(),
    Reciprocal(),
    Sigmoid(),
    Softplus(),
    Softsign(),
    Sqrt(),
    Tanh(),
)
"""Those whose name in ONNX is their own."""

CONVERTERS = {type(operator).__name__: _converter(operator) for operator in OPERATORS}
