"""The kernel library's Python side: one file per kernel, each offering ways to run a layer."""

from collections.abc import Callable

from dlfusion.layers.layer import Layer, Network
from dlfusion.targets.cpu.isa import Isa
from dlfusion.targets.cpu.kernel import Lowered
from dlfusion.targets.cpu.kernels import depthwise, conv_blocked, pointwise, pool
from dlfusion.ops.conv import Conv
from dlfusion.ops.operator import Operator
from dlfusion.ops.global_average_pool import GlobalAveragePool
from dlfusion.ops.clip import Clip
from dlfusion.ops.add import Add
from dlfusion.ops.mul import Mul
from dlfusion.ops.affine import Affine
from dlfusion.ops.p_relu import PRelu
from dlfusion.ops.max_pool import MaxPool
from dlfusion.ops.average_pool import AveragePool


Candidates = Callable[[Layer, Network, Isa], tuple[Lowered, ...]]


def candidates(layer: Layer, network: Network, isa: Isa) -> tuple[Lowered, ...]:
    """All ways that the kernel library offers to run `layer`; empty if there is none."""
    kernels = _KERNELS.get(type(layer.anchor.operator), ())
    return tuple(way for kernel in kernels for way in kernel(layer, network, isa))


_KERNELS: dict[type[Operator], tuple[Candidates, ...]] = {
    Conv: (depthwise.candidates, conv_blocked.candidates),
    MaxPool: (pool.candidates,),
    AveragePool: (pool.candidates,),
    GlobalAveragePool: (pool.candidates,),
    **{operator: (pointwise.candidates,) for operator in (Add,Clip,PRelu,Mul,Affine)}
}
