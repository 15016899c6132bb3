"""What characterizing a machine learned: fitted models with their errors, and the raw samples. One JSON form."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, fields, replace
from pathlib import Path

from dlfusion.cost.strict_json import decoded, record_of_row
from dlfusion.cost.terms import WINOGRAD_TERMS
from dlfusion.errors import PlanError
from dlfusion.layers.kind import Kind

SCHEMA_VERSION = 1
"""Version of the JSON form; a reader refuses any other."""

_SHIPPED = Path(__file__).parent / "profiles"


@dataclass(frozen=True, slots=True)
class Sample:
    """One measured block of a synthesized network.

    `label` names the layer or chain, such as `convolution 3x3 64>128 @56x56` or `chain 3: ...`; `kind` is the sort of
    its layers (`chain` for several); `operations` of one run without halo; `channels` is the geometric mean of its
    layers' input and output channels; `layers` is how many; `recompute` is operations with halo over those without;
    `terms` are the analytic model's parts of its time in seconds, by name, for fitting; `algorithms` has the name of
    each layer's algorithm, and is empty if all layers are computed directly.
    """

    label: str
    kind: str
    layers: int
    operations: int
    channels: float
    height: int
    width: int
    kernel: int
    stride: int
    cores: int
    partition: str
    step_rows: int
    recompute: float
    terms: tuple[tuple[str, float], ...]
    seconds: tuple[float, ...]
    algorithms: tuple[str, ...] = ()

    @property
    def minimum(self) -> float:
        """The shortest run."""
        return min(self.seconds)


@dataclass(frozen=True, slots=True)
class Fit:
    """How well a fitted model explains the samples: relative errors, left out of the fit when predicted."""

    samples: int
    median_relative_error: float
    worst_relative_error: float
    rank_correlation: float


@dataclass(frozen=True, slots=True)
class CostFit:
    """Factors for the analytic model's terms, by name, as the samples give them.

    `overlap` is the share of the smaller of arithmetic and transfers that hides behind the larger.
    """

    factors: tuple[tuple[str, float], ...]
    overlap: float
    fit: Fit

    @property
    def scales(self) -> dict[str, float]:
        """The factors by name; layers in tiles are scaled as dense convolutions where no sample of them was taken.

        So are they with a profile from before there was a choice of algorithms.
        """
        named = dict(self.factors)
        dense = named.get(Kind.DENSE)
        return named if dense is None else {**dict.fromkeys(WINOGRAD_TERMS, dense), **named}


@dataclass(frozen=True, slots=True)
class CoreRule:
    """The best core count from operation count and channels, as a decision tree over log2 of both.

    An inner node is (feature index, threshold, node if at most, node if above); features are log2(operations) and
    log2(channels). A leaf is -1, 0.0, and the index of its entry in `leaves`, twice. An entry of `leaves` has for each
    of `core_counts` the mean log2 of the slowdown against the best count; the rule takes the least.
    `regret` is the mean relative loss against the best count on samples left out of the fit, `worst_regret` the worst.
    """

    core_counts: tuple[int, ...]
    nodes: tuple[tuple[int, float, int, int], ...]
    leaves: tuple[tuple[float, ...], ...]
    regret: float
    worst_regret: float

    def slowdowns(self, operations: float, channels: float) -> tuple[float, ...]:
        """For each of `core_counts` the time that the rule expects, over that of the best count; the least is best.

        Args:
            operations: of one run, on all cores together.
            channels: the geometric mean of input and output channels.
        """
        features = math.log2(max(operations, 1)), math.log2(max(channels, 1))
        feature, threshold, below, above = self.nodes[0]
        while feature >= 0:
            feature, threshold, below, above = self.nodes[below if features[feature] <= threshold else above]
        return tuple(2**slowdown for slowdown in self.leaves[below])

    def best(self, operations: float, channels: float, allowed: Sequence[int]) -> int:
        """The core count of `allowed` with the least expected time, the smaller on a tie.

        Where none of `allowed` was measured, the largest that is not above the best measured count, else the smallest.
        """
        ordered = sorted(zip(self.slowdowns(operations, channels), self.core_counts, strict=True))
        for _, count in ordered:
            if count in allowed:
                return count
        return max((count for count in allowed if count <= ordered[0][1]), default=min(allowed))


@dataclass(frozen=True, slots=True)
class Profile:
    """What is known of one machine.

    `machine` is its fingerprint; `compiler`, `flags` and `library` are those of the measurements; `simulated` says that
    a simulator stood for the device. `critical_operations` is the operation count per core above which a core runs
    within a tenth of its plateau (operations).
    """

    target: str
    machine: str
    simulated: bool
    compiler: str
    flags: tuple[str, ...]
    library: str
    cost: CostFit
    cores: CoreRule
    critical_operations: float
    samples: tuple[Sample, ...]

    def to_json(self) -> str:
        """The profile as readable JSON, one line per sample; `from_json` reads it back to an equal profile.

        Samples have no field for algorithms where none names any.
        """
        names = _SAMPLE_FIELDS if any(sample.algorithms for sample in self.samples) else _PLAIN_SAMPLE_FIELDS
        head: dict[str, object] = {"version": SCHEMA_VERSION}
        head |= {name: getattr(self, name) for name in _PLAIN_FIELDS}
        head |= {"cost": asdict(self.cost), "cores": asdict(self.cores), "sample_fields": names}
        lines = [f"  {json.dumps(key)}: {json.dumps(value)}," for key, value in head.items()]
        rows = ",\n".join(f"    {json.dumps(astuple(sample)[: len(names)])}" for sample in self.samples)
        return "\n".join(["{", *lines, '  "samples": [', *([rows] if rows else []), "  ]", "}", ""])

    @staticmethod
    def from_json(text: str) -> "Profile":
        """The profile that `text` states.

        Raises:
            PlanError: the text is no JSON, has another schema version, or a field is missing, unknown, of another type
                or out of its range; the message names the field and says how to get a new profile.
        """
        try:
            return _profile(text)
        except PlanError as error:
            raise PlanError(f"{error} Run `dlfusion characterize` to write a new profile.") from None

    def machine_warning(self, machine: str, compiler: str, library: str) -> str | None:
        """What differs, as the end of a sentence, if the profile was measured elsewhere or otherwise, else None.

        Args:
            machine: the fingerprint of the machine that is planned for.
            compiler: the compiler that its code is built with.
            library: the digest of the kernel library, or the version of the simulator.
        """
        differences = []
        if machine != self.machine:
            then, now = self.machine.split("; "), machine.split("; ")
            only_then = ", ".join(part for part in then if part not in now) or "less is known of it"
            only_now = ", ".join(part for part in now if part not in then) or "less is known"
            differences.append(f"another machine ({only_then}; here: {only_now})")
        if compiler != self.compiler:
            differences.append(f"another compiler ({self.compiler or 'none'}; here: {compiler or 'none'})")
        if library != self.library:
            differences.append(f"another kernel library ({self.library or 'none'}; here: {library or 'none'})")
        if not differences:
            return None
        return f"it was measured with {' and '.join(differences)}, so predictions may be off."


_SAMPLE_FIELDS = [field.name for field in fields(Sample)]
_PLAIN_SAMPLE_FIELDS = _SAMPLE_FIELDS[:-1]
"""Without algorithms: of profiles in which all layers are computed directly, and from before there was a choice."""

_PLAIN_FIELDS = ("target", "machine", "simulated", "compiler", "flags", "library", "critical_operations")


def shipped_profiles() -> Mapping[str, Path]:
    """The profiles that come with the package, by the name of their target."""
    return {path.stem: path for path in sorted(_SHIPPED.glob("*.json"))}


def _profile(text: str) -> Profile:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:  # also numbers and nesting beyond Python's limits
        raise PlanError(f"The profile is not valid JSON: {error}.") from None
    if not isinstance(data, dict) or "version" not in data:
        raise PlanError("In the profile: missing version.")
    if data["version"] != SCHEMA_VERSION:
        raise PlanError(f"The profile has version {data['version']}; this program reads version {SCHEMA_VERSION}.")
    names = data.get("sample_fields")
    if names not in (_SAMPLE_FIELDS, _PLAIN_SAMPLE_FIELDS):
        raise PlanError(f"In the profile: sample_fields must be {', '.join(_SAMPLE_FIELDS)}; the last may be left out.")
    if not isinstance(data.get("samples"), list):
        raise PlanError("In the profile: samples must be an array.")
    absent: dict[str, object] = {} if len(names) == len(_SAMPLE_FIELDS) else {"algorithms": []}
    samples = tuple(record_of_row(Sample, names, row, f"sample {i}", absent) for i, row in enumerate(data["samples"]))
    rest = {name: value for name, value in data.items() if name not in ("version", "sample_fields")}
    profile = replace(decoded(Profile, {**rest, "samples": []}, "the profile"), samples=samples)
    _check_ranges(profile)
    return profile


def _check_ranges(profile: Profile) -> None:
    """What types do not say: a rule that can be walked, factors and times that can be multiplied and divided by."""
    rule = profile.cores
    if not rule.core_counts or list(rule.core_counts) != sorted(set(rule.core_counts)) or rule.core_counts[0] < 1:
        raise PlanError(f"In the profile: core_counts must be ascending and positive, found {rule.core_counts}.")
    if any(len(leaf) != len(rule.core_counts) for leaf in rule.leaves):
        raise PlanError(f"In the profile: each of leaves needs {len(rule.core_counts)} entries, one per core count.")
    for index, (feature, _, below, above) in enumerate(rule.nodes):
        inner = feature in (0, 1) and index < min(below, above) and max(below, above) < len(rule.nodes)
        if not inner and not (feature == -1 and below == above and 0 <= below < len(rule.leaves)):
            raise PlanError(f"In the profile: node {index} of the rule for cores leads nowhere.")
    if not rule.nodes:
        raise PlanError("In the profile: the rule for cores has no nodes.")
    if any(factor < 0 for _, factor in profile.cost.factors) or not 0 <= profile.cost.overlap <= 1:
        raise PlanError("In the profile: factors must not be negative, and overlap must lie between 0 and 1.")
    for index, sample in enumerate(profile.samples):
        if not sample.seconds or min(sample.seconds) <= 0:
            raise PlanError(f"In sample {index} ({sample.label}): seconds must be there and positive.")
