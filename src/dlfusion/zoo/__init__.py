"""Models of known architecture with seeded weights, built on the spot: for demos, tests and benchmarks.

The weights are random but keep activations near 1 through any depth, so a wrong result shows as a large difference and
no trained weights need to be shipped or downloaded. The graphs have the form in which PyTorch exports them.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from onnx import ModelProto

from dlfusion.zoo import (
    alexnet,
    audio,
    convnext,
    deeplab,
    densenet,
    dncnn,
    edsr,
    efficientnet,
    espcn,
    fsrcnn,
    googlenet,
    mobilenet,
    mobilenet_v3,
    published,
    regnet,
    resnet,
    shufflenet,
    style,
    unet,
    vgg,
    yolo,
)

_MEASURED: Mapping[str, Callable[..., ModelProto]] = {
    "alexnet": alexnet.build,
    "vgg19": vgg.build,
    "resnet18": resnet.build_18,
    "resnet50": resnet.build_50,
    "mobilenetv2": mobilenet.build,
    "fsrcnn": fsrcnn.build,
    "espcn": espcn.build,
    "dncnn": dncnn.build,
    "unet": unet.build,
    "squeezenet": published.build_squeezenet,
    "inception": published.build_inception,
    "densenet": published.build_densenet,
}

_OTHERS: Mapping[str, Callable[..., ModelProto]] = {
    "efficientnet": efficientnet.build,
    "mobilenetv3": mobilenet_v3.build,
    "shufflenetv2": shufflenet.build,
    "regnet": regnet.build,
    "convnext": convnext.build,
    "googlenet": googlenet.build,
    "densenet121": densenet.build,
    "yolo": yolo.build,
    "deeplab": deeplab.build,
    "edsr": edsr.build,
    "style": style.build,
    "m5": audio.build_m5,
    "wav2vec": audio.build_wav2vec,
}

BUILDERS: Mapping[str, Callable[..., ModelProto]] = MappingProxyType({**_MEASURED, **_OTHERS})
"""The function that builds each model; its keyword arguments are the options of `build`."""

NAMES = tuple(_MEASURED)
"""The models that are measured beside other engines, in the order of the tables."""

ALL_NAMES = tuple(BUILDERS)
"""All models, those first."""


def build(name: str, seed: int = 0, **options: object) -> ModelProto:
    """The model of that name; the same seed and options give the same bytes.

    Options, all with defaults: `batch` (images), `size` (an image's height and width in pixels, or its height where
    `width` is one, or the samples of sound), `width_factor` (channels relative to the published model), and what the
    model's own file adds. The published graphs (squeezenet, inception, densenet) have no options.

    Raises:
        KeyError: there is no such model; `ALL_NAMES` lists them.
        TypeError: the model has no such option.
    """
    return BUILDERS[name](seed=seed, **options)
