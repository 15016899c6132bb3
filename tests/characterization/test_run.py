from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import pytest

from dlfusion.characterization.grid import find_grid
from dlfusion.characterization.run import FITTING, MEASURING, characterize, distinct_points
from dlfusion.characterization.synthesize import synthesize
from dlfusion.cost.analytic import Analytic
from dlfusion.cost.profile import Profile
from dlfusion.errors import InputError
from dlfusion.layers.layer import Network
from dlfusion.machine.accelerator import Accelerator
from dlfusion.machine.cpu import Cpu
from dlfusion.machine.machine import Machine
from dlfusion.plans.legality import machine_limits, problems
from dlfusion.plans.plan import Block, Partition
from dlfusion.plans.schedule import schedule
from dlfusion.plans.structure import structure
from dlfusion.runtime.measure import Setting
from dlfusion.targets.target import Bench
from tests.support.random_plans import ALL_ALGORITHMS

CPU = Cpu("toy", cores=3, isas=("avx2",))
ACCELERATOR = Accelerator(
    name="toy",
    core_counts=(1, 4),
    element_bytes=2,
    operations_per_second=500e9,
    vector_operations_per_second=32e9,
    array_inputs=16,
    array_outputs=16,
    buffer_bytes=256 << 10,
    weight_buffer_bytes=512 << 10,
    channels=2,
    channel_bytes_per_second=25e9,
    core_bytes_per_second=25e9,
    launch_seconds=10e-6,
    synchronization_seconds=1e-6,
    tile_seconds=1e-6,
)


SETTING = Setting("toy; 3 cores", "no compiler", ("-O0",), "library 1")


@dataclass(frozen=True)
class ToyTarget:
    """A target that is never benched: the tests measure by themselves."""

    machine: Machine
    name: str = "toy"
    simulated: bool = True
    algorithms: tuple[str, ...] = ("direct",)
    setting: Setting = SETTING

    def bench(self, network: Network) -> AbstractContextManager[Bench]:
        """Not to be called."""
        raise AssertionError(f"{network.graph.name} must be measured by what is passed in")


@dataclass
class Memory:
    """Times blocks by the analytic model, each structure once; `interrupt_at` is the call that a user stops."""

    machine: Machine
    known: dict[str, tuple[float, ...]] = field(default_factory=dict)
    calls: int = 0
    measured: int = 0
    interrupt_at: int | None = None

    def __call__(self, network: Network, blocks: Sequence[Block]) -> list[tuple[float, ...]]:
        """All samples of each block."""
        self.calls += 1
        if self.calls == self.interrupt_at:
            raise KeyboardInterrupt
        model = Analytic(self.machine)
        times = []
        for block in blocks:
            key = structure(network, block)
            if key not in self.known:
                self.measured += 1
                seconds = model.block(network, schedule(network, block)).seconds
                self.known[key] = (seconds * 1.5, seconds * 1.25)
            times.append(self.known[key])
        return times


@pytest.fixture(scope="module")
def profile() -> Profile:
    return characterize(ToyTarget(CPU), Memory(CPU), "small")


def test_profile_states_where_it_comes_from(profile: Profile) -> None:
    assert (profile.target, profile.machine, profile.simulated) == ("toy", "toy; 3 cores", True)
    assert (profile.compiler, profile.flags, profile.library) == ("no compiler", ("-O0",), "library 1")


def test_every_layer_and_chain_is_measured_on_every_core_count(profile: Profile) -> None:
    counts: dict[str, set[int]] = {}
    for sample in profile.samples:
        counts.setdefault(sample.label, set()).add(sample.cores)
    grid = find_grid("small")
    assert {point.label for point in grid.layers} <= set(counts)
    assert sum(label.startswith("chain ") for label in counts) == sum(len(chain.lengths) for chain in grid.chains)
    assert all(cores == {1, 2, 3} for cores in counts.values())


def test_layers_are_cut_by_rows_and_by_channels_and_chains_in_several_steps(profile: Profile) -> None:
    ways = {
        (sample.cores, sample.partition) for sample in profile.samples if sample.label == "convolution 3x3 64 @56x56"
    }
    assert ways == {(1, "rows"), (2, "rows"), (3, "rows"), (2, "channels"), (3, "channels")}
    steps = {s.step_rows for s in profile.samples if s.label.startswith("chain 4: convolution 3x3 64")}
    assert steps == {2, 8, 56}


def test_samples_carry_features_terms_and_all_times(profile: Profile) -> None:
    chosen = [s for s in profile.samples if s.label == "convolution 3x3 s2 64>128 @28x28"]
    sample = next(s for s in chosen if s.cores == 2 and s.partition == "rows")
    relu = 128 * 28 * 28
    assert sample.operations == 2 * 9 * 64 * 128 * 28 * 28 + relu
    assert sample.channels == pytest.approx((64 * 128) ** 0.5)
    assert (sample.height, sample.width, sample.kernel, sample.stride) == (28, 28, 3, 2)
    assert (sample.layers, sample.kind, sample.recompute) == (1, "dense convolution", 1.0)
    assert len(sample.seconds) == 2
    assert all(seconds >= 0 for _, seconds in sample.terms)
    fused = next(s for s in profile.samples if s.label.startswith("chain 2: ") and s.cores == 3)
    assert fused.kind == "chain"
    assert fused.recompute > 1


