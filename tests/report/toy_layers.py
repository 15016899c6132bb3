"""A model's layers with planted numbers: what the tests of limits, tables, pages and pictures share."""

from dataclasses import replace

from dlfusion.layers.kind import Kind
from dlfusion.machine.rates import Level, Rates
from dlfusion.report.layers import BlockGain, CoreReport, MeasuredLayer, ModelReport, Timing
from dlfusion.report.limits import LayerWork, Moved

RATES = Rates(
    cores=1,
    operations_per_second=100e9,
    read_bytes_per_second={Level.L1: 200e9, Level.L2: 100e9, Level.L3: 10e9, Level.MEMORY: 1e9},
    write_bytes_per_second={Level.L1: 100e9, Level.L2: 50e9, Level.L3: 5e9, Level.MEMORY: 0.5e9},
    start_seconds=1e-6,
)
"""One core. A gigabyte from memory takes a second, 100 GOP at the peak too."""

TWO_CORES = Rates(
    2,
    200e9,
    {level: 2 * rate for level, rate in RATES.read_bytes_per_second.items()},
    {level: 2 * rate for level, rate in RATES.write_bytes_per_second.items()},
    2e-6,
)

DENSE = LayerWork(
    index=0,
    name="conv",
    label="Conv 3x3 + Relu",
    kind=Kind.DENSE,
    shape="64x14x14 → 64x14x14",
    algorithm="direct",
    kernel="conv_blocked",
    cores=1,
    operations=100_000_000,
    arithmetic=100e6,
    busiest_arithmetic=100e6,
    lanes=(64, 64),
    tiles=None,
    output_size=(14, 14),
    multiply_adds=576,
    other_steps=3,
    outputs=64 * 14 * 14,
    weights=Moved(147_456, Level.L1),
    inputs=Moved(50_176, Level.L1),
    output=Moved(50_176, Level.L1, written=True),
)
"""A layer that takes 1 ms at the peak of one core."""

POOL = replace(
    DENSE,
    index=1,
    name="pool",
    label="MaxPool 2x2",
    kind=Kind.POOL,
    kernel="pool",
    operations=1_000_000,
    arithmetic=1e6,
    busiest_arithmetic=1e6,
    multiply_adds=0,
    other_steps=0,
    weights=Moved(0, Level.L1),
    inputs=Moved(1 << 20, Level.L3),
)
MOVING = replace(POOL, index=2, name="concat", label="Concat", kind=Kind.OTHER, operations=0, arithmetic=0.0)


def timing(milliseconds: float) -> Timing:
    """Three runs: the fastest takes so long, the middle one a tenth more."""
    return Timing.of([1.1e-3 * milliseconds, 1e-3 * milliseconds, 2e-3 * milliseconds])


def model_report() -> ModelReport:
    """Three layers, of which the first two are fused by the plan, on one and on two cores."""
    times = ((DENSE, 1.25), (POOL, 0.5), (MOVING, 0.25))
    alone = tuple(MeasuredLayer(work, timing(time), RATES) for work, time in times)
    shared = tuple(
        MeasuredLayer(
            replace(work, cores=2, busiest_arithmetic=work.arithmetic / 2), timing(0.6 * time), TWO_CORES, 1e-3 * time
        )
        for work, time in times
    )
    return ModelReport(
        "toy",
        "a machine",
        "avx2",
        "a compiler",
        (
            CoreReport(
                1, "dlfusion", RATES, alone, timing(2.1), timing(2.0), (BlockGain(0, 1, 1, timing(1.4), timing(1.75)),)
            ),
            CoreReport(2, "dlfusion", TWO_CORES, shared, timing(1.2), timing(1.25), ()),
        ),
    )
