"""Weights as bfloat16: rounding, packing in pairs, and the kernels that read them."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from dlfusion.errors import InputError
from dlfusion.layers.layer import Network
from dlfusion.ops.add import Add
from dlfusion.ops.clip import Clip
from dlfusion.ops.conv import Conv
from dlfusion.ops.gemm import Gemm
from dlfusion.targets.cpu.bfloat16 import ZERO_SHARE, pack_units, rounded, storable
from dlfusion.targets.cpu.isa import AVX2, AVX512, Isa
from dlfusion.targets.cpu.kernel import Lowered
from dlfusion.targets.cpu.kernels import conv_blocked, winograd
from dlfusion.targets.cpu.kernels.packing import Channels
from dlfusion.targets.cpu.precision import Precision, Storage, choose_precision
from dlfusion.targets.cpu.section import Section
from tests.support.bfloat16 import unpack_units, widened
from tests.targets.cpu.kernel_harness import Case, Step, check, compile_library, run, single_layer, supports

Array = NDArray[np.float32]


def of(*values: float) -> Array:
    return np.array(values, np.float32)


def random_weights(shape: tuple[int, ...], seed: int = 0) -> Array:
    """A tenth of them are zero, and a few as small as float32 has them."""
    generator = np.random.default_rng(seed)
    weights = generator.standard_normal(shape).astype(np.float32)
    weights[generator.random(shape) < 0.1] = 0.0
    weights[generator.random(shape) < 0.01] = 1e-40
    return weights


def test_ties_round_to_even_and_others_to_the_nearest() -> None:
    unit = 2.0**-7  # the distance of bfloat16 from 1 to 2
    values = of(1.0, 1 + unit / 2, 1 + 3 * unit / 2, 1 + unit / 2 + 2.0**-20, 1 + unit / 2 - 2.0**-20, 2 - unit / 4)
    expected = of(1.0, 1.0, 1 + 2 * unit, 1 + unit, 1.0, 2.0)
    assert np.array_equal(widened(rounded(values)), expected)
    assert np.array_equal(widened(rounded(-values)), -expected)


def test_special_values_stay_what_they_are() -> None:
    values = widened(rounded(of(np.inf, -np.inf, 3.4e38, -3.4e38, 0.0, -0.0, 1e-40, -1e-40, np.nan)))
    assert np.array_equal(values[:8], of(np.inf, -np.inf, np.inf, -np.inf, 0.0, 0.0, 0.0, 0.0))
    assert np.array_equal(np.signbit(values[4:8]), [False, True, False, True])
    smallest_nan, other_nan = np.array([0x7F800001, 0xFFFFFFFF], np.uint32).view(np.float32)
    assert np.isnan(values[8])
    assert np.isnan(widened(rounded(of(smallest_nan, other_nan)))).all()


def test_only_finite_weights_of_a_usual_scale_are_stored() -> None:
    assert storable(of(0.0, 0.0))
    assert storable(of(-3.0, 1e-40))
    for bad in (np.nan, np.inf, -np.inf, 3.4e38, -3.4e38):
        assert not storable(of(1.0, bad))
    assert not storable(of(1e-30))


@pytest.mark.parametrize("units", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("lanes", [8, 16])
def test_packed_weights_differ_by_half_a_step_and_are_never_denormal(units: int, lanes: int) -> None:
    weights = random_weights((7, 11, units, lanes))
    largest = float(np.abs(weights).max())
    place = np.full(weights.size // 2, np.nan, np.float32)
    pack_units(weights, largest, place)
    stored = unpack_units(place, units, lanes).reshape(weights.shape)
    assert (np.abs(stored - weights) <= np.maximum(np.abs(weights) * 2.0**-8, 1.01 * ZERO_SHARE * largest)).all()
    assert ((stored == 0) | (np.abs(stored) >= np.finfo(np.float32).tiny)).all()
    lower = np.arange(0, units, 2)  # first of a pair, or without a partner
    assert np.array_equal(stored[:, :, lower], widened(rounded(weights[:, :, lower])))


def test_weights_near_the_largest_stay_finite() -> None:
    weights = np.full((1, 2, 16), 3.37e38, np.float32)
    weights[0, 1, ::2] *= -1
    place = np.empty(16, np.float32)
    pack_units(weights, 3.37e38, place)
    stored = unpack_units(place, 2, 16)
    assert np.isfinite(stored).all()
    assert np.allclose(stored, weights, rtol=2.0**-8)


def test_absent_channels_stay_zero() -> None:
    place = np.full(16, np.nan, np.float32)
    pack_units(np.zeros((1, 2, 16), np.float32), 1.0, place)
    assert np.array_equal(place, np.zeros(16, np.float32))


def stored_network(network: Network, lowered: Lowered, isa: Isa) -> Network:
    """The convolution without groups that has exactly the weights that the kernel reads."""
    layer = network.layers[0]
    weights, bias = network.graph.parameters(layer.anchor)
    operator = layer.anchor.operator
    conv = operator if isinstance(operator, Conv) else Conv(weights.shape[2:])
    shape, outputs = network.shape(layer.reads[0].value), weights.shape[0]
    units = int(lowered.function.removeprefix("conv_blocked<").split(",")[0])
    channels = Channels(shape[1], outputs, conv.groups, isa.lanes, isa.lanes)
    place = np.empty(conv_blocked.packed_size(weights, channels, units) // 2, np.float32)
    conv_blocked.pack(weights, channels, units, place, Storage.BFLOAT16)
    assert np.array_equal(lowered.constants.finish()[: place.size], place)
    groups = channels.output_groups(units)
    inputs = max(group.input_units for group in groups)
    dense = np.zeros(
        (channels.output_units * isa.lanes, (shape[1] // isa.lanes + inputs + 1) * isa.lanes, *conv.kernel)
    )
    at = 0
    for group in groups:
        size = group.units * isa.lanes * inputs * isa.lanes * conv.kernel[0] * conv.kernel[1] // 2
        steps = unpack_units(place[at : at + size], group.units, isa.lanes)
        grid = steps.reshape(inputs, *conv.kernel, isa.lanes, group.units, isa.lanes).transpose(4, 5, 0, 3, 1, 2)
        rows = slice(group.first * isa.lanes, (group.first + group.units) * isa.lanes)
        first = group.first_input * isa.lanes
        dense[rows, first : first + inputs * isa.lanes] = grid.reshape(-1, inputs * isa.lanes, *conv.kernel)
        at += size
    exact = dense[:outputs, : shape[1]].astype(np.float32)
    names = network.graph.constants
    graph = replace(network.graph, constants={**names, "c0": exact, "c1": bias})
    anchor = replace(layer.anchor, operator=replace(conv, groups=1))
    return Network(graph, (replace(layer, anchor=anchor),))


def convolution(
    inputs: int, outputs: int, size: tuple[int, int], conv: Conv, epilogue: tuple[Step, ...] = ()
) -> Network:
    weights = random_weights((outputs, inputs // conv.groups, *conv.kernel), inputs + outputs)
    bias = np.random.default_rng(outputs).standard_normal(outputs).astype(np.float32)
    return single_layer(conv, [(1, inputs, *size)], [weights, bias], epilogue)


def cases(network: Network, conv: Conv, isa: Isa, **options: object) -> list[Case]:
    lowered = conv_blocked.lower(network.layers[0], network, conv, isa, Storage.BFLOAT16)
    assert lowered is not None
    assert lowered.function.endswith(", Bfloat16Weights>")
    return [Case(stored_network(network, lowered, isa), lowered, **options)]  # type: ignore[arg-type]


@pytest.mark.parametrize(("isa", "clang"), [(AVX512, False), (AVX2, False), (AVX512, True)])
def test_kernels_compute_with_what_is_stored(isa: Isa, clang: bool) -> None:
    same = (1, 1, 1, 1)
    relu, residual = Step(Clip(0.0)), Step(Add(), operand=(1, 40, 9, 33))
    options: tuple[tuple[int, int, tuple[int, int], Conv, tuple[Step, ...], dict[str, object]], ...] = (
        (16, 32, (9, 7), Conv((3, 3), pads=same), (), {}),
        (24, 40, (9, 33), Conv((3, 3), pads=same), (residual, relu), {"step_rows": 2, "rings": True, "extra_pads": 2}),
        (7, 9, (8, 31), Conv((1, 1)), (), {"step_rows": 3, "rings": True}),
        (33, 70, (31, 13), Conv((3, 3), (2, 2), (0, 1, 1, 0)), (), {"step_rows": 1, "rings": True, "parts": 2}),
        (64, 65, (7, 7), Conv((1, 1)), (relu,), {"parts": 2}),
        (20, 16, (12, 12), Conv((3, 2), dilations=(3, 2), pads=(3, 2, 1, 0)), (), {"rows": (2, 7)}),
        (40, 60, (7, 7), Conv((3, 3), pads=same, groups=4), (), {}),
        (129, 129, (1, 1), Conv((1, 1)), (), {"parts": 3}),
        (16, 700, (5, 6), Conv((3, 3), pads=same), (), {"parts": 2}),
    )
    found = [
        case
        for inputs, outputs, size, conv, epilogue, more in options
        for case in cases(convolution(inputs, outputs, size, conv, epilogue), conv, isa, **more)
    ]
    for inputs, outputs, size in ((70, 1000, (1, 1)), (20, 33, (3, 5)), (512, 8, (7, 7))):
        conv = Conv(size)
        weights = random_weights((outputs, inputs, *size), outputs)
        network = single_layer(Gemm(), [(1, inputs, *size)], [weights, np.ones(outputs, np.float32)], [relu])
        found += cases(network, conv, isa)
    check(found, isa, clang)


def unpacked(narrow: Lowered, wide: Lowered, units: int, lanes: int) -> Lowered:
    """The float32 way, with the weights that the bfloat16 way reads; weights are the first array of both sections."""
    stored, constants = narrow.constants.finish(), wide.constants.finish()
    count = 2 * (constants.size - stored.size)
    constants[:count] = unpack_units(stored[: count // 2], units, lanes).reshape(-1)
    section = Section()
    section.append(constants)
    return replace(wide, constants=section)


@pytest.mark.parametrize(("isa", "clang"), [(AVX512, False), (AVX2, False), (AVX512, True)])
def test_winograd_computes_with_what_is_stored(isa: Isa, clang: bool) -> None:
    pairs = []
    for inputs, outputs, size, options in ((150, 160, (9, 7), {}), (160, 144, (14, 14), {"step_rows": 4, "parts": 2})):
        network = convolution(inputs, outputs, size, Conv((3, 3), pads=(1, 1, 1, 1)), (Step(Clip(0.0)),))
        for wide in winograd.candidates(network.layers[0], network, isa):
            narrow = wide.stored(Precision.BF16)
            assert (narrow is wide) == (wide.algorithm == "winograd6")
            if narrow is not wide:
                units = int(narrow.function.removeprefix("winograd<").split(",")[0])
                ways = narrow, unpacked(narrow, wide, units, isa.lanes)
                pairs.append([Case(network, way, **options) for way in ways])  # type: ignore[arg-type]
    assert len(pairs) == 4
    library = compile_library([case.lowered for pair in pairs for case in pair], isa, clang)
    if not supports(isa.name):
        return
    for index, (narrow_case, wide_case) in enumerate(pairs):
        result, expected = run(narrow_case, getattr(library, f"case_{2 * index}"), isa)
        same, _ = run(wide_case, getattr(library, f"case_{2 * index + 1}"), isa)
        assert np.array_equal(result, same)
        assert np.abs(result - expected).max() < 1.5e-2 * np.abs(expected).max()


def test_layers_that_use_their_weights_often_keep_them_in_float32() -> None:
    for size, narrow in (((7, 7), True), ((1, 1), True), ((14, 14), False)):
        network = convolution(64, 64, size, Conv((3, 3), pads=(1, 1, 1, 1)))
        (way,) = conv_blocked.candidates(network.layers[0], network, AVX512)
        assert way.stored(Precision.FP32) is way
        stored = way.stored(Precision.BF16)
        assert stored.function.endswith("Bfloat16Weights>") == narrow
        assert (stored.constants.size < 0.51 * way.constants.size) == narrow
    network = convolution(64, 64, (7, 7), Conv((1, 1)))
    network.graph.constants["c0"][0, 0] = np.inf
    (way,) = conv_blocked.candidates(network.layers[0], network, AVX512)
    assert way.stored(Precision.BF16) is way


def test_precisions_have_names() -> None:
    assert choose_precision("bf16") is Precision.BF16
    with pytest.raises(InputError, match="unknown precision 'int8'; supported: fp32, bf16"):
        choose_precision("int8")
