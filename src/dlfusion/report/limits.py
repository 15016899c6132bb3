"""What one layer must do, how fast the machine could do it, and by numbers what keeps it from that.

The bound is that of the roofline (Williams, Waterman, Patterson, CACM 2009): arithmetic at the measured peak, or all
bytes at the measured rate of the place that they come from, whichever takes longer. Where a layer stays below 80 % of
the peak, `reasons` names the causes that alone take at least a tenth of its time. Causes overlap in time, so their
seconds need not add up to what is lost.
"""

from dataclasses import dataclass, replace

from dlfusion.graph.graph import FLOAT_BYTES
from dlfusion.layers.kind import Kind
from dlfusion.machine.rates import Level, Rates
from dlfusion.report.units import bytes_text, milliseconds, percent

GOOD_SHARE = 0.8
"""Share of the peak from which on nothing needs to be named."""

SMALLEST_PART = 0.1
"""Share of a layer's time from which on a cause is named."""

MOST_CAUSES = 3
"""Causes that are named of one layer, the longest first."""


@dataclass(frozen=True, slots=True)
class Moved:
    """Bytes that a layer reads or writes, each once, and where they come from or go to."""

    bytes: int
    level: Level
    written: bool = False

    def seconds(self, rates: Rates) -> float:
        """How long that takes alone."""
        return self.bytes / (rates.write_bytes_per_second if self.written else rates.read_bytes_per_second)[self.level]


@dataclass(frozen=True, slots=True)
class LayerWork:
    """One layer, run alone on some cores.

    Attributes:
        index: its place in the network.
        name: its name in the model.
        label: its operators.
        kind: its sort.
        shape: channels x height x width that it reads and writes.
        algorithm: how it is computed.
        kernel: the C++ template that runs it.
        cores: how many cores share it.
        operations: by the direct method; a multiply-add counts as two.
        arithmetic: what all cores really do: with Winograd the products of all tiles, else `operations` without those
            on rows of padding.
        busiest_arithmetic: of the core with the most.
        lanes: of the vectors that hold its outputs, how many lanes are used and how many there are.
        tiles: rows and columns that its tiles cover; None without tiles.
        output_size: rows and columns of its output.
        multiply_adds: for each output number.
        other_steps: further instructions for each vector of outputs: start of the sum, epilogue, store.
        outputs: numbers that it computes.
        weights: its constants, as they are packed.
        inputs: the activations that it reads.
        output: the activation that it writes.
        tile_bytes: of transformed tiles, each written once and read once.
        transform_steps: instructions of transforms, counted for one lane.
        copied_bytes: of activations that it copies into another layout or padding before.
    """

    index: int
    name: str
    label: str
    kind: Kind
    shape: str
    algorithm: str
    kernel: str
    cores: int
    operations: int
    arithmetic: float
    busiest_arithmetic: float
    lanes: tuple[int, int]
    tiles: tuple[int, int] | None
    output_size: tuple[int, int]
    multiply_adds: float
    other_steps: int
    outputs: int
    weights: Moved
    inputs: Moved
    output: Moved
    tile_bytes: int = 0
    transform_steps: float = 0.0
    copied_bytes: int = 0

    @property
    def bytes(self) -> int:
        """Weights, inputs and output."""
        return self.weights.bytes + self.inputs.bytes + self.output.bytes

    @property
    def intensity(self) -> float:
        """Operations of the direct method for each byte."""
        return self.operations / self.bytes


@dataclass(frozen=True, slots=True)
class Cause:
    """Something that takes time beside the arithmetic, and how long it would take alone."""

    what: str
    seconds: float


def share(work: LayerWork, seconds: float, rates: Rates) -> float:
    """Operations of the direct method per second, over the peak: with Winograd it can exceed 1."""
    return work.operations / seconds / rates.operations_per_second


def arithmetic_share(work: LayerWork, seconds: float, rates: Rates) -> float:
    """Operations really done per second, over the peak."""
    return work.arithmetic / seconds / rates.operations_per_second


def transfer_seconds(work: LayerWork, rates: Rates) -> float:
    """Weights, inputs and output one after the other, from where each is."""
    return sum(moved.seconds(rates) for moved in (work.weights, work.inputs, work.output))


def bound_seconds(work: LayerWork, rates: Rates) -> float:
    """The least time that arithmetic and transfers allow, if the shorter goes on beside the longer."""
    return max(work.arithmetic / rates.operations_per_second, transfer_seconds(work, rates))


def settled(work: LayerWork, seconds: float, rates: Rates) -> LayerWork:
    """The work with bytes nearer to the cores where the measured time shows that they must have been.

    Where bytes come from is estimated from what was touched since they were last used, but a shared cache holds more or
    less than its size. As long as the transfers would take longer than the layer took, what takes longest of them
    that is not yet in the first-level cache comes from one level nearer.
    """
    nearer = dict(zip(list(Level)[1:], Level, strict=False))
    while transfer_seconds(work, rates) > seconds:
        parts = {"weights": work.weights, "inputs": work.inputs, "output": work.output}
        movable = {name: part for name, part in parts.items() if part.level in nearer and part.bytes}
        if not movable:
            break
        slowest = max(movable, key=lambda name: movable[name].seconds(rates))
        part = movable[slowest]
        moved = replace(part, level=nearer[part.level])
        work = _with_part(work, slowest, moved)
    return work


