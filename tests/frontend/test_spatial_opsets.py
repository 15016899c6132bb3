"""Operators that cut, pad, resize and pool maps, in the forms they have had since opset 7, against ONNX Runtime."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx import helper

from dlfusion.frontend import load
from dlfusion.ops.reshape import Reshape
from dlfusion.runtime.reference import evaluate
from tests.frontend.test_opsets import (
    average_pool,
    floats,
    integers,
    node,
    pad,
    upsample_linear,
)
from tests.support.onnx_models import Case, assert_matches_onnx_runtime, check_all_opsets, feeds, make_model, weights


def pad_in_modes(opset: int) -> Case:
    modes = ["reflect", "edge", *(["wrap"] if opset >= 19 else [])]
    nodes, constants = [], {}
    for index, mode in enumerate(modes):
        amounts = (0, 0, 1, 2, 0, 0, 3, index)
        pads: list[str] = []
        attributes: dict[str, Any] = {"mode": mode}
        if opset < 11:
            attributes["pads"] = amounts
        else:
            pads = [f"pads{index}"]
            constants[pads[0]] = integers(*amounts)
        source = "x" if index == 0 else f"p{index - 1}"
        target = "y" if index + 1 == len(modes) else f"p{index}"
        nodes.append(helper.make_node("Pad", [source, *pads], [target], **attributes))
    return nodes, constants


def pad_axes(opset: int) -> Case:
    if opset < 18:
        return pad(opset)
    return [node("Pad", "pads", "", "axes", mode="reflect")], {"pads": integers(1, 2, 3, 0), "axes": integers(-1, 2)}


def pad_channels_and_images(opset: int) -> Case:
    """As the shortcuts of the first residual networks pad their channels."""
    amounts = (0, 2, 1, -1, 1, 3, 0, 2)
    if opset < 11:
        return [node("Pad", pads=amounts, mode="constant", value=0.5)], {}
    return [node("Pad", "pads", "value")], {"pads": integers(*amounts), "value": np.array(0.5, np.float32)}


def part(opset: int) -> Case:
    starts, ends, axes = (1, -4), (2**40, 6), (1, -2)
    if opset < 10:
        return [node("Slice", starts=starts, ends=ends, axes=axes)], {}
    constants = {"starts": integers(*starts), "ends": integers(*ends), "axes": integers(*axes), "steps": integers(2, 1)}
    return [node("Slice", *constants)], constants


def part_of_the_batch_backwards(opset: int) -> Case:
    if opset < 10:
        return [node("Slice", starts=[1], ends=[2], axes=[0])], {}
    constants = {
        "starts": integers(-1, 4, -1),
        "ends": integers(-100, 0, -(2**62)),
        "axes": integers(0, 3, 1),
        "steps": integers(-1, -2, -1),
    }
    return [node("Slice", *constants)], constants


def focus(opset: int) -> Case:
    """YOLOv5's first layer: every second row and column, four times, and their channels joined."""
    if opset < 10:
        return part(opset)
    constants = {"ends": integers(7, 4), "axes": integers(2, 3), "steps": integers(2, 2)}
    constants |= {f"starts{place}": integers(0, place) for place in range(2)}
    nodes = [
        helper.make_node("Slice", ["x", f"starts{place}", "ends", "axes", "steps"], [f"s{place}"]) for place in range(2)
    ]
    return [*nodes, helper.make_node("Concat", ["s0", "s1"], ["y"], axis=1)], constants


def split_equally(opset: int) -> Case:
    attributes: dict[str, Any] = {"num_outputs": 3} if opset >= 18 else {}
    nodes = [helper.make_node("Split", ["x"], ["a", "b", "c"], axis=1, **attributes)]
    return [*nodes, helper.make_node("Add", ["a", "c"], ["y"])], {}


def split_sizes(opset: int) -> Case:
    sizes: dict[str, Any] = {"split": (1, 4, 2)} if opset < 13 else {}
    nodes = [
        helper.make_node("Split", ["x", *([] if sizes else ["sizes"])], ["a", "b", "c"], axis=-2, **sizes),
        helper.make_node("Relu", ["b"], ["r"]),
        helper.make_node("Concat", ["c", "r", "a"], ["y"], axis=2),
    ]
    return nodes, {} if sizes else {"sizes": integers(1, 4, 2)}


