"""DLFusion: an auto-tuning compiler for layer fusion on multi-core DNN accelerators."""

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dlfusion.driver import CompiledModel as CompiledModel
    from dlfusion.driver import compile as compile  # noqa: A004 - the API's name for it
    from dlfusion.driver import load as load

__all__ = ["CompiledModel", "compile", "load"]


def __getattr__(name: str) -> Callable[..., Any]:
    """Imports the driver, and with it ONNX, when it is first needed: `dlfusion --help` stays fast."""
    if name in __all__:
        value: Callable[..., Any] = getattr(import_module("dlfusion.driver"), name)
        return value
    raise AttributeError(f"module 'dlfusion' has no attribute {name!r}")
