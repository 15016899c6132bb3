"""A small accelerator with round numbers, and what tests change in it."""

from dataclasses import replace
from typing import Any

from dlfusion.machine.accelerator import Accelerator

TOY = Accelerator(
    name="toy",
    core_counts=(1, 2, 3, 4),
    element_bytes=2,
    operations_per_second=1e9,
    vector_operations_per_second=1e8,
    array_inputs=4,
    array_outputs=4,
    buffer_bytes=1 << 20,
    weight_buffer_bytes=1 << 20,
    channels=2,
    channel_bytes_per_second=1e6,
    core_bytes_per_second=5e5,
    launch_seconds=1e-3,
    synchronization_seconds=1e-4,
    tile_seconds=1e-5,
)

FREE_START = {"launch_seconds": 0.0, "synchronization_seconds": 0.0}
"""No costs before the cores start."""

CLUSTERS = {"cluster_cores": 2, "cluster_memory_bytes": 1 << 20, "cluster_bytes_per_second": 2e6}
"""A memory for each two cores."""


def toy(**changes: Any) -> Accelerator:
    """The small accelerator with some numbers changed."""
    return replace(TOY, **changes)
