import numpy as np
import pytest

from dlfusion.ops.conv_transpose import ConvTranspose
from tests.ops.onnx_runtime import run_node, uniform


@pytest.mark.parametrize(
    ("operator", "shape", "outputs_per_group"),
    [
        (ConvTranspose((2, 2), (2, 2)), (1, 8, 5, 7), 3),
        (ConvTranspose((9, 9), (3, 3), (4, 4, 4, 4), output_padding=(2, 2)), (1, 5, 6, 5), 1),
        (ConvTranspose((3, 4), (2, 1), (1, 0, 0, 2)), (2, 3, 5, 5), 4),
        (ConvTranspose((3, 3), (2, 2), (1, 1, 1, 1), (2, 2), (1, 0)), (1, 4, 5, 6), 2),
        (ConvTranspose((1, 2), (3, 3)), (1, 4, 4, 3), 2),
        (ConvTranspose((4, 4), (2, 2), (1, 1, 1, 1), groups=3), (2, 6, 5, 3), 5),
    ],
    ids=str,
)
def test_reference_is_onnx(operator: ConvTranspose, shape: tuple[int, int, int, int], outputs_per_group: int) -> None:
    x = uniform(*shape)
    outputs = outputs_per_group * operator.groups
    weights, bias = uniform(shape[1], outputs_per_group, *operator.kernel, seed=1), uniform(outputs, seed=2)
    expected = run_node(
        "ConvTranspose",
        [x],
        [weights, bias],
        strides=operator.strides,
        pads=operator.pads,
        dilations=operator.dilations,
        group=operator.groups,
        output_padding=operator.output_padding,
    )
    assert operator.output_shape([shape], [weights.shape, bias.shape]) == expected.shape
    np.testing.assert_allclose(operator.reference([x], [weights, bias]), expected, rtol=1e-5, atol=1e-5)


def test_operations_count_every_input_times_every_tap() -> None:
    # FSRCNN's last layer: 56 channels, 9 x 9, one output channel.
    layer = ConvTranspose((9, 9), (3, 3), (4, 4, 4, 4), output_padding=(2, 2))
    assert layer.operations([(1, 56, 10, 20)], [(56, 1, 9, 9), (1,)]) == 2 * 56 * 10 * 20 * 81


def test_shapes_that_do_not_fit_are_refused_with_numbers() -> None:
    with pytest.raises(ValueError, match=r"leaves an output of 0 x 4"):
        ConvTranspose((2, 2), (2, 2), (2, 0, 2, 0)).output_shape([(1, 3, 2, 2)], [(3, 1, 2, 2), (1,)])
    with pytest.raises(ValueError, match="3 input channels do not divide into 2 groups"):
        ConvTranspose((2, 2), groups=2).output_shape([(1, 3, 2, 2)], [(3, 1, 2, 2), (2,)])
    with pytest.raises(ValueError, match=r"bias of shape \(4,\), but it is \(2,\)"):
        ConvTranspose((2, 2), groups=2).output_shape([(1, 4, 2, 2)], [(4, 2, 2, 2), (2,)])
