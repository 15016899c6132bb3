"""The nine models that the onnx package ships, at full size."""

import math
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, numpy_helper

from dlfusion.frontend import load
from dlfusion.passes import clean
from dlfusion.runtime.reference import evaluate
from tests.support.onnx_models import assert_matches_onnx_runtime

FOLDER = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
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


@pytest.mark.parametrize("name", NAMES)
def test_stored_output(name: str) -> None:
    # The inputs that belong to the stored outputs are those of onnx.backend.test.runner: 0, 1/n, 2/n...
    graph = clean(load(FOLDER / f"light_{name}.onnx"))
    (port,) = graph.inputs
    size = np.prod(port.array_shape)
    image = (np.arange(size).reshape(port.array_shape) / size).astype(np.float32)
    expected = numpy_helper.to_array(onnx.load_tensor(FOLDER / f"light_{name}_output_0.pb"))
    (actual,) = evaluate(graph, [image])
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize("name", ["densenet121", "inception_v1", "shufflenet"])
def test_with_random_weights(name: str) -> None:
    """The shipped weights are all alike, so that a channel out of place would not show."""
    assert_matches_onnx_runtime(_randomized(onnx.load(FOLDER / f"light_{name}.onnx")), raw=False)


def _randomized(model: ModelProto) -> ModelProto:
    """The model with random weights in place of the nodes that make constant ones."""
    generator = np.random.default_rng(0)
    shapes = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    variances = {node.input[4] for node in model.graph.node if node.op_type == "BatchNormalization"}
    kept = []
    for node in model.graph.node:
        if node.op_type != "ConstantOfShape":
            kept.append(node)
            continue
        shape = tuple(int(size) for size in shapes[node.input[0]])
        bound = np.sqrt(3 / max(1, math.prod(shape[1:]))) if len(shape) > 1 else 0.5
        array = generator.uniform(-bound, bound, shape)
        array = array + 1 if node.output[0] in variances else array
        model.graph.initializer.append(numpy_helper.from_array(array.astype(np.float32), node.output[0]))
    del model.graph.node[:]
    model.graph.node.extend(kept)
    return model
