"""From samples to models: factors for the analytic cost model, a rule for core counts, the critical operation count.

Whatever is said about errors and regret was measured on layers left out of the fit: samples are dealt into folds by
their label, so that no fold has the same layer on another core count in the others.
"""

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlfusion.cost.accuracy import accuracy
from dlfusion.cost.analytic import Analytic
from dlfusion.cost.profile import CoreRule, CostFit, Fit, Sample
from dlfusion.cost.terms import (
    ALONE,
    FACTOR_NAMES,
    HIDDEN,
    MEMORY_TILES,
    SORTS,
    WINOGRAD_TERMS,
    WORK_TERMS,
    TermSort,
    alone_share,
    halo_share,
)
from dlfusion.errors import InputError
from dlfusion.layers.kind import Kind
from dlfusion.machine.machine import Machine
from dlfusion.report.characterized import best_layers, best_times, computed_directly

Floats = NDArray[np.float64]

FOLDS = 5
"""Parts that labels are dealt into; each is left out once."""

RIDGE = 1e-5
"""Weight, per sample, of a factor's squared distance from 1: enough for terms that no sample has, too little to bend
others."""

PINNED, PINNED_RIDGE = frozenset({MEMORY_TILES}), 1e3
"""Terms that stay as the machine's numbers say, and the weight that holds them there. Few samples have maps in memory;
errors in their arithmetic, the same by all steps, are larger than what fusing them saves."""

OVERLAPS = tuple(step / 20 for step in range(21))
"""Shares of overlap that are tried."""

DEEPEST_TREE = 4
"""Levels of questions in the rule for core counts, so that a person can read it."""

PLATEAU_SHARE = 0.9
"""The part of its plateau's throughput at which a core counts as being on the plateau."""

_MOST_ALTERNATIONS = 8
_SAME_REGRET = 0.005
"""A deeper tree must lower the mean regret by more than this."""


def tuning_module(name: str) -> Any:
    """The module called so of the optional packages that fitting uses.

    Raises:
        InputError: it is not installed.
    """
    try:
        return import_module(name)
    except ImportError:
        package = name.partition(".")[0]
        raise InputError(
            f'Fitting needs the package {package}, which is not installed. Run `pip install "dlfusion[tuning]"`.'
        ) from None


def fit_cost(samples: Sequence[Sample], machine: Machine) -> CostFit:
    """Factors and overlap that predict the samples' shortest times best, by relative squared error.

    Factors are found by non-negative least squares, with a slight pull toward 1 that decides only about terms no sample
    has; algorithms that no sample has get no factor. Which of arithmetic and transfers hides behind the other depends
    on the factors, so both are found in turns. The overlap is the best of `OVERLAPS`; where it makes no difference, the
    one that is assumed for such a machine.

    Raises:
        InputError: there are no samples, or scikit-learn is not installed.
    """
    if not samples:
        raise InputError("There are no samples to fit a cost model to; run `dlfusion characterize` to the end.")
    default_overlap = Analytic(machine).overlap
    factors, overlap = _best_fit(_Table(samples), default_overlap)
    predicted = np.zeros(len(samples))
    for inside, outside in _folds([sample.label for sample in samples]):
        fold_factors, fold_overlap = _best_fit(_Table([samples[i] for i in inside]), default_overlap)
        predicted[outside] = _Table([samples[i] for i in outside]).predict(fold_factors, fold_overlap)
    found = accuracy("fitted", predicted.tolist(), [sample.minimum for sample in samples])
    fit = Fit(len(samples), found.median_relative_error, found.worst_relative_error, found.rank_correlation)
    seen = {name for sample in samples for name, _ in sample.terms}
    named = tuple(
        (name, float(factor))
        for name, factor in zip(FACTOR_NAMES, factors, strict=True)
        if name in seen or name not in WINOGRAD_TERMS
    )
    return CostFit(named, float(overlap), fit)


