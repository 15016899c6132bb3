"""A rough prediction of a block's time from operations, bytes and starts; only good for comparing plans."""

from dataclasses import dataclass

from dlfusion.layers.layer import Network
from dlfusion.machine.machine import Machine
from dlfusion.plan.plan import Partition, Plan
from dlfusion.plan.schedule import Schedule, schedule
from dlfusion.plan.traffic import arena_bytes, block_traffic, row_bytes

VERSION = 1
"""Raised whenever a prediction changes, so that stored predictions are not mixed."""

ASSUMPTIONS = (
    "A core reaches the same rate of operations on every layer.",
    "Bytes come from the third-level cache if the block's inputs, outputs and weights fit into it, else from memory.",
    "Weights larger than half of the second-level cache are fetched again in every step.",
    "Line buffers larger than the second-level cache are written to the third-level cache and read back.",
    "Half of the time of transfers hides behind arithmetic.",
    "A rate that the machine does not state is that of a desktop core: 100 GFLOP/s, 80 GB/s from L3, 25 GB/s memory.",
    "A cache that the machine does not state has 1 MiB per core (L2) or 16 MiB (L3).",
    "Starting a block takes 1 us, on several cores 2 us; a call of a kernel 0.2 us.",
)

HIDDEN_SHARE = 0.5
START_SECONDS = 1e-6
START_TEAM_SECONDS = 2e-6
CALL_SECONDS = 0.2e-6


@dataclass(frozen=True, slots=True)
class Rates:
    """The machine's numbers with the assumed ones filled in."""

    operations_per_second: float
    l3_bytes_per_second: float
    memory_bytes_per_second: float
    l2_bytes: int
    l3_bytes: int

    @staticmethod
    def of(machine: Machine) -> "Rates":
        """The rates of a machine."""
        return Rates(
            machine.peak_operations_per_second or 100e9,
            machine.l3_bytes_per_second or 80e9,
            machine.memory_bytes_per_second or 25e9,
            machine.l2_bytes or 1 << 20,
            machine.l3_bytes or 16 << 20,
        )


def plan_seconds(network: Network, plan: Plan, machine: Machine) -> float:
    """Predicted seconds of one run of a legal plan."""
    return sum(block_seconds(network, schedule(network, block), machine) for block in plan.blocks)


def block_seconds(network: Network, cut: Schedule, machine: Machine) -> float:
    """Predicted seconds of one run of a block."""
    rates = Rates.of(machine)
    cores = cut.block.cores
    steps = [_steps(cut, core) for core in range(cores)]
    arithmetic = max(_core_operations(network, cut, core) for core in range(cores)) / rates.operations_per_second
    transfers = _transfer_seconds(network, cut, rates, max(steps))
    start = START_TEAM_SECONDS if cores > 1 else START_SECONDS
    calls = max(steps) * len(cut.flow.values) * CALL_SECONDS
    return start + calls + arithmetic + transfers * (1 - HIDDEN_SHARE)


def _steps(cut: Schedule, core: int) -> int:
    step = cut.block.step_rows
    return sum(-(-(part.end - part.first + part.lead) // step) for part in cut.segments if part.core == core)


def _core_operations(network: Network, cut: Schedule, core: int) -> float:
    shared = cut.block.cores if cut.block.partition is Partition.CHANNELS else 1
    total = 0.0
    for part in cut.segments:
        if part.core == core:
            for index, rows in zip(cut.block.layers, part.produced, strict=True):
                layer = network.layers[index]
                images, _, height, _ = network.shape(layer.output)
                total += layer.features.operations * rows.length / (images * height)
    return total / shared


def _transfer_seconds(network: Network, cut: Schedule, rates: Rates, steps: int) -> float:
    """Seconds that moving bytes would take if nothing hid it; cores share memory, each has its way to the L3."""
    traffic = block_traffic(network, cut)
    cores = cut.block.cores
    team_rate = rates.l3_bytes_per_second * cores
    first_rate = min(rates.memory_bytes_per_second, team_rate)
    if traffic.total_bytes <= rates.l3_bytes:
        first_rate = team_rate
    seconds = traffic.total_bytes / first_rate
    if traffic.weight_bytes > rates.l2_bytes // 2 and cut.block.partition is Partition.ROWS:
        again_rate = team_rate if traffic.weight_bytes <= rates.l3_bytes else rates.memory_bytes_per_second
        seconds += traffic.weight_bytes * (steps * cores - 1) / again_rate
    if arena_bytes(network, cut) > rates.l2_bytes:
        inner = sum(
            rows.length * row_bytes(network, value)
            for part in cut.segments
            for value, rows in zip(cut.flow.values, part.produced, strict=True)
            if value in cut.ring_rows
        )
        seconds += 2 * inner / team_rate
    return seconds
