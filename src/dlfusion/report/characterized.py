"""What the samples of a profile show, as numbers: rates, best core counts, what fusing gains."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dlfusion.cost.profile import CoreRule, CostFit, Sample
from dlfusion.cost.terms import total
from dlfusion.report.chains import chain_layers

Times = Mapping[str, Mapping[int, Sample]]
"""For each label, for each core count, the sample with the shortest run over partitions and steps."""


@dataclass(frozen=True, slots=True)
class Region:
    """Where a rule says one core count: operations and channels above the lower limits, up to the upper ones."""

    least_operations: float
    most_operations: float
    least_channels: float
    most_channels: float
    cores: int


@dataclass(frozen=True, slots=True)
class Fusion:
    """A chain on one core count: the best fused run against its layers run one by one.

    `gain` is the time of the layers alone (each on its best count up to `cores`) over that of the block; `recompute` is
    the block's operations with halo over those without. All are computed directly, so that only fusing is compared.
    """

    label: str
    layers: int
    cores: int
    gain: float
    recompute: float
    step_rows: int


def best_times(samples: Iterable[Sample]) -> Times:
    """The fastest sample of each label on each core count, in the order of the samples."""
    found: dict[str, dict[int, Sample]] = {}
    for sample in samples:
        of_label = found.setdefault(sample.label, {})
        if sample.cores not in of_label or sample.minimum < of_label[sample.cores].minimum:
            of_label[sample.cores] = sample
    return found


def computed_directly(samples: Iterable[Sample]) -> tuple[Sample, ...]:
    """The samples with no layer in tiles: only their operation counts are what the machine did."""
    return tuple(sample for sample in samples if not sample.algorithms)


def best_layers(samples: Iterable[Sample]) -> Times:
    """`best_times` of the layers that were measured alone."""
    return best_times(sample for sample in samples if sample.layers == 1)


def core_counts(samples: Iterable[Sample]) -> tuple[int, ...]:
    """All core counts that were measured, ascending."""
    return tuple(sorted({sample.cores for sample in samples}))


def best_count(by_cores: Mapping[int, Sample]) -> int:
    """The core count with the shortest run; of equal ones the smallest."""
    return min(by_cores, key=lambda cores: (by_cores[cores].minimum, cores))


def rate(sample: Sample) -> float:
    """Operations per second in the shortest run."""
    return sample.operations / sample.minimum


def median_curve(points: Sequence[tuple[float, float]], bins: int = 10) -> tuple[tuple[float, float], ...]:
    """Points (x, y) with positive x as a curve: the median of both in each of `bins` equal parts of log x."""
    if not points:
        return ()
    low, high = (math.log(limit(x for x, _ in points)) for limit in (min, max))
    parts: dict[int, list[tuple[float, float]]] = {}
    for x, y in points:
        place = int((math.log(x) - low) / (high - low) * bins) if high > low else 0
        parts.setdefault(min(place, bins - 1), []).append((x, y))
    medians = (
        (statistics.median(x for x, _ in part), statistics.median(y for _, y in part)) for part in parts.values()
    )
    return tuple(sorted(medians))


def regions(rule: CoreRule) -> tuple[Region, ...]:
    """Where a rule says which core count: its leaves, neighbours of one count joined; 0 and infinity are no limits."""
    found: list[Region] = []

    def visit(node: int, limits: tuple[tuple[float, float], tuple[float, float]]) -> None:
        feature, threshold, below, above = rule.nodes[node]
        if feature < 0:
            slowdowns = rule.leaves[below]
            best = min(zip(slowdowns, rule.core_counts, strict=True))[1]
            (least_operations, most_operations), (least_channels, most_channels) = limits
            found.append(Region(least_operations, most_operations, least_channels, most_channels, best))
            return
        least, most = limits[feature]
        for child, inner in ((below, (least, 2.0**threshold)), (above, (2.0**threshold, most))):
            visit(child, (inner, limits[1]) if feature == 0 else (limits[0], inner))

    visit(0, ((0.0, math.inf), (0.0, math.inf)))
    return tuple(_joined(found))


def _joined(found: Sequence[Region]) -> list[Region]:
    """Regions of one core count that touch each other along a whole side, as one."""
    result = list(found)
    for position, one in enumerate(result):
        for other in result[position + 1 :]:
            both = _both(one, other)
            if both is not None:
                rest = [region for region in result if region not in (one, other)]
                return _joined([*rest[:position], both, *rest[position:]])
    return result


def _both(one: Region, other: Region) -> Region | None:
    """The region that two make together; None if they have two core counts or do not make a rectangle."""
    if one.cores != other.cores:
        return None
    operations = [(region.least_operations, region.most_operations) for region in (one, other)]
    channels = [(region.least_channels, region.most_channels) for region in (one, other)]
    for same, joined in ((operations, channels), (channels, operations)):
        (low, low_end), (high, high_end) = sorted(joined)
        if same[0] == same[1] and low_end == high:
            limits = (*same[0], low, high_end) if same is operations else (low, high_end, *same[0])
            return Region(*limits, one.cores)
    return None


def fusions(samples: Sequence[Sample]) -> tuple[Fusion, ...]:
    """Every chain on every core count on which it was measured, computed directly, its best step taken."""
    direct = computed_directly(samples)
    alone = best_layers(direct)
    found = []
    for label, by_cores in best_times(sample for sample in direct if sample.layers > 1).items():
        members = [alone[name] for name in chain_layers(label)]
        for cores, fused in by_cores.items():
            apart = sum(min(s.minimum for count, s in member.items() if count <= cores) for member in members)
            gain = apart / fused.minimum
            found.append(Fusion(label, fused.layers, cores, gain, fused.recompute, fused.step_rows))
    return tuple(found)


def predicted_seconds(sample: Sample, fit: CostFit) -> float:
    """What the fitted cost model says of a sample's block."""
    return total(dict(sample.terms), fit.scales, fit.overlap).seconds


def relative_error(sample: Sample, fit: CostFit) -> float:
    """|predicted - measured| / measured, of a sample that the fit has seen."""
    return abs(predicted_seconds(sample, fit) - sample.minimum) / sample.minimum
