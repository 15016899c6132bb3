"""A folder that this compiler has made, as an engine beside the others."""

from collections.abc import Sequence

from dlfusion.bench.engines.adapter import Adapter, Session, Task
from dlfusion.graph.graph import Array
from dlfusion.runtime.executable import Executable
from dlfusion.targets.cpu.precision import Precision


class Compiled(Adapter):
    """`Task.file` is the folder. Instruction set, precision and cores were chosen when it was compiled."""

    name = "dlfusion"
    title = "DLFusion"
    distribution = "dlfusion"
    packages = ("dlfusion",)
    install = "pip install dlfusion"
    precisions = tuple(Precision)

    @classmethod
    def load(cls, task: Task, inputs: Sequence[Array]) -> Session:
        program = Executable.load(task.file)
        arrays = tuple(inputs)
        return Session(lambda: program.run(arrays), tuple)
