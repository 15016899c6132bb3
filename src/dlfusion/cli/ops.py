"""`dlfusion ops`: the ONNX operators that can be compiled."""

import inspect

from dlfusion.cli import options
from dlfusion.cli.console import output, print_json

NOTE = (
    "Opset 7 and newer, float32, static shapes (fix open ones with --shape). What depends on constants and shapes only "
    "is computed beforehand, by any operator. A model that uses anything else stops with a list of all such nodes and "
    "the reason for each."
)


def ops(as_json: options.Json = False) -> None:
    """List the supported ONNX operators with their limits."""
    from dlfusion.frontend.operators import CONVERTERS
    from dlfusion.report.table import Column, Table, terminal

    # What a converter's docstring says first is what it accepts: the table cannot disagree with the code.
    rows = tuple(
        (name, converter.__module__.rpartition(".")[2], (inspect.getdoc(converter) or name).splitlines()[0])
        for name, converter in sorted(CONVERTERS.items())
    )
    if as_json:
        print_json([dict(zip(("operator", "group", "limits"), row, strict=True)) for row in rows])
        return
    columns = tuple(Column(heading, number=False) for heading in ("operator", "group", "what is supported"))
    output().print(terminal(Table(f"{len(rows)} ONNX operators", columns, rows, (NOTE,))))
