"""What both tests of misuse need: a session at work, and a list of mistakes with the status that each must end with."""

import ctypes
from collections.abc import Callable

import numpy as np

from tests.targets.mlu100.standin_library import MLU100, Session, handles, pointers

SHAPE = (1, 4, 6, 6)
RELU = 2


class Bench:
    """A session with what most mistakes need: two tensors with buffers, and an operator between them."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.x, self.y = session.tensor(SHAPE), session.tensor(SHAPE)
        self.dx, self.dy = session.buffer(self.x), session.buffer(self.y)
        self.relu = session.operator("Active", RELU, self.x, self.y)

    def call(self, name: str, *arguments: object) -> int:
        """The status of a call."""
        return self.session.call(name, *arguments)

    def compile(self, cores: int = 1) -> int:
        """The status of compiling the operator."""
        return self.call("cnmlCompileBaseOp", self.relu, MLU100, cores)

    def compute(self, ways: int = 1, source: object = None, target: object = None) -> int:
        """The status of computing the operator."""
        return self.call(
            "cnmlComputeActiveOpForward_V3",
            self.relu,
            self.dx if source is None else source,
            self.dy if target is None else target,
            self.session.invoke(ways),
            self.session.queue,
        )

    def fusion(self) -> ctypes.c_void_p:
        """A fusion operator that has the operator, but no inputs and outputs."""
        made = self.session.operator("Fusion")
        self.session.ok("cnmlFuseOp", self.relu, made)
        return made

    def complete_fusion(self) -> ctypes.c_void_p:
        """A fusion operator that can be compiled."""
        made = self.fusion()
        self.session.ok("cnmlSetFusionIO", made, handles([self.x]), 1, handles([self.y]), 1)
        return made

    def compute_fusion(self, fusion: ctypes.c_void_p, count: int = 1) -> int:
        """The status of computing a fusion operator."""
        return self.call(
            "cnmlComputeFusionOpForward_V3",
            fusion,
            pointers([self.dx] * count),
            count,
            pointers([self.dy]),
            1,
            self.session.invoke(),
            self.session.queue,
        )

    def host_array(self) -> ctypes.c_void_p:
        """An array of the tensors' size on the host."""
        self.array = np.zeros(SHAPE, np.float32)
        return self.array.ctypes.data_as(ctypes.c_void_p)

    def create(self, name: str, *arguments: object) -> int:
        """The status of creating something that is not kept, because it fails."""
        return self.call(f"cnmlCreate{name}", ctypes.byref(ctypes.c_void_p()), *arguments)


Mistake = Callable[[Bench], int]


class Mistakes(dict[str, tuple[int, Mistake]]):
    """Functions that make one mistake each and return the status that they got, with the status they should get."""

    def ends_with(self, status: int) -> Callable[[Mistake], Mistake]:
        """Adds a function."""

        def add(function: Mistake) -> Mistake:
            self[function.__name__] = (status, function)
            return function

        return add
