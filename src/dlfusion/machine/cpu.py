"""A CPU as numbers: cores with caches of their own in front of memory that all share."""

import re
from dataclasses import dataclass

DEFAULT_L2_BYTES = 1 << 20
"""Assumed where the system does not state the second-level cache."""


@dataclass(frozen=True, slots=True)
class Cpu:
    """What plans and estimates need to know of a device; None means that it is not known.

    Attributes:
        name: the processor's own name.
        cores: cores that may be used.
        isas: instruction sets that code can be generated for, those for all precisions first, and of these the best.
        bfloat16_speed: operations per second on bfloat16 over those on float32; 1 where it is not known.
        convolution_speed: those of convolutions over the peak, above 1 for programs that multiply bfloat16.
        l1_bytes: first-level data cache of one core.
        l2_bytes: second-level cache of one core.
        l3_bytes: third-level cache that all cores share.
        peak_operations_per_second: float32 operations of one core, a multiply-accumulate counting as two.
        l3_bytes_per_second: what one core reads from the third-level cache.
        memory_bytes_per_second: what all cores together read from main memory.
    """

    name: str
    cores: int
    isas: tuple[str, ...] = ()
    l1_bytes: int | None = None
    l2_bytes: int | None = None
    l3_bytes: int | None = None
    peak_operations_per_second: float | None = None
    l3_bytes_per_second: float | None = None
    memory_bytes_per_second: float | None = None
    bfloat16_speed: float = 1.0
    convolution_speed: float = 1.0

    @property
    def core_counts(self) -> tuple[int, ...]:
        """Any number of cores up to all."""
        return tuple(range(1, self.cores + 1))

    @property
    def element_bytes(self) -> int:
        """Float32."""
        return 4

    @property
    def buffer_bytes(self) -> int:
        """Half of the second-level cache; the other half is for what streams through it."""
        return (self.l2_bytes or DEFAULT_L2_BYTES) // 2

    @property
    def buffer_is_memory(self) -> bool:
        """A block that needs more just runs slower."""
        return False

    @property
    def weight_buffer_bytes(self) -> int:
        """Half of the second-level cache."""
        return (self.l2_bytes or DEFAULT_L2_BYTES) // 2

    @property
    def fingerprint(self) -> str:
        """What a plan is tied to: name, cores, instruction sets and caches, in parts divided by `; `."""
        parts = [self.name, f"{self.cores} cores", f"isa {' '.join(self.isas) or 'unknown'}"]
        for label, size in (("L1", self.l1_bytes), ("L2", self.l2_bytes), ("L3", self.l3_bytes)):
            parts.append(f"{label} {size // 1024} KiB" if size is not None else f"{label} unknown")
        return "; ".join(parts)

    @classmethod
    def from_fingerprint(cls, text: str) -> "Cpu | None":
        """The processor that a fingerprint was made of, rates unknown; None if it is not one of a CPU."""
        found = _FINGERPRINT.fullmatch(text)
        if found is None:
            return None
        isas = () if found["isas"] == "unknown" else tuple(found["isas"].split())
        texts = (found["L1"], found["L2"], found["L3"])
        l1, l2, l3 = (None if text == "unknown" else int(text.removesuffix(" KiB")) * 1024 for text in texts)
        return cls(found["name"], int(found["cores"]), isas, l1, l2, l3)


_FINGERPRINT = re.compile(
    r"(?P<name>.+); (?P<cores>[1-9]\d*) cores; isa (?P<isas>[\w ]+)"
    + "".join(rf"; {label} (?P<{label}>unknown|\d+ KiB)" for label in ("L1", "L2", "L3"))
)
