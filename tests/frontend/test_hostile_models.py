"""Models that nobody exports: built to read other files, to fill the memory, or to exhaust the stack."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnx.external_data_helper import set_external_data

from dlfusion.errors import ModelError, UnsupportedError
from dlfusion.frontend import folding, load
from dlfusion.layers.describe import describe
from dlfusion.passes import clean
from tests.support.onnx_models import make_model, weights


def with_data_in(location: str, *, offset: int | None = None, length: int | None = None) -> ModelProto:
    """A convolution whose weights are in a file."""
    node = helper.make_node("Conv", ["x", "w"], ["y"])
    model = make_model([node], {"x": (1, 3, 8, 8)}, constants={"w": weights(4, 3, 3, 3)})
    tensor = model.graph.initializer[0]
    set_external_data(tensor, location, offset, length)
    tensor.ClearField("raw_data")
    return model


def save(model: ModelProto, folder: Path) -> Path:
    """The file of a model, as it is."""
    folder.mkdir(exist_ok=True)
    (folder / "m.onnx").write_bytes(model.SerializeToString())
    return folder / "m.onnx"


@pytest.mark.parametrize("location", ["../w.bin", "sub/../../w.bin", "{folder}/w.bin", ".."])
def test_data_outside_the_models_folder_is_not_read(location: str, tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(weights(4, 3, 3, 3).tobytes())
    path = save(with_data_in(location.format(folder=tmp_path)), tmp_path / "model")
    with pytest.raises(ModelError, match=r"m\.onnx: the data of w is said to be in .*, outside the model's folder"):
        load(path)


def test_data_of_a_constant_node_outside_the_models_folder_is_not_read(tmp_path: Path) -> None:
    tensor = numpy_helper.from_array(weights(4, 3, 3, 3), "w")
    set_external_data(tensor, "../w.bin")
    tensor.ClearField("raw_data")
    nodes = [helper.make_node("Constant", [], ["w"], value=tensor), helper.make_node("Conv", ["x", "w"], ["y"])]
    path = save(make_model(nodes, {"x": (1, 3, 8, 8)}), tmp_path / "model")
    (tmp_path / "w.bin").write_bytes(weights(4, 3, 3, 3).tobytes())
    with pytest.raises(ModelError, match="outside the model's folder"):
        load(path)


def test_links_to_data_are_followed_within_the_models_folder(tmp_path: Path) -> None:
    path = save(with_data_in("data/w.bin"), tmp_path / "model")
    (path.parent / "data").mkdir()
    link = path.parent / "data" / "w.bin"
    for blob in (tmp_path / "blob", tmp_path / "model" / "blob"):
        blob.write_bytes(weights(4, 3, 3, 3).tobytes())
    link.symlink_to(tmp_path / "blob")
    with pytest.raises(ModelError, match="outside the model's folder"):
        load(path)
    link.unlink()
    link.symlink_to("../blob")
    np.testing.assert_array_equal(load(path).constants["y.weights"], weights(4, 3, 3, 3))


@pytest.mark.parametrize(
    ("offset", "length", "message"),
    [
        (-4, None, "m.onnx is not a valid ONNX model"),
        (None, 8, "the data of w is said to be 8 bytes from byte 0 on, but its shape needs 432"),
        (400, None, "the data of w ends at byte 832 of .*w.bin, which has only 432 bytes"),
        (2**40, 2**40, "the data of w ends at byte 2199023255552 of .*w.bin, which has only 432 bytes"),
    ],
)
def test_data_that_does_not_fit_its_file(offset: int | None, length: int | None, message: str, tmp_path: Path) -> None:
    path = save(with_data_in("w.bin", offset=offset, length=length), tmp_path)
    (tmp_path / "w.bin").write_bytes(weights(4, 3, 3, 3).tobytes())
    with pytest.raises(ModelError, match=message):
        load(path)


@pytest.mark.parametrize("form", [lambda model: model, onnx_ir.from_proto])
def test_data_beside_a_model_of_unknown_place(form: Callable[[ModelProto], object], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"w\.bin beside it, but where it was read from is not known"):
        load(form(with_data_in("w.bin")))  # type: ignore[arg-type]  # either of the two forms


def test_names_that_are_no_text(tmp_path: Path) -> None:
    model = make_model([helper.make_node("Relu", ["x"], ["y"], name="NAME")], {"x": (1, 2)})
    for part in (b"NAME", b"test"):
        path = tmp_path / "m.onnx"
        path.write_bytes(model.SerializeToString().replace(part, b"\xff\xfe\xfd\xfc"))
        with pytest.raises(ModelError, match=r"damaged: a name is b'.xff.xfe.xfd.xfc', no text"):
            load(path)


def test_inputs_and_results_that_no_memory_holds() -> None:
    relu = [helper.make_node("Relu", ["x"], ["y"])]
    with pytest.raises(UnsupportedError, match=r"input x of shape .* has more than 2147483647 elements"):
        load(make_model(relu, {"x": (1, 3, 100_000, 100_000)}))
    enlarge = helper.make_node("Upsample", ["x"], ["y"], name="big", scales=[1.0, 1.0, 1e6, 1e6])
    with pytest.raises(UnsupportedError, match=r"Upsample big: its result of shape .* has more than 2147483647"):
        load(make_model([enlarge], {"x": (1, 1, 4, 4)}, opset=8))


def integers(*values: int) -> NDArray[np.int64]:
    return np.array(values, np.int64)


def reading(computing: NodeProto, **constants: NDArray[Any]) -> ModelProto:
    """A model that adds to its input the largest element of `c`, which a node computes from constants."""
    nodes = [
        computing,
        helper.make_node("Cast", ["c"], ["d"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["d"], ["e"], keepdims=0),
        helper.make_node("Add", ["x", "e"], ["y"]),
    ]
    return make_model(nodes, {"x": (1, 3, 8)}, constants=constants)


ONE = np.ones((1, 1, 4, 4), np.float32)
LARGE: dict[str, tuple[list[str], dict[str, Any], dict[str, NDArray[Any]]]] = {
    "ConstantOfShape": (["s"], {}, {"s": integers(1 << 20, 1 << 20)}),
    "Expand": (["v", "s"], {}, {"v": np.ones(1, np.float32), "s": integers(1 << 15, 1 << 15)}),
    "Tile": (["v", "s"], {}, {"v": np.ones(1, np.float32), "s": integers(1 << 30)}),
    "Pad": (["v", "s"], {}, {"v": np.ones(1, np.float32), "s": integers(0, 1 << 30)}),
    "Range": (["a", "s", "b"], {}, {"a": np.array(0), "s": np.array(1 << 31), "b": np.array(1)}),
    "OneHot": (["i", "s", "v"], {}, {"i": integers(0, 1), "s": np.array(1 << 30), "v": np.ones(2, np.float32)}),
    "MatMul": (["v", "w"], {}, {"v": np.ones((1 << 15, 1), np.float32), "w": np.ones((1, 1 << 14), np.float32)}),
    "Gather": (["v", "i"], {}, {"v": np.ones((1, 1 << 15), np.float32), "i": np.zeros(1 << 14, np.int64)}),
    "Concat": (["v"] * 3000, {"axis": 0}, {"v": np.ones(1 << 17, np.float32)}),
}


@pytest.mark.parametrize("operator", LARGE)
def test_constants_that_no_memory_holds(operator: str) -> None:
    inputs, attributes, constants = LARGE[operator]
    node = helper.make_node(operator, inputs, ["c"], "huge", **attributes)
    with pytest.raises(UnsupportedError, match=rf"{operator} huge computes \d+ elements .* may take 1024 MiB in all"):
        load(reading(node, **constants))


def test_constants_that_double_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folding, "FREE_BYTES", 1 << 20)
    nodes = [helper.make_node("Concat", [f"v{index}"] * 2, [f"v{index + 1}"], axis=0) for index in range(40)]
    nodes += [helper.make_node("ReduceMax", ["v40"], ["m"]), helper.make_node("Add", ["x", "m"], ["y"])]
    with pytest.raises(UnsupportedError, match="the computed constants of this model may take 1 MiB in all"):
        load(make_model(nodes, {"x": (1, 3, 8)}, constants={"v0": np.ones(1, np.float32)}))


@pytest.mark.parametrize(
    ("node", "constants"),
    [
        (helper.make_node("HannWindow", ["n"], ["c"], "slow"), {"n": np.array(1 << 20)}),
        (
            helper.make_node("Resize", ["v", "", "s"], ["c"], "slow", mode="cubic"),
            {"v": ONE, "s": np.array([1, 1, 300, 300], np.float32)},
        ),
        (helper.make_node("Conv", ["v", "w"], ["c"], "slow", pads=[300] * 4), {"v": ONE, "w": ONE}),
        (
            helper.make_node("Einsum", ["v"] * 2, ["c"], "slow", equation="bcij,dekl->"),
            {"v": ONE + np.zeros((99, 99, 4, 4))},
        ),
    ],
)
def test_constants_that_take_long(node: NodeProto, constants: dict[str, NDArray[Any]]) -> None:
    with pytest.raises(UnsupportedError, match=r"slow reads \d+ elements of constants .* at most (32768|1048576) are"):
        load(reading(node, **constants))


def test_constants_of_usual_size_are_computed() -> None:
    positions = np.ones((1, 192, 14, 14), np.float32)
    resize = helper.make_node("Resize", ["v", "", "s"], ["c"], mode="cubic")
    graph = load(reading(resize, v=positions, s=np.array([1, 1, 2, 2], np.float32)))
    assert [node.operator.label for node in graph.nodes] == ["Affine"]


def calling(bodies: list[list[NodeProto]]) -> ModelProto:
    """A model that calls the last of its functions f0, f1, ... from a to b."""
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    call = helper.make_node(f"f{len(bodies) - 1}", ["x"], ["y"], domain="own")
    model = make_model([call], {"x": (1, 3, 8, 8)}, domains=["own"])
    for index, body in enumerate(bodies):
        model.functions.append(helper.make_function("own", f"f{index}", ["a"], ["b"], body, imports))
    return model


def twice(operator: str) -> list[NodeProto]:
    """A function's nodes: it applies another one two times."""
    return [
        helper.make_node(operator, ["a"], ["m"], domain="own"),
        helper.make_node(operator, ["m"], ["b"], domain="own"),
    ]


