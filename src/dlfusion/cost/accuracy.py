"""How well predictions match measurements."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlfusion.cost.model import CostModel
from dlfusion.layers.layer import Network
from dlfusion.plans.plan import Block
from dlfusion.plans.schedule import schedule


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Predicted against measured seconds, in pairs.

    The relative error of a pair is |predicted - measured| / measured. `rank_correlation` is Spearman's: 1 if the
    predictions order the pairs as the measurements do.
    """

    model: str
    predicted: tuple[float, ...]
    measured: tuple[float, ...]
    median_relative_error: float
    worst_relative_error: float
    rank_correlation: float


def accuracy(model: str, predicted: Sequence[float], measured: Sequence[float]) -> Accuracy:
    """The errors of predictions (seconds) of the model called so against measurements (seconds), in the same order.

    Raises:
        ValueError: there are no pairs, not as many predictions as measurements, or a measurement is not positive.
    """
    if not measured or len(predicted) != len(measured) or min(measured) <= 0:
        raise ValueError(f"{len(predicted)} predictions and {len(measured)} measurements, which must be positive")
    expected, found = np.array(predicted, np.float64), np.array(measured, np.float64)
    errors = np.abs(expected - found) / found
    return Accuracy(
        model,
        tuple(predicted),
        tuple(measured),
        float(np.median(errors)),
        float(errors.max()),
        rank_correlation(predicted, measured),
    )


def block_accuracy(model: CostModel, measured: Sequence[tuple[Network, Block, float]]) -> Accuracy:
    """A cost model against measured blocks: network, block, seconds."""
    predicted = [model.block(network, schedule(network, block)).seconds for network, block, _ in measured]
    return accuracy(model.name, predicted, [seconds for _, _, seconds in measured])


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float:
    """Spearman's: the correlation of the ranks, equal values sharing their mean rank; 1 if all are equal."""
    ranks = [_ranks(np.array(values, np.float64)) for values in (first, second)]
    deviations = [values - values.mean() for values in ranks]
    spread = float(np.sqrt((deviations[0] ** 2).sum() * (deviations[1] ** 2).sum()))
    if spread == 0:
        return 1.0 if all(not deviation.any() for deviation in deviations) else 0.0
    return float((deviations[0] * deviations[1]).sum()) / spread


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    means: NDArray[np.float64] = (ends - counts + ends - 1) / 2
    return means[which]
