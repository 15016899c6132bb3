import numpy as np
import pytest

from dlfusion.errors import InputError
from dlfusion.graph.builder import GraphBuilder
from dlfusion.graph.graph import Graph
from dlfusion.ops.add import Add
from dlfusion.ops.clip import Clip
from dlfusion.ops.conv import Conv
from dlfusion.ops.global_average_pool import GlobalAveragePool
from dlfusion.runtime.reference import evaluate, evaluate_all


def residual() -> Graph:
    """relu(x) + 2 * relu(x), the relu itself, and the mean of the sum, with ports of lower rank."""
    builder = GraphBuilder("residual")
    x = builder.input("x", (2, 1, 4, 1), (2, 1, 4))
    bent = builder.node(Clip(), [x], name="bent")
    doubled = builder.node(Conv((1, 1)), [bent], [np.full((1, 1, 1, 1), 2.0), [0.0]], name="doubled")
    total = builder.node(Add(), [bent, doubled], name="total")
    builder.output(builder.node(GlobalAveragePool(), [total], name="mean"), array_shape=(2, 1))
    builder.output(bent, "bent", (2, 1, 4))
    return builder.build()


def test_outputs_come_in_the_order_and_shape_of_the_ports() -> None:
    x = np.arange(-4, 4, dtype=np.float32).reshape(2, 1, 4)
    mean, bent = evaluate(residual(), [x])
    np.testing.assert_array_equal(bent, np.maximum(x, 0))
    np.testing.assert_array_equal(mean, 3 * np.maximum(x, 0).mean(axis=2))


def test_every_value_is_shown_in_the_order_of_the_nodes() -> None:
    x = np.arange(-4, 4, dtype=np.float32).reshape(2, 1, 4)
    values = list(evaluate_all(residual(), [x]))
    assert [name for name, _ in values] == ["bent", "doubled", "total", "mean"]
    by_name = dict(values)
    np.testing.assert_array_equal(by_name["total"], 3 * by_name["bent"])


def test_an_input_may_be_an_output_and_a_value_may_be_read_twice_by_one_node() -> None:
    builder = GraphBuilder("twice")
    builder.input("x", (1, 1, 1, 2))
    builder.output(builder.node(Add(), ["x", "x"], name="sum"))
    builder.output("x", "same")
    x = np.array([[[[1, 2]]]], np.float32)
    total, same = evaluate(builder.build(), [x])
    np.testing.assert_array_equal(total, 2 * x)
    np.testing.assert_array_equal(same, x)


def test_arrays_that_do_not_fit_are_refused_with_the_port_and_both_shapes() -> None:
    graph = residual()
    with pytest.raises(InputError, match="residual has 1 inputs, but got 0 arrays"):
        evaluate(graph, [])
    with pytest.raises(
        InputError, match=r"input 'x' needs float32 of shape \(2, 1, 4\), but got float32 of \(2, 1, 4, 1\)"
    ):
        evaluate(graph, [np.zeros((2, 1, 4, 1), np.float32)])
    with pytest.raises(InputError, match="but got float64"):
        evaluate(graph, [np.zeros((2, 1, 4))])  # type: ignore[list-item]
