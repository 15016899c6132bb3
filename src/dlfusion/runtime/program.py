"""What a target generates and the build turns into an executable: C++ files, weights, and what describes them."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from dlfusion.machine.architecture import X86_64

_LOCAL_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+"([^"\n]+)"', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class ArrayPort:
    """An input or output as the user sees it: a dense float32 array of this shape."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Unit:
    """One C++ file that is compiled on its own.

    `name` is its file name in the folder `sources`. `flags` are this file's compiler flags besides those that all
    files share (`toolchain.COMMON_FLAGS`), mostly the instruction set. Equal text, flags and headers give one object
    file in the cache, whatever the name: a unit that instantiates one kernel is compiled once for all models.
    """

    name: str
    text: str
    flags: tuple[str, ...] = ()


def runtime_unit(text: str, isa_flags: Iterable[str]) -> Unit:
    """The unit `runtime.cpp` of a program whose other units are compiled with `isa_flags`.

    It is compiled without them, and told which CPU features they stand for, so that opening the model on a CPU
    without these is an error with a text and not an illegal instruction.
    """
    features = " ".join(cpu_features(isa_flags))
    return Unit("runtime.cpp", text, (f'-DDLFUSION_CPU_FEATURES="{features}"',))


def cpu_features(isa_flags: Iterable[str]) -> tuple[str, ...]:
    """The CPU features that compiler flags turn on: `avx2` for `-mavx2`; flags with a value only tune."""
    return tuple(flag[2:] for flag in isa_flags if flag.startswith("-m") and "=" not in flag)


@dataclass(frozen=True)
class Program:
    """Everything that becomes one compiled model, for processors of one architecture.

    `headers` maps the file names that units include with quotes to their texts, those of the kernel library and of the
    runtime included (`dlfusion.h` must be there). `weights` is the packed weights file and `weights_sha256` its
    `weights_digest`. `documents` are further text files for the artefact's folder, such as `plan.json`. `isa` names the
    instruction set and `cores` is the most that any block runs on. `precision` names the storage of weights.
    """

    name: str
    inputs: tuple[ArrayPort, ...]
    outputs: tuple[ArrayPort, ...]
    isa: str
    cores: int
    units: tuple[Unit, ...]
    headers: Mapping[str, str]
    weights: NDArray[np.float32]
    weights_sha256: str
    precision: str = "fp32"
    documents: Mapping[str, str] = field(default_factory=dict)
    architecture: str = X86_64

    def __post_init__(self) -> None:
        object.__setattr__(self, "headers", MappingProxyType(dict(self.headers)))
        object.__setattr__(self, "documents", MappingProxyType(dict(self.documents)))
        names = [unit.name for unit in self.units]
        if len(set(names)) != len(names):
            raise ValueError(f"two units of program {self.name} have one name: {sorted(names)}")
        if self.weights.dtype != np.float32 or self.weights.ndim != 1 or not self.weights.flags.c_contiguous:
            raise ValueError(f"the weights of program {self.name} must be a contiguous float32 vector")

    def included(self, unit: Unit) -> tuple[str, ...]:
        """Names of all headers that the unit includes, also through other headers, in sorted order."""
        found: set[str] = set()
        texts = [unit.text]
        while texts:
            for name in _LOCAL_INCLUDE.findall(texts.pop()):
                if name in self.headers and name not in found:
                    found.add(name)
                    texts.append(self.headers[name])
        return tuple(sorted(found))


def weights_digest(weights: NDArray[np.float32]) -> str:
    """SHA-256 of a contiguous array's bytes, as 64 hexadecimal digits."""
    return hashlib.sha256(weights.reshape(-1).view(np.uint8).data).hexdigest()


def read_headers(folder: Path) -> Mapping[str, str]:
    """The texts of all headers (.hpp and .h) in a folder, by file name: ready for `Program.headers`."""
    files = sorted(path for path in folder.iterdir() if path.suffix in {".hpp", ".h"})
    return {path.name: path.read_text(encoding="utf-8") for path in files}
