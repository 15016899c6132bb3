"""`dlfusion run` takes arrays as they are, or says by name what it expected."""

import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper
from PIL import Image

from tests.cli.invoke import invoke
from tests.cli.test_errors import refused
from tests.support.onnx_models import make_model

SHAPE = (1, 3, 17, 19)
ZEROS = np.zeros(SHAPE, np.float32)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (ZEROS.astype(np.float64), "holds float64 for input x, which takes float32; save it as such"),
        (ZEROS.astype(np.float16), "holds float16 for input x, which takes float32"),
        (ZEROS.astype(np.uint8), "holds uint8 for input x, which takes float32"),
        (ZEROS.astype(np.complex64), "holds complex64 for input x, which takes float32"),
        (ZEROS.astype(bool), "holds bool for input x"),
        (np.full(SHAPE, "text"), "holds <U4 for input x"),
        (
            np.zeros((2, 3, 17, 19), np.float32),
            "an array of shape 2 x 3 x 17 x 19 for input x, which is 1 x 3 x 17 x 19",
        ),
        (ZEROS[0], "an array of shape 3 x 17 x 19 for input x, which is 1 x 3 x 17 x 19"),
        (ZEROS.reshape(-1), "an array of shape 969"),
        (np.float32(0), "an array of shape a single number"),
    ],
)
def test_arrays_that_do_not_fit(array: Any, message: str, compiled: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", array)
    np.savez(tmp_path / "x.npz", x=array)
    for name in ("x.npy", "x.npz"):
        assert message in refused("run", compiled, "--input", tmp_path / name)


@pytest.mark.parametrize(
    "change", [np.asfortranarray, lambda x: x.astype(">f4"), lambda x: np.repeat(x, 2, 3)[..., ::2]]
)
def test_float32_of_any_order_is_the_same(
    change: Callable[[NDArray[np.float32]], NDArray[np.float32]], compiled: Path, image: Path, tmp_path: Path
) -> None:
    np.save(tmp_path / "x.npy", change(np.load(image)))
    for name, file in (("plain", image), ("changed", tmp_path / "x.npy")):
        assert invoke("run", compiled, "-i", file, "-o", tmp_path / f"{name}.npy").exit_code == 0
    np.testing.assert_array_equal(np.load(tmp_path / "changed.npy"), np.load(tmp_path / "plain.npy"))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"z": ZEROS}, "holds ['z'], but the model's inputs are x 1 x 3 x 17 x 19; save just these, by name"),
        ({"x": ZEROS, "z": ZEROS}, "holds ['x', 'z'], but the model's inputs are x 1 x 3 x 17 x 19"),
        ({}, "holds [], but the model's inputs are x"),
    ],
)
def test_archives_hold_the_inputs_and_nothing_else(
    arrays: dict[str, Any], message: str, compiled: Path, tmp_path: Path
) -> None:
    np.savez(tmp_path / "x.npz", **arrays)
    assert message in refused("run", compiled, "--input", tmp_path / "x.npz")


def test_archives_of_more_unnamed_arrays_than_inputs(compiled: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", ZEROS, ZEROS)
    assert "holds ['arr_0', 'arr_1'], but" in refused("run", compiled, "--input", tmp_path / "x.npz")


def test_archives_of_something_else_than_arrays(compiled: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("x", b"no array")
    assert "x in it is no array" in refused("run", compiled, "--input", tmp_path / "x.npz")


@pytest.mark.parametrize("count", [0, 2, 3])
def test_other_counts_of_files(count: int, compiled: Path, image: Path) -> None:
    result = invoke("run", compiled, *[argument for _ in range(count) for argument in ("--input", image)])
    assert result.exit_code == 2
    if count:
        assert f"the model's inputs are x 1 x 3 x 17 x 19, but {count} files were given" in " ".join(
            result.stderr.split()
        )


def test_damaged_files_are_refused_wherever_they_are_damaged(compiled: Path, image: Path, tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "good.npz", x=np.load(image))
    Image.effect_noise((40, 30), 50).save(tmp_path / "good.png")
    generator = np.random.default_rng(0)
    for suffix, content in ((path.suffix, path.read_bytes()) for path in (image, *sorted(tmp_path.glob("good.*")))):
        file = tmp_path / f"damaged{suffix}"
        for _ in range(12):
            damaged = bytearray(content)
            damaged[generator.integers(len(damaged))] ^= 1 << generator.integers(8)
            file.write_bytes(damaged[: generator.integers(len(damaged) // 2, len(damaged))])
            result = invoke("run", compiled, "--input", file)  # the head of a picture may be a picture
            assert result.exit_code in ((0, 2) if suffix == ".png" else (2,)), result.output


def test_pictures_that_no_memory_holds(compiled: Path, tmp_path: Path) -> None:
    header = struct.pack("<2sIHHI IiiHHIIiiII", b"BM", 54, 0, 0, 54, 40, 1 << 20, 1 << 20, 1, 24, 0, 0, 0, 0, 0, 0)
    (tmp_path / "x.bmp").write_bytes(header)
    assert "x.bmp cannot be read" in refused("run", compiled, "--input", tmp_path / "x.bmp")


def test_inputs_and_outputs_of_any_name(tmp_path: Path) -> None:
    names = ["file", "../up", "allow_pickle", "a b.npy"]
    nodes = [helper.make_node("Relu", ["file"], [name]) for name in names[1:]]
    onnx.save(make_model(nodes, {"file": (1, 2, 3, 4)}, outputs=names[1:]), tmp_path / "m.onnx")
    x = np.random.default_rng(1).standard_normal((1, 2, 3, 4), np.float32)
    np.save(tmp_path / "x.npy", x)
    result = invoke("run", tmp_path / "m.onnx", "-i", tmp_path / "x.npy", "-o", tmp_path / "y.npz", "-s", "baseline")
    assert result.exit_code == 0, result.output
    with np.load(tmp_path / "y.npz") as archive:
        assert sorted(archive.files) == sorted(names[1:])
        for name in names[1:]:
            np.testing.assert_array_equal(archive[name], np.maximum(x, 0))
    assert not (tmp_path.parent / "up.npy").exists()
