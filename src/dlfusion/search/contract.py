"""What every strategy must keep, as one check that its tests call: `check_strategy(MyStrategy())`.

The check runs the strategy on small networks and two toy machines whose blocks take what a toy cost model says; a
strategy that measures is answered from that model too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from dlfusion.cost.model import Cost, CostModel, Term, plan_seconds
from dlfusion.cost.profile import CoreRule, CostFit, Fit, Profile
from dlfusion.graph.builder import GraphBuilder
from dlfusion.layers.algorithm import Algorithm
from dlfusion.layers.describe import describe
from dlfusion.layers.kind import kind
from dlfusion.layers.layer import Network
from dlfusion.machine import Accelerator, Cpu, Machine
from dlfusion.ops.add import Add
from dlfusion.ops.conv import Conv
from dlfusion.ops.gemm import Gemm
from dlfusion.ops.global_average_pool import GlobalAveragePool
from dlfusion.ops.max_pool import MaxPool
from dlfusion.plans.legality import plan_problems
from dlfusion.plans.plan import Plan
from dlfusion.plans.schedule import Schedule, schedule
from dlfusion.plans.traffic import arena_bytes, block_traffic, operations
from dlfusion.search.problem import Problem
from dlfusion.search.strategies.baseline import Baseline
from dlfusion.search.strategy import MeasuringStrategy, Request, Strategy, TimeBlocks, TimePlans, is_measuring

ANSWERS = 20
"""Requests that are answered before the budget counts as spent, in the second run of a strategy that measures."""

REQUESTS_AFTER = 4
"""Requests that a strategy may make once it was told that the budget is spent; essential ones included."""

SLACK = 1e-9
"""Relative difference of two predicted times that counts as none."""


def check_strategy(strategy: Strategy | MeasuringStrategy, chooses: bool = True) -> None:
    """Nothing, if the strategy keeps what every strategy promises.

    Its plans are legal, and equal for equal problems (of a strategy that measures: for equal answers). If it
    `chooses` by predicted or measured time, no plan of it takes longer than every layer alone on one core, and it
    does not fuse where fusing costs more than it saves. One that measures returns when the budget is spent.

    Raises:
        AssertionError: it does not; the message says on which network and machine.
    """
    for problem in toy_problems():
        where = f"on the network {problem.network.graph.name} and the machine {problem.machine.name}"
        plans = [_made(strategy, problem, where)]
        _require(_made(strategy, problem, where) == plans[0], f"another plan when asked again {where}")
        if is_measuring(strategy):
            plans.append(_made(strategy, problem, where, ANSWERS))
            plans.append(_made(strategy, problem, where, 0))
        for plan in plans:
            found = plan_problems(problem.network, plan, problem.limits)
            _require(not found, f"an illegal plan {where}: {'; '.join(found)}")
            _require(plan.graph_digest == problem.network.graph.digest, f"a plan for another graph {where}")
            _require(all(block.reason for block in plan.blocks), f"a block without a reason {where}")
        if chooses:
            _check_choice(problem, plans[0], where)


def _check_choice(problem: Problem, plan: Plan, where: str) -> None:
    alone = plan_seconds(problem.network, Baseline().plan(problem), problem.cost)
    seconds = plan_seconds(problem.network, plan, problem.cost)
    _require(seconds <= alone * (1 + SLACK), f"a plan of {seconds:.3g} s, slower than baseline's {alone:.3g} s {where}")
    if problem.network.graph.name == NEVER_FUSE:
        longest = max(len(block.layers) for block in plan.blocks)
        _require(longest == 1, f"a block of {longest} layers where fusing only costs time {where}")


def _require(kept: bool, fault: str) -> None:
    if not kept:
        raise AssertionError(f"The strategy makes {fault}.")


def _made(strategy: Strategy | MeasuringStrategy, problem: Problem, where: str, answers: int | None = None) -> Plan:
    """The strategy's plan; one that measures gets `answers` answers (None: all that it asks for)."""
    if not is_measuring(strategy):
        return cast(Strategy, strategy).plan(problem)
    search = strategy.search(problem)
    answered, refused = 0, 0
    answer: tuple[float, ...] | None = None
    try:
        request = next(search)
        while True:
            spent = answers is not None and answered >= answers
            essential = isinstance(request, TimePlans) and request.essential
            answer = None if spent and not essential else _times(problem, request, where)
            answered += 1
            refused += spent
            _require(refused <= REQUESTS_AFTER, f"{refused} requests after the budget was spent {where}")
            request = search.send(answer)
    except StopIteration as end:
        plan: Plan = end.value
        return plan


def _times(problem: Problem, request: Request, where: str) -> tuple[float, ...]:
    """What the toy machine takes."""
    if isinstance(request, TimeBlocks):
        cuts = [schedule(problem.network, block) for block in request.blocks]
        return tuple(problem.cost.block(problem.network, cut).seconds for cut in cuts)
    for plan in request.plans:
        found = plan_problems(problem.network, plan, problem.limits)
        _require(not found, f"a request to measure an illegal plan {where}: {'; '.join(found)}")
    return tuple(plan_seconds(problem.network, plan, problem.cost) for plan in request.plans)


