"""What a comparison with other engines measured: every sample, and the few numbers that tables show."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from dlfusion.runtime.check import BF16_TOLERANCE, TOLERANCE

SCHEMA = 2
"""Version of the document's form."""

PEER_TOLERANCES: Mapping[str, float] = {"fp32": 1e-3, "bf16": 5e-2}
"""The largest difference from ONNX Runtime's fp32 outputs, relative to their scale, that a peer may have.

In fp32 it leaves room for Winograd's algorithms with large tiles, in bf16 for numbers of 8 bits (an error of 2^-9 each)
in activations too, whose errors add up over the layers. With a larger one it computes something else, and its time
means nothing."""

OUR_TOLERANCES: Mapping[str, float] = {"fp32": TOLERANCE, "bf16": BF16_TOLERANCE}
"""The same for DLFusion: what every compiled program is held to."""

PAPER_MODELS = ("alexnet", "vgg19", "resnet18", "resnet50", "mobilenetv2")
"""The five models of the DLFusion paper (arXiv 2011.05630)."""


@dataclass(frozen=True, slots=True)
class Engine:
    """One engine in one comparison: a peer, or DLFusion with a strategy (`name` is the strategy's).

    `samples_seconds` holds the time of every run after warm-up; it is empty where the engine cannot run the model, and
    `problem` says why. `peak_memory_bytes` is resident memory at its highest in the engine's own process, above what
    the process had before it opened the model. `largest_difference` is from ONNX Runtime's output, relative to the
    output's scale. `precision` is what the engine computed in, `settings` the options that it was given.
    """

    name: str
    samples_seconds: tuple[float, ...]
    peak_memory_bytes: int | None = None
    largest_difference: float | None = None
    build_seconds: float | None = None
    is_peer: bool = False
    title: str = ""
    precision: str = "fp32"
    settings: Mapping[str, str] = field(default_factory=dict)
    problem: str | None = None

    @property
    def minimum_seconds(self) -> float:
        """The fastest run; infinite where the engine cannot run the model."""
        return min(self.samples_seconds, default=math.inf)

    @property
    def allowed_difference(self) -> float:
        """The largest difference from ONNX Runtime's outputs, relative to their scale, that this engine may have."""
        return (PEER_TOLERANCES if self.is_peer else OUR_TOLERANCES)[self.precision]

    @property
    def median_seconds(self) -> float:
        """The run in the middle; infinite where the engine cannot run the model."""
        return statistics.median(self.samples_seconds) if self.samples_seconds else math.inf


@dataclass(frozen=True, slots=True)
class Comparison:
    """All engines on one model and core count, each in a process pinned to that many cores, timed in turns.

    `same_plan` maps strategies that were not measured to the measured one that made the same plan.
    """

    model: str
    cores: int
    engines: tuple[Engine, ...]
    same_plan: Mapping[str, str]
    cpus: tuple[int, ...] = ()

    @property
    def best(self) -> Engine:
        """The strategy with the fastest run."""
        return min((engine for engine in self.engines if not engine.is_peer), key=lambda engine: engine.minimum_seconds)

    @property
    def strategies(self) -> tuple[str, ...]:
        """The strategies that were tried, those with the plan of another one included."""
        return (*(engine.name for engine in self.engines if not engine.is_peer), *self.same_plan)

    @property
    def best_peer(self) -> Engine | None:
        """The peer with the fastest run; None if no peer runs the model."""
        peers = [engine for engine in self.engines if engine.is_peer and engine.samples_seconds]
        return min(peers, key=lambda engine: engine.minimum_seconds, default=None)

    def peer(self, name: str) -> Engine | None:
        """The peer of that name, if it was part of the comparison."""
        return next((engine for engine in self.engines if engine.is_peer and engine.name == name), None)

    def ratio(self, engine: Engine) -> float | None:
        """How many times faster DLFusion is, by fastest runs; above 1 means that DLFusion is faster.

        For a peer that is its time over DLFusion's best; for a strategy, the best peer's time over the strategy's.
        None if there is nothing to compare.
        """
        other = self.best if engine.is_peer else self.best_peer
        if other is None or not engine.samples_seconds:
            return None
        ours, peer = (other, engine) if engine.is_peer else (engine, other)
        return peer.minimum_seconds / ours.minimum_seconds


@dataclass(frozen=True, slots=True)
class Record:
    """A whole run of the benchmark with what it ran on.

    `versions` are those of DLFusion and the peers. `isa` is the instruction set that engines were kept to (None: none),
    `unrestricted` the peers that could not be.
    """

    machine: str
    versions: Mapping[str, str]
    seconds_per_engine: float
    comparisons: tuple[Comparison, ...]
    precision: str = "fp32"
    isa: str | None = None
    unrestricted: tuple[str, ...] = ()

    @property
    def peers(self) -> tuple[Engine, ...]:
        """The peers in the order in which they were asked for, as the first comparison has them."""
        return tuple(engine for engine in self.comparisons[0].engines if engine.is_peer) if self.comparisons else ()

    @property
    def strategy_count(self) -> int:
        """Of how many strategies DLFusion's numbers are the best: the most that any comparison tried."""
        return max((len(entry.strategies) for entry in self.comparisons), default=0)

    def document(self) -> dict[str, Any]:
        """The record as JSON can hold it, samples included; units are in the names."""
        return {"schema": SCHEMA, **asdict(self)}

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """The record that `document` gave.

        Raises:
            ValueError: the document has another form.
        """
        if document.get("schema") != SCHEMA:
            raise ValueError(f"the record has schema {document.get('schema')}, expected {SCHEMA}")
        comparisons = tuple(
            Comparison(
                **{
                    **entry,
                    "engines": tuple(_engine(engine) for engine in entry["engines"]),
                    "cpus": tuple(entry["cpus"]),
                }
            )
            for entry in document["comparisons"]
        )
        rest = {key: value for key, value in document.items() if key != "schema"}
        return cls(**{**rest, "comparisons": comparisons, "unrestricted": tuple(document["unrestricted"])})

    def summary(self) -> dict[str, Any]:
        """The same with minimum, median and ratios in place of the samples."""
        document = self.document()
        for comparison, shown in zip(self.comparisons, document["comparisons"], strict=True):
            best = comparison.best_peer
            shown["best_peer"] = None if best is None else best.name
            for engine, entry in zip(comparison.engines, shown["engines"], strict=True):
                entry["runs"] = len(entry.pop("samples_seconds"))
                entry["minimum_seconds"] = engine.minimum_seconds if engine.samples_seconds else None
                entry["median_seconds"] = engine.median_seconds if engine.samples_seconds else None
                entry["ratio"] = comparison.ratio(engine)
        document["geometric_means"] = {str(cores): ratio for cores, ratio in geometric_means(self).items()}
        return document


def geometric_means(record: Record, models: Sequence[str] = PAPER_MODELS) -> dict[int, float]:
    """For each core count on which all of these models were compared, the mean of best peer's time over DLFusion's."""
    ratios: dict[int, dict[str, float]] = {}
    for comparison in record.comparisons:
        ratio = comparison.ratio(comparison.best)
        if comparison.model in models and ratio is not None:
            ratios.setdefault(comparison.cores, {})[comparison.model] = ratio
    return {
        cores: statistics.geometric_mean(found.values()) for cores, found in ratios.items() if len(found) == len(models)
    }


def _engine(document: Mapping[str, Any]) -> Engine:
    return Engine(**{**document, "samples_seconds": tuple(document["samples_seconds"])})
