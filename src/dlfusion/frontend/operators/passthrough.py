"""Operators that change nothing when a model only runs: the output is the input under another name."""

from onnx import TensorProto

from dlfusion.frontend.attributes import integer
from dlfusion.frontend.context import Activation, Context, UnsupportedNodeError
from dlfusion.frontend.model import Node


def identity(node: Node, context: Context) -> Activation:
    """Identity."""
    return context.activation(node)


def dropout(node: Node, context: Context) -> Activation:
    """Dropout, which only drops in training."""
    if context.opset >= 12 and context.number(node, 2, default=0):
        raise UnsupportedNodeError("training_mode is true; models are only run, not trained")
    return context.activation(node)


def cast(node: Node, context: Context) -> Activation:
    """Cast from float32 to itself, or to float64 and back at once."""
    target = TensorProto.DataType.Name(integer(node, "to", 0))
    if target != "FLOAT":
        raise UnsupportedNodeError(f"it converts to {target}; only float32 is supported")
    return context.activation(node)


CONVERTERS = {"Identity": identity, "Dropout": dropout, "Cast": cast}
