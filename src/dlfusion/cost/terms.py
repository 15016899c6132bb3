"""The parts of a block's predicted time by name, and how they add up: what analytic and fitted models share.

A block takes

    starts + arithmetic + transfers + exposed transfers - overlap * min(arithmetic - alone, transfers)

Parts are named in seconds; parts that are zero are left out. The part `halo` is arithmetic that another core does too;
it is done at the mean rate of the block's arithmetic, so it is scaled as that is and has no factor of its own. The
part `alone` tells how much of the other parts' arithmetic has no transfer that could go on beside it: it is not added,
and grows as the arithmetic does.
"""

from collections.abc import Mapping
from enum import StrEnum

from dlfusion.cost.model import Cost, Term
from dlfusion.layers.algorithm import Algorithm
from dlfusion.layers.kind import Kind


class TermSort(StrEnum):
    """What a part of a block's time does to the others."""

    START = "start"
    ARITHMETIC = "arithmetic"
    TRANSFER = "transfer"
    EXPOSED = "exposed transfer"


LAUNCH = "launch"
"""From the call of a block to its start."""
SYNCHRONIZATION = "synchronization"
"""Bringing the cores of a block together."""
CALLS = "calls"
"""Issuing each layer of each step on the busiest core."""
HALO = "halo"
"""Arithmetic of the busiest core on rows that another core computes too."""
MAPS = "maps"
"""Rows of the block's inputs and outputs, as far as other work can go on beside them."""
WEIGHTS = "weights"
"""Each weight once, from where all cores share it."""
WEIGHTS_AGAIN = "weights again"
"""Weights that a core fetches although another core, or an earlier step, has fetched them."""
LINE_BUFFERS = "line buffers"
"""Rows between layers that do not stay near the core."""
MEMORY_ROWS = "rows in memory"
"""Rows of inputs, outputs and line buffers that come from memory and go there, since caches cannot hold them."""
MEMORY_TILES = "tiles in memory"
"""The same of layers that compute in tiles: transforms wait for them, and no products go on beside (measured)."""
FIRST_WEIGHTS = "first weights"
"""Weights that must be there before the first row is computed."""
EDGE_ROWS = "first and last rows"
"""The first rows in and the last rows out, beside which nothing is computed."""
ALONE = "alone"
"""Arithmetic, counted in other parts, beside which no transfer can go on."""
HIDDEN = "hidden"
"""What goes on beside something longer; negative."""

KIND_TERMS: tuple[str, ...] = tuple(str(kind) for kind in Kind)
"""Arithmetic without halo by the sort of the layer, of layers that are computed directly."""

WINOGRAD_TERMS: tuple[str, ...] = tuple(str(name) for name in Algorithm if name != Algorithm.DIRECT)
"""Products and transforms without halo of layers that are computed in tiles, by the algorithm."""

WORK_TERMS: tuple[str, ...] = (*KIND_TERMS, *WINOGRAD_TERMS)
"""All arithmetic without halo and calls."""

SORTS: Mapping[str, TermSort] = {
    LAUNCH: TermSort.START,
    SYNCHRONIZATION: TermSort.START,
    CALLS: TermSort.ARITHMETIC,
    **dict.fromkeys(WORK_TERMS, TermSort.ARITHMETIC),
    HALO: TermSort.ARITHMETIC,
    MAPS: TermSort.TRANSFER,
    WEIGHTS: TermSort.TRANSFER,
    WEIGHTS_AGAIN: TermSort.TRANSFER,
    LINE_BUFFERS: TermSort.TRANSFER,
    MEMORY_ROWS: TermSort.TRANSFER,
    FIRST_WEIGHTS: TermSort.EXPOSED,
    EDGE_ROWS: TermSort.EXPOSED,
    MEMORY_TILES: TermSort.EXPOSED,
}
"""All parts that are added, in the order they are shown."""

ARITHMETIC_TERMS: tuple[str, ...] = tuple(name for name, sort in SORTS.items() if sort is TermSort.ARITHMETIC)
"""What can hide transfers, or behind them."""

FACTOR_NAMES: tuple[str, ...] = tuple(name for name in SORTS if name != HALO)
"""The parts that a fit may scale."""


def halo_share(parts: Mapping[str, float]) -> float:
    """Halo over the rest of the arithmetic without calls."""
    halo = parts.get(HALO, 0.0)
    own = sum(parts.get(name, 0.0) for name in WORK_TERMS) if halo else 0.0
    return halo / own if own else 0.0


def alone_share(parts: Mapping[str, float]) -> float:
    """The share of all arithmetic that no transfer can go on beside."""
    alone = parts.get(ALONE, 0.0)
    arithmetic = sum(parts.get(name, 0.0) for name in ARITHMETIC_TERMS) if alone else 0.0
    return min(1.0, alone / arithmetic) if arithmetic else 0.0


def total(parts: Mapping[str, float], factors: Mapping[str, float], overlap: float) -> Cost:
    """The block's cost: parts (seconds) times factors (1 where there is none), less what is hidden.

    Args:
        parts: seconds by name, without `hidden`.
        factors: by name, of `FACTOR_NAMES`.
        overlap: the share of the smaller of arithmetic and transfers that goes on beside the larger, 0 to 1.
    """
    scaled = {name: parts[name] * factors.get(name, 1.0) for name in parts if name not in (HALO, ALONE)}
    share = halo_share(parts)
    if share:
        scaled[HALO] = share * sum(scaled.get(name, 0.0) for name in WORK_TERMS)
    arithmetic = transfers = 0.0
    for name, seconds in scaled.items():
        if SORTS[name] is TermSort.ARITHMETIC:
            arithmetic += seconds
        elif SORTS[name] is TermSort.TRANSFER:
            transfers += seconds
    terms = [Term(name, scaled[name]) for name in SORTS if scaled.get(name)]
    hidden = overlap * min(arithmetic * (1 - alone_share(parts)), transfers)
    if hidden:
        terms.append(Term(HIDDEN, -hidden))
    return Cost(tuple(terms))
