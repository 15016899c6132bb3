"""Measurements as JSON lines: what one tuning database exports, another imports.

The first line says what the file is and its version; each further line is one measurement with its setting.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from dlfusion.errors import InputError
from dlfusion.runtime.measure import Setting
from dlfusion.tuning.store import Entry, Store

FORMAT_VERSION = 1
"""Version of the lines; a reader refuses any other."""

_KIND = "dlfusion measurements"
_YEAR_10000 = 253_402_300_800.0
"""In seconds since 1970: no date that can be shown, and no measurement, is longer."""

_FIELDS: dict[str, type | tuple[type, ...]] = {
    "machine": str,
    "compiler": str,
    "flags": list,
    "library": str,
    "structure": str,
    "label": str,
    "samples": list,
    "measured_at": (int, float),
}


def export_lines(store: Store) -> Iterator[str]:
    """The store as lines, each ending in a line break."""
    yield json.dumps({"kind": _KIND, "version": FORMAT_VERSION}) + "\n"
    for holding in store.holdings():
        setting = holding.setting
        for entry in store.entries(holding.number):
            record = {
                "machine": setting.machine,
                "compiler": setting.compiler,
                "flags": list(setting.flags),
                "library": setting.library,
                "structure": entry.structure,
                "label": entry.label,
                "samples": list(entry.samples),
                "measured_at": entry.measured_at,
            }
            yield json.dumps(record) + "\n"


def import_lines(store: Store, lines: Iterable[str]) -> tuple[int, int]:
    """Add the measurements that are not in the store yet: (how many were added, how many lines there were).

    Raises:
        InputError: a line is no measurement; the message names it, and the store stays as it was.
    """
    records = tuple(_records(lines))
    return store.merge(records), len(records)


def _records(lines: Iterable[str]) -> Iterator[tuple[Setting, Entry]]:
    numbered = iter(enumerate(lines, 1))
    head = _document(*next(numbered, (1, "")))
    if head.get("kind") != _KIND:
        raise InputError(f"line 1 does not say `{_KIND}`: this is no export of a tuning database")
    if head.get("version") != FORMAT_VERSION:
        raise InputError(f"the export has version {head.get('version')}; this program reads version {FORMAT_VERSION}")
    for number, line in numbered:
        yield _record(number, _document(number, line))


def _document(number: int, line: str) -> dict[str, Any]:
    try:
        document = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"line {number} is not JSON: {error}; the file may be cut off") from None
    if not isinstance(document, dict):
        raise InputError(f"line {number} is not an object with fields: {line[:60]!r}")
    return document


def _record(number: int, fields: dict[str, Any]) -> tuple[Setting, Entry]:
    for name, kind in _FIELDS.items():
        if not isinstance(fields.get(name), kind) or isinstance(fields.get(name), bool):
            raise InputError(f"line {number}: `{name}` is missing or of the wrong type")
    if not fields["samples"] or not all(_is_seconds(sample) for sample in fields["samples"]):
        raise InputError(f"line {number}: `samples` must be a list of seconds, at least one, none negative")
    if not _is_seconds(fields["measured_at"]):
        raise InputError(f"line {number}: `measured_at` must be seconds since 1970")
    if not all(isinstance(flag, str) for flag in fields["flags"]):
        raise InputError(f"line {number}: `flags` must be a list of texts")
    setting = Setting(fields["machine"], fields["compiler"], tuple(fields["flags"]), fields["library"])
    samples = tuple(float(sample) for sample in fields["samples"])
    return setting, Entry(fields["structure"], fields["label"], samples, float(fields["measured_at"]))


def _is_seconds(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _YEAR_10000
