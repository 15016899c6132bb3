"""Measuring on one target with a memory: what the store knows is not measured again, all else is stored at once."""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from dlfusion.errors import PlanError
from dlfusion.graph.graph import Graph
from dlfusion.layers.layer import Network
from dlfusion.plans.flow import block_flow
from dlfusion.plans.legality import check, machine_limits, problems
from dlfusion.plans.packing import pack
from dlfusion.plans.plan import Block, Partition, Plan
from dlfusion.runtime.measure import Measurement
from dlfusion.search.problem import Problem
from dlfusion.search.strategy import MeasuringStrategy, TimeBlocks, TimePlans
from dlfusion.targets.target import Bench, PlanTimes, Target
from dlfusion.tuning.store import Entry, Store

DEFAULT_BLOCK_SECONDS = 0.4
"""How long a program runs whose blocks are measured."""

DEFAULT_PLAN_SECONDS = 1.0
"""How long each of several plans runs that are measured against each other."""

UNSTEADY = 1.1
"""A block is measured once more if its second shortest time is more than this many times the shortest."""

_PLANS_PER_GROUP = 6
"""Programs in memory at once while blocks are measured: enough that a noisy moment does not decide, few enough that
little is lost when a run is stopped."""

_STRATEGY = "blocks to measure"

ProgressCallback = Callable[[str, int, int], None]
"""Called with the stage's name, the steps done and the steps in all."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a strategy that measures found, and what it took.

    `measured` counts different blocks and plans that were measured now, `reused` different blocks that the store knew;
    `requests` counts the strategy's questions.
    """

    plan: Plan
    wall_seconds: float
    measured: int
    reused: int
    requests: int


