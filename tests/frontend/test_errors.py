"""Every message that importing can end with says what, where, the numbers and what to do."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir
import pytest
from onnx import ModelProto, TensorProto, helper

from dlfusion import zoo
from dlfusion.errors import ModelError, UnsupportedError
from dlfusion.frontend import load
from tests.support.onnx_models import assert_matches_onnx_runtime, make_model, weights


def small_model() -> ModelProto:
    return zoo.build("espcn", size=8, width=8, width_factor=0.1)


def conv_model(*shape: int | str) -> ModelProto:
    return make_model([helper.make_node("Conv", ["x", "w"], ["y"])], {"x": shape}, constants={"w": weights(4, 3, 3, 3)})


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"cannot read .*absent\.onnx: No such file"):
        load(tmp_path / "absent.onnx")


@pytest.mark.parametrize("content", [b"", b"no model at all, but text", b"\x00" * 100, bytes(range(256))])
def test_other_content(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"x\.onnx.* is not an ONNX model"):
        load(path)


def test_truncated_file(tmp_path: Path) -> None:
    path = tmp_path / "x.onnx"
    content = small_model().SerializeToString()
    for length in range(1, len(content), len(content) // 50):
        path.write_bytes(content[:length])
        with pytest.raises(ModelError, match=r"x\.onnx"):
            load(path)


def test_external_data(tmp_path: Path) -> None:
    model, path = conv_model(1, 3, 8, 8), tmp_path / "x.onnx"
    graph = load(model)
    onnx.save_model(model, path, save_as_external_data=True, location="x.data", size_threshold=0)
    assert load(path).digest == graph.digest
    assert load(str(path)).digest == graph.digest
    data = tmp_path / "x.data"
    data.write_bytes(data.read_bytes()[:100])
    with pytest.raises(ModelError, match=r"the data of w ends at byte \d+ of .*x\.data, which has only 100 bytes"):
        load(path)
    data.unlink()
    with pytest.raises(ModelError, match=r"the data of w is stored in .*x\.data, which does not exist"):
        load(path)


def test_model_objects_are_not_changed() -> None:
    proto = small_model()
    before = proto.SerializeToString()
    graph = load(proto)
    assert proto.SerializeToString() == before
    model = onnx_ir.from_proto(proto)
    assert load(model).digest == graph.digest
    assert load(model).digest == graph.digest
    assert (
        onnx_ir.to_proto(model).SerializeToString() == onnx_ir.to_proto(onnx_ir.from_proto(proto)).SerializeToString()
    )


def test_open_dimensions() -> None:
    model = conv_model("batch", 3, "height", 8)
    with pytest.raises(ModelError, match="input x has open dimensions: it is batch x 3 x height x 8") as caught:
        load(model)
    assert "--shape x=1,3,224,8" in str(caught.value)
    assert load(model, {"x": (2, 3, 9, 8)}).outputs[0].array_shape == (2, 4, 7, 6)
    assert_matches_onnx_runtime(model, {"x": (2, 3, 9, 8)})


@pytest.mark.parametrize("shape", [(1, 3, 8), (1, 4, 8, 8), (0, 3, 8, 8), (1, 3, 8, 9)])
def test_shapes_that_do_not_fit(shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match=r"input x is batch x 3 x height x 8; the shape .* does not fit it"):
        load(conv_model("batch", 3, "height", 8), {"x": shape})


def test_sizes_that_are_no_integers() -> None:
    sizes: Any = (1, 3, 8.5, 8)
    with pytest.raises(ModelError, match=r"the shape 1,3,8\.5,8 does not fit it\. Give as many sizes"):
        load(conv_model("batch", 3, "height", 8), {"x": sizes})
    sizes = np.array([1, 3, 8, 8])
    assert load(conv_model("batch", 3, "height", 8), {"x": sizes}).inputs[0].array_shape == (1, 3, 8, 8)


def test_shape_of_unknown_input() -> None:
    with pytest.raises(ModelError, match="a shape is given for z, but the model's inputs are: x"):
        load(conv_model(1, 3, 8, 8), {"z": (1, 3, 8, 8)})


def test_stale_shapes_of_intermediate_values_are_ignored() -> None:
    model = make_model(
        [helper.make_node("Relu", ["x"], ["r"]), helper.make_node("Flatten", ["r"], ["y"])], {"x": ("n", 2, 3, 4)}
    )
    model.graph.value_info.append(helper.make_tensor_value_info("r", TensorProto.FLOAT, [7, 2, 3, 4]))
    assert load(model, {"x": (5, 2, 3, 4)}).outputs[0].array_shape == (5, 24)


@pytest.mark.parametrize("kind", [TensorProto.UINT8, TensorProto.FLOAT16, TensorProto.DOUBLE])
def test_inputs_of_other_types(kind: int) -> None:
    model = conv_model(1, 3, 8, 8)
    model.graph.input[0].type.tensor_type.elem_type = kind
    with pytest.raises(UnsupportedError, match=f"input x is {TensorProto.DataType.Name(kind)}"):
        load(model)


def test_old_operator_set() -> None:
    model = conv_model(1, 3, 8, 8)
    model.opset_import[0].version = 6
    with pytest.raises(UnsupportedError, match="operator set 6; 7 is the oldest"):
        load(model)


def test_all_unsupported_nodes_are_listed() -> None:
    nodes = [
        helper.make_node("Hardmax", ["x"], ["a"], name="first"),
        helper.make_node("Relu", ["a"], ["b"], name="fine"),
        helper.make_node("Bernoulli", ["b"], ["c"]),
        helper.make_node("Celu", ["c"], ["d"], name="third", alpha=-1.0),
        helper.make_node("Fancy", ["d"], ["e"], name="fourth", domain="com.example"),
        helper.make_node("Gelu", ["e"], ["y"], name="fifth", domain="com.microsoft"),
    ]
    model = make_model(nodes, {"x": (1, 3, 8, 8)}, domains=("com.example", "com.microsoft"))
    with pytest.raises(UnsupportedError) as caught:
        load(model)
    assert str(caught.value).splitlines() == [
        "5 nodes are not supported:",
        "  Hardmax first: the operator is not supported",
        "  Bernoulli (no name), which computes c: the operator is not supported",
        "  Celu third: alpha is -1.0; only positive ones are supported",
        "  Fancy fourth: the operator of domain com.example is not supported",
        "  Gelu fifth: the operator of domain com.microsoft is not supported",
        "`dlfusion ops` lists what is; change the model, or export it without these.",
    ]


def test_unused_unsupported_nodes_do_not_matter() -> None:
    nodes = [helper.make_node("Hardmax", ["x"], ["a"]), helper.make_node("Relu", ["x"], ["y"])]
    assert len(load(make_model(nodes, {"x": (1, 2)})).nodes) == 1


X = {"x": (1, 4, 6, 6)}
ATTRIBUTES: list[tuple[str, Sequence[str], dict[str, Any], Mapping[str, Any], int, str]] = [
    ("Conv", ["x", "x"], {}, {}, 17, "input x is computed at run time"),
    ("AveragePool", ["x"], {"kernel_shape": [2, 2, 2]}, {}, 17, "it has 2 spatial dimensions, its kernel 3"),
    ("AveragePool", ["x"], {"kernel_shape": [2, 2], "pads": [0, 2**40, 0, 0]}, {}, 17, "more than 1048576 are not"),
    (
        "BatchNormalization",
        ["x", "c", "c", "c", "c"],
        {"training_mode": 1},
        {"c": weights(4)},
        15,
        "training_mode is 1",
    ),
    ("Cast", ["x"], {"to": TensorProto.INT32}, {}, 17, "converts to INT32"),
    ("Dropout", ["x", "", "c"], {}, {"c": np.array(True)}, 13, "training_mode is true"),
    ("Resize", ["x", "", "c"], {"mode": "quintic"}, {"c": np.ones(4, np.float32)}, 17, "mode is quintic"),
    (
        "Resize",
        ["x", "roi", "c"],
        {"coordinate_transformation_mode": "tf_crop_and_resize"},
        {"c": np.ones(4, np.float32), "roi": np.array([0, 0, 0, 0.7, 1, 1, 1, 0.2], np.float32)},
        17,
        "its region .* is turned round",
    ),
    (
        "Resize",
        ["x", "roi", "c"],
        {"coordinate_transformation_mode": "tf_crop_and_resize"},
        {"c": np.ones(4, np.float32), "roi": np.array([0, 0, 1.1, 0, 1, 1, 2, 1], np.float32)},
        17,
        "shows nothing of the map",
    ),
    ("Slice", ["x", "c", "c"], {}, {"c": np.array([1])}, 17, r"it takes nothing of \(1, 4, 6, 6\)"),
    ("Slice", ["x", "x", "x"], {}, {}, 17, "input x is computed at run time"),
    ("Resize", ["x", "", "c"], {}, {"c": np.array([1, 2, 1, 2], np.float32)}, 17, "only maps can be resized"),
    ("Add", ["x", "c"], {}, {"c": weights(2, 4, 1, 1)}, 17, r"broadcast to \(2, 4, 6, 6\), but none has all 2 x 4"),
    ("Celu", ["x"], {"alpha": -1.0}, {}, 17, r"alpha is -1\.0; only positive ones"),
    ("Gelu", ["x"], {"approximate": "sigmoid"}, {}, 20, "approximate is sigmoid; none and tanh"),
    ("MatMul", ["x", "x"], {}, {}, 17, "as attention does; one of them must be constant or a vector"),
]


@pytest.mark.parametrize(("operator", "inputs", "attributes", "constants", "opset", "message"), ATTRIBUTES)
def test_unsupported_forms(
    operator: str,
    inputs: Sequence[str],
    attributes: dict[str, Any],
    constants: Mapping[str, Any],
    opset: int,
    message: str,
) -> None:
    node = helper.make_node(operator, inputs, ["y"], name="here", **attributes)
    with pytest.raises(UnsupportedError, match=f"{operator} here: .*{message}"):
        load(make_model([node], X, constants=constants, opset=opset))


def test_numbers_that_are_none_or_of_another_kind() -> None:
    none, fractions = np.zeros(0, np.float32), np.array([0.5, 2], np.float32)
    for node, constant, message in (
        (helper.make_node("Clip", ["x", "c"], ["y"], name="here"), none, "input 1 has 0 numbers; it must have one"),
        (
            helper.make_node("Tile", ["x", "c"], ["y"], name="here"),
            fractions,
            "input 1 is float32; it must hold integers",
        ),
    ):
        with pytest.raises(ModelError, match=f"{node.op_type} here is inconsistent: its {message}"):
            load(make_model([node], {"x": (1, 2)}, constants={"c": constant}))


@pytest.mark.parametrize("opset", [10, 17])
def test_only_maps_are_resized(opset: int) -> None:
    names = ["x", "scales"] if opset == 10 else ["x", "", "scales"]
    node = helper.make_node("Resize", names, ["y"], name="here")
    model = make_model([node], {"x": (2, 6)}, constants={"scales": np.array([1, 2], np.float32)}, opset=opset)
    with pytest.raises(UnsupportedError, match=r"it resizes \(2, 6\) to \(2, 12\); only maps can be resized"):
        load(model)


def test_used_second_output() -> None:
    pool = helper.make_node("MaxPool", ["x"], ["y", "indices"], name="here", kernel_shape=[2, 2])
    model = make_model([pool], X, outputs=("y", "indices"))
    with pytest.raises(UnsupportedError, match="MaxPool here: its additional output indices is used"):
        load(model)


def test_outputs_of_split_that_are_empty_or_too_many() -> None:
    split = helper.make_node("Split", ["x", "sizes"], ["y", "z"], name="here", axis=1)
    model = make_model([split], X, constants={"sizes": np.array([4, 0])}, outputs=("y", "z"))
    with pytest.raises(UnsupportedError, match="Split here: its output z is empty"):
        load(model)
    model = make_model([split], X, constants={"sizes": np.array([4])}, outputs=("y", "z"))
    with pytest.raises(ModelError, match=r"parts of \[4\] do not make up axis 1 of \(1, 4, 6, 6\)"):
        load(model)


def test_what_follows_outputs_of_unsupported_nodes_is_examined_too() -> None:
    nodes = [
        helper.make_node("TopK", ["x", "k"], ["a", "b"], name="first"),
        helper.make_node("Hardmax", ["a"], ["y"], name="second"),
    ]
    with pytest.raises(UnsupportedError, match="2 nodes are not supported"):
        load(make_model(nodes, X, constants={"k": np.array([2])}))


def test_shapes_that_contradict_the_operator() -> None:
    with pytest.raises(ModelError, match=r"Conv .* is inconsistent: Conv.* weights of shape"):
        load(conv_model(1, 4, 8, 8))


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"pads": [1, 1]}, r"pads is \[1, 1\], but must have 4 numbers"),
        ({"strides": [2]}, r"strides is \[2\], but must have 2 numbers"),
        ({"strides": [0, 1]}, "strides must be at least 1, but is 0 x 1"),
        ({"strides": 2}, "the attribute strides is INT, but must be INTS"),
        ({"group": 3}, "do not divide into 3 groups"),
    ],
)
def test_attributes_that_no_model_may_have(attributes: dict[str, Any], message: str) -> None:
    node = helper.make_node("Conv", ["x", "w"], ["y"], name="here", **attributes)
    with pytest.raises(ModelError, match=f"Conv here is inconsistent: .*{message}"):
        load(make_model([node], X, constants={"w": weights(4, 4, 1, 1)}))


@pytest.mark.parametrize(
    ("operator", "attributes", "axes"),
    [
        ("Concat", {"axis": 4}, None),
        ("Concat", {"axis": -5}, None),
        ("Flatten", {"axis": 5}, None),
        ("Split", {"axis": 4}, None),
        ("Softmax", {"axis": 4}, None),
        ("Unsqueeze", {}, [6]),
        ("ReduceMax", {"axes": [2, 7]}, None),
    ],
)
def test_axes_that_do_not_exist(operator: str, attributes: dict[str, Any], axes: list[int] | None) -> None:
    inputs, constants = ["x", "x"] if operator == "Concat" else ["x"], {}
    if axes is not None:
        inputs, constants = ["x", "axes"], {"axes": np.array(axes, np.int64)}
    node = helper.make_node(operator, inputs, ["y"], name="here", **attributes)
    with pytest.raises(
        ModelError, match=rf"{operator} here is inconsistent: axis -?\d does not exist: there are \d axes"
    ):
        load(make_model([node], X, constants=constants))


def test_axes_that_are_named_twice() -> None:
    node = helper.make_node("Unsqueeze", ["x", "axes"], ["y"], name="here")
    with pytest.raises(ModelError, match=r"Unsqueeze here is inconsistent: axes \[0, -5\] name one axis twice"):
        load(make_model([node], {"x": (2, 3, 4)}, constants={"axes": np.array([0, -5])}))


def test_value_that_nothing_defines() -> None:
    with pytest.raises(ModelError, match="Relu here reads ghost, which no node or input of the model defines"):
        load(make_model([helper.make_node("Relu", ["ghost"], ["y"], name="here")], X))


def test_circular_nodes() -> None:
    nodes = [helper.make_node("Add", ["x", "y"], ["a"]), helper.make_node("Relu", ["a"], ["y"])]
    with pytest.raises(ModelError, match="circle"):
        load(make_model(nodes, X))


def test_constant_output() -> None:
    model = make_model([helper.make_node("Relu", ["c"], ["y"])], X, constants={"c": weights(2)})
    with pytest.raises(UnsupportedError, match="output y is constant"):
        load(model)
