"""The paper's walk: layers in order join the open block until a rule closes it."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from dlfusion.cost.profile import Profile
from dlfusion.layers.layer import Network
from dlfusion.search.joint_rows import Facts, Flags, Floats, Tables
from dlfusion.search.joint_times import Pace


@dataclass(frozen=True, slots=True)
class Cut:
    """A block that the walk closed: layers first..last on `cores` cores, and the rule that closed it, in numbers."""

    first: int
    last: int
    cores: int
    reason: str


@dataclass(frozen=True, eq=False)
class Walk:
    """What the walk decides from.

    `fits` says which ranges and core counts (axes as in `Tables`) have a step with which the block fits the chip.
    `facts` and `tables` are of the network, `counts` the core counts of the tables.
    """

    network: Network
    profile: Profile
    facts: Facts
    tables: Tables
    counts: tuple[int, ...]
    fits: Flags
    pace: Pace

    def cuts(self) -> tuple[Cut, ...]:
        """The blocks in order."""
        return tuple(self._walk())

    def _walk(self) -> Iterator[Cut]:
        first = 0
        last_layer = len(self.network.layers) - 1
        for index in range(last_layer + 1):
            cores = self.best_cores(first, index)
            reason = "last layer of the network" if index == last_layer else self._closes(first, index, cores)
            if reason is not None:
                yield Cut(first, index, cores, reason)
                first = index + 1

    def best_cores(self, first: int, last: int) -> int:
        """The core count that the profile's rule gives for the block, of those that can run it.

        The rule knows single layers: a block counts as one layer with all operations of the block, and with the
        geometric mean of its layers' input and output channels.
        """
        allowed = [count for i, count in enumerate(self.counts) if self.fits[last, last - first, i]]
        features = [layer.features for layer in self.network.layers[first : last + 1]]
        operations = sum(of_layer.operations for of_layer in features)
        logarithms = sum(math.log(max(f.input_channels, 1) * max(f.output_channels, 1)) for f in features)
        channels = math.exp(logarithms / (2 * len(features)))
        return self.profile.cores.best(max(operations, 1), channels, allowed or self.counts[:1])

    def _closes(self, first: int, last: int, cores: int) -> str | None:
        """Why the block ends here, None if the next layer joins it."""
        layers = self.network.layers
        operations = sum(layer.features.operations for layer in layers[first : last + 1])
        critical = self.profile.critical_operations
        if operations / cores >= critical:
            return f"{_count(operations / cores)} operations per core pass the critical {_count(critical)}"
        return self._illegal(first, last) or self._wasteful(first, last, cores)

    def _illegal(self, first: int, last: int) -> str | None:
        for index, which in ((last, "this"), (last + 1, "the next")):
            if self.facts.alone[index]:
                label = self.network.layers[index].anchor.operator.label
                return f"{which} layer, {label}, reads its whole input for every row"
        depth = last + 1 - first
        longest = self.tables.legal.shape[1]
        if depth >= longest:
            return f"{longest} layers, the most of a block"
        if not self.fits[last + 1, depth].any():
            return "with the next layer the block would not fit the memory of a core on any core count"
        return None

    def _wasteful(self, first: int, last: int, cores: int) -> str | None:
        """Whether the next layer costs more arithmetic than it saves traffic, both in seconds of a core.

        Arithmetic grows by rows that another core computes too, and where the joined block runs on fewer cores.
        """
        depth = last - first
        joined, following = self.best_cores(first, last + 1), self.best_cores(last + 1, last + 1)
        i, open_i, next_i = (self.counts.index(count) for count in (joined, cores, following))
        spent = self.tables.arithmetic[..., -1]
        apart = float(spent[last, depth, open_i]) + float(self.pace.layer_seconds[last + 1]) / self.counts[next_i]
        more = float(spent[last + 1, depth + 1, i]) - apart
        moved = self._moved_bytes
        fewer = float(moved[last, depth, i] + moved[last + 1, 0, i] - moved[last + 1, depth + 1, i])
        saved = fewer * self.pace.seconds_per_byte(joined) + self.pace.start_seconds(following)
        if more <= saved:
            return None
        return (
            f"with the next layer, on {joined} cores, each would compute for {more * 1e6:.1f} us more "
            f"to save {saved * 1e6:.1f} us of traffic and starts"
        )

    @cached_property
    def _moved_bytes(self) -> Floats:
        """What a core reads and writes of values that other blocks see."""
        return self.tables.input_bytes + self.tables.output_bytes


def _count(operations: float) -> str:
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if operations >= size:
            return f"{operations / size:.3g} {unit}"
    return f"{operations:.3g}"
