"""No plan changes the numbers: random graphs under random legal plans, compiled and run."""

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from dlfusion import driver, zoo
from dlfusion.graph.graph import Array
from dlfusion.layers.describe import describe
from dlfusion.layers.layer import Network
from dlfusion.machine import host
from dlfusion.plans.plan import Plan
from dlfusion.runtime.build import build
from dlfusion.runtime.check import BF16_TOLERANCE, compare
from dlfusion.runtime.executable import Executable
from dlfusion.runtime.reference import evaluate
from dlfusion.targets.cpu.target import generate
from tests.support.isas import NARROW
from tests.support.random_graphs import graphs, random_inputs
from tests.support.random_plans import ALL_ALGORITHMS, plans

# Shrinking compiles hundreds of programs: turn it on by hand when a failure is to be understood.
CANCELLED = 1e-12
"""An output that is zero by the reference has no scale: norms of one number, for example, may leave this much of it."""

SETTINGS = settings(
    max_examples=24,
    deadline=None,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def run(
    network: Network, plan: Plan, inputs: tuple[Array, ...], isa: str, precision: str = "fp32"
) -> tuple[Array, ...]:
    with driver.compile(network, plan=plan, isa=isa, precision=precision) as compiled:
        first = compiled.outputs(*inputs)
        second = compiled.outputs(*inputs)
    for once, again in zip(first, second, strict=True):
        np.testing.assert_array_equal(once, again)
    return first


def baseline(network: Network) -> Plan:
    return driver.plan(network, strategy="baseline", exact=True)


@pytest.mark.slow
@pytest.mark.parametrize("isa", ["avx512", "avx2"])
@given(data=st.data())
@SETTINGS
def test_any_legal_plan_gives_the_reference_result(isa: str, data: st.DataObject) -> None:
    if isa not in host().isas:
        pytest.skip(f"this CPU has no {isa}")
    graph = data.draw(graphs(max_nodes=8))
    network = describe(graph)
    inputs = random_inputs(graph, seed=data.draw(st.integers(0, 99)))
    expected = evaluate(graph, inputs)
    plain = run(network, baseline(network), inputs, isa)
    verdict = compare(plain, expected)
    assert verdict.passed or verdict.difference < CANCELLED, verdict
    for _ in range(3):
        plan = data.draw(plans(network))
        outputs = run(network, plan, inputs, isa)
        # Cuts, cores and steps change where rows are kept and who computes them, never how one is computed.
        for output, reference in zip(outputs, plain, strict=True):
            np.testing.assert_array_equal(output, reference, err_msg=plan.to_json())


@pytest.mark.slow
@given(data=st.data())
@settings(SETTINGS, max_examples=12)
def test_vectors_of_four_lanes_give_the_reference_result(data: st.DataObject) -> None:
    """Every operator with the vectors of aarch64, on a machine that has wider ones too."""
    graph = data.draw(graphs(max_nodes=8))
    network = describe(graph)
    inputs = random_inputs(graph, seed=data.draw(st.integers(0, 99)))
    program = generate(network, data.draw(plans(network)), NARROW)
    with Executable.load(build(program), temporary=True) as executable:
        verdict = compare(executable(*inputs), evaluate(graph, inputs))
    assert verdict.passed or verdict.difference < CANCELLED, verdict


@pytest.mark.slow
@given(data=st.data())
@settings(SETTINGS, max_examples=12)
def test_any_legal_plan_gives_one_result_in_bfloat16(data: st.DataObject) -> None:
    """Rows are converted anew for each call, always to the same numbers."""
    if "avx512_bf16" not in host().isas:
        pytest.skip("this CPU has no avx512_bf16")
    graph = data.draw(graphs(max_nodes=8))
    network = describe(graph)
    inputs = random_inputs(graph, seed=data.draw(st.integers(0, 99)))
    plain = run(network, baseline(network), inputs, "avx512_bf16", "bf16")
    verdict = compare(plain, evaluate(graph, inputs), BF16_TOLERANCE)
    assert verdict.passed or verdict.difference < CANCELLED, verdict
    for _ in range(3):
        plan = data.draw(plans(network))
        outputs = run(network, plan, inputs, "avx512_bf16", "bf16")
        for output, reference in zip(outputs, plain, strict=True):
            np.testing.assert_array_equal(output, reference, err_msg=plan.to_json())


@pytest.mark.slow
@pytest.mark.parametrize("isa", ["avx512", "avx2"])
@given(data=st.data())
@settings(SETTINGS, max_examples=5)
def test_any_algorithms_give_the_reference_result(isa: str, data: st.DataObject) -> None:
    """Layers in every algorithm, alone and in blocks; bands, steps and channels are cut at any place."""
    if isa not in host().isas:
        pytest.skip(f"this CPU has no {isa}")
    network = driver.import_model(zoo.build("resnet18", size=75, width_factor=0.25, batch=data.draw(st.integers(1, 2))))
    inputs = random_inputs(network.graph, seed=data.draw(st.integers(0, 99)))
    expected = evaluate(network.graph, inputs)
    for _ in range(3):
        drawn = plans(network, algorithms=ALL_ALGORITHMS)
        plan = data.draw(drawn.filter(lambda plan: any(block.algorithms for block in plan.blocks)))
        verdict = compare(run(network, plan, inputs, isa), expected)
        assert verdict.passed, (verdict, plan.to_json())