def test_functions_that_call_one_another_twice() -> None:
    relu = [helper.make_node("Relu", ["a"], ["b"])]
    graph = load(calling([relu, *(twice(f"f{index}") for index in range(3))]))
    assert [node.operator.label for node in graph.nodes] == ["Relu"] * 8
    with pytest.raises(UnsupportedError, match="too often: f0, for one, 1152921504606846976 times"):
        load(calling([relu, *(twice(f"f{index}") for index in range(60))]))


def test_a_call_that_does_not_fit_its_function() -> None:
    model = calling([[helper.make_node("Relu", ["a"], ["b"])]])
    model.functions[0].output.append("a")
    with pytest.raises(ModelError, match="a call of one of the model's functions contradicts the function"):
        load(model)


def test_constants_that_cannot_be_computed() -> None:
    nodes = [helper.make_node("Mul", ["v", "w"], ["c"], "odd"), helper.make_node("Add", ["x", "c"], ["y"])]
    model = make_model(nodes, {"x": (1, 3, 8)}, constants={"v": weights(3, 1), "w": weights(4, 2)})
    with pytest.raises(UnsupportedError, match="Mul odd: it reads nothing but constants, and could not be computed"):
        load(model)
    model.graph.initializer[0].data_type = TensorProto.UNDEFINED
    with pytest.raises((ModelError, UnsupportedError)):
        load(model)


