"""A small profile of a device that does not exist, from closed formulas: for tests of what is drawn and printed."""

import zlib

from dlfusion.characterization.grid import ChainPoint, LayerPoint, Sort, find_grid
from dlfusion.cost.insight_records import Component, Importance, Insight, Ranking
from dlfusion.cost.profile import CoreRule, CostFit, Fit, Profile, Sample
from dlfusion.layers.kind import Kind
from dlfusion.report.chains import chain_label

CORE_COUNTS = (1, 2, 4, 8)
RATE = 100e9
BANDWIDTH = 20e9

KINDS = {
    Sort.DEPTHWISE: Kind.DEPTHWISE,
    Sort.GEMM: Kind.GEMM,
    Sort.MAX_POOL: Kind.POOL,
    Sort.AVERAGE_POOL: Kind.POOL,
    Sort.GLOBAL_POOL: Kind.POOL,
    Sort.SUM: Kind.OTHER,
}

RULE = CoreRule(
    core_counts=CORE_COUNTS,
    nodes=((0, 22.0, 1, 2), (-1, 0.0, 0, 0), (1, 5.5, 3, 4), (-1, 0.0, 1, 1), (-1, 0.0, 2, 2)),
    leaves=((0.0, 0.3, 0.9, 1.8), (0.5, 0.1, 0.0, 0.4), (2.5, 1.6, 0.7, 0.0)),
    regret=0.021,
    worst_regret=0.19,
)
"""One core up to 2^22 operations; beyond, four cores up to 2^5.5 channels, else eight."""

INSIGHT = Insight(
    layers=25,
    features=("operations", "channels", "kernel", "intensity"),
    constant=("stride",),
    components=(
        Component(0.61, (("operations", 0.8), ("channels", 0.4), ("kernel", 0.2), ("throughput", 0.4))),
        Component(0.25, (("operations", -0.2), ("channels", 0.9), ("kernel", -0.3), ("throughput", 0.2))),
        Component(0.09, (("operations", 0.1), ("channels", 0.2), ("kernel", 0.9), ("throughput", -0.3))),
    ),
    rankings=(
        Ranking(
            "best core count",
            0.82,
            (Importance("operations", 0.9, 0.05), Importance("channels", 0.3, 0.04), Importance("kernel", 0.01, 0.01)),
            (),
        ),
        Ranking("throughput", 0.0, (), (), "all answers are equal"),
    ),
)


def toy_sample(chain: ChainPoint, length: int, cores: int, step_rows: int) -> Sample:
    """The first `length` layers as one block: cores cost starts, each border between them costs a row per layer."""
    points = chain.layers[:length]
    operations = sum(point.operations for point in points)
    last = points[-1]
    recompute = 1 + 2 * (cores - 1) * (length - 1) / max(last.size, cores)
    arithmetic = operations / RATE / cores
    maps = 4 * (points[0].inputs * points[0].size ** 2 + last.outputs * last.size**2) / BANDWIDTH
    kind = KINDS.get(last.sort, Kind.DENSE)
    terms = {
        "launch": 1e-6,
        "synchronization": 1e-6 * cores,
        str(kind): arithmetic,
        "halo": arithmetic * (recompute - 1),
        "maps": maps,
    }
    label = points[0].label if length == 1 else chain_label([point.label for point in points])
    noise = 1 + (zlib.crc32(f"{label} {cores} {step_rows}".encode()) % 1000) / 5000
    seconds = noise * sum(terms.values())
    return Sample(
        label=label,
        kind=str(kind) if length == 1 else "chain",
        layers=length,
        operations=operations,
        channels=float((points[0].inputs * last.outputs) ** 0.5),
        height=last.size,
        width=last.size,
        kernel=last.kernel,
        stride=last.stride,
        cores=cores,
        partition="rows",
        step_rows=step_rows,
        recompute=recompute,
        terms=tuple((name, value) for name, value in terms.items() if value),
        seconds=(seconds * 1.1, seconds, seconds * 1.02),
    )


def toy_profile(*, simulated: bool = True, grid: str = "small", core_counts: tuple[int, ...] = CORE_COUNTS) -> Profile:
    """The layers and chains of a grid on the toy device."""
    chosen = find_grid(grid)
    alone = list(dict.fromkeys([*chosen.layers, *(point for chain in chosen.chains for point in chain.layers)]))
    samples = [toy_sample(_single(point), 1, cores, point.size) for point in alone for cores in core_counts]
    samples += [
        toy_sample(chain, length, cores, step)
        for chain in chosen.chains
        for length in chain.lengths
        for cores in core_counts
        for step in (2, chain.layers[0].size)
    ]
    fit = CostFit((("launch", 1.1), ("maps", 1.05)), 0.1, Fit(len(samples), 0.06, 0.31, 0.97))
    return Profile(
        target="toy",
        machine="toy; 8 cores",
        simulated=simulated,
        compiler="",
        flags=(),
        library="",
        cost=fit,
        cores=RULE,
        critical_operations=3.2e6,
        samples=tuple(samples),
    )


def _single(point: LayerPoint) -> ChainPoint:
    return ChainPoint((point,), ())
