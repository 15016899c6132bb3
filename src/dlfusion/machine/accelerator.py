"""An accelerator as numbers: cores with on-chip memories that software fills, in front of memory channels."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Provenance(StrEnum):
    """Where a number comes from."""

    PUBLISHED = "published"
    DERIVED = "derived"
    ASSUMED = "assumed"


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number of a machine file with its unit, and the source or the reason for it."""

    value: float
    unit: str
    provenance: Provenance
    source: str


@dataclass(frozen=True)
class Accelerator:
    """The numbers of a machine file, in base units; `quantities` has each of them with unit and provenance.

    Attributes:
        name: the device's name.
        core_counts: on how many cores a block may run, ascending; core i is served by memory channel i modulo
            `channels`, and belongs to cluster i // `cluster_cores`.
        element_bytes: bytes of one number.
        operations_per_second: of one core's multiply-accumulate array when it is full (one multiply-accumulate is two).
        vector_operations_per_second: of one core for all else: pools, sums, depthwise convolutions, activations.
        array_inputs, array_outputs: channels that the array takes at once; a layer's channels are rounded up to them.
        buffer_bytes: on-chip memory of one core for activations.
        weight_buffer_bytes: on-chip memory of one core for weights.
        channels: memory channels, each a server of its own.
        channel_bytes_per_second: what one channel delivers.
        core_bytes_per_second: what one core's own port takes.
        cluster_cores: cores that share a cluster memory, in which weights that all of them read are fetched once;
            1 means that there is none.
        cluster_memory_bytes: size of a cluster memory; weights of a block that fit are kept there over its steps.
        cluster_bytes_per_second: what a cluster memory delivers to all of its cores together.
        launch_seconds: from the host's call of a block to its start.
        synchronization_seconds: of each core that takes part in a block, one after the other.
        tile_seconds: to issue one layer of one step on one core.
        quantities: every number above by its name in the file (`machine.files.ENTRIES`); of the core counts the last.
    """

    name: str
    core_counts: tuple[int, ...]
    element_bytes: int
    operations_per_second: float
    vector_operations_per_second: float
    array_inputs: int
    array_outputs: int
    buffer_bytes: int
    weight_buffer_bytes: int
    channels: int
    channel_bytes_per_second: float
    core_bytes_per_second: float
    launch_seconds: float
    synchronization_seconds: float
    tile_seconds: float
    cluster_cores: int = 1
    cluster_memory_bytes: int = 0
    cluster_bytes_per_second: float = 0.0
    quantities: Mapping[str, Quantity] = field(default_factory=dict, compare=False, repr=False)

    @property
    def cores(self) -> int:
        """All cores."""
        return self.core_counts[-1]

    @property
    def buffer_is_memory(self) -> bool:
        """A fused block that does not fit on the chip cannot run."""
        return True

    @property
    def fingerprint(self) -> str:
        """The name, the cores and a digest of all numbers: a changed number is another machine."""
        digest = hashlib.sha256(repr(self).encode()).hexdigest()[:16]
        return f"{self.name}; {self.cores} cores; numbers {digest}"
