"""Compiled programs where maps are tiny or very tall, names are hostile, and values are needed in several places."""

import numpy as np
import pytest

from dlfusion import driver
from dlfusion.graph.builder import GraphBuilder
from dlfusion.layers.describe import describe
from dlfusion.layers.layer import Network
from dlfusion.ops.add import Add
from dlfusion.ops.clip import Clip
from dlfusion.ops.concat import Concat
from dlfusion.ops.conv import Conv
from dlfusion.ops.conv_transpose import ConvTranspose
from dlfusion.ops.global_average_pool import GlobalAveragePool
from dlfusion.ops.max_pool import MaxPool
from dlfusion.ops.mul import Mul
from dlfusion.ops.resize import Resize
from dlfusion.plans.legality import plan_problems
from dlfusion.plans.plan import Block, Partition, Plan
from dlfusion.runtime.check import compare
from dlfusion.runtime.reference import evaluate

Pair = tuple[int, int]


class Net:
    """A graph under construction, with random weights."""

    def __init__(self, *shape: int) -> None:
        self.builder = GraphBuilder("edge")
        self.generator = np.random.default_rng(0)
        self.x = self.builder.input("x", (shape[0], shape[1], shape[2], shape[3]))

    def conv(
        self,
        value: str,
        outputs: int,
        kernel: Pair = (3, 3),
        strides: Pair = (1, 1),
        pads: Pair | None = None,
        dilations: Pair = (1, 1),
        name: str | None = None,
    ) -> str:
        """A convolution; `pads` are rows and columns on both sides, by default those that keep the size."""
        top, left = pads if pads is not None else (kernel[0] // 2, kernel[1] // 2)
        inputs = self.builder.shape(value)[1]
        weights = self.generator.standard_normal((outputs, inputs, *kernel)) / np.sqrt(inputs * np.prod(kernel))
        operator = Conv(kernel, strides, (top, left, top, left), dilations)
        return self.builder.node(operator, [value], [weights, np.ones(outputs)], name=name)

    def outputs(self, *values: str) -> Network:
        """The finished network; a value may be listed several times."""
        for index, value in enumerate(values):
            self.builder.output(value, name=f"output_{index}")
        return describe(self.builder.build())


def whole(network: Network, cores: int, step_rows: int) -> Plan:
    block = Block(0, len(network.layers) - 1, cores, step_rows=step_rows)
    return Plan(network.graph.digest, "any machine", "one block", (block,))


def single(network: Network, partition: Partition) -> Plan:
    blocks = tuple(Block(index, index, 2, partition) for index in range(len(network.layers)))
    return Plan(network.graph.digest, "any machine", f"layers alone, {partition}", blocks)


def check(network: Network, *plans: Plan) -> None:
    """Every plan that is legal gives the reference result, and the same bits as the baseline."""
    inputs = driver.random_inputs(network)
    with driver.compile(network, strategy="baseline", exact=True) as compiled:
        alone = compiled.outputs(*inputs)
    verdict = compare(alone, evaluate(network.graph, inputs))
    assert verdict.passed, verdict
    legal = [plan for plan in plans if not plan_problems(network, plan)]
    assert legal or not plans
    for plan in legal:
        with driver.compile(network, plan=plan) as compiled:
            for output, reference in zip(compiled.outputs(*inputs), alone, strict=True):
                np.testing.assert_array_equal(output, reference, err_msg=plan.to_json())


def check_all(network: Network) -> None:
    streaming = [whole(network, *cut) for cut in ((1, 1), (2, 3), (3, 1))]
    check(network, *streaming, single(network, Partition.ROWS), single(network, Partition.CHANNELS))


def test_names_that_generated_code_uses_itself() -> None:
    net = Net(1, 3, 9, 9)
    first = net.conv(net.x, 5, name="store 0")  # its shape's identifier would be that of the block's first copy
    second = net.builder.node(MaxPool((3, 3), (1, 1), (1, 1, 1, 1)), [first], name="core")
    third = net.conv(net.builder.node(Clip(), [second], name="segment"), 4, name="int")
    network = net.outputs(first, second, third, third)
    check(network, whole(network, 2, 2))


def test_a_value_that_is_called_like_a_conversion() -> None:
    net = Net(1, 32, 9, 9)
    same = net.builder.node(Clip(), [net.x], name="x blocked 0")
    network = net.outputs(net.builder.node(Add(), [same, net.conv(net.x, 32)]))
    check(network, whole(network, 1, 1))


def test_row_numbers_whose_products_exceed_32_bits() -> None:
    """Both products: resizing steps by 279998 / 199996 rows, and outputs share one clock by their heights."""
    net = Net(1, 1, 140000, 1)
    resized = net.builder.node(Resize(99999, 1), [net.x])
    network = net.outputs(resized, net.conv(resized, 2, (3, 1), (2, 1)))
    check(network, whole(network, 2, 300))


def test_an_output_that_is_an_input() -> None:
    net = Net(2, 3, 5, 7)
    check(net.outputs(net.x, net.x))
    net = Net(2, 3, 5, 7)
    network = net.outputs(net.x, net.conv(net.x, 5), net.x)
    check(network, whole(network, 2, 1), single(network, Partition.CHANNELS))


@pytest.mark.slow
@pytest.mark.parametrize("batch", [1, 2])
def test_values_that_are_outputs_and_read_and_concatenated(batch: int) -> None:
    net = Net(batch, 16, 13, 11)
    left, right = net.conv(net.x, 16), net.conv(net.x, 32, (1, 1))
    inner = net.builder.node(Concat(), [left, right])
    outer = net.builder.node(Concat(), [inner, net.conv(inner, 16)])
    check_all(net.outputs(left, inner, inner, outer, net.conv(outer, 8)))


@pytest.mark.slow
def test_outputs_of_very_different_heights() -> None:
    net = Net(1, 3, 40, 17)
    tall = net.conv(net.x, 16)
    middle = net.conv(tall, 16, strides=(4, 2))
    low = net.conv(middle, 16, strides=(5, 2))
    check_all(net.outputs(tall, middle, low, net.conv(low, 7, strides=(2, 2))))


@pytest.mark.slow
def test_heights_that_grow_and_shrink() -> None:
    net = Net(3, 3, 3, 17)
    resized = net.builder.node(Resize(29, 31), [net.x])
    weights = net.generator.standard_normal((3, 5, 3, 3))
    grown = net.builder.node(ConvTranspose((3, 3), (3, 3)), [resized], [weights, np.ones(5)])
    check_all(net.outputs(resized, grown, net.conv(grown, 4, (5, 5), (7, 3))))


@pytest.mark.slow
@pytest.mark.parametrize("size", [(1, 1), (1, 20), (20, 1), (2, 3)], ids=str)
def test_kernels_that_are_larger_than_the_map(size: Pair) -> None:
    net = Net(2, 3, *size)
    wide = net.conv(net.x, 17, (7, 7))
    pooled = net.builder.node(MaxPool((5, 5), (1, 1), (2, 2, 2, 2)), [wide])
    resized = net.builder.node(Resize(size[0] * 2, size[1] * 3), [pooled])
    dilated = net.conv(resized, 5, (5, 3), (2, 1), (6, 2), (3, 2))
    mean = net.builder.node(GlobalAveragePool(), [dilated])
    check_all(net.outputs(net.builder.node(Mul(), [dilated, mean]), wide))


@pytest.mark.slow
def test_windows_that_skip_rows() -> None:
    net = Net(2, 16, 23, 9)
    strided = net.conv(net.conv(net.x, 16), 16, (1, 1), (5, 4))
    check_all(net.outputs(net.conv(strided, 16, (2, 2), pads=(0, 0), dilations=(3, 1))))


def test_a_layer_whose_output_is_read_nowhere_but_in_padding() -> None:
    net = Net(1, 16, 1, 1)
    network = net.outputs(net.conv(net.conv(net.x, 16), 16, (1, 1), (100, 100), (3, 3)))
    check(network, whole(network, 1, 1))
