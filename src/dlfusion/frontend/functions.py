"""Calls of a model's own functions give way to what the functions compute."""

from collections import Counter
from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter

import onnx_ir
from onnx_ir.passes.common import InlinePass

from dlfusion.errors import ModelError, UnsupportedError

MOST_WORK = 1 << 23
"""Nodes of each function times the square of its calls, which is how often onnx_ir looks for a name that is still free:
seconds for so many. A few functions that call one another twice each would be called millions of times."""

_Name = tuple[str, str, str]
"""Domain, name and overload of a function."""


def inline_functions(model: onnx_ir.Model) -> None:
    """Changes `model` until it calls no functions.

    Raises:
        ModelError: functions call themselves, directly or through others, or a call does not fit its function.
        UnsupportedError: there would be too many calls.
    """
    if model.functions:
        _require_few_calls(model)
        try:
            InlinePass()(model)
        except Exception as error:  # onnx_ir states no exceptions of its own: whatever it raises, the model is at fault
            raise ModelError(f"a call of one of the model's functions contradicts the function: {error}") from error


def _require_few_calls(model: onnx_ir.Model) -> None:
    called = {name: _operators(function) for name, function in model.functions.items()}
    times = _operators(model.graph)
    # Those that nothing calls are carried out once.
    times.update(name for name in called if not any(name in others for others in (times, *called.values())))
    for name in _callers_first(called):
        for callee, count in called[name].items():
            times[callee] += times[name] * count
    work = sum(times[name] ** 2 * nodes.total() for name, nodes in called.items())
    if work > MOST_WORK:
        most = max(called, key=times.__getitem__)
        raise UnsupportedError(
            f"the model calls its functions too often: {most[1]}, for one, {times[most]} times. Export it without "
            "functions, or with fewer calls of them."
        )


def _operators(part: onnx_ir.Graph | onnx_ir.Function) -> Counter[_Name]:
    return Counter(node.op_identifier() for node in part.all_nodes())


def _callers_first(called: Mapping[_Name, Iterable[_Name]]) -> list[_Name]:
    callees = {name: {other for other in others if other in called} for name, others in called.items()}
    try:
        return list(TopologicalSorter(callees).static_order())[::-1]
    except CycleError as error:
        circle = " -> ".join(name for _, name, _ in error.args[1])
        raise ModelError(f"the model's functions call one another in a circle: {circle}") from error
