"""Writes an ONNX model node by node, with seeded weights that keep activations near 1."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper

OPSET = 17
IR_VERSION = 8
"""The IR version that belongs to opset 17, so that old readers take the model too."""

AFTER_RELU = 2.0
"""Gain of a layer that reads rectified values: half of their energy is gone (He et al., arXiv 1502.01852)."""

AFTER_POOL = 0.8
"""Gain of a layer that reads the maxima of rectified values, whose energy is larger than before rectification."""


@dataclass(frozen=True, slots=True)
class Value:
    """A value of the model being written: its name and its N x C x H x W shape (H = W = 1 after `flatten`)."""

    name: str
    batch: int
    channels: int
    height: int
    width: int


class ModelBuilder:
    """Collects nodes and initializers; each method adds one node and returns its output."""

    def __init__(self, name: str, seed: int) -> None:
        self._name = name
        self._random = np.random.default_rng(seed)
        self._nodes: list[NodeProto] = []
        self._initializers: list[TensorProto] = []
        self._inputs: list[Value] = []

    def input(self, name: str, batch: int, channels: int, height: int, width: int) -> Value:
        """Declares a float32 input of the model."""
        value = Value(name, batch, channels, height, width)
        self._inputs.append(value)
        return value

    def conv(
        self,
        value: Value,
        channels: int,
        kernel: int,
        *,
        stride: int = 1,
        pad: int = 0,
        groups: int = 1,
        bias: bool = True,
        gain: float = AFTER_RELU,
    ) -> Value:
        """A square convolution; `gain` is the output's variance over the input's mean square."""
        fan_in = value.channels // groups * kernel * kernel
        weights = self._weights((channels, value.channels // groups, kernel, kernel), math.sqrt(gain / fan_in))
        inputs = [value.name, self._constant("weight", weights)]
        if bias:
            inputs.append(self._constant("bias", self._weights((channels,), 0.05)))
        height, width = ((size + 2 * pad - kernel) // stride + 1 for size in (value.height, value.width))
        name = self._add(
            "Conv",
            inputs,
            dilations=[1, 1],
            group=groups,
            kernel_shape=[kernel, kernel],
            pads=[pad] * 4,
            strides=[stride, stride],
        )
        return Value(name, value.batch, channels, height, width)

    def conv_transpose(
        self, value: Value, channels: int, kernel: int, *, stride: int, pad: int, output_padding: int
    ) -> Value:
        """A square transposed convolution."""
        fan_in = value.channels * kernel * kernel / stride**2
        weights = self._weights((value.channels, channels, kernel, kernel), 1 / math.sqrt(fan_in))
        inputs = [
            value.name,
            self._constant("weight", weights),
            self._constant("bias", self._weights((channels,), 0.05)),
        ]
        height, width = (
            (size - 1) * stride - 2 * pad + kernel + output_padding for size in (value.height, value.width)
        )
        name = self._add(
            "ConvTranspose",
            inputs,
            dilations=[1, 1],
            group=1,
            kernel_shape=[kernel, kernel],
            output_padding=[output_padding] * 2,
            pads=[pad] * 4,
            strides=[stride, stride],
        )
        return Value(name, value.batch, channels, height, width)

    def batch_norm(self, value: Value, *, scale: float = 1.0) -> Value:
        """Batch normalization whose statistics scatter around those of a standard normal input."""
        draw = self._random.uniform
        channels = value.channels
        parameters = {
            "scale": draw(0.8, 1.2, channels) * scale,
            "shift": draw(-0.1, 0.1, channels),
            "mean": draw(-0.1, 0.1, channels),
            "variance": draw(0.7, 1.4, channels),
        }
        constants = [self._constant(name, array.astype(np.float32)) for name, array in parameters.items()]
        return self._same(value, "BatchNormalization", constants, epsilon=1e-5, momentum=0.9)

    def relu(self, value: Value) -> Value:
        """Rectification at 0."""
        return self._same(value, "Relu")

    def relu6(self, value: Value) -> Value:
        """Clipping to [0, 6], with the limits as inputs, as since opset 11."""
        limits = [self._constant(name, np.array(limit, np.float32)) for name, limit in (("min", 0.0), ("max", 6.0))]
        return self._same(value, "Clip", limits)

    def prelu(self, value: Value) -> Value:
        """Rectification with a slope per channel for negative values."""
        slopes = self._random.uniform(0.05, 0.3, (value.channels, 1, 1)).astype(np.float32)
        return self._same(value, "PRelu", [self._constant("slope", slopes)])

    def add(self, first: Value, second: Value) -> Value:
        """Sum of two values of one shape."""
        return self._same(first, "Add", [second.name])

    def subtract(self, first: Value, second: Value) -> Value:
        """Difference of two values of one shape."""
        return self._same(first, "Sub", [second.name])

    def max_pool(self, value: Value, kernel: int, *, stride: int, pad: int = 0) -> Value:
        """A square maximum pooling."""
        height, width = ((size + 2 * pad - kernel) // stride + 1 for size in (value.height, value.width))
        name = self._add(
            "MaxPool",
            [value.name],
            ceil_mode=0,
            kernel_shape=[kernel, kernel],
            pads=[pad] * 4,
            strides=[stride, stride],
        )
        return Value(name, value.batch, value.channels, height, width)

    def global_average_pool(self, value: Value) -> Value:
        """Mean over each channel's map."""
        name = self._add("GlobalAveragePool", [value.name])
        return Value(name, value.batch, value.channels, 1, 1)

    def flatten(self, value: Value) -> Value:
        """All axes after the batch as one."""
        name = self._add("Flatten", [value.name], axis=1)
        return Value(name, value.batch, value.channels * value.height * value.width, 1, 1)

    def gemm(self, value: Value, outputs: int, *, gain: float = AFTER_RELU) -> Value:
        """A fully connected layer on a flattened value."""
        weights = self._weights((outputs, value.channels), math.sqrt(gain / value.channels))
        bias = self._weights((outputs,), 0.05)
        inputs = [value.name, self._constant("weight", weights), self._constant("bias", bias)]
        name = self._add("Gemm", inputs, alpha=1.0, beta=1.0, transB=1)
        return Value(name, value.batch, outputs, 1, 1)

    def depth_to_space(self, value: Value, block: int) -> Value:
        """Channels rearranged into `block` x `block` pixels, in the order that PyTorch's pixel shuffle has."""
        name = self._add("DepthToSpace", [value.name], blocksize=block, mode="CRD")
        return Value(name, value.batch, value.channels // block**2, value.height * block, value.width * block)

    def upsample(self, value: Value, factor: int, *, linear: bool) -> Value:
        """The map enlarged as PyTorch's `interpolate` does: nearest or bilinear."""
        scales = self._constant("scales", np.array([1, 1, factor, factor], np.float32))
        attributes = (
            {"mode": "linear", "coordinate_transformation_mode": "pytorch_half_pixel"}
            if linear
            else {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        )
        name = self._add("Resize", [value.name, "", scales], **attributes)
        return Value(name, value.batch, value.channels, value.height * factor, value.width * factor)

    def concat(self, values: Sequence[Value]) -> Value:
        """The values' channels after one another."""
        name = self._add("Concat", [value.name for value in values], axis=1)
        first = values[0]
        return Value(name, first.batch, sum(value.channels for value in values), first.height, first.width)

    def model(self, output: Value, *, flat: bool = False) -> ModelProto:
        """The finished model with that one output, which is N x C if `flat`."""
        self._nodes[-1].output[0] = "output"
        shape = [output.batch, output.channels] + ([] if flat else [output.height, output.width])
        graph = helper.make_graph(
            self._nodes,
            self._name,
            [
                helper.make_tensor_value_info(
                    value.name, TensorProto.FLOAT, [value.batch, value.channels, value.height, value.width]
                )
                for value in self._inputs
            ],
            [helper.make_tensor_value_info("output", TensorProto.FLOAT, shape)],
        )
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="dlfusion-zoo", ir_version=IR_VERSION
        )
        # Added in place: a graph made with its initializers would copy every weight once more.
        model.graph.initializer.extend(self._initializers)
        return model

    def _same(self, value: Value, operator: str, constants: Sequence[str] = (), **attributes: Any) -> Value:
        name = self._add(operator, [value.name, *constants], **attributes)
        return Value(name, value.batch, value.channels, value.height, value.width)

    def _add(self, operator: str, inputs: Sequence[str], **attributes: Any) -> str:
        name = f"{operator}_{len(self._nodes)}"
        output = f"{name}_output"
        self._nodes.append(helper.make_node(operator, inputs, [output], name=f"/{name}", **attributes))
        return output

    def _weights(self, shape: tuple[int, ...], deviation: float) -> NDArray[np.float32]:
        """Uniform around 0 with that standard deviation: drawn three times as fast as normal ones."""
        array = self._random.random(shape, dtype=np.float32)
        array -= np.float32(0.5)
        array *= np.float32(deviation * math.sqrt(12))
        return array

    def _constant(self, role: str, array: NDArray[np.float32]) -> str:
        name = f"node{len(self._nodes)}.{role}"
        self._initializers.append(
            TensorProto(name=name, data_type=TensorProto.FLOAT, dims=array.shape, raw_data=array.tobytes())
        )
        return name
