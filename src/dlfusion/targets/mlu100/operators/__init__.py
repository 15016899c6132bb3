"""From a node to calls of CNML: one function per operator, and here the table of them."""

from dlfusion.graph.graph import Graph, Node
from dlfusion.ops.add import Add
from dlfusion.ops.affine import Affine
from dlfusion.ops.average_pool import AveragePool
from dlfusion.ops.channel_shuffle import ChannelShuffle
from dlfusion.ops.clip import Clip
from dlfusion.ops.concat import Concat
from dlfusion.ops.conv import Conv
from dlfusion.ops.depth_to_space import DepthToSpace
from dlfusion.ops.gemm import Gemm
from dlfusion.ops.global_average_pool import GlobalAveragePool
from dlfusion.ops.global_max_pool import GlobalMaxPool
from dlfusion.ops.hard_sigmoid import HardSigmoid
from dlfusion.ops.hard_swish import HardSwish
from dlfusion.ops.leaky_relu import LeakyRelu
from dlfusion.ops.lrn import Lrn
from dlfusion.ops.max_pool import MaxPool
from dlfusion.ops.mul import Mul
from dlfusion.ops.p_relu import PRelu
from dlfusion.ops.pad import Pad
from dlfusion.ops.reshape import Reshape
from dlfusion.ops.resize import Resize
from dlfusion.ops.sigmoid import Sigmoid
from dlfusion.ops.softmax import Softmax
from dlfusion.ops.space_to_depth import SpaceToDepth
from dlfusion.ops.sub import Sub
from dlfusion.ops.swish import Swish
from dlfusion.ops.tanh import Tanh
from dlfusion.targets.mlu100.operators import convolution, moving, pointwise, pooling
from dlfusion.targets.mlu100.operators.scope import BaseOperator, NoForm, Scope


def base_operators(graph: Graph, node: Node) -> tuple[BaseOperator, ...]:
    """The base operators that compute a node, in order.

    Raises:
        NoForm: CNML has none that do.
    """
    scope = Scope(graph, node)
    match node.operator:
        case Conv() as operator:
            convolution.conv(scope, operator)
        case Gemm():
            convolution.gemm(scope)
        case MaxPool() as operator:
            pooling.max_pool(scope, operator)
        case AveragePool() as operator:
            pooling.average_pool(scope, operator)
        case GlobalMaxPool():
            pooling.global_pool(scope, "MAX")
        case GlobalAveragePool():
            pooling.global_pool(scope, "AVG")
        case Clip() | HardSigmoid() | HardSwish() | LeakyRelu() | PRelu() | Sigmoid() | Swish() | Tanh() | Affine():
            _elementwise(scope)
        case Add():
            pointwise.add(scope)
        case Mul():
            pointwise.mul(scope)
        case Sub(is_reversed):
            pointwise.sub(scope, is_reversed)
        case _:
            _moving(scope)
    return tuple(scope.operators)


def _elementwise(scope: Scope) -> None:
    """Operators with one activation that map each element on its own."""
    match scope.node.operator:
        case Clip() as operator:
            pointwise.clip(scope, operator)
        case HardSigmoid() as operator:
            pointwise.hard_sigmoid(scope, operator)
        case HardSwish():
            pointwise.hard_swish(scope)
        case LeakyRelu(alpha):
            pointwise.leaky_relu(scope, alpha)
        case PRelu():
            scope.emit("prelu", [scope.input], scope.output, scope.parameters)
        case Sigmoid():
            scope.activation("SIGMOID", scope.input, scope.output)
        case Swish(alpha):
            pointwise.swish(scope, alpha)
        case Tanh():
            scope.activation("TANH", scope.input, scope.output)
        case Affine():
            scope.emit("scale", [scope.input], scope.output, scope.parameters)


def _moving(scope: Scope) -> None:
    """Operators that move elements, or mix channels or positions; last, what CNML has no form of."""
    match scope.node.operator:
        case Concat():
            scope.emit("concatenate", scope.inputs, scope.output)
        case ChannelShuffle() as operator:
            moving.channel_shuffle(scope, operator)
        case DepthToSpace() as operator:
            moving.depth_to_space(scope, operator)
        case SpaceToDepth() as operator:
            moving.space_to_depth(scope, operator)
        case Resize() as operator:
            moving.resize(scope, operator)
        case Lrn() as operator:
            moving.lrn(scope, operator)
        case Softmax():
            scope.emit("softmax", [scope.input], scope.output)
        case Pad() as operator:
            moving.pad(scope, operator)
        case Reshape():
            moving.reshape(scope)
        case _:
            raise NoForm("no form of this operator in CNML is known well enough to generate it")
