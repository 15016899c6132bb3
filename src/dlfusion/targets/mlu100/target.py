"""From a network and a plan to a complete C++ project that runs the model on an MLU-100, or on the stand-in."""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType

import numpy as np

from dlfusion.codegen.writer import Writer
from dlfusion.errors import PlanError, UnsupportedError
from dlfusion.graph.graph import Array
from dlfusion.layers.layer import Network
from dlfusion.plans.plan import Block, Plan
from dlfusion.targets.mlu100.emit import BlockCode, NodeCode, Weights, write_model
from dlfusion.targets.mlu100.operators import base_operators
from dlfusion.targets.mlu100.operators.scope import BaseOperator, NoForm

CORE_COUNTS = (1, 2, 4, 8, 16, 32)
"""What a block may run on. No source shows that other counts are accepted."""

WEIGHTS_FILE = "weights.bin"
TIMES_FILE = "simulated_times.txt"

_CODE_SUFFIXES = (".h", ".hpp", ".cpp")


@dataclass(frozen=True)
class Project:
    """A C++ project: texts by path in its folder, and the weights, which are the file `weights.bin`."""

    name: str
    texts: Mapping[str, str]
    weights: Array

    def __post_init__(self) -> None:
        object.__setattr__(self, "texts", MappingProxyType(dict(self.texts)))


def check(network: Network) -> None:
    """Nothing, if CNML has a form of every node.

    Raises:
        UnsupportedError: it has none of some; the message lists them all.
    """
    _lower(network)


def generate(network: Network, plan: Plan, block_seconds: Sequence[float] | None = None) -> Project:
    """Generates the project that runs `network` by `plan`. The same arguments give the same bytes.

    Args:
        network: the model.
        plan: how it is cut into blocks, and their cores; CNML itself cuts a block over its cores.
        block_seconds: the simulated time of each block, for the clock of the stand-in.

    Raises:
        UnsupportedError: CNML has no form of some nodes; the message lists them all.
        PlanError: the plan asks for something that CNML does not offer.
    """
    _check_plan(plan)
    lowered = _lower(network)
    blocks = tuple(_block(network, index, block, lowered) for index, block in enumerate(plan.blocks))
    weights = _weights(blocks)
    described = Weights(weights.nbytes, zlib.crc32(weights.view(np.uint8).data))
    texts = {
        "model.cpp": write_model(network, blocks, described),
        "plan.json": plan.to_json(),
        **_files("project", ""),
        **_files("include", "include"),
        **_files("standin", "standin"),
    }
    if block_seconds is not None:
        texts[TIMES_FILE] = _times(blocks, block_seconds)
    return Project(network.graph.name, texts, weights)


def _check_plan(plan: Plan) -> None:
    for index, block in enumerate(plan.blocks):
        if block.cores not in CORE_COUNTS:
            counts = ", ".join(map(str, CORE_COUNTS))
            raise PlanError(
                f"block {index}: {block.cores} cores are asked for, but a block runs on {counts} cores of an MLU-100. "
                "Correct the plan, or make one with `--target mlu100`."
            )
        if block.algorithms:
            raise PlanError(
                f"block {index}: algorithms are named for its layers, but CNML chooses them itself. Leave `algorithms` "
                "empty."
            )


def _lower(network: Network) -> Mapping[str, tuple[BaseOperator, ...]]:
    """The base operators of every node of the network, by its output."""
    lowered: dict[str, tuple[BaseOperator, ...]] = {}
    problems = []
    for layer in network.layers:
        for node in layer.nodes:
            try:
                lowered[node.output] = base_operators(network.graph, node)
            except NoForm as reason:
                origins = f" (ONNX: {', '.join(node.origins)})" if node.origins else ""
                problems.append(f"{node.operator.label} {node.name}{origins}: {reason}")
    if problems:
        count = "1 node has" if len(problems) == 1 else f"{len(problems)} nodes have"
        listed = "\n  ".join([f"{network.graph.name}: {count} no form in CNML:", *problems])
        raise UnsupportedError(f"{listed}\nNothing was written. Change the model, or compile it for another target.")
    return lowered


def _block(network: Network, index: int, block: Block, lowered: Mapping[str, tuple[BaseOperator, ...]]) -> BlockCode:
    nodes = (node for layer in block.layers for node in network.layers[layer].nodes)
    return BlockCode(index, block, tuple(NodeCode(node, lowered[node.output]) for node in nodes))


def _weights(blocks: Sequence[BlockCode]) -> Array:
    """All constants in the order in which model.cpp meets them."""
    constants = [
        constant.array.reshape(-1) for code in blocks for operator in code.operators for constant in operator.constants
    ]
    return np.concatenate(constants) if constants else np.empty(0, np.float32)


def _times(blocks: Sequence[BlockCode], block_seconds: Sequence[float]) -> str:
    """Microseconds of each operator in the order of compilation; a block's first has its time, the others none."""
    out = Writer()
    for code, seconds in zip(blocks, block_seconds, strict=True):
        count = 1 if code.is_fused else len(code.operators)
        out.lines(f"{seconds * 1e6:.3f}", *["0.000"] * (count - 1))
    return out.text()


def _files(folder: str, target: str) -> dict[str, str]:
    """Texts of the files that ship with this package in `folder`, by their path in a project."""
    root = Path(str(files("dlfusion.targets.mlu100") / folder))
    return {str(Path(target) / path.relative_to(root)): path.read_text(encoding="utf-8") for path in _code(root)}


def _code(root: Path) -> Iterator[Path]:
    for path in sorted(root.rglob("*")):
        if path.suffix in _CODE_SUFFIXES or path.name == "CMakeLists.txt":
            yield path
