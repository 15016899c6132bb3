"""Proves the peak of tensors between blocks on networks small enough to count by hand."""

from dlfusion.graph.builder import GraphBuilder
from dlfusion.layers.describe import describe
from dlfusion.ops.add import Add
from dlfusion.plans.memory import peak_tensor_bytes
from dlfusion.plans.plan import Block, Plan
from tests.support.networks import chain, convolution


def plan(*runs: tuple[int, int]) -> Plan:
    return Plan("", "", "", tuple(Block(first, last, 1) for first, last in runs))


def test_fusing_leaves_only_input_and_output() -> None:
    network = describe(chain([(16, 3, 1), (16, 3, 1), (4, 3, 1)], height=10, channels=2).build())
    assert peak_tensor_bytes(network, plan((0, 0), (1, 1), (2, 2))) == (16 + 16) * 100 * 4
    assert peak_tensor_bytes(network, plan((0, 2))) == (2 + 4) * 100 * 4
    assert peak_tensor_bytes(network, plan((0, 1), (2, 2)), element_bytes=1) == (16 + 4) * 100


def test_a_skip_stays_alive_until_it_is_added() -> None:
    builder = GraphBuilder("skip")
    skip = convolution(builder, builder.input("x", (1, 1, 10, 10)), 4, 3)
    value = convolution(builder, convolution(builder, skip, 8, 3), 4, 3)
    builder.output(builder.node(Add(), [value, skip]))
    network = describe(builder.build())
    assert peak_tensor_bytes(network, plan((0, 0), (1, 1), (2, 2))) == (4 + 8 + 4) * 100 * 4
