"""From ONNX to a graph: the only package that knows ONNX.

`load` is the way in. Importing this package takes most of a second, since it imports onnxscript: callers import it
only when there is a model to read.
"""

from dlfusion.frontend.importer import load

__all__ = ["load"]
