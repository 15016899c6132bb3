"""DLFusion: an auto-tuning compiler for layer fusion on multi-core DNN accelerators."""

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dlfusion.bench.strategies import compare as compare
    from dlfusion.driver import CompiledModel as CompiledModel
    from dlfusion.driver import characterize as characterize
    from dlfusion.driver import compile as compile  # noqa: A004 - the API's name for it
    from dlfusion.driver import cross_compile as cross_compile
    from dlfusion.driver import load as load
    from dlfusion.driver import plan as plan
    from dlfusion.driver import tune as tune

__all__ = ["CompiledModel", "characterize", "compare", "compile", "cross_compile", "load", "plan", "tune"]

_MODULES = dict.fromkeys(__all__, "dlfusion.driver") | {"compare": "dlfusion.bench.strategies"}


def __getattr__(name: str) -> Callable[..., Any]:
    """Imports the driver, and with it ONNX, when it is first needed: `dlfusion --help` stays fast."""
    if name in _MODULES:
        value: Callable[..., Any] = getattr(import_module(_MODULES[name]), name)
        return value
    raise AttributeError(f"module 'dlfusion' has no attribute {name!r}")
