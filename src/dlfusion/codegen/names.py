"""Identifiers for generated code, derived from the model's names."""

import re
from collections.abc import Iterable

_CPP_WORDS = """
alignas alignof and asm auto bitand bitor bool break case catch char class compl const constexpr continue decltype
default delete do double else enum explicit export extern false float for friend goto if inline int long mutable
namespace new noexcept not nullptr operator or private protected public register return short signed sizeof static
struct switch template this throw true try typedef typeid typename union unsigned using virtual void volatile wchar_t
while xor
"""
_RESERVED = frozenset(_CPP_WORDS.split())


class NameTable:
    """Gives each key one readable identifier, distinct from all others, from C++'s words and from `reserved` ones."""

    def __init__(self, reserved: Iterable[str] = ()) -> None:
        self._names: dict[str, str] = {}
        self._taken: set[str] = {*_RESERVED, *reserved}

    def name(self, key: str, wish: str | None = None) -> str:
        """The identifier of `key`, made from `wish` (or from the key); the same key always gives the same one."""
        if key not in self._names:
            stem = re.sub(r"[^0-9a-z]+", "_", (wish or key).lower()).strip("_")[-40:].strip("_") or "value"
            if stem[0].isdigit():
                stem = f"v{stem}"
            candidate, count = stem, 1
            while candidate in self._taken:
                count += 1
                candidate = f"{stem}_{count}"
            self._taken.add(candidate)
            self._names[key] = candidate
        return self._names[key]
