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

_FEWEST_CENTERED = 8
"""Filters of fewer weights are not centered: too little would be left of them."""

_TYPES = {"float32": TensorProto.FLOAT, "int64": TensorProto.INT64}


@dataclass(frozen=True, slots=True)
class Value:
    """A value of the model being written: its name and its shape, of which the first axis is the batch."""

    name: str
    shape: tuple[int, ...]

    @property
    def batch(self) -> int:
        """How many images or signals there are."""
        return self.shape[0]

    @property
    def channels(self) -> int:
        """The size of the second axis."""
        return self.shape[1]

    @property
    def places(self) -> tuple[int, ...]:
        """The sizes behind the channels: height and width of a map, the length of a signal."""
        return self.shape[2:]


class ModelBuilder:
    """Collects nodes and initializers; each method adds one node and returns its output.

    With `centered` the weights of each filter that reads several channels sum to zero. What all its inputs have in
    common then cancels, above all the mean that a rectified value has, so that outputs depend on the model's input at
    any depth: without it, the differences between inputs fade from layer to layer.
    """

    def __init__(self, name: str, seed: int, *, centered: bool = False) -> None:
        self._name = name
        self._random = np.random.default_rng(seed)
        self._centered = centered
        self._nodes: list[NodeProto] = []
        self._initializers: list[TensorProto] = []
        self._inputs: list[Value] = []

    def input(self, name: str, *shape: int) -> Value:
        """Declares a float32 input of the model."""
        value = Value(name, shape)
        self._inputs.append(value)
        return value

    def image(self, batch: int, height: int, width: int | None = None, *, channels: int = 3) -> Value:
        """Declares the input `image`, which is square where no width is given."""
        return self.input("image", batch, channels, height, height if width is None else width)

    def conv(
        self,
        value: Value,
        channels: int,
        kernel: int | Sequence[int],
        *,
        stride: int = 1,
        pad: int = 0,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = True,
        gain: float = AFTER_RELU,
        centered: bool = True,
    ) -> Value:
        """A convolution of a map or a signal; `gain` is the output's variance over the input's mean square.

        `centered` is False where a centered model wants the mean of what the filters read.
        """
        axes = len(value.places)
        kernels = [kernel] * axes if isinstance(kernel, int) else list(kernel)
        fan_in = value.channels // groups * math.prod(kernels)
        weights = self._weights((channels, value.channels // groups, *kernels), math.sqrt(gain / fan_in))
        if centered and groups < value.channels:
            weights = self._without_mean(weights)
        inputs = [value.name, self._constant("weight", weights)]
        if bias:
            inputs.append(self._constant("bias", self._weights((channels,), 0.05)))
        places = (
            (size + 2 * pad - dilation * (own - 1) - 1) // stride + 1
            for size, own in zip(value.places, kernels, strict=True)
        )
        name = self._add(
            "Conv",
            inputs,
            dilations=[dilation] * axes,
            group=groups,
            kernel_shape=kernels,
            pads=[pad] * 2 * axes,
            strides=[stride] * axes,
        )
        return Value(name, (value.batch, channels, *places))

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
        places = ((size - 1) * stride - 2 * pad + kernel + output_padding for size in value.places)
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
        return Value(name, (value.batch, channels, *places))

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

    def instance_norm(self, value: Value) -> Value:
        """Each channel's map with mean 0 and variance 1, then scaled and shifted."""
        return self._same(value, "InstanceNormalization", self._scale_and_shift(value.channels), epsilon=1e-5)

    def layer_norm(self, value: Value) -> Value:
        """Mean 0 and variance 1 along the last axis, then scaled and shifted."""
        constants = self._scale_and_shift(value.shape[-1])
        return self._same(value, "LayerNormalization", constants, axis=-1, epsilon=1e-6)

    def local_response_norm(self, value: Value) -> Value:
        """Each element divided by a power of the energy in the channels around it, with AlexNet's parameters."""
        return self._same(value, "LRN", alpha=1e-4, beta=0.75, bias=1.0, size=5)

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

    def sigmoid(self, value: Value) -> Value:
        """The logistic function."""
        return self._same(value, "Sigmoid")

    def hard_sigmoid(self, value: Value) -> Value:
        """A sixth of the value and 1/2, clipped to [0, 1]."""
        return self._same(value, "HardSigmoid", alpha=1 / 6, beta=0.5)

    def hard_swish(self, value: Value) -> Value:
        """The value times its `hard_sigmoid`."""
        return self._same(value, "HardSwish")

    def erf(self, value: Value) -> Value:
        """The error function."""
        return self._same(value, "Erf")

    def softmax(self, value: Value) -> Value:
        """Probabilities over the channels."""
        return self._same(value, "Softmax", axis=1)

    def add(self, first: Value, second: Value | float | NDArray[np.float32]) -> Value:
        """Sum of two values of one shape, or of a value and a constant."""
        return self._same(first, "Add", [self._operand(second)])

    def subtract(self, first: Value, second: Value) -> Value:
        """Difference of two values of one shape."""
        return self._same(first, "Sub", [self._operand(second)])

    def multiply(self, first: Value, second: Value | float | NDArray[np.float32]) -> Value:
        """Product of a value and another, which may have one element per channel, or a constant."""
        return self._same(first, "Mul", [self._operand(second)])

    def divide(self, first: Value, number: float) -> Value:
        """Quotient of a value and a number."""
        return self._same(first, "Div", [self._operand(number)])

    def power(self, first: Value, exponent: float) -> Value:
        """A value to the power of a number."""
        return self._same(first, "Pow", [self._operand(exponent)])

    def scale(self, value: Value, low: float, high: float) -> Value:
        """Each channel times a number of its own between these."""
        factors = self._random.uniform(low, high, (value.channels, *(1 for _ in value.places))).astype(np.float32)
        return self._same(value, "Mul", [self._constant("factors", factors)])

    def shift(self, value: Value) -> Value:
        """Each channel plus a small number of its own."""
        shifts = self._weights((value.channels, *(1 for _ in value.places)), 0.05)
        return self._same(value, "Add", [self._constant("shifts", shifts)])

    def max_pool(self, value: Value, kernel: int, *, stride: int, pad: int = 0, ceil: bool = False) -> Value:
        """A maximum pooling of a map or a signal; with `ceil` the last window may reach outside."""
        axes = len(value.places)
        more = stride - 1 if ceil else 0
        places = ((size + 2 * pad - kernel + more) // stride + 1 for size in value.places)
        name = self._add(
            "MaxPool",
            [value.name],
            ceil_mode=int(ceil),
            kernel_shape=[kernel] * axes,
            pads=[pad] * 2 * axes,
            strides=[stride] * axes,
        )
        return Value(name, (value.batch, value.channels, *places))

    def average_pool(self, value: Value, kernel: int, *, stride: int) -> Value:
        """A square average pooling."""
        places = ((size - kernel) // stride + 1 for size in value.places)
        name = self._add("AveragePool", [value.name], kernel_shape=[kernel, kernel], strides=[stride, stride])
        return Value(name, (value.batch, value.channels, *places))

    def global_average_pool(self, value: Value) -> Value:
        """Mean over each channel's map or signal."""
        name = self._add("GlobalAveragePool", [value.name])
        return Value(name, (value.batch, value.channels, *(1 for _ in value.places)))

    def mean(self, value: Value) -> Value:
        """Mean over each channel's map or signal, N x C."""
        axes = list(range(2, len(value.shape)))
        return Value(self._add("ReduceMean", [value.name], axes=axes, keepdims=0), value.shape[:2])

    def flatten(self, value: Value) -> Value:
        """All axes after the batch as one."""
        return Value(self._add("Flatten", [value.name], axis=1), (value.batch, math.prod(value.shape[1:])))

    def gemm(self, value: Value, outputs: int, *, gain: float = AFTER_RELU) -> Value:
        """A fully connected layer on a flattened value."""
        weights = self._without_mean(self._weights((outputs, value.channels), math.sqrt(gain / value.channels)))
        bias = self._weights((outputs,), 0.05)
        inputs = [value.name, self._constant("weight", weights), self._constant("bias", bias)]
        return Value(self._add("Gemm", inputs, alpha=1.0, beta=1.0, transB=1), (value.batch, outputs))

    def matmul(self, value: Value, outputs: int, *, gain: float = AFTER_RELU) -> Value:
        """A fully connected layer on the last axis: MatMul and Add, as exporters write it for more than two axes."""
        inputs = value.shape[-1]
        weights = self._without_mean(self._weights((outputs, inputs), math.sqrt(gain / inputs)))
        shape = (*value.shape[:-1], outputs)
        transposed = np.ascontiguousarray(weights.T)
        product = self._add("MatMul", [value.name, self._constant("weight", transposed)])
        bias = self._constant("bias", self._weights((outputs,), 0.05))
        return Value(self._add("Add", [bias, product]), shape)

    def depth_to_space(self, value: Value, block: int) -> Value:
        """Channels rearranged into `block` x `block` pixels, in the order that PyTorch's pixel shuffle has."""
        name = self._add("DepthToSpace", [value.name], blocksize=block, mode="CRD")
        places = (size * block for size in value.places)
        return Value(name, (value.batch, value.channels // block**2, *places))

    def upsample(self, value: Value, factor: int, *, linear: bool) -> Value:
        """The map enlarged as PyTorch's `interpolate` does: nearest or bilinear."""
        scales = self._constant("scales", np.array([1, 1, factor, factor], np.float32))
        name = self._add("Resize", [value.name, "", scales], **_interpolation(linear=linear))
        return Value(name, (value.batch, value.channels, *(size * factor for size in value.places)))

    def resize(self, value: Value, places: Sequence[int], *, linear: bool) -> Value:
        """The map brought to these sizes as PyTorch's `interpolate` does: nearest or bilinear."""
        shape = (*value.shape[:2], *places)
        sizes = self._constant("sizes", np.array(shape, np.int64))
        return Value(self._add("Resize", [value.name, "", "", sizes], **_interpolation(linear=linear)), shape)

    def pad(self, value: Value, pads: Sequence[int], mode: str = "constant") -> Value:
        """The map with rows above, columns on the left, rows below and columns on the right."""
        top, left, bottom, right = pads
        amounts = self._constant("pads", np.array([0, 0, top, left, 0, 0, bottom, right], np.int64))
        height, width = value.places
        name = self._add("Pad", [value.name, amounts], mode=mode)
        return Value(name, (*value.shape[:2], top + height + bottom, left + width + right))

    def concat(self, values: Sequence[Value], axis: int = 1) -> Value:
        """The values after one another along an axis, which is that of the channels if none is named."""
        name = self._add("Concat", [value.name for value in values], axis=axis)
        first = values[0].shape
        return Value(name, (*first[:axis], sum(value.shape[axis] for value in values), *first[axis + 1 :]))

    def split(self, value: Value, sizes: Sequence[int], axis: int = 1) -> tuple[Value, ...]:
        """Parts of these sizes along an axis, which is that of the channels if none is named."""
        inputs = [value.name, self._constant("sizes", np.array(sizes, np.int64))]
        name = self._add("Split", inputs, outputs=len(sizes), axis=axis)
        shapes = [(*value.shape[:axis], size, *value.shape[axis + 1 :]) for size in sizes]
        return tuple(Value(f"{name}_{i}" if i else name, shape) for i, shape in enumerate(shapes))

    def reshape(self, value: Value, *shape: int) -> Value:
        """The same elements with other axes."""
        name = self._add("Reshape", [value.name, self._constant("shape", np.array(shape, np.int64))])
        return Value(name, shape)

    def transpose(self, value: Value, *order: int) -> Value:
        """The axes in another order."""
        name = self._add("Transpose", [value.name], perm=list(order))
        return Value(name, tuple(value.shape[axis] for axis in order))

    def model(self, *outputs: Value) -> ModelProto:
        """The finished model with these outputs, none of which is read inside: `output`, or `output0` and so on."""
        names = {value.name: "output" if len(outputs) == 1 else f"output{i}" for i, value in enumerate(outputs)}
        for node in self._nodes:
            node.output[:] = [names.get(name, name) for name in node.output]
        graph = helper.make_graph(
            self._nodes,
            self._name,
            [_port(value.name, value.shape) for value in self._inputs],
            [_port(names[value.name], value.shape) for value in outputs],
        )
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="dlfusion-zoo", ir_version=IR_VERSION
        )
        # Added in place: a graph made with its initializers would copy every weight once more.
        model.graph.initializer.extend(self._initializers)
        return model

    def _same(self, value: Value, operator: str, constants: Sequence[str] = (), **attributes: Any) -> Value:
        return Value(self._add(operator, [value.name, *constants], **attributes), value.shape)

    def _add(self, operator: str, inputs: Sequence[str], *, outputs: int = 1, **attributes: Any) -> str:
        """The name of the first output; the others' have their number appended."""
        name = f"{operator}_{len(self._nodes)}"
        output = f"{name}_output"
        names = [output, *(f"{output}_{index}" for index in range(1, outputs))]
        self._nodes.append(helper.make_node(operator, inputs, names, name=f"/{name}", **attributes))
        return output

    def _operand(self, second: Value | float | NDArray[np.float32]) -> str:
        """The name of a value, or of a constant."""
        return second.name if isinstance(second, Value) else self._constant("number", np.asarray(second, np.float32))

    def _scale_and_shift(self, count: int) -> list[str]:
        draw = self._random.uniform
        parameters = {"scale": draw(0.8, 1.2, count), "shift": draw(-0.1, 0.1, count)}
        return [self._constant(name, array.astype(np.float32)) for name, array in parameters.items()]

    def _weights(self, shape: tuple[int, ...], deviation: float) -> NDArray[np.float32]:
        """Uniform around 0 with that standard deviation: drawn three times as fast as normal ones."""
        array = self._random.random(shape, dtype=np.float32)
        array -= np.float32(0.5)
        array *= np.float32(deviation * math.sqrt(12))
        return array

    def _without_mean(self, weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """The weights with each filter's mean taken out, if the model is centered."""
        if self._centered and math.prod(weights.shape[1:]) >= _FEWEST_CENTERED:
            weights -= weights.mean(axis=tuple(range(1, weights.ndim)), keepdims=True)
        return weights

    def _constant(self, role: str, array: NDArray[Any]) -> str:
        name = f"node{len(self._nodes)}.{role}"
        self._initializers.append(
            TensorProto(name=name, data_type=_TYPES[array.dtype.name], dims=array.shape, raw_data=array.tobytes())
        )
        return name


def _interpolation(*, linear: bool) -> dict[str, Any]:
    """The attributes of Resize for PyTorch's two kinds of interpolation."""
    if linear:
        return {"mode": "linear", "coordinate_transformation_mode": "pytorch_half_pixel"}
    return {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}


def _port(name: str, shape: Sequence[int]) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
