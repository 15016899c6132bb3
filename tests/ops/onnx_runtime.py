"""Runs one ONNX node in ONNX Runtime: the judge of the operators' references."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from dlfusion.graph.graph import Array


def run_node(
    kind: str,
    inputs: Sequence[Array],
    constants: Sequence[np.ndarray[Any, Any] | None] = (),
    *,
    opset: int = 17,
    **attributes: Any,
) -> Array:
    """The single float32 output of one node.

    Args:
        kind: the ONNX operator.
        inputs: arrays fed at run time.
        constants: initializers that follow them; None leaves an optional input out.
        opset: version of the operator set.
        attributes: of the node.
    """
    names = [f"x{index}" for index in range(len(inputs))]
    constant_names = ["" if array is None else f"c{index}" for index, array in enumerate(constants)]
    node = helper.make_node(kind, [*names, *constant_names], ["y"], **attributes)
    graph = helper.make_graph(
        [node],
        kind,
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, x.shape)
            for name, x in zip(names, inputs, strict=True)
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [
            numpy_helper.from_array(array, name)
            for name, array in zip(constant_names, constants, strict=True)
            if array is not None
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    result: Array = session.run(None, dict(zip(names, inputs, strict=True)))[0]
    return result


def uniform(*shape: int, seed: int = 0, low: float = -1.0, high: float = 1.0) -> Array:
    """A seeded float32 array with values in low..high."""
    return np.random.default_rng(seed).uniform(low, high, shape).astype(np.float32)
