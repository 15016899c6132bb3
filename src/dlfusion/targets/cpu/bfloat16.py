"""Weights as bfloat16: the upper half of a float32, half the bytes. `weights.hpp` reads what is packed here."""

import numpy as np
from numpy.typing import NDArray

from dlfusion.graph.graph import Array
from dlfusion.targets.cpu.precision import Storage

Bits = NDArray[np.uint32]

LARGEST = 3.38e38
"""Larger magnitudes would round to infinity."""

SMALLEST_SCALE = 1e-24
"""A layer whose largest weight is smaller has others that float32 arithmetic is slow on once they are rounded."""

ZERO_SHARE = 2.0**-40
"""What stands for zero in the upper half of a word, as a share of the layer's largest weight.

The word's lower half is then the mantissa of a number that is far too small to matter. With an exponent of zero it
would be a denormal, on which CPUs are a hundred times slower.
"""

_CHUNK = 1 << 15
"""Weights that are packed at a time: what is computed on the way stays in the cache."""

_SIGN, _MAGNITUDE = np.int32(-0x8000_0000), np.int32(0x7FFF_FFFF)
_INFINITY, _QUIET = np.int32(0x7F80_0000), np.int32(0x0040_0000)
_LARGEST_UPPER, _SMALLEST_NORMAL = np.int32(0x7F7F), np.int32(0x0080)
"""Upper halves of the largest and of the smallest normal number."""


def storable(weights: Array) -> bool:
    """True if rounding keeps all weights finite, and the layer's scale leaves room for what stands for zero."""
    largest = largest_magnitude(weights)
    return largest == 0.0 or SMALLEST_SCALE <= largest <= LARGEST  # false for NaN


def largest_magnitude(weights: Array) -> float:
    """The largest absolute value, 0 if there is none, NaN if there is a NaN."""
    return max(float(np.max(weights, initial=0.0)), -float(np.min(weights, initial=0.0)))


def rounded(values: Array) -> NDArray[np.uint16]:
    """The nearest bfloat16 of each value, of two equally near ones the even one; denormals become zero."""
    bits = np.ascontiguousarray(values).view(np.int32)
    magnitude = bits & _MAGNITUDE
    odd = (magnitude >> 16) & 1
    upper = np.where(magnitude > _INFINITY, magnitude | _QUIET, magnitude + (odd + 0x7FFF))  # NaN is above infinity
    upper[magnitude < _SMALLEST_NORMAL << 16] = 0
    return (((bits & _SIGN) | upper).view(np.uint32) >> np.uint32(16)).astype(np.uint16)


def pair_words(lower: Array, upper: Array, largest: float) -> Bits:
    """Words whose lower half is the bfloat16 of `lower`, and which as a whole are the float32 nearest to `upper`.

    `largest` is the largest magnitude of the layer's weights. The difference to `upper` is at most half the distance of
    neighbouring bfloat16, or `ZERO_SHARE` of `largest` where `upper` is smaller than that.
    """
    low = rounded(lower).astype(np.int32)
    bits = np.ascontiguousarray(upper).view(np.int32)
    high = ((bits & _MAGNITUDE) - low + 0x8000) >> 16
    zero = max(np.float32(largest * ZERO_SHARE).view(np.int32) >> 16, _SMALLEST_NORMAL)
    least = np.where(low == 0, np.int32(0), zero)
    high = np.minimum(np.maximum(high, least), _LARGEST_UPPER)
    high[high < _SMALLEST_NORMAL] = 0
    words: Bits = ((bits & _SIGN) | (high << 16) | low).view(np.uint32)
    return words


def store(weights: Array, largest: float, place: Array, storage: Storage) -> int:
    """Writes weights [...][input channel][unit][lane] to the start of `place` as `weights.hpp` reads them.

    `largest` is the largest magnitude of the layer's weights, which matters to `BFLOAT16` only. Pairs need an even
    number of input channels.

    Returns:
        How many floats were written.
    """
    size = storage.floats(weights.size)
    match storage:
        case Storage.FLOAT32:
            place[:size].reshape(weights.shape)[...] = weights
        case Storage.BFLOAT16:
            pack_units(weights.astype(np.float32, copy=False), largest, place[:size])
        case Storage.BFLOAT16_PAIRS:
            pack_channels(weights.astype(np.float32, copy=False), place[:size])
    return size


def pack_channels(weights: Array, place: Array) -> None:
    """Writes weights [...][input channel][unit][lane] as [...][pair of channels][unit][lane][channel of the pair].

    `place` holds half as many floats as there are weights.
    """
    units, lanes = weights.shape[-2:]
    steps = weights.reshape(-1, 2, units * lanes)
    target = place.view(np.uint16).reshape(len(steps), units * lanes, 2)
    chunk = max(1, _CHUNK // (2 * units * lanes))
    for first in range(0, len(steps), chunk):
        target[first : first + chunk] = rounded(steps[first : first + chunk]).transpose(0, 2, 1)


def pack_units(weights: Array, largest: float, place: Array) -> None:
    """Writes weights [...][unit][lane] as [...][words of pairs of units, then the halves of an odd last one].

    `place` holds half as many floats as there are weights.
    """
    units, lanes = weights.shape[-2:]
    steps = weights.reshape(-1, units, lanes)
    target = place.view(np.uint32).reshape(len(steps), units * lanes // 2)
    chunk = max(1, _CHUNK // (units * lanes))
    for first in range(0, len(steps), chunk):
        _pack_steps(steps[first : first + chunk], largest, target[first : first + chunk])


def _pack_steps(steps: Array, largest: float, target: Bits) -> None:
    count, units, lanes = steps.shape
    pairs = units // 2
    words = target[:, : pairs * lanes].reshape(count, pairs, lanes)
    words[...] = pair_words(steps[:, 0 : 2 * pairs : 2], steps[:, 1 : 2 * pairs : 2], largest)
    if units % 2:
        halves = target[:, pairs * lanes :].view(np.uint16)
        halves[...] = rounded(steps[:, -1])
