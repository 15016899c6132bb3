"""What was found out about which layer features matter on a device."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Component:
    """A principal component: the share of all variance that it explains, and each feature's loading by name.

    Features are logarithms, standardized. Loadings have length one together; the largest is positive.
    """

    explained: float
    loadings: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Importance:
    """By how much a prediction's R² falls if one feature is shuffled: mean and standard deviation over repeats."""

    feature: str
    mean: float
    spread: float


@dataclass(frozen=True, slots=True)
class Ranking:
    """Which features a prediction needs, most important first.

    Attributes:
        question: what is predicted, such as `best core count`.
        score: R² of the prediction on layers left out of its fit: where it is low, importances mean little.
        importances: of all features, by falling mean.
        ties: groups of two or more neighbours in `importances` that cannot be told apart: each differs from the first
            of its group by no more than the larger of the two spreads.
        reason: why there is no ranking (all answers are equal), else empty.
    """

    question: str
    score: float
    importances: tuple[Importance, ...]
    ties: tuple[tuple[str, ...], ...]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Insight:
    """What matters on a device.

    Attributes:
        layers: how many synthesized layers and chains this rests on.
        features: names of the features that were looked at, in the order they were given.
        constant: features left out because all samples have the same value.
        components: principal components of the features, by falling share.
        rankings: one per question.
    """

    layers: int
    features: tuple[str, ...]
    constant: tuple[str, ...]
    components: tuple[Component, ...]
    rankings: tuple[Ranking, ...]
