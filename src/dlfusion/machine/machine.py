"""What plans, strategies and cost models may ask of any device."""

from typing import Protocol


class Machine(Protocol):
    """A device as numbers. `Cpu` and `Accelerator` are the two kinds; both are frozen dataclasses."""

    @property
    def name(self) -> str:
        """The device's own name."""
        ...

    @property
    def core_counts(self) -> tuple[int, ...]:
        """On how many cores a block may run, ascending."""
        ...

    @property
    def element_bytes(self) -> int:
        """Bytes of one number of an activation or a weight."""
        ...

    @property
    def buffer_bytes(self) -> int:
        """What one core keeps near itself of activations: line buffers, and the rows that a step reads and writes."""
        ...

    @property
    def buffer_is_memory(self) -> bool:
        """True if a fused block that needs more than `buffer_bytes` cannot run; False if it just runs slower."""
        ...

    @property
    def weight_buffer_bytes(self) -> int:
        """Weights that one core keeps from step to step; a block with more fetches all of them again in every step."""
        ...

    @property
    def fingerprint(self) -> str:
        """What a plan and a profile are tied to, in parts divided by `; `."""
        ...
