"""Every layer of a model against the machine's limits, and what fusion and cores gain, all in turns in one process.

For each core count two programs are built: the default plan, and the same kernels with every layer alone on all cores.
They run in turns with each other and with the loops that measure the machine's limits (targets/cpu/peak.py), so that
times, gains and limits come from the same minutes.
"""

import shlex
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from os import PathLike
from pathlib import Path

from dlfusion import driver
from dlfusion.errors import InputError
from dlfusion.graph.graph import FLOAT_BYTES, Array
from dlfusion.layers.layer import Network
from dlfusion.machine.cpu import Cpu
from dlfusion.machine.host import host, usable_cores
from dlfusion.machine.rates import Rates
from dlfusion.plans.plan import Block, Plan
from dlfusion.report.layer_work import Way, layer_works
from dlfusion.report.layers import BlockGain, CoreReport, MeasuredLayer, ModelReport, Timing
from dlfusion.report.limits import settled
from dlfusion.report.units import cores_text
from dlfusion.runtime.cache import Cache, open_cache
from dlfusion.runtime.check import BF16_TOLERANCE, TOLERANCE, require_equal
from dlfusion.runtime.executable import Executable
from dlfusion.runtime.measure import take_turns
from dlfusion.runtime.scratch import scratch_folder
from dlfusion.runtime.toolchain import find_compiler
from dlfusion.targets.cpu.isa import choose_isa
from dlfusion.targets.cpu.kernel import Layout, Lowered, Pads
from dlfusion.targets.cpu.measuring import CpuTarget
from dlfusion.targets.cpu.peak import PeakMeter
from dlfusion.targets.cpu.plan_programs import load_program, plan_times, write_weights
from dlfusion.targets.cpu.precision import Precision, choose_precision
from dlfusion.targets.cpu.target import Prepared, prepare
from dlfusion.targets.target import PlanTimes, Target

UNFUSED = "all-cores"
"""The strategy that leaves every layer alone, on all cores."""


@dataclass(frozen=True, slots=True)
class Options:
    """What to measure: core counts, the strategy held against the unfused plan, seconds of runs for each program.

    `isa`, `exact` and `precision` are those of `driver.compile`.
    """

    cores: tuple[int, ...] = (1,)
    strategy: str = driver.DEFAULT_STRATEGY
    seconds: float = 3.0
    isa: str | None = None
    exact: bool = False
    precision: str = Precision.FP32


@dataclass(frozen=True, slots=True)
class PlanPair:
    """The plan of a strategy on some cores, and the same kernels with every layer in a block of its own."""

    cores: int
    planned: Plan
    unfused: Plan


def measure_layers(
    model: driver.planning.Model,
    chosen: Options,
    *,
    shapes: dict[str, tuple[int, ...]] | None = None,
    progress: driver.ProgressCallback | None = None,
) -> ModelReport:
    """Measures a model; the arguments are those of `driver.compile`.

    Raises:
        InputError: more cores are asked for than this process may use, or an instruction set that it lacks.
        DlfusionError: the model cannot be compiled.
        VerificationError: the plans compute different things.
    """
    if max(chosen.cores) > usable_cores():
        raise InputError(
            f"--cores {max(chosen.cores)} is more than the {usable_cores()} cores that this process may use"
        )
    target = CpuTarget(chosen.isa, precision=chosen.precision)
    report = progress or (lambda stage, done, total: None)
    report("import", 0, 1)
    network = driver.import_model(model, shapes)
    report("plan", 0, 1)
    counts = tuple(sorted(set(chosen.cores)))
    pairs = tuple(plan_pair(network, cores, chosen.strategy, target, exact=chosen.exact) for cores in counts)
    return _measured(network, pairs, chosen, report, _Advice(model, chosen, shapes))


def plan_pair(
    network: Network, cores: int, strategy: str, target: Target | None = None, *, exact: bool = False
) -> PlanPair:
    """The strategy's plan on up to so many cores, and its layers alone with the same algorithms.

    A strategy that measures does so on `target` (default: this CPU with its best instruction set).
    """
    device = target or CpuTarget()
    planned = driver.plan(network, device, strategy, cores=cores, exact=exact)
    unfused = driver.plan(network, device, UNFUSED, cores=cores, exact=exact)
    return PlanPair(cores, planned, with_algorithms_of(unfused, planned))


