"""Pools, over windows and over whole maps."""

from math import prod

import numpy as np

from dlfusion.graph.graph import Graph
from dlfusion.ops.add import Add
from dlfusion.ops.affine import Affine
from dlfusion.ops.average_pool import AveragePool
from dlfusion.ops.channel_shuffle import ChannelShuffle
from dlfusion.ops.clip import Clip
from dlfusion.ops.concat import Concat
from dlfusion.ops.depth_to_space import DepthToSpace
from dlfusion.ops.global_average_pool import GlobalAveragePool
from dlfusion.ops.global_max_pool import GlobalMaxPool
from dlfusion.ops.hard_sigmoid import HardSigmoid
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
from dlfusion.ops.spatial import Pair
from dlfusion.targets.mlu100.operators.convolution import padded, pair
from dlfusion.targets.mlu100.operators.scope import LARGEST, NoForm, Scope, Tensor

MOST_CHANNELS_AT_ONCE = 256
WINDOW_LIMITS = {"MAX": 8190 * 16, "AVG": 8186 * 16}
"""What (larger side of the window + 1) x (channels, at most 256 of them) must stay below: the comments for MLU100 in
cnml.h 7.2.0."""


def max_pool(scope: Scope, operator: MaxPool) -> None:
    """Pool; with padding, AddPad before it: zeros round a map without negative numbers, else the lowest that is finite.

    No maximum of finite numbers changes beside either.
    """
    _require_no_dilations(operator.dilations)
    value = 0.0 if is_never_negative(scope.graph, scope.input.value) else -LARGEST
    source = padded(scope, scope.input, operator.pads, value)
    _pool(scope, "MAX", source, scope.output, operator.kernel, operator.strides)


def average_pool(scope: Scope, operator: AveragePool) -> None:
    """Pool, which divides by the size of the window. Where less counts, a Scale makes up for it.

    Its factors belong to positions, so that a Reshape before it makes positions channels and one after it maps again.
    """
    _require_no_dilations(operator.dilations)
    batch, channels, height, width = scope.input.shape
    counts = np.outer(operator.row_counts(height), operator.column_counts(width))
    factors = (prod(operator.kernel) / counts).ravel().astype(np.float32)
    source = padded(scope, scope.input, operator.reach)
    if (factors == 1).all():
        _pool(scope, "AVG", source, scope.output, operator.kernel, operator.strides)
        return
    shares = scope.tensor("shares", scope.output.shape)
    _pool(scope, "AVG", source, shares, operator.kernel, operator.strides)
    by_position = (batch * channels, factors.size, 1, 1)
    positions = scope.emit("reshape", [shares], scope.tensor("positions", by_position))
    averages = scope.tensor("averages", by_position)
    scope.emit("scale", [positions], averages, [factors, np.zeros_like(factors)])
    scope.emit("reshape", [averages], scope.output)


def global_pool(scope: Scope, mode: str) -> None:
    """Pool with a window as large as the map."""
    height, width = scope.input.shape[2:]
    _pool(scope, mode, scope.input, scope.output, (height, width), (1, 1))


def _require_no_dilations(dilations: Pair) -> None:
    if dilations != (1, 1):
        raise NoForm(f"its dilations are {dilations[0]} x {dilations[1]}, CNML's pools have none")


def _pool(scope: Scope, mode: str, source: Tensor, output: Tensor, window: Pair, strides: Pair) -> None:
    size = (max(window) + 1) * min(source.shape[1], MOST_CHANNELS_AT_ONCE)
    if size >= WINDOW_LIMITS[mode]:
        raise NoForm(
            f"its window of {window[0]} x {window[1]} is too large for {source.shape[1]} channels: (larger side + 1) x "
            f"(channels, at most {MOST_CHANNELS_AT_ONCE}) is {size}, and must be below {WINDOW_LIMITS[mode]}"
        )
    settings = [f"CNML_POOL_{mode}", pair("Window", window), pair("Strides", strides)]
    scope.emit("pool", [source], output, settings=settings)


def is_never_negative(graph: Graph, value: str) -> bool:
    """Whether a value has no element below zero, whatever the model is fed."""
    makers = {node.output: node for node in graph.nodes}
    waiting, seen = [value], {value}
    while waiting:
        node = makers.get(waiting.pop())
        if node is None:
            return False
        match node.operator:
            case Clip(low) if low >= 0:
                continue
            case Sigmoid() | HardSigmoid() | Softmax():
                continue
            case Pad(value=fill) if fill < 0:
                return False
            case Lrn(alpha=alpha, bias=bias) if alpha < 0 or bias <= 0:
                return False
            case Affine() if min(array.min() for array in graph.parameters(node)) < 0:
                return False
            case (
                Clip() | MaxPool() | AveragePool() | GlobalMaxPool() | GlobalAveragePool() | Concat() | Reshape()
                | ChannelShuffle() | DepthToSpace() | SpaceToDepth() | Resize() | Add() | Mul() | Pad() | Lrn()
                | LeakyRelu() | PRelu() | Affine()
            ):  # fmt: skip
                # These keep what is not negative as it is, or at least its sign.
                if isinstance(node.operator, Clip) and node.operator.high < 0:
                    return False
                found = [name for name in graph.activations(node) if name not in seen]
                waiting += found
                seen.update(found)
            case _:
                return False
    return True
