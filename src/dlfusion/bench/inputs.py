"""The arrays that measurements run on."""

from collections.abc import Sequence

import numpy as np

from dlfusion.graph.graph import Array, Port

SEED = 0


def random_inputs(ports: Sequence[Port]) -> tuple[Array, ...]:
    """Standard normal values for each input; the same for the same ports."""
    generator = np.random.default_rng(SEED)
    return tuple(generator.standard_normal(port.array_shape, np.float32) for port in ports)
