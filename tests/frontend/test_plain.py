"""Models that are read without preparation become the very graph that preparation gives."""

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import onnx_ir
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from dlfusion import zoo
from dlfusion.errors import UnsupportedError
from dlfusion.frontend import load
from dlfusion.frontend.plain import plain_model
from tests.support.onnx_models import make_model, weights

PLAIN: Mapping[str, Mapping[str, Any]] = {
    "alexnet": {"width_factor": 0.1},
    "resnet18": {"width_factor": 0.1, "size": 64},
    "mobilenetv2": {"width_factor": 0.2, "size": 64},
    "fsrcnn": {"size": 16, "width": 16},
    "dncnn": {"size": 16},
}


def plain_proto() -> ModelProto:
    """A convolution and a rectifier behind it, exported as usual."""
    return make_model(
        [
            helper.make_node("Conv", ["x", "w"], ["c"], name="conv", auto_pad="SAME_UPPER"),
            helper.make_node("Relu", ["c"], ["y"], name="relu"),
        ],
        {"x": (1, 3, 8, 8)},
        constants={"w": weights(4, 3, 3, 3)},
    )


@pytest.mark.parametrize("name", PLAIN)
def test_the_graph_is_the_same(name: str) -> None:
    proto = zoo.build(name, **PLAIN[name])
    assert plain_model(proto) is not None
    plain, prepared = load(proto), load(onnx_ir.from_proto(proto))
    assert plain.digest == prepared.digest
    assert (plain.name, plain.inputs, plain.outputs) == (prepared.name, prepared.inputs, prepared.outputs)
    assert (plain.nodes, plain.shapes) == (prepared.nodes, prepared.shapes)


def test_plain_models_need_no_packages_for_preparation(tmp_path: Path) -> None:
    path = tmp_path / "x.onnx"
    path.write_bytes(plain_proto().SerializeToString())
    code = (
        "import sys; from dlfusion.frontend import load\n"
        f"load({str(path)!r}); print(sorted({{'onnx_ir', 'onnxscript', 'sympy'}} & set(sys.modules)))"
    )
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert printed.strip() == "[]"


def test_all_unsupported_nodes_of_a_plain_model_are_listed() -> None:
    proto = plain_proto()
    proto.graph.node[0].CopyFrom(helper.make_node("MatMul", ["x", "x"], ["c"], name="first"))
    proto.graph.node[1].CopyFrom(helper.make_node("MatMul", ["x", "c"], ["y"], name="second"))
    assert plain_model(proto) is not None
    with pytest.raises(UnsupportedError, match=r"2 nodes are not supported:\n.*first.*\n.*second"):
        load(proto)


def _open_dimension(proto: ModelProto) -> None:
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"


def _unnamed(proto: ModelProto) -> None:
    proto.graph.node[0].name = ""


def _other_operator(proto: ModelProto) -> None:
    proto.graph.node[1].op_type = "Identity"


def _other_domain(proto: ModelProto) -> None:
    proto.graph.node[1].domain = "com.example"


def _second_output(proto: ModelProto) -> None:
    proto.graph.node[1].output.append("mask")


def _tensor_attribute(proto: ModelProto) -> None:
    attribute = helper.make_attribute("value", numpy_helper.from_array(weights(1)))
    proto.graph.node[1].attribute.append(attribute)


def _out_of_order(proto: ModelProto) -> None:
    nodes = [proto.graph.node[1], proto.graph.node[0]]
    moved = [type(node).FromString(node.SerializeToString()) for node in nodes]
    del proto.graph.node[:]
    proto.graph.node.extend(moved)


def _constant_node(proto: ModelProto) -> None:
    proto.graph.node.insert(0, helper.make_node("Relu", ["w"], ["z"], name="folded"))
    proto.graph.output.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, None))


def _unread_node(proto: ModelProto) -> None:
    proto.graph.node.append(helper.make_node("Relu", ["y"], ["z"], name="unread"))


def _defined_twice(proto: ModelProto) -> None:
    proto.graph.node.append(helper.make_node("Relu", ["c"], ["y"], name="again"))


def _declared_constant(proto: ModelProto) -> None:
    proto.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [4, 3, 3, 3]))


def _other_type(proto: ModelProto) -> None:
    proto.graph.initializer[0].data_type = TensorProto.INT32


def _missing_bytes(proto: ModelProto) -> None:
    proto.graph.initializer[0].raw_data = proto.graph.initializer[0].raw_data[:-4]


def _outside_the_file(proto: ModelProto) -> None:
    proto.graph.initializer[0].data_location = TensorProto.EXTERNAL


def _old_opset(proto: ModelProto) -> None:
    proto.opset_import[0].version = 6


@pytest.mark.parametrize(
    "change",
    [
        _open_dimension,
        _unnamed,
        _other_operator,
        _other_domain,
        _second_output,
        _tensor_attribute,
        _out_of_order,
        _constant_node,
        _unread_node,
        _defined_twice,
        _declared_constant,
        _other_type,
        _missing_bytes,
        _outside_the_file,
        _old_opset,
    ],
)
def test_anything_unusual_is_left_to_preparation(change: Callable[[ModelProto], None]) -> None:
    proto = plain_proto()
    assert plain_model(proto) is not None
    change(proto)
    assert plain_model(proto) is None
