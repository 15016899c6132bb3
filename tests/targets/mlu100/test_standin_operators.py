"""Every operator of the stand-in against NumPy, on odd sizes."""

import ctypes
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from dlfusion.ops.average_pool import AveragePool
from dlfusion.ops.conv import Conv
from dlfusion.ops.lrn import Lrn
from dlfusion.ops.max_pool import MaxPool
from dlfusion.ops.resize import Coordinates, Resize, ResizeMode
from tests.targets.mlu100.standin_library import (
    FILTER,
    FLOAT32,
    INVALIDPARAM,
    LENGTHERR,
    NCHW,
    NHWC,
    OUTOFRANGE,
    UINT8,
    UNSUPPORT,
    Array,
    Session,
    halves,
    handles,
)

HALF_STEP = 2.0**-10
"""Between neighbouring halves, relative to their size."""


@pytest.fixture
def session() -> Iterator[Session]:
    with Session() as opened:
        yield opened


def values(*shape: int, seed: int = 0) -> Array:
    """Halves around 0."""
    return halves(np.random.default_rng((seed, *shape)).standard_normal(shape))


def assert_close(result: Array, expected: Array) -> None:
    """Halves that are the expected floats, but for rounding and the order of sums."""
    np.testing.assert_array_equal(result, halves(result))
    np.testing.assert_allclose(result, expected, rtol=HALF_STEP, atol=1e-5)


def check(session: Session, name: str, expected: Array, x: Array, *arguments: object) -> None:
    """Runs an operator that is created from (input, output, *arguments)."""
    tensor, output = session.tensor(x.shape), session.tensor(expected.shape)
    operator = session.compiled(name, tensor, output, *arguments)
    assert_close(session.run(name, operator, [(tensor, x)], output), expected)


def check_with_parameter(session: Session, name: str, expected: Array, x: Array, parameter: object) -> None:
    """Runs an operator that is created from (parameter, input, output)."""
    tensor, output = session.tensor(x.shape), session.tensor(expected.shape)
    operator = session.compiled(name, parameter, tensor, output)
    assert_close(session.run(name, operator, [(tensor, x)], output), expected)


