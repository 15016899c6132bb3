"""The random graphs are what the property tests lean on: they must be sound, tame and varied."""

from collections import Counter

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dlfusion.graph.graph import Graph
from dlfusion.runtime.reference import evaluate
from tests.support.random_graphs import BINARY, FUNCTIONS, POSITIVE, STEPS, graphs, random_inputs


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(graphs(), st.integers(0, 99))
def test_values_stay_finite_and_small_and_nothing_is_unused(graph: Graph, seed: int) -> None:
    outputs = evaluate(graph, random_inputs(graph, seed))
    for port, array in zip(graph.outputs, outputs, strict=True):
        assert array.shape == port.array_shape
        assert np.isfinite(array).all()
        assert np.abs(array).max() < 1e3
    read = {value for node in graph.nodes for value in graph.activations(node)}
    shown = {port.value for port in graph.outputs}
    assert {node.output for node in graph.nodes} <= read | shown
    assert {port.value for port in graph.inputs} <= read


def test_graphs_are_varied() -> None:
    seen: Counter[str] = Counter()

    @settings(max_examples=600, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(graphs())
    def collect(graph: Graph) -> None:
        readers = Counter(value for node in graph.nodes for value in set(graph.activations(node)))
        seen.update({type(node.operator).__name__ for node in graph.nodes})
        seen["several outputs"] += len(graph.outputs) > 1
        seen["several inputs"] += len(graph.inputs) > 1
        seen["branches"] += any(count > 1 for count in readers.values())
        seen["output that is read"] += any(readers[port.value] for port in graph.outputs)
        seen["batch"] += graph.shapes[graph.inputs[0].value][0] > 1
        seen["odd channels"] += any(shape[1] % 8 for shape in graph.shapes.values())

    collect()
    common = ["Conv", "Add", "Concat", "several outputs", "several inputs", "branches", "output that is read", "batch"]
    assert all(seen[name] >= 10 for name in [*common, "odd channels"]), seen
    rare = ["ConvTranspose", "MaxPool", "AveragePool", "Resize", "DepthToSpace", "SpaceToDepth", "Gemm", "Mul", "PRelu"]
    rare += [type(operator).__name__ for operator in (*BINARY, *FUNCTIONS, *POSITIVE, *STEPS)]
    rare += ["Affine", "ChannelShuffle", "Softmax", "Lrn", "Pad", "Reshape", "Slice", "ConcatMap", "LpPool"]
    rare += ["GroupNormalize", "LayerNormalize", "LpNormalize", "LogSoftmax", "ReduceChannels", "Transpose"]
    assert [name for name in rare if not seen[name]] == []
