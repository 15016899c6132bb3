"""Every operator that has a form in CNML, alone and fused, beside its NumPy reference; and what has none."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from dlfusion import driver
from dlfusion.errors import UnsupportedError
from dlfusion.graph.builder import GraphBuilder
from dlfusion.graph.graph import Array
from dlfusion.layers.describe import describe
from dlfusion.layers.layer import Network
from dlfusion.ops.add import Add
from dlfusion.ops.affine import Affine
from dlfusion.ops.average_pool import AveragePool
from dlfusion.ops.channel_shuffle import ChannelShuffle
from dlfusion.ops.clip import Clip
from dlfusion.ops.concat import Concat
from dlfusion.ops.conv import Conv
from dlfusion.ops.conv_transpose import ConvTranspose
from dlfusion.ops.depth_to_space import ChannelOrder, DepthToSpace
from dlfusion.ops.exp import Exp
from dlfusion.ops.gemm import Gemm
from dlfusion.ops.global_average_pool import GlobalAveragePool
from dlfusion.ops.global_max_pool import GlobalMaxPool
from dlfusion.ops.hard_sigmoid import HardSigmoid
from dlfusion.ops.hard_swish import HardSwish
from dlfusion.ops.leaky_relu import LeakyRelu
from dlfusion.ops.lrn import Lrn
from dlfusion.ops.max import Max
from dlfusion.ops.max_pool import MaxPool
from dlfusion.ops.mul import Mul
from dlfusion.ops.operator import Operator
from dlfusion.ops.p_relu import PRelu
from dlfusion.ops.pad import Pad, PadMode
from dlfusion.ops.reshape import Reshape
from dlfusion.ops.resize import Coordinates, Resize, ResizeMode, Rounding
from dlfusion.ops.sigmoid import Sigmoid
from dlfusion.ops.slice import Slice
from dlfusion.ops.softmax import Softmax
from dlfusion.ops.space_to_depth import SpaceToDepth
from dlfusion.ops.sub import Sub
from dlfusion.ops.swish import Swish
from dlfusion.ops.tanh import Tanh
from dlfusion.plans.plan import Plan
from dlfusion.runtime.reference import evaluate
from dlfusion.targets.mlu100.target import check, generate
from tests.support.random_graphs import random_inputs
from tests.targets.mlu100.projects import each_alone, fused, outputs_of

TOLERANCE = 2e-3
"""Of an operator's result, as a share of its scale: a few roundings to fp16, whose relative step is 2^-10."""

CHANNELS, HEIGHT, WIDTH = 8, 9, 12


class Cases:
    """One network with an output for each case, so that one program tests them all."""

    def __init__(self, batch: int) -> None:
        self.builder = GraphBuilder("cases")
        self.generator = np.random.default_rng(batch)
        self.batch = batch
        self.map = self.builder.input("map", (batch, CHANNELS, HEIGHT, WIDTH))
        self.other = self.builder.input("other", (batch, CHANNELS, HEIGHT, WIDTH))

    def add(self, name: str, operator: Operator, inputs: Sequence[str] = (), parameters: Sequence[Array] = ()) -> str:
        value = self.builder.node(operator, inputs or [self.map], parameters, name=name)
        self.builder.output(value)
        return value

    def weights(self, *shape: int) -> Array:
        scale = math.sqrt(max(1, math.prod(shape[1:])))
        return (self.generator.standard_normal(shape) / scale).astype(np.float32)

    def conv(self, name: str, operator: Conv, outputs: int = 6) -> None:
        per_group = CHANNELS // operator.groups
        self.add(name, operator, (), (self.weights(outputs, per_group, *operator.kernel), self.weights(outputs)))

    def network(self) -> Network:
        return describe(self.builder.build())


