"""Models of the zoo, small, against ONNX Runtime; and what importing makes of them."""

import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from dlfusion import zoo
from dlfusion.frontend import load
from dlfusion.ops.affine import Affine
from dlfusion.ops.reshape import Reshape
from dlfusion.zoo.__main__ import main
from tests.support.onnx_models import assert_matches_onnx_runtime, feeds, run_onnx_runtime
from tests.support.slim_networks import SLIM

SMALL: dict[str, dict[str, Any]] = {
    "alexnet": {"size": 67, "width_factor": 0.25, "batch": 2},
    "vgg19": {"size": 64, "width_factor": 0.125},
    "resnet18": {"size": 64, "width_factor": 0.25, "batch": 2},
    "resnet50": {"size": 64, "width_factor": 0.25},
    "mobilenetv2": {"size": 64, "width_factor": 0.5},
    "fsrcnn": {"size": 27, "width": 48},
    "espcn": {"size": 27, "width": 48, "batch": 2},
    "dncnn": {"size": 27, "width": 48, "width_factor": 0.25, "hidden": 2},
    "unet": {"size": 32, "width": 48, "width_factor": 0.125},
    "squeezenet": {},
    "inception": {},
    "densenet": {},
}

PROBABILITIES = ("squeezenet", "inception", "googlenet", "m5")
"""They end in a softmax."""

SHAPES = {
    "alexnet": (1, 3, 224, 224),
    "vgg19": (1, 3, 224, 224),
    "resnet18": (1, 3, 224, 224),
    "resnet50": (1, 3, 224, 224),
    "mobilenetv2": (1, 3, 224, 224),
    "fsrcnn": (1, 1, 540, 960),
    "espcn": (1, 1, 540, 960),
    "dncnn": (1, 1, 512, 512),
    "unet": (1, 3, 512, 512),
    "squeezenet": (1, 3, 224, 224),
    "inception": (1, 3, 224, 224),
    "densenet": (1, 3, 224, 224),
    **dict.fromkeys(("efficientnet", "mobilenetv3", "shufflenetv2", "regnet", "convnext"), (1, 3, 224, 224)),
    **dict.fromkeys(("googlenet", "densenet121"), (1, 3, 224, 224)),
    "yolo": (1, 3, 640, 640),
    "deeplab": (1, 3, 520, 520),
    "edsr": (1, 3, 180, 320),
    "style": (1, 3, 256, 256),
    "m5": (1, 1, 32000),
    "wav2vec": (1, 1, 16000),
}


WEIGHTS = {
    "efficientnet": 5_288_548,
    "mobilenetv3": 5_483_032,
    "shufflenetv2": 2_278_604,
    "regnet": 4_344_144,
    "convnext": 28_589_128,
    "googlenet": 6_998_552,
    "densenet121": 7_978_856,
    "yolo": 7_235_389,
    "deeplab": 39_638_869,
    "edsr": 1_369_883,
    "style": 1_679_235,
    "m5": 559_114,
}
"""How many trained numbers the authors' code and torchvision have; of deeplab without its auxiliary head."""


@pytest.mark.parametrize("name", zoo.NAMES)
def test_small_model(name: str) -> None:
    graph = assert_matches_onnx_runtime(zoo.build(name, **SMALL[name]), raw=bool(SMALL[name]))
    kinds = Counter(type(node.operator) for node in graph.nodes)
    if name != "densenet":  # normalizes before it convolves
        assert kinds[Affine] == 0, "batch normalization is folded into convolutions"
    assert kinds[Reshape] == 0, "a flattened map is read in place"


@pytest.mark.parametrize("name", zoo.ALL_NAMES)
def test_without_options_the_input_is_that_of_the_publication(name: str) -> None:
    model = zoo.build(name)
    assert model.graph.name == name
    assert [port.array_shape for port in load(model).inputs] == [SHAPES[name]]


def test_the_denoiser_subtracts_from_its_image() -> None:
    model = zoo.build("dncnn", **SMALL["dncnn"])
    graph = load(model)
    (image,) = feeds(graph)
    (output,) = run_onnx_runtime(model, graph, [image])
    for initializer in model.graph.initializer:
        if list(initializer.dims)[:1] == [1]:  # of the last convolution
            initializer.raw_data = bytes(len(initializer.raw_data))
    (unchanged,) = run_onnx_runtime(model, graph, [image])
    assert np.array_equal(unchanged, image)
    assert not np.allclose(output, image, atol=0.1)


def test_linear_unet() -> None:
    assert_matches_onnx_runtime(zoo.build("unet", **SMALL["unet"], linear=True))


def test_command_writes_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.onnx"
    monkeypatch.setattr("sys.argv", ["zoo", "espcn", "-o", str(path), "--size", "8", "--width", "9", "--batch", "2"])
    main()
    assert load(path).inputs[0].array_shape == (2, 1, 8, 9)


def test_command_rejects_an_option_of_other_models(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["zoo", "resnet18", "--width", "9"])
    with pytest.raises(SystemExit):
        main()
    assert "resnet18 does not take one of these options" in capsys.readouterr().err


def test_seed_decides_the_weights() -> None:
    one, same, other = (zoo.build("resnet18", seed, size=32, width_factor=0.125) for seed in (1, 1, 2))
    assert one.SerializeToString() == same.SerializeToString()
    assert one.SerializeToString() != other.SerializeToString()


@pytest.mark.parametrize("name", zoo.ALL_NAMES)
def test_activations_stay_near_one_and_depend_on_the_input(name: str) -> None:
    """Otherwise a relative tolerance would compare noise, or nothing."""
    model = zoo.build(name, **{**SLIM, **SMALL}[name])
    graph = load(model)
    for output, other in zip(*(run_onnx_runtime(model, graph, feeds(graph, seed)) for seed in (0, 1)), strict=True):
        scores = np.log([output, other]) if name in PROBABILITIES else np.array([output, other])
        assert 0.05 < np.std(scores[0]) < 20
        assert np.std(scores[0] - scores[1]) > 0.01 * np.std(scores[0])


@pytest.mark.parametrize("name", WEIGHTS)
def test_number_of_weights_is_that_of_the_publication(name: str) -> None:
    model = zoo.build(name)
    norms = [node for node in model.graph.node if node.op_type == "BatchNormalization"]
    statistics = {value for node in norms for value in node.input[3:]}
    trained = [
        tensor
        for tensor in model.graph.initializer
        if tensor.data_type == TensorProto.FLOAT
        and tensor.name not in statistics
        and not tensor.name.endswith((".number", ".scales"))
    ]
    assert sum(math.prod(tensor.dims) for tensor in trained) == WEIGHTS[name]