def test_fits_learn_the_device(profile: Profile) -> None:
    assert profile.cost.fit.rank_correlation > 0.95
    assert profile.cost.fit.samples == len(profile.samples)
    assert profile.cores.core_counts == (1, 2, 3)
    assert profile.critical_operations > 0


def test_an_interrupted_run_continues_where_it_stopped(profile: Profile) -> None:
    memory = Memory(CPU, interrupt_at=3)
    with pytest.raises(KeyboardInterrupt):
        characterize(ToyTarget(CPU), memory, "small")
    kept = memory.measured
    assert kept > 0
    memory.interrupt_at = None
    continued = characterize(ToyTarget(CPU), memory, "small")
    assert continued == profile
    fresh = Memory(CPU)
    characterize(ToyTarget(CPU), fresh, "small")
    assert memory.measured == fresh.measured  # nothing twice


def test_progress_counts_every_point() -> None:
    calls: list[tuple[str, int, int]] = []
    profile = characterize(ToyTarget(CPU), Memory(CPU), "small", lambda *call: calls.append(call))
    total = len(profile.samples)
    measuring = [(done, of) for stage, done, of in calls if stage == MEASURING]
    assert measuring[0] == (0, total)
    assert measuring[-1] == (total, total)
    assert measuring == sorted(measuring)
    assert [call for call in calls if call[0] == FITTING] == [(FITTING, 0, 1), (FITTING, 1, 1)]


def test_layers_are_measured_by_every_algorithm_and_chains_by_one() -> None:
    tiled = characterize(ToyTarget(CPU, algorithms=ALL_ALGORITHMS), Memory(CPU), "small")
    direct = characterize(ToyTarget(CPU), Memory(CPU), "small")
    by_label: dict[str, set[tuple[str, ...]]] = {}
    for sample in tiled.samples:
        by_label.setdefault(sample.label, set()).add(sample.algorithms)
    names = tuple((name,) for name in ALL_ALGORITHMS[1:])
    assert by_label["convolution 3x3 64 @56x56"] == {(), *names}
    assert by_label["convolution 5x5 32 @28x28"] == {(), *names[:2]}
    assert by_label["convolution 1x1 64 @28x28"] == {()}
    chains = {label: found for label, found in by_label.items() if label.startswith("chain 2: convolution 3x3 ")}
    assert {("winograd6",) * 2 in found for label, found in chains.items() if "@56x56" in label} == {True}
    assert {("winograd2",) * 2 in found for label, found in chains.items() if "@14x14" in label} == {True}
    rows = {s.step_rows for s in tiled.samples if "chain 4: convolution 3x3 64" in s.label and s.algorithms}
    assert rows == {6, 56}
    # What is measured directly is the same whatever else the target offers.
    assert tuple(s for s in tiled.samples if not s.algorithms) == direct.samples
    factors = dict(tiled.cost.factors)
    assert [factors[name] for name in ALL_ALGORITHMS[1:]] == pytest.approx([1.25] * 3, rel=0.05)
    assert not set(ALL_ALGORITHMS) & set(dict(direct.cost.factors))


def test_points_are_legal_and_different() -> None:
    """On an accelerator: what does not fit on the chip is left out, and single layers come in steps too."""
    grid = find_grid("small")
    seen: set[tuple[str, int, Partition, int]] = set()
    limits = machine_limits(ACCELERATOR)
    work = distinct_points(tuple(synthesize(grid)), ACCELERATOR, ACCELERATOR.core_counts, grid.steps)
    for network, points in work:
        for point in points:
            assert problems(network, point.block, limits) == ()
            key = (point.subject.label, point.block.cores, point.block.partition, point.block.step_rows)
            assert key not in seen
            seen.add(key)
    steps = {step for label, _, _, step in seen if label == "convolution 3x3 64 @56x56"}
    assert steps == {2, 8, 56}
    assert not any(
        label.startswith("chain 4: convolution 3x3 64") and step == 56 for label, cores, _, step in seen if cores == 1
    )


def test_an_accelerator_is_characterized_too() -> None:
    profile = characterize(ToyTarget(ACCELERATOR), Memory(ACCELERATOR), "small")
    assert profile.cores.core_counts == (1, 4)
    assert profile.cost.fit.rank_correlation > 0.95


def test_unknown_grid_is_refused_before_anything_is_measured() -> None:
    memory = Memory(CPU)
    with pytest.raises(InputError, match="no grid"):
        characterize(ToyTarget(CPU), memory, "gigantic")
    assert memory.calls == 0
