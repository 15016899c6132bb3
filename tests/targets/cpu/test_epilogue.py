"""Every pointwise operator as an epilogue, in both layouts and on extreme values."""

import math

import numpy as np
import pytest

from dlfusion.layers.layer import Network
from dlfusion.ops.add import Add
from dlfusion.ops.affine import Affine
from dlfusion.ops.clip import Clip
from dlfusion.ops.conv import Conv
from dlfusion.ops.hard_sigmoid import HardSigmoid
from dlfusion.ops.hard_swish import HardSwish
from dlfusion.ops.leaky_relu import LeakyRelu
from dlfusion.ops.mul import Mul
from dlfusion.ops.p_relu import PRelu
from dlfusion.ops.sigmoid import Sigmoid
from dlfusion.ops.tanh import Tanh
from dlfusion.targets.cpu.isa import AVX2, AVX512, Isa
from dlfusion.targets.cpu.kernels import conv_blocked, conv_planar, epilogue
from dlfusion.targets.cpu.section import Section
from tests.targets.cpu.kernel_harness import Case, Step, check, compile_library, run, single_layer

CHANNELS = 19
SIZE = (5, 9)
RAMP = np.linspace(-2, 2, CHANNELS, dtype=np.float32)

CHAINS = [
    (Step(Add(), operand=(1, CHANNELS, *SIZE)), Step(Clip(0.0))),
    (Step(Mul(), operand=(1, CHANNELS, *SIZE)), Step(Add(), operand=(1, CHANNELS, *SIZE)), Step(Clip(-math.inf, 1.0))),
    (Step(Sigmoid()), Step(Mul(), operand=(1, CHANNELS, 1, 1)), Step(Affine(), (RAMP, RAMP[::-1].copy()))),
    (Step(PRelu(), (RAMP,)), Step(LeakyRelu(0.1)), Step(Tanh())),
    (Step(HardSigmoid(0.3, 0.4)), Step(Clip(0.2, 0.9))),
    (Step(HardSwish()), Step(Clip(-math.inf, math.inf))),
]


def network(chain: tuple[Step, ...]) -> Network:
    generator = np.random.default_rng(3)
    weights = generator.standard_normal((CHANNELS, 6, 1, 1)).astype(np.float32)
    return single_layer(Conv((1, 1)), [(1, 6, *SIZE)], [weights, RAMP], chain)


@pytest.mark.parametrize("isa", [AVX512, AVX2])
def test_chains(isa: Isa) -> None:
    cases = []
    for chain in CHAINS:
        made = network(chain)
        for module in (conv_blocked, conv_planar):
            (lowered,) = module.candidates(made.layers[0], made, isa)
            cases.append(Case(made, lowered, step_rows=2, rings=True, extra_pads=1))
    check(cases, isa, tolerance=1e-6)


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
    made = network((Step(Tanh()),) * (epilogue.MAXIMUM_STEPS + 1))
    assert epilogue.build(made.layers[0], made.graph, Section(), 16) is None
    assert conv_blocked.candidates(made.layers[0], made, AVX512) == ()


def test_a_value_combined_with_itself() -> None:
    made = network((Step(Clip(0.0)),))
    layer = made.layers[0]
    doubled = single_layer(Conv((1, 1)), [(1, 6, *SIZE)], list(made.graph.parameters(layer.anchor)), (Step(Add()),))
    code = epilogue.build(doubled.layers[0], doubled.graph, Section(), 16)
    assert code is not None
    assert code.type == "Epilogue<Scale>"
