"""What the benchmark asks of an engine; there is one file beside this one for each.

An engine's package is imported only inside the methods that need it, so that all adapters can be listed where no engine
is installed.
"""

import math
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module, metadata, util
from pathlib import Path
from typing import Any, ClassVar, Self

from dlfusion.errors import DlfusionError, InputError
from dlfusion.graph.graph import Array
from dlfusion.runtime.program import ArrayPort
from dlfusion.targets.cpu.precision import Precision


class CannotRunError(DlfusionError):
    """An engine cannot run this model as asked; the message is the reason, without the model's name."""


@dataclass(frozen=True, slots=True)
class Task:
    """A model to run: its ONNX file, its inputs and outputs in order, the threads, the precision.

    Paths are absolute. `file` is what the engine loads: the ONNX file, or what the adapter's `convert` made of it. In
    fp32 all numbers and products have 32 bits; in bf16 an engine may store and multiply in bf16 where it can.
    """

    model: Path
    file: Path
    inputs: tuple[ArrayPort, ...]
    outputs: tuple[ArrayPort, ...]
    cores: int = 1
    precision: Precision = Precision.FP32

    def document(self) -> dict[str, Any]:
        """The task as JSON can hold it."""
        return {
            "model": str(self.model),
            "file": str(self.file),
            "inputs": [[port.name, list(port.shape)] for port in self.inputs],
            "outputs": [[port.name, list(port.shape)] for port in self.outputs],
            "cores": self.cores,
            "precision": self.precision,
        }

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """The task that `document` gave."""
        ports = {
            key: tuple(ArrayPort(name, tuple(shape)) for name, shape in document[key]) for key in ("inputs", "outputs")
        }
        return cls(
            Path(document["model"]),
            Path(document["file"]),
            ports["inputs"],
            ports["outputs"],
            document["cores"],
            Precision(document["precision"]),
        )


@dataclass(frozen=True, slots=True)
class Session:
    """A loaded model with its inputs.

    `run` is what is timed: from NumPy inputs to results that the program can read in the host's memory. `arrays` turns
    what the last run returned into NumPy arrays, in the order and with the shapes of the model's outputs.
    """

    run: Callable[[], Any]
    arrays: Callable[[Any], tuple[Array, ...]]


class Adapter(ABC):
    """How one engine is installed, how it converts and loads a model. Adapters hold no state.

    `packages` are the modules that must be there, `install` the command that makes them so, `distribution` the package
    whose version is recorded. `precisions` are those that the engine has; it computes in fp32 where it lacks one.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    distribution: ClassVar[str]
    packages: ClassVar[tuple[str, ...]]
    install: ClassVar[str]
    precisions: ClassVar[tuple[Precision, ...]] = (Precision.FP32,)

    @classmethod
    def is_installed(cls) -> bool:
        """True if all packages are there."""
        return all(util.find_spec(package) is not None for package in cls.packages)

    @classmethod
    def require(cls) -> None:
        """Nothing, if the engine is installed.

        Raises:
            InputError: it is not; the message says how to install it.
        """
        if not cls.is_installed():
            missing = ", ".join(package for package in cls.packages if util.find_spec(package) is None)
            raise InputError(f"comparing with {cls.title} needs {missing}, which is not installed: {cls.install}")

    @classmethod
    def version(cls) -> str:
        """The engine's version, for records.

        Raises:
            InputError: it is not installed.
        """
        cls.require()
        return metadata.version(cls.distribution)

    @classmethod
    def preload(cls) -> None:
        """Load the engine's code, so that a measurement that follows sees only what a model needs.

        Raises:
            InputError: it is not installed.
        """
        cls.require()
        import_module(cls.packages[0])

    @classmethod
    def precision(cls, asked: Precision) -> Precision:
        """The precision that the engine really uses where `asked` is asked for."""
        return asked if asked in cls.precisions else Precision.FP32

    @classmethod
    def settings(cls, task: Task) -> dict[str, str]:
        """The options that the engine is given beside its defaults, for records."""
        del task
        return {}

    @classmethod
    def environment(cls, isa: str | None) -> dict[str, str]:
        """Variables of the environment that keep the engine to an instruction set, where it knows any."""
        del isa
        return {}

    @classmethod
    def convert(cls, task: Task, folder: Path) -> Path:
        """The file to load, made in the empty folder if it is not the ONNX file itself.

        Raises:
            CannotRunError: the engine's converter refuses the model.
        """
        del folder
        return task.model

    @classmethod
    @abstractmethod
    def load(cls, task: Task, inputs: Sequence[Array]) -> Session:
        """The model, ready to run on these inputs.

        Raises:
            CannotRunError: the engine refuses the model.
        """


def shaped(arrays: Sequence[Array], ports: Sequence[ArrayPort]) -> tuple[Array, ...]:
    """The arrays in the shapes of the model's outputs: some engines leave out axes of length one.

    Raises:
        CannotRunError: there are more or fewer arrays than outputs, or one has another number of elements.
    """
    if len(arrays) != len(ports):
        raise CannotRunError(f"it gives {len(arrays)} outputs, the model has {len(ports)}")
    for array, port in zip(arrays, ports, strict=True):
        if array.size != math.prod(port.shape):
            raise CannotRunError(
                f"its output {port.name} has shape {list(array.shape)}, the model's {list(port.shape)}"
            )
    return tuple(array.reshape(port.shape) for array, port in zip(arrays, ports, strict=True))


def run_converter(command: Sequence[str], folder: Path, result: Path) -> Path:
    """The file `result` that the command has written, run in `folder`.

    Raises:
        CannotRunError: it failed, or wrote no such file; the message ends with the last line that it printed.
    """
    done = subprocess.run(
        list(command),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0 or not result.is_file() or not result.stat().st_size:
        lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
        last = f": {lines[-1]}" if lines else ""
        raise CannotRunError(f"its converter {Path(command[0]).name} ended with status {done.returncode}{last}")
    return result
