"""OpenVINO (https://docs.openvino.ai): reads ONNX itself; fp32 and bf16."""

from collections.abc import Sequence

import numpy as np

from dlfusion.bench.engines.adapter import BF16, FP32, Adapter, CannotRunError, Session, Task, shaped
from dlfusion.graph.graph import Array

_HINTS = {FP32: "f32", BF16: "bf16"}
_ISAS = {"avx2": "AVX2", "avx512": "AVX512_CORE"}


class OpenVino(Adapter):
    """Tuned for the latency of one request; its arrays are used where they lie, without copies."""

    name = "openvino"
    title = "OpenVINO"
    distribution = "openvino"
    packages = ("openvino",)
    install = "pip install 'dlfusion[openvino]'"
    precisions = (FP32, BF16)

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
    def load(cls, task: Task, inputs: Sequence[Array]) -> Session:
        cls.require()
        import openvino

        core = openvino.Core()
        try:
            compiled = core.compile_model(str(task.file), "CPU", cls.settings(task))
        except RuntimeError as error:
            raise CannotRunError(str(error).strip().splitlines()[-1]) from error
        request = compiled.create_infer_request()
        feeds = dict(enumerate(inputs))

        def run() -> Sequence[Array]:
            found: Sequence[Array] = request.infer(feeds, share_inputs=True, share_outputs=True).to_tuple()
            return found

        return Session(run, lambda found: shaped([np.array(array) for array in found], task.outputs))
