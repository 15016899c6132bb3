"""Proves that profiles survive their JSON form, that broken files are named, and that rules are followed."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from dlfusion.cost.profile import CoreRule, CostFit, Fit, Profile, Sample, shipped_profiles
from dlfusion.cost.terms import WINOGRAD_TERMS
from dlfusion.errors import PlanError
from dlfusion.machine import machine_files

SAMPLE = Sample(
    "convolution 3x3 64>128 @56x56",
    "dense convolution",
    layers=1,
    operations=462422016,
    channels=90.50966799187809,
    height=56,
    width=56,
    kernel=3,
    stride=1,
    cores=2,
    partition="rows",
    step_rows=56,
    recompute=1.0,
    terms=(("launch", 1e-6), ("dense convolution", 0.0023)),
    seconds=(0.0031, 0.003),
)
# Below 2^20 operations one core; above, four with up to 2^6 channels and two with more.
RULE = CoreRule(
    core_counts=(1, 2, 4),
    nodes=((0, 20.0, 1, 2), (-1, 0.0, 0, 0), (1, 6.0, 3, 4), (-1, 0.0, 1, 1), (-1, 0.0, 2, 2)),
    leaves=((0.0, 1.0, 2.0), (2.0, 1.0, 0.0), (1.0, 0.0, 1.0)),
    regret=0.01,
    worst_regret=0.2,
)
PROFILE = Profile(
    target="cpu",
    machine="A processor; 4 cores; isa avx2",
    simulated=False,
    compiler="g++ 14",
    flags=("-O3", "-mavx2"),
    library="abc",
    cost=CostFit((("launch", 2.0), ("maps", 0.5)), 0.45, Fit(200, 0.07, 0.9, 0.98)),
    cores=RULE,
    critical_operations=1e6,
    samples=(SAMPLE, replace(SAMPLE, cores=4)),
)


def test_a_profile_survives_its_json_form() -> None:
    text = PROFILE.to_json()
    assert Profile.from_json(text) == PROFILE
    assert sum("convolution 3x3" in line for line in text.splitlines()) == 2


def test_algorithms_of_samples_are_kept_where_there_are_any() -> None:
    assert '"algorithms"' not in PROFILE.to_json()
    tiled = replace(PROFILE, samples=(replace(SAMPLE, algorithms=("winograd4",)), SAMPLE))
    assert Profile.from_json(tiled.to_json()) == tiled


def test_layers_in_tiles_are_scaled_as_dense_convolutions_where_nobody_measured_them() -> None:
    """As in profiles from before there was a choice of algorithms."""
    old = replace(PROFILE.cost, factors=(("launch", 2.0), ("dense convolution", 0.5)))
    assert old.scales == {"launch": 2.0, "dense convolution": 0.5} | dict.fromkeys(WINOGRAD_TERMS, 0.5)
    new = replace(old, factors=(*old.factors, ("winograd4", 0.7)))
    assert new.scales == old.scales | {"winograd4": 0.7}
    assert PROFILE.cost.scales == dict(PROFILE.cost.factors)


def test_a_profile_without_samples_can_be_shipped() -> None:
    bare = replace(PROFILE, samples=())
    assert Profile.from_json(bare.to_json()) == bare


def _change(path: str, value: object) -> Callable[[dict[str, Any]], None]:
    def change(data: dict[str, Any]) -> None:
        *outer, last = path.split("/")
        inner: Any = data
        for key in outer:
            inner = inner[int(key) if isinstance(inner, list) else key]
        inner[int(last) if isinstance(inner, list) else last] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_change("version", 99), "version 99; this program reads version 1"),
        (lambda data: data.pop("version"), "missing version"),
        (lambda data: data.pop("target"), "the profile: missing target"),
        (_change("colour", 1), "unknown colour; the fields are target"),
        (_change("simulated", "no"), 'simulated: expected a value of type bool, found "no"'),
        (_change("critical_operations", float("inf")), "not a finite number"),
        (_change("critical_operations", 10**400), "not a finite number"),
        (_change("cost/overlap", 1.5), "overlap must lie between 0 and 1"),
        (_change("cost/factors/0", ["launch", -1.0]), "factors must not be negative"),
        (_change("cost/factors/0", ["launch"]), r"cost: factors\[0\]: expected an array of 2 entries"),
        (_change("cost/fit", None), "fit: expected an object"),
        (_change("flags", "-O3"), "flags: expected an array"),
        (_change("cores/core_counts", [4, 2, 1]), "core_counts must be ascending"),
        (_change("cores/leaves/0", [0.0]), "leaves needs 3 entries"),
        (_change("cores/nodes/0", [0, 20.0, 0, 2]), "node 0 of the rule for cores leads nowhere"),
        (_change("cores/nodes/4", [-1, 0.0, 7, 7]), "node 4 of the rule for cores leads nowhere"),
        (_change("cores/nodes", []), "has no nodes"),
        (_change("sample_fields", ["label"]), "sample_fields must be label, kind"),
        (_change("samples", {}), "samples must be an array"),
        (_change("samples/0", [1, 2]), "sample 0: expected an array of 15 entries"),
        (_change("samples/1/9", "four"), 'sample 1: cores: expected a value of type int, found "four"'),
        (_change("samples/1/14", []), "sample 1 .*: seconds must be there and positive"),
    ],
)
def test_broken_files_are_named_with_what_to_do(change: Callable[[dict[str, Any]], None], message: str) -> None:
    data = json.loads(PROFILE.to_json())
    change(data)
    with pytest.raises(PlanError, match=message) as error:
        Profile.from_json(json.dumps(data))
    assert "dlfusion characterize" in str(error.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "7"])
def test_other_files_are_no_profiles(text: str) -> None:
    with pytest.raises(PlanError, match="profile"):
        Profile.from_json(text)


def test_a_foreign_or_stale_profile_is_named() -> None:
    assert PROFILE.machine_warning(PROFILE.machine, "g++ 14", "abc") is None
    machine = PROFILE.machine_warning("A processor; 8 cores; isa avx2", "g++ 14", "abc")
    assert machine is not None
    assert "another machine (4 cores; here: 8 cores)" in machine
    assert machine.startswith("it was measured with ")
    both = PROFILE.machine_warning(PROFILE.machine, "clang 18", "")
    assert both is not None
    assert "another compiler (g++ 14; here: clang 18) and another kernel library (abc; here: none)" in both


def test_the_rule_is_walked_by_operations_and_channels() -> None:
    assert RULE.best(1000, 512, (1, 2, 4)) == 1
    assert RULE.best(1 << 21, 64, (1, 2, 4)) == 4
    assert RULE.best(1 << 21, 65, (1, 2, 4)) == 2
    assert RULE.slowdowns(1 << 21, 64) == pytest.approx((4, 2, 1))


def test_the_rule_keeps_to_allowed_counts() -> None:
    assert RULE.best(1 << 21, 64, (1, 2)) == 2
    assert RULE.best(1 << 21, 512, (1, 4)) == 1
    assert RULE.best(1 << 21, 64, (3, 6)) == 3
    assert RULE.best(1000, 64, (3, 6)) == 3


def test_shipped_profiles_are_read_without_complaint() -> None:
    assert {"cpu", *machine_files()} <= set(shipped_profiles())
    for name, path in shipped_profiles().items():
        assert Profile.from_json(path.read_text(encoding="utf-8")).target == name
