"""An ONNX model as the importer and the converters see it, whichever way it was read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Constant = Callable[[], NDArray[np.generic]]
"""Reads the elements of a constant."""


@dataclass(frozen=True, slots=True)
class Value:
    """What a node reads or computes.

    `shape` is None where it is not known, `constant` where the elements are not. `is_defined` is false if no node or
    input gives the value, `is_read` if it is an output that nothing reads.
    """

    name: str
    shape: tuple[int, ...] | None = None
    constant: Constant | None = None
    is_defined: bool = True
    is_read: bool = True


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute of a node: ONNX's name of its kind, such as `INTS`, and an integer, float, text or tuple of these.

    Kinds that no converter reads have a value of another type.
    """

    kind: str
    value: object


@dataclass(frozen=True, slots=True)
class Node:
    """One call of an operator. An optional input that is left out is None."""

    name: str
    op_type: str
    domain: str
    inputs: tuple[Value | None, ...]
    outputs: tuple[Value, ...]
    attributes: Mapping[str, Attribute]


@dataclass(frozen=True, slots=True)
class Model:
    """A graph with static inputs. Each node stands behind those whose results it reads."""

    name: str
    opset: int
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    nodes: tuple[Node, ...]
