"""Writing files so that an interruption leaves the old file or none."""

import os
from pathlib import Path

from dlfusion.errors import InputError


def write_text(file: Path, text: str) -> None:
    """Write UTF-8 text to a file in an existing folder.

    Raises:
        InputError: the folder does not exist, or the file cannot be written.
    """
    write_bytes(file, text.encode())


def write_bytes(file: Path, content: bytes) -> None:
    """Write bytes to a file in an existing folder.

    Raises:
        InputError: the folder does not exist, or the file cannot be written.
    """
    if not file.parent.is_dir():
        raise InputError(f"cannot write {file}: the folder {file.parent} does not exist; make it first")
    temporary = file.with_name(f".{file.name}.{os.getpid()}.part")  # another process may write the same file
    try:
        temporary.write_bytes(content)
        temporary.replace(file)
    except OSError as error:
        raise InputError(f"cannot write {file}: {error.strerror}") from error
    finally:
        temporary.unlink(missing_ok=True)


def existing_or_new_folder(folder: Path, option: str = "--output") -> Path:
    """The folder that `option` names, made with all folders above it if it is not there.

    Raises:
        InputError: a file stands there, or the folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {folder}: {error.strerror}; name another with {option}") from error
    return folder
