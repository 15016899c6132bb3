"""Rewrites keep results, and do what they are for."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlfusion.graph.builder import GraphBuilder
from dlfusion.graph.graph import Graph
from dlfusion.ops.add import Add
from dlfusion.ops.affine import Affine
from dlfusion.ops.average_pool import AveragePool
from dlfusion.ops.binary import Binary
from dlfusion.ops.clip import Clip
from dlfusion.ops.concat_map import ConcatMap
from dlfusion.ops.conv import Conv
from dlfusion.ops.conv_transpose import ConvTranspose
from dlfusion.ops.div import Div
from dlfusion.ops.gemm import Gemm
from dlfusion.ops.global_average_pool import GlobalAveragePool
from dlfusion.ops.global_lp_pool import GlobalLpPool
from dlfusion.ops.global_max_pool import GlobalMaxPool
from dlfusion.ops.lp_pool import LpPool
from dlfusion.ops.max import Max
from dlfusion.ops.max_pool import MaxPool
from dlfusion.ops.mul import Mul
from dlfusion.ops.operator import Operator
from dlfusion.ops.pad import Pad, PadMode
from dlfusion.ops.reshape import Reshape
from dlfusion.ops.resize import Resize
from dlfusion.ops.slice import Slice, Triple
from dlfusion.ops.sub import Sub
from dlfusion.ops.transpose import Transpose
from dlfusion.passes import PASSES, clean
from dlfusion.runtime.reference import evaluate
from tests.support.onnx_models import weights
from tests.support.random_graphs import graphs, random_inputs


def assert_same_results(before: Graph, after: Graph) -> None:
    inputs = random_inputs(before, 0)
    for port, one, other in zip(before.outputs, evaluate(before, inputs), evaluate(after, inputs), strict=True):
        assert one.shape == other.shape, port.name
        scale = max(1.0, float(np.abs(one).max()))
        np.testing.assert_allclose(other / scale, one / scale, rtol=0, atol=2e-5, err_msg=port.name)


def assert_well_formed(graph: Graph) -> None:
    """Every value is defined before it is read, shapes are what operators infer, nothing is left over."""
    known = {port.value for port in graph.inputs}
    read = {port.value for port in graph.outputs}
    for node in graph.nodes:
        assert all(value in known or value in graph.constants for value in node.inputs)
        shapes = [graph.shapes[value] for value in graph.activations(node)]
        parameters = [array.shape for array in graph.parameters(node)]
        assert node.operator.output_shape(shapes, parameters) == graph.shapes[node.output]
        known.add(node.output)
        read.update(node.inputs)
    assert known == set(graph.shapes)
    assert set(graph.constants) <= read
    computed = {node.output for node in graph.nodes}
    assert all(port.value in computed for port in graph.outputs)
    names = [node.name for node in graph.nodes]
    assert len(set(names)) == len(names)


@settings(max_examples=150, deadline=None)
@given(graphs(max_nodes=8), st.sampled_from([clean, *PASSES]))
def test_random_graphs_keep_their_results(graph: Graph, rewrite: object) -> None:
    assert callable(rewrite)
    after = rewrite(graph)
    assert_well_formed(after)
    assert len(after.nodes) <= len(graph.nodes)
    assert_same_results(graph, after)


def cleaned(builder: GraphBuilder, *outputs: str) -> Graph:
    for value in outputs:
        builder.output(value)
    graph = builder.build()
    after = clean(graph)
    assert_well_formed(after)
    assert_same_results(graph, after)
    return after


def operators(graph: Graph) -> list[Operator]:
    return [node.operator for node in graph.nodes]


def affine(builder: GraphBuilder, value: str, origin: str = "bn") -> str:
    channels = builder.shape(value)[1]
    return builder.node(Affine(), [value], [weights(channels), weights(channels, seed=1)], origins=(origin,))


LINEAR: list[tuple[Operator, tuple[int, ...], int]] = [
    (Conv((3, 3), groups=2), (6, 2, 3, 3), 6),
    (ConvTranspose((3, 2), (2, 2), groups=2), (4, 3, 3, 2), 6),
    (Gemm(), (6, 4, 7, 5), 6),
]


@pytest.mark.parametrize(("operator", "shape", "outputs"), LINEAR)
def test_chain_of_affines_folds_into_weights(operator: Operator, shape: tuple[int, ...], outputs: int) -> None:
    builder = GraphBuilder("test")
    value = builder.node(
        operator, [builder.input("x", (2, 4, 7, 5))], [weights(*shape), weights(outputs)], origins=("a",)
    )
    graph = cleaned(builder, affine(builder, affine(builder, affine(builder, value, "b"), "c"), "d"))
    assert operators(graph) == [operator]
    assert graph.nodes[0].origins == ("a", "b", "c", "d")


def test_affine_stays_where_the_convolution_is_read_twice() -> None:
    builder = GraphBuilder("test")
    value = builder.node(Conv((1, 1)), [builder.input("x", (1, 4, 5, 5))], [weights(4, 4, 1, 1), weights(4)])
    graph = cleaned(builder, builder.node(Add(), [affine(builder, value), value]))
    assert operators(graph) == [Conv((1, 1)), Affine(), Add()]


def test_affine_stays_where_the_convolution_is_an_output() -> None:
    builder = GraphBuilder("test")
    value = builder.node(Conv((1, 1)), [builder.input("x", (1, 4, 5, 5))], [weights(4, 4, 1, 1), weights(4)])
    assert len(cleaned(builder, affine(builder, value), value).nodes) == 2


def test_pad_joins_the_convolution() -> None:
    builder = GraphBuilder("test")
    value = builder.node(Pad(1, 2, 3, 0), [builder.input("x", (1, 4, 5, 5))])
    value = builder.node(Conv((3, 3), pads=(1, 1, 1, 1)), [value], [weights(4, 4, 3, 3), weights(4)])
    assert operators(cleaned(builder, value)) == [Conv((3, 3), pads=(2, 3, 4, 1))]


@pytest.mark.parametrize("pad", [Pad(1, 1, 1, 1, 0.5), Pad(-1, 0, 1, 1), Pad(1, 1, 1, 1, mode=PadMode.REFLECT)])
def test_other_pads_stay(pad: Pad) -> None:
    builder = GraphBuilder("test")
    value = builder.node(pad, [builder.input("x", (1, 4, 5, 5))])
    value = builder.node(Conv((3, 3)), [value], [weights(4, 4, 3, 3), weights(4)])
    assert operators(cleaned(builder, value))[0] == pad


@pytest.mark.parametrize(("pads", "counts", "folded"), [((0, 0, 0, 0), False, True), ((1, 1, 1, 1), True, True)])
def test_pad_joins_the_average_pool(pads: tuple[int, int, int, int], counts: bool, folded: bool) -> None:
    builder = GraphBuilder("test")
    value = builder.node(Pad(1, 0, 2, 0), [builder.input("x", (1, 2, 7, 7))])
    value = builder.node(AveragePool((3, 3), (2, 2), pads, (0, 0), counts), [value])
    assert (len(cleaned(builder, value).nodes) == 1) is folded


def test_pad_stays_before_an_average_pool_that_does_not_count_its_own() -> None:
    builder = GraphBuilder("test")
    value = builder.node(Pad(1, 0, 2, 0), [builder.input("x", (1, 2, 7, 7))])
    value = builder.node(AveragePool((3, 3), (2, 2), (1, 1, 1, 1)), [value])
    assert len(cleaned(builder, value).nodes) == 2


def test_flattened_map_is_read_in_place() -> None:
    builder = GraphBuilder("test")
    value = builder.node(Reshape((2, 60, 1, 1)), [builder.input("x", (2, 3, 4, 5))])
    value = builder.node(Gemm(), [value], [weights(7, 60, 1, 1), weights(7)])
    assert operators(cleaned(builder, value)) == [Gemm()]


def test_gemm_on_a_reshape_across_images_stays() -> None:
    builder = GraphBuilder("test")
    value = builder.node(Clip(), [builder.input("x", (2, 3, 4, 5))])
    value = builder.node(Reshape((4, 30, 1, 1)), [value])
    value = builder.node(Gemm(), [value], [weights(7, 30, 1, 1), weights(7)])
    assert len(cleaned(builder, value).nodes) == 3


def test_reshapes_join_and_vanish() -> None:
    builder = GraphBuilder("test")
    value = builder.node(Clip(), [builder.input("x", (2, 3, 4, 5))])
    for shape in ((2, 60, 1, 1), (1, 1, 24, 5), (2, 3, 4, 5)):
        value = builder.node(Reshape(shape), [value])
    assert operators(cleaned(builder, builder.node(Clip(-1, 1), [value]))) == [Clip(0, 1)]


def test_inputs_get_the_axes_that_they_are_read_with() -> None:
    builder = GraphBuilder("test")
    source = builder.input("x", (2, 3, 20, 1), array_shape=(2, 3, 20))
    lines = [builder.node(Reshape((2, 3, 1, 20)), [source]) for _ in range(2)]
    graph = cleaned(builder, builder.node(Clip(), [lines[0]]), builder.node(Clip(-1, 1), [lines[1]]))
    assert operators(graph) == [Clip(), Clip(-1, 1)]
    assert graph.shapes[graph.inputs[0].value] == (2, 3, 1, 20)
    assert graph.inputs[0].array_shape == (2, 3, 20)


def test_inputs_that_are_read_in_several_ways_stay() -> None:
    builder = GraphBuilder("test")
    source = builder.input("x", (2, 3, 20, 1))
    line = builder.node(Reshape((2, 3, 1, 20)), [source])
    graph = cleaned(builder, builder.node(Clip(), [line]), builder.node(Clip(), [source]))
    assert operators(graph) == [Reshape((2, 3, 1, 20)), Clip(), Clip()]


def test_copy_of_an_input_stays() -> None:
    builder = GraphBuilder("test")
    value = builder.node(Reshape((2, 3, 4, 5)), [builder.input("x", (2, 3, 4, 5))])
    assert len(cleaned(builder, value).nodes) == 1


@pytest.mark.parametrize(("sizes", "steps", "kept"), [((3, 4, 5), (1, 1, 1), 1), ((3, 4, 3), (1, 1, 2), 2)])
def test_slices_of_everything_vanish(sizes: Triple, steps: Triple, kept: int) -> None:
    builder = GraphBuilder("test")
    value = builder.node(Slice((0, 0, 0), sizes, steps), [builder.input("x", (2, 3, 4, 5))])
    assert len(cleaned(builder, builder.node(ConcatMap(2), [builder.node(Clip(), [value])])).nodes) == kept


@pytest.mark.parametrize("second", [Clip(0, 6), Clip(2, 3), Clip(-5, -2), Clip(-math.inf, 0.5)])
def test_clips_join(second: Clip) -> None:
    builder = GraphBuilder("test")
    value = builder.node(Clip(-1, 1), [builder.input("x", (2, 3, 4, 5))])
    assert len(cleaned(builder, builder.node(second, [value])).nodes) == 1


def test_equal_branches_are_computed_once() -> None:
    builder = GraphBuilder("test")
    source = builder.input("x", (1, 4, 5, 5))
    kernels = [weights(4, 4, 1, 1), weights(4, 4, 1, 1), weights(4, 4, 1, 1, seed=1)]
    first, second, other = (
        builder.node(Clip(), [builder.node(Conv((1, 1)), [source], [kernel, weights(4)])]) for kernel in kernels
    )
    graph = cleaned(builder, builder.node(Add(), [builder.node(Add(), [first, second]), other]), second)
    assert [type(operator) for operator in operators(graph)].count(Conv) == 2


def test_unread_nodes_and_their_weights_go() -> None:
    builder = GraphBuilder("test")
    source = builder.input("x", (1, 4, 5, 5))
    builder.node(Clip(), [builder.node(Conv((1, 1)), [source], [weights(4, 4, 1, 1), weights(4)])])
    graph = cleaned(builder, builder.node(Clip(0, 1), [source]))
    assert operators(graph) == [Clip(0, 1)]
    assert not graph.constants


WHOLE_MAP: list[tuple[Operator, Operator]] = [
    (AveragePool((5, 7)), GlobalAveragePool()),
    (AveragePool((5, 7), (5, 7), count_include_pad=True), GlobalAveragePool()),
    (AveragePool((7, 9), (2, 2), (1, 1, 1, 1)), GlobalAveragePool()),
    (AveragePool((6, 8), (4, 4), excess=(1, 1)), GlobalAveragePool()),
    (MaxPool((5, 7)), GlobalMaxPool()),
    (MaxPool((7, 9), (3, 3), (2, 1, 0, 1)), GlobalMaxPool()),
    (LpPool((7, 9), (3, 3), (2, 1, 0, 1), p=1), GlobalLpPool(1)),
]


@pytest.mark.parametrize(("pool", "expected"), WHOLE_MAP)
def test_pool_of_the_whole_map_becomes_global(pool: Operator, expected: Operator) -> None:
    builder = GraphBuilder("test")
    value = builder.node(pool, [builder.input("x", (2, 3, 5, 7))], origins=("pool",))
    graph = cleaned(builder, value)
    assert operators(graph) == [expected]
    assert graph.nodes[0].origins == ("pool",)


PARTIAL: list[Operator] = [
    AveragePool((5, 6)),
    AveragePool((4, 6), (2, 2)),
    # The padding counts, as many elements as the map or more.
    AveragePool((7, 9), (2, 2), (1, 1, 1, 1), count_include_pad=True),
    AveragePool((5, 7), (5, 7), (1, 0, 0, 0), count_include_pad=True),
    # Covers the whole map, but with two windows.
    AveragePool((6, 7), (1, 1), (1, 0, 1, 0)),
    MaxPool((6, 7), (1, 1), (1, 0, 1, 0)),
    # Spans the whole map, but skips elements.
    MaxPool((3, 4), dilations=(2, 2)),
    AveragePool((3, 4), dilations=(2, 2)),
    LpPool((3, 4), dilations=(2, 2)),
    MaxPool((5, 6), (5, 6)),
]


@pytest.mark.parametrize("pool", PARTIAL)
def test_pool_that_leaves_out_or_repeats_or_dilutes_elements_stays(pool: Operator) -> None:
    builder = GraphBuilder("test")
    value = builder.node(pool, [builder.input("x", (2, 3, 5, 7))])
    assert operators(cleaned(builder, value)) == [pool]


def test_pool_of_a_single_element_keeps_streaming() -> None:
    builder = GraphBuilder("test")
    value = builder.node(MaxPool((1, 1)), [builder.input("x", (2, 3, 1, 1))])
    assert operators(cleaned(builder, value)) == [MaxPool((1, 1))]


SMALL = {"element": AveragePool((7, 5)), "row": AveragePool((7, 1)), "column": AveragePool((1, 5))}


@pytest.mark.parametrize("operator", [Mul(), Add(), Max(), Sub(), Div(reversed=True)])
@pytest.mark.parametrize("small", SMALL)
@pytest.mark.parametrize("is_first", [False, True])
def test_operands_are_read_instead_of_their_copies(operator: Binary, small: str, is_first: bool) -> None:
    builder = GraphBuilder("expanded")
    x = builder.input("x", (2, 6, 7, 5))
    operand = builder.node(SMALL[small], [x])
    operands = [x, builder.node(Resize(7, 5), [operand])]
    builder.output(builder.node(operator, operands[::-1] if is_first else operands))
    graph = builder.build()
    cleaned = clean(graph)
    assert len(cleaned.nodes) == 2
    assert cleaned.nodes[1].inputs == (x, operand)
    assert cleaned.nodes[1].operator == (operator.swapped() if is_first else operator)
    assert_same_results(graph, cleaned)


def test_copies_that_meet_a_constant_or_something_smaller_stay() -> None:
    builder = GraphBuilder("expanded")
    x = builder.input("x", (2, 6, 7, 5))
    factor = builder.node(GlobalAveragePool(), [x])
    expanded = builder.node(Resize(7, 5), [factor])
    builder.output(builder.node(Mul(), [expanded], [weights(6, 7, 5)]))
    builder.output(builder.node(Sub(), [expanded, builder.node(AveragePool((7, 1)), [x])]))
    graph = builder.build()
    cleaned = clean(graph)
    assert len(cleaned.nodes) == len(graph.nodes)
    assert_same_results(graph, cleaned)


def test_resized_maps_of_more_than_one_element_are_no_factors() -> None:
    builder = GraphBuilder("resized")
    x = builder.input("x", (1, 6, 8, 8))
    small = builder.node(MaxPool((4, 4), (4, 4)), [x])
    builder.output(builder.node(Mul(), [x, builder.node(Resize(8, 8), [small])]))
    graph = builder.build()
    assert len(clean(graph).nodes) == len(graph.nodes)


def test_weights_follow_a_transpose() -> None:
    builder = GraphBuilder("transposed")
    x = builder.input("x", (2, 6, 7, 5))
    turned = builder.node(Transpose((2, 3, 1)), [x])
    builder.output(builder.node(Gemm(), [turned], [weights(4, 7, 5, 6), weights(4)]))
    graph = builder.build()
    cleaned = clean(graph)
    assert [node.operator.label for node in cleaned.nodes] == ["Gemm"]
    assert_same_results(graph, cleaned)
