"""MNN (https://github.com/alibaba/MNN): converts with its own converter; fp32.

The converter's command line (`MNN.tools`) installs a package for statistics of use when it is imported. The library
under it, `_tools`, does the work and installs nothing, so that is called here.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dlfusion.bench.engines.adapter import Adapter, CannotRunError, Session, Task, run_converter, shaped
from dlfusion.graph.graph import Array


class Mnn(Adapter):
    """Its session interface, which was never slower than its module interface in our measurements."""

    name = "mnn"
    title = "MNN"
    distribution = "mnn"
    packages = ("MNN",)
    install = "pip install 'dlfusion[mnn]'"

    @classmethod
    def settings(cls, task: Task) -> dict[str, str]:
        return {"backend": "CPU", "numThread": str(task.cores), "precision": "high"}

    @classmethod
    def convert(cls, task: Task, folder: Path) -> Path:
        """Makes `converted.mnn`.

        Raises:
            CannotRunError: the converter refuses the model.
        """
        cls.require()
        result = folder / "converted.mnn"
        arguments = ["-f", "ONNX", "--modelFile", str(task.model), "--MNNModel", str(result), "--bizCode", "bench"]
        program = "import sys, _tools; _tools.mnnconvert(['mnnconvert', *sys.argv[1:]])"
        return run_converter([sys.executable, "-c", program, *arguments], folder, result)

    @classmethod
    def load(cls, task: Task, inputs: Sequence[Array]) -> Session:
        cls.require()
        import MNN

        interpreter = MNN.Interpreter(str(task.file))
        # Outputs that other layers read too would not be outputs of the session if they were not named.
        names = tuple(port.name for port in task.outputs)
        settings = {**cls.settings(task), "numThread": task.cores, "saveTensors": names}
        running = interpreter.createSession(settings)
        sources = [
            (_tensor(interpreter.getSessionInputAll(running), port.name), _host_tensor(array))
            for port, array in zip(task.inputs, inputs, strict=True)
        ]
        for device, host in sources:
            if tuple(device.getShape()) != tuple(host.getShape()):
                interpreter.resizeTensor(device, host.getShape())
        interpreter.resizeSession(running)
        results = [_tensor(interpreter.getSessionOutputAll(running), port.name) for port in task.outputs]
        targets = [(device, _host_tensor(np.empty(device.getShape(), np.float32))) for device in results]

        def run() -> list[Any]:
            for device, host in sources:
                device.copyFrom(host)
            if interpreter.runSession(running) != 0:
                raise CannotRunError("it fails when it runs")
            for device, host in targets:
                device.copyToHostTensor(host)
            return [host for _, host in targets]

        return Session(run, lambda found: shaped([np.array(host.getNumpyData()) for host in found], task.outputs))


def _tensor(tensors: dict[str, Any], name: str) -> Any:
    """The tensor of that ONNX name.

    Raises:
        CannotRunError: MNN named it otherwise.
    """
    if name not in tensors:
        raise CannotRunError(f"it has no tensor {name}, only {', '.join(tensors)}")
    return tensors[name]


def _host_tensor(array: Array) -> Any:
    """An array as a tensor in the host's memory with axes in ONNX's order."""
    import MNN

    return MNN.Tensor(list(array.shape), MNN.Halide_Type_Float, array, MNN.Tensor_DimensionType_Caffe)
