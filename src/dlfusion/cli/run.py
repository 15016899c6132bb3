"""`dlfusion run`: feed files to a model and show or save what comes out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dlfusion.cli import options
from dlfusion.cli.console import messages, output, print_json, progress
from dlfusion.cli.files import write_bytes
from dlfusion.errors import InputError

if TYPE_CHECKING:
    from dlfusion.driver import CompiledModel
    from dlfusion.graph.graph import Array

TOP = 5


def run(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL_OR_DIR", help="An ONNX file, or a folder that `compile` wrote.", show_default=False
        ),
    ],
    inputs: Annotated[
        list[Path],
        typer.Option(
            "--input",
            "-i",
            metavar="FILE",
            help="A .npy or image for each input in order, or one .npz with all inputs by name. Arrays: float32 of the "
            "input's shape. Images: RGB, resized, centre-cropped, ImageNet mean and deviation; one-channel models get "
            "luminance in 0..1.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write the outputs as .npy or .npz.")
    ] = None,
    labels: Annotated[Path | None, typer.Option(metavar="FILE", help="Names of classes, one a line.")] = None,
    strategy: options.Strategy = None,
    cores: options.Cores = None,
    shape: options.Shapes = None,
    exact: options.Exact = False,
    precision: options.Precision = None,
    as_json: options.Json = False,
) -> None:
    """Run a model on files: prints the five highest scores, or writes all outputs with -o."""
    if out is not None and out.suffix.lower() not in (".npy", ".npz"):
        raise InputError(f"--output {out} must end in .npy or .npz")
    names = _read_labels(labels)
    compiled = _executable(model, strategy, cores, shape, exact, precision, quiet=as_json)
    from dlfusion.cli.inputs import read_inputs

    program = compiled.executable
    arrays = compiled.outputs(*read_inputs(inputs, program.inputs))
    outputs = {port.name: array for port, array in zip(program.outputs, arrays, strict=True)}
    if out is not None:
        _write(out, outputs)
    if as_json:
        print_json({"outputs": [_description(name, array, names) for name, array in outputs.items()]})
    elif out is None:
        for name, array in outputs.items():
            _show(name, array, names, "FILE.npy" if len(outputs) == 1 else "FILE.npz")
    else:
        messages().print(f"wrote {out}", markup=False)


def _executable(
    model: Path,
    strategy: str | None,
    cores: int | None,
    shape: list[str] | None,
    exact: bool,
    precision: str | None,
    *,
    quiet: bool,
) -> "CompiledModel":
    from dlfusion import driver

    if model.is_dir():
        _refuse_choices(model, (strategy, cores, shape or None, exact or None, precision))
        return driver.load(model)
    options.existing_file(model, "an ONNX file or a compiled folder")
    with progress(quiet=quiet) as advance:
        return driver.compile(
            model,
            strategy=strategy or options.DEFAULT_STRATEGY,
            cores=cores,
            shapes=options.parse_shapes(shape),
            exact=exact,
            precision=precision or options.DEFAULT_PRECISION,
            progress=advance,
        )


def _refuse_choices(folder: Path, values: Sequence[object]) -> None:
    """Nothing, unless an option that only compiling could heed was given for a model that is compiled already."""
    names = ("--strategy", "--cores", "--shape", "--exact", "--precision")
    given = [name for name, value in zip(names, values, strict=True) if value is not None]
    if given:
        raise InputError(
            f"{folder} is compiled already, so {' and '.join(given)} would have no effect; leave it out, or name the "
            "ONNX file"
        )


def _read_labels(file: Path | None) -> list[str]:
    if file is None:
        return []
    options.existing_file(file, "a text file with one label a line")
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--labels {file} cannot be read as UTF-8 text: {error}; save it as UTF-8") from error


def _write(file: Path, outputs: Mapping[str, "Array"]) -> None:
    import io
    import zipfile

    import numpy as np

    content = io.BytesIO()
    if file.suffix.lower() == ".npz":
        with zipfile.ZipFile(content, "w") as archive:  # numpy.savez has arguments that outputs may be called like
            for name, array in outputs.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                    np.lib.format.write_array(entry, array, allow_pickle=False)
    elif len(outputs) == 1:
        np.save(content, next(iter(outputs.values())))
    else:
        raise InputError(
            f"the model has {len(outputs)} outputs ({', '.join(outputs)}), a .npy file holds one; use .npz"
        )
    write_bytes(file, content.getvalue())


def _is_scores(array: "Array") -> bool:
    """True for one vector of scores per image: N x C, or N x C x 1 x 1."""
    return array.ndim >= 2 and array.shape[1] > 1 and array.size == array.shape[0] * array.shape[1]


def _top(scores: "Array", names: list[str]) -> list[dict[str, Any]]:
    order = (-scores).argsort(kind="stable")[:TOP]
    return [
        {"class": int(index), "score": float(scores[index])} | ({"label": names[index]} if index < len(names) else {})
        for index in order
    ]


def _description(name: str, array: "Array", names: list[str]) -> dict[str, Any]:
    described: dict[str, Any] = {"name": name, "shape": list(array.shape)}
    if _is_scores(array):
        described["top"] = [_top(scores, names) for scores in array.reshape(array.shape[:2])]
    else:
        described |= {"minimum": float(array.min()), "maximum": float(array.max()), "mean": float(array.mean())}
    return described


def _show(name: str, array: "Array", names: list[str], file: str) -> None:
    described = _description(name, array, names)
    console = output()
    console.print(f"{name}: {' x '.join(map(str, array.shape))}", markup=False)
    for image, entries in enumerate(described.get("top", ())):
        if array.shape[0] > 1:
            console.print(f"  image {image}", markup=False)
        for entry in entries:
            console.print(
                f"  {entry['score']:10.4f}  class {entry['class']} {entry.get('label', '')}".rstrip(), markup=False
            )
    if "mean" in described:
        values = ", ".join(f"{key} {described[key]:.6g}" for key in ("minimum", "maximum", "mean"))
        console.print(f"  {values}; write the array with -o {file}", markup=False)
