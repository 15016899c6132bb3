"""Seeded changes of a model: of its bytes, and of fields of its message."""

from collections.abc import Callable, MutableSequence
from random import Random
from typing import Any

import numpy as np
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnx.external_data_helper import set_external_data

from dlfusion.frontend import SUPPORTED_OPERATORS

INTEGERS = (-(2**63), -(2**31), -3, -2, -1, 0, 1, 2, 3, 5, 8, 255, 1000, 65536, 2**31 - 1, 2**31, 2**40, 2**63 - 1)
FLOATS = (float("nan"), float("inf"), float("-inf"), -0.0, 0.0, 1e-45, -1.0, 0.5, 3.7, 1e38)
TEXTS = (b"", b"SAME_UPPER", b"VALID", b"linear", b"reflect", b"\xff\xfe", b"x" * 5000, b"NOTSET\0")
NAMES = ("", "nowhere", "x", "y", "a\0b", "../..", "n" * 5000, '"); int main() {', "\ud7ff", "*/")
PATHS = ("data.bin", "../data.bin", "/etc/hostname", "/dev/zero", "", ".", "a/../../b")

Mutation = Callable[[ModelProto, Random], None]


def mutated(base: ModelProto, random: Random) -> bytes:
    """The content of a model file, changed in one to three places."""
    model = ModelProto()
    model.CopyFrom(base)
    if random.random() < 0.3:
        content = bytearray(model.SerializeToString())
        for _ in range(random.randint(1, 3)):
            random.choice(BYTE_MUTATIONS)(content, random)
        return bytes(content)
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        random.choice(MUTATIONS)(model, random)
    changed: bytes = model.SerializeToString()
    return changed


def _flip(content: bytearray, random: Random) -> None:
    if content:
        content[random.randrange(len(content))] ^= 1 << random.randrange(8)


def _truncate(content: bytearray, random: Random) -> None:
    del content[random.randint(0, len(content)) :]


def _cut(content: bytearray, random: Random) -> None:
    start = random.randint(0, len(content))
    del content[start : start + random.randint(1, 64)]


def _insert(content: bytearray, random: Random) -> None:
    start = random.randint(0, len(content))
    content[start:start] = random.randbytes(random.randint(1, 64))


def _repeat(content: bytearray, random: Random) -> None:
    start = random.randint(0, len(content))
    content[start:start] = content[start : start + random.randint(1, 256)]


BYTE_MUTATIONS = (_flip, _truncate, _cut, _insert, _repeat)


def _attribute(model: ModelProto, random: Random) -> None:
    """Changes, adds or removes an attribute."""
    node = _node(model, random)
    if not node.attribute or random.random() < 0.1:
        name = random.choice(("axis", "mode", "pads", "strides", "group", "auto_pad", "ceil_mode", "blocksize", "axes"))
        node.attribute.append(helper.make_attribute(name, random.choice((1, -1, 0.5, "CRD", [1, 1], [0] * 8))))
        return
    attribute = random.choice(node.attribute)
    match random.randrange(8):
        case 0:
            node.attribute.remove(attribute)
        case 1:
            attribute.type = random.choice(AttributeProto.AttributeType.values())
        case 2:
            node.attribute.append(attribute)
        case 3:
            attribute.ref_attr_name = "outer"
        case _:
            _value(attribute, random)


def _value(attribute: AttributeProto, random: Random) -> None:
    """Another value of the same kind, or of whatever the attribute is said to be."""
    match attribute.type:
        case AttributeProto.INT:
            attribute.i = random.choice(INTEGERS)
        case AttributeProto.FLOAT:
            attribute.f = random.choice(FLOATS)
        case AttributeProto.STRING:
            attribute.s = random.choice(TEXTS)
        case AttributeProto.INTS:
            _element(attribute.ints, INTEGERS, random)
        case AttributeProto.FLOATS:
            _element(attribute.floats, FLOATS, random)
        case AttributeProto.TENSOR:
            _change_tensor(attribute.t, random)


def _element(values: MutableSequence[Any], choices: tuple[Any, ...], random: Random) -> None:
    match random.randrange(6):
        case 0:
            values.append(random.choice(choices))
        case 1 if values:
            del values[random.randrange(len(values))]
        case 2:
            del values[:]
        case _ if values:
            values[random.randrange(len(values))] = random.choice(choices)


