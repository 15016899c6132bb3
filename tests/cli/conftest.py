"""A tiny model that all tests of the command line share, and the folder it compiles to."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from tests.cli.invoke import invoke
from tests.support.onnx_models import make_model, weights

CLASSES = 7


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two convolutions with Relu and a global pool: 1 x 3 x 17 x 19 to 1 x 7 x 1 x 1 scores."""
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["a"], "first", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"], "relu"),
        helper.make_node("Conv", ["b", "w2"], ["c"], "second", pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("GlobalAveragePool", ["c"], ["y"], "pool"),
    ]
    constants = {"w1": weights(8, 3, 3, 3), "b1": weights(8), "w2": weights(CLASSES, 8, 3, 3, seed=1)}
    path = tmp_path_factory.mktemp("model") / "tiny.onnx"
    onnx.save(make_model(nodes, {"x": (1, 3, 17, 19)}, constants=constants), path)
    return path


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An input of the model as .npy."""
    path = tmp_path_factory.mktemp("input") / "x.npy"
    np.save(path, np.random.default_rng(3).standard_normal((1, 3, 17, 19), np.float32))
    return path


@pytest.fixture(scope="session")
def compiled(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `dlfusion compile` makes of the model."""
    folder = tmp_path_factory.mktemp("compiled") / "tiny"
    result = invoke("compile", model, "-o", folder, "--cores", "2")
    assert result.exit_code == 0, result.output
    return folder
