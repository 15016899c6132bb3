"""Computes what a model derives from its constants alone, within limits of memory and time."""

import logging
import math
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir
from numpy.typing import NDArray
from onnxscript.optimizer import fold_constants_ir

from dlfusion.errors import DlfusionError, ModelError, UnsupportedError

KEEP_QUANTIZED = frozenset({"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"})
"""Not folded, so that a quantized model is reported by its operators' names."""

FREE_BYTES = 1 << 30
TIMES_STORED = 8
"""All computed constants of a model together may take so many bytes, or so many times what it stores: weights are
converted, moved and scaled a few times at most, while a shape of two numbers can ask for any amount of memory."""

SLOW_ELEMENTS = 1 << 15
"""What an operator may read and compute that is computed in loops of Python, or takes more memory than its result."""

FAST = frozenset(
    [
        "Abs",
        "Add",
        "And",
        "ArgMax",
        "ArgMin",
        "BitwiseAnd",
        "BitwiseNot",
        "BitwiseOr",
        "BitwiseXor",
        "Cast",
        "CastLike",
        "Ceil",
        "Clip",
        "Compress",
        "Concat",
        "ConstantOfShape",
        "Cos",
        "Div",
        "Equal",
        "Exp",
        "Expand",
        "EyeLike",
        "Flatten",
        "Floor",
        "Gather",
        "GatherElements",
        "Gemm",
        "Greater",
        "GreaterOrEqual",
        "Identity",
        "IsInf",
        "IsNaN",
        "LeakyRelu",
        "Less",
        "LessOrEqual",
        "Log",
        "MatMul",
        "Max",
        "Mean",
        "Min",
        "Mod",
        "Mul",
        "Neg",
        "NonZero",
        "Not",
        "OneHot",
        "Or",
        "Pad",
        "Pow",
        "Range",
        "Reciprocal",
        "ReduceL1",
        "ReduceL2",
        "ReduceLogSum",
        "ReduceMax",
        "ReduceMean",
        "ReduceMin",
        "ReduceProd",
        "ReduceSum",
        "ReduceSumSquare",
        "Relu",
        "Reshape",
        "Round",
        "Shape",
        "Sigmoid",
        "Sign",
        "Sin",
        "Size",
        "Slice",
        "Softmax",
        "Sqrt",
        "Squeeze",
        "Sub",
        "Sum",
        "Tanh",
        "Tile",
        "Transpose",
        "Trilu",
        "Unsqueeze",
        "Where",
        "Xor",
    ]
)
"""Operators of which onnx computes millions of elements in a second."""

RESIZED_ELEMENTS = 1 << 20
"""The same for Resize, which loops over rows and columns only: seconds for so many."""

SHRINKING = frozenset({"Compress", "NonZero"})
"""Operators whose result has a size that depends on numbers, but not one of another order than what they read."""


def fold_constants(model: onnx_ir.Model) -> None:
    """Changes `model` until nothing in it depends on constants alone, inferring shapes node by node on the way.

    Raises:
        ModelError: a constant cannot be computed.
        UnsupportedError: a constant would take too much memory or time.
    """
    limits = _Limits(model)
    try:
        _fold(model, limits)
        # Weights that a model standardizes itself; what is derived from them can be computed only then.
        while _normalize_constants(model.graph, limits):
            _fold(model, limits)
    except DlfusionError:
        raise
    except Exception as error:  # NumPy or protobuf errors of a node that does not compute
        raise ModelError(f"a constant of the model cannot be computed: {error}") from error


def _fold(model: onnx_ir.Model, limits: "_Limits") -> None:
    logger = logging.getLogger("onnxscript")
    level = logger.level
    # It warns of every node with several outputs that it does not fold; we report what we cannot convert ourselves.
    logger.setLevel(logging.ERROR)
    try:
        fold_constants_ir(
            model,
            onnx_shape_inference=True,
            input_size_limit=sys.maxsize,
            output_size_limit=sys.maxsize,
            should_fold=limits.should_fold,
        )
    finally:
        logger.setLevel(level)


def _normalize_constants(graph: onnx_ir.Graph, limits: "_Limits") -> bool:
    """Computes BatchNormalization of constants alone; True if there was any.

    The `onnx` package does it wrongly before opset 14, where it mixes in the statistics of what it normalizes, and
    returns more than one result when training, as weights are standardized.
    """
    found = False
    for node in [node for node in graph if node.op_type == "BatchNormalization" and node.domain in ("", "ai.onnx")]:
        output, *others = node.outputs
        tensors = [None if value is None else onnx_ir.convenience.get_const_tensor(value) for value in node.inputs]
        constants = [tensor.numpy() for tensor in tensors if tensor is not None]
        is_read = any(other.uses() or other.is_graph_output() for other in others) or output.is_graph_output()
        if len(constants) != 5 or is_read:
            continue
        limits.charge(node, constants[0].size)
        array = _normalized(node, constants)
        tensor = onnx_ir.tensor(array, name=output.name)
        value = onnx_ir.Value(name=output.name, shape=onnx_ir.Shape(array.shape), type=output.type, const_value=tensor)
        output.replace_all_uses_with(value)
        graph.remove(node, safe=True)
        graph.register_initializer(value)
        found = True
    return found


