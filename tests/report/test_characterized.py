import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlfusion.characterization.grid import ChainPoint, conv
from dlfusion.cost.profile import CoreRule, Sample
from dlfusion.report.characterized import (
    best_count,
    best_times,
    computed_directly,
    fusions,
    median_curve,
    predicted_seconds,
    rate,
    regions,
    relative_error,
)
from tests.support.toy_profiles import RULE, toy_profile, toy_sample

CHAIN = ChainPoint((conv(8, 16), conv(8, 16)), (2,))


def timed(label: str, layers: int, cores: int, seconds: float, step_rows: int = 1, recompute: float = 1.0) -> Sample:
    sample = toy_sample(CHAIN, layers, cores, step_rows)
    return replace(sample, label=label, seconds=(seconds, 2 * seconds), recompute=recompute)


def test_the_fastest_step_counts_on_each_core_count() -> None:
    samples = [timed("a", 1, 1, 4.0, 1), timed("a", 1, 1, 3.0, 2), timed("a", 1, 2, 3.0)]
    times = best_times(samples)
    assert {cores: sample.step_rows for cores, sample in times["a"].items()} == {1: 2, 2: 1}
    assert best_count(times["a"]) == 1  # as fast on fewer cores
    assert rate(times["a"][1]) == samples[0].operations / 3.0


def test_gain_compares_a_block_with_its_layers_alone() -> None:
    samples = [
        *(timed("a", 1, cores, seconds) for cores, seconds in ((1, 4.0), (2, 3.0))),
        *(timed("b", 1, cores, seconds) for cores, seconds in ((1, 1.0), (2, 5.0))),  # better on one core
        timed("chain 3: a + b + a", 3, 1, 6.0, step_rows=4),
        timed("chain 3: a + b + a", 3, 1, 4.5, step_rows=2),
        timed("chain 3: a + b + a", 3, 2, 14.0, step_rows=2, recompute=1.5),
    ]
    one, two = fusions(samples)
    assert (one.cores, one.step_rows, one.recompute) == (1, 2, 1.0)
    assert one.gain == pytest.approx((4 + 1 + 4) / 4.5)
    assert (two.cores, two.recompute) == (2, 1.5)
    assert two.gain == pytest.approx((3 + 1 + 3) / 14)


def test_gains_are_of_what_is_computed_directly() -> None:
    """Faster tiles, in the block or in a layer alone, are no gain of fusing and no loss either."""
    samples = [
        timed("a", 1, 1, 4.0),
        timed("chain 2: a + a", 2, 1, 5.0),
    ]
    tiled = [
        replace(timed("a", 1, 1, 1.0), algorithms=("winograd4",)),
        replace(timed("chain 2: a + a", 2, 1, 0.5), algorithms=("winograd4", "winograd4")),
    ]
    assert computed_directly([*tiled, *samples]) == tuple(samples)
    (found,) = fusions([*tiled, *samples])
    assert found.gain == pytest.approx(8 / 5)


def test_predictions_are_those_of_the_fitted_model() -> None:
    profile = toy_profile()
    sample = next(sample for sample in profile.samples if sample.layers == 1)
    terms, factors = dict(sample.terms), dict(profile.cost.factors)
    arithmetic = sum(terms.get(name, 0.0) for name in ("dense convolution", "halo"))
    transfers = terms["maps"] * factors["maps"]
    starts = terms["launch"] * factors["launch"] + terms["synchronization"]
    expected = starts + arithmetic + transfers - profile.cost.overlap * min(arithmetic, transfers)
    assert predicted_seconds(sample, profile.cost) == pytest.approx(expected)
    assert relative_error(sample, profile.cost) == pytest.approx(abs(expected / sample.minimum - 1))


def test_median_curve_takes_medians_in_parts_of_equal_ratio() -> None:
    points = [(1.0, 5.0), (2.0, 7.0), (3.0, 6.0), (50.0, 1.0), (100.0, 3.0)]
    assert median_curve(points, 2) == ((2.0, 6.0), (75.0, 2.0))
    assert median_curve([(4.0, 1.0), (4.0, 2.0)], 3) == ((4.0, 1.5),)
    assert median_curve([]) == ()


@given(st.floats(0, 40), st.floats(0, 14))
def test_regions_say_what_the_rule_says(log_operations: float, log_channels: float) -> None:
    operations, channels = 2.0**log_operations, 2.0**log_channels
    found = [
        region
        for region in regions(RULE)
        if region.least_operations < operations <= region.most_operations
        and region.least_channels < channels <= region.most_channels
    ]
    assert [region.cores for region in found] == [RULE.best(operations, channels, RULE.core_counts)]


def test_neighbours_with_one_answer_are_one_region() -> None:
    nodes = ((0, 20.0, 1, 2), (1, 5.0, 3, 4), (-1, 0.0, 0, 0), (-1, 0.0, 0, 0), (-1, 0.0, 1, 1))
    rule = CoreRule((1, 2), nodes, ((0.0, 1.0), (1.0, 0.0)), 0.0, 0.0)
    found = {(r.least_operations, r.most_operations, r.least_channels, r.most_channels): r.cores for r in regions(rule)}
    # The two areas with one core meet along only a part of a side.
    assert found == {
        (0.0, 2.0**20, 0.0, 32.0): 1,
        (0.0, 2.0**20, 32.0, math.inf): 2,
        (2.0**20, math.inf, 0.0, math.inf): 1,
    }
    same = replace(rule, leaves=((0.0, 1.0), (0.0, 1.0)))
    (everything,) = regions(same)
    assert (everything.cores, everything.most_operations, everything.least_channels) == (1, math.inf, 0.0)