def _tensor(model: ModelProto, random: Random) -> None:
    """Changes a constant: its type, shape, numbers, or where they are stored."""
    if model.graph.initializer:
        _change_tensor(random.choice(model.graph.initializer), random)


def _change_tensor(tensor: TensorProto, random: Random) -> None:
    match random.randrange(8):
        case 0:
            tensor.data_type = random.choice((*TensorProto.DataType.values(), 99))
        case 1:
            _element(tensor.dims, INTEGERS, random)
        case 2:
            tensor.raw_data = tensor.raw_data[: random.randint(0, len(tensor.raw_data))]
        case 3:
            tensor.name = random.choice(NAMES)
        case 4:
            tensor.raw_data = tensor.raw_data or b"\0"
            set_external_data(tensor, random.choice(PATHS), random.choice((None, 0, 5, -1)), random.choice((None, 8)))
            if random.random() < 0.5:
                tensor.ClearField("raw_data")
        case 5:
            _change_number(tensor, random)
        case _:
            content = bytearray(tensor.raw_data)
            for _ in range(8):
                _flip(content, random)
            tensor.raw_data = bytes(content)


def _change_number(tensor: TensorProto, random: Random) -> None:
    """Makes one number of a constant an extreme one."""
    if tensor.data_location == TensorProto.EXTERNAL:
        return
    try:
        array = numpy_helper.to_array(tensor).copy()
    except (ValueError, TypeError, KeyError):  # damaged already
        return
    if array.size and array.dtype.kind in "fiu":
        value = np.array(random.choice(FLOATS if array.dtype.kind == "f" else INTEGERS))
        with np.errstate(all="ignore"):
            array.reshape(-1)[random.randrange(array.size)] = value.astype(array.dtype)
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def _computed(model: ModelProto, random: Random) -> None:
    """Makes a node read what another computes from a few numbers: perhaps more than memory holds."""
    graph, node = model.graph, _node(model, random)
    sizes = [random.choice((0, 1, 2, 3, 8, 64, 1000, 2**16, 2**20, 2**31, -1)) for _ in range(random.randint(1, 4))]
    number = random.choice((np.float32(0.5), np.ones((1,) * len(sizes), np.float32), np.arange(6, dtype=np.float32)))
    operator, inputs, attributes = random.choice(COMPUTING)
    constants = {"sizes": np.array(sizes), "number": np.asarray(number), "scales": np.array(sizes, np.float32)}
    constants |= {"zero": np.array(0), "end": np.array(sizes[0]), "one": np.array(1)}
    graph.initializer.extend(numpy_helper.from_array(constants[name], name) for name in sorted({*inputs} - {""}))
    graph.node.insert(0, helper.make_node(operator, inputs, ["computed"], **attributes))
    if node.input:
        node.input[random.randrange(len(node.input))] = "computed"


COMPUTING: tuple[tuple[str, tuple[str, ...], dict[str, Any]], ...] = (
    ("ConstantOfShape", ("sizes",), {}),
    ("Expand", ("number", "sizes"), {}),
    ("Tile", ("number", "sizes"), {}),
    ("Pad", ("number", "sizes"), {}),
    ("Resize", ("number", "", "scales"), {}),
    ("Range", ("zero", "end", "one"), {}),
    ("OneHot", ("sizes", "end", "scales"), {}),
    ("HannWindow", ("end",), {}),
    ("Concat", ("number",) * 500, {"axis": 0}),
    ("Einsum", ("number", "number"), {"equation": "...i,...j->...ij"}),
)
"""Operators whose result may be larger than what they read, with inputs and attributes."""