@dataclass(frozen=True, slots=True)
class ToyCost:
    """A cost model with every kind of term; with `recompute_only` fusing saves nothing and costs something.

    An algorithm halves the arithmetic of a block's layers and takes a constant for each layer.
    """

    machine: Machine
    recompute_only: bool = False

    @property
    def name(self) -> str:
        """The model's name."""
        return "toy 1"

    @property
    def assumptions(self) -> tuple[str, ...]:
        """None: it describes no device."""
        return ()

    def block(self, network: Network, cut: Schedule) -> Cost:
        """The predicted time of one run of a legal block."""
        block = cut.block
        fast = dict(block.algorithms)
        slow = [index for index in block.layers if index not in fast]
        layers = network.layers
        every = sum(layers[index].features.operations for index in block.layers) or 1
        share = (sum(layers[index].features.operations for index in slow) + every) / (2 * every)
        units = sum(0.3 if kind(layers[index]).uses_array else 1.0 for index in block.layers) / len(block.layers)
        traffic = block_traffic(network, cut, self.machine.element_bytes)
        terms = [
            Term("arithmetic", operations(network, cut) * units * share / block.cores / 2e9),
            Term("algorithms", 1e-6 * len(fast)),
            Term("calls", 1e-7 * len(block.layers) * -(-cut.flow.reference_rows // (block.step_rows * block.cores))),
            Term("cores", 5e-7 * block.cores),
        ]
        if self.recompute_only:
            return Cost((*terms, Term("fusion", 1e-3 * (len(block.layers) - 1))))
        arena = arena_bytes(network, cut, self.machine.element_bytes)
        spilled = max(arena - self.machine.buffer_bytes, 0)
        return Cost((*terms, Term("launch", 3e-6), Term("maps", (traffic.total_bytes + 4 * spilled) / 5e9)))


NEVER_FUSE = "never fuse"
"""The toy network whose cost model makes each fused layer dear."""


def toy_problems() -> Sequence[Problem]:
    """Small networks on a toy CPU and a toy accelerator."""
    networks = [_chain("chain", 5), _residual(), _classifier(), _chain(NEVER_FUSE, 4)]
    problems = [toy_problem(network, machine) for network in networks for machine in (toy_cpu(), toy_accelerator())]
    return [*problems, toy_problem(_chain("tiles", 3, 16), toy_cpu(), tuple(str(name) for name in Algorithm))]


def toy_problem(network: Network, machine: Machine, algorithms: tuple[str, ...] = (str(Algorithm.DIRECT),)) -> Problem:
    """A problem with the toy cost model, and with a profile that knows next to nothing."""
    cost: CostModel = ToyCost(machine, network.graph.name == NEVER_FUSE)
    return Problem(network, machine, machine.core_counts, cost, toy_profile(machine), algorithms)


def toy_cpu() -> Cpu:
    """Three cores with small caches."""
    return Cpu("toy CPU", 3, l1_bytes=1 << 13, l2_bytes=1 << 14, l3_bytes=1 << 16)


def toy_accelerator() -> Accelerator:
    """One, two or four cores with 6 KiB of activations each."""
    return Accelerator(
        name="toy accelerator",
        core_counts=(1, 2, 4),
        element_bytes=2,
        operations_per_second=2e9,
        vector_operations_per_second=1e9,
        array_inputs=4,
        array_outputs=4,
        buffer_bytes=6 << 10,
        weight_buffer_bytes=2 << 10,
        channels=2,
        channel_bytes_per_second=2e9,
        core_bytes_per_second=2e9,
        launch_seconds=3e-6,
        synchronization_seconds=1e-6,
        tile_seconds=1e-7,
    )


def toy_profile(machine: Machine) -> Profile:
    """A profile without samples: the most cores are best for every layer."""
    counts = machine.core_counts
    slowdowns = tuple(float(len(counts) - 1 - position) for position in range(len(counts)))
    fit = Fit(0, 0.0, 0.0, 0.0)
    return Profile(
        target="toy",
        machine=machine.fingerprint,
        simulated=True,
        compiler="",
        flags=(),
        library="",
        cost=CostFit((), 1.0, fit),
        cores=CoreRule(counts, ((-1, 0.0, 0, 0),), (slowdowns,), 0.0, 0.0),
        critical_operations=1e5,
        samples=(),
    )


def _convolution(builder: GraphBuilder, value: str, channels: int, kernel: int, stride: int = 1) -> str:
    operator = Conv((kernel, kernel), (stride, stride), (kernel // 2,) * 4)
    weights = np.zeros((channels, builder.shape(value)[1], kernel, kernel), np.float32)
    return builder.node(operator, [value], [weights, np.zeros(channels, np.float32)])


def _chain(name: str, length: int, channels: int = 8) -> Network:
    builder = GraphBuilder(name)
    value = builder.input("image", (1, 3, 20, 20))
    for _ in range(length):
        value = _convolution(builder, value, channels, 3)
    builder.output(value)
    return describe(builder.build())


def _residual() -> Network:
    builder = GraphBuilder("residual")
    value = _convolution(builder, builder.input("image", (1, 3, 24, 24)), 8, 3, stride=2)
    for _ in range(2):
        inner = _convolution(builder, _convolution(builder, value, 4, 1), 8, 3)
        value = builder.node(Add(), [inner, value])
    builder.output(builder.node(MaxPool((2, 2), (2, 2)), [value]))
    return describe(builder.build())


def _classifier() -> Network:
    builder = GraphBuilder("classifier")
    value = _convolution(builder, builder.input("image", (1, 3, 16, 16)), 8, 3)
    value = builder.node(GlobalAveragePool(), [_convolution(builder, value, 16, 3)])
    weights = [np.zeros((10, 16, 1, 1), np.float32), np.zeros(10, np.float32)]
    builder.output(builder.node(Gemm(), [value], weights))
    return describe(builder.build())