def with_algorithms_of(unfused: Plan, planned: Plan) -> Plan:
    """The unfused plan with each layer computed as `planned` does it."""
    named = {index: name for block in planned.blocks for index, name in block.algorithms}
    blocks = tuple(
        replace(block, algorithms=tuple((index, named[index]) for index in block.layers if index in named))
        for block in unfused.blocks
    )
    return replace(unfused, strategy=f"{UNFUSED}, kernels of {planned.strategy}", blocks=blocks)


@dataclass(frozen=True)
class _Advice:
    """How a user finds the layer that a wrong program computes wrongly."""

    model: driver.planning.Model
    chosen: Options
    shapes: dict[str, tuple[int, ...]] | None

    def command(self, strategy: str, cores: int) -> str:
        """The command that compiles a strategy's plan as it was compiled here, and names the first wrong layer."""
        chosen = self.chosen
        model = str(self.model) if isinstance(self.model, str | PathLike) else "MODEL"
        words = ["dlfusion", "compile", model, "--strategy", strategy, "--cores", str(cores)]
        words += ["--isa", chosen.isa] if chosen.isa is not None else []
        words += ["--precision", chosen.precision] if chosen.precision != Precision.FP32 else []
        words += ["--exact"] if chosen.exact else []
        for name, shape in (self.shapes or {}).items():
            words += ["--shape", f"{name}={','.join(map(str, shape))}"]
        return shlex.join(words)


def _measured(
    network: Network,
    pairs: Sequence[PlanPair],
    chosen: Options,
    progress: driver.ProgressCallback,
    advice: _Advice,
) -> ModelReport:
    """Builds everything, runs it in turns, and puts the numbers together."""
    isa, cache, machine = choose_isa(chosen.isa, choose_precision(chosen.precision)), open_cache(), host()
    plans = [plan for pair in pairs for plan in (pair.planned, pair.unfused)]
    progress("generate", 0, 1)
    prepared = prepare(network, isa, plans, choose_precision(chosen.precision))
    inputs = driver.random_inputs(network)
    with ExitStack() as stack:
        programs = _programs(network, plans, prepared, cache, stack, progress)
        meter = stack.enter_context(PeakMeter(machine, isa, [pair.cores for pair in pairs], cache))
        _require_equal(programs, pairs, inputs, advice)
        progress("run in turns", 0, 1)
        runs: list[Callable[[], tuple[float, ...]]] = [partial(program.profile, *inputs) for program in programs]
        *counted, peaks = take_turns([*runs, meter.sample], chosen.seconds)
        rates = meter.rates([sample for _, sample in peaks])
        progress("run in turns", 1, 1)
    times = [plan_times(plan, samples) for plan, samples in zip(plans, counted, strict=True)]
    ways = [lowered_ways(network, pair.unfused, prepared) for pair in pairs]
    reports = with_one_core_times(
        core_report(network, pair, layer_ways, times[2 * index], times[2 * index + 1], rates[index], machine)
        for index, (pair, layer_ways) in enumerate(zip(pairs, ways, strict=True))
    )
    compiler = find_compiler(cache).description
    return ModelReport(network.graph.name, machine.fingerprint, isa.name, compiler, reports, chosen.precision)


