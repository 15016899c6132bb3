"""Adapters of other engines: what they compute where they are installed, and what can be said without them."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from dlfusion import driver
from dlfusion.bench.engines import PEERS, installed_peers, named_peers, parse_peers
from dlfusion.bench.engines.adapter import Adapter, CannotRunError, Task, run_converter, shaped
from dlfusion.bench.engines.compiled import Compiled
from dlfusion.bench.engines.ncnn import Ncnn
from dlfusion.bench.engines.onnx_runtime import outputs
from dlfusion.bench.engines.openvino import OpenVino
from dlfusion.bench.turns import EngineProcess, Start, convert
from dlfusion.errors import InputError
from dlfusion.graph.graph import Array
from dlfusion.machine.host import usable_cpus
from dlfusion.runtime.program import ArrayPort
from dlfusion.targets.cpu.precision import Precision
from tests.support.onnx_models import make_model, weights

SHAPE = (1, 3, 17, 19)
TASK = Task(Path("m.onnx"), Path("m.onnx"), (ArrayPort("x", SHAPE),), (ArrayPort("y", (1, 2)),), cores=2)


@pytest.fixture
def task(tmp_path: Path) -> Task:
    """A model with two inputs and two outputs of different shapes, whose names sort the other way round."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["c", "b"], ["z"]),
        helper.make_node("GlobalAveragePool", ["z"], ["a"]),
    ]
    ports = {"x": SHAPE, "b": (1, 8, 17, 19)}
    path = tmp_path / "two.onnx"
    onnx.save(make_model(nodes, ports, constants={"w": weights(8, 3, 3, 3)}, outputs=("z", "a")), path)
    found = (ArrayPort("z", (1, 8, 17, 19)), ArrayPort("a", (1, 8, 1, 1)))
    return Task(path, path, tuple(ArrayPort(name, shape) for name, shape in ports.items()), found)


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_a_peer_gives_what_onnx_runtime_gives(peer: type[Adapter], task: Task, tmp_path: Path) -> None:
    if not peer.is_installed():
        pytest.skip(f"{peer.title} is not installed")
    folder = tmp_path / "converted"
    folder.mkdir()
    file = tmp_path / "outputs.npz"
    ready = Task(task.model, convert(peer, task, folder), task.inputs, task.outputs)
    with EngineProcess(Start(peer, ready, usable_cpus()[:1], file)) as running:
        running.take_turn()
        assert running.samples
    inputs = _inputs(task)
    with np.load(file) as stored:
        for index, expected in enumerate(outputs(task.model, task.inputs, inputs)):
            np.testing.assert_allclose(stored[f"arr_{index}"], expected, atol=1e-4)


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_a_peer_runs_on_the_shapes_that_an_open_model_is_given(peer: type[Adapter], tmp_path: Path) -> None:
    if not peer.is_installed():
        pytest.skip(f"{peer.title} is not installed")
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])]
    path = tmp_path / "open.onnx"
    onnx.save(make_model(nodes, {"x": ("n", 3, "h", "w")}, constants={"w": weights(8, 3, 3, 3)}), path)
    task = Task(path, path, (ArrayPort("x", SHAPE),), (ArrayPort("y", (1, 8, 17, 19)),))
    folder = tmp_path / "converted"
    folder.mkdir()
    file = tmp_path / "outputs.npz"
    ready = Task(path, convert(peer, task, folder), task.inputs, task.outputs)
    with EngineProcess(Start(peer, ready, usable_cpus()[:1], file)), np.load(file) as stored:
        (expected,) = outputs(path, task.inputs, _inputs(task))
        np.testing.assert_allclose(stored["arr_0"], expected, atol=1e-4)


def _inputs(task: Task) -> list[Array]:
    generator = np.random.default_rng(0)
    return [generator.standard_normal(port.shape, np.float32) for port in task.inputs]


def test_a_compiled_model_is_an_engine_too(task: Task, tmp_path: Path) -> None:
    inputs = _inputs(task)
    with driver.compile(str(task.model), cores=1, folder=tmp_path / "compiled") as compiled:
        ours = Task(task.model, compiled.folder, task.inputs, task.outputs)
        session = Compiled.load(ours, inputs)
        for found, expected in zip(session.arrays(session.run()), compiled.outputs(*inputs), strict=True):
            np.testing.assert_array_equal(found, expected)


def test_peers_are_named_in_the_order_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [peer.name for peer in PEERS] == ["onnxruntime", "openvino", "ncnn", "mnn"]
    assert set(installed_peers()) <= set(PEERS)
    for peer in PEERS:
        monkeypatch.setattr(peer, "packages", ("numpy",))
    assert [peer.name for peer in named_peers(["mnn", "onnxruntime", "mnn"])] == ["mnn", "onnxruntime"]
    assert [peer.name for peer in parse_peers("mnn, onnxruntime,")] == ["mnn", "onnxruntime"]
    monkeypatch.setattr(Ncnn, "packages", ("ncnn_of_nowhere", "numpy"))
    with pytest.raises(
        InputError, match=r"ncnn needs ncnn_of_nowhere, which is not installed: pip install 'dlfusion\[ncnn\]'"
    ):
        named_peers(["ncnn"])


def test_precision_falls_back_to_fp32_where_an_engine_has_no_other() -> None:
    assert {peer.name: peer.precision(Precision.BF16) for peer in PEERS} == {
        "onnxruntime": "fp32", "openvino": "bf16", "ncnn": "bf16", "mnn": "fp32"
    }  # fmt: skip
    assert OpenVino.settings(TASK)["INFERENCE_PRECISION_HINT"] == "f32"
    assert all("2" in peer.settings(TASK).values() for peer in PEERS)


def test_ncnn_refuses_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ncnn, "packages", ())
    batch = Task(TASK.model, TASK.file, (ArrayPort("x", (2, 3, 8, 8)),), TASK.outputs)
    with pytest.raises(CannotRunError, match="input x has 2 images"):
        Ncnn.convert(batch, tmp_path)


def test_outputs_get_the_models_shapes_or_are_refused() -> None:
    (array,) = shaped([np.zeros(6, np.float32)], [ArrayPort("y", (1, 2, 3))])
    assert array.shape == (1, 2, 3)
    with pytest.raises(CannotRunError, match="it gives 0 outputs, the model has 1"):
        shaped([], [ArrayPort("y", (1,))])
    with pytest.raises(CannotRunError, match=r"its output y has shape \[5\], the model's \[1, 2, 3\]"):
        shaped([np.zeros(5, np.float32)], [ArrayPort("y", (1, 2, 3))])


def test_a_converter_that_fails_or_writes_nothing_is_quoted(tmp_path: Path) -> None:
    with pytest.raises(CannotRunError, match="sh ended with status 4: no such layer"):
        run_converter(["sh", "-c", "echo first; echo no such layer; exit 4"], tmp_path, tmp_path / "made")
    with pytest.raises(CannotRunError, match="ended with status 0"):
        run_converter(["sh", "-c", "true"], tmp_path, tmp_path / "made")
    made = run_converter(["sh", "-c", "echo model > made"], tmp_path, tmp_path / "made")
    assert made.read_text() == "model\n"