@pytest.mark.parametrize("callee", ["f0", "f1"])
def test_functions_that_call_themselves(callee: str) -> None:
    with pytest.raises(ModelError, match=r"functions call one another in a circle: f\d -> f\d"):
        load(calling([twice(callee), twice("f0")]))


def test_a_newer_operator_set_than_is_known() -> None:
    model = make_model([helper.make_node("Relu", ["x"], ["y"])], {"x": (1, 2)}, opset=1000)
    with pytest.raises(UnsupportedError, match=r"operator set 1000, .* up to \d+\. Update it"):
        load(model)


def test_a_chain_of_thousands_of_nodes() -> None:
    """Nothing that walks over a graph may recurse along it."""
    count = 1500
    nodes = [
        helper.make_node("Sigmoid" if index % 2 else "Tanh", [f"v{index}"], [f"v{index + 1}"]) for index in range(count)
    ]
    model = make_model(nodes, {"v0": (1, 1, 1, 1)}, outputs=(f"v{count}",))
    graph = clean(load(model))
    assert len(graph.nodes) == count
    assert describe(graph).layers


@pytest.mark.parametrize("depth", [20, 1000])
def test_deeply_nested_graphs(depth: int, tmp_path: Path) -> None:
    """Written byte by byte, since protobuf writes no more levels than it reads."""
    model = make_model([helper.make_node("If", ["c"], ["y"])], {"x": (1, 2)}, constants={"c": np.array(True)})
    content = b""
    for _ in range(depth):
        branch = field(1, b"then_branch") + field(6, content) + b"\xa0\x01\x05"  # an attribute: name, graph, type
        content = field(1, field(1, b"c") + field(2, b"y") + field(4, b"If") + field(5, branch))  # a graph of one node
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString() + field(7, content))
    with pytest.raises((ModelError, UnsupportedError)):
        load(tmp_path / "m.onnx")


