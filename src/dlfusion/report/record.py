"""What a comparison measured: every sample, and the few numbers that tables show."""

import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

PEER = "onnxruntime"
"""The name of the engine that all others are compared with."""


@dataclass(frozen=True, slots=True)
class Engine:
    """One engine in one comparison: ONNX Runtime, or DLFusion with a strategy.

    `samples_seconds` holds the time of every run after warm-up. `peak_memory_bytes` is resident memory at its highest
    in a process of its own, above what the process had before it opened the model. `largest_difference` is from ONNX
    Runtime's output, relative to the output's scale.
    """

    name: str
    samples_seconds: tuple[float, ...]
    peak_memory_bytes: int | None = None
    largest_difference: float | None = None
    build_seconds: float | None = None

    @property
    def minimum_seconds(self) -> float:
        """The fastest run."""
        return min(self.samples_seconds)

    @property
    def median_seconds(self) -> float:
        """The run in the middle."""
        return statistics.median(self.samples_seconds)

    @property
    def is_ours(self) -> bool:
        """False for ONNX Runtime."""
        return self.name != PEER


@dataclass(frozen=True, slots=True)
class Comparison:
    """All engines on one model and core count, timed in turns in one process pinned to that many cores.

    `same_plan` maps strategies that were not measured to the measured one that made the same plan.
    """

    model: str
    cores: int
    engines: tuple[Engine, ...]
    same_plan: Mapping[str, str]

    @property
    def peer(self) -> Engine:
        """ONNX Runtime."""
        return next(engine for engine in self.engines if not engine.is_ours)

    @property
    def best(self) -> Engine:
        """The strategy with the fastest run."""
        return min((engine for engine in self.engines if engine.is_ours), key=lambda engine: engine.minimum_seconds)

    def ratio(self, engine: Engine) -> float:
        """ONNX Runtime's fastest run over the engine's: above 1 the engine is faster."""
        return self.peer.minimum_seconds / engine.minimum_seconds


@dataclass(frozen=True, slots=True)
class Record:
    """A whole run of the benchmark with what it ran on."""

    machine: str
    versions: Mapping[str, str]
    seconds_per_engine: float
    comparisons: tuple[Comparison, ...]

    def document(self) -> dict[str, Any]:
        """The record as JSON can hold it, samples included; units are in the names."""
        return {"schema": 1, **asdict(self)}

    def summary(self) -> dict[str, Any]:
        """The same with minimum, median and ratio in place of the samples."""
        document = self.document()
        for comparison, shown in zip(self.comparisons, document["comparisons"], strict=True):
            for engine, entry in zip(comparison.engines, shown["engines"], strict=True):
                entry["runs"] = len(entry.pop("samples_seconds"))
                entry["minimum_seconds"] = engine.minimum_seconds
                entry["median_seconds"] = engine.median_seconds
                entry["speed_against_onnxruntime"] = comparison.ratio(engine)
        return document
