"""A tiny model that tests of comparisons share."""

from pathlib import Path

import onnx
import pytest
from onnx import helper

from tests.support.onnx_models import make_model, weights


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three convolutions and a global pool: 1 x 3 x 17 x 19 to 1 x 7 x 1 x 1."""
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["a"], "first", pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["a", "w2"], ["b"], "second", pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["b", "w3"], ["c"], "third", pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("GlobalAveragePool", ["c"], ["y"], "pool"),
    ]
    constants = {"w1": weights(8, 3, 3, 3), "w2": weights(8, 8, 3, 3, seed=1), "w3": weights(7, 8, 3, 3, seed=2)}
    path = tmp_path_factory.mktemp("model") / "tiny.onnx"
    onnx.save(make_model(nodes, {"x": (1, 3, 17, 19)}, constants=constants), path)
    return path
