import subprocess
from pathlib import Path

from dlfusion.codegen.names import NameTable
from dlfusion.codegen.writer import Writer, comment, string_literal
from tests.support.compilers import cxx


def test_blocks_indent_what_they_hold() -> None:
    out = Writer()
    with out.block("void f()"):
        out.line("a();")
        with out.block("static const int x[] =", "};"):
            out.lines("1,", "2,")
        out.line()
    assert out.text() == "void f() {\n  a();\n  static const int x[] = {\n    1,\n    2,\n  };\n\n}\n"


def test_long_statements_are_broken_at_spaces() -> None:
    out = Writer()
    with out.block("void f()"):
        out.wrapped("short();")
        out.wrapped("    f(" + ", ".join(f"argument_{number}" for number in range(20)) + ");")
    lines = out.text().splitlines()
    assert lines[1] == "  short();"
    assert [line[:7] for line in lines[2:-1]] == ["      f", "      a", "      a"]
    assert max(map(len, lines)) <= 120


def test_comments_stay_on_their_line() -> None:
    assert comment("a\nb\r\x00c\\") == "a b  c/"
    assert "??/" not in comment("what??/")


def test_string_literals_survive_the_compiler(tmp_path: Path) -> None:
    names = ["plain", 'quo"te', "back\\slash", "new\nline", "tri??/graph", "ümlaut\x01" + "7", "%s", ""]
    source = tmp_path / "main.cpp"
    literals = ", ".join(map(string_literal, names))
    source.write_text(
        f"#include <cstdio>\nstatic const char* const names[] = {{{literals}}};\n"
        "int main() { for (const char* name : names) { std::fputs(name, stdout); std::putchar(0); } }\n"
    )
    binary = tmp_path / "main"
    subprocess.run([*cxx(), "-std=c++17", "-Wall", "-Werror", source, "-o", binary], check=True)
    assert subprocess.run([binary], capture_output=True, check=True).stdout == b"".join(
        n.encode() + b"\0" for n in names
    )


def test_identifiers_are_distinct_readable_and_legal() -> None:
    names = NameTable()
    assert names.name("Conv/1:0") == "conv_1_0"
    assert names.name("conv_1_0") == "conv_1_0_2"
    assert names.name("Conv/1:0") == "conv_1_0"
    assert names.name("12") == "v12"
    assert names.name("class") == "class_2"
    assert names.name("///") == "value"
    assert names.name("shape 3", "conv1 shape") == "conv1_shape"
    assert len(names.name("x" * 300)) <= 40
