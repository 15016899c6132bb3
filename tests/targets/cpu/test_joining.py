"""Layers that write straight into their channels of a concatenation."""

import numpy as np
import pytest

from dlfusion import driver
from dlfusion.graph.builder import GraphBuilder
from dlfusion.layers.describe import describe
from dlfusion.layers.layer import Network
from dlfusion.ops.clip import Clip
from dlfusion.ops.concat import Concat
from dlfusion.ops.conv import Conv
from dlfusion.plans.plan import Block, Plan
from dlfusion.runtime.check import compare
from dlfusion.runtime.reference import evaluate
from dlfusion.targets.cpu.isa import AVX512
from dlfusion.targets.cpu.lowering import lower
from dlfusion.targets.cpu.placement import Kind, PlacedBlock, place
from dlfusion.targets.cpu.stages import Staged, stage


def dense_block(channels: tuple[int, ...]) -> Network:
    """Each layer reads the concatenation of all before it, with windows of different heights between them."""
    builder, generator = GraphBuilder("dense"), np.random.default_rng(0)

    def conv(value: str, outputs: int, kernel: int) -> str:
        weights = generator.standard_normal((outputs, builder.shape(value)[1], kernel, kernel)) / kernel
        made = builder.node(Conv((kernel, kernel), pads=(kernel // 2,) * 4), [value], [weights, np.ones(outputs)])
        return builder.node(Clip(), [made])

    value = conv(builder.input("image", (1, 8, 23, 19)), channels[0], 3)
    for index, count in enumerate(channels[1:]):
        value = builder.node(Concat(), [value, conv(value, count, 3 if index % 2 else 5)], name=f"concat_{index}")
    builder.output(conv(value, 16, 1))
    return describe(builder.build())


def one_block(network: Network, cores: int, step_rows: int) -> Plan:
    block = Block(0, len(network.layers) - 1, cores, step_rows=step_rows)
    return Plan(network.graph.digest, "any machine", "by hand", (block,))


def placed(network: Network, plan: Plan) -> tuple[Staged, PlacedBlock]:
    staged = stage(network, plan, lower(network, AVX512), AVX512)
    return staged, place(staged, AVX512).blocks[0]


@pytest.mark.parametrize("cores", [1, 2, 3])
def test_chained_concatenations_share_one_ring(cores: int) -> None:
    network = dense_block((16, 32, 16, 48))
    _, block = placed(network, one_block(network, cores, 2))
    inside = [block.homes[f"concat_{i}"] for i in range(3)]
    assert {home.kind for home in inside} == {Kind.RING}
    assert len({(home.offset, home.capacity, home.geometry) for home in inside}) == 1
    assert not any("true" in way.shape for way in block.lowered if way.header == "concat.hpp")


def test_channels_that_fill_no_vector_are_copied() -> None:
    network = dense_block((16, 24, 16))
    _, block = placed(network, one_block(network, 1, 2))
    copies = [way.shape.count("true") for way in block.lowered if way.header == "concat.hpp"]
    assert copies == [0, 2]  # 24 channels may end a concatenation, but then nothing of the next one is in place


@pytest.mark.parametrize("channels", [(16, 32, 16, 48), (16, 24, 16), (3, 5, 7)])
def test_results_are_those_of_layers_that_run_alone(channels: tuple[int, ...]) -> None:
    network = dense_block(channels)
    inputs = driver.random_inputs(network)
    expected = evaluate(network.graph, inputs)
    with driver.compile(network, strategy="baseline", exact=True) as compiled:
        alone = compiled.outputs(*inputs)
    assert compare(alone, expected).passed
    for cores, step_rows in ((1, 1), (2, 1), (2, 3), (3, 2), (4, 50)):
        with driver.compile(network, plan=one_block(network, cores, step_rows)) as compiled:
            for output, reference in zip(compiled.outputs(*inputs), alone, strict=True):
                np.testing.assert_array_equal(output, reference)
