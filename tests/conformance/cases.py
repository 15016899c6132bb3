"""The tests that the ONNX package ships, as far as they are about what DLFusion compiles."""

import functools
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, numpy_helper, version_converter
from onnx.backend.test.case.test_case import TestCase
from onnx.backend.test.loader import load_model_tests
from onnx.backend.test.runner import Runner

from dlfusion import backend
from dlfusion.frontend import SUPPORTED_OPERATORS
from dlfusion.frontend.plain import OLDEST_OPSET

KINDS = ("node", "simple", "pytorch-converted", "pytorch-operator")
STRATEGIES = ("baseline", "fuse-all")
OPERATORS = {*SUPPORTED_OPERATORS, "Constant"}
"""Constants are no operators to us: they are folded away."""

DataSet = tuple[list[NDArray[Any]], list[NDArray[Any]]]
"""Inputs and expected outputs."""


@dataclass(frozen=True)
class Case:
    """One test of the standard: a model with inputs and outputs, and how far results may be from these."""

    name: str
    model: ModelProto
    source: TestCase

    def values(self) -> dict[str, NDArray[Any]]:
        """The first arrays for each input that has no default."""
        defaults = {tensor.name for tensor in self.model.graph.initializer}
        names = [port.name for port in self.model.graph.input if port.name not in defaults]
        return dict(zip(names, next(self.data())[0], strict=True))

    def run(self, strategy: str) -> None:
        """Compiles the model and compares its outputs as the standard's own runner does.

        Raises:
            DlfusionError: the model is refused.
            AssertionError: outputs differ.
        """
        prepared = backend.prepare(self.model, strategy=strategy)
        for inputs, expected in self.data():
            outputs = prepared.run(inputs)
            Runner.assert_similar_outputs(expected, outputs, self.source.rtol, self.source.atol)

    def data(self) -> Iterator[DataSet]:
        """Inputs and expected outputs, once or several times."""
        if self.source.data_sets is not None:
            for inputs, outputs in self.source.data_sets:
                yield _arrays(inputs), _arrays(outputs)
            return
        for folder in sorted(Path(self.source.model_dir or "").glob("test_data_set_*")):
            yield _stored(folder, "input"), _stored(folder, "output")


@functools.cache
def cases() -> tuple[Case, ...]:
    """All tests of operators that DLFusion has that compute float32 from float32, sorted by name."""
    with warnings.catch_warnings(action="ignore", category=RuntimeWarning):  # of the package, as it computes its tests
        sources = [(kind, source) for kind in KINDS for source in load_model_tests(kind=kind)]
    found = [
        Case(f"{kind}/{source.name}", model, source)
        for kind, source in sources
        if _is_ours(model := source.model or _stored_model(Path(source.model_dir or "")))
    ]
    return tuple(sorted(found, key=lambda case: case.name))


def _is_ours(model: ModelProto) -> bool:
    graph = model.graph
    read = {name for node in graph.node for name in node.input}
    return (
        all(node.op_type in OPERATORS and node.domain in ("", "ai.onnx") for node in graph.node)
        and any(port.type.tensor_type.elem_type == TensorProto.FLOAT for port in graph.input if port.name in read)
        and all(port.type.tensor_type.elem_type == TensorProto.FLOAT for port in graph.output)
    )


def _stored_model(folder: Path) -> ModelProto:
    """The model; if its operator set is too old, as ONNX itself converts it, which is what our message says to do."""
    model = onnx.load(folder / "model.onnx")
    if model.opset_import[0].version >= OLDEST_OPSET:
        return model
    return version_converter.convert_version(model, OLDEST_OPSET)


def _arrays(values: Sequence[Any]) -> list[NDArray[Any]]:
    return [numpy_helper.to_array(value) if isinstance(value, TensorProto) else np.asarray(value) for value in values]


def _stored(folder: Path, kind: str) -> list[NDArray[Any]]:
    """The arrays of the files `input_0.pb`, `input_1.pb` and so on, or of those of outputs."""
    count = len(list(folder.glob(f"{kind}_*.pb")))
    return [
        numpy_helper.to_array(TensorProto.FromString((folder / f"{kind}_{index}.pb").read_bytes()))
        for index in range(count)
    ]
