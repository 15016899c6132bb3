"""How many bytes of activations a plan keeps alive between its blocks."""

from math import prod

from dlfusion.graph.graph import FLOAT_BYTES
from dlfusion.layers.layer import Layer, Network
from dlfusion.plans.plan import Plan
from dlfusion.plans.schedule import block_flow


def peak_tensor_bytes(network: Network, plan: Plan, element_bytes: int = FLOAT_BYTES) -> int:
    """The most bytes of whole tensors alive while any one block runs; line buffers come on top."""
    flows = [block_flow(network, block) for block in plan.blocks]
    last_use = {value: index for index, flow in enumerate(flows) for value in flow.inputs}
    last_use.update({port.value: len(flows) for port in network.graph.outputs})
    alive = {port.value for port in network.graph.inputs if port.value in last_use}
    peak = 0
    for index, flow in enumerate(flows):
        alive.update(flow.outputs)
        peak = max(peak, sum(prod(network.shape(value)) for value in alive) * element_bytes)
        alive = {value for value in alive if last_use[value] > index}
    return peak


def layer_map_bytes(network: Network, layer: Layer, element_bytes: int = FLOAT_BYTES, in_place: bool = False) -> int:
    """What one layer alone needs by the accounting of MCUNetV2 (Lin et al., NeurIPS 2021): its first input and output.

    `in_place` is for depthwise convolutions, which that work computes inside the larger of the two maps; a residual
    sum replaces the map that it adds, so operands of the epilogue do not count.
    """
    sizes = (prod(network.shape(layer.reads[0].value)), prod(network.shape(layer.output)))
    return (max(sizes) if in_place else sum(sizes)) * element_bytes
