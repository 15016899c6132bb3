"""How each ONNX operator becomes operators of the graph: one file per group of them.

Each file has a table `CONVERTERS` from ONNX operator names to functions of a node and the context. A function returns
the activation that is the node's first output, or all outputs with None in place of what nothing reads, or raises
`UnsupportedNodeError` or `InvalidNodeError` with the reason.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from dlfusion.frontend.context import Context, Outputs
from dlfusion.frontend.model import Node
from dlfusion.frontend.operators import (
    activation,
    arithmetic,
    concat,
    convolution,
    elementary,
    layout,
    matrix,
    normalization,
    passthrough,
    pooling,
    reduction,
    resize,
    slicing,
)

Converter = Callable[[Node, Context], Outputs]

CONVERTERS: Mapping[str, Converter] = MappingProxyType(
    activation.CONVERTERS
    | arithmetic.CONVERTERS
    | concat.CONVERTERS
    | convolution.CONVERTERS
    | elementary.CONVERTERS
    | layout.CONVERTERS
    | matrix.CONVERTERS
    | normalization.CONVERTERS
    | passthrough.CONVERTERS
    | pooling.CONVERTERS
    | reduction.CONVERTERS
    | resize.CONVERTERS
    | slicing.CONVERTERS
)
"""All ONNX operators that can be imported, of the default domain, with the function that converts each."""