def norm_pools(opset: int, norm: int = 1) -> Case:
    attributes: dict[str, Any] = {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 0, 1, 1], "p": norm}
    if opset >= 18:
        attributes |= {"dilations": [2, 1], "ceil_mode": 1}
    if opset >= 22:  # ONNX Runtime has no norm of whole maps for it
        return [node("LpPool", **attributes)], {}
    nodes = [
        helper.make_node("LpPool", ["x"], ["p"], **attributes),
        helper.make_node("GlobalLpPool", ["p"], ["g"], p=max(2, norm)),
        helper.make_node("Mul", ["p", "g"], ["y"]),
    ]
    return nodes, {}


def cubic_norm_pools(opset: int) -> Case:
    return norm_pools(opset, norm=3)


def average_pool_dilated(opset: int) -> Case:
    if opset < 19:
        return average_pool(opset)
    return [node("AveragePool", kernel_shape=[2, 2], pads=[1, 0, 1, 1], dilations=[3, 2])], {}


def resize_cubic(opset: int) -> Case:
    if opset < 11:
        return upsample_linear(opset)
    attributes: dict[str, Any] = {"mode": "cubic", "cubic_coeff_a": -0.5, "exclude_outside": 1}
    if opset >= 18:
        attributes["antialias"] = 1
    return [node("Resize", "roi", "scales", **attributes)], {"roi": floats(), "scales": floats(1, 1, 0.6, 2.3)}


def resize_keeping_the_aspect(opset: int) -> Case:
    if opset < 18:
        return resize_cubic(opset)
    attributes: dict[str, Any] = {"mode": "linear", "keep_aspect_ratio_policy": "not_larger", "axes": [2, 3]}
    return [node("Resize", "", "", "sizes", **attributes)], {"sizes": integers(13, 9)}


def concat_columns(opset: int) -> Case:
    nodes = [helper.make_node("Relu", ["x"], ["r"]), helper.make_node("Concat", ["r", "x", "x"], ["y"], axis=3)]
    return nodes, {}


def concat_images(opset: int) -> Case:
    nodes = [helper.make_node("Relu", ["x"], ["r"]), helper.make_node("Concat", ["r", "x"], ["y"], axis=0)]
    return nodes, {}


def conv_transpose_larger_output_shape(opset: int) -> Case:
    return [node("ConvTranspose", "w", "b", strides=[2, 2], output_shape=[16, 12])], {
        "w": weights(6, 4, 3, 3),
        "b": weights(4),
    }


def conv_transpose_sparse(opset: int) -> Case:
    """Strides that leave out outputs: `auto_pad` then has nothing to crop."""
    return [node("ConvTranspose", "w", strides=[3, 3], auto_pad="SAME_UPPER")], {"w": weights(6, 4, 2, 4)}


