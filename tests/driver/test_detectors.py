"""What the heads of detectors move about runs in compiled programs, beside ONNX Runtime."""

import numpy as np
import pytest
from onnx import NodeProto, helper

from dlfusion import driver
from dlfusion.errors import UnsupportedError
from tests.support.onnx_models import make_model, run_onnx_runtime, weights

CONSTANTS = {
    "w": weights(12, 3, 3, 3),
    "grid": np.tile(weights(1, 2, 8, 6, seed=1), (2, 1, 1, 1)),
    "copied": np.array([4, 2, 0, 0, 11, 11, 5]),
    "third": np.array(2),
    "many": np.repeat(np.arange(6), 15),
    "repeats": np.array([1, 2, 3, 1]),
    "split": np.array([2, 12, 4, 2, 3, 2]),
    "joined": np.array([2, 48, 4, 3]),
    "cells": np.array([2, 8, 6, 3, 4]),
    "placed": np.array([2, 24, 24]),
}
"""`many` are more parts than are joined at once."""

NODES = [
    helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
    helper.make_node("Gather", ["c", "copied"], ["taken"], axis=1),
    helper.make_node("Gather", ["c", "third"], ["row"], axis=2),
    helper.make_node("Gather", ["c", "many"], ["wide"], axis=3),
    helper.make_node("Tile", ["c", "repeats"], ["tiled"]),
    helper.make_node("Concat", ["grid", "c", "grid"], ["located"], axis=1),
    helper.make_node("Reshape", ["c", "split"], ["blocks"]),
    helper.make_node("Transpose", ["blocks"], ["moved"], perm=[0, 1, 3, 5, 2, 4]),
    helper.make_node("Reshape", ["moved", "joined"], ["unshuffled"]),
    helper.make_node("Transpose", ["c"], ["last"], perm=[0, 2, 3, 1]),
    helper.make_node("Reshape", ["last", "cells"], ["split_cells"]),
    helper.make_node("Transpose", ["split_cells"], ["cells_moved"], perm=[0, 1, 3, 2, 4]),
    helper.make_node("Reshape", ["cells_moved", "placed"], ["keypoints"]),
]

OUTPUTS = ("taken", "row", "wide", "tiled", "located", "unshuffled", "keypoints")


@pytest.mark.parametrize("strategy", ["baseline", "fuse-all"])
def test_what_heads_move(strategy: str) -> None:
    model = make_model(NODES, {"x": (2, 3, 8, 6)}, constants=CONSTANTS, outputs=OUTPUTS)
    network = driver.import_model(model)
    inputs = driver.random_inputs(network)
    expected = run_onnx_runtime(model, network.graph, inputs)
    with driver.compile(network, strategy=strategy) as compiled:
        assert driver.verify(compiled, inputs, expected).passed


def test_images_that_are_mixed_are_named() -> None:
    nodes: list[NodeProto] = [
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("Reshape", ["r", "shape"], ["m"]),
        helper.make_node("Softmax", ["m"], ["y"], axis=1),
    ]
    model = make_model(nodes, {"x": (2, 3, 8, 6)}, constants={"shape": np.array([1, 6, 8, 6])})
    network = driver.import_model(model)
    with pytest.raises(UnsupportedError, match="1 and 2 images, while kernels see one at a time; keep axis 0 apart"):
        driver.compile(network, strategy="baseline")
