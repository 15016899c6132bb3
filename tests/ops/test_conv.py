import numpy as np
import pytest

from dlfusion.ops.conv import Conv
from tests.ops.onnx_runtime import run_node, uniform


@pytest.mark.parametrize(
    ("operator", "shape", "outputs"),
    [
        (Conv((1, 1)), (2, 17, 5, 9), 8),
        (Conv((3, 3), pads=(1, 1, 1, 1)), (1, 3, 7, 13), 12),
        (Conv((3, 3), (2, 2), (0, 0, 1, 1)), (1, 8, 8, 8), 5),
        (Conv((7, 5), (2, 3), (3, 2, 3, 2)), (1, 3, 17, 19), 4),
        (Conv((3, 2), (1, 1), (2, 0, 1, 2), (2, 3)), (2, 4, 9, 8), 6),
        (Conv((3, 3), pads=(1, 1, 1, 1), groups=4), (1, 8, 7, 7), 12),
        (Conv((3, 3), (2, 2), (1, 1, 1, 1), groups=16), (1, 16, 9, 9), 16),
        (Conv((5, 5), (1, 1), (4, 4, 4, 4), (2, 2), groups=6), (2, 6, 9, 9), 6),
        (Conv((3, 3), pads=(1, 1, 1, 1), groups=3), (1, 3, 6, 6), 6),
    ],
    ids=str,
)
def test_reference_is_onnx(operator: Conv, shape: tuple[int, int, int, int], outputs: int) -> None:
    x = uniform(*shape)
    weights, bias = uniform(outputs, shape[1] // operator.groups, *operator.kernel, seed=1), uniform(outputs, seed=2)
    expected = run_node(
        "Conv",
        [x],
        [weights, bias],
        strides=operator.strides,
        pads=operator.pads,
        dilations=operator.dilations,
        group=operator.groups,
    )
    result = operator.reference([x], [weights, bias])
    assert result.dtype == np.float32
    assert operator.output_shape([shape], [weights.shape, bias.shape]) == expected.shape
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5)


def test_operations_are_those_of_the_literature() -> None:
    # VGG's second layer: 64 to 64 channels, 3 x 3, on 224 x 224, is 1.85 G multiply-accumulates, padding included.
    layer = Conv((3, 3), pads=(1, 1, 1, 1))
    assert layer.operations([(1, 64, 224, 224)], [(64, 64, 3, 3), (64,)]) == 2 * 1_849_688_064
    depthwise = Conv((3, 3), pads=(1, 1, 1, 1), groups=32)
    assert depthwise.operations([(1, 32, 112, 112)], [(32, 1, 3, 3), (32,)]) == 2 * 9 * 32 * 112 * 112


@pytest.mark.parametrize(
    ("groups", "weights", "depthwise"),
    [(1, (1, 1, 3, 3), False), (8, (8, 1, 3, 3), True), (8, (16, 1, 3, 3), False), (4, (8, 2, 3, 3), False)],
)
def test_is_depthwise(groups: int, weights: tuple[int, ...], *, depthwise: bool) -> None:
    assert Conv((3, 3), groups=groups).is_depthwise([weights]) is depthwise


def test_labels() -> None:
    assert Conv((3, 3)).label == "Conv 3x3"
    assert Conv((7, 5), (2, 2), groups=4).label == "Conv 7x5 s2 g4"
    assert Conv((3, 3), (1, 2), dilations=(2, 2)).label == "Conv 3x3 s1x2 d2"


def test_attributes_and_shapes_that_do_not_fit_are_refused_with_numbers() -> None:
    with pytest.raises(ValueError, match="strides must be at least 1, but is 0 x 1"):
        Conv((3, 3), (0, 1))
    with pytest.raises(ValueError, match=r"padding must not be negative.*-1"):
        Conv((3, 3), pads=(0, -1, 0, 0))
    with pytest.raises(ValueError, match="groups must be at least 1, but is 0"):
        Conv((3, 3), groups=0)
    layer = Conv((3, 3), groups=2)
    with pytest.raises(ValueError, match="3 input and 4 output channels do not divide into 2 groups"):
        layer.output_shape([(1, 3, 9, 9)], [(4, 1, 3, 3), (4,)])
    with pytest.raises(ValueError, match=r"weights of shape \(4, 2, 3, 3\), but it is \(4, 4, 3, 3\)"):
        layer.output_shape([(1, 4, 9, 9)], [(4, 4, 3, 3), (4,)])
    with pytest.raises(ValueError, match=r"kernel that spans 3 .* does not fit into 2"):
        Conv((3, 3)).output_shape([(1, 4, 2, 9)], [(4, 4, 3, 3), (4,)])
    with pytest.raises(ValueError, match="needs 1 activations and 2 constants, but has 2 and 1"):
        Conv((3, 3)).output_shape([(1, 4, 9, 9)] * 2, [(4, 4, 3, 3)])
    with pytest.raises(ValueError, match=r"weights with sizes of at least 1, but they are \(0, 4, 3, 3\)"):
        Conv((3, 3)).output_shape([(1, 4, 9, 9)], [(0, 4, 3, 3), (0,)])
