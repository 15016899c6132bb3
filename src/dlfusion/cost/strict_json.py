"""Records out of JSON, checked: every field there, none unknown, each of its type; messages name the place."""

import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from types import GenericAlias
from typing import Any, TypeVar, get_args, get_type_hints

from dlfusion.errors import PlanError

T = TypeVar("T")


def decoded(kind: type[T], data: object, where: str) -> T:
    """The record of type `kind` that parsed JSON states.

    Records are dataclasses of numbers, texts, truth values, tuples and other records; JSON has objects and arrays for
    them. `where` names the place in messages.

    Raises:
        PlanError: a field is missing, unknown or of another type, or a number is not finite.
    """
    value: T = _value(kind, data, where)
    return value


def record_of_row(
    kind: type[T], names: Sequence[str], row: object, where: str, absent: Mapping[str, object] | None = None
) -> T:
    """The same from an array with a record's fields in the order of `names`; `absent` has JSON for all others."""
    if not isinstance(row, list) or len(row) != len(names):
        raise PlanError(
            f"In {where}: expected an array of {len(names)} entries ({', '.join(names)}), found {_shown(row)}."
        )
    return decoded(kind, {**dict(zip(names, row, strict=True)), **(absent or {})}, where)


def _value(kind: Any, data: object, where: str) -> Any:
    if isinstance(kind, GenericAlias):
        return _tuple(get_args(kind), data, where)
    if is_dataclass(kind):
        return _record(kind, data, where)
    if kind is float and type(data) is int:
        data = float(data) if abs(data) <= sys.float_info.max else math.inf
    if type(data) is not kind:
        raise PlanError(f"In {where}: expected a value of type {kind.__name__}, found {_shown(data)}.")
    if not _fits(kind, data):
        raise PlanError(f"In {where}: {_shown(data)} is not a finite number.")
    return data


def _fits(kind: Any, data: Any) -> bool:
    """True if `data` is a value of `kind` as it is: most are, and then nobody needs the text that names the place."""
    return type(data) is kind and (kind is not float or math.isfinite(data))


def _tuple(kinds: tuple[Any, ...], data: object, where: str) -> tuple[Any, ...]:
    """`kinds` is (kind, ...) for any length, else one kind for each entry."""
    if not isinstance(data, list):
        raise PlanError(f"In {where}: expected an array, found {_shown(data)}.")
    if kinds[-1] is Ellipsis:
        kinds = (kinds[0],) * len(data)
    if len(kinds) != len(data):
        raise PlanError(f"In {where}: expected an array of {len(kinds)} entries, found {_shown(data)}.")
    entries = enumerate(zip(kinds, data, strict=True))
    return tuple([item if _fits(kind, item) else _value(kind, item, f"{where}[{i}]") for i, (kind, item) in entries])


def _record(kind: Any, data: object, where: str) -> Any:
    if not isinstance(data, dict):
        raise PlanError(f"In {where}: expected an object with fields, found {_shown(data)}.")
    hints = _field_types(kind)
    names = list(hints)
    missing = [name for name in names if name not in data]
    if missing:
        raise PlanError(f"In {where}: missing {', '.join(missing)}.")
    unknown = [name for name in data if name not in names]
    if unknown:
        raise PlanError(f"In {where}: unknown {', '.join(unknown)}; the fields are {', '.join(names)}.")
    values = {name: data[name] for name in names}
    return kind(
        **{
            name: value if _fits(hints[name], value) else _value(hints[name], value, f"{where}: {name}")
            for name, value in values.items()
        }
    )


@cache
def _field_types(kind: Any) -> dict[str, Any]:
    """The fields of a record and their types, found out once: a profile has thousands of records of one type."""
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


def _shown(data: object) -> str:
    return json.dumps(data)[:60]
