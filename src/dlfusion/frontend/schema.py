"""What the ONNX standard says of a node's form: how many inputs, which attributes and of which kind."""

from functools import cache

from onnx import AttributeProto, defs

from dlfusion.frontend.context import InvalidNodeError
from dlfusion.frontend.model import Node


def check_form(node: Node, opset: int) -> None:
    """Nothing, if the node of the default domain has the form that the standard demands of its operator.

    Attributes that the standard does not know are no error: exporters leave some behind.

    Raises:
        InvalidNodeError: an input or attribute is missing or too many, or an attribute is of another kind.
    """
    schema = _schema(node.op_type, opset)
    if schema is None:
        return
    count = len(node.inputs)
    if not schema.min_input <= count <= schema.max_input:
        most = "" if schema.max_input > 1000 else f" to {schema.max_input}"
        raise InvalidNodeError(f"it has {count} inputs, but must have {schema.min_input}{most}")
    for index, given in enumerate(node.inputs):
        formal = schema.inputs[min(index, len(schema.inputs) - 1)]
        if given is None and formal.option != defs.OpSchema.FormalParameterOption.Optional:
            raise InvalidNodeError(f"input {index} ({formal.name}) is missing")
    for name, stated in schema.attributes.items():
        attribute = node.attributes.get(name)
        kind = AttributeProto.AttributeType.Name(stated.type.value)  # type: ignore[attr-defined]  # onnx's own stub lacks it
        if attribute is None and stated.required:
            raise InvalidNodeError(f"the attribute {name} is missing")
        if attribute is not None and (attribute.kind != kind or attribute.value is None):
            raise InvalidNodeError(f"the attribute {name} is {attribute.kind}, but must be {kind}")


def has_form(node: Node, opset: int) -> bool:
    """True if the node has the form that `check_form` demands."""
    try:
        check_form(node, opset)
    except InvalidNodeError:
        return False
    return True


def is_known(node: Node, opset: int) -> bool:
    """True if the standard has the node's operator in this operator set."""
    return _schema(node.op_type, opset) is not None


@cache
def _schema(operator: str, opset: int) -> defs.OpSchema | None:
    """What the standard says of an operator; None if the operator set has none of that name."""
    try:
        return defs.get_schema(operator, opset)
    except defs.SchemaError:
        return None