def _function(model: ModelProto, random: Random) -> None:
    """Moves a node into a function, which may call another that calls it twice, and so on, or itself."""
    node = _node(model, random)
    inner = NodeProto()
    inner.CopyFrom(node)
    inputs, outputs = ([name for name in names if name] for names in (node.input, node.output))
    depth = random.choice((1, 2, 3, 40))
    for level in range(depth):
        callee, first = f"level{level - 1}", [f"first.{name}" for name in outputs]
        twice = [helper.make_node(callee, inputs, names, domain="own") for names in (first, outputs)]
        body = twice if level else [inner]
        if level == depth - 1 and random.random() < 0.2:
            body = [helper.make_node(f"level{level}", inputs, outputs, domain="own")]
        imports = [*model.opset_import, helper.make_opsetid("own", 1)]
        model.functions.append(helper.make_function("own", f"level{level}", inputs, outputs, body, imports))
    model.opset_import.append(helper.make_opsetid("own", 1))
    node.CopyFrom(helper.make_node(f"level{depth - 1}", inputs, outputs, domain="own"))


def _shape(model: ModelProto, random: Random) -> None:
    """Changes the type or shape of an input, output or value between."""
    port = random.choice([*model.graph.input, *model.graph.output, *model.graph.value_info] or [None])
    if port is None:
        return
    tensor = port.type.tensor_type
    match random.randrange(6):
        case 0:
            tensor.elem_type = random.choice((*TensorProto.DataType.values(), 99))
        case 1:
            tensor.shape.dim.add().dim_value = random.choice(INTEGERS)
        case 2 if tensor.shape.dim:
            del tensor.shape.dim[random.randrange(len(tensor.shape.dim))]
        case 3:
            port.ClearField("type")
        case 4 if tensor.shape.dim:
            random.choice(tensor.shape.dim).dim_param = random.choice(("n", ""))
        case _ if tensor.shape.dim:
            random.choice(tensor.shape.dim).dim_value = random.choice(INTEGERS)


def _edge(model: ModelProto, random: Random) -> None:
    """Makes a node read or compute another value."""
    node = _node(model, random)
    names = node.input if random.random() < 0.7 else node.output
    _element(names, (*_names(model.graph), *NAMES), random)


def _output(model: ModelProto, random: Random) -> None:
    """Makes the model have another output, one more, one less, or another input."""
    ports = model.graph.output if random.random() < 0.7 else model.graph.input
    match random.randrange(3):
        case 0 if ports:
            del ports[random.randrange(len(ports))]
        case 1 if ports:
            ports.append(random.choice(ports))
        case _ if ports:
            random.choice(ports).name = random.choice((*_names(model.graph), *NAMES))


def _nodes(model: ModelProto, random: Random) -> None:
    """Removes, repeats, moves or renames a node, or makes it another operator."""
    nodes, node = model.graph.node, _node(model, random)
    match random.randrange(6):
        case 0 if len(nodes) > 1:
            nodes.remove(node)
        case 1:
            nodes.append(node)
        case 2:
            nodes.insert(random.randint(0, len(nodes)), node)
        case 3:
            node.name = random.choice(NAMES)
        case 4:
            node.domain = random.choice(("ai.onnx", "com.microsoft", "ai.onnx.ml", "\0"))
        case _:
            node.op_type = random.choice((*SUPPORTED_OPERATORS, "If", "Loop", "Shape", "Constant", "Cast", "Det", ""))


def _head(model: ModelProto, random: Random) -> None:
    """Changes what the model says of itself."""
    match random.randrange(5):
        case 0:
            model.ir_version = random.choice(INTEGERS)
        case 1:
            del model.opset_import[:]
        case 2:
            model.opset_import.append(helper.make_opsetid(random.choice(("", "ai.onnx", "x")), random.choice(INTEGERS)))
        case 3:
            model.graph.name = random.choice(NAMES)
        case _:
            for entry in model.opset_import:
                entry.version = random.choice((1, 6, 7, 8, 9, 10, 11, 12, 13, 18, 21, 30))


def _node(model: ModelProto, random: Random) -> NodeProto:
    node: NodeProto = random.choice(model.graph.node) if model.graph.node else model.graph.node.add()
    return node


def _names(graph: GraphProto) -> list[str]:
    """All values of the graph."""
    computed = [name for node in graph.node for name in node.output]
    return [*computed, *(port.name for port in graph.input), *(tensor.name for tensor in graph.initializer)]


MUTATIONS: tuple[Mutation, ...] = (
    _attribute,
    _attribute,
    _attribute,
    _tensor,
    _tensor,
    _computed,
    _function,
    _shape,
    _edge,
    _edge,
    _output,
    _nodes,
    _head,
)
