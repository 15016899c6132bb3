"""Proves that fitting recovers what samples were planted with: factors, overlap, core counts, a plateau."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from dlfusion.characterization import fit
from dlfusion.characterization.fit import critical_operations, fit_cores, fit_cost
from dlfusion.cost.analytic import Analytic
from dlfusion.cost.profile import CostFit, Sample
from dlfusion.cost.terms import CALLS, FIRST_WEIGHTS, HALO, HIDDEN, LAUNCH, MAPS, WEIGHTS, total
from dlfusion.errors import InputError
from dlfusion.machine import Cpu

MACHINE = Cpu("Test CPU", 8)
BASE = Sample(
    label="a layer",
    kind="dense convolution",
    layers=1,
    operations=1 << 20,
    channels=64.0,
    height=16,
    width=16,
    kernel=3,
    stride=1,
    cores=1,
    partition="rows",
    step_rows=16,
    recompute=1.0,
    terms=(),
    seconds=(1.0,),
)

PLANTED = {LAUNCH: 3.0, CALLS: 0.5, "dense convolution": 2.5, "pool": 0.7, MAPS: 1.6, WEIGHTS: 0.4}


def planted(overlap: float, noise: float = 0.0, count: int = 200) -> list[Sample]:
    """Samples of random parts whose times follow `PLANTED` and the overlap."""
    random = np.random.default_rng(1)
    samples = []
    for index in range(count):
        parts = {
            LAUNCH: 5e-5,
            CALLS: float(random.uniform(0, 1e-4)),
            random.choice(["dense convolution", "pool"]): float(10 ** random.uniform(-6, -3)),
            MAPS: float(10 ** random.uniform(-6, -3)),
            WEIGHTS: float(10 ** random.uniform(-7, -4)),
        }
        if index % 3 == 0:
            parts[HALO] = float(random.uniform(0, 1e-4))
        seconds = total(parts, PLANTED, overlap).seconds * float(np.exp(noise * random.standard_normal()))
        samples.append(replace(BASE, label=f"layer {index // 2}", terms=tuple(parts.items()), seconds=(seconds,)))
    return samples


@pytest.mark.parametrize("overlap", [0.0, 0.35, 1.0])
def test_factors_and_overlap_are_recovered(overlap: float) -> None:
    found = fit_cost(planted(overlap), MACHINE)
    factors = dict(found.factors)
    assert found.overlap == overlap
    assert {name: factors[name] for name in PLANTED} == pytest.approx(PLANTED, rel=0.02)
    assert found.fit.samples == 200
    assert found.fit.worst_relative_error < 0.02
    assert found.fit.rank_correlation > 0.999


def test_noise_moves_factors_little_and_shows_in_the_errors() -> None:
    found = fit_cost(planted(0.5, noise=0.1), MACHINE)
    factors = dict(found.factors)
    for name in ("dense convolution", "pool", MAPS):
        assert factors[name] == pytest.approx(PLANTED[name], rel=0.1)
    assert 0.04 < found.fit.median_relative_error < 0.1


def test_parts_that_no_sample_has_keep_their_analytic_value() -> None:
    factors = dict(fit_cost(planted(0.5), MACHINE).factors)
    assert factors[FIRST_WEIGHTS] == pytest.approx(1)
    assert factors["fully connected"] == pytest.approx(1)
    assert HALO not in factors


def test_the_assumed_overlap_stays_where_samples_say_nothing_about_it() -> None:
    samples = [replace(BASE, label=f"{i}", terms=((LAUNCH, 1e-6),), seconds=(2e-6,)) for i in range(10)]
    assert fit_cost(samples, MACHINE).overlap == Analytic(MACHINE).overlap


def test_hidden_parts_of_stored_predictions_are_not_counted_twice() -> None:
    samples = planted(0.5)
    stored = [replace(sample, terms=(*sample.terms, (HIDDEN, -1e-6))) for sample in samples]
    assert fit_cost(stored, MACHINE) == fit_cost(samples, MACHINE)


def test_errors_are_of_layers_left_out() -> None:
    """One part of each label's own: what the fit knows of it comes from the label's samples alone."""
    kinds = ("dense convolution", "1x1 convolution", "depthwise convolution", "fully connected", "pool")
    samples = [replace(BASE, label=kind, terms=((kind, 1e-3),), seconds=(2e-3,)) for kind in kinds for _ in range(3)]
    found = fit_cost(samples, MACHINE)
    assert found.fit.median_relative_error == pytest.approx(0.5)


@pytest.mark.parametrize("fitting", [lambda s: fit_cost(s, MACHINE), fit_cores, critical_operations])
def test_no_samples_are_refused(fitting: Callable[[Sequence[Sample]], object]) -> None:
    with pytest.raises(InputError, match=r"There are no samples .*dlfusion characterize"):
        fitting([])


def test_terms_of_another_version_are_refused() -> None:
    with pytest.raises(InputError, match="terms warp drive"):
        fit_cost([replace(BASE, terms=(("warp drive", 1.0),))], MACHINE)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> CostFit:
        raise ImportError(name)

    monkeypatch.setattr(fit, "import_module", missing)
    with pytest.raises(InputError, match=r"package scipy.*pip install \"dlfusion\[tuning\]\""):
        fit_cost(planted(0.5), MACHINE)


def layers(seconds: Callable[[float, float, int], float], counts: Sequence[int] = (1, 2, 4, 8)) -> list[Sample]:
    """Single layers over a grid of operations and channels, each on all core counts."""
    samples = []
    for exponent in range(10, 30):
        for channels in (8, 16, 32, 64, 128, 256):
            for cores in counts:
                operations = 1 << exponent
                shape = replace(BASE, label=f"{exponent} {channels}", operations=operations, channels=channels)
                samples.append(replace(shape, cores=cores, seconds=(seconds(operations, channels, cores),)))
    return samples


def planted_best(operations: float, channels: float) -> int:
    """One core for small layers; for large ones eight, with few channels two."""
    if operations < 3 << 18:
        return 1
    return 8 if channels > 48 else 2


def slower_beside_best(operations: float, channels: float, cores: int) -> float:
    """A time that grows with the distance from the planted best core count."""
    return 1.0 + abs(float(np.log2(cores / planted_best(operations, channels))))


def test_a_planted_rule_for_cores_is_recovered() -> None:
    samples = layers(slower_beside_best)
    rule = fit_cores(samples)
    assert rule.core_counts == (1, 2, 4, 8)
    assert rule.regret < 0.02
    for sample in samples:
        found = rule.best(sample.operations, sample.channels, rule.core_counts)
        assert found == planted_best(sample.operations, sample.channels)


def test_a_rule_is_no_deeper_than_it_pays() -> None:
    rule = fit_cores(layers(lambda operations, channels, cores: 1 / cores))
    assert len(rule.nodes) == 1
    assert rule.best(1, 1, (1, 2, 4, 8)) == 8
    assert rule.slowdowns(1, 1) == pytest.approx((8, 4, 2, 1))
    assert rule.worst_regret == 0


def test_the_fastest_partition_and_step_of_a_core_count_is_what_counts() -> None:
    samples = layers(lambda operations, channels, cores: 1.0 if cores == 1 else 5.0)
    samples += [replace(s, partition="channels", seconds=(0.5,)) for s in samples if s.cores == 4]
    assert fit_cores(samples).best(1 << 20, 64, (1, 2, 4, 8)) == 4


def test_layers_that_cannot_use_all_cores_take_their_time_on_fewer() -> None:
    samples = layers(lambda operations, channels, cores: float(cores) if operations < 1 << 20 else 1 / cores)
    limited = [s for s in samples if s.cores <= 2 or s.operations < 1 << 20]
    rule = fit_cores(limited)
    assert rule.slowdowns(1 << 28, 64) == pytest.approx((2, 1, 1, 1))
    assert rule.slowdowns(1 << 12, 64) == pytest.approx((1, 2, 4, 8))
    assert rule.best(1 << 28, 64, (1, 2, 4, 8)) == 2


def test_regret_is_of_layers_left_out() -> None:
    """Where the best count is a coin toss, a rule cannot know it, though a deep tree could learn the coins by heart."""
    random = np.random.default_rng(3)
    coins = {(1 << e, c): random.integers(0, 2) for e in range(10, 30) for c in (8, 16, 32, 64, 128, 256)}
    samples = layers(lambda o, c, cores: 1.0 if (cores == 1) == coins[int(o), int(c)] else 2.0, (1, 2))
    rule = fit_cores(samples)
    assert 0.3 < rule.regret < 0.7
    assert rule.worst_regret == pytest.approx(1)


def test_chains_have_no_say_in_the_rule() -> None:
    samples = layers(lambda operations, channels, cores: 1 / cores)
    chains = [replace(s, layers=3, label=f"chain {s.label}", seconds=(float(s.cores),)) for s in samples]
    assert fit_cores([*samples, *chains]) == fit_cores(samples)


def test_the_critical_operation_count_is_recovered() -> None:
    # 5 us and 100 Gop/s per core: nine tenths of that from 9 * 5e-6 * 1e11 operations on.
    samples = layers(lambda operations, channels, cores: 5e-6 + operations / cores / 1e11)
    assert critical_operations(samples) == pytest.approx(4.5e6, rel=1e-6)


def test_only_convolutions_decide_about_the_plateau_where_there_are_any() -> None:
    samples = layers(lambda operations, channels, cores: 5e-6 + operations / cores / 1e11)
    pools = [replace(s, kind="pool", label=f"pool {s.label}", seconds=(1.0,)) for s in samples]
    assert critical_operations([*samples, *pools]) == critical_operations(samples)
    assert critical_operations(pools) != critical_operations(samples)


def test_layers_in_tiles_have_no_say_in_the_plateau() -> None:
    """They are faster than their operation counts allow: those are of the direct method."""
    samples = layers(lambda operations, channels, cores: 5e-6 + operations / cores / 1e11)
    tiled = [replace(s, algorithms=("winograd4",), seconds=(s.minimum / 3,)) for s in samples if s.operations > 1 << 24]
    assert critical_operations([*tiled, *samples]) == critical_operations(samples)


def test_without_fixed_part_every_layer_is_on_the_plateau() -> None:
    samples = layers(lambda operations, channels, cores: operations / cores / 1e11)
    assert critical_operations(samples) == min(s.operations / s.cores for s in samples)
