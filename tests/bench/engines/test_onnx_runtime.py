"""ONNX Runtime as a peer: runs named inputs, refuses broken models by name, and says how to install it."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from dlfusion.bench.engines import onnx_runtime
from dlfusion.errors import DlfusionError, InputError
from dlfusion.runtime.program import ArrayPort
from tests.support.onnx_models import make_model


def test_outputs_come_in_the_order_of_the_model(tmp_path: Path) -> None:
    nodes = [helper.make_node("Relu", ["x"], ["r"]), helper.make_node("Neg", ["x"], ["n"])]
    onnx.save(make_model(nodes, {"x": (1, 2)}, outputs=("r", "n")), tmp_path / "m.onnx")
    array = np.array([[1, -2]], np.float32)
    relu, negative = onnx_runtime.outputs(tmp_path / "m.onnx", [ArrayPort("x", (1, 2))], [array])
    np.testing.assert_array_equal(relu, [[1, 0]])
    np.testing.assert_array_equal(negative, [[-1, 2]])


def test_a_broken_model_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    with pytest.raises(DlfusionError, match=r"broken\.onnx"):
        onnx_runtime.session(tmp_path / "broken.onnx", 1)


def test_without_the_package_the_message_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_runtime.OnnxRuntime, "packages", ("no_such_package",))
    with pytest.raises(InputError, match="pip install"):
        onnx_runtime.session(tmp_path / "any.onnx", 1)
    with pytest.raises(InputError, match="ONNX Runtime needs no_such_package"):
        onnx_runtime.OnnxRuntime.version()
