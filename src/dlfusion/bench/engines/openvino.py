"""OpenVINO (https://docs.openvino.ai): reads ONNX itself; fp32 and bf16."""

from collections.abc import Sequence

import numpy as np

from dlfusion.bench.engines.adapter import Adapter, CannotRunError, Session, Task, shaped
from dlfusion.graph.graph import Array
from dlfusion.targets.cpu.precision import Precision

_HINTS = {Precision.FP32: "f32", Precision.BF16: "bf16"}
_ISAS = {"avx2": "AVX2", "avx512": "AVX512_CORE", "avx512_bf16": "AVX512_CORE_BF16"}


class OpenVino(Adapter):
    """Tuned for the latency of one request; its arrays are used where they lie, without copies."""

    name = "openvino"
    title = "OpenVINO"
    distribution = "openvino"
    packages = ("openvino",)
    install = "pip install 'dlfusion[openvino]'"
    precisions = tuple(Precision)

    @classmethod
    def settings(cls, task: Task) -> dict[str, str]:
        return {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": str(task.cores),
            "INFERENCE_PRECISION_HINT": _HINTS[task.precision],
        }

    @classmethod
    def environment(cls, isa: str | None) -> dict[str, str]:
        # The library that it computes most layers with, oneDNN, reads this when it is loaded.
        return {} if isa is None else {"ONEDNN_MAX_CPU_ISA": _ISAS[isa]}

    @classmethod
    def preload(cls) -> None:
        """Load the engine's code with its plugin for CPUs and its reader of ONNX, which it loads with the first model.

        Raises:
            InputError: it is not installed.
        """
        super().preload()
        import openvino
        from openvino.frontend import FrontEndManager

        openvino.Core().get_versions("CPU")
        FrontEndManager().load_by_framework("onnx")

    @classmethod
    def load(cls, task: Task, inputs: Sequence[Array]) -> Session:
        cls.require()
        import openvino

        core = openvino.Core()
        try:
            model = core.read_model(str(task.file))
            model.reshape({port.name: list(port.shape) for port in task.inputs})
            compiled = core.compile_model(model, "CPU", cls.settings(task))
            del model
        except RuntimeError as error:
            raise CannotRunError(str(error).strip().splitlines()[-1]) from error
        request = compiled.create_infer_request()
        feeds = dict(enumerate(inputs))

        def run() -> Sequence[Array]:
            found: Sequence[Array] = request.infer(feeds, share_inputs=True, share_outputs=True).to_tuple()
            return found

        return Session(run, lambda found: shaped([np.array(array) for array in found], task.outputs))
