"""Characterizing a target: every layer and chain of a grid measured on every core count, and models fitted to that."""

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from dlfusion.characterization.fit import critical_operations, fit_cores, fit_cost, tuning_module
from dlfusion.characterization.grid import find_grid
from dlfusion.characterization.synthesize import Subject, Synthesized, synthesize
from dlfusion.cost.analytic import Analytic
from dlfusion.cost.profile import Profile, Sample
from dlfusion.layers.algorithm import Algorithm, algorithms, output_tile
from dlfusion.layers.kind import kind
from dlfusion.layers.layer import Network
from dlfusion.machine.machine import Machine
from dlfusion.plans.legality import Limits, machine_limits, problems
from dlfusion.plans.plan import Block, Partition
from dlfusion.plans.schedule import block_flow, schedule
from dlfusion.plans.traffic import recompute_ratio
from dlfusion.search.blocks import tile_step
from dlfusion.targets.target import Target

Measure = Callable[[Network, Sequence[Block]], Sequence[tuple[float, ...]]]
"""All samples in seconds of each block of a network, in the order of the blocks."""

Progress = Callable[[str, int, int], None]
"""Called with what is done now, the points done, and the points in all."""

MEASURING = "measure layers and chains"
FITTING = "fit models"
"""The stages that progress is reported of."""

CHAIN = "chain"
"""The kind of samples of several layers."""

TILES_OF_CHAINS = 7
"""Rows of tiles that a map has at least where chains are measured with layers in tiles."""


@dataclass(frozen=True, slots=True)
class Point:
    """One block to measure."""

    subject: Subject
    block: Block


def characterize(target: Target, measure: Measure, grid: str = "default", progress: Progress | None = None) -> Profile:
    """What measuring a grid of layers and chains on a target teaches, with all samples.

    The order of measurements is always the same, so that a `measure` that remembers continues an interrupted run.

    Args:
        target: what is characterized.
        measure: measures blocks of a network.
        grid: `small`, `default` or `large`.
        progress: called after the blocks of each network.

    Raises:
        InputError: there is no such grid, or scikit-learn is not installed.
        DlfusionError: measuring or fitting failed; the message says where.
    """
    tuning_module("sklearn")  # without it, nothing could be fitted to what minutes of measuring found
    report = progress or (lambda stage, done, total: None)
    chosen = find_grid(grid)
    machine = target.machine
    counts = chosen.core_counts(machine.core_counts)
    work = distinct_points(tuple(synthesize(chosen)), machine, counts, chosen.steps, target.algorithms)
    total = sum(len(points) for _, points in work)
    report(MEASURING, 0, total)
    samples: list[Sample] = []
    model = Analytic(machine)
    for network, points in work:
        times = measure(network, [point.block for point in points])
        for point, seconds in zip(points, times, strict=True):
            samples.append(sample(network, point, seconds, model))
        report(MEASURING, len(samples), total)
    report(FITTING, 0, 1)
    setting = target.setting
    profile = Profile(
        target=target.name,
        machine=setting.machine,
        simulated=target.simulated,
        compiler=setting.compiler,
        flags=setting.flags,
        library=setting.library,
        cost=fit_cost(samples, machine),
        cores=fit_cores(samples),
        critical_operations=critical_operations(samples),
        samples=tuple(samples),
    )
    report(FITTING, 1, 1)
    return profile


def distinct_points(
    networks: Sequence[Synthesized],
    machine: Machine,
    core_counts: Sequence[int],
    steps: Sequence[int],
    algorithms: tuple[str, ...] = (Algorithm.DIRECT,),
) -> tuple[tuple[Network, tuple[Point, ...]], ...]:
    """The points of each network that has any; a layer that is in several networks is measured in the first.

    Points of few cores come first. Layers are computed by all `algorithms` that they have. Chains are cut into `steps`
    rows at a time and into whole bands; so are layers where software fills the cores' memories, because there the step
    decides what goes on at the same time.
    """
    limits = machine_limits(machine, algorithms)
    known: set[str] = set()
    result = []
    for made in networks:
        new = [subject for subject in made.subjects if subject.label not in known]
        known.update(subject.label for subject in new)
        points = []
        for cores in core_counts:
            for subject in new:
                cut = steps if subject.first < subject.last or machine.buffer_is_memory else ()
                points += [Point(subject, block) for block in blocks(made.network, subject, cores, cut, limits)]
        if points:
            result.append((made.network, tuple(points)))
    return tuple(result)


def blocks(network: Network, subject: Subject, cores: int, steps: Sequence[int], limits: Limits) -> Iterator[Block]:
    """The legal ways to run a subject on so many cores: by rows in whole bands and in `steps`, and by channels.

    Each by all algorithms of `algorithm_choices`. Chains with layers in tiles take one row of tiles in a step, or the
    whole band.
    """
    for named in algorithm_choices(network, subject, limits.algorithms):
        whole = Block(subject.first, subject.last, cores, algorithms=named)
        flow = block_flow(network, whole)
        band = min(-(-flow.reference_rows // cores), flow.reference_height)
        unit = tile_step(network, whole)
        sizes = steps if unit == 1 else [unit] * bool(steps)
        candidates = [replace(whole, step_rows=flow.reference_height)]
        candidates += [replace(whole, step_rows=step) for step in sizes if step < band]
        # On one core both partitions are the same work.
        if subject.first == subject.last and cores > 1:
            candidates.append(replace(candidates[0], partition=Partition.CHANNELS))
        yield from (block for block in candidates if not problems(network, block, limits))


def algorithm_choices(
    network: Network, subject: Subject, names: Collection[str]
) -> tuple[tuple[tuple[int, str], ...], ...]:
    """What a subject's blocks name: nothing, then each algorithm for the layer that has it; one for those of a chain.

    That is the one with the largest tiles of which the chain's map has `TILES_OF_CHAINS` rows.
    """
    layers = network.layers[subject.first : subject.last + 1]
    tried = [name for name in names if name != Algorithm.DIRECT]
    if len(layers) > 1:
        height = layers[-1].features.output_height
        tried = [name for name in tried if output_tile(name) * TILES_OF_CHAINS <= height]
        tried = sorted(tried, key=output_tile)[-1:]
    choices = (tuple((layer.index, name) for layer in layers if name in algorithms(layer)) for name in tried)
    return tuple(dict.fromkeys(((), *choices)))


def sample(network: Network, point: Point, seconds: Sequence[float], model: Analytic) -> Sample:
    """The record of a measured point."""
    block = point.block
    layers = [network.layers[index] for index in block.layers]
    cut = schedule(network, block)
    channels = math.prod(layer.features.input_channels * layer.features.output_channels for layer in layers)
    return Sample(
        label=point.subject.label,
        kind=str(kind(layers[0])) if len(layers) == 1 else CHAIN,
        layers=len(layers),
        operations=sum(layer.features.operations for layer in layers),
        channels=channels ** (1 / (2 * len(layers))),
        height=layers[-1].features.output_height,
        width=layers[-1].features.output_width,
        kernel=point.subject.kernel,
        stride=point.subject.stride,
        cores=block.cores,
        partition=str(block.partition),
        step_rows=block.step_rows,
        recompute=recompute_ratio(network, cut),
        terms=tuple(model.parts(network, cut).items()),
        seconds=tuple(seconds),
        algorithms=tuple(str(block.algorithm(index)) for index in block.layers) if block.algorithms else (),
    )
