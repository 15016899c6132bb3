"""Tries all tests of the standard and proposes changes of `exclusions.toml`: `python -m tests.conformance.update`.

What fails and is not listed is printed as entries to be pasted, grouped by the refusal with numbers and names left out;
patterns and reasons are for a person to write. What is listed and passes, or does not exist, is named.
"""

import re
import sys
from collections import defaultdict
from collections.abc import Iterable

from dlfusion.errors import DlfusionError
from tests.conformance.cases import STRATEGIES, Case, cases
from tests.conformance.exclusions import exclusion_of, exclusions

Outcome = tuple[str, str]
"""`passed`, `refused` or `differs`, and what was said."""


def main() -> None:
    """Prints the proposal; the exit status is 1 if there is any."""
    groups: dict[Outcome, list[str]] = defaultdict(list)
    wrong: list[str] = []
    tests = cases()
    for number, case in enumerate(tests, 1):
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{number} of {len(tests)} ")
        kind, said = _outcome(case)
        entry = exclusion_of(case.name)
        if entry is None and kind != "passed":
            groups[kind, said].append(case.name)
        elif entry is not None and kind != ("differs" if entry.differs else "refused"):
            wrong.append(f"{case.name}: {kind} ({entry.reason})")
    stale = [pattern for entry in exclusions() for pattern in entry.stale_patterns(case.name for case in tests)]
    _print("Listed, but it is otherwise now:", wrong)
    _print("Patterns that no test has:", stale)
    for (kind, said), names in sorted(groups.items()):
        lines = [f"[[{kind}]]  # {said}", 'reason = ""', "tests = [", *(f'    "{name}",' for name in names), "]", ""]
        sys.stdout.write("\n".join(lines) + "\n")
    sys.exit(1 if groups or wrong or stale else 0)


def _outcome(case: Case) -> Outcome:
    try:
        case.run(STRATEGIES[0])
    except DlfusionError as error:
        return "refused", _masked(str(error))
    except AssertionError as error:
        return "differs", next(line for line in str(error).splitlines() if line.strip())
    return "passed", ""


def _masked(refusal: str) -> str:
    """The reason of the first node: the line behind a heading, without the node's name and the numbers."""
    first, *others = refusal.splitlines()
    line = others[0].strip() if first.endswith(":") and others else first
    line = re.sub(r"\(no name\), which computes \S+?:", "", line)
    return re.sub(r"\d+(\.\d+)?", "N", re.sub(r", node .*", "", line))


def _print(title: str, lines: Iterable[str]) -> None:
    listed = list(lines)
    if listed:
        sys.stdout.write("\n".join((title, *(f"  {line}" for line in listed), "")) + "\n")


if __name__ == "__main__":
    main()
