"""How fast a machine's cores were measured to be at one thing alone: the limits that kernels are held against."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Level(StrEnum):
    """Where bytes come from or go to; the nearest first."""

    L1 = "L1"
    L2 = "L2"
    L3 = "L3"
    MEMORY = "memory"


@dataclass(frozen=True, slots=True)
class Rates:
    """What `cores` cores reach together, each on data of its own.

    Attributes:
        cores: how many cores worked.
        operations_per_second: float32, a multiply-add counting as two, between registers.
        read_bytes_per_second: for each level.
        write_bytes_per_second: for each level: stores of whole cache lines, which the caches fetch before.
        start_seconds: from the call of a block that does nothing to its end on all cores.
    """

    cores: int
    operations_per_second: float
    read_bytes_per_second: Mapping[Level, float]
    write_bytes_per_second: Mapping[Level, float]
    start_seconds: float

    def document(self) -> dict[str, Any]:
        """The rates as JSON can hold them; units are in the names."""
        return {
            "cores": self.cores,
            "operations_per_second": self.operations_per_second,
            "read_bytes_per_second": {str(level): rate for level, rate in self.read_bytes_per_second.items()},
            "write_bytes_per_second": {str(level): rate for level, rate in self.write_bytes_per_second.items()},
            "start_seconds": self.start_seconds,
        }
