"""Whether a compiled program computes what it should: its outputs beside a reference's."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dlfusion.errors import VerificationError
from dlfusion.graph.graph import Array

TOLERANCE = 1e-4
"""The largest difference, as a fraction of an output's scale, that counts as equal."""

BF16_TOLERANCE = 2e-2
"""The same for programs that store weights as bfloat16, each off by up to 2^-8: most of that averages out in sums."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How far outputs are from the reference.

    `difference` is the largest absolute difference in the worst output, number `output`; `scale` is the largest
    absolute value of that output's reference. Both are infinite if shapes differ or only one side is finite.
    """

    output: int
    difference: float
    scale: float
    tolerance: float = TOLERANCE

    @property
    def relative(self) -> float:
        """The difference as a fraction of the scale; infinite if that is undefined."""
        if self.difference == 0:
            return 0.0
        return self.difference / self.scale if 0 < self.scale < np.inf else np.inf

    @property
    def passed(self) -> bool:
        """True if the difference is within the tolerance."""
        return self.relative <= self.tolerance

    def __str__(self) -> str:
        """The numbers in words, for messages."""
        comparison = "within" if self.passed else "more than"
        return (
            f"output {self.output} differs by at most {self.difference:.3g} at a scale of {self.scale:.3g}: "
            f"{self.relative:.2e}, {comparison} {self.tolerance:g}"
        )


def compare(outputs: Sequence[Array], expected: Sequence[Array], tolerance: float = TOLERANCE) -> Verdict:
    """The verdict on the output that is furthest off; an empty list of outputs passes.

    Elements that are equal, or NaN on both sides, do not differ. An output whose reference is all zeros must be zero.
    """
    if len(outputs) != len(expected):
        return Verdict(min(len(outputs), len(expected)), np.inf, np.inf, tolerance)
    verdicts = (
        _compare_one(index, output, reference, tolerance)
        for index, (output, reference) in enumerate(zip(outputs, expected, strict=True))
    )
    return max(verdicts, key=lambda verdict: verdict.relative, default=Verdict(0, 0.0, 0.0, tolerance))


def require_equal(
    outputs: Sequence[Array],
    expected: Sequence[Array],
    what: str,
    tolerance: float = TOLERANCE,
    next_step: str = "",
) -> Verdict:
    """The verdict, if it passes.

    Raises:
        VerificationError: It does not; the message starts with `what`, has the numbers, and ends with `next_step`.
    """
    verdict = compare(outputs, expected, tolerance)
    if not verdict.passed:
        then = f"; {next_step}" if next_step else ""
        raise VerificationError(f"{what}: the result differs from the reference: {verdict}{then}")
    return verdict


def _compare_one(index: int, output: Array, reference: Array, tolerance: float) -> Verdict:
    if output.shape != reference.shape:
        return Verdict(index, np.inf, np.inf, tolerance)
    if output.size == 0:
        return Verdict(index, 0.0, 0.0, tolerance)
    same = (output == reference) | (np.isnan(output) & np.isnan(reference))
    if same.all():
        return Verdict(index, 0.0, _scale(reference), tolerance)
    differences = np.abs(output[~same].astype(np.float64) - reference[~same].astype(np.float64))
    difference = float(differences.max()) if np.isfinite(differences).all() else np.inf
    return Verdict(index, difference, _scale(reference), tolerance)


def _scale(reference: Array) -> float:
    """The largest finite absolute value; 0 if there is none."""
    finite = reference[np.isfinite(reference)]
    return float(np.abs(finite).max()) if finite.size else 0.0
