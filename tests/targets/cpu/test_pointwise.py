"""Layers of pointwise operators only, in both layouts."""

import numpy as np

from dlfusion.ops.add import Add
from dlfusion.ops.affine import Affine
from dlfusion.ops.clip import Clip
from dlfusion.ops.leaky_relu import LeakyRelu
from dlfusion.ops.mul import Mul
from dlfusion.ops.operator import Operator, Shape
from dlfusion.ops.p_relu import PRelu
from dlfusion.ops.sigmoid import Sigmoid
from dlfusion.targets.cpu.kernels.pointwise import candidates
from tests.targets.cpu.kernel_harness import Step, single_layer
from tests.targets.cpu.row_cases import check_all

SIZES: tuple[Shape, ...] = ((1, 20, 5, 7), (1, 16, 4, 33), (1, 3, 3, 129))


def _channels(count: int) -> np.ndarray:
    return np.linspace(-1.5, 2.0, count).astype(np.float32)


def test_anchor_alone() -> None:
    """One activation, two of one shape, and a factor for each channel."""
    networks = []
    for shape in SIZES:
        pooled = (*shape[:2], 1, 1)
        anchors: tuple[tuple[Operator, list[Shape], list[np.ndarray]], ...] = (
            (Clip(0.0, 6.0), [shape], []),
            (Add(), [shape, shape], []),
            (Mul(), [shape, pooled], []),
            (Affine(), [shape], [_channels(shape[1]), _channels(shape[1])]),
        )
        networks += [single_layer(operator, inputs, constants) for operator, inputs, constants in anchors]
    check_all(networks, candidates, least=2)


def test_chain_with_operands() -> None:
    """An anchor with an operand, then an epilogue with constants and operands of its own."""
    networks = []
    for shape in SIZES:
        chain = [
            Step(PRelu(), (_channels(shape[1]),)),
            Step(Add(), operand=shape),
            Step(Mul(), operand=(*shape[:2], 1, 1)),
            Step(LeakyRelu(0.1)),
        ]
        networks.append(single_layer(Add(), [shape, shape], epilogue=chain))
        networks.append(single_layer(Sigmoid(), [shape], epilogue=[Step(Mul(), operand=shape)]))
    check_all(networks, candidates, least=2)
