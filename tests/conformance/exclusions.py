"""Which tests of the standard are left out, and why: the contents of `exclusions.toml`."""

import functools
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

FILE = Path(__file__).with_name("exclusions.toml")


@dataclass(frozen=True)
class Exclusion:
    """Tests that are left out for one reason.

    `patterns` are names as the shell matches them. `differs` says that the model is compiled and computes something
    else than the test expects; otherwise it is refused.
    """

    reason: str
    patterns: tuple[str, ...]
    differs: bool

    def covers(self, name: str) -> bool:
        """True if the test is left out for this reason."""
        return any(fnmatchcase(name, pattern) for pattern in self.patterns)

    def stale_patterns(self, names: Iterable[str]) -> list[str]:
        """The patterns that no test has."""
        known = list(names)
        return [pattern for pattern in self.patterns if not any(fnmatchcase(name, pattern) for name in known)]


@functools.cache
def exclusions() -> tuple[Exclusion, ...]:
    """All entries of the file."""
    document = tomllib.loads(FILE.read_text(encoding="utf-8"))
    return tuple(
        Exclusion(entry["reason"], tuple(entry["tests"]), kind == "differs")
        for kind in ("refused", "differs")
        for entry in document.get(kind, ())
    )


def exclusion_of(name: str) -> Exclusion | None:
    """The first entry that covers a test; None if the test must pass."""
    return next((entry for entry in exclusions() if entry.covers(name)), None)
