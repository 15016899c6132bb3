"""Every pointwise operator as an epilogue, in both layouts and on extreme values."""

import math
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import numpy as np
import pytest

from dlfusion import driver
from dlfusion.graph.builder import GraphBuilder
from dlfusion.layers.describe import describe
from dlfusion.layers.grouping import LONGEST_EPILOGUE
from dlfusion.layers.layer import Network
from dlfusion.ops.abs import Abs
from dlfusion.ops.add import Add
from dlfusion.ops.affine import Affine
from dlfusion.ops.ceil import Ceil
from dlfusion.ops.celu import Celu
from dlfusion.ops.clip import Clip
from dlfusion.ops.conv import Conv
from dlfusion.ops.div import Div
from dlfusion.ops.elu import Elu
from dlfusion.ops.erf import Erf
from dlfusion.ops.exp import Exp
from dlfusion.ops.floor import Floor
from dlfusion.ops.gelu import Gelu
from dlfusion.ops.hard_sigmoid import HardSigmoid
from dlfusion.ops.hard_swish import HardSwish
from dlfusion.ops.leaky_relu import LeakyRelu
from dlfusion.ops.log import Log
from dlfusion.ops.max import Max
from dlfusion.ops.min import Min
from dlfusion.ops.mish import Mish
from dlfusion.ops.mul import Mul
from dlfusion.ops.operator import Operator, Shape
from dlfusion.ops.p_relu import PRelu
from dlfusion.ops.pow import Pow
from dlfusion.ops.reciprocal import Reciprocal
from dlfusion.ops.selu import Selu
from dlfusion.ops.sigmoid import Sigmoid
from dlfusion.ops.softplus import Softplus
from dlfusion.ops.softsign import Softsign
from dlfusion.ops.sqrt import Sqrt
from dlfusion.ops.sub import Sub
from dlfusion.ops.swish import Swish
from dlfusion.ops.tanh import Tanh
from dlfusion.ops.thresholded_relu import ThresholdedRelu
from dlfusion.runtime.check import compare
from dlfusion.runtime.reference import evaluate
from dlfusion.targets.cpu.isa import AVX2, AVX512, Isa
from dlfusion.targets.cpu.kernels import conv_blocked, conv_planar, epilogue, pointwise
from dlfusion.targets.cpu.section import Section
from tests.targets.cpu.kernel_harness import Case, Step, check, compile_library, run, single_layer

CHANNELS = 19
SIZE = (5, 9)
RAMP = np.linspace(-2, 2, CHANNELS, dtype=np.float32)


def scalar(value: float) -> np.ndarray:
    return np.full((1, 1, 1), value, np.float32)


CHAINS = [
    (Step(Add(), operand=(1, CHANNELS, *SIZE)), Step(Clip(0.0))),
    (Step(Mul(), operand=(1, CHANNELS, *SIZE)), Step(Add(), operand=(1, CHANNELS, *SIZE)), Step(Clip(-math.inf, 1.0))),
    (Step(Sigmoid()), Step(Mul(), operand=(1, CHANNELS, 1, 1)), Step(Affine(), (RAMP, RAMP[::-1].copy()))),
    (Step(PRelu(), (RAMP,)), Step(LeakyRelu(0.1)), Step(Tanh())),
    (Step(HardSigmoid(0.3, 0.4)), Step(Clip(0.2, 0.9))),
    (Step(HardSwish()), Step(Clip(-math.inf, math.inf))),
    (Step(Elu(0.7)), Step(Celu(0.5)), Step(Selu()), Step(Swish(1.5))),
    (Step(Gelu()), Step(Gelu(by_tanh=True)), Step(Mish()), Step(Softplus()), Step(Softsign()), Step(Erf())),
    (Step(Abs()), Step(Add(), (np.full((1, 1, 1), 0.25, np.float32),)), Step(Log()), Step(Exp()), Step(Sqrt())),
    (Step(Clip(0.25, 2.0)), Step(Reciprocal()), *[Step(Pow(), (scalar(x),)) for x in (2, 0.5, 3, -1, 1.7)]),
    (Step(Affine(), (RAMP, np.zeros_like(RAMP))), Step(Affine(), (np.ones_like(RAMP), RAMP)), Step(Floor())),
    (Step(ThresholdedRelu(0.5)), Step(Max(), operand=(1, CHANNELS, *SIZE)), Step(Min(), (scalar(1.5),)), Step(Ceil())),
]
"""Every operator; each operation also takes every kind of operand, below."""

OPERANDS: tuple[Shape, ...] = tuple(
    (1, channels, height, width) for channels in (CHANNELS, 1) for height in (SIZE[0], 1) for width in (SIZE[1], 1)
)
BINARY = [Add(), Sub(), Sub(True), Mul(), Max(), Min(), Div(), Div(True), Pow(), Pow(True)]


def network(chain: tuple[Step, ...]) -> Network:
    generator = np.random.default_rng(3)
    weights = generator.standard_normal((CHANNELS, 6, 1, 1)).astype(np.float32)
    return single_layer(Conv((1, 1)), [(1, 6, *SIZE)], [weights, RAMP], chain)