CASES: tuple[Callable[[int], Case], ...] = (
    average_pool_dilated,
    cubic_norm_pools,
    concat_columns,
    concat_images,
    conv_transpose_larger_output_shape,
    conv_transpose_sparse,
    focus,
    norm_pools,
    pad_axes,
    pad_channels_and_images,
    pad_in_modes,
    part,
    part_of_the_batch_backwards,
    resize_cubic,
    resize_keeping_the_aspect,
    split_equally,
    split_sizes,
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_all_opsets(case: Callable[[int], Case]) -> None:
    check_all_opsets(case)


def test_resize_shows_a_region() -> None:
    attributes: dict[str, Any] = {
        "coordinate_transformation_mode": "tf_crop_and_resize",
        "mode": "linear",
        "axes": [3, 2],
    }
    constants: dict[str, Any] = {"roi": floats(0.25, 0, 0.75, 0.5), "sizes": integers(7, 3)}
    resize = node("Resize", "roi", "", "sizes", **attributes)
    assert_matches_onnx_runtime(make_model([resize], {"x": (1, 2, 6, 5)}, constants=constants, opset=19))


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
def test_resize_shows_a_region_that_reaches_outside(mode: str) -> None:
    attributes: dict[str, Any] = {
        "coordinate_transformation_mode": "tf_crop_and_resize",
        "mode": mode,
        "extrapolation_value": 2.5,
    }
    for region in ((0, 0, -0.4, 0.3, 1, 1, 1.3, 0.9), (0, 0, 0.2, -0.1, 1, 1, 0.7, 0.5)):
        constants: dict[str, Any] = {"roi": floats(*region), "sizes": integers(2, 3, 11, 8)}
        resize = node("Resize", "roi", "", "sizes", **attributes)
        assert_matches_onnx_runtime(make_model([resize], {"x": (2, 3, 6, 5)}, constants=constants, opset=19))


def test_lines_lie_along_the_width_from_the_input_to_the_output() -> None:
    """Rows of one column are slow, and so is moving between both forms: no reshape may be left."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[2, 2], dilations=[2]),
        helper.make_node("BatchNormalization", ["c", "s", "s", "s", "q"], ["n"]),
        helper.make_node("PRelu", ["n", "s1"], ["r"]),
        helper.make_node("Add", ["x", "r"], ["a"]),
        helper.make_node("GlobalMaxPool", ["a"], ["g"]),
        helper.make_node("Mul", ["g", "a"], ["m"]),
        helper.make_node("Split", ["m"], ["left", "right"], axis=1),
        helper.make_node("Concat", ["right", "left", "x"], ["j"], axis=1),
        helper.make_node("Pad", ["j", "pads"], ["p"], mode="reflect"),
        helper.make_node("ConvTranspose", ["p", "v"], ["t"], strides=[2]),
        helper.make_node("LpPool", ["t"], ["l"], kernel_shape=[3], strides=[2]),
        helper.make_node("Slice", ["l", "start", "end", "axis"], ["e"]),
        helper.make_node("Resize", ["e", "", "", "sizes"], ["z"], mode="linear"),
        helper.make_node("Concat", ["z", "e"], ["y"], axis=2),
    ]
    constants: dict[str, Any] = {
        name: weights(*shape)
        for name, shape in (("w", (4, 4, 3)), ("v", (8, 2, 4)), ("s", (4,)), ("q", (4,)), ("s1", (4, 1)))
    }
    constants["q"] = constants["q"] + 2
    constants |= {"pads": integers(0, 0, 3, 0, 0, 2), "sizes": integers(2, 2, 21)}
    constants |= {"start": integers(1), "end": integers(-2), "axis": integers(-1)}
    graph = assert_matches_onnx_runtime(make_model(nodes, {"x": (2, 4, 31)}, constants=constants))
    assert not [node for node in graph.nodes if isinstance(node.operator, Reshape)]


def test_space_to_depth_by_channels() -> None:
    """In ONNX since opset 28, which ONNX Runtime does not have yet: it undoes DepthToSpace."""
    nodes = [
        helper.make_node("DepthToSpace", ["x"], ["d"], blocksize=2, mode="CRD"),
        helper.make_node("SpaceToDepth", ["d"], ["y"], blocksize=2, mode="CRD"),
    ]
    graph = load(make_model(nodes, {"x": (1, 12, 3, 4)}, opset=28))
    inputs = feeds(graph)
    np.testing.assert_array_equal(evaluate(graph, inputs)[0], inputs[0])


def test_outputs_of_split_that_nothing_reads() -> None:
    """Neither the first, which names the node, nor one in the middle is computed; each part is named as its output."""
    nodes = [
        helper.make_node("Split", ["x"], ["a", "b", "c", "d"], axis=1),
        helper.make_node("Add", ["b", "d"], ["y"]),
    ]
    graph = assert_matches_onnx_runtime(make_model(nodes, {"x": (2, 8, 5, 4)}))
    assert [node.output for node in graph.nodes] == ["b", "d", "y"]
    assert [node.operator.label for node in graph.nodes[:2]] == ["Slice 2..3,0..4,0..3", "Slice 6..7,0..4,0..3"]
