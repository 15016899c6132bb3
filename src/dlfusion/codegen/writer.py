"""Writes indented source text: the one place where generated lines are put together."""

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager

_LINE_CHARACTERS = 120


class Writer:
    """Collects lines of C-like source text at the current indentation."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._depth = 0

    def line(self, text: str = "") -> None:
        """Adds one line; an empty text adds a blank line."""
        self._lines.append("  " * self._depth + text if text else "")

    def wrapped(self, text: str) -> None:
        """Adds one statement, broken at spaces into lines of at most 120 characters where that can be done."""
        width = _LINE_CHARACTERS - 2 * self._depth
        parts = textwrap.wrap(text, width, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)
        self.lines(*parts)

    def lines(self, *texts: str) -> None:
        """Adds several lines at the same indentation."""
        for text in texts:
            self.line(text)

    @contextmanager
    def block(self, opening: str, closing: str = "}") -> Iterator[None]:
        """Adds `opening {`, indents what follows, and adds `closing`."""
        self.line(f"{opening} {{" if opening else "{")
        self._depth += 1
        yield
        self._depth -= 1
        self.line(closing)

    def text(self) -> str:
        """Everything written so far, ending in one newline."""
        return "\n".join(self._lines).rstrip("\n") + "\n"


def comment(text: str) -> str:
    """`text` made safe for a one-line comment: names from a model may hold any character."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    # A backslash at the end of a line, or a trigraph for one, would swallow the next line.
    return printable.replace("\\", "/").replace("??/", "?/")


def string_literal(text: str) -> str:
    """`text` as a C string literal, in ASCII."""
    escaped = "".join(
        chr(byte) if 32 <= byte < 127 and chr(byte) not in '"\\?' else f"\\{byte:03o}" for byte in text.encode()
    )
    return f'"{escaped}"'