@pytest.mark.parametrize("isa", [AVX512, AVX2])
def test_chains(isa: Isa) -> None:
    check(lowered_cases(CHAINS, isa, step_rows=2, rings=True, extra_pads=1), isa, tolerance=1e-6)


def lowered_cases(chains: Sequence[tuple[Step, ...]], isa: Isa, **how: Any) -> list[Case]:
    """Each chain behind a blocked and a planar convolution, and as a layer of its own in both layouts."""
    cases = []
    for chain in chains:
        made = network(chain)
        ways = [module.candidates(made.layers[0], made, isa)[0] for module in (conv_blocked, conv_planar)]
        cases += [Case(made, way, **how) for way in ways]
        alone = single_layer(Clip(0.25, 2.0), [(1, CHANNELS, *SIZE)], epilogue=chain)
        cases += [Case(alone, way, **how) for way in pointwise.candidates(alone.layers[0], alone, isa)]
    return cases


@pytest.mark.parametrize("isa", [AVX512, AVX2])
@pytest.mark.parametrize("operator", BINARY, ids=repr)
def test_operands_of_every_shape(operator: Operator, isa: Isa) -> None:
    """Activations and constants that have one channel, row or column, or several of these."""
    chains = []
    generator = np.random.default_rng(5)
    bounded = Step(Clip(0.25, 2.0))
    for operand in OPERANDS:
        constant = generator.uniform(0.5, 1.5, operand[1:]).astype(np.float32)
        chains.append((bounded, Step(operator, (constant,))))
        if not isinstance(operator, Div | Pow):
            chains.append((bounded, Step(operator, operand=operand)))
    check(lowered_cases(chains, isa, step_rows=2, rings=True, extra_pads=1), isa, tolerance=1e-6)
    check(lowered_cases(chains[:2], isa, parts=2, rows=(2, SIZE[0])), isa, tolerance=1e-6)


def test_quotients_and_powers_of_activations() -> None:
    """The running value is the operator's first or second activation."""
    shape = (1, CHANNELS, *SIZE)
    for operator in (Sub(), Div(), Pow()):
        for operands in (["bounded", "other"], ["other", "bounded"]):
            builder = GraphBuilder("operands")
            x = builder.input("x", shape)
            builder.input("other", shape)
            weights = np.eye(CHANNELS).reshape(CHANNELS, CHANNELS, 1, 1)
            conv = builder.node(Conv((1, 1)), [x], [weights, np.ones(CHANNELS)])
            builder.node(Clip(0.5, 2.0), [conv], name="bounded")
            builder.output(builder.node(operator, operands))
            made = describe(builder.build())
            assert len(made.layers) == 1
            inputs = [np.random.default_rng(1).uniform(0.5, 2, shape).astype(np.float32) for _ in range(2)]
            with driver.compile(made, strategy="baseline") as compiled:
                verdict = compare(compiled.outputs(*inputs), evaluate(made.graph, inputs))
            assert verdict.passed, verdict


@pytest.mark.parametrize("operator", [Sigmoid(), Tanh()])
@pytest.mark.parametrize("scale", [1e-4, 1.0, 10.0, 1000.0])
def test_relative_accuracy(operator: Sigmoid | Tanh, scale: float) -> None:
    identity = np.eye(16, dtype=np.float32).reshape(16, 16, 1, 1)
    made = single_layer(Conv((1, 1)), [(1, 16, 16, 100)], [identity, np.zeros(16, np.float32)], [Step(operator)])
    (lowered,) = conv_blocked.candidates(made.layers[0], made, AVX2)
    library = compile_library([lowered], AVX2)
    actual, _ = run(Case(made, lowered, scale=scale), library.case_0, AVX2)
    values = (np.random.default_rng(7).standard_normal((1, 16, 16, 100)) * scale).astype(np.float32).astype(np.float64)
    exact = np.tanh(values) if isinstance(operator, Tanh) else 1 / (1 + np.exp(-np.clip(values, -87.3, 87.3)))
    assert np.max(np.abs(actual - exact) / np.abs(exact)) < (1e-5 if scale > 10 else 4e-7)


def test_a_chain_that_is_too_long_is_refused() -> None:
    made = network((Step(Tanh()),) * (LONGEST_EPILOGUE + 1))
    assert epilogue.build(made.layers[0], made.graph, Section(), epilogue.Place(16)) is None
    assert conv_blocked.candidates(made.layers[0], made, AVX512) == ()


def test_the_longest_chain_is_what_the_kernel_library_holds() -> None:
    text = (files("dlfusion.targets.cpu") / "include" / "operands.hpp").read_text(encoding="utf-8")
    assert f"constexpr int EPILOGUE_STEPS = {LONGEST_EPILOGUE};" in text


def test_a_value_combined_with_itself() -> None:
    made = network((Step(Clip(0.0)),))
    layer = made.layers[0]
    doubled = single_layer(Conv((1, 1)), [(1, 6, *SIZE)], list(made.graph.parameters(layer.anchor)), (Step(Add()),))
    code = epilogue.build(doubled.layers[0], doubled.graph, Section(), epilogue.Place(16))
    assert code is not None
    assert code.type == "Epilogue<Add<Itself>>"
