"""Convolution by Winograd's minimal filtering, from a blocked tensor into a blocked tensor."""

import math
from fractions import Fraction
from functools import partial

import numpy as np
from numpy.typing import NDArray

from dlfusion.graph.graph import FLOAT_BYTES, Array
from dlfusion.layers.algorithm import OUTPUT_TILE, Algorithm, algorithms, winograd_work
from dlfusion.layers.layer import Layer, Network
from dlfusion.ops.conv import Conv
from dlfusion.targets.cpu.bfloat16 import largest_magnitude, store
from dlfusion.targets.cpu.isa import Isa
from dlfusion.targets.cpu.kernel import Layout, Lowered, Pads
from dlfusion.targets.cpu.kernels import epilogue, narrowing
from dlfusion.targets.cpu.kernels.packing import Channels, OutputGroup, dense_weights
from dlfusion.targets.cpu.kernels.register_blocks import step_cycles, widest_blocks
from dlfusion.targets.cpu.precision import Storage
from dlfusion.targets.cpu.section import Section, initializer

_PAIRS = {4: (1.0,), 6: (0.625, 1.5), 8: (1.0, 2.0, 0.5)}
"""For each side of a tile's inputs, the points that come in pairs, positive and negative: as in winograd.hpp."""

_TRANSFORM_CYCLES = 1.0
"""For one element of a tile, a vector of channels, in either direction (measured on Sapphire Rapids)."""

_TILES, _TILES_FAR, _NEAR_BYTES = 28, 56, 1 << 20
"""Tiles to a block, and those where the transformed kernels are too large to stay in the second-level cache beside it:
each block reads all of them again (measured on Sapphire Rapids; blocks of three times the size lose)."""


_NARROW_SIDE = 6
"""Tiles of 3x3 kernels up to this side may be stored as bfloat16. That makes kernels that come from beyond the
second-level cache up to 1.6 times faster (measured). Their rounding is magnified: on random data F(2x2) is off by
2e-3 of the output's scale, F(4x4) by 1.2e-2; F(6x6) and 5x5 kernels, by 3e-2 and more, stay float32."""


def candidates(layer: Layer, network: Network, isa: Isa) -> tuple[Lowered, ...]:
    """One way for each size of tiles that suits the layer."""
    conv = layer.anchor.operator
    if not isinstance(conv, Conv):
        return ()
    weights = network.graph.parameters(layer.anchor)[0]
    return tuple(
        way
        for algorithm in algorithms(layer)
        if algorithm in OUTPUT_TILE
        for way in narrowing.ways(
            partial(_lower, layer, network, conv, algorithm, isa), weights, _narrow_storage(conv, algorithm, weights)
        )
    )


def _narrow_storage(conv: Conv, algorithm: Algorithm, weights: Array) -> Storage | None:
    """How transformed kernels may be stored to be faster and exact enough."""
    side = OUTPUT_TILE[algorithm] + conv.kernel[0] - 1
    far = weights.shape[0] * weights.shape[1] * side * side * FLOAT_BYTES > _NEAR_BYTES
    return Storage.BFLOAT16 if conv.kernel[0] == 3 and side <= _NARROW_SIDE and far else None


