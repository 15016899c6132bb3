"""What kernels see of weights that are stored as bfloat16."""

import numpy as np
from numpy.typing import NDArray

from dlfusion.graph.graph import Array


def widened(halves: NDArray[np.uint16]) -> Array:
    """The float32 value of each bfloat16."""
    return (halves.astype(np.uint32) << np.uint32(16)).view(np.float32)


def unpack_units(place: Array, units: int, lanes: int) -> Array:
    """The weights [step][unit][lane] that `weights.hpp` loads from what `pack_units` wrote."""
    stored = place.view(np.uint32).reshape(-1, units * lanes // 2)
    pairs = units // 2
    words = stored[:, : pairs * lanes].reshape(len(stored), pairs, lanes)
    weights = np.empty((stored.shape[0], units, lanes), np.float32)
    weights[:, 0 : 2 * pairs : 2] = (words << np.uint32(16)).view(np.float32)
    weights[:, 1 : 2 * pairs : 2] = words.copy().view(np.float32)
    if units % 2:
        weights[:, -1] = widened(np.ascontiguousarray(stored[:, pairs * lanes :]).view(np.uint16))
    return weights
