"""The ONNX standard's own tests: each passes under plans of both kinds, or is left out for a reason that holds."""

import pytest

from dlfusion.errors import ModelError, UnsupportedError
from tests.conformance.cases import STRATEGIES, Case, cases
from tests.conformance.exclusions import Exclusion, exclusion_of, exclusions

INCLUDED = [case for case in cases() if exclusion_of(case.name) is None]
EXCLUDED = [(case, entry) for case in cases() if (entry := exclusion_of(case.name)) is not None]
REFUSED = [case for case, entry in EXCLUDED if not entry.differs]
DIFFERENT = [case for case, entry in EXCLUDED if entry.differs]


def name_of(case: Case) -> str:
    return case.name


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("case", INCLUDED, ids=name_of)
def test_passes(case: Case, strategy: str) -> None:
    case.run(strategy)


@pytest.mark.parametrize("case", REFUSED, ids=name_of)
def test_what_is_left_out_is_refused_rather_than_computed_otherwise(case: Case) -> None:
    """If this fails, DLFusion can do more than `exclusions.toml` says: `python -m tests.conformance.update`."""
    with pytest.raises((UnsupportedError, ModelError)):
        case.run(STRATEGIES[0])


@pytest.mark.parametrize("case", DIFFERENT, ids=name_of)
def test_what_is_said_to_differ_does(case: Case) -> None:
    with pytest.raises(AssertionError):
        case.run(STRATEGIES[0])


@pytest.mark.parametrize("entry", exclusions(), ids=lambda entry: entry.patterns[0])
def test_what_is_left_out_exists_and_has_a_reason(entry: Exclusion) -> None:
    assert entry.reason.strip()
    assert entry.stale_patterns(case.name for case in cases()) == []


def test_there_are_tests_of_every_kind() -> None:
    kinds = {case.name.partition("/")[0] for case in INCLUDED}
    assert kinds == {"node", "simple", "pytorch-converted", "pytorch-operator"}
