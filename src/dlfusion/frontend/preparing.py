"""Fixes the inputs' shapes, folds constants and simplifies, all on the ONNX model itself."""

import operator
from collections.abc import Mapping, Sequence
from typing import Any

import onnx_ir
import onnx_ir.passes.common
from onnxscript.rewriter import RewritePass, RewriteRuleClassBase
from onnxscript.rewriter.rules import common as rules

from dlfusion.errors import ModelError, UnsupportedError
from dlfusion.frontend.context import MOST_NUMBERS
from dlfusion.frontend.folding import fold_constants
from dlfusion.frontend.functions import inline_functions
from dlfusion.frontend.plain import NEWEST_OPSET, OLDEST_OPSET


class WidenedAndBack(RewriteRuleClassBase):  # type: ignore[misc] # onnxscript does not state its types
    """Drops casts from float32 to float64 and back, which change nothing."""

    def pattern(self, op: Any, x: Any) -> Any:
        """What is replaced."""
        return op.Cast(op.Cast(x, to=onnx_ir.DataType.DOUBLE), to=onnx_ir.DataType.FLOAT)

    def check(self, context: Any, x: onnx_ir.Value) -> bool:
        """Whether the value was float32 before."""
        return x.dtype == onnx_ir.DataType.FLOAT

    def rewrite(self, op: Any, x: Any) -> Any:
        """What takes its place."""
        return op.Identity(x)


RULES = (
    WidenedAndBack.rule(),
    rules.no_op_cast_rule,
    rules.no_op_expand_rule,
    rules.no_op_transpose_rule,
    rules.transpose_transpose_rule,
)
"""onnxscript's rules for what has no counterpart in our graph. Those that fuse named operators are passes of ours: they
keep the names of all nodes that a fused one came from."""


def prepare(model: onnx_ir.Model, shapes: Mapping[str, Sequence[int]]) -> None:
    """Changes `model` until it has static inputs, no constant computations and no functions.

    Args:
        model: changed in place.
        shapes: for inputs by name, the whole shape.

    Raises:
        ModelError: an input's shape stays open, `shapes` does not fit the model, or it contradicts itself or cuts
            something into more parts than there can be.
        UnsupportedError: the operator set is too old or too new, an input is not float32, or functions or constants
            would become too large.
    """
    _require_opset(model)
    graph = model.graph
    # Up to IR version 3 every initializer was declared as an input too, so that callers could replace it.
    constants = [value for value in graph.inputs if value.is_initializer()]
    for value in constants:
        graph.inputs.remove(value)
    _fix_inputs(graph, shapes)
    _forget_shapes(graph)
    inline_functions(model)
    try:
        graph.sort()
    except ValueError as error:
        raise ModelError(f"the model's nodes depend on one another in a circle: {error}") from error
    onnx_ir.passes.common.RemoveUnusedNodesPass()(model)
    _require_few_parts(graph)
    fold_constants(model)
    if any(node.op_type in ("Cast", "Expand", "Transpose") for node in graph):
        RewritePass(RULES)(model)
        onnx_ir.passes.common.RemoveUnusedNodesPass()(model)


def _require_opset(model: onnx_ir.Model) -> None:
    opset = model.opset_imports.get("", model.opset_imports.get("ai.onnx"))
    if opset is not None and opset < OLDEST_OPSET:
        raise UnsupportedError(
            f"the model uses operator set {opset}; {OLDEST_OPSET} is the oldest supported. "
            "Convert it with onnx.version_converter or export it again."
        )
    if opset is not None and opset > NEWEST_OPSET:
        raise UnsupportedError(
            f"the model uses operator set {opset}, but the installed onnx package knows only those up to "
            f"{NEWEST_OPSET}. Update it (pip install --upgrade onnx), or export the model with an older operator set."
        )


def _fix_inputs(graph: onnx_ir.Graph, shapes: Mapping[str, Sequence[int]]) -> None:
    names = [str(value.name) for value in graph.inputs]
    for name in shapes:
        if name not in names:
            raise ModelError(f"a shape is given for {name}, but the model's inputs are: {', '.join(names) or 'none'}")
    wrong = [
        f"input {value.name} is {value.dtype.name if value.dtype else 'no tensor'}"
        for value in graph.inputs
        if value.dtype != onnx_ir.DataType.FLOAT
    ]
    if wrong:
        raise UnsupportedError("only float32 inputs are supported, but " + "; ".join(wrong))
    for value in graph.inputs:
        value.shape = onnx_ir.Shape(_input_shape(value, shapes.get(str(value.name))))


def _input_shape(value: onnx_ir.Value, given: Sequence[int] | None) -> tuple[int, ...]:
    declared = None if value.shape is None else tuple(_size(size) for size in value.shape)
    text = "of unknown rank" if declared is None else " x ".join(str(size) for size in declared) or "a scalar"
    if given is None:
        if declared is None or not all(isinstance(size, int) for size in declared):
            example = ",".join(map(str, _example(declared)))
            raise ModelError(
                f"input {value.name} has open dimensions: it is {text}. "
                f"Give its whole shape, such as --shape {value.name}={example}"
            )
        return tuple(size for size in declared if isinstance(size, int))
    try:
        sizes = tuple(operator.index(size) for size in given)  # NumPy's integers too
    except TypeError:
        sizes = (0,)
    fits = declared is None or (
        len(declared) == len(sizes)
        and all(not isinstance(size, int) or size == wanted for size, wanted in zip(declared, sizes, strict=True))
    )
    if not fits or min(sizes, default=1) < 1:
        raise ModelError(
            f"input {value.name} is {text}; the shape {','.join(map(str, given))} does not fit it. "
            "Give as many sizes, positive integers, and the same ones where the model states them"
        )
    return sizes


def _example(declared: tuple[int | str, ...] | None) -> tuple[int, ...]:
    """A shape that shows what to write for an input: one image of a usual size where the model leaves it open."""
    usual = (1, 3, 224, 224)
    if declared is None:
        return usual
    unknown = usual if len(declared) == len(usual) else (1,) * len(declared)
    return tuple(size if isinstance(size, int) else other for size, other in zip(declared, unknown, strict=True))


def _size(size: int | onnx_ir.SymbolicDim) -> int | str:
    """A dimension's size, or its name; exporters also write 0 or -1 for a size they do not know."""
    if isinstance(size, int):
        return size if size > 0 else "?"
    return size.value or "?"


def _require_few_parts(graph: onnx_ir.Graph) -> None:
    """Shape inference makes a list of the parts of each Split before anything else looks at their number."""
    for node in graph.all_nodes():
        attribute = node.attributes.get("num_outputs")
        if node.op_type != "Split" or attribute is None or attribute.type is not onnx_ir.AttributeType.INT:
            continue
        if attribute.as_int() > MOST_NUMBERS:
            title = node.name or f"of {node.outputs[0].name}"
            raise ModelError(f"Split {title} cuts into {attribute.as_int()} parts; at most {MOST_NUMBERS} make sense")


def _forget_shapes(graph: onnx_ir.Graph) -> None:
    """Drops the shapes stored for intermediate values: they hold for the sizes the model was exported with."""
    for node in graph.all_nodes():
        for output in node.outputs:
            output.shape = None