def _normalized(node: onnx_ir.Node, constants: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """The first input of a BatchNormalization normalized by statistics that are given, or in training by its own."""
    source, *parameters = constants
    channels = source.shape[1:2]
    if source.ndim < 2 or any(array.shape != channels for array in parameters):
        shapes = ", ".join(str(array.shape) for array in constants)
        raise ModelError(f"{_title(node)} is inconsistent: inputs of shapes {shapes} do not fit one another")
    wide = source.astype(np.float64)
    scale, shift, mean, variance = (array.reshape(-1, *(1,) * (source.ndim - 2)) for array in parameters)
    if node.attributes.get_int("training_mode", 0):
        others = tuple(axis for axis in range(source.ndim) if axis != 1)
        mean, variance = wide.mean(others, keepdims=True), wide.var(others, keepdims=True)
    epsilon = node.attributes.get_float("epsilon", 1e-5)
    result: NDArray[Any] = ((wide - mean) / np.sqrt(variance + epsilon) * scale + shift).astype(source.dtype)
    return result


class _Limits:
    """How much may still be computed."""

    def __init__(self, model: onnx_ir.Model) -> None:
        self._bytes = self._most_bytes = max(FREE_BYTES, TIMES_STORED * _stored_bytes(model))

    def should_fold(self, node: onnx_ir.Node) -> bool | None:
        """Whether a node that reads constants alone is to be computed; None leaves that to onnxscript's rules.

        Raises:
            UnsupportedError: it is too large.
        """
        if node.op_type in KEEP_QUANTIZED:
            return None
        # Of several outputs onnxscript throws away what it computed; constants are normalized below.
        if len(node.outputs) != 1 or node.op_type == "BatchNormalization":
            return False
        output = node.outputs[0]
        read = sum(
            value.const_value.size for value in node.inputs if value is not None and value.const_value is not None
        )
        computed = _elements(output.shape)
        if computed is None:
            if node.op_type not in SHRINKING:
                return False
            computed = read
        is_fast = node.op_type in FAST and output.dtype is not onnx_ir.DataType.STRING
        most = RESIZED_ELEMENTS if node.op_type == "Resize" else SLOW_ELEMENTS
        if not is_fast and read + computed > most:
            raise UnsupportedError(
                f"{_title(node)} reads {read} elements of constants and computes {computed}: of this operator at most "
                f"{most} are computed on import. {_ADVICE}"
            )
        self.charge(node, computed)
        return True

    def charge(self, node: onnx_ir.Node, computed: int) -> None:
        """Notes that a node computes so many elements of its first output.

        Raises:
            UnsupportedError: together with those before it, they take too much memory.
        """
        self._bytes -= math.ceil(computed * _element_bytes(node.outputs[0].dtype))
        if self._bytes < 0:
            raise UnsupportedError(
                f"{_title(node)} computes {computed} elements from constants: the computed constants of this model "
                f"may take {self._most_bytes >> 20} MiB in all. {_ADVICE}"
            )


_ADVICE = "Store the result in the model: export it with its constants folded."


def _title(node: onnx_ir.Node) -> str:
    return f"{node.op_type} {node.name or 'of ' + str(node.outputs[0].name)}"


def _elements(shape: onnx_ir.Shape | None) -> int | None:
    """How many elements a value has; None if a size is unknown."""
    sizes = () if shape is None else tuple(size for size in shape if isinstance(size, int))
    return None if shape is None or len(sizes) < len(shape) else math.prod(sizes)


def _stored_bytes(model: onnx_ir.Model) -> int:
    """What the model's constants take, in its graphs and in attributes of its nodes."""
    tensors = [value.const_value for graph in model.graphs() for value in graph.initializers.values()]
    for node in model.graph.all_nodes():
        attributes = node.attributes.values()
        tensors += [attribute.value for attribute in attributes if attribute.type is onnx_ir.AttributeType.TENSOR]
    return sum(math.ceil(tensor.size * _element_bytes(tensor.dtype)) for tensor in tensors if tensor is not None)


def _element_bytes(kind: onnx_ir.DataType | None) -> float:
    """What an element takes; texts, which have no size of their own, and what is unknown count as the largest one."""
    return 16 if kind in (None, onnx_ir.DataType.STRING, onnx_ir.DataType.UNDEFINED) else kind.itemsize