def _with_part(work: LayerWork, name: str, moved: Moved) -> LayerWork:
    match name:
        case "weights":
            return replace(work, weights=moved)
        case "inputs":
            return replace(work, inputs=moved)
    return replace(work, output=moved)


def causes(work: LayerWork, rates: Rates) -> tuple[Cause, ...]:
    """All that takes time beside arithmetic in full vectors shared evenly, the longest first."""
    peak = rates.operations_per_second
    arithmetic = work.arithmetic / peak
    used, taken = work.lanes
    found = [
        Cause(f"{used} of {taken} lanes used", arithmetic * (taken / used - 1)),
        Cause(_uneven_text(work), (work.busiest_arithmetic * work.cores - work.arithmetic) / peak),
        *(
            Cause(f"{what} {bytes_text(part.bytes)} {way} {part.level}", part.seconds(rates))
            for what, way, part in (
                ("weights", "from", work.weights),
                ("input", "from", work.inputs),
                ("output", "to", work.output),
            )
            if part.level is not Level.L1
        ),
        Cause(
            f"transforms: instructions, and tiles of {bytes_text(work.tile_bytes)} through L2",
            2 * work.transform_steps / peak + _there_and_back(work.tile_bytes, rates),
        ),
        Cause(
            f"copy of {bytes_text(work.copied_bytes)} into another layout",
            _there_and_back(work.copied_bytes, rates),
        ),
        Cause(
            f"short sums: {work.other_steps} other instructions to {work.multiply_adds:g} multiply-adds",
            2 * work.outputs * work.other_steps * taken / used / peak,
        ),
        Cause("start of the block", rates.start_seconds),
    ]
    if work.tiles is not None:
        found.append(Cause(*_tile_waste(work, peak)))
    return tuple(sorted((cause for cause in found if cause.seconds > 0), key=lambda cause: -cause.seconds))


def _there_and_back(size: int, rates: Rates) -> float:
    """Seconds to write bytes to the second-level cache and to read them again."""
    return Moved(size, Level.L2, written=True).seconds(rates) + Moved(size, Level.L2).seconds(rates)


def _uneven_text(work: LayerWork) -> str:
    busiest = work.busiest_arithmetic / work.arithmetic if work.arithmetic else 1.0
    return f"{work.cores} cores, the busiest does {percent(busiest)}"


def _tile_waste(work: LayerWork, peak: float) -> tuple[str, float]:
    """Products for outputs that tiles cover but the map does not have."""
    height, width = work.output_size
    rows, columns = work.tiles or (height, width)
    wasted = 1 - height * width / (rows * columns)
    return f"tiles cover {rows}x{columns} of {height}x{width}", wasted * work.arithmetic / peak


def reasons(work: LayerWork, seconds: float, rates: Rates, one_core_seconds: float | None = None) -> tuple[str, ...]:
    """What holds the layer back, by numbers; empty if its arithmetic runs at 80 % of the peak or more.

    Args:
        work: the layer, `settled`.
        seconds: its measured time.
        rates: the limits of as many cores.
        one_core_seconds: its measured time on one core by the same algorithm, where it is known.
    """
    if arithmetic_share(work, seconds, rates) >= GOOD_SHARE:
        return ()
    found = list(causes(work, rates))
    if one_core_seconds is not None and work.cores > 1:
        what = f"sharing: {milliseconds(one_core_seconds)} ms on one core"
        found.append(Cause(what, seconds - one_core_seconds / work.cores))
        found.sort(key=lambda cause: -cause.seconds)
    named = [cause for cause in found if cause.seconds >= SMALLEST_PART * seconds][:MOST_CAUSES]
    texts = [f"{cause.what}: {_of(cause.seconds, seconds)}" for cause in named]
    rest = seconds - work.arithmetic / rates.operations_per_second - sum(cause.seconds for cause in named)
    if rest >= SMALLEST_PART * seconds or not texts:
        texts.append(f"{_kernel_text(work)}: {_of(max(rest, 0.0), seconds)}")
    return tuple(texts)


def _kernel_text(work: LayerWork) -> str:
    """What remains, by the sort of the layer."""
    match work.kind:
        case Kind.DEPTHWISE:
            uses = work.multiply_adds * work.outputs * FLOAT_BYTES / work.inputs.bytes
            return f"depthwise: {uses:.1f} multiply-adds for each number read ({work.kernel})"
        case Kind.DENSE | Kind.POINTWISE | Kind.GEMM:
            return f"inside the kernel ({work.kernel})"
    what = "no sums over channels to fill the multiply-add units" if work.operations else "moves numbers only"
    return f"{what} ({work.kernel})"


def _of(part: float, whole: float) -> str:
    return f"{milliseconds(part)} of {milliseconds(whole)} ms"
