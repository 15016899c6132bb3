"""CMakeLists.txt of a compiled model's folder: builds the library again from its sources, each with its own flags."""

import re
import textwrap
from collections.abc import Iterable

from dlfusion.codegen.names import NameTable
from dlfusion.codegen.writer import comment
from dlfusion.runtime.program import Program
from dlfusion.runtime.toolchain import COMMON_FLAGS, LINK_FLAGS

CMAKE_FILE = "CMakeLists.txt"
EXAMPLE_FILE = "example.c"
"""The document of a program that is a C program for its folder; there need be none."""

_PLAIN = re.compile(r"[\w./=,+-]+", re.ASCII)
"""What means itself without quotes."""

_STANDARD = "-std=c++"
_GIVEN_BY_CMAKE = ("-shared", "-pthread")
"""Flags for linking that follow from the kind of library and from Threads::Threads."""


def target_name(program: Program) -> str:
    """What CMake calls the program's library: a word of small letters, digits and `_`, whatever the model's name is."""
    return f"dlfusion_{NameTable().name(program.name)}"


def cmake_lists(program: Program, source_folder: str, include_folder: str) -> str:
    """The text of CMakeLists.txt; equal programs give equal bytes, and it holds no path outside the folder."""
    target = target_name(program)
    standard = next(flag.removeprefix(_STANDARD) for flag in COMMON_FLAGS if flag.startswith(_STANDARD))
    compile_flags = [flag for flag in COMMON_FLAGS if not flag.startswith(_STANDARD)]
    link_flags = [flag for flag in LINK_FLAGS if flag not in _GIVEN_BY_CMAKE]
    sources = [f"{source_folder}/{unit.name}" for unit in program.units]
    properties = ('OUTPUT_NAME model PREFIX ""', f"CXX_STANDARD {standard} CXX_STANDARD_REQUIRED ON CXX_EXTENSIONS OFF")
    parts = [
        _head(program, target),
        _architecture_check(program),
        _command("add_library", target, *_arguments(sources)),
        _command("set_target_properties", f"{target} PROPERTIES", *properties),
        f"target_include_directories({target} PUBLIC . PRIVATE {include_folder})\n",
        f"target_link_libraries({target} PRIVATE Threads::Threads)\n",
        _command("target_link_options", f"{target} PRIVATE", *_arguments(link_flags)),
        _command("target_compile_options", f"{target} PRIVATE", *_arguments(compile_flags)),
        "# Most files have the model's instruction set; the one that asks the CPU for it has none.\n",
    ]
    for flags in dict.fromkeys(unit.flags for unit in program.units):
        names = [f"{source_folder}/{unit.name}" for unit in program.units if unit.flags == flags]
        options = " ".join(("PROPERTY COMPILE_OPTIONS", *_arguments(flags)))
        parts.append(_command("set_property", "SOURCE", *_arguments(names), options))
    if EXAMPLE_FILE in program.documents:
        parts.append(_example(target))
    return "".join(parts)


def _head(program: Program, target: str) -> str:
    """What the file is for, and what must be there."""
    return textwrap.dedent(f"""\
        # Builds the library of model {comment(program.name)} again, with the flags that DLFusion gave each file:
        #
        #     cmake -B build && cmake --build build
        #
        # The library is a shared one, or a static one with -DBUILD_SHARED_LIBS=OFF. In a project of your own:
        #
        #     add_subdirectory(path/of/this/folder model)
        #     target_link_libraries(my_program PRIVATE {target})
        cmake_minimum_required(VERSION 3.16)
        project({target} C CXX)

        if(NOT CMAKE_CXX_COMPILER_ID MATCHES "GNU|Clang")
          message(FATAL_ERROR "The sources need g++ or clang++, not ${{CMAKE_CXX_COMPILER}}: set CMAKE_CXX_COMPILER")
        endif()
        if(NOT DEFINED BUILD_SHARED_LIBS)
          set(BUILD_SHARED_LIBS ON)
        endif()
        find_package(Threads REQUIRED)
        """)


def _architecture_check(program: Program) -> str:
    """An error with a text where thousands would follow: the sources are full of one architecture's instructions.

    The compilers' own macro says what they compile for. CMAKE_SYSTEM_PROCESSOR says what this machine's kernel is,
    which is something else where a compiler is for another machine, or for 32 bits.
    """
    macro, name = f"__{program.architecture}__", program.architecture
    return textwrap.dedent(f"""\

        include(CheckSymbolExists)
        include(CheckCXXSymbolExists)
        check_symbol_exists({macro} "" DLFUSION_C_IS_FOR_{name})
        check_cxx_symbol_exists({macro} "" DLFUSION_CXX_IS_FOR_{name})
        foreach(language C CXX)
          if(NOT DLFUSION_${{language}}_IS_FOR_{name})
            message(FATAL_ERROR "The sources are for {name} ({program.isa}), but ${{CMAKE_${{language}}_COMPILER}} "
                                "does not compile for that. Run cmake on a machine of {name}, or name compilers for "
                                "it in the environment variables CC and CXX and use a new build folder.")
          endif()
        endforeach()

        """)


def _example(target: str) -> str:
    """The program `example`, where the folder is not a part of another project."""
    return textwrap.dedent(f"""\

        if(CMAKE_SOURCE_DIR STREQUAL PROJECT_SOURCE_DIR)
          add_executable(example {EXAMPLE_FILE})
          set_target_properties(example PROPERTIES C_STANDARD 99)
          target_link_libraries(example PRIVATE {target})
        endif()
        """)


def _command(name: str, first: str, *lines: str) -> str:
    """A call with an argument on each line."""
    return f"{name}({first}\n" + "".join(f"  {line}\n" for line in lines)[:-1] + ")\n"


def _arguments(texts: Iterable[str]) -> list[str]:
    """CMake arguments that stand for just these texts."""
    table = str.maketrans({character: f"\\{character}" for character in '\\"$;'})
    return [text if _PLAIN.fullmatch(text) else f'"{text.translate(table)}"' for text in texts]
