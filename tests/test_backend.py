"""ONNX's own interface to DLFusion: which inputs vary, which are fixed, and when models are compiled."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper
from onnx.backend.base import Backend

from dlfusion import backend
from dlfusion.errors import InputError, UnsupportedError
from tests.support.onnx_models import make_model, weights

CONV = helper.make_node("Conv", ["x", "w", "b"], ["y"], pads=[1, 1, 1, 1])
X, W, B = weights(1, 3, 5, 6), weights(4, 3, 3, 3, seed=1), weights(4, seed=2)


def convolved(x: NDArray[Any], w: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    """The same convolution in NumPy."""
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1))), (3, 3), axis=(2, 3))
    result: NDArray[Any] = np.einsum("nchwij,ocij->nohw", windows, w, optimize=True) + b[:, None, None]
    return result


def conv_model() -> ModelProto:
    """A convolution to which weights and bias are inputs."""
    return make_model([CONV], {"x": X.shape, "w": W.shape, "b": B.shape})


def test_it_is_a_backend_of_onnx() -> None:
    assert issubclass(backend.DlfusionBackend, Backend)
    assert backend.supports_device("CPU")
    assert backend.supports_device("CPU:0")
    assert not backend.supports_device("CUDA")
    assert not backend.supports_device("Abacus")
    with pytest.raises(UnsupportedError, match="the device CUDA is not supported"):
        backend.prepare(conv_model(), "CUDA")


def test_weights_that_are_inputs_are_fixed_and_may_change_from_run_to_run() -> None:
    prepared = backend.prepare(conv_model(), strategy="baseline")
    (first,) = prepared.run([X, W, B])
    assert prepared.fixed == ("w", "b")
    np.testing.assert_allclose(first, convolved(X, W, B), atol=1e-5)
    for x, w, b in ((X + 1, W, B), (X, W, B + 1), (X, -W, B)):
        (result,) = prepared.run({"b": b, "x": x, "w": w})
        np.testing.assert_allclose(result, convolved(x, w, b), atol=1e-5)
        assert prepared.fixed == ("w", "b")


def test_a_model_whose_inputs_all_vary_is_compiled_at_once() -> None:
    model = make_model([helper.make_node("Add", ["x", "y"], ["z"])], {"x": X.shape, "y": X.shape}, outputs=("z",))
    prepared = backend.prepare(model)
    for factor in (1, 2):
        np.testing.assert_array_equal(prepared.run([X, factor * X])[0], X + factor * X)
    assert prepared.fixed == ()


def test_open_dimensions_are_those_of_the_first_arrays() -> None:
    model = make_model([helper.make_node("Relu", ["x"], ["y"])], {"x": ("batch", 3, "height", "width")})
    np.testing.assert_array_equal(backend.run_model(model, X)[0], np.maximum(X, 0))


def test_initializers_that_are_declared_as_inputs_keep_their_values() -> None:
    model = make_model([CONV], {"x": X.shape, "w": W.shape, "b": B.shape}, constants={"w": W, "b": B})
    np.testing.assert_allclose(backend.run_model(model, [X])[0], convolved(X, W, B), atol=1e-5)


def test_single_nodes() -> None:
    np.testing.assert_allclose(backend.run_node(CONV, [X, W, B])[0], convolved(X, W, B), atol=1e-5)
    clip = helper.make_node("Clip", ["x", "", "most"], ["y"])
    np.testing.assert_array_equal(backend.run_node(clip, [X, np.float32(0.5)])[0], np.minimum(X, np.float32(0.5)))
    squeeze = helper.make_node("Squeeze", ["x"], ["y"], axes=[0])
    assert backend.run_node(squeeze, [X], opset_version=11)[0].shape == (3, 5, 6)
    with pytest.raises(InputError, match="2 arrays given, but Conv reads x, w, b"):
        backend.run_node(CONV, [X, W])


def test_what_can_be_prepared_is_told_without_compiling() -> None:
    assert backend.is_compatible(conv_model())
    assert not backend.is_compatible(conv_model(), "CUDA")
    assert backend.is_compatible(make_model([helper.make_node("Relu", ["x"], ["y"])], {"x": X.shape}))
    assert not backend.is_compatible(make_model([helper.make_node("Det", ["x"], ["y"])], {"x": (2, 2)}))
    assert not backend.is_compatible(
        make_model([helper.make_node("Relu", ["x"], ["r"]), helper.make_node("Det", ["r"], ["y"])], {"x": (2, 2)})
    )


def test_refusals_say_what_cannot_be_even_with_constants() -> None:
    lonely = make_model([helper.make_node("Det", ["x"], ["y"])], {"x": (2, 2)})
    with pytest.raises(UnsupportedError, match="Det"):
        backend.prepare(lonely)
    late = make_model([helper.make_node("ReduceL2", ["x", "a"], ["y"])], {"x": (2, 1, 2, 2), "a": (1,)}, opset=18)
    late.graph.input[1].type.tensor_type.elem_type = TensorProto.INT64
    with pytest.raises(UnsupportedError, match="reduces the batch"):
        backend.run_model(late, [np.zeros((2, 1, 2, 2), np.float32), np.array([0])])
    numbers = make_model([helper.make_node("Relu", ["x"], ["y"])], {"x": (1,)})
    numbers.graph.input[0].type.tensor_type.elem_type = TensorProto.INT32
    with pytest.raises(UnsupportedError, match="no input is float32"):
        backend.run_model(numbers, [np.zeros(1, np.int32)])


def test_arrays_that_do_not_fit() -> None:
    prepared = backend.prepare(conv_model())
    with pytest.raises(InputError, match="2 arrays given, but the model has 3 inputs: x, w, b"):
        prepared.run([X, W])
    with pytest.raises(InputError, match=r"arrays are given for \['v', 'w', 'x'\], but the model's inputs are"):
        prepared.run({"x": X, "w": W, "v": B})
    with pytest.raises(InputError, match=r"input x has shape \(1, 3, 6, 6\)"):
        prepared.run([weights(1, 3, 6, 6), W, B])
