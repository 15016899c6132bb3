"""The commands end to end on a tiny model: what they print, what they write, and that the numbers are right."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from dlfusion.bench.engines.mnn import Mnn
from dlfusion.bench.engines.onnx_runtime import OnnxRuntime
from dlfusion.cli.console import EXIT_USER_ERROR
from dlfusion.cli.inputs import IMAGENET_DEVIATION, IMAGENET_MEAN, image_array
from dlfusion.errors import InputError
from tests.cli.conftest import CLASSES
from tests.cli.invoke import invoke, invoke_json
from tests.support.compilers import shell_call


def test_compile_writes_a_complete_folder(compiled: Path) -> None:
    names = {path.name for path in compiled.iterdir()}
    assert names >= {"model.so", "dlfusion.h", "weights.bin", "plan.json", "model.json", "sources", "include"}
    assert [path.name for path in compiled.parent.iterdir()] == [compiled.name]


def test_compile_as_json_states_check_and_times(model: Path, tmp_path: Path) -> None:
    document = invoke_json("compile", model, "-o", tmp_path / "out", "--strategy", "baseline")
    assert document["folder"] == str(tmp_path / "out")
    assert document["largest_relative_difference"] <= 1e-4
    assert document["checked_against"] == "ONNX Runtime"
    rows = document["plan"]["rows"]
    assert len(rows) == 3
    assert all(row["cores"] == 1 and row["seconds"] > 0 for row in rows)


def test_compile_says_how_weights_are_stored(model: Path, tmp_path: Path) -> None:
    document = invoke_json("compile", model, "-o", tmp_path / "out", "--precision", "bf16")
    assert document["precision"] == "bf16"
    assert document["largest_relative_difference"] < 2e-2
    result = invoke("compile", model, "-o", tmp_path / "out", "--precision", "bf16")
    assert "Computed in bf16 where that is faster" in " ".join(result.output.split())


def test_compile_without_check_measures_nothing(model: Path, tmp_path: Path) -> None:
    document = invoke_json("compile", model, "-o", tmp_path / "out", "--no-check")
    assert document["largest_relative_difference"] is None
    assert all(row["seconds"] is None for row in document["plan"]["rows"])


def test_run_gives_what_onnx_runtime_gives(compiled: Path, model: Path, image: Path, tmp_path: Path) -> None:
    result = invoke("run", compiled, "--input", image, "-o", tmp_path / "y.npy")
    assert result.exit_code == 0, result.output
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    expected = session.run(None, {"x": np.load(image)})[0]
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), expected, atol=1e-4 * np.abs(expected).max())


def test_run_shows_the_five_best_classes_in_order(compiled: Path, image: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join(f"label {index}" for index in range(CLASSES)))
    assert invoke("run", compiled, "-i", image, "-o", tmp_path / "y.npz").exit_code == 0
    scores = np.load(tmp_path / "y.npz")["y"].reshape(-1)
    (output,) = invoke_json("run", compiled, "-i", image, "--labels", labels)["outputs"]
    (top,) = output["top"]
    assert [entry["class"] for entry in top] == list(np.argsort(-scores)[:5])
    assert [entry["label"] for entry in top] == [f"label {entry['class']}" for entry in top]
    assert f"label {top[0]['class']}" in invoke("run", compiled, "-i", image, "--labels", labels).stdout


def test_run_compiles_a_model_on_the_way_and_reads_archives(model: Path, image: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "named.npz", x=np.load(image))
    np.savez(tmp_path / "unnamed.npz", np.load(image))
    named, unnamed = (invoke_json("run", model, "-i", tmp_path / f"{name}.npz") for name in ("named", "unnamed"))
    assert named == unnamed


def test_run_takes_images(compiled: Path, tmp_path: Path) -> None:
    Image.new("RGB", (64, 48), (200, 100, 50)).save(tmp_path / "photo.png")
    assert invoke("run", compiled, "-i", tmp_path / "photo.png").exit_code == 0


def test_images_are_normalized_and_cropped_in_the_middle() -> None:
    picture = Image.new("RGB", (400, 200), (255, 0, 0))
    picture.paste((0, 0, 255), (100, 0, 300, 200))
    array = image_array(picture, (2, 3, 32, 32))
    blue = (np.array([0, 0, 1]) - np.array(IMAGENET_MEAN)) / np.array(IMAGENET_DEVIATION)
    assert array.shape == (2, 3, 32, 32)
    np.testing.assert_allclose(array, np.broadcast_to(blue[:, None, None], array.shape), rtol=1e-5)


def test_one_channel_models_get_luminance_of_the_whole_image() -> None:
    gray = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8) * 4)
    np.testing.assert_allclose(image_array(gray, (1, 1, 8, 8))[0, 0], np.arange(64).reshape(8, 8) * 4 / 255, rtol=1e-6)


def test_images_do_not_fit_other_inputs() -> None:
    with pytest.raises(InputError, match="1 x 10"):
        image_array(Image.new("RGB", (8, 8)), (1, 10))


def test_explain_agrees_with_the_saved_plan_and_markdown(model: Path, tmp_path: Path) -> None:
    plan_file = tmp_path / "plan.json"
    document = invoke_json("explain", model, "--strategy", "fuse-all", "--cores", "1", "--save-plan", plan_file)
    plan = json.loads(plan_file.read_text())
    assert len(plan["blocks"]) == len(document["rows"])
    assert invoke_json("explain", model, "--plan", plan_file)["rows"] == document["rows"]
    table = invoke("explain", model, "--plan", plan_file, "--markdown").stdout.splitlines()
    assert table[0].startswith("| block | layers |")
    assert len([line for line in table if line.startswith("|")]) == 2 + len(document["rows"])


def test_explain_shows_what_an_edit_of_a_plan_changes(model: Path, tmp_path: Path) -> None:
    plan_file = tmp_path / "plan.json"
    before = invoke_json("explain", model, "--strategy", "baseline", "--save-plan", plan_file)
    plan = json.loads(plan_file.read_text())
    # As by hand: two blocks joined to one on two cores; what need not be said is left out.
    plan |= {"strategy": "by hand", "blocks": [{"first": 0, "last": 1, "cores": 2}, plan["blocks"][2]]}
    plan_file.write_text(json.dumps(plan, indent=4))
    after = invoke_json("explain", model, "--plan", plan_file)
    assert after["strategy"] == "by hand"
    assert [(row["first"], row["last"], row["cores"]) for row in after["rows"]] == [(0, 1, 2), (2, 2, 1)]
    assert after["rows"][0]["layers"] == [*before["rows"][0]["layers"], *before["rows"][1]["layers"]]
    assert after["rows"][0]["recompute"] > 0
    assert after["traffic_bytes"] < before["traffic_bytes"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"last": 2}, "layer 2 (pool: GlobalAveragePool) reads its whole input"),
        ({"last": 0}, "block 1: starts at layer 2, but the next layer in order is 1"),
        ({"cores": 99}, "99 cores cannot share 9 rows"),
        ({"step": 4}, "unknown step; the fields are first, last, cores, partition, step_rows"),
        ({"algorithms": [[1, "winograd"]]}, "algorithm winograd is given for layer 1"),
    ],
)
def test_explain_refuses_an_illegal_edit_with_the_reason(
    model: Path, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    plan_file = tmp_path / "plan.json"
    invoke_json("explain", model, "--strategy", "baseline", "--save-plan", plan_file)
    plan = json.loads(plan_file.read_text())
    plan["blocks"] = [{"first": 0, "last": 1, "cores": 1} | change, plan["blocks"][2]]
    plan_file.write_text(json.dumps(plan))
    result = invoke("explain", model, "--plan", plan_file)
    assert result.exit_code == EXIT_USER_ERROR
    assert message in " ".join(result.stderr.split())


def test_an_edited_plan_is_what_gets_compiled(model: Path, image: Path, compiled: Path, tmp_path: Path) -> None:
    plan_file = tmp_path / "plan.json"
    invoke("explain", model, "--strategy", "baseline", "--cores", "1", "--save-plan", plan_file)
    plan = json.loads(plan_file.read_text())
    plan["blocks"][0]["cores"] = 2
    plan_file.write_text(json.dumps(plan))
    document = invoke_json("compile", model, "-o", tmp_path / "out", "--plan", plan_file)
    assert document["plan"]["rows"][0]["cores"] == 2
    for folder in (compiled, tmp_path / "out"):
        assert invoke("run", folder, "-i", image, "-o", tmp_path / f"{folder.name}.npy").exit_code == 0
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), np.load(tmp_path / "tiny.npy"), rtol=1e-5, atol=1e-5)


def test_bench_compares_in_one_record(model: Path, tmp_path: Path) -> None:
    samples, folder = tmp_path / "samples.json", tmp_path / "pages"
    arguments = ("--cores", "1,1", "--seconds", "0.05", "-s", "baseline", "-s", "all-cores", "--samples", samples)
    document = invoke_json("bench", model, *arguments, "--peers", "onnxruntime", "-o", folder)
    assert {path.name for path in folder.iterdir()} == {f"comparison.{kind}" for kind in ("md", "json", "png", "svg")}
    (comparison,) = document["comparisons"]
    assert [engine["name"] for engine in comparison["engines"]] == ["onnxruntime", "baseline"]
    assert comparison["same_plan"] == {"all-cores": "baseline"}
    ours = comparison["engines"][1]
    assert ours["largest_difference"] <= 1e-4
    assert 0 < ours["minimum_seconds"] <= ours["median_seconds"]
    assert ours["peak_memory_bytes"] > 0
    raw = json.loads(samples.read_text())["comparisons"][0]["engines"][1]["samples_seconds"]
    assert len(raw) == ours["runs"]
    assert min(raw) == ours["minimum_seconds"]
    assert json.loads((folder / "comparison.json").read_text()) == json.loads(samples.read_text())


def test_bench_refuses_unknown_and_missing_peers_and_odd_core_counts(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unknown = invoke("bench", model, "--peers", "onnxruntime,tensorrt")
    assert unknown.exit_code == EXIT_USER_ERROR
    assert "no peer is called 'tensorrt'; choose from onnxruntime, openvino, ncnn, mnn" in unknown.output
    monkeypatch.setattr(Mnn, "packages", ("no_such_package",))
    missing = invoke("bench", model, "--peers", "mnn")
    assert missing.exit_code == EXIT_USER_ERROR
    assert "pip install 'dlfusion[mnn]'" in missing.output
    odd = invoke("bench", model, "--cores", "1,two")
    assert odd.exit_code == EXIT_USER_ERROR
    assert "'two' is not a positive number" in odd.output


def hear_ctrl_c() -> None:
    """For a new process: what is started in the background of a shell script ignores Ctrl-C, and so do its children."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_compile_leaves_nothing(model: Path, tmp_path: Path, number: signal.Signals) -> None:
    """The compiler hangs, the user gives up: the right status, no folder, no compiler left running."""
    started, pid_file = tmp_path / "started", tmp_path / "pid"
    compiler = tmp_path / "slow-c++"
    compiler.write_text(
        "#!/bin/sh\n"
        f'case "$*" in *blocks*) echo $$ > {pid_file}; touch {started}; exec sleep 60;; esac\n'
        f"{shell_call()}\n"
    )
    compiler.chmod(0o755)
    target = tmp_path / "out" / "model"
    target.parent.mkdir()
    environment = os.environ | {"CXX": str(compiler), "DLFUSION_CACHE_DIR": str(tmp_path / "cache")}
    command = [sys.executable, "-m", "dlfusion.cli", "compile", str(model), "-o", str(target)]
    with subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, text=True, preexec_fn=hear_ctrl_c
    ) as process:
        deadline = time.monotonic() + 60
        while not started.exists() and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.02)
        assert started.exists()
        process.send_signal(number)
        process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert list(target.parent.iterdir()) == []
    assert not Path(f"/proc/{pid_file.read_text().strip()}").exists()
    assert not list((tmp_path / "cache").rglob("*.partial*"))


def test_compile_checks_against_numpy_without_onnx_runtime(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OnnxRuntime, "is_installed", classmethod(lambda cls: False))
    document = invoke_json("compile", model, "-o", tmp_path / "out")
    assert document["checked_against"] == "the NumPy reference"
    assert document["largest_relative_difference"] <= 1e-4
