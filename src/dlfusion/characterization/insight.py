"""Which layer features matter on a device: found from the samples, whatever the answer is.

Two views. *Principal components* of the features show which of them vary together in the samples, and so cannot be
told apart by any fit. *Permutation importance* shows what a prediction needs: a random forest learns, from all features
but those of some layers, the best core count (as log2) or the throughput there (as log2 of operations per second), and
each feature is shuffled among the layers left out; what R² loses is the feature's importance.
"""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from dlfusion.characterization.fit import tuning_module
from dlfusion.cost.insight_records import Component, Importance, Insight, Ranking
from dlfusion.cost.profile import Sample
from dlfusion.errors import InputError
from dlfusion.layers.kind import Kind
from dlfusion.report.characterized import best_times

Floats = NDArray[np.float64]

FEATURES = ("operations", "channels", "size", "kernel", "stride", "weights", "intensity", "layers")
"""What is looked at unless told otherwise. All are taken as log2.

`size` is the geometric mean of the last output's height and width: apart, the two would share one importance, since
synthesized maps are square. `weights` are those of all layers, counted from channels, kernel and layers; `intensity` is
operations per number that the first input, the last output and the weights hold.
"""

FEWEST_LAYERS = 10
"""With fewer layers or chains nothing can be left out that still says something."""

BEST_CORES = "best core count"
THROUGHPUT = "throughput"

_FOLDS = 5
_TREES = 100
_REPEATS = 10


def insight(samples: Sequence[Sample], features: Sequence[str] = FEATURES, seed: int = 0) -> Insight:
    """What the samples say about which features matter.

    Each layer or chain counts once, at its fastest core count, partition and step. The same samples, features and seed
    give the same answer.

    Args:
        samples: of a profile.
        features: names out of `FEATURES`, in the order they shall be reported.
        seed: of the forests and of the shuffling.

    Raises:
        InputError: there are fewer than `FEWEST_LAYERS` layers, a feature is unknown, or scikit-learn is not installed.
    """
    unknown = [name for name in features if name not in FEATURES]
    if unknown:
        raise InputError(f"There is no feature {', '.join(unknown)}; choose from {', '.join(FEATURES)}.")
    best = [min(of_label.values(), key=_by_time) for of_label in best_times(samples).values()]
    if len(best) < FEWEST_LAYERS:
        raise InputError(
            f"The profile has samples of {len(best)} layers and chains; saying which features matter needs "
            f"{FEWEST_LAYERS} or more. Run `dlfusion characterize` to the end."
        )
    table = np.log2([[_features(sample)[name] for name in features] for sample in best])
    varying = np.ptp(table, axis=0) > 0
    names = tuple(name for name, varies in zip(features, varying, strict=True) if varies)
    table = table[:, varying]
    cores = np.log2([sample.cores for sample in best])
    throughput = np.log2([max(sample.operations, 1) / sample.minimum for sample in best])
    return Insight(
        layers=len(best),
        features=tuple(features),
        constant=tuple(name for name in features if name not in names),
        components=_components(names, table),
        rankings=(
            _ranking(BEST_CORES, names, table, cores, seed),
            _ranking(THROUGHPUT, names, table, throughput, seed),
        ),
    )


def _by_time(sample: Sample) -> tuple[float, int]:
    return sample.minimum, sample.cores


def _features(sample: Sample) -> Mapping[str, float]:
    """All of `FEATURES`, each above zero."""
    taps = sample.kernel**2 * sample.layers
    weights = 0.0
    if sample.kind == Kind.DEPTHWISE:
        weights = sample.channels * taps
    elif sample.kind not in (Kind.POOL, Kind.OTHER):
        weights = sample.channels**2 * taps
    # The channels of input and output are known by their geometric mean only.
    output = sample.channels * sample.height * sample.width
    moved = output * (1 + sample.stride**2) + weights
    return {
        "operations": max(sample.operations, 1),
        "channels": max(sample.channels, 1.0),
        "size": math.sqrt(sample.height * sample.width),
        "kernel": sample.kernel,
        "stride": sample.stride,
        "weights": max(weights, 1.0),
        "intensity": max(sample.operations, 1) / moved,
        "layers": sample.layers,
    }


def _components(names: Sequence[str], table: Floats) -> tuple[Component, ...]:
    """All principal components of the standardized features."""
    if not names:
        return ()
    standardized = (table - table.mean(axis=0)) / table.std(axis=0)
    model = tuning_module("sklearn.decomposition").PCA(svd_solver="full").fit(standardized)
    components = []
    for share, loadings in zip(model.explained_variance_ratio_, model.components_, strict=True):
        sign = np.sign(loadings[np.abs(loadings).argmax()])
        pairs = tuple((name, float(loading * sign)) for name, loading in zip(names, loadings, strict=True))
        components.append(Component(float(share), pairs))
    return tuple(components)


def _ranking(question: str, names: Sequence[str], table: Floats, answers: Floats, seed: int) -> Ranking:
    if not names:
        return Ranking(question, 0.0, (), (), "all layers have the same features")
    if np.ptp(answers) == 0:
        return Ranking(question, 0.0, (), (), "the answer is the same for all layers")
    forests = tuning_module("sklearn.ensemble")
    random = np.random.default_rng(seed)
    predicted = np.zeros_like(answers)
    losses = np.zeros((len(names), _REPEATS))
    for inside, outside in _folds(len(answers), random):
        forest = forests.RandomForestRegressor(n_estimators=_TREES, min_samples_leaf=2, random_state=seed)
        forest.fit(table[inside], answers[inside])
        predicted[outside] = forest.predict(table[outside])
        shuffled = forest.predict(_shuffled(table[outside], random)).reshape(len(names), _REPEATS, len(outside))
        grown = (shuffled - answers[outside]) ** 2 - (predicted[outside] - answers[outside]) ** 2
        losses += grown.sum(axis=2) / len(answers)
    # Errors over all layers together: R² within a small fold would divide by whatever little variance it has.
    variance = float(answers.var())
    score = 1 - float(np.mean((predicted - answers) ** 2)) / variance
    ranked = sorted(
        (
            Importance(name, float(row.mean()), float(row.std()))
            for name, row in zip(names, losses / variance, strict=True)
        ),
        key=lambda importance: -importance.mean,
    )
    return Ranking(question, score, tuple(ranked), tuple(_ties(ranked)))


def _folds(count: int, random: np.random.Generator) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """(fit, left out), shuffled: grids list similar layers next to each other."""
    order = random.permutation(count)
    for fold in range(_FOLDS):
        yield np.delete(order, np.s_[fold::_FOLDS]), order[fold::_FOLDS]


def _shuffled(table: Floats, random: np.random.Generator) -> Floats:
    """Copies of the table below each other: for each feature `_REPEATS` in which that feature is shuffled.

    One table, because a forest predicts many rows in hardly more time than a few.
    """
    copies = np.tile(table, (table.shape[1], _REPEATS, 1, 1))
    for feature in range(table.shape[1]):
        for repeat in range(_REPEATS):
            copies[feature, repeat, :, feature] = random.permutation(table[:, feature])
    return copies.reshape(-1, table.shape[1])


def _ties(ranked: Sequence[Importance]) -> Iterator[tuple[str, ...]]:
    """Groups of neighbours that differ from the first of the group by no more than the larger of both spreads."""
    group: list[Importance] = []
    for importance in [*ranked, None]:
        if group and importance is not None:
            first = group[0]
            if first.mean - importance.mean <= max(first.spread, importance.spread):
                group.append(importance)
                continue
        if len(group) > 1:
            yield tuple(member.feature for member in group)
        group = [] if importance is None else [importance]
