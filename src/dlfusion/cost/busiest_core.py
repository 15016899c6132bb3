"""The arithmetic of the core that a block waits for, by layers, and split by names of arithmetic and halo."""

import numpy as np

from dlfusion.cost.layer_numbers import Floats, LayerNumbers
from dlfusion.cost.terms import HALO, WORK_TERMS
from dlfusion.plans.plan import Partition
from dlfusion.plans.schedule import Schedule
from dlfusion.plans.work import Work


def arithmetic_parts(
    numbers: LayerNumbers, cut: Schedule, done: Work, stretch: Floats | float = 1.0
) -> tuple[dict[str, float], Floats]:
    """Seconds by name of the core with the most arithmetic, and its seconds for each layer, halo included.

    Halo is what this core computes beyond its share of each layer: the share of rows of the block's reference output
    that it owns. Layers of other heights are cut by rounding, so what falls short of the share in one layer is
    taken from what exceeds it in another; and what rounding up to whole tiles adds counts as halo in such blocks.

    Args:
        numbers: of the block's layers.
        cut: the block.
        done: its work.
        stretch: what the seconds of each core (last axis) grow by because its part of a layer fills the machine less.
    """
    whole = numbers.seconds
    operations = numbers.operations[:, None]
    # A layer that only moves data has no operations to tell its cores' shares by: it is taken to be shared evenly.
    shares = np.where(operations > 0, done.operations / np.maximum(operations, 1.0), 1.0 / cut.block.cores)
    seconds = shares * whole[:, None] * stretch
    busiest = int(seconds.sum(axis=0).argmax())
    spent = seconds[:, busiest]
    all_seconds = float(spent.sum())
    halo = 0.0
    if cut.block.cores > 1 and len(spent) > 1 and cut.block.partition is Partition.ROWS:
        rows = cut.flow.reference_rows
        own = rows * (busiest + 1) // cut.block.cores - rows * busiest // cut.block.cores
        halo = max(0.0, all_seconds - float(whole.sum()) * own / rows)
    by_name = np.bincount(numbers.terms, weights=spent, minlength=len(WORK_TERMS)).tolist()
    own_share = 1.0 - halo / all_seconds if all_seconds else 1.0
    parts = {name: value * own_share for name, value in zip(WORK_TERMS, by_name, strict=True) if value}
    if halo:
        parts[HALO] = halo
    return parts, spent