def _programs(
    network: Network,
    plans: Sequence[Plan],
    prepared: Prepared,
    cache: Cache,
    stack: ExitStack,
    progress: driver.ProgressCallback,
) -> list[Executable]:
    """Each plan's program in memory, closed with the stack; all share one file of weights."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="layers-", dir=scratch_folder())))
    write_weights(prepared, folder)
    programs = []
    for index, plan in enumerate(plans):
        progress("build", index, len(plans))
        program = load_program(network, plan, prepared, folder, f"plan-{index}", cache)
        programs.append(stack.enter_context(program))
    progress("build", len(plans), len(plans))
    return programs


def _require_equal(
    programs: Sequence[Executable], pairs: Sequence[PlanPair], inputs: Sequence[Array], advice: _Advice
) -> None:
    """Raises VerificationError if a program computes something else than the first."""
    chosen = advice.chosen
    tolerance = BF16_TOLERANCE if chosen.precision == Precision.BF16 else TOLERANCE
    expected = programs[0].run(inputs)
    compiled = [
        (cores, strategy, plan)
        for cores, planned, unfused in ((pair.cores, pair.planned, pair.unfused) for pair in pairs)
        for strategy, plan in ((chosen.strategy, planned), (UNFUSED, unfused))
    ]
    for (cores, strategy, plan), program in zip(compiled, programs, strict=True):
        require_equal(
            program.run(inputs),
            expected,
            f"{program.name} by the plan {plan.strategy} on {cores_text(cores)}, held against that of "
            f"{pairs[0].planned.strategy}",
            tolerance,
            f"find the layer with: {advice.command(strategy, cores)}",
        )


def lowered_ways(network: Network, plan: Plan, prepared: Prepared) -> tuple[Way, ...]:
    """How the CPU runs each layer of a plan with one layer to a block."""
    return tuple(_way(network, block, prepared) for block in plan.blocks)


def _way(network: Network, block: Block, prepared: Prepared) -> Way:
    (lowered,) = prepared.lowering.of(block)
    blocked = lowered.output_layout is Layout.BLOCKED
    return Way(
        kernel=lowered.function.split("<")[0],
        lanes=prepared.isa.lanes,
        lane_axis=1 if blocked else 3,
        weight_bytes=lowered.constants.size * FLOAT_BYTES,
        copied_bytes=_copied_bytes(network, block, lowered, prepared),
    )


def _copied_bytes(network: Network, block: Block, lowered: Lowered, prepared: Prepared) -> int:
    """Activations that the block copies before its layer, and its output if the user's array has another layout."""
    layer = network.layers[block.first]
    given = {port.value for port in network.graph.inputs}
    layouts = prepared.lowering.layouts
    copied = {
        read.value
        for read, layout, pads in zip(layer.reads, lowered.input_layouts, lowered.input_pads, strict=True)
        if layouts[read.value] is not layout or (read.value in given and pads != Pads())
    }
    if layer.output in {port.value for port in network.graph.outputs} and lowered.output_layout is not Layout.PLANAR:
        copied.add(layer.output)
    return sum(_value_bytes(network, value) for value in copied)


def _value_bytes(network: Network, value: str) -> int:
    batch, channels, height, width = network.shape(value)
    return batch * channels * height * width * FLOAT_BYTES


def core_report(
    network: Network,
    pair: PlanPair,
    ways: Sequence[Way],
    planned: PlanTimes,
    unfused: PlanTimes,
    rates: Rates,
    machine: Cpu,
) -> CoreReport:
    """One core count's report from the samples of both plans."""
    layers = []
    for work, samples in zip(layer_works(network, pair.unfused, ways, machine), unfused.blocks, strict=True):
        timing = Timing.of(samples)
        layers.append(MeasuredLayer(settled(work, timing.minimum_seconds, rates), timing, rates))
    blocks = tuple(
        BlockGain(block.first, block.last, block.cores, Timing.of(samples), _alone(unfused, block))
        for block, samples in zip(pair.planned.blocks, planned.blocks, strict=True)
        if len(block.layers) > 1
    )
    return CoreReport(
        pair.cores,
        pair.planned.strategy,
        rates,
        tuple(layers),
        Timing.of(unfused.total),
        Timing.of(planned.total),
        blocks,
    )


def with_one_core_times(reports: Iterable[CoreReport]) -> tuple[CoreReport, ...]:
    """The reports, ascending by cores, with the times of the one for one core beside layers of the same algorithm."""
    found = tuple(reports)
    alone = next((report for report in found if report.cores == 1), None)
    if alone is None:
        return found
    return tuple(replace(report, layers=_beside(report.layers, alone.layers)) for report in found)


def _beside(layers: Sequence[MeasuredLayer], alone: Sequence[MeasuredLayer]) -> tuple[MeasuredLayer, ...]:
    return tuple(
        replace(layer, one_core_seconds=single.seconds) if layer.work.algorithm == single.work.algorithm else layer
        for layer, single in zip(layers, alone, strict=True)
    )


def _alone(unfused: PlanTimes, block: Block) -> Timing:
    """The sum of a fused block's layers in each run of the plan that has them alone."""
    return Timing.of([sum(samples) for samples in zip(*(unfused.blocks[i] for i in block.layers), strict=True)])
