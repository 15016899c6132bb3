"""Models of known architecture with seeded weights, built on the spot: for demos, tests and benchmarks.

The weights are random but keep activations near 1 through any depth, so a wrong result shows as a large difference and
no trained weights need to be shipped or downloaded. The graphs have the form in which PyTorch exports them.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from onnx import ModelProto

from dlfusion.zoo import alexnet, dncnn, espcn, fsrcnn, mobilenet, published, resnet, unet, vgg

BUILDERS: Mapping[str, Callable[..., ModelProto]] = MappingProxyType(
    {
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
)
"""The function that builds each model; its keyword arguments are the options of `build`."""

NAMES = tuple(BUILDERS)


def build(name: str, seed: int = 0, **options: object) -> ModelProto:
    """The model of that name; the same seed and options give the same bytes.

    Options, all with defaults: `batch` (images), `size` (an image's height and width in pixels, or its height where
    `width` is one), `width_factor` (channels relative to the published model), and what the model's own file adds.
    The published graphs (squeezenet, inception, densenet) have no options.

    Raises:
        KeyError: there is no such model; `NAMES` lists them.
        TypeError: the model has no such option.
    """
    return BUILDERS[name](seed=seed, **options)
