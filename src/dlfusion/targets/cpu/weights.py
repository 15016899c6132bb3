"""The packed weights that a network's programs share: for each layer one section for each algorithm in use."""

import hashlib
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from dlfusion.layers.algorithm import Algorithm
from dlfusion.layers.layer import Network
from dlfusion.plans.plan import Plan
from dlfusion.targets.cpu.lowering import Lowering
from dlfusion.targets.cpu.section import Section

Use = tuple[int, Algorithm]
"""A layer's index in its network, and the algorithm that computes it."""


@dataclass(frozen=True)
class PackedWeights:
    """All sections one after the other. `offsets` says where the section of a layer's algorithm begins, in floats."""

    floats: NDArray[np.float32]
    offsets: Mapping[Use, int]
    sha256: str


def uses(network: Network, plans: Iterable[Plan]) -> frozenset[Use]:
    """Every layer of the network with the algorithms by which any of the plans computes it."""
    found: set[Use] = set()
    for plan in plans:
        named = {index: Algorithm(name) for block in plan.blocks for index, name in block.algorithms}
        found.update((layer.index, named.get(layer.index, Algorithm.DIRECT)) for layer in network.layers)
    return frozenset(found)


def pack(lowering: Lowering, wanted: Iterable[Use]) -> PackedWeights:
    """Packs the constants of these layers and algorithms, ordered by layer."""
    ordered = sorted(wanted, key=lambda use: (use[0], list(Algorithm).index(use[1])))
    sections = [lowering.layers[index][algorithm].constants for index, algorithm in ordered]
    ends = list(accumulate(section.size for section in sections))
    floats = np.empty(ends[-1] if ends else 0, np.float32)

    def write(section: Section, end: int) -> NDArray[np.float32]:
        place = floats[end - section.size : end]
        section.write(place)
        return place

    state = hashlib.sha256()
    with ThreadPoolExecutor() as pool:  # packing is copying and multiplying, for which NumPy lets other threads run
        for place in pool.map(write, sections, ends):
            state.update(place.view(np.uint8).data)  # while others are packed
    offsets = {
        use: end - section.size for use, section, end in zip(ordered, sections, ends, strict=True) if section.size
    }
    return PackedWeights(floats, offsets, state.hexdigest())
