"""Elementary functions on vectors of every width, over the whole range of floats and on special values."""

import ctypes
import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from dlfusion.ops.erf import error_function
from dlfusion.targets.cpu.isa import AVX2, AVX512
from tests.support.isas import NARROW
from tests.targets.cpu.kernel_harness import compile_library, supports

"""What the compiler takes without any flags."""

SMALLEST_NORMAL = float(np.finfo(np.float32).tiny)
SPECIAL = np.array(
    [np.inf, -np.inf, np.nan, 0, -0.0, 1, -1, 0.5, -0.5, 2, -2, 3, 1e-45, -1e-45, 1e-30, 3e38, -3e38, 2**23 + 1, -2.5],
    np.float32,
)

Values = NDArray[np.float64]


def _sigmoid(x: Values) -> Values:
    return np.asarray(1 / (1 + np.exp(-x)))


def _softplus(x: Values) -> Values:
    return np.asarray(np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))))


@dataclass(frozen=True)
class Function:
    """A C++ expression of `x` and `y`, what it should be, and how far it may be off.

    `relative` is the share of the result, `of_argument` the share of the first argument: functions that cancel far from
    zero are only as exact as that.
    """

    expression: str
    exact: Callable[[Values, Values], Values]
    relative: float = 2.5e-7
    of_argument: float = 0.0


FUNCTIONS = {
    "exponential": Function("full_exponential(x)", lambda x, _: np.exp(x)),
    "logarithm": Function("full_logarithm(x)", lambda x, _: np.log(x)),
    "square root": Function("square_root(x)", lambda x, _: np.sqrt(x), 1e-7),
    "reciprocal": Function("reciprocal(x)", lambda x, _: 1 / x, 1e-7),
    "absolute": Function("absolute(x)", lambda x, _: np.abs(x), 0),
    "rounded down": Function("rounded_down(x)", lambda x, _: np.floor(x), 0),
    "rounded up": Function("rounded_up(x)", lambda x, _: np.ceil(x), 0),
    "error function": Function("error_function(x)", lambda x, _: error_function(x)),
    "hyperbolic tangent": Function("hyperbolic_tangent(x)", lambda x, _: np.tanh(x)),
    "softplus": Function("softplus(x)", lambda x, _: _softplus(x)),
    "softsign": Function("softsign(x)", lambda x, _: x / (1 + np.abs(x))),
    "elu": Function("elu(x, 0.75f, 1.0f)", lambda x, _: np.where(x < 0, 0.75 * np.expm1(x), x)),
    "selu": Function("selu(x, 1.5f, 0.5f)", lambda x, _: np.where(x < 0, 1.5 * np.expm1(x), 0.5 * x)),
    "mish": Function("mish(x)", lambda x, _: x * np.tanh(_softplus(x)), 4e-7, 1e-7),
    "swish": Function("swish(x, y)", lambda x, y: x / (1 + np.exp(-x * y)), 4e-7, 3e-7),
    "gelu": Function("gelu(x)", lambda x, _: x / 2 * (1 + error_function(x / math.sqrt(2))), 0, 2e-7),
    "gelu by tanh": Function(
        "gelu_by_tanh(x)",
        lambda x, _: x * _sigmoid(2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)),
        4e-7,
        3e-7,
    ),
    "power": Function("power(x, y)", lambda x, y: np.power(x, y), 1e-7),
    "larger": Function("larger(x, y)", lambda x, y: np.maximum(x, y), 0),
    "smaller": Function("smaller(x, y)", lambda x, y: np.minimum(x, y), 0),
}


@functools.cache
def library(isa_name: str) -> ctypes.CDLL:
    """The functions of two arrays, in the order of the table, compiled for an instruction set."""
    isa = {isa.name: isa for isa in (AVX512, AVX2, NARROW)}[isa_name]
    lines = ['#include "operations.hpp"', "using namespace dlfusion;"]
    for index, function in enumerate(FUNCTIONS.values()):
        lines += [
            f'extern "C" void function_{index}(const float* first, const float* second, float* result, long count) {{',
            "  for (long i = 0; i < count; i += LANES) {",
            "    [[maybe_unused]] const Vector x = load(first + i), y = load(second + i);",
            f"    store(result + i, {function.expression});",
            "  }",
            "}",
        ]
    return compile_library([], isa, more="\n".join(lines) + "\n")


def computed(isa_name: str, name: str, x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float32]:
    """The C++ function's results."""
    size = x.size + -x.size % 16
    first, second, result = (np.zeros(size, np.float32) for _ in range(3))
    first[: x.size], second[: x.size] = x, y
    function = getattr(library(isa_name), f"function_{list(FUNCTIONS).index(name)}")
    function(*(ctypes.c_void_p(array.ctypes.data) for array in (first, second, result)), ctypes.c_long(size))
    return result[: x.size]


def arguments() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Numbers of order one, of order 100, and of every magnitude."""
    generator = np.random.default_rng(1)
    count = 20000
    x = [
        generator.standard_normal(count),
        generator.uniform(-10, 10, count),
        generator.uniform(-110, 110, count),
        np.exp(generator.uniform(-85, 85, count)) * generator.choice([-1, 1], count),
    ]
    y = generator.uniform(-4, 4, 4 * count)
    return np.concatenate(x).astype(np.float32), y.astype(np.float32)


@pytest.mark.parametrize("isa", ["avx512", "avx2", "narrow"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_accuracy(isa: str, name: str) -> None:
    if not supports(isa):
        pytest.skip(f"this CPU has no {isa}")
    function = FUNCTIONS[name]
    x, y = arguments()
    with np.errstate(all="ignore"):
        exact = function.exact(x.astype(np.float64), y.astype(np.float64))
        rounded = exact.astype(np.float32)
        result = computed(isa, name, x, y)
    np.testing.assert_array_equal(np.isnan(result), np.isnan(rounded))
    # Beside the largest float, one may round to infinity where the other does not.
    finite = np.isfinite(rounded) & np.isfinite(result)
    assert (np.abs(exact[~finite & ~np.isnan(exact)]) > 3.4e38).all()
    off = np.abs(result[finite] - exact[finite])
    allowed = function.relative * np.abs(exact[finite]) + function.of_argument * np.abs(x[finite]) + SMALLEST_NORMAL
    worst = np.argmax(off / allowed)
    assert (off <= allowed).all(), (x[finite][worst], y[finite][worst], off[worst], allowed[worst])


@pytest.mark.parametrize("isa", ["avx512", "avx2", "narrow"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_special_values(isa: str, name: str) -> None:
    """Infinities, no numbers, zeros of both signs, subnormal and huge numbers, in all pairs."""
    if not supports(isa):
        pytest.skip(f"this CPU has no {isa}")
    x, y = np.repeat(SPECIAL, SPECIAL.size), np.tile(SPECIAL, SPECIAL.size)
    with np.errstate(all="ignore"):
        exact = FUNCTIONS[name].exact(x.astype(np.float64), y.astype(np.float64)).astype(np.float32)
        result = computed(isa, name, x, y)
    np.testing.assert_allclose(result, exact, rtol=2e-6, atol=SMALLEST_NORMAL)
    if name not in ("larger", "smaller"):
        # The sign of zero does not matter to them, as in ONNX Runtime.
        signs = ~np.isnan(exact) & (np.abs(exact) != np.inf)
        np.testing.assert_array_equal(np.signbit(result[signs]), np.signbit(exact[signs]))
