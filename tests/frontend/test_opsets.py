"""Each operator in the forms it has had since opset 7, against ONNX Runtime."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper

from dlfusion.ops.resize import Coordinates, Rounding
from tests.support.onnx_models import Case, assert_matches_onnx_runtime, check_all_opsets, make_model, weights


def node(operator: str, *inputs: str, **attributes: Any) -> NodeProto:
    return helper.make_node(operator, ["x", *inputs], ["y"], name=f"the_{operator}", **attributes)


def integers(*values: int) -> NDArray[np.int64]:
    return np.array(values, np.int64)


def floats(*values: float) -> NDArray[np.float32]:
    return np.array(values, np.float32)


def scalar(value: float) -> NDArray[np.float32]:
    return np.array(value, np.float32)


def clip(opset: int) -> Case:
    if opset < 11:
        return [node("Clip", min=-0.3, max=0.6)], {}
    return [node("Clip", "low", "high")], {"low": scalar(-0.3), "high": scalar(0.6)}


def clip_without_limits(opset: int) -> Case:
    return [node("Clip")], {}


def clip_from_above(opset: int) -> Case:
    if opset < 11:
        return [node("Clip", max=0.5)], {}
    return [node("Clip", "", "high")], {"high": scalar(0.5)}


def dropout(opset: int) -> Case:
    if opset < 12:
        return [node("Dropout", ratio=0.3)], {}
    return [node("Dropout", "ratio")], {"ratio": scalar(0.3)}


def pad(opset: int) -> Case:
    amounts = (0, 0, 1, 2, 0, 0, 3, 0)
    if opset < 11:
        return [node("Pad", pads=amounts, value=0.5)], {}
    return [node("Pad", "pads", "value")], {"pads": integers(*amounts), "value": scalar(0.5)}


def pad_then_conv(opset: int) -> Case:
    amounts = (0, 0, 1, 2, 0, 0, 3, 0)
    constants: dict[str, NDArray[Any]] = {"w": weights(3, 6, 3, 3)}
    if opset < 11:
        first = helper.make_node("Pad", ["x"], ["p"], pads=amounts)
    else:
        first = helper.make_node("Pad", ["x", "pads"], ["p"])
        constants["pads"] = integers(*amounts)
    return [first, helper.make_node("Conv", ["p", "w"], ["y"])], constants


def upsample_nearest(opset: int) -> Case:
    return _enlarged(opset, "nearest", (1, 1, 2, 3))


def upsample_linear(opset: int) -> Case:
    return _enlarged(opset, "linear", (1, 1, 2, 3))


def shrink_nearest(opset: int) -> Case:
    return _enlarged(max(opset, 10), "nearest", (1, 1, 0.6, 0.5)) if opset >= 10 else upsample_nearest(opset)


def _enlarged(opset: int, mode: str, scales: tuple[float, ...]) -> Case:
    if opset < 9:
        return [node("Upsample", mode=mode, scales=[float(scale) for scale in scales])], {}
    if opset < 10:
        return [node("Upsample", "scales", mode=mode)], {"scales": floats(*scales)}
    if opset < 11:
        return [node("Resize", "scales", mode=mode)], {"scales": floats(*scales)}
    return [node("Resize", "roi", "scales", mode=mode)], {"roi": floats(), "scales": floats(*scales)}


def resize_to_sizes(opset: int) -> Case:
    if opset < 11:
        return upsample_linear(opset)
    attributes = {"mode": "linear", "coordinate_transformation_mode": "align_corners"}
    roi_and_scales = {"roi": floats(), "none": floats()}
    return [node("Resize", "roi", "none", "sizes", **attributes)], {**roi_and_scales, "sizes": integers(2, 6, 9, 5)}


def resize_axes(opset: int) -> Case:
    if opset < 18:
        return resize_to_sizes(opset)
    return [node("Resize", "", "", "sizes", mode="nearest", axes=[2, 3])], {"sizes": integers(14, 4)}


def softmax_default(opset: int) -> Case:
    return [node("Softmax")], {}


def softmax_channels(opset: int) -> Case:
    return [node("Softmax", axis=1)], {}


def softmax_last(opset: int) -> Case:
    return [node("Softmax", axis=-1)], {}


def squeeze(opset: int) -> Case:
    pool = helper.make_node("GlobalAveragePool", ["x"], ["p"])
    if opset < 13:
        return [pool, helper.make_node("Squeeze", ["p"], ["y"], axes=[2, 3])], {}
    return [pool, helper.make_node("Squeeze", ["p", "axes"], ["y"])], {"axes": integers(2, -1)}


def unsqueeze(opset: int) -> Case:
    if opset < 13:
        return [node("Unsqueeze", axes=[0, 3])], {}
    return [node("Unsqueeze", "axes")], {"axes": integers(0, 3)}


def batch_normalization(opset: int) -> Case:
    constants = {name: weights(6, seed=seed) for seed, name in enumerate(("scale", "shift", "mean"))}
    return [node("BatchNormalization", "scale", "shift", "mean", "variance", epsilon=1e-3)], {
        **constants,
        "variance": np.abs(weights(6, seed=9)) + 0.1,
    }


def conv_then_batch_normalization(opset: int) -> Case:
    (last,), constants = batch_normalization(opset)
    last.input[0] = "c"
    first = helper.make_node("Conv", ["x", "w", "b"], ["c"], group=2, strides=[2, 1], pads=[1, 0, 2, 1])
    return [first, last], {**constants, "w": weights(6, 3, 3, 2), "b": weights(6)}


def auto_pad_upper(opset: int) -> Case:
    return [node("Conv", "w", auto_pad="SAME_UPPER", strides=[2, 3])], {"w": weights(4, 6, 4, 3)}


def auto_pad_lower(opset: int) -> Case:
    return [node("MaxPool", auto_pad="SAME_LOWER", kernel_shape=[4, 3], strides=[2, 3])], {}


def auto_pad_valid(opset: int) -> Case:
    return [node("AveragePool", auto_pad="VALID", kernel_shape=[2, 3], strides=[2, 1])], {}


def conv_transpose(opset: int) -> Case:
    attributes = {"group": 2, "strides": [2, 3], "pads": [1, 0, 0, 2], "output_padding": [1, 1], "dilations": [1, 2]}
    return [node("ConvTranspose", "w", "b", **attributes)], {"w": weights(6, 4, 3, 2), "b": weights(8)}


def conv_transpose_then_scale(opset: int) -> Case:
    nodes, constants = conv_transpose(opset)
    nodes[0].output[0] = "c"
    nodes.append(helper.make_node("Mul", ["c", "scale"], ["y"]))
    return nodes, {**constants, "scale": weights(8, 1, 1, seed=3)}


def conv_transpose_output_shape(opset: int) -> Case:
    return [node("ConvTranspose", "w", strides=[2, 2], output_shape=[14, 9])], {"w": weights(6, 4, 3, 3)}


def conv_transpose_same_upper(opset: int) -> Case:
    return [node("ConvTranspose", "w", strides=[2, 2], auto_pad="SAME_UPPER")], {"w": weights(6, 4, 3, 3)}


def conv_transpose_same_lower(opset: int) -> Case:
    return [node("ConvTranspose", "w", strides=[2, 2], auto_pad="SAME_LOWER")], {"w": weights(6, 4, 3, 3)}


def max_pool(opset: int) -> Case:
    attributes: dict[str, Any] = {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 0, 1, 1]}
    if opset >= 10:
        attributes |= {"ceil_mode": 1, "dilations": [2, 1]}
    return [node("MaxPool", **attributes)], {}


def average_pool(opset: int) -> Case:
    attributes: dict[str, Any] = {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 0, 1, 1]}
    if opset >= 10:
        attributes["ceil_mode"] = 1
    return [node("AveragePool", **attributes)], {}


def average_pool_counting_padding(opset: int) -> Case:
    nodes, constants = average_pool(opset)
    nodes[0].attribute.append(helper.make_attribute("count_include_pad", 1))
    return nodes, constants


def pad_then_average_pool(opset: int) -> Case:
    nodes, constants = pad_then_conv(opset)
    nodes[1] = helper.make_node("AveragePool", ["p"], ["y"], kernel_shape=[4, 3], strides=[2, 2])
    del constants["w"]  # type: ignore[attr-defined]
    return nodes, constants


def reduce_mean(opset: int) -> Case:
    if opset < 18:
        return [node("ReduceMean", axes=[2, 3], keepdims=0)], {}
    return [node("ReduceMean", "axes", keepdims=0)], {"axes": integers(-1, -2)}


def reduce_max(opset: int) -> Case:
    if opset < 18:
        return [node("ReduceMax", axes=[-1, -2])], {}
    return [node("ReduceMax", "axes")], {"axes": integers(2, 3)}


def flatten_gemm(opset: int) -> Case:
    nodes = [
        helper.make_node("Flatten", ["x"], ["f"]),
        helper.make_node("Gemm", ["f", "w", "b"], ["y"], alpha=0.5, beta=2.0, transB=1),
    ]
    return nodes, {"w": weights(5, 210), "b": weights(1, 5)}


def reshape_matmul(opset: int) -> Case:
    nodes = [
        helper.make_node("Reshape", ["x", "shape"], ["f"]),
        helper.make_node("MatMul", ["f", "w"], ["m"]),
        helper.make_node("Add", ["m", "b"], ["y"]),
    ]
    return nodes, {"shape": integers(0, -1), "w": weights(210, 5), "b": weights(5)}


def matmul_last_axis(opset: int) -> Case:
    return [node("MatMul", "w")], {"w": weights(5, 4)}


def channel_shuffle(opset: int) -> Case:
    nodes = [
        helper.make_node("Reshape", ["x", "groups"], ["g"]),
        helper.make_node("Transpose", ["g"], ["t"], perm=[0, 2, 1, 3, 4]),
        helper.make_node("Reshape", ["t", "back"], ["y"]),
    ]
    return nodes, {"groups": integers(2, 3, 2, 7, 5), "back": integers(2, -1, 7, 5)}


def channels_last_and_back(opset: int) -> Case:
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[0, 2, 3, 1]),
        helper.make_node("Relu", ["t"], ["r"]),
        helper.make_node("Transpose", ["r"], ["y"], perm=[0, 3, 1, 2]),
    ]
    return nodes, {}


def pixel_shuffle(opset: int) -> Case:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("Reshape", ["c", "split"], ["s"]),
        helper.make_node("Transpose", ["s"], ["t"], perm=[0, 1, 4, 2, 5, 3]),
        helper.make_node("Reshape", ["t", "joined"], ["y"]),
    ]
    return nodes, {"w": weights(8, 6, 1, 1), "split": integers(2, 2, 2, 2, 7, 5), "joined": integers(2, 2, 14, 10)}


def depth_to_space(opset: int) -> Case:
    attributes = {"mode": "CRD"} if opset >= 11 else {}
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("DepthToSpace", ["c"], ["y"], blocksize=2, **attributes),
    ]
    return nodes, {"w": weights(12, 6, 1, 1)}


def space_to_depth(opset: int) -> Case:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("SpaceToDepth", ["c"], ["y"], blocksize=2),
    ]
    return nodes, {"w": weights(3, 6, 2, 2)}


def sum_of_three(opset: int) -> Case:
    nodes = [helper.make_node("Relu", ["x"], ["r"]), helper.make_node("Tanh", ["x"], ["t"])]
    return [*nodes, helper.make_node("Sum", ["r", "x", "t"], ["y"])], {}


def constant_arithmetic(opset: int) -> Case:
    nodes = [
        helper.make_node("Mul", ["x", "scale"], ["a"]),
        helper.make_node("Sub", ["a", "mean"], ["b"]),
        helper.make_node("Sub", ["one", "b"], ["c"]),
        helper.make_node("Div", ["c", "deviation"], ["d"]),
        helper.make_node("Add", ["mean", "d"], ["e"]),
        helper.make_node("Neg", ["e"], ["y"]),
    ]
    constants = {"scale": weights(1, 6, 1, 1), "mean": weights(6, 1, 1), "deviation": weights(6, 1, 1) + 2}
    return nodes, {**constants, "one": floats(1)}


def gate(opset: int) -> Case:
    nodes = [
        helper.make_node("GlobalMaxPool", ["x"], ["p"]),
        helper.make_node("HardSigmoid", ["p"], ["s"], alpha=0.3),
        helper.make_node("Mul", ["s", "x"], ["m"]),
        helper.make_node("Sigmoid", ["m"], ["i"]),
        helper.make_node("Mul", ["m", "i"], ["y"]),
    ]
    return nodes, {}


def subtract_activations(opset: int) -> Case:
    nodes = [helper.make_node("LeakyRelu", ["x"], ["r"], alpha=0.2), helper.make_node("Sub", ["r", "x"], ["y"])]
    return nodes, {}


def p_relu(opset: int) -> Case:
    return [node("PRelu", "slope")], {"slope": weights(6, 1, 1)}


def one_slope(opset: int) -> Case:
    return [node("PRelu", "slope")], {"slope": floats(0.25)}


def limits(opset: int) -> Case:
    nodes = [helper.make_node("Max", ["x", "low"], ["m"]), helper.make_node("Min", ["m", "high"], ["y"])]
    # Broadcasting came with opset 8.
    shape = (2, 6, 7, 5) if opset < 8 else (1,)
    return nodes, {"low": np.full(shape, -0.5, np.float32), "high": np.full(shape, 0.5, np.float32)}


def concat(opset: int) -> Case:
    nodes = [helper.make_node("Relu", ["x"], ["r"]), helper.make_node("Concat", ["r", "x", "r"], ["y"], axis=1)]
    return nodes, {}


def concat_rows(opset: int) -> Case:
    nodes = [helper.make_node("Relu", ["x"], ["r"]), helper.make_node("Concat", ["r", "x"], ["y"], axis=-2)]
    return nodes, {}


def lrn(opset: int) -> Case:
    return [node("LRN", size=3, alpha=0.5, beta=0.6, bias=1.5)], {}


def shape_computation(opset: int) -> Case:
    """The usual way in which PyTorch flattened before `Flatten`."""
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Gather", ["s", "zero"], ["n"], axis=0),
        helper.make_node("Reshape", ["n", "one"], ["n1"]),
        helper.make_node("Concat", ["n1", "rest"], ["shape"], axis=0),
        helper.make_node("Reshape", ["x", "shape"], ["y"]),
    ]
    return nodes, {"zero": np.array(0), "one": integers(1), "rest": integers(-1)}


def constant_node(opset: int) -> Case:
    nodes = [
        helper.make_node("Constant", [], ["w"], value=helper.make_tensor("t", 1, [2, 6, 1, 1], weights(12))),
        helper.make_node("Identity", ["w"], ["v"]),
        helper.make_node("Conv", ["x", "v"], ["y"]),
    ]
    return nodes, {}


CASES: tuple[Callable[[int], Case], ...] = (
    auto_pad_lower,
    auto_pad_upper,
    auto_pad_valid,
    average_pool,
    average_pool_counting_padding,
    batch_normalization,
    channel_shuffle,
    channels_last_and_back,
    clip,
    clip_from_above,
    clip_without_limits,
    concat,
    concat_rows,
    constant_arithmetic,
    constant_node,
    conv_then_batch_normalization,
    conv_transpose,
    conv_transpose_output_shape,
    conv_transpose_same_lower,
    conv_transpose_same_upper,
    conv_transpose_then_scale,
    depth_to_space,
    dropout,
    flatten_gemm,
    gate,
    limits,
    lrn,
    matmul_last_axis,
    max_pool,
    one_slope,
    p_relu,
    pad,
    pad_then_average_pool,
    pad_then_conv,
    pixel_shuffle,
    reduce_max,
    reduce_mean,
    reshape_matmul,
    resize_axes,
    resize_to_sizes,
    shape_computation,
    shrink_nearest,
    softmax_channels,
    softmax_default,
    softmax_last,
    space_to_depth,
    squeeze,
    subtract_activations,
    sum_of_three,
    unsqueeze,
    upsample_linear,
    upsample_nearest,
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_all_opsets(case: Callable[[int], Case]) -> None:
    check_all_opsets(case)


def test_hard_swish() -> None:
    assert_matches_onnx_runtime(make_model([node("HardSwish")], {"x": (1, 3, 4, 5)}, opset=14))


@pytest.mark.parametrize("mode", [mode for mode in Coordinates if mode is not Coordinates.CROP])
@pytest.mark.parametrize(
    "attributes", [{"mode": "linear"}, {"mode": "cubic"}, *({"nearest_mode": rounding} for rounding in Rounding)]
)
def test_resize_coordinates(mode: str, attributes: dict[str, str]) -> None:
    for sizes in ((1, 2, 13, 4), (1, 2, 3, 10)):
        resize = node("Resize", "", "", "sizes", coordinate_transformation_mode=mode, **attributes)
        model = make_model([resize], {"x": (1, 2, 6, 5)}, constants={"sizes": integers(*sizes)}, opset=19)
        assert_matches_onnx_runtime(model)


def test_functions_of_the_model_are_inlined() -> None:
    body = [helper.make_node("Sigmoid", ["a"], ["s"]), helper.make_node("Mul", ["a", "s"], ["b"])]
    model = make_model([helper.make_node("Silu", ["x"], ["y"], domain="mine")], {"x": (1, 2, 3, 4)}, domains=("mine",))
    model.functions.append(helper.make_function("mine", "Silu", ["a"], ["b"], body, [helper.make_opsetid("", 17)]))
    assert [node.operator.label for node in assert_matches_onnx_runtime(model).nodes] == ["Swish"]


def test_branch_on_a_constant_is_taken() -> None:
    output = [helper.make_tensor_value_info("b", TensorProto.FLOAT, None)]
    yes, no = (helper.make_graph([helper.make_node(name, ["x"], ["b"])], name, [], output) for name in ("Relu", "Tanh"))
    branch = helper.make_node("If", ["condition"], ["y"], then_branch=yes, else_branch=no)
    graph = assert_matches_onnx_runtime(
        make_model([branch], {"x": (1, 2, 3, 4)}, constants={"condition": np.array(True)})
    )
    assert [node.operator.label for node in graph.nodes] == ["Relu"]


def test_one_dimensional_network() -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], pads=[2, 1], strides=[2], dilations=[2]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("MaxPool", ["r"], ["p"], kernel_shape=[3], strides=[2], ceil_mode=1),
        helper.make_node("ConvTranspose", ["p", "v"], ["t"], strides=[2]),
        helper.make_node("BatchNormalization", ["t", "s", "s", "s", "q"], ["n"]),
        helper.make_node("GlobalAveragePool", ["n"], ["g"]),
        helper.make_node("Flatten", ["g"], ["y"]),
    ]
    constants = {"w": weights(4, 3, 3), "b": weights(4), "v": weights(4, 5, 3), "s": weights(5), "q": weights(5) + 2}
    assert_matches_onnx_runtime(make_model(nodes, {"x": (2, 3, 31)}, constants=constants))


def test_several_inputs_and_outputs() -> None:
    nodes = [
        helper.make_node("Add", ["a", "b"], ["sum"]),
        helper.make_node("Relu", ["sum"], ["positive"]),
        helper.make_node("Identity", ["a"], ["copy"]),
        helper.make_node("Flatten", ["positive"], ["flat"]),
    ]
    graph = assert_matches_onnx_runtime(
        make_model(nodes, {"a": (2, 3, 4, 5), "b": (2, 3, 4, 5)}, outputs=("positive", "copy", "flat", "sum"))
    )
    assert [port.name for port in graph.outputs] == ["positive", "copy", "flat", "sum"]
    assert graph.outputs[2].array_shape == (2, 60)
    computed = {node.output for node in graph.nodes}
    assert all(port.value in computed for port in graph.outputs)
