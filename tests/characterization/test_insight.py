"""Proves that planted features are found, whichever they are, and that what cannot be told apart is reported so."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from dlfusion.characterization.insight import BEST_CORES, FEATURES, THROUGHPUT, insight
from dlfusion.cost.insight_records import Insight, Ranking
from dlfusion.cost.profile import Sample
from dlfusion.errors import InputError
from tests.characterization.test_fit import BASE


def layers(
    best: Callable[[Sample], int], throughput: Callable[[Sample], float] = lambda sample: 1e9, count: int = 150
) -> list[Sample]:
    """Random convolutions, fastest on the planted core count, with the planted throughput there."""
    random = np.random.default_rng(5)
    samples = []
    for index in range(count):
        channels, size, kernel = (int(random.choice(values)) for values in ((8, 32, 128, 512), (7, 14, 56), (1, 3, 5)))
        shape = replace(
            BASE,
            label=f"{index}",
            channels=channels,
            height=size,
            width=size,
            kernel=kernel,
            operations=2 * channels**2 * kernel**2 * size**2,
        )
        seconds = shape.operations / throughput(shape)
        for cores in (1, 2, 4):
            slower = 1 if cores == best(shape) else 2
            samples.append(replace(shape, cores=cores, seconds=(seconds * slower,)))
    return samples


def ranking(found: Insight, question: str) -> Ranking:
    """The ranking of a question."""
    return next(entry for entry in found.rankings if entry.question == question)


@pytest.mark.parametrize(
    ("feature", "attribute", "median"), [("channels", "channels", 64), ("kernel", "kernel", 2), ("size", "height", 20)]
)
def test_a_planted_feature_is_found(feature: str, attribute: str, median: int) -> None:
    samples = layers(
        lambda s: 4 if getattr(s, attribute) > median else 1, throughput=lambda s: 1e9 * float(getattr(s, attribute))
    )
    found = insight(samples, FEATURES)
    for question in (BEST_CORES, THROUGHPUT):
        order = ranking(found, question)
        assert order.importances[0].feature == feature
        assert order.score > 0.95
        # All others together matter less.
        assert order.importances[0].mean > 2 * sum(one.mean for one in order.importances[1:])


def with_twins(samples: list[Sample]) -> list[Sample]:
    """Layers whose stride is that of a kernel that does not overlap."""
    return [replace(sample, stride=sample.kernel) for sample in samples]


def test_twins_are_reported_as_tied() -> None:
    found = insight(with_twins(layers(lambda s: 4 if s.kernel > 2 else 1)), ("channels", "kernel", "stride"))
    order = ranking(found, BEST_CORES)
    assert {one.feature for one in order.importances[:2]} == {"kernel", "stride"}
    # A forest looks at either of two equal features by chance.
    first, second, third = order.importances
    assert third.mean < 0.1 * (first.mean + second.mean)


def test_features_that_nothing_depends_on_are_tied() -> None:
    found = insight(layers(lambda s: 4 if s.channels > 64 else 1), ("channels", "size", "kernel"))
    assert ("kernel", "size") in {tuple(sorted(tie)) for tie in ranking(found, BEST_CORES).ties}


def test_components_find_what_varies_together() -> None:
    found = insight(with_twins(layers(lambda s: 1)), ("kernel", "stride", "channels", "layers"))
    assert found.constant == ("layers",)
    shares = [component.explained for component in found.components]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(1)
    # Two of three features are the same one, and their loadings therefore equal.
    assert shares[-1] == pytest.approx(0, abs=1e-12)
    first = dict(found.components[0].loadings)
    assert first["kernel"] == pytest.approx(first["stride"])
    assert first["kernel"] == pytest.approx(0.5**0.5, abs=0.05)
    assert sum(loading**2 for loading in first.values()) == pytest.approx(1)


def test_equal_answers_have_no_ranking() -> None:
    order = ranking(insight(layers(lambda s: 1)), BEST_CORES)
    assert order.importances == ()
    assert order.reason == "the answer is the same for all layers"


def test_the_same_samples_give_the_same_answer() -> None:
    samples = layers(lambda s: 2 if s.channels > 64 else 1, count=40)
    assert insight(samples, seed=7) == insight(samples, seed=7)


def test_too_few_layers_and_unknown_features_are_refused() -> None:
    samples = layers(lambda s: 1, count=9)
    with pytest.raises(InputError, match=r"9 layers and chains.*10 or more"):
        insight(samples)
    with pytest.raises(InputError, match="no feature colour; choose from operations"):
        insight(samples, ("operations", "colour"))
