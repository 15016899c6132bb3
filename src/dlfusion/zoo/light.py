"""The light set: nine models of real architecture, at full size, that the `onnx` package carries for its own tests.

They are light because nodes make their weights when they run: every element of every weight is the same. An output is
stored beside each, but it hardly tells one channel from another; `randomized` makes models for which that shows.
"""

import math
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, numpy_helper

NAMES = (
    "bvlc_alexnet",
    "densenet121",
    "inception_v1",
    "inception_v2",
    "resnet50",
    "shufflenet",
    "squeezenet",
    "vgg19",
    "zfnet512",
)

_GAIN = {
    "bvlc_alexnet": 1.5,
    "densenet121": 1.5,
    "inception_v1": 2.5,
    "inception_v2": 1.5,
    "resnet50": 0.9,
    "shufflenet": 0.8,
    "squeezenet": 1.5,
    "vgg19": 2.0,
    "zfnet512": 2.0,
}
"""Variance of a random weight times the number of values it sums over.

With these, the numbers that reach the final softmax differ by about 1: with much more, it would answer 1 for one class
whatever a layer did; with much less, the same for all.
"""

_FOLDER = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"


def path(name: str) -> Path:
    """The model's file."""
    return _FOLDER / f"light_{name}.onnx"


def stored_input(name: str) -> NDArray[np.float32]:
    """The input that belongs to the stored output: 0, 1/n, 2/n..., as `onnx.backend.test.runner` makes it."""
    graph = onnx.load(path(name)).graph
    constants = {tensor.name for tensor in graph.initializer}
    (port,) = (port for port in graph.input if port.name not in constants)
    shape = [dimension.dim_value for dimension in port.type.tensor_type.shape.dim]
    size = math.prod(shape)
    return np.asarray(np.arange(size).reshape(shape) / size, np.float32)


def stored_output(name: str) -> NDArray[np.float32]:
    """The output that ships with the model."""
    return np.asarray(numpy_helper.to_array(onnx.load_tensor(_FOLDER / f"light_{name}_output_0.pb")), np.float32)


def randomized(name: str, seed: int = 0) -> ModelProto:
    """The model with random weights in place of the nodes that make constant ones, and of the few that it ships.

    They keep activations near 1 and the output dependent on the input, so that any channel out of place shows. The same
    seed gives the same model.
    """
    model = onnx.load(path(name))
    generator = np.random.default_rng(seed)
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    made = {
        node.output[0]: tuple(int(size) for size in numpy_helper.to_array(constants[node.input[0]]))
        for node in model.graph.node
        if node.op_type == "ConstantOfShape"
    }
    roles = _roles(model)
    shipped = {
        key: tuple(tensor.dims)
        for key, tensor in constants.items()
        if tensor.data_type == TensorProto.FLOAT and key in roles
    }
    for node in [node for node in model.graph.node if node.op_type == "ConstantOfShape"]:
        model.graph.node.remove(node)
    for key in shipped:
        model.graph.initializer.remove(constants[key])
    for key, shape in {**made, **shipped}.items():
        middle, spread = _distribution(*roles[key], shape, _GAIN[name])
        array = generator.uniform(middle - spread, middle + spread, shape).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(array, key))
    return model


def _roles(model: ModelProto) -> dict[str, tuple[str, int]]:
    """The operator that uses each value and as which of its inputs; changes of shape are looked through."""
    roles: dict[str, tuple[str, int]] = {}
    for node in reversed(model.graph.node):
        for index, value in enumerate(node.input):
            passes_on = node.op_type in ("Unsqueeze", "Reshape") and index == 0
            roles[value] = roles.get(node.output[0], ("", 0)) if passes_on else (node.op_type, index)
    return roles


def _distribution(operator: str, index: int, shape: tuple[int, ...], gain: float) -> tuple[float, float]:
    """Middle and half width of the uniform distribution of a weight."""
    match operator, index:
        case ("Conv" | "Gemm", 1):
            return 0, math.sqrt(3 * gain / max(1, math.prod(shape[1:])))
        case ("BatchNormalization", 1 | 4) | ("Mul", 1):  # scales and variances
            return 1, 0.5
        case _:  # biases, shifts and means
            return 0, 0.1
