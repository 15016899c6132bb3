"""Proves that repeated parts of a network have one structure, and that whatever can change a time changes it."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from dlfusion.graph.builder import GraphBuilder
from dlfusion.layers.describe import describe
from dlfusion.layers.layer import Network
from dlfusion.ops.add import Add
from dlfusion.ops.conv import Conv
from dlfusion.plans.plan import Block, Partition
from dlfusion.plans.schedule import schedule
from dlfusion.plans.structure import structure
from dlfusion.plans.work import on_chip_bytes, work
from tests.support.networks import convolution, relu, resnet_50
from tests.support.random_networks import networks


@pytest.fixture(scope="module")
def resnet() -> Network:
    return describe(resnet_50().build())


def bottlenecks(network: Network, channels: int) -> list[int]:
    """The first layers of the residual blocks without a projection that end in so many channels."""
    found = []
    for layer in network.layers[2:-2]:
        last = network.layers[layer.index + 2]
        if layer.features.input_channels == last.features.output_channels == channels and len(last.reads) == 2:
            found.append(layer.index)
    return found


def test_repeated_blocks_of_a_resnet_are_equal(resnet: Network) -> None:
    counts = {}
    for channels in (256, 512, 1024):
        starts = bottlenecks(resnet, channels)
        digests = {structure(resnet, Block(start, start + 2, 4, step_rows=2)) for start in starts}
        counts[channels] = (len(starts), len(digests))
    assert counts == {256: (2, 1), 512: (3, 1), 1024: (5, 1)}


def test_layers_of_a_resnet_by_structure(resnet: Network) -> None:
    groups: dict[str, list[int]] = {}
    for index in range(len(resnet.layers)):
        groups.setdefault(structure(resnet, Block(index, index, 1)), []).append(index)
    assert len(groups) == 30
    repeated = [group for group in groups.values() if len(group) > 3]
    assert repeated == [[29, 32, 35, 38, 41], [30, 33, 36, 39, 42], [31, 34, 37, 40, 43]]


def block_of(
    *,
    name: str = "x",
    weights: float = 0.0,
    channels: int = 8,
    kernel: int = 3,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
    activation: bool = True,
    residual: str = "input",
    height: int = 12,
    images: int = 1,
    leaves: bool = False,
    borders: bool = False,
) -> tuple[Network, Block]:
    """Two convolutions and a sum; by default surrounded by layers that only pad the numbering."""
    builder = GraphBuilder(name)
    value = builder.input(f"{name} image", (images, 8, height, height))
    other = builder.input(f"{name} other", (images, 8, height, height))
    if not borders:
        value = convolution(builder, convolution(builder, value, 4, 3), 8, 1)
        other = convolution(builder, other, 8, 1)
    filters = np.full((channels, 8, 1, 1), weights, np.float32)
    middle = builder.node(Conv((1, 1)), [value], [filters, np.zeros(channels)], name=f"{name} middle")
    middle = relu(builder, middle) if activation else middle
    last = convolution(builder, middle, 8, kernel, stride=stride, dilation=dilation, groups=groups)
    if residual and stride == 1:
        last = builder.node(Add(), [last, {"input": value, "other": other}[residual]])
    if not borders:
        # The addend is read again, so that both variants of `residual` leave the same values alive.
        builder.output(convolution(builder, other, 8, 1))
        if leaves:
            builder.output(convolution(builder, middle, 8, 1))
    builder.output(last if borders else convolution(builder, last, 8, 1))
    network = describe(builder.build())
    position = next(layer.index for layer in network.layers if layer.name == f"{name} middle")
    assert network.layers[position].output in [read.value for read in network.layers[position + 1].reads]
    return network, Block(position, position + 1, 2)


def test_names_weights_and_places_do_not_count() -> None:
    network, block = block_of()
    other, moved = block_of(name="y", weights=1.5)
    assert structure(network, block) == structure(other, moved)
    assert structure(network, block) == structure(network, replace(block, reason="for a reason"))


@pytest.mark.parametrize(
    "change",
    [
        {"channels": 16},
        {"kernel": 5},
        {"stride": 2},
        {"dilation": 2},
        {"groups": 2},
        {"activation": False},
        {"residual": ""},
        {"residual": "other"},
        {"height": 13},
        {"images": 2},
        {"leaves": True},
        {"borders": True},
    ],
    ids=lambda change: next(iter(change)) + str(next(iter(change.values()))),
)
def test_what_changes_the_work_changes_the_structure(change: dict[str, int | str | bool]) -> None:
    build: Callable[..., tuple[Network, Block]] = block_of
    network, block = block_of()
    other, changed = build(**change)
    assert structure(network, block) != structure(other, changed)


@pytest.mark.parametrize(
    "change", [{"cores": 3}, {"step_rows": 2}, {"algorithms": ((3, "winograd4"),)}, {"last": 2}, {"first": 3}]
)
def test_choices_count(change: dict[str, object]) -> None:
    network, block = block_of()
    assert block.first == 2
    build: Callable[..., Block] = replace
    assert structure(network, block) != structure(network, build(block, **change))


def test_the_partition_counts() -> None:
    network, block = block_of()
    alone = Block(block.first, block.first, 2)
    assert structure(network, alone) != structure(network, replace(alone, partition=Partition.CHANNELS))


def test_all_steps_of_a_whole_band_are_one() -> None:
    network, block = block_of(height=12)
    whole = {structure(network, replace(block, step_rows=step)) for step in (6, 7, 1 << 20)}
    assert len(whole) == 1
    assert structure(network, replace(block, step_rows=5)) not in whole


def test_naming_the_direct_method_changes_nothing() -> None:
    network, block = block_of()
    assert structure(network, block) == structure(network, replace(block, algorithms=((3, "direct"),)))


def test_algorithms_count_by_their_place_in_the_block(resnet: Network) -> None:
    one, two = bottlenecks(resnet, 512)[:2]
    ways = [
        structure(resnet, Block(start, start + 2, 1, algorithms=((start + place, "winograd"),)))
        for start, place in ((one, 1), (two, 1), (two, 2))
    ]
    assert ways[0] == ways[1] != ways[2]


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(networks())
def test_equal_structures_do_equal_work(network: Network) -> None:
    seen: dict[str, tuple[object, ...]] = {}
    for first in range(len(network.layers)):
        for last in range(first, min(first + 4, len(network.layers))):
            block = Block(first, last, 1, step_rows=2)
            cut = schedule(network, block)
            done = work(network, cut, 100)
            parts = (done.operations, done.input_bytes, done.output_bytes, done.weight_bytes, done.inner_bytes)
            figures = (*(part.tolist() for part in parts), on_chip_bytes(network, cut))
            assert seen.setdefault(structure(network, block), figures) == figures