def add_convolutions(cases: Cases) -> None:
    cases.conv("conv 1x1", Conv((1, 1)))
    cases.conv("conv same", Conv((3, 3), (1, 1), (1, 1, 1, 1)))
    cases.conv("conv strided", Conv((3, 5), (2, 3), (1, 2, 1, 2)))
    cases.conv("conv uneven pads", Conv((3, 3), (2, 2), (0, 1, 1, 0)))
    cases.conv("conv dilated", Conv((3, 3), (1, 1), (2, 3, 2, 3), (2, 3)))
    cases.conv("conv larger than the map", Conv((11, 3), (1, 1), (1, 1, 1, 1)))
    cases.conv("conv in groups", Conv((3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 2))
    cases.conv("conv in dilated groups", Conv((3, 3), (1, 1), (2, 2, 2, 2), (2, 2), 2))
    cases.conv("depthwise", Conv((3, 3), (2, 2), (1, 1, 1, 1), (1, 1), CHANNELS), CHANNELS)
    cases.conv("depthwise without pads", Conv((3, 3), groups=CHANNELS), CHANNELS)
    cases.conv("depthwise dilated", Conv((3, 3), (1, 1), (2, 2, 2, 2), (2, 2), CHANNELS), CHANNELS)
    cases.conv("depthwise doubled", Conv((3, 3), (1, 1), (1, 1, 1, 1), (1, 1), CHANNELS), 2 * CHANNELS)
    cases.add("gemm", Gemm(), (), (cases.weights(5, CHANNELS, HEIGHT, WIDTH), cases.weights(5)))


def add_pools(cases: Cases) -> None:
    relu = cases.add("relu", Clip())
    cases.add("max pool", MaxPool((3, 2), (2, 2)))
    cases.add("max pool padded", MaxPool((3, 3), (2, 2), (1, 1, 1, 1)), [relu])
    cases.add("max pool padded behind a pool", MaxPool((3, 3), (1, 1), (1, 1, 2, 2)), [
        cases.add("max pool behind relu", MaxPool((2, 2)), [relu])
    ])  # fmt: skip
    cases.add("average pool", AveragePool((3, 3), (2, 2)))
    cases.add("max pool padded over negative numbers", MaxPool((3, 3), (2, 2), (1, 1, 1, 1)), [
        cases.add("negative numbers", Clip(-2, -1))
    ])  # fmt: skip
    cases.add("average pool that does not count pads", AveragePool((3, 3), (2, 2), (1, 1, 1, 1)))
    cases.add("average pool in ceil mode", AveragePool((3, 2), (2, 3), (0, 1, 0, 0), (0, 1), True))
    cases.add("average pool that counts pads", AveragePool((3, 3), (2, 2), (1, 1, 1, 1), (0, 0), True))
    cases.add("global max pool", GlobalMaxPool())
    mean = cases.add("global average pool", GlobalAveragePool())
    cases.add("channel factors", Mul(), [cases.map, cases.add("gate", Sigmoid(), [mean])])


def add_pointwise(cases: Cases) -> None:
    for name, operator in (
        ("relu6", Clip(0, 6)),
        ("clip 0 1", Clip(0, 1)),
        ("clip both", Clip(-0.5, 0.75)),
        ("clip below", Clip(-0.25)),
        ("clip above", Clip(-math.inf, 0.5)),
        ("clip to one", Clip(0.5, 0.5)),
        ("clip beyond fp16", Clip(0, 1e5)),
        ("clip beyond fp16 both", Clip(-1e6, 1e6)),
        ("clip nothing", Clip(-math.inf, math.inf)),
        ("leaky relu", LeakyRelu(0.1)),
        ("sigmoid", Sigmoid()),
        ("tanh", Tanh()),
        ("hard sigmoid", HardSigmoid()),
        ("hard swish", HardSwish()),
        ("swish", Swish()),
        ("swish of a slope", Swish(1.5)),
    ):
        cases.add(name, operator)
    cases.add("prelu", PRelu(), (), [cases.weights(CHANNELS)])
    cases.add("affine", Affine(), (), (cases.weights(CHANNELS), cases.weights(CHANNELS)))
    cases.add("add", Add(), [cases.map, cases.other])
    cases.add("add twice", Add(), [cases.map, cases.map])
    cases.add("mul", Mul(), [cases.map, cases.other])
    cases.add("sub", Sub(), [cases.map, cases.other])
    cases.add("sub reversed", Sub(reversed=True), [cases.map, cases.other])


def add_moves(cases: Cases) -> None:
    shape = (cases.batch, 4, CHANNELS * HEIGHT // 4, WIDTH)
    cases.add("concat", Concat(), [cases.map, cases.other, cases.map])
    cases.add("channel shuffle", ChannelShuffle(4))
    cases.add("depth to space dcr", DepthToSpace(2, ChannelOrder.DCR))
    cases.add("depth to space crd", DepthToSpace(2, ChannelOrder.CRD))
    cases.add("space to depth", SpaceToDepth(3))
    cases.add("lrn", Lrn(5, alpha=0.5, beta=0.75, bias=2.0))
    cases.add("softmax", Softmax())
    cases.add("pad", Pad(1, 2, 0, 3, -0.5))
    cases.add("reshape", Reshape(shape))
    cases.add("resize corners", Resize(17, 9, ResizeMode.LINEAR, Coordinates.ALIGN_CORNERS))
    cases.add("resize nearest", Resize(18, 24))
    cases.add("resize nearest uneven", Resize(18, 36, coordinates=Coordinates.ASYMMETRIC, rounding=Rounding.FLOOR))


def compare_each(network: Network, plan: Plan, folder: Path) -> None:
    """Every output within the tolerance of its own reference."""
    inputs = random_inputs(network.graph, 3)
    results = outputs_of(network, generate(network, plan), inputs, folder)
    wrong = {}
    for port, result, expected in zip(network.graph.outputs, results, evaluate(network.graph, inputs), strict=True):
        difference = float(np.abs(result - expected).max() / np.abs(expected).max())
        if not difference <= TOLERANCE:
            wrong[port.name] = difference
    assert not wrong


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("make", [each_alone, fused], ids=["alone", "fused"])
def test_operators_give_the_reference_result(
    make: Callable[[Network], Plan], batch: int, tmp_path: Path
) -> None:  # fmt: skip
    cases = Cases(batch)
    add_convolutions(cases)
    add_pools(cases)
    add_pointwise(cases)
    add_moves(cases)
    network = cases.network()
    compare_each(network, make(network), tmp_path)


def unsupported() -> Network:
    """A network with a node for each reason why CNML has no form of one."""
    cases = Cases(1)
    cases.add("dilated maximum", MaxPool((2, 2), (1, 1), (0, 0, 0, 0), (2, 2)))
    cases.add("transposed", ConvTranspose((2, 2)), (), (cases.weights(CHANNELS, 3, 2, 2), cases.weights(3)))
    cases.add("half pixel", Resize(18, 24, ResizeMode.LINEAR))
    cases.add("cubic", Resize(18, 24, ResizeMode.CUBIC, Coordinates.ALIGN_CORNERS))
    cases.add("reflected", Pad(1, 1, 1, 1, mode=PadMode.REFLECT))
    cases.add("dilated average", AveragePool((2, 2), dilations=(2, 2)))
    cases.add("other order", SpaceToDepth(3, ChannelOrder.CRD))
    cases.add("part", Slice((0, 0, 0), (1, 1, 1)))
    cases.add("nearest smaller", Resize(5, 5))
    cases.add("even sum", Lrn(4))
    cases.add("crop", Pad(-1, 0, 0, 0))
    cases.add("function", Exp())
    cases.add("extreme", Max(), [cases.map, cases.other])
    mean = cases.builder.node(AveragePool((HEIGHT, 1), (1, 1)), [cases.map])
    cases.add("row", Add(), [cases.map, mean])
    cases.add("row of factors", Mul(), [cases.map, mean])
    cases.add("constant map", Sub(), [cases.map], (cases.weights(1, HEIGHT, WIDTH),))
    cases.add("infinite border", Pad(1, 1, 1, 1, -math.inf))
    cases.add("huge factor", Affine(), (), (np.full(CHANNELS, -1e6, np.float32), cases.weights(CHANNELS)))
    wide = cases.builder.input("wide", (1, 256, 512, 512))
    cases.add("huge window", GlobalAveragePool(), [wide])
    return cases.network()


def test_nodes_without_a_form_are_listed_all_at_once() -> None:
    with pytest.raises(UnsupportedError) as caught:
        check(unsupported())
    text = str(caught.value)
    assert "19 nodes have no form in CNML" in text
    for words in (
        "dilated maximum: its dilations are 2 x 2",
        "ConvTranspose 2x2 transposed: no form",
        "half pixel: its coordinates are half_pixel",
        "cubic: it is Resize 18x24 cubic; CNML's Interp is linear",
        "reflected: its mode is reflect",
        "dilated average: its dilations are 2 x 2",
        "other order: its order of channels is CRD",
        "part: no form",
        "nearest smaller: it takes the nearest of 9 x 12 for 5 x 5",
        "even sum: it sums over 4 channels",
        "crop: it crops",
        "Exp function: no form",
        "Max extreme: no form",
        "Add row: CNML adds activations of one shape, but the second one is (1, 8, 1, 12)",
        "Mul row of factors: CNML multiplies by an activation of one shape or one factor per channel, not (1, 8, 1",
        "Sub constant map: no form with a constant map in CNML",
        "infinite border: the value that it pads with is -inf, but the device's fp16 ends at 65504",
        "huge factor: one of its constants is -1e+06",
        "huge window: its window of 512 x 512 is too large for 256 channels",
    ):
        assert words in text


def test_nothing_is_written_for_an_unsupported_model(tmp_path: Path) -> None:
    network = unsupported()
    with pytest.raises(UnsupportedError, match="Nothing was written"):
        driver.write_project(network, each_alone(network), tmp_path / "project")
    assert not (tmp_path / "project").exists()
