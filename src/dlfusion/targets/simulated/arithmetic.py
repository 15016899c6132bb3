"""How long one core of an accelerator computes at a layer.

The array takes as many input and output channels at once as it has rows and columns; a layer's channels, those of one
group of a grouped convolution, are rounded up to them. The vector unit works beside the array on the results that
leave it, so an epilogue costs only what it takes longer than the array. Layers that the array cannot do run on the
vector unit alone and take at least one operation's time per output element, so that moving data is not free.
"""

from dataclasses import dataclass
from math import ceil, prod

from dlfusion.graph.graph import FLOAT_BYTES
from dlfusion.layers.kind import kind
from dlfusion.layers.layer import Layer, Network
from dlfusion.machine.accelerator import Accelerator
from dlfusion.ops.conv import Conv
from dlfusion.ops.conv_transpose import ConvTranspose


@dataclass(frozen=True, slots=True)
class LayerCost:
    """What a layer takes of one core: seconds per row of output (of one image), and bytes of weights."""

    row_seconds: float
    weight_bytes: float


def layer_cost(network: Network, layer: Layer, machine: Accelerator, outputs: int | None = None) -> LayerCost:
    """The cost of a layer for a core that computes `outputs` of its output channels; None means all of them."""
    images, channels, height, width = network.shape(layer.output)
    computed = channels if outputs is None else outputs
    share = computed / channels
    operations = layer.features.operations * share
    if kind(layer).uses_array:
        anchor = _anchor_operations(network, layer) * share
        array_seconds = anchor * _padding(network, layer, machine, computed) / machine.operations_per_second
        seconds = max(array_seconds, (operations - anchor) / machine.vector_operations_per_second)
    else:
        elements = images * computed * height * width
        seconds = max(operations, elements) / machine.vector_operations_per_second
    rows = images * height
    weights = layer.features.weight_bytes // FLOAT_BYTES * machine.element_bytes * share
    return LayerCost(seconds / rows, weights)


def _parameter_shapes(network: Network, layer: Layer) -> tuple[tuple[int, ...], ...]:
    return tuple(array.shape for array in network.graph.parameters(layer.anchor))


def _anchor_operations(network: Network, layer: Layer) -> int:
    activations = network.graph.activation_shapes(layer.anchor)
    return layer.anchor.operator.operations(activations, _parameter_shapes(network, layer))


def _padding(network: Network, layer: Layer, machine: Accelerator, computed: int) -> float:
    """The array's work with channels rounded up over the work that is asked for."""
    weights = _parameter_shapes(network, layer)[0]
    match layer.anchor.operator:
        case Conv(groups=groups):
            inputs, outputs = weights[1], weights[0] // groups
        case ConvTranspose(groups=groups):
            inputs, outputs = weights[0] // groups, weights[1]
        case _:
            inputs, outputs = prod(weights[1:]), weights[0]
    outputs = min(outputs, computed)
    rounded_inputs = ceil(inputs / machine.array_inputs) * machine.array_inputs
    rounded_outputs = ceil(outputs / machine.array_outputs) * machine.array_outputs
    return rounded_inputs / inputs * rounded_outputs / outputs