def field(number: int, content: bytes) -> bytes:
    """A field of a protobuf message that is text or a message itself."""
    length, size = bytearray(), len(content)
    while size > 127:
        length.append(size & 127 | 128)
        size >>= 7
    return bytes([number << 3 | 2, *length, size]) + content


HUGE: dict[str, tuple[NodeProto, dict[str, NDArray[Any]], str]] = {
    "copies": (
        helper.make_node("Tile", ["x", "counts"], ["y"], name="huge"),
        {"counts": np.array([1, 1, 2_000_000_000, 1])},
        "Resize makes at most 4194304 rows",
    ),
    "channels": (
        helper.make_node("Tile", ["x", "counts"], ["y"], name="huge"),
        {"counts": np.array([1, 2_000_000_000, 1, 1])},
        "it makes 2000000000 channels of 1; at most 4194304",
    ),
    "rows": (
        helper.make_node("Resize", ["x", "", "", "sizes"], ["y"], name="huge"),
        {"sizes": np.array([1, 1, 2_000_000_000, 1])},
        "Resize makes at most 4194304 rows",
    ),
    "parts": (
        helper.make_node("Split", ["x"], ["y"], name="huge", axis=3, num_outputs=2_000_000_000),
        {},
        "cuts into 2000000000 parts; at most 65536",
    ),
    "more parts than elements": (
        helper.make_node("Split", ["x"], ["y"], name="huge", axis=3, num_outputs=2),
        {},
        r"axis 3 of \(1, 1, 1, 1\) cannot be split into 2 parts",
    ),
    "sizes": (
        helper.make_node("Split", ["x", "sizes"], ["y", "z"], name="huge", axis=3),
        {"sizes": np.zeros(70_000, np.int64)},
        "input 1 has 70000 numbers; at most 65536",
    ),
    "scales": (
        helper.make_node("Resize", ["x", "", "scales"], ["y"], name="huge"),
        {"scales": np.ones(70_000, np.float32)},
        "input 2 has 70000 numbers; at most 65536",
    ),
    "indices": (
        helper.make_node("Gather", ["x", "indices"], ["y"], name="huge"),
        {"indices": np.zeros(2_000_000, np.int64)},
        "it takes 2000000 elements one by one; at most 1048576",
    ),
}


@pytest.mark.parametrize("case", HUGE)
def test_huge_results_are_refused_before_anything_of_their_size_is_made(case: str) -> None:
    node, constants, message = HUGE[case]
    with pytest.raises((ModelError, UnsupportedError), match=f"{node.op_type} huge.*{message}"):
        load(make_model([node], {"x": (1, 1, 1, 1)}, constants=constants, opset=18))


def test_constants_joined_to_a_large_activation_are_refused() -> None:
    node = helper.make_node("Concat", ["x", "constant"], ["y"], name="huge", axis=1)
    model = make_model([node], {"x": (1, 10**8, 1, 1)}, constants={"constant": weights(1, 1, 1, 1)})
    with pytest.raises(UnsupportedError, match="joins constants and activations to 100000001 elements"):
        load(model)


@pytest.mark.parametrize("kind", ["bytes", "texts"])
def test_damaged_statistics_of_constants(kind: str) -> None:
    """What only BatchNormalization reads is computed on import, like all other constants."""
    names = ["gain", "none", "mean", "variance"]
    constants = {"stored": weights(4, 3, 2, 2), **{name: weights(3) for name in names}}
    nodes = [
        helper.make_node("BatchNormalization", ["stored", *names], ["weights"]),
        helper.make_node("Conv", ["x", "weights"], ["y"]),
    ]
    model = make_model(nodes, {"x": (1, 3, 5, 5)}, constants=constants)
    damaged = next(tensor for tensor in model.graph.initializer if tensor.name == "mean")
    if kind == "bytes":
        damaged.raw_data = damaged.raw_data[:-1]
    else:
        damaged.CopyFrom(numpy_helper.from_array(np.array(["a", "b", "c"], object), "mean"))
    with pytest.raises(ModelError, match="constant"):
        load(model)
