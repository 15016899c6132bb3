"""Units of machine files, by what they measure."""

from collections.abc import Mapping
from enum import StrEnum


class Dimension(StrEnum):
    """What a number of a machine file measures."""

    COUNT_OF_CORES = "count of cores"
    COUNT_OF_CHANNELS = "count of channels"
    SIZE = "size"
    BANDWIDTH = "bandwidth"
    RATE = "rate of operations"
    TIME = "time"


_SIZES = {"B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 1024.0, "MiB": 1024.0**2, "GiB": 1024.0**3}

_RATES = {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}

UNITS: Mapping[Dimension, Mapping[str, float]] = {
    Dimension.COUNT_OF_CORES: {"cores": 1.0},
    Dimension.COUNT_OF_CHANNELS: {"channels": 1.0},
    Dimension.SIZE: _SIZES,
    Dimension.BANDWIDTH: {**{f"{name}/s": factor for name, factor in _SIZES.items()}, "TB/s": 1e12},
    Dimension.RATE: {f"{prefix}{name}/s": factor for prefix, factor in _RATES.items() for name in ("FLOP", "OP")},
    Dimension.TIME: {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9},
}
"""For each dimension the units that may be written, with the factor to the base unit (bytes, seconds, operations)."""
