"""Networks on sound as it was sampled: convolutions of one dimension. `size` is the number of samples."""

from onnx import ModelProto

from dlfusion.zoo.blocks import AFTER_ACTIVATION, AFTER_MEAN, gelu, scaled
from dlfusion.zoo.builder import ModelBuilder, Value

M5_LAYERS = ((80, 4, 128), (3, 1, 128), (3, 1, 256), (3, 1, 512))
"""Kernel, stride and channels: table 1 of arXiv 1610.00087."""

WAV2VEC_LAYERS = ((10, 5), (3, 2), (3, 2), (3, 2), (3, 2), (2, 2), (2, 2))
"""Kernel and stride: section 4.2 of arXiv 2006.11477."""


def build_m5(
    *, seed: int, batch: int = 1, size: int = 32000, width_factor: float = 1.0, classes: int = 10
) -> ModelProto:
    """M5 (Dai et al., arXiv 1610.00087): 4 seconds at 8 kHz; `size` at least 1344 samples."""
    builder = ModelBuilder("m5", seed, centered=True)
    value = builder.input("sound", batch, 1, size)
    gain = 1.0
    for kernel, stride, channels in M5_LAYERS:
        pad = 38 if stride > 1 else 1
        value = builder.conv(value, scaled(channels, width_factor), kernel, stride=stride, pad=pad, gain=gain)
        value = builder.max_pool(builder.relu(builder.batch_norm(value)), 4, stride=4)
        gain = 1.2
    return builder.model(builder.softmax(builder.gemm(builder.mean(value), classes, gain=AFTER_MEAN)))


def build_wav2vec(*, seed: int, batch: int = 1, size: int = 16000, width_factor: float = 1.0) -> ModelProto:
    """The feature encoder of wav2vec 2.0 and its projection (Baevski et al., arXiv 2006.11477): 1 second at 16 kHz.

    In the form in which Hugging Face's base model is exported; `size` at least 400 samples.
    """
    builder = ModelBuilder("wav2vec", seed, centered=True)
    value = builder.input("sound", batch, 1, size)
    channels = scaled(512, width_factor)
    for index, (kernel, stride) in enumerate(WAV2VEC_LAYERS):
        gain = 1.0 if index == 0 else AFTER_ACTIVATION
        value = builder.conv(value, channels, kernel, stride=stride, bias=False, gain=gain)
        value = gelu(builder, _group_norm(builder, value, channels) if index == 0 else value)
    value = builder.layer_norm(builder.transpose(value, 0, 2, 1))
    return builder.model(builder.matmul(value, scaled(768, width_factor), gain=1.0))


def _group_norm(builder: ModelBuilder, value: Value, groups: int) -> Value:
    """Group normalization as exporters wrote it up to opset 17: an instance normalization between two reshapes."""
    batch, channels, length = value.shape
    value = builder.instance_norm(builder.reshape(value, batch, groups, channels // groups * length))
    return builder.shift(builder.scale(builder.reshape(value, batch, channels, length), 0.8, 1.2))
