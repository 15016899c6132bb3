"""What sort of work a layer is: the distinction that rates of devices depend on."""

from enum import StrEnum

from dlfusion.layers.layer import Layer
from dlfusion.ops.average_pool import AveragePool
from dlfusion.ops.conv import Conv
from dlfusion.ops.conv_transpose import ConvTranspose
from dlfusion.ops.gemm import Gemm
from dlfusion.ops.global_average_pool import GlobalAveragePool
from dlfusion.ops.global_lp_pool import GlobalLpPool
from dlfusion.ops.global_max_pool import GlobalMaxPool
from dlfusion.ops.lp_pool import LpPool
from dlfusion.ops.max_pool import MaxPool


class Kind(StrEnum):
    """Sorts of layers. A grouped convolution counts as dense: each group is one."""

    DENSE = "dense convolution"
    POINTWISE = "1x1 convolution"
    DEPTHWISE = "depthwise convolution"
    GEMM = "fully connected"
    POOL = "pool"
    OTHER = "other"

    @property
    def uses_array(self) -> bool:
        """Whether an accelerator's multiply-accumulate array does it: each output sums over many input channels."""
        return self in (Kind.DENSE, Kind.POINTWISE, Kind.GEMM)


def kind(layer: Layer) -> Kind:
    """The sort of a layer, by its anchor."""
    operator = layer.anchor.operator
    match operator:
        case Conv(groups=groups) if groups > 1 and groups == layer.features.input_channels:
            return Kind.DEPTHWISE
        case ConvTranspose(groups=groups) if groups > 1 and groups == layer.features.input_channels:
            return Kind.DEPTHWISE
        case Conv(kernel=(1, 1)):
            return Kind.POINTWISE
        case Conv() | ConvTranspose():
            return Kind.DENSE
        case Gemm():
            return Kind.GEMM
        case MaxPool() | AveragePool() | LpPool() | GlobalAveragePool() | GlobalMaxPool() | GlobalLpPool():
            return Kind.POOL
    return Kind.OTHER
