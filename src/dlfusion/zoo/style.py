"""Style transfer in the form of PyTorch's example (fast_neural_style), on a 256 x 256 image.

After Johnson et al., arXiv 1603.08155, with instance normalization (Ulyanov et al., arXiv 1607.08022) and nearest
enlarging in place of transposed convolutions.
"""

from onnx import ModelProto

from dlfusion.zoo.blocks import scaled
from dlfusion.zoo.builder import ModelBuilder, Value

RESIDUAL_BLOCKS = 5


def build(
    *, seed: int, batch: int = 1, size: int = 256, width: int | None = None, width_factor: float = 1.0
) -> ModelProto:
    """Down by 4, five residual blocks, up by 4; all padding repeats the image, mirrored.

    The output of sizes that 4 does not divide is larger than the image, as in the example.
    """
    base = scaled(32, width_factor)
    builder = ModelBuilder("style", seed)
    value = builder.image(batch, size, width)
    for channels, kernel, stride in ((base, 9, 1), (2 * base, 3, 2), (4 * base, 3, 2)):
        value = builder.relu(builder.instance_norm(_conv(builder, value, channels, kernel, stride)))
    for _ in range(RESIDUAL_BLOCKS):
        branch = builder.relu(builder.instance_norm(_conv(builder, value, value.channels, 3)))
        value = builder.add(builder.instance_norm(_conv(builder, branch, value.channels, 3)), value)
    for channels in (2 * base, base):
        value = _conv(builder, builder.upsample(value, 2, linear=False), channels, 3)
        value = builder.relu(builder.instance_norm(value))
    return builder.model(_conv(builder, value, 3, 9))


def _conv(builder: ModelBuilder, value: Value, channels: int, kernel: int, stride: int = 1) -> Value:
    """A convolution of the map with a mirrored margin."""
    value = builder.pad(value, [kernel // 2] * 4, "reflect")
    return builder.conv(value, channels, kernel, stride=stride)
