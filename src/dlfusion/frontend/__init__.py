"""From ONNX to a graph: the only package that knows ONNX.

`load` is the way in. Importing this package takes a tenth of a second, and most of another second where a model needs
onnx_ir and onnxscript: callers import it only when there is a model to read.
"""

from dlfusion.frontend.importer import load
from dlfusion.frontend.operators import CONVERTERS

SUPPORTED_OPERATORS = tuple(sorted(CONVERTERS))
"""Names of the ONNX operators, of the default domain, that can be imported."""

__all__ = ["SUPPORTED_OPERATORS", "load"]
