"""Shares, bounds and reasons, by hand, for constructed layers."""

from dataclasses import replace

import pytest

from dlfusion.layers.kind import Kind
from dlfusion.machine.rates import Level
from dlfusion.report.limits import (
    LayerWork,
    Moved,
    arithmetic_share,
    bound_seconds,
    causes,
    reasons,
    settled,
    share,
    transfer_seconds,
)
from tests.report.toy_layers import DENSE, MOVING, POOL, RATES, TWO_CORES


def test_a_layer_at_the_peak() -> None:
    assert share(DENSE, 1e-3, RATES) == pytest.approx(1.0)
    assert arithmetic_share(DENSE, 2e-3, RATES) == pytest.approx(0.5)
    assert bound_seconds(DENSE, RATES) == pytest.approx(1e-3)
    assert reasons(DENSE, 1.25e-3, RATES) == (), "80 % is enough"


def test_winograd_may_pass_the_peak_but_its_products_cannot() -> None:
    work = replace(DENSE, algorithm="winograd4", arithmetic=40e6, busiest_arithmetic=40e6, tiles=(16, 16))
    assert share(work, 0.5e-3, RATES) == pytest.approx(2.0)
    assert arithmetic_share(work, 0.5e-3, RATES) == pytest.approx(0.8)
    assert bound_seconds(work, RATES) == pytest.approx(0.4e-3)


def test_transfers_bound_what_has_little_arithmetic() -> None:
    work = replace(
        DENSE,
        weights=Moved(10_000_000, Level.L3),
        inputs=Moved(1_000_000, Level.MEMORY),
        output=Moved(20_000_000, Level.L2, written=True),
    )
    assert transfer_seconds(work, RATES) == pytest.approx(1e-3 + 1e-3 + 0.4e-3)
    assert bound_seconds(work, RATES) == pytest.approx(2.4e-3)
    assert work.intensity == pytest.approx(100 / 31)
    assert bound_seconds(work, TWO_CORES) == pytest.approx(1.2e-3)


def test_bytes_come_from_nearer_if_the_measured_time_says_so() -> None:
    work = replace(DENSE, weights=Moved(10_000_000, Level.MEMORY), inputs=Moved(1_000_000, Level.MEMORY))
    assert settled(work, 12e-3, RATES) == work, "10 ms of weights and 1 ms of input fit into 12 ms"
    nearer = settled(work, 3e-3, RATES)
    assert nearer.weights.level is Level.L3, "10 ms do not fit into 3 ms, but 1 ms does"
    assert nearer.inputs.level is Level.MEMORY
    nearest = settled(work, 1e-9, RATES)
    assert {nearest.weights.level, nearest.inputs.level, nearest.output.level} == {Level.L1}


def with_lanes(work: LayerWork) -> LayerWork:
    return replace(work, lanes=(24, 32))


REASONS = [
    (with_lanes(DENSE), 1.5e-3, "24 of 32 lanes used: 0.333 of 1.50 ms"),
    (replace(DENSE, weights=Moved(9_856_614, Level.L3)), 1.5e-3, "weights 9.4 MiB from L3: 0.986 of 1.50 ms"),
    (replace(DENSE, inputs=Moved(1 << 20, Level.MEMORY)), 2e-3, "input 1.0 MiB from memory: 1.05 of 2.00 ms"),
    (replace(DENSE, output=Moved(15 << 20, Level.L2, written=True)), 1.4e-3, "output 15.0 MiB to L2: 0.315 of 1.40 ms"),
    (
        replace(DENSE, tile_bytes=20 << 20, transform_steps=10e6),
        2e-3,
        "transforms: instructions, and tiles of 20.0 MiB through L2: 0.829 of 2.00 ms",
    ),
    (replace(DENSE, copied_bytes=20 << 20), 2e-3, "copy of 20.0 MiB into another layout: 0.629 of 2.00 ms"),
    (
        replace(DENSE, multiply_adds=16, outputs=5_000_000),
        1.5e-3,
        "short sums: 3 other instructions to 16 multiply-adds: 0.300 of 1.50 ms",
    ),
    (
        replace(DENSE, tiles=(16, 16), algorithm="winograd4"),
        1.5e-3,
        "tiles cover 16x16 of 14x14: 0.234 of 1.50 ms",
    ),
    (
        replace(POOL, operations=1000, arithmetic=1e3, inputs=Moved(0, Level.L1)),
        2e-6,
        "start of the block: 0.001 of 0.002 ms",
    ),
    (DENSE, 2e-3, "inside the kernel (conv_blocked): 1.00 of 2.00 ms"),
    (POOL, 1e-3, "no sums over channels to fill the multiply-add units (pool): 0.885 of 1.00 ms"),
    (MOVING, 1e-3, "input 1.0 MiB from L3: 0.105 of 1.00 ms"),
    (MOVING, 1e-3, "moves numbers only (pool): 0.895 of 1.00 ms"),
    (
        replace(DENSE, kind=Kind.DEPTHWISE, multiply_adds=9, other_steps=0, inputs=Moved(4 * 4 * 12544, Level.L1)),
        2e-3,
        "depthwise: 2.2 multiply-adds for each number read (conv_blocked): 1.00 of 2.00 ms",
    ),
]


@pytest.mark.parametrize(("work", "seconds", "expected"), REASONS, ids=[text.split(":")[0] for *_, text in REASONS])
def test_reasons_name_causes_by_numbers(work: LayerWork, seconds: float, expected: str) -> None:
    assert expected in reasons(work, seconds, RATES)


def test_sharing_between_cores() -> None:
    work = replace(DENSE, cores=2, busiest_arithmetic=70e6)
    assert reasons(work, 1e-3, TWO_CORES, one_core_seconds=1.5e-3) == (
        "sharing: 1.50 ms on one core: 0.250 of 1.00 ms",
        "2 cores, the busiest does 70.0 %: 0.200 of 1.00 ms",
    )


def test_only_what_matters_is_named_and_the_longest_first() -> None:
    work = replace(
        with_lanes(DENSE),
        weights=Moved(5_000_000, Level.L3),
        inputs=Moved(4_000_000, Level.L3),
        output=Moved(1_500_000, Level.L3, written=True),
        copied_bytes=100,
    )
    found = causes(work, RATES)
    assert [cause.seconds for cause in found] == sorted((cause.seconds for cause in found), reverse=True)
    assert [text.split(" ")[0] for text in reasons(work, 2.2e-3, RATES)] == ["weights", "input", "24"]