def _lower(
    layer: Layer, network: Network, conv: Conv, algorithm: Algorithm, isa: Isa, storage: Storage
) -> Lowered | None:
    weights, bias = network.graph.parameters(layer.anchor)
    inputs, outputs = network.shape(layer.reads[0].value), network.shape(layer.output)
    channels = Channels(inputs[1], outputs[1], 1, isa.lanes, isa.lanes)
    size = OUTPUT_TILE[algorithm]
    side = size + conv.kernel[0] - 1
    units, most = _register_block(channels.output_units, isa)
    input_units = math.ceil(inputs[1] / isa.lanes)
    section = Section()
    weight_bytes = channels.output_units * isa.lanes * input_units * isa.lanes * side * side * storage.weight_bytes
    weights_offset = section.append_later(
        weight_bytes // 4, lambda place: _pack(weights, channels, units, size, place, storage)
    )
    bias_offset = section.append_channels(bias, isa.lanes)
    code = epilogue.build(layer, network.graph, section, epilogue.Place(isa.lanes))
    if code is None:
        return None
    tiles = _block_tiles(outputs, size, weight_bytes)
    shape = initializer(
        pad_top=conv.pads[0],
        pad_left=conv.pads[1],
        tiles=tiles,
        is_far=int(weight_bytes > _NEAR_BYTES),
        weights=weights_offset,
        bias=bias_offset,
        steps=code.steps,
    )
    parameters = f"{units}, {most}, {size}, {conv.kernel[0]}, {code.type}"
    operands = len(layer.reads) - 1
    last_column = math.ceil(outputs[3] / size) * size + conv.kernel[1] - 1 - conv.pads[1]
    work = winograd_work(network, layer, algorithm)
    products = work.products / (2 * isa.lanes * units * most) * step_cycles(units, most, isa, storage)
    elements = (work.transformed_inputs + work.transformed_outputs) / isa.lanes
    return Lowered(
        header="winograd.hpp",
        function=f"winograd<{parameters}{storage.template_arguments}>",
        shape_type="WinogradShape",
        shape=shape,
        input_layouts=(Layout.BLOCKED,) * (1 + operands),
        output_layout=Layout.BLOCKED,
        cycles=products + elements * _TRANSFORM_CYCLES,
        input_pads=(Pads(conv.pads[1], max(0, last_column - inputs[3])), *[Pads()] * operands),
        constants=section,
        algorithm=algorithm,
        scratch_floats=isa.lanes * ((side * side | 1) * tiles * input_units + side * side * (tiles * units | 1)),
    )


def _register_block(output_units: int, isa: Isa) -> tuple[int, int]:
    """Output units and tiles of a register block: units that leave no rest, as many tiles as registers hold.

    Two units are best (measured): then each vector of weights, which may come from afar, is used for many tiles.
    """
    units = next(count for count in (2, 3, 1) if output_units % count == 0)
    return units, widest_blocks(isa)[units]


def _block_tiles(outputs: tuple[int, ...], size: int, weight_bytes: int) -> int:
    """How many tiles a block has; no more than the map has."""
    existing = math.ceil(outputs[2] / size) * math.ceil(outputs[3] / size)
    return min(existing, _TILES if weight_bytes <= _NEAR_BYTES else _TILES_FAR)


def finite_points(side: int) -> tuple[Fraction, ...]:
    """Where transforms of that side evaluate polynomials, besides infinity."""
    return (Fraction(0), *(Fraction(sign * point) for point in _PAIRS[side] for sign in (1, -1)))


def kernel_transform(size: int, kernel: int) -> NDArray[np.float64]:
    """G, (size + kernel - 1) x kernel: G g G^T are the transformed kernels (Lavin and Gray, section 4; wincnn).

    Row k evaluates the kernel's polynomial in point k, divided by the product of the distances to all other points;
    the last row, for infinity, takes its leading coefficient.
    """
    points = finite_points(size + kernel - 1)
    rows = []
    for point in points:
        distances = math.prod(point - other for other in points if other != point)
        rows.append([float(point**power / distances) for power in range(kernel)])
    return np.array([*rows, [0.0] * (kernel - 1) + [1.0]])


def _pack(weights: Array, channels: Channels, units: int, size: int, place: Array, storage: Storage) -> None:
    """Writes [output group][position][input unit][lane][output unit][lane] to `place`."""
    kernel = weights.shape[2]
    transform = kernel_transform(size, kernel)
    # No transformed kernel has a larger element; it takes a pass over all weights, which float32 has no use for.
    largest = np.abs(transform).sum(1).max() ** 2 * largest_magnitude(weights) if storage is Storage.BFLOAT16 else 0.0
    side = len(transform)
    both = np.kron(transform, transform).T  # kernel^2 x positions: rows and columns at once
    groups: tuple[OutputGroup, ...] = channels.output_groups(units)
    at = 0
    for grid in dense_weights(weights, channels, groups):
        ordered = grid.transpose(2, 3, 0, 1, 4, 5).reshape(-1, kernel * kernel).astype(np.float64)
        positions = (ordered @ both).T  # positions x (input unit, lane, output unit, lane)
        by_unit = positions.reshape(side * side, -1, *grid.shape[:2])
        at += store(by_unit, largest, place[at:], storage)
