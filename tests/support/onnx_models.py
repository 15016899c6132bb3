"""Builds small ONNX models and compares an imported graph with ONNX Runtime."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from dlfusion.frontend import load
from dlfusion.graph.graph import Graph
from dlfusion.passes import clean
from dlfusion.runtime.reference import evaluate

IR_VERSION = 10
TOLERANCE = 1e-4

OPSETS = (7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22)
Case = tuple[list[NodeProto], Mapping[str, NDArray[Any]]]


def make_model(
    nodes: Sequence[NodeProto],
    inputs: Mapping[str, Sequence[int | str]],
    *,
    constants: Mapping[str, NDArray[Any]] | None = None,
    opset: int = 17,
    outputs: Sequence[str] = ("y",),
    domains: Sequence[str] = (),
) -> ModelProto:
    """A model of float32 inputs of these shapes; the outputs' shapes are left to whoever reads it."""
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()],
    )
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    return helper.make_model(graph, opset_imports=imports, ir_version=IR_VERSION)


def weights(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    """Seeded numbers in -1..1."""
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


def feeds(graph: Graph, seed: int = 0) -> tuple[NDArray[np.float32], ...]:
    """Seeded normal numbers for every input."""
    generator = np.random.default_rng(seed)
    return tuple(generator.standard_normal(port.array_shape).astype(np.float32) for port in graph.inputs)


def run_onnx_runtime(model: ModelProto, graph: Graph, inputs: Sequence[NDArray[np.float32]]) -> list[NDArray[Any]]:
    """What ONNX Runtime computes, without its own rewrites."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 2
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [port.name for port in graph.inputs]
    results: list[NDArray[Any]] = session.run(None, dict(zip(names, inputs, strict=True)))
    return results


def assert_matches_onnx_runtime(
    model: ModelProto, shapes: Mapping[str, Sequence[int]] | None = None, *, raw: bool = True
) -> Graph:
    """Checks the imported graph, after cleaning and if `raw` also before, and returns the clean one."""
    graph = load(model, shapes)
    cleaned = clean(graph)
    inputs = feeds(graph)
    expected = run_onnx_runtime(model, graph, inputs)
    for candidate in (cleaned, graph) if raw else (cleaned,):
        for port, wanted, actual in zip(candidate.outputs, expected, evaluate(candidate, inputs), strict=True):
            assert actual.shape == wanted.shape, port.name
            scale = max(1.0, float(np.abs(wanted).max()))
            np.testing.assert_allclose(actual / scale, wanted / scale, rtol=0, atol=TOLERANCE, err_msg=port.name)
    return cleaned


def check_all_opsets(case: Callable[[int], Case]) -> None:
    """The case beside ONNX Runtime in each operator set."""
    for opset in OPSETS:
        nodes, constants = case(opset)
        try:
            assert_matches_onnx_runtime(make_model(nodes, {"x": (2, 6, 7, 5)}, constants=constants, opset=opset))
        except Exception as error:
            raise AssertionError(f"opset {opset}") from error