class _Table:
    """Samples as arrays: seconds of each term (columns: `FACTOR_NAMES`), halo spread over the kinds' columns."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        rows = [_row(dict(sample.terms)) for sample in samples]
        self.seconds: Floats = np.array([sample.minimum for sample in samples])
        self.terms: Floats = np.array(rows)
        alone = np.array([alone_share(dict(sample.terms)) for sample in samples])
        sorts = [SORTS[name] for name in FACTOR_NAMES]
        self._arithmetic: Floats = np.outer(1 - alone, [sort is TermSort.ARITHMETIC for sort in sorts])
        self._transfers: Floats = np.outer(np.ones_like(alone), [sort is TermSort.TRANSFER for sort in sorts])

    def hiding(self, factors: Floats) -> Floats:
        """For each sample and term, the share of the term that hides if the overlap is 1: of the shorter side only."""
        scaled = self.terms * factors
        arithmetic, transfers = (scaled * self._arithmetic).sum(axis=1), (scaled * self._transfers).sum(axis=1)
        return np.where((arithmetic <= transfers)[:, None], self._arithmetic, self._transfers)

    def predict(self, factors: Floats, overlap: float) -> Floats:
        """Seconds of each sample."""
        shown: Floats = (self.terms * (1 - overlap * self.hiding(factors))) @ factors
        return shown

    def loss(self, factors: Floats, overlap: float) -> float:
        """Mean squared relative error."""
        return float(np.mean((self.predict(factors, overlap) / self.seconds - 1) ** 2))


def _row(terms: Mapping[str, float]) -> list[float]:
    """A factor scales its arithmetic's halo too: halo is done at the mean rate of the block's arithmetic."""
    unknown = [name for name in terms if name not in (*SORTS, ALONE, HIDDEN)]
    if unknown:
        raise InputError(f"The samples have terms {', '.join(unknown)}, which this version's cost model does not know.")
    grown = 1 + halo_share(terms)
    return [terms.get(name, 0.0) * (grown if name in WORK_TERMS else 1.0) for name in FACTOR_NAMES]


def _best_fit(table: _Table, default_overlap: float) -> tuple[Floats, float]:
    """Factors and overlap with the least loss; the overlap nearest to the default among equally good ones."""
    candidates = [(_factors(table, overlap), overlap) for overlap in OVERLAPS]
    losses = [table.loss(*candidate) for candidate in candidates]
    least = min(losses)
    good = [one for one, loss in zip(candidates, losses, strict=True) if loss <= least * (1 + 1e-6) + 1e-12]
    return min(good, key=lambda candidate: abs(candidate[1] - default_overlap))


def _factors(table: _Table, overlap: float) -> Floats:
    """The factors of the least loss at one overlap, over the turns of finding factors and what hides."""
    nnls = tuning_module("scipy.optimize").nnls
    count = len(FACTOR_NAMES)
    pull = np.sqrt(len(table.seconds) * np.array([PINNED_RIDGE if name in PINNED else RIDGE for name in FACTOR_NAMES]))
    factors = best = np.ones(count)
    least = table.loss(best, overlap)
    hiding = table.hiding(factors)
    for _ in range(_MOST_ALTERNATIONS):
        shares = table.terms * (1 - overlap * hiding) / table.seconds[:, None]
        rows = np.concatenate([shares, np.diag(pull)])
        wanted = np.concatenate([np.ones(len(table.seconds)), pull])
        factors, _ = nnls(rows, wanted)
        loss = table.loss(factors, overlap)
        if loss < least:
            best, least = factors, loss
        before, hiding = hiding, table.hiding(factors)
        if (hiding == before).all():
            break
    return best


def _folds(labels: Sequence[str]) -> Iterator[tuple[list[int], list[int]]]:
    """(samples to fit, samples left out), by index; every sample is left out once, together with all of its label.

    With one label alone nothing can be left out: it is predicted by a fit to itself.
    """
    order = {label: number for number, label in enumerate(dict.fromkeys(labels))}
    if len(order) == 1:
        yield list(range(len(labels))), list(range(len(labels)))
        return
    for fold in range(min(FOLDS, len(order))):
        outside = [i for i, label in enumerate(labels) if order[label] % FOLDS == fold]
        left = set(outside)
        yield [i for i in range(len(labels)) if i not in left], outside


def fit_cores(samples: Sequence[Sample]) -> CoreRule:
    """The rule for the best core count, from the single layers among the samples.

    A regression tree on log2(operations) and log2(channels) predicts for every core count at once the log2 of the
    slowdown against the best. Its depth, up to `DEEPEST_TREE`, is the one with the least mean regret on layers left
    out, the shallower where that makes no difference. A layer that cannot run on some count takes its time on the next
    smaller one, as it would when compiled.

    Raises:
        InputError: there are no single layers among the samples, or scikit-learn is not installed.
    """
    table = best_layers(samples)
    if not table:
        raise InputError(
            "There are no samples of single layers to learn core counts from; run `dlfusion characterize`."
        )
    counts = tuple(sorted({count for of_label in table.values() for count in of_label}))
    firsts = [next(iter(of_label.values())) for of_label in table.values()]
    features = np.log2([[max(s.operations, 1), max(s.channels, 1.0)] for s in firsts])
    seconds = np.array([_on_all_counts(of_label, counts) for of_label in table.values()])
    slowdowns = seconds / seconds.min(axis=1, keepdims=True)
    chosen: tuple[int, float, float] | None = None
    for depth in range(DEEPEST_TREE + 1):
        regrets = _left_out_regrets(features, slowdowns, list(table), depth)
        if chosen is None or float(regrets.mean()) < chosen[1] - _SAME_REGRET:
            chosen = depth, float(regrets.mean()), float(regrets.max())
    assert chosen is not None
    nodes, leaves = _exported(_tree(features, slowdowns, chosen[0]))
    return CoreRule(counts, nodes, leaves, chosen[1], chosen[2])


def _on_all_counts(of_label: Mapping[int, Sample], counts: Sequence[int]) -> list[float]:
    smallest = of_label[min(of_label)].minimum
    seconds = []
    for count in counts:
        smallest = of_label[count].minimum if count in of_label else smallest
        seconds.append(smallest)
    return seconds


def _tree(features: Floats, slowdowns: Floats, depth: int) -> Any:
    """The fitted tree; depth 0 is a single leaf."""
    trees = tuning_module("sklearn.tree")
    leaf = max(5, len(features) // 40) if depth else len(features)
    regressor = trees.DecisionTreeRegressor(max_depth=max(depth, 1), min_samples_leaf=leaf, random_state=0)
    return regressor.fit(features, np.log2(slowdowns))


def _left_out_regrets(features: Floats, slowdowns: Floats, labels: Sequence[str], depth: int) -> Floats:
    """For each layer, the relative loss against its best count of the count that a tree chose without it."""
    regrets = np.zeros(len(labels))
    for inside, outside in _folds(labels):
        tree = _tree(features[inside], slowdowns[inside], depth)
        predicted = tree.predict(features[outside]).reshape(len(outside), -1)
        regrets[outside] = slowdowns[outside, predicted.argmin(axis=1)] - 1
    return regrets


def _exported(tree: Any) -> tuple[tuple[tuple[int, float, int, int], ...], tuple[tuple[float, ...], ...]]:
    """Nodes and leaves as `CoreRule` has them."""
    inner = tree.tree_
    nodes: list[tuple[int, float, int, int]] = []
    leaves: list[tuple[float, ...]] = []
    for index in range(inner.node_count):
        if inner.children_left[index] < 0:
            nodes.append((-1, 0.0, len(leaves), len(leaves)))
            leaves.append(tuple(float(value) for value in inner.value[index].reshape(-1)))
        else:
            below, above = int(inner.children_left[index]), int(inner.children_right[index])
            nodes.append((int(inner.feature[index]), float(inner.threshold[index]), below, above))
    return tuple(nodes), tuple(leaves)


def critical_operations(samples: Sequence[Sample]) -> float:
    """The operation count per core from which on a core runs at `PLATEAU_SHARE` of its plateau's throughput or more.

    A layer of x operations per core takes a + x / p: a fixed part and a rate, found by non-negative least squares on
    relative errors over all single convolutions (all single layers where there are none) on every core count, each at
    its fastest partition and step. Layers in tiles have no say: they do fewer operations than are counted. Throughput
    x / (a + x / p) is then the share s of p at x = a * p * s / (1 - s).

    Raises:
        InputError: there are no single layers among the samples, or SciPy is not installed.
    """
    single = [sample for sample in computed_directly(samples) if sample.layers == 1 and sample.operations > 0]
    convolutions = [sample for sample in single if sample.kind in (Kind.DENSE, Kind.POINTWISE)]
    table = best_times(convolutions or single)
    points = [sample for of_label in table.values() for sample in of_label.values()]
    if not points:
        raise InputError("There are no samples of single layers to find a plateau in; run `dlfusion characterize`.")
    seconds = np.array([sample.minimum for sample in points])
    operations = np.array([sample.operations / sample.cores for sample in points])
    scale = operations.max()
    rows = np.stack([1 / seconds, operations / scale / seconds], axis=1)
    sizes = np.maximum(np.sqrt((rows**2).sum(axis=0)), np.finfo(np.float64).tiny)
    (fixed, rate), _ = tuning_module("scipy.optimize").nnls(rows / sizes, np.ones(len(points)))
    fixed_seconds, operation_seconds = fixed / sizes[0], rate / sizes[1] / scale
    if operation_seconds == 0:
        return float(operations.max())
    critical = float(fixed_seconds / operation_seconds * PLATEAU_SHARE / (1 - PLATEAU_SHARE))
    return max(critical, float(operations.min()))
