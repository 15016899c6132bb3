"""What a test must know of programs and libraries without loading them."""

import struct
from pathlib import Path

_SECTION_TABLE, _SECTION_SIZES = 0x28, 0x3A
_DYNAMIC = 6
_NEEDED, _SONAME = 1, 14


def needed_libraries(path: Path) -> set[str]:
    """The libraries that a file asks the loader for."""
    return set(_dynamic_texts(path, _NEEDED))


def soname(path: Path) -> str | None:
    """What programs that are linked to a library ask the loader for; None: whatever path the linker was given."""
    return next(iter(_dynamic_texts(path, _SONAME)), None)


def _dynamic_texts(path: Path, wanted: int) -> list[str]:
    """The texts with this tag in a 64-bit little-endian ELF file (System V ABI, "Dynamic Section")."""
    content = path.read_bytes()
    (table,) = struct.unpack_from("<Q", content, _SECTION_TABLE)
    size, count = struct.unpack_from("<HH", content, _SECTION_SIZES)
    sections = [struct.unpack_from("<IIQQQQI", content, table + size * index) for index in range(count)]
    _, _, _, _, start, length, names = next(section for section in sections if section[1] == _DYNAMIC)
    entries = struct.iter_unpack("<qQ", content[start : start + length])
    texts = content[sections[names][4] :]
    return [texts[at : texts.index(0, at)].decode() for tag, at in entries if tag == wanted]