# --- convolutions --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("channels", "outputs", "groups", "kernel", "strides", "pads", "dilations"),
    [
        (3, 17, 1, (3, 3), (2, 1), (1, 1), (1, 1)),
        (5, 16, 1, (1, 1), (1, 1), (0, 0), (1, 1)),
        (7, 33, 1, (5, 3), (1, 2), (2, 0), (1, 1)),
        (4, 5, 1, (3, 2), (1, 1), (0, 0), (2, 3)),
        (6, 9, 3, (3, 3), (1, 1), (1, 1), (1, 1)),
        (40, 40, 2, (2, 3), (2, 2), (0, 1), (1, 1)),
    ],
)
def test_convolution(
    session: Session,
    channels: int,
    outputs: int,
    groups: int,
    kernel: tuple[int, int],
    strides: tuple[int, int],
    pads: tuple[int, int],
    dilations: tuple[int, int],
) -> None:
    x, weights = values(2, channels, 9, 11), values(outputs, channels // groups, *kernel, seed=1)
    bias = values(outputs, seed=2)
    expected = Conv(kernel, strides, (*pads, *pads), dilations, groups).reference([x], [weights, bias])
    totals = (2 * pads[0], 2 * pads[1])
    parameter = session.parameter("ConvOpParam", *strides, *dilations, *totals, 0)
    tensor, output = session.tensor(x.shape), session.tensor(expected.shape)
    name = "Conv" if groups == 1 else "ConvGroup"
    constants = (session.constant(weights, FILTER), session.constant(bias.reshape(1, -1, 1, 1)))
    operator = session.compiled(
        name, parameter, tensor, output, *constants, *([] if groups == 1 else [groups]), cores=4
    )
    assert_close(session.run(name, operator, [(tensor, x)], output), expected)


def test_convolution_without_bias(session: Session) -> None:
    x, weights = values(1, 3, 7, 7), values(8, 3, 3, 3, seed=1)
    expected = Conv((3, 3)).reference([x], [weights, np.zeros(8, np.float32)])
    parameter = session.parameter("ConvOpParam", 1, 1, 1, 1, 0, 0, 0)
    tensor, output = session.tensor(x.shape), session.tensor(expected.shape)
    operator = session.compiled("Conv", parameter, tensor, output, session.constant(weights, FILTER), None)
    assert_close(session.run("Conv", operator, [(tensor, x)], output), expected)


@pytest.mark.parametrize("pad", [0, 1])
def test_depthwise_convolution(session: Session, pad: int) -> None:
    x, weights, bias = values(2, 7, 8, 9), values(1, 7, 3, 3, seed=1), values(7, seed=2)
    operator = Conv((3, 3), (2, 1), (pad,) * 4, groups=7)
    expected = operator.reference([x], [weights.reshape(7, 1, 3, 3), bias])
    parameter = (
        session.parameter("ConvDepthwiseOpParam_V3", 2, 1, 2 * pad, 2 * pad, destroy="ConvDepthwiseOpParam")
        if pad
        else session.parameter("ConvDepthwiseOpParam", 2, 1)
    )
    tensor, output = session.tensor(x.shape), session.tensor(expected.shape)
    constants = (session.constant(weights, FILTER), session.constant(bias.reshape(1, -1, 1, 1)))
    compiled = session.compiled("ConvDepthwise", parameter, tensor, output, *constants)
    assert_close(session.run("ConvDepthwise", compiled, [(tensor, x)], output), expected)


def test_fully_connected_reads_the_whole_map(session: Session) -> None:
    x, weights, bias = values(3, 5, 3, 2), values(19, 5, 3, 2, seed=1), values(1, 19, 1, 1, seed=2)
    expected = (x.reshape(3, -1) @ weights.reshape(19, -1).T).reshape(3, 19, 1, 1) + bias
    constants = (session.constant(weights, FILTER), session.constant(bias))
    check(session, "Mlp", expected, x, *constants, 0)


def test_product_of_matrices(session: Session) -> None:
    a, b, bias = values(3, 7, 1, 1), values(7, 5, 1, 1, seed=1), values(1, 5, 1, 1, seed=2)
    expected = (a[:, :, 0, 0] @ b[:, :, 0, 0] + bias[:, :, 0, 0])[:, :, None, None]
    left, right, output = session.tensor(a.shape), session.tensor(b.shape), session.tensor(expected.shape)
    operator = session.compiled("MatrixMult", left, right, output, session.constant(bias))
    assert_close(session.run("MatrixMult", operator, [(left, a), (right, b)], output), expected)


# --- windows -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(("window", "strides"), [((3, 2), (2, 1)), ((2, 2), (2, 2)), ((3, 3), (1, 3))])
def test_pools(session: Session, window: tuple[int, int], strides: tuple[int, int], full: bool) -> None:
    x = values(2, 7, 7, 9)
    rows, columns = (
        (-(-(size - k) // s) if full else (size - k) // s) * s + k - size
        for size, k, s in zip((7, 9), window, strides, strict=True)
    )
    excess = (max(0, rows), max(0, columns))
    average = AveragePool(window, strides, excess=excess).reference([x], [])
    maximum = MaxPool(window, strides, (0, 0, *excess)).reference([x], [])
    for mode, expected in ((0, average), (1, maximum)):
        parameter = session.parameter("PoolOpParam", *window, *strides, 0, 0, 0, 0, mode, 0 if full else 1, 0)
        sizes = [ctypes.c_int() for _ in range(4)]
        session.ok(
            "cnmlGetPoolOpOutputDim", session.tensor(x.shape), parameter, *(ctypes.byref(size) for size in sizes)
        )
        assert tuple(size.value for size in sizes) == expected.shape
        check_with_parameter(session, "Pool", expected, x, parameter)


def test_global_pool_is_a_window_of_the_whole_map(session: Session) -> None:
    x = values(2, 9, 5, 7)
    parameter = session.parameter("PoolOpParam", 5, 7, 1, 1, 0, 0, 1, 1, 0, 1, 0)
    check_with_parameter(session, "Pool", x.mean((2, 3), keepdims=True), x, parameter)


def test_padding(session: Session) -> None:
    x = values(2, 3, 4, 5)
    four = session.parameter("AddPadOp4Param", 1, 0, 2, 3, 0.5, destroy="AddPadOpParam")
    expected = np.pad(x, ((0, 0), (0, 0), (1, 0), (2, 3)), constant_values=0.5)
    check_with_parameter(session, "AddPad", expected, x, four)
    totals = session.parameter("AddPadOpParam", 2, 4, -1.5)
    expected = np.pad(x, ((0, 0), (0, 0), (1, 1), (2, 2)), constant_values=-1.5)
    check_with_parameter(session, "AddPad", expected, x, totals)


@pytest.mark.parametrize(("kind", "divisor"), [(0, 3), (1, 1), (2, 5)])
def test_lrn(session: Session, kind: int, divisor: int) -> None:
    # Of 2 channels version 1 divides by 2 * 2 - 1 = 3.
    x = values(1, 2, 5, 3)
    numbers = (ctypes.c_double(0.1), ctypes.c_double(0.75), ctypes.c_double(2.0))
    parameter = session.parameter("LrnOpParam", kind, 5, *numbers)
    expected = Lrn(5, 0.1 * 5 / divisor, 0.75, 2.0).reference([x], [])
    check_with_parameter(session, "Lrn", expected, x, parameter)


@pytest.mark.parametrize("size", [(7, 9), (5, 3), (1, 13)])
def test_interpolation(session: Session, size: tuple[int, int]) -> None:
    x = values(2, 3, 4, 5)
    height, width = size
    for align, coordinates in ((1, Coordinates.ALIGN_CORNERS), (0, Coordinates.ASYMMETRIC)):
        expected = Resize(height, width, ResizeMode.LINEAR, coordinates).reference([x], [])
        parameter = session.parameter("InterpOpParam", width, height, align)
        check(session, "Interp", expected, x, parameter)


def test_softmax_and_sums_along_each_axis(session: Session) -> None:
    x = values(2, 5, 3, 4)
    for axis, dimension in ((1, 1), (3, 2), (2, 3), (0, 4)):
        powers = np.exp(x - x.max(axis, keepdims=True))
        expected = powers / powers.sum(axis, keepdims=True)
        tensor, output = session.tensor(x.shape), session.tensor(x.shape)
        operator = session.compiled("Softmax", dimension, tensor, output)
        assert_close(session.run("Softmax", operator, [(tensor, x)], output), expected)
    for axis in range(4):
        for name, expected in (("ReduceMean", x.mean(axis, keepdims=True)), ("ReduceSum", x.sum(axis, keepdims=True))):
            tensor, output = session.tensor(x.shape), session.tensor(expected.shape)
            operator = session.compiled(name, axis, tensor, output)
            assert_close(session.run(name, operator, [(tensor, x)], output), expected)


# --- element by element --------------------------------------------------------------------------------------------

ACTIVATIONS: list[Callable[[Array], Array]] = [
    lambda x: x,
    lambda x: (1 / (1 + np.exp(-x))).astype(np.float32),
    lambda x: np.maximum(x, 0),
    np.tanh,
    lambda x: np.clip(x, 0, 1),
    lambda x: np.clip(x, 0, 6),
]


@pytest.mark.parametrize("number", range(len(ACTIVATIONS)))
def test_activations(session: Session, number: int) -> None:
    x = halves(values(2, 5, 3, 7) * 4)
    tensor, output = session.tensor(x.shape), session.tensor(x.shape)
    operator = session.compiled("Active", number, tensor, output)
    assert_close(session.run("Active", operator, [(tensor, x)], output), ACTIVATIONS[number](x))


def test_not_a_number_passes_through(session: Session) -> None:
    x = np.full((1, 1, 1, 1), np.nan, np.float32)
    for function in (1, 2, 3, 4, 5):
        tensor, output = session.tensor(x.shape), session.tensor(x.shape)
        operator = session.compiled("Active", function, tensor, output)
        assert np.isnan(session.run("Active", operator, [(tensor, x)], output))


def test_operators_with_a_number_for_each_channel(session: Session) -> None:
    x, first, second = values(2, 5, 3, 7), values(1, 5, 1, 1, seed=1), values(1, 5, 1, 1, seed=2)
    check(session, "Prelu", np.where(x < 0, x * first, x), x, session.constant(first))
    check(session, "BatchNorm", (x - first) * second, x, session.constant(first), session.constant(second))
    check(session, "Scale", x * first + second, x, session.constant(first), session.constant(second))
    one = values(1, 1, 1, 1, seed=3)
    check(session, "Scale", x * one + one, x, session.constant(one), session.constant(one))


BINARY: dict[str, Callable[[Array, Array], Array]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mult": np.multiply,
    "MaxTT": np.maximum,
    "CycleAdd": np.add,
    "CycleSub": np.subtract,
    "CycleMult": np.multiply,
    "BroadcastAdd": np.add,
    "BroadcastSub": np.subtract,
    "BroadcastMult": np.multiply,
}


@pytest.mark.parametrize("name", BINARY)
def test_operators_of_two_tensors(session: Session, name: str) -> None:
    shape = (1, 5, 1, 1) if name.startswith("Cycle") else (2, 5, 1, 7) if name.startswith("Broad") else (2, 5, 3, 7)
    a, b = values(2, 5, 3, 7), values(*shape, seed=1)
    expected = BINARY[name](a, b)
    first, second, output = session.tensor(a.shape), session.tensor(b.shape), session.tensor(expected.shape)
    operator = session.compiled(name, first, second, output)
    assert_close(session.run(name, operator, [(first, a), (second, b)], output), expected)


def test_a_constant_operand_has_no_address(session: Session) -> None:
    a, b = values(1, 5, 3, 7), values(1, 5, 1, 1, seed=1)
    first, output = session.tensor(a.shape), session.tensor(a.shape)
    operator = session.compiled("CycleMult", first, session.constant(b), output)
    source, target = session.buffer(first), session.buffer(output)
    session.to_device(first, a, source)
    session.ok("cnmlComputeCycleMultOpForward_V3", operator, source, None, target, session.invoke(), session.queue)
    session.ok("cnrtSyncQueue", session.queue)
    assert_close(session.to_host(output, target), a * b)


def test_weighted_sum(session: Session) -> None:
    a, b = values(2, 5, 3, 7), values(2, 5, 3, 7, seed=1)
    first, second, output = (session.tensor(a.shape) for _ in range(3))
    operator = session.compiled("CoeffAdd", 0.5, -2.0, first, second, output)
    result = session.run("CoeffAdd", operator, [(first, a), (second, b)], output)
    assert_close(result, np.float32(0.5) * a - np.float32(2) * b)


def test_casts(session: Session) -> None:
    x = values(1, 3, 5, 7)
    half, single = session.tensor(x.shape), session.tensor(x.shape, data_type=FLOAT32)
    widened = session.compiled("Cast", 4, half, single)
    np.testing.assert_array_equal(session.run("Cast", widened, [(half, x)], single), x)
    precise = (x + np.float32(1e-6)).astype(np.float32)
    narrowed = session.compiled("Cast", 6, single, half)
    np.testing.assert_array_equal(session.run("Cast", narrowed, [(single, precise)], half), halves(precise))
    pixels = np.arange(105, dtype=np.uint8).reshape(1, 3, 5, 7)
    byte = session.tensor(pixels.shape, data_type=UINT8)
    source, target = session.buffer(byte), session.buffer(single)
    session.to_device(byte, pixels, source)
    operator = session.compiled("Cast", 1, byte, single)
    session.ok("cnmlComputeCastOpForward_V3", operator, source, target, session.invoke(), session.queue)
    session.ok("cnrtSyncQueue", session.queue)
    np.testing.assert_array_equal(session.to_host(single, target), pixels.astype(np.float32))
    place = ctypes.byref(ctypes.c_void_p())
    assert session.call("cnmlCreateCastOp", place, 5, half, single) == UNSUPPORT


# --- moving elements -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mode", "axis"), [(0, 1), (1, 0), (2, 2), (3, 3)])
def test_concatenation_and_split(session: Session, mode: int, axis: int) -> None:
    sizes = (1, 4, 2)
    parts = []
    for seed, size in enumerate(sizes):
        shape = [2, 3, 5, 7]
        shape[axis] = size
        parts.append(values(*shape, seed=seed))
    whole = np.concatenate(parts, axis)
    joined = session.tensor(whole.shape)
    tensors = [session.tensor(part.shape) for part in parts]
    parameter = session.parameter("ConcatOpParam", len(parts), 1, mode)
    concat = session.compiled("Concat", parameter, handles(tensors), len(parts), handles([joined]), 1)
    [result] = session.run_lists("Concat", concat, list(zip(tensors, parts, strict=True)), [joined])
    np.testing.assert_array_equal(result, whole)
    parameter = session.parameter("SplitOpParam", 1, len(parts), mode)
    split = session.compiled("Split", parameter, handles([joined]), 1, handles(tensors), len(parts))
    for result, part in zip(session.run_lists("Split", split, [(joined, whole)], tensors), parts, strict=True):
        np.testing.assert_array_equal(result, part)


@pytest.mark.parametrize("order", [NCHW, NHWC])
def test_reshape_keeps_the_sequence_of_the_order_it_is_told(session: Session, order: int) -> None:
    x = values(2, 6, 3, 5)
    expected = x.reshape(1, 9, 4, 5)
    if order == NHWC:
        expected = x.transpose(0, 2, 3, 1).reshape(1, 4, 5, 9).transpose(0, 3, 1, 2)
    parameter = session.parameter("ReshapeOpParam", 1, 9, 4, 5, order)
    check_with_parameter(session, "Reshape", expected, x, parameter)


@pytest.mark.parametrize("axes", [(0, 2, 3, 1), (3, 1, 0, 2), (1, 0, 2, 3), (0, 1, 2, 3)])
def test_transposition(session: Session, axes: tuple[int, int, int, int]) -> None:
    x = values(2, 3, 4, 5)
    check(session, "TransposePro", x.transpose(axes), x, session.parameter("TransposeOpParam", NCHW, *axes))
    # In the order NHWC, axis number 1 is h; the shape of the tensor is still n, c, h, w.
    expected = x.transpose(0, 2, 3, 1).transpose(axes).transpose(0, 3, 1, 2)
    check(session, "TransposePro", expected, x, session.parameter("TransposeOpParam", NHWC, *axes))


def test_shuffle_of_channels_and_copy(session: Session) -> None:
    x = values(2, 12, 3, 5)
    tensor, output = session.tensor(x.shape), session.tensor(x.shape)
    operator = session.compiled("ShuffleChannel", handles([tensor]), handles([output]), 3)
    source, target = session.buffer(tensor), session.buffer(output)
    session.to_device(tensor, x, source)
    lists = (ctypes.byref(source), ctypes.byref(target))
    session.ok("cnmlComputeShuffleChannelOpForward_V3", operator, *lists, session.invoke(), session.queue)
    session.ok("cnrtSyncQueue", session.queue)
    expected = x.reshape(2, 3, 4, 3, 5).transpose(0, 2, 1, 3, 4).reshape(x.shape)
    np.testing.assert_array_equal(session.to_host(output, target), expected)
    check(session, "DeviceMemcpy", x, x)


# --- memory and shapes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", range(24))
def test_copies_reorder_from_and_to_every_host_order(session: Session, order: int) -> None:
    names = "NCHW NCWH NHCW NHWC NWHC NWCH CNHW CNWH CHNW CHWN CWHN CWNH HCNW HCWN HNCW HNWC HWNC HWCN WCHN WCNH"
    name = (names + " WHCN WHNC WNHC WNCH").split()[order]
    x = values(2, 3, 4, 5)
    arranged = np.ascontiguousarray(x.transpose(*("NCHW".index(axis) for axis in name)))
    tensor = session.tensor(x.shape)
    address = session.buffer(tensor)
    cpu = session.cpu_tensor(x.shape, order=order)
    session.ok("cnmlMemcpyTensorToDevice", cpu, arranged.ctypes.data_as(ctypes.c_void_p), tensor, address)
    np.testing.assert_array_equal(session.to_host(tensor, address), x)
    back = np.empty_like(arranged)
    session.ok("cnmlMemcpyTensorToHost", tensor, address, cpu, back.ctypes.data_as(ctypes.c_void_p))
    np.testing.assert_array_equal(back, arranged)


def test_device_data_are_halves_in_nhwc(session: Session) -> None:
    x = np.random.default_rng(0).standard_normal((1, 3, 4, 5)).astype(np.float32)
    tensor = session.tensor(x.shape)
    assert session.size_bytes(tensor) == x.size * 2
    address = session.buffer(tensor)
    session.to_device(tensor, x, address)
    raw = np.empty((1, 4, 5, 3), np.float16)
    session.ok("cnrtMemcpy", raw.ctypes.data_as(ctypes.c_void_p), address, ctypes.c_size_t(raw.nbytes), 2)
    np.testing.assert_array_equal(raw.transpose(0, 3, 1, 2), x.astype(np.float16))


def test_memory_is_not_a_number_before_it_is_written(session: Session) -> None:
    tensor = session.tensor((1, 2, 3, 4))
    assert np.isnan(session.to_host(tensor, session.buffer(tensor))).all()


def test_ways_lie_one_after_the_other(session: Session) -> None:
    x, b = values(6, 5, 3, 7), values(1, 5, 1, 1, seed=1)
    tensor, output = session.tensor((2, 5, 3, 7)), session.tensor((2, 5, 3, 7))
    operator = session.compiled("Scale", tensor, output, session.constant(b), session.constant(b), cores=8)
    source, target = session.buffer(tensor, 3), session.buffer(output, 3)
    session.to_device(tensor, x, source, 3)
    session.ok("cnmlComputeScaleOpForward_V3", operator, source, target, session.invoke(3), session.queue)
    session.ok("cnrtSyncQueue", session.queue)
    assert_close(session.to_host(output, target, 3), x * b + b)
    too_many = session.call("cnmlComputeScaleOpForward_V3", operator, source, target, session.invoke(4), session.queue)
    assert too_many == LENGTHERR
    larger_source, larger_target = session.buffer(tensor, 5), session.buffer(output, 5)
    arguments = (operator, larger_source, larger_target, session.invoke(5), session.queue)
    assert session.call("cnmlComputeScaleOpForward_V3", *arguments) == OUTOFRANGE


def test_interior_tensors_of_a_fusion_are_rounded_too(session: Session) -> None:
    x, a, b = values(2, 5, 3, 7), values(1, 5, 1, 1, seed=1), values(1, 5, 1, 1, seed=2)
    source, middle, output = (session.tensor(x.shape) for _ in range(3))
    constants = session.constant(a), session.constant(b)
    first = session.operator("Scale", source, middle, *constants)
    second = session.operator("Scale", middle, output, *constants)
    fusion = session.operator("Fusion")
    session.ok("cnmlFuseOp", first, fusion)
    session.ok("cnmlFuseOp", second, fusion)
    session.ok("cnmlSetFusionIO", fusion, handles([source]), 1, handles([output]), 1)
    session.ok("cnmlCompileFusionOp", fusion, 3, 16)
    [result] = session.run_lists("Fusion", fusion, [(source, x)], [output])
    np.testing.assert_array_equal(result, halves(halves(x * a + b) * a + b))
    counts = [ctypes.c_int64() for _ in range(3)]
    session.ok("cnmlGetFusionIOCount", fusion, ctypes.byref(counts[0]))
    assert counts[0].value == 2
    session.ok("cnmlGetFusionMaxMemUsed", fusion, *(ctypes.byref(count) for count in counts))
    total, shared, private = (count.value for count in counts)
    assert (total, shared) == (shared + private, 4 * 5 * 2)


@pytest.mark.parametrize("name", ["Conv", "Add", "Active", "Reshape", "Pool", "Concat", "Softmax"])
def test_shapes_that_do_not_fit_are_refused(session: Session, name: str) -> None:
    x, wrong = session.tensor((1, 4, 6, 6)), session.tensor((1, 4, 5, 6))
    place = ctypes.byref(ctypes.c_void_p())
    weights = session.constant(values(4, 4, 3, 3), FILTER)
    calls: dict[str, Callable[[], tuple[object, ...]]] = {
        "Conv": lambda: (session.parameter("ConvOpParam", 1, 1, 1, 1, 0, 0, 0), x, wrong, weights, None),
        "Add": lambda: (x, x, wrong),
        "Active": lambda: (2, x, wrong),
        "Reshape": lambda: (session.parameter("ReshapeOpParam", 1, 4, 5, 6, NCHW), x, wrong),
        "Pool": lambda: (session.parameter("PoolOpParam", 2, 2, 2, 2, 0, 0, 1, 1, 1, 1, 0), x, wrong),
        "Concat": lambda: (session.parameter("ConcatOpParam", 2, 1, 0), handles([x, x]), 2, handles([wrong]), 1),
        "Softmax": lambda: (1, x, wrong),
    }
    assert session.call(f"cnmlCreate{name}Op", place, *calls[name]()) == INVALIDPARAM


def test_shapes_are_checked_again_when_compiled(session: Session) -> None:
    x, y = session.tensor((1, 4, 6, 6)), session.tensor((1, 4, 6, 6))
    operator = session.operator("Active", 2, x, y)
    session.ok("cnmlSetTensorShape", y, 4, (ctypes.c_int * 4)(1, 4, 6, 7))
    assert session.call("cnmlCompileBaseOp", operator, 3, 1) == INVALIDPARAM
