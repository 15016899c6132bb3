"""What was measured of a model's layers and blocks, with the few numbers that tables and pictures show of it."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from dlfusion.machine.rates import Rates
from dlfusion.report import limits
from dlfusion.report.limits import LayerWork


@dataclass(frozen=True, slots=True)
class Timing:
    """Fastest and middle of several runs, and how many they were."""

    minimum_seconds: float
    median_seconds: float
    runs: int

    @staticmethod
    def of(samples: Sequence[float]) -> "Timing":
        """The timing of these runs, in seconds."""
        return Timing(min(samples), statistics.median(samples), len(samples))


@dataclass(frozen=True, slots=True)
class MeasuredLayer:
    """A layer with its time, alone in its block inside the whole program; shares and bounds are of the fastest run.

    `one_core_seconds` is its fastest run on one core by the same algorithm, where it was measured in the same run.
    """

    work: LayerWork
    timing: Timing
    rates: Rates
    one_core_seconds: float | None = None

    @property
    def seconds(self) -> float:
        """The fastest run."""
        return self.timing.minimum_seconds

    @property
    def operations_per_second(self) -> float:
        """By the direct method, whatever algorithm ran."""
        return self.work.operations / self.seconds

    @property
    def share(self) -> float:
        """Operations by the direct method over those at the peak."""
        return limits.share(self.work, self.seconds, self.rates)

    @property
    def arithmetic_share(self) -> float:
        """Operations really done over those at the peak."""
        return limits.arithmetic_share(self.work, self.seconds, self.rates)

    @property
    def bound_seconds(self) -> float:
        """The roofline's bound."""
        return limits.bound_seconds(self.work, self.rates)

    @property
    def reasons(self) -> tuple[str, ...]:
        """What holds it back, if it stays below 80 % of the peak."""
        return limits.reasons(self.work, self.seconds, self.rates, self.one_core_seconds)

    def document(self) -> dict[str, Any]:
        """The layer as JSON can hold it; units are in the names."""
        work = asdict(self.work)
        derived = {
            "operations_per_second": self.operations_per_second,
            "share_of_peak": self.share,
            "arithmetic_share_of_peak": self.arithmetic_share,
            "bound_seconds": self.bound_seconds,
            "reasons": list(self.reasons),
        }
        return {**work, **asdict(self.timing), **derived}


@dataclass(frozen=True, slots=True)
class BlockGain:
    """A block of the default plan beside the same layers, each alone: both sums over one run."""

    first: int
    last: int
    cores: int
    fused: Timing
    unfused: Timing

    @property
    def gain(self) -> float:
        """Times as fast as its layers alone, by the fastest runs."""
        return self.unfused.minimum_seconds / self.fused.minimum_seconds

    @property
    def median_gain(self) -> float:
        """The same by the middle runs."""
        return self.unfused.median_seconds / self.fused.median_seconds


@dataclass(frozen=True, slots=True)
class CoreReport:
    """A model on a number of cores: its layers, and its default plan beside the same kernels unfused."""

    cores: int
    strategy: str
    rates: Rates
    layers: tuple[MeasuredLayer, ...]
    unfused: Timing
    planned: Timing
    blocks: tuple[BlockGain, ...]

    @property
    def fusion_gain(self) -> float:
        """Times as fast as the same kernels unfused, by the fastest runs."""
        return self.unfused.minimum_seconds / self.planned.minimum_seconds

    @property
    def median_fusion_gain(self) -> float:
        """The same by the middle runs."""
        return self.unfused.median_seconds / self.planned.median_seconds

    @property
    def operations(self) -> int:
        """Of the whole model, by the direct method."""
        return sum(layer.work.operations for layer in self.layers)

    @property
    def share(self) -> float:
        """Operations of the whole model by the direct method in its planned time, over those at the peak."""
        return self.operations / self.planned.minimum_seconds / self.rates.operations_per_second

    @property
    def bound_seconds(self) -> float:
        """The sum of the layers' bounds: what no unfused plan with these algorithms can undercut."""
        return sum(layer.bound_seconds for layer in self.layers)

    @property
    def held_back(self) -> tuple[MeasuredLayer, ...]:
        """The layers below 80 % of the peak, the longest first."""
        found = [layer for layer in self.layers if layer.arithmetic_share < limits.GOOD_SHARE]
        return tuple(sorted(found, key=lambda layer: -layer.seconds))


@dataclass(frozen=True, slots=True)
class ModelReport:
    """Everything measured of a model in one run; `precision` is how its programs stored weights."""

    model: str
    machine: str
    isa: str
    compiler: str
    cores: tuple[CoreReport, ...]
    precision: str = "fp32"

    def core_gain(self, report: CoreReport) -> float:
        """Times as fast as the default plan on the fewest cores that were measured, by the fastest runs."""
        return self.cores[0].planned.minimum_seconds / report.planned.minimum_seconds

    def document(self) -> dict[str, Any]:
        """The report as JSON can hold it; units are in the names."""
        return {
            "schema": 1,
            "model": self.model,
            "machine": self.machine,
            "isa": self.isa,
            "compiler": self.compiler,
            "precision": self.precision,
            "cores": [self._core_document(report) for report in self.cores],
        }

    def _core_document(self, report: CoreReport) -> dict[str, Any]:
        return {
            "cores": report.cores,
            "strategy": report.strategy,
            "rates": report.rates.document(),
            "unfused": asdict(report.unfused),
            "planned": asdict(report.planned),
            "fusion_gain": report.fusion_gain,
            "core_gain": self.core_gain(report),
            "share_of_peak": report.share,
            "layers": [layer.document() for layer in report.layers],
            "blocks": [{**asdict(block), "gain": block.gain} for block in report.blocks],
        }
