"""Convolutions and fully connected layers."""

from dlfusion.ops.conv import Conv
from dlfusion.ops.spatial import Padding, Pair
from dlfusion.targets.mlu100.operators.scope import Scope, Tensor

NO_PADS = (0, 0, 0, 0)


def pair(name: str, values: Pair) -> str:
    """The C++ text of a setting with a value for the height and one for the width."""
    return f"{name}{{{values[0]}, {values[1]}}}"


def border(pads: Padding) -> str:
    """The C++ text of rows and columns round a map."""
    top, left, bottom, right = pads
    return f"Border{{{top}, {bottom}, {left}, {right}}}"


def fill(value: float) -> list[str]:
    """The C++ text of what is put round a map; none for zero, the default."""
    return [f"{float(value)!r}f"] if value else []


def padded(scope: Scope, source: Tensor, pads: Padding, value: float = 0) -> Tensor:
    """`source` with `value` round its maps, by an operator of its own; itself if there is nothing to add."""
    if pads == NO_PADS:
        return source
    top, left, bottom, right = pads
    batch, channels, height, width = source.shape
    target = scope.tensor("padded", (batch, channels, height + top + bottom, width + left + right))
    return scope.emit("pad", [source], target, settings=[border(pads), *fill(value)])


def conv(scope: Scope, operator: Conv) -> None:
    """Conv, ConvGroup or ConvDepthwise; AddPad before it where CNML's own padding does not do.

    That is the total of both sides, of which each gets half, and there must be none beside a dilation; a kernel must
    fit into the map without it. ConvDepthwise has neither padding nor dilation, so that with one it is a ConvGroup.
    """
    weights, bias = scope.parameters
    dilated = operator.dilations != (1, 1)
    depthwise = operator.is_depthwise([array.shape for array in scope.parameters]) and not dilated
    top, left, bottom, right = operator.pads
    height, width = scope.input.shape[2:]
    fits = operator.kernel[0] <= height and operator.kernel[1] <= width
    pads_itself = (top, left) == (bottom, right) and not dilated and not depthwise and fits
    source = scope.input if pads_itself else padded(scope, scope.input, operator.pads)
    if depthwise:
        filters = weights.reshape(1, operator.groups, *operator.kernel)
        settings = [pair("Strides", operator.strides)]
        scope.emit("depthwise_convolution", [source], scope.output, [filters, bias], settings)
        return
    total = (top + bottom, left + right) if pads_itself else (0, 0)
    settings = [pair("Strides", operator.strides)]
    if total != (0, 0) or dilated:
        settings.append(pair("TotalPads", total))
    if dilated:
        settings.append(pair("Dilations", operator.dilations))
    if operator.groups > 1:
        scope.emit("grouped_convolution", [source], scope.output, [weights, bias], [str(operator.groups), *settings])
    else:
        scope.emit("convolution", [source], scope.output, [weights, bias], settings)


def gemm(scope: Scope) -> None:
    """Mlp, whose kernel is the whole input: just what our weights are."""
    weights, bias = scope.parameters
    scope.emit("fully_connected", [scope.input], scope.output, [weights, bias])
