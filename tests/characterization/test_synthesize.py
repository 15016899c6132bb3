import pytest

from dlfusion.characterization.grid import ChainPoint, Grid, LayerPoint, Sort, conv, find_grid
from dlfusion.characterization.synthesize import Subject, Synthesized, synthesize
from dlfusion.layers.layer import Network
from dlfusion.ops.conv import Conv
from dlfusion.ops.global_max_pool import GlobalMaxPool
from dlfusion.ops.max_pool import MaxPool
from dlfusion.plans.legality import problems
from dlfusion.plans.plan import Block
from dlfusion.plans.schedule import block_flow
from dlfusion.report.chains import chain_layers


@pytest.fixture(scope="module", params=["small", "default"])
def grid(request: pytest.FixtureRequest) -> Grid:
    return find_grid(str(request.param))


@pytest.fixture(scope="module")
def networks(grid: Grid) -> tuple[Synthesized, ...]:
    return tuple(synthesize(grid))


def points_of(grid: Grid) -> dict[str, LayerPoint]:
    every = [*grid.layers, *(point for chain in grid.chains for point in chain.layers)]
    return {point.label: point for point in every}


def blocks(networks: tuple[Synthesized, ...]) -> list[tuple[Network, Subject, Block]]:
    return [
        (made.network, subject, Block(subject.first, subject.last, 1)) for made in networks for subject in made.subjects
    ]


def test_everything_of_the_grid_is_somewhere(grid: Grid, networks: tuple[Synthesized, ...]) -> None:
    labels = {subject.label for made in networks for subject in made.subjects}
    assert set(points_of(grid)) <= labels
    chains = {label for label in labels if len(chain_layers(label)) > 1}
    assert len(chains) == sum(len(chain.lengths) for chain in grid.chains)


def test_layers_are_what_their_labels_say(grid: Grid, networks: tuple[Synthesized, ...]) -> None:
    points = points_of(grid)
    for network, subject, block in blocks(networks):
        labels = chain_layers(subject.label)
        assert len(labels) == len(block.layers)
        for label, index in zip(labels, block.layers, strict=True):
            layer, point = network.layers[index], points[label]
            shapes = tuple(array.shape for array in network.graph.parameters(layer.anchor))
            anchor = layer.anchor.operator
            inputs = network.graph.activation_shapes(layer.anchor)
            assert layer.features.output_channels == point.outputs
            assert inputs[0][1] == point.inputs
            assert inputs[0][2] == inputs[0][3] == point.size * point.stride
            assert anchor.operations(inputs, shapes) == point.operations
            assert len(layer.epilogue) == (2 if point.adds else 1 if isinstance(anchor, Conv) else 0)


def test_subjects_are_legal_and_in_the_middle_of_a_network(networks: tuple[Synthesized, ...]) -> None:
    """Neither the user's arrays nor outputs: there, targets convert layouts."""
    for network, subject, block in blocks(networks):
        assert problems(network, block) == (), subject.label
        flow = block_flow(network, block)
        ports = {port.value for port in (*network.graph.inputs, *network.graph.outputs)}
        assert not ports & {*flow.inputs, *flow.outputs}
        assert len(flow.outputs) == 1
        for value in flow.inputs:
            anchor = network.layers[network.producer[value]].anchor.operator
            assert anchor == MaxPool((1, 1)) or network.producer[value] == block.first - 1


def test_every_branch_ends_in_a_map_of_one_pixel(networks: tuple[Synthesized, ...]) -> None:
    for made in networks:
        for port in made.network.graph.outputs:
            layer = made.network.layers[made.network.producer[port.value]]
            assert layer.anchor.operator == GlobalMaxPool()
            assert made.network.shape(port.value)[2:] == (1, 1)


def test_networks_are_the_same_every_time(networks: tuple[Synthesized, ...], grid: Grid) -> None:
    again = tuple(synthesize(grid))
    assert [made.network.graph.digest for made in again] == [made.network.graph.digest for made in networks]
    assert [made.subjects for made in again] == [made.subjects for made in networks]


def test_a_chain_gives_its_beginnings_and_each_different_layer() -> None:
    layer = conv(8, 16)
    pool = LayerPoint(Sort.MAX_POOL, 8, 8, 8, 2, 2)
    (made,) = synthesize(Grid("own", (), (ChainPoint((layer, layer, pool), (2, 3)),), (1,)))
    assert [(subject.last - subject.first + 1, subject.stride) for subject in made.subjects] == [
        (1, 1),
        (1, 2),
        (2, 1),
        (3, 2),
    ]
    assert made.subjects[-1].label == f"chain 3: {layer.label} + {layer.label} + {pool.label}"


def test_networks_stay_within_their_limits() -> None:
    layers = tuple(conv(8 * count, 112) for count in range(1, 30))
    sizes = [len(made.subjects) for made in synthesize(Grid("own", layers, (), (1,)))]
    assert sum(sizes) == 29
    assert max(sizes) <= 16
    assert sizes[-1] < 8  # large layers, so fewer in a network
