"""The C++ compiler of tests that call one themselves: where no g++ is installed, clang of the ziglang wheel."""

import functools
import shlex
import shutil

from dlfusion.runtime.cache import open_cache
from dlfusion.runtime.toolchain import Compiler, find_compiler

HAS_GXX = shutil.which("g++") is not None


@functools.cache
def _compiler() -> Compiler:
    return find_compiler(open_cache())


def cxx() -> tuple[str, ...]:
    """The command of the compiler that DLFusion finds."""
    return _compiler().command


def shell_call() -> str:
    """Lines of a shell script that hands its arguments to that compiler."""
    command, link_flags = shlex.join(cxx()), shlex.join(_compiler().link_flags)
    linking = f'case "$*" in *-shared*) exec {command} {link_flags} "$@";; esac'
    return f'{linking}\nexec {command} "$@"'
