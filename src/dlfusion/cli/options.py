"""Options that several commands share, each stated once, and the reading of their values."""

import os
from pathlib import Path
from typing import Annotated

import typer

from dlfusion.errors import InputError

DEFAULT_STRATEGY = "dlfusion"
DEFAULT_TARGET = "cpu"
DEFAULT_PRECISION = "fp32"

Model = Annotated[Path, typer.Argument(metavar="MODEL", help="An ONNX file.", show_default=False)]
Strategy = Annotated[
    str | None,
    typer.Option(
        "--strategy",
        "-s",
        metavar="NAME",
        help="How the plan is chosen: baseline, all-cores, layer-cores, fuse-all, fixed-block[:K], dlfusion, dp, "
        f"tuned, oracle, or a Python file with one of your own.  [default: {DEFAULT_STRATEGY}]",
    ),
]
Target = Annotated[
    str,
    typer.Option("--target", "-t", metavar="NAME", help="cpu, a machine that ships (mlu100, ...), or a machine file."),
]
ProfileFile = Annotated[
    Path | None,
    typer.Option("--profile", metavar="FILE", help="What `characterize` wrote.  [default: yours, else what ships]"),
]
Budget = Annotated[
    float | None,
    typer.Option(
        "--budget",
        metavar="SECONDS",
        min=1.0,
        help="How long a strategy that measures may measure.  [default: tuned 60, oracle no limit]",
    ),
]
OracleDepth = Annotated[
    int | None,
    typer.Option("--oracle-depth", metavar="N", min=1, help="Layers of the oracle's longest block.  [default: 8]"),
]
Database = Annotated[
    Path | None,
    typer.Option("--db", metavar="FILE", help="Where measurements are kept.  [default: in your cache folder]"),
]
Cores = Annotated[
    int | None,
    typer.Option("--cores", min=1, help="How many cores a block may use.  [default: all this process may use]"),
]
PlanFile = Annotated[
    Path | None, typer.Option("--plan", metavar="FILE", help="Use this plan.json instead of a strategy.")
]
Shapes = Annotated[
    list[str] | None,
    typer.Option("--shape", metavar="NAME=N,C,H,W", help="Fix the shape of an input; may be given several times."),
]
IsaName = Annotated[
    str | None,
    typer.Option(
        "--isa",
        metavar="NAME",
        help="Instruction set: avx512, avx2, avx512_bf16; neon is that of aarch64, for which `compile` builds on any "
        "machine.  [default: this machine's best for the precision]",
    ),
]
Exact = Annotated[
    bool,
    typer.Option(
        "--exact",
        help="Compute every convolution directly: no Winograd, which rounds more and spreads NaN over its tiles.",
    ),
]
Precision = Annotated[
    str | None,
    typer.Option(
        "--precision",
        metavar="NAME",
        help="What the CPU computes in: fp32, or bf16 where that is faster; sums stay fp32.  [default: fp32]",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]


def parse_shapes(texts: list[str] | None) -> dict[str, tuple[int, ...]] | None:
    """`["x=1,3,224,224"]` as `{"x": (1, 3, 224, 224)}`; None if nothing was given.

    Raises:
        InputError: a text has another form, a size is not a positive integer, or an input is named twice.
    """
    if not texts:
        return None
    shapes: dict[str, tuple[int, ...]] = {}
    for text in texts:
        name, separator, sizes = text.rpartition("=")
        fields = [field.strip() for field in sizes.split(",")]
        if not separator or not name or not all(field.isascii() and field.isdigit() and int(field) for field in fields):
            raise InputError(
                f"--shape {text!r} is not of the form NAME=N,C,H,W with positive sizes; example: --shape x=1,3,224,224"
            )
        if name in shapes:
            raise InputError(f"--shape names input {name!r} twice: {shapes[name]} and {sizes}; give each input once")
        shapes[name] = tuple(int(field) for field in fields)
    return shapes


def core_counts(texts: list[str] | None) -> tuple[int, ...]:
    """`["1,2", "4"]` as `(1, 2, 4)`, each once; nothing if nothing was given.

    Raises:
        InputError: something is no positive whole number.
    """
    counts = []
    for field in (field.strip() for text in texts or () for field in text.split(",")):
        if not (field.isascii() and field.isdigit() and int(field)):
            raise InputError(f"--cores {field!r} is not a positive number; example: --cores 1,2")
        counts.append(int(field))
    return tuple(dict.fromkeys(counts))


def existing_file(path: Path, what: str) -> Path:
    """The path, if a file stands there.

    Raises:
        InputError: nothing or a folder stands there; `what` says in the message what was expected.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder, expected {what}")
    if not path.is_file():
        raise InputError(f"{path} does not exist, expected {what}; check the path (relative to {os.curdir!r})")
    return path


def one_source_of_plans(plan_file: Path | None, strategy: str | None, cores: int | None) -> None:
    """Nothing, if at most one of a plan and a way to make one was given.

    Raises:
        InputError: `--plan` was given together with an option that it would silence.
    """
    named = [option for option, value in (("--strategy", strategy), ("--cores", cores)) if value is not None]
    if plan_file is not None and named:
        raise InputError(
            f"--plan {plan_file} already states every choice, so {' and '.join(named)} would have no effect; give one "
            "or the other"
        )