class Session:
    """A target and a store. One network at a time is held ready; use it as a context manager, or `close` it."""

    def __init__(
        self,
        target: Target,
        store: Store,
        progress: ProgressCallback | None = None,
        block_seconds: float = DEFAULT_BLOCK_SECONDS,
        plan_seconds: float = DEFAULT_PLAN_SECONDS,
    ) -> None:
        """`block_seconds` and `plan_seconds` are for how long each program runs (on a simulated machine, once)."""
        self._target = target
        self._store = store
        self._progress = progress or (lambda stage, done, total: None)
        self._block_seconds = block_seconds
        self._plan_seconds = plan_seconds
        self._limits = machine_limits(target.machine, target.algorithms)
        self._setting = target.setting
        self._ready: tuple[str, AbstractContextManager[Bench], Bench] | None = None
        self._structures: dict[Block, str] = {}
        self._measured = 0
        self._reused: set[str] = set()
        self._fresh: set[str] = set()

    def time_blocks(self, network: Network, blocks: Sequence[Block]) -> tuple[float, ...]:
        """The shortest time of each block in seconds, in order.

        Raises:
            PlanError: a block is illegal on the target.
        """
        return tuple(min(samples) for samples in self.block_samples(network, blocks))

    def block_samples(self, network: Network, blocks: Sequence[Block]) -> tuple[tuple[float, ...], ...]:
        """All times of each block in seconds; those of a structure that the store knows are not taken again.

        Blocks that another program disturbed so much that their two shortest times differ by more than `UNSTEADY` are
        measured a second time.

        Raises:
            PlanError: a block is illegal on the target.
        """
        samples = self._block_samples(network, blocks, deadline=None)
        assert samples is not None  # there is no deadline
        return samples

    def time_plans(
        self, network: Network, plans: Sequence[Plan], seconds: float | None = None
    ) -> tuple[Measurement, ...]:
        """Whole plans measured now against each other, in turns, each for `seconds`; plans of equal structure once.

        Raises:
            PlanError: a plan is illegal on the target.
        """
        for plan in plans:
            check(network, plan, self._limits)
        bench = self._bench(network)
        keys = [tuple(self._structure(bench, block) for block in plan.blocks) for plan in plans]
        distinct = dict(zip(reversed(keys), reversed(plans), strict=True))  # of equal plans the first
        self._progress("measure plans", 0, len(distinct))
        times = bench.time_plans(tuple(distinct.values()), self._plan_seconds if seconds is None else seconds)
        by_key = dict(zip(distinct, times, strict=True))
        self._keep(network, bench, list(distinct.values()), times)
        self._keep_totals(network, by_key, distinct)
        self._measured += len(distinct)
        self._progress("measure plans", len(distinct), len(distinct))
        verdict = "simulated" if self._target.simulated else "not checked"
        return tuple(
            Measurement(plan.strategy, by_key[key].total, self._setting, verdict)
            for key, plan in zip(keys, plans, strict=True)
        )

    def run(self, strategy: MeasuringStrategy, problem: Problem, budget_seconds: float | None = None) -> Outcome:
        """The plan that a strategy finds by measuring.

        When the budget (wall-clock seconds; None: no limit) is spent, only essential requests are still answered; a
        request that is under way ends early, and what it measured is kept.

        Raises:
            PlanError: the strategy asks for an illegal block or plan.
        """
        start = time.monotonic()
        deadline = None if budget_seconds is None else start + budget_seconds
        measured_before = self._measured
        self._reused, self._fresh = set(), set()
        requests = 0
        search = strategy.search(problem)
        answer: tuple[float, ...] | None = None
        try:
            request = next(search)
            while True:
                requests += 1
                answer = self._answer(problem.network, request, deadline)
                request = search.send(answer)
        except StopIteration as end:
            plan: Plan = end.value
        finally:
            search.close()
        wall_seconds = time.monotonic() - start
        return Outcome(plan, wall_seconds, self._measured - measured_before, len(self._reused), requests)

    def close(self) -> None:
        """Free what measuring the last network needed. The session can go on; the store is the caller's."""
        if self._ready is not None:
            _, manager, _ = self._ready
            self._ready = None
            self._structures = {}
            manager.__exit__(None, None, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- requests ------------------------------------------------------------------------------------------------

    def _answer(
        self, network: Network, request: TimeBlocks | TimePlans, deadline: float | None
    ) -> tuple[float, ...] | None:
        if isinstance(request, TimePlans):
            if _is_over(deadline) and not request.essential:
                return None
            return tuple(measurement.minimum for measurement in self.time_plans(network, request.plans))
        samples = self._block_samples(network, request.blocks, deadline)
        return None if samples is None else tuple(min(of_block) for of_block in samples)

    def _block_samples(
        self, network: Network, blocks: Sequence[Block], deadline: float | None
    ) -> tuple[tuple[float, ...], ...] | None:
        """The samples of all blocks; None if the time is over before all are known."""
        bench = self._bench(network)
        structures = [self._structure(bench, block) for block in blocks]
        known: dict[str, tuple[float, ...]] = {}
        wanted: dict[str, Block] = {}
        for structure, block in zip(structures, blocks, strict=True):
            if structure in known or structure in wanted:
                continue
            samples = self._store.find(self._setting, structure)
            if samples is None:
                wanted[structure] = replace(block, reason="")
            else:
                known[structure] = samples
                self._reused |= {structure} - self._fresh
        for stage in ("measure blocks", "measure unsteady blocks again"):
            missing = set(wanted)
            for done, group in self._groups(network, tuple(wanted.values())):
                if _is_over(deadline):
                    complete = all(structure in known for structure in structures)
                    return tuple(known[structure] for structure in structures) if complete else None
                self._progress(stage, done, len(wanted))
                times = bench.time_plans(group, self._block_seconds)
                kept = self._keep(network, bench, group, times, missing)
                known |= {structure: (*known.get(structure, ()), *samples) for structure, samples in kept.items()}
                missing -= set(kept)
            if wanted:
                self._progress(stage, len(wanted), len(wanted))
            wanted = {structure: block for structure, block in wanted.items() if _is_unsteady(known[structure])}
        return tuple(known[structure] for structure in structures)

    def _groups(self, network: Network, wanted: tuple[Block, ...]) -> Iterator[tuple[int, tuple[Plan, ...]]]:
        """Plans that hold all wanted blocks, a few at a time, each time with how many wanted blocks came before."""
        if not wanted:
            return
        for block in wanted:
            self._check(network, block)
        waiting = set(wanted)
        covers = pack(network, wanted, lambda index: self._alone(network, index))
        for start in range(0, len(covers), _PLANS_PER_GROUP):
            group = covers[start : start + _PLANS_PER_GROUP]
            done = len(wanted) - len(waiting)
            yield done, tuple(_plan(network.graph, self._setting.machine, blocks) for blocks in group)
            waiting -= {block for cover in group for block in cover}

    def _check(self, network: Network, block: Block) -> None:
        found = problems(network, block, self._limits)
        if found:
            raise PlanError(f"a block that is to be measured cannot be run: {'; '.join(found)}")

    def _alone(self, network: Network, index: int) -> Block:
        """Layer `index` alone on as many cores as it can use: what fills the gaps between blocks to measure."""
        one = Block(index, index, 1)
        one = replace(one, step_rows=block_flow(network, one).reference_height)
        choices = (
            replace(one, cores=cores, partition=partition)
            for cores in reversed(self._target.machine.core_counts)
            for partition in (Partition.ROWS, Partition.CHANNELS)
        )
        found = next((block for block in choices if not problems(network, block, self._limits)), None)
        if found is None:
            counts = ", ".join(map(str, self._target.machine.core_counts))
            raise PlanError(
                f"layer {index} ({network.layers[index].name}) cannot be cut over any of the core counts {counts}, so "
                "no plan that holds it can be measured; allow a smaller count"
            )
        return found

    # --- what was measured ---------------------------------------------------------------------------------------

    def _keep(
        self,
        network: Network,
        bench: Bench,
        plans: Sequence[Plan],
        times: Sequence[PlanTimes],
        wanted: Collection[str] = (),
    ) -> dict[str, tuple[float, ...]]:
        """Store the samples of wanted structures and of those that the store does not know; returns what was stored."""
        found: dict[str, tuple[str, tuple[float, ...]]] = {}
        for plan, of_plan in zip(plans, times, strict=True):
            for block, samples in zip(plan.blocks, of_plan.blocks, strict=True):
                structure = self._structure(bench, block)
                if structure in found:
                    continue
                is_new = self._store.find(self._setting, structure) is None
                if is_new or structure in wanted:
                    found[structure] = (_label(network, block), samples)
                if is_new:
                    self._fresh.add(structure)
                    self._measured += 1
        self._remember(found)
        return {structure: samples for structure, (_, samples) in found.items()}

    def _keep_totals(
        self, network: Network, times: dict[tuple[str, ...], PlanTimes], plans: dict[tuple[str, ...], Plan]
    ) -> None:
        """Store the times of whole plans, for people and later analyses; they are measured anew each time."""
        self._remember(
            {
                f"plan {' '.join(key)}": (f"plan {plans[key].strategy} of {network.graph.name}", times[key].total)
                for key in plans
            }
        )

    def _remember(self, found: dict[str, tuple[str, tuple[float, ...]]]) -> None:
        now = time.time()
        entries = [Entry(structure, label, samples, now) for structure, (label, samples) in found.items()]
        self._store.add_all(self._setting, entries)

    # --- the network under test ----------------------------------------------------------------------------------

    def _bench(self, network: Network) -> Bench:
        """The network made ready; another network's bench is closed first, since packed weights can be large."""
        digest = network.graph.digest
        if self._ready is None or self._ready[0] != digest:
            self.close()
            self._progress("prepare", 0, 1)
            manager = self._target.bench(network)
            self._ready = (digest, manager, manager.__enter__())
        return self._ready[2]

    def _structure(self, bench: Bench, block: Block) -> str:
        plain = replace(block, reason="")
        if plain not in self._structures:
            self._structures[plain] = bench.structure(plain)
        return self._structures[plain]


def _is_unsteady(samples: Sequence[float]) -> bool:
    """Whether no second sample confirms the shortest: then it is not known how short an undisturbed run is."""
    shortest = sorted(samples)[:2]
    return len(shortest) == 2 and shortest[1] > UNSTEADY * shortest[0]


def _is_over(deadline: float | None) -> bool:
    return deadline is not None and time.monotonic() >= deadline


def _plan(graph: Graph, machine: str, blocks: tuple[Block, ...]) -> Plan:
    return Plan(graph.digest, machine, _STRATEGY, blocks)


def _label(network: Network, block: Block) -> str:
    """The block in words, such as `resnet50 layers 3..4 (Conv 1x1, Conv 3x3 by winograd4), 2 cores, rows, step 4`."""
    named = {index: f" by {name}" for index, name in block.algorithms}
    layers = ", ".join(network.layers[i].anchor.operator.label + named.get(i, "") for i in block.layers)
    place = f"layer {block.first}" if block.first == block.last else f"layers {block.first}..{block.last}"
    cores = "1 core" if block.cores == 1 else f"{block.cores} cores"
    return f"{network.graph.name} {place} ({layers}), {cores}, {block.partition}, step {block.step_rows}"
