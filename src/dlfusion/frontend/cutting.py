"""Where a detector can be cut, so that its search for boxes, which is not supported, stays outside."""

from collections.abc import Collection

import onnx

from dlfusion.frontend.model import Model

LEARNED = frozenset({"Conv", "ConvTranspose", "Einsum", "GRU", "Gemm", "LSTM", "MatMul", "RNN"})
"""Operators that a model's work lies in: where these depend on what is not supported, a cut leaves too little."""

MOST_VALUES = 12
"""In a message; more of them are no place where one would cut."""


def cut(model: Model, unsupported: Collection[str], stored: onnx.ModelProto) -> str:
    """The call that cuts the model before its unsupported nodes; empty if that would be no help.

    Args:
        model: the model as it was converted.
        unsupported: the first output of each node that is not supported.
        stored: the model as the user has it; preparing it makes values of other names.
    """
    names = _values_before(model, unsupported)
    computed = {name for node in stored.graph.node for name in node.output}
    if not 1 <= len(names) <= MOST_VALUES or not set(names) <= computed:
        return ""
    inputs = [value.name for value in model.inputs]
    return f"onnx.utils.extract_model('model.onnx', 'cut.onnx', {inputs}, {names})"


def _values_before(model: Model, unsupported: Collection[str]) -> list[str]:
    """What others give to unsupported nodes and to those behind them, and outputs; empty if any of them is learned."""
    names: dict[str, None] = {}
    behind: set[str] = set()
    fed = {value.name for value in model.inputs}
    for node in model.nodes:
        read = [value.name for value in node.inputs if value is not None and value.constant is None]
        if node.outputs[0].name in unsupported or behind.intersection(read):
            if node.op_type in LEARNED:
                return []
            names.update(dict.fromkeys(name for name in read if name not in behind | fed))
            behind.update(value.name for value in node.outputs)
    names.update(dict.fromkeys(value.name for value in model.outputs if value.name not in behind | fed))
    return list(names)
