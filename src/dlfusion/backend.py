"""ONNX's own interface to what runs models, `onnx.backend.base`, by which the standard's tests are run too.

    results = dlfusion.backend.run_model(model, [array])

ONNX hands all inputs over when a model is run. DLFusion compiles weights, shapes and bounds into the program, so that
some inputs of a model are *fixed*: they become constants before it is compiled. These are

* all inputs that are not float32 (the shape of a Reshape, the pads of a Pad, a condition), and
* of the float32 inputs the last ones (weights, bias, bounds), as few as make the model one that DLFusion supports; at
  least one input varies.

A model without fixed inputs is compiled by `prepare`; any other by the first `run`, and again when a later one gives
another value for a fixed input, so that results never depend on what was given before.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import IR_VERSION, ModelProto, NodeProto, TensorProto, ValueInfoProto, defs, helper, numpy_helper
from onnx.backend.base import Backend, BackendRep, Device, DeviceType

from dlfusion.driver import CompiledModel, compile, import_model  # noqa: A004 - the API's name for it
from dlfusion.errors import DlfusionError, InputError, UnsupportedError
from dlfusion.frontend import SUPPORTED_OPERATORS
from dlfusion.layers.layer import Network

Values = Mapping[str, NDArray[Any]]


class DlfusionRep(BackendRep):
    """A model that is ready to run, or will be once it is given the values of its fixed inputs."""

    def __init__(self, model: ModelProto, options: Mapping[str, Any]) -> None:
        self._model = ModelProto()
        self._model.CopyFrom(model)
        self._options = options
        self._inputs = _inputs(model)
        self._fixed: Values = {}
        self._compiled: CompiledModel | None = None
        if all(_is_float32(port) and _is_static(port) for port in self._inputs):
            try:
                self._compile({}, import_model(model))
            except UnsupportedError:
                if len(self._inputs) == 1:
                    raise

    @property
    def fixed(self) -> tuple[str, ...]:
        """The inputs that are constants of the compiled program; none before it is compiled."""
        return tuple(self._fixed)

    def run(self, inputs: Any, **_: Any) -> tuple[NDArray[np.float32], ...]:
        """The outputs, in the model's order, for all inputs in theirs.

        Args:
            inputs: a sequence of arrays in the order of those inputs of the model that have no default, a dictionary
                of arrays by their names, or a single array.

        Raises:
            InputError: number, shape or type of the arrays does not fit.
            DlfusionError: the model cannot be compiled for them.
        """
        values = self._named(inputs)
        compiled = self._compiled
        if compiled is None or not all(_equal(values[name], array) for name, array in self._fixed.items()):
            network, fixed = fit(self._model, values)
            compiled = self._compile(fixed, network)
        return compiled.outputs(*(values[port.name] for port in self._inputs if port.name not in self._fixed))

    def _named(self, inputs: Any) -> Values:
        names = [port.name for port in self._inputs]
        if isinstance(inputs, np.ndarray):
            inputs = [inputs]
        if isinstance(inputs, Mapping):
            if set(inputs) != set(names):
                raise InputError(f"arrays are given for {sorted(inputs)}, but the model's inputs are {names}")
            return {name: np.asarray(inputs[name]) for name in names}
        if len(inputs) != len(names):
            raise InputError(f"{len(inputs)} arrays given, but the model has {len(names)} inputs: {', '.join(names)}")
        return {name: np.asarray(array) for name, array in zip(names, inputs, strict=True)}

    def _compile(self, fixed: Values, network: Network) -> CompiledModel:
        if self._compiled is not None:
            self._compiled.close()
            self._compiled = None
        self._compiled, self._fixed = compile(network, **self._options), fixed
        return self._compiled


class DlfusionBackend(Backend):
    """DLFusion as ONNX's tests and tools call it; the options of `prepare` are those of `dlfusion.compile`."""

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """True for `CPU`, also with a number (`CPU:0`)."""
        try:
            return bool(Device(device).type == DeviceType.CPU)
        except (AttributeError, ValueError):
            return False

    @classmethod
    def is_compatible(cls, model: ModelProto, device: str = "CPU", **_: Any) -> bool:
        """Whether the model can be prepared; where its inputs' values decide, whether its operators are supported."""
        if not cls.supports_device(device):
            return False
        try:
            import_model(model)
        except DlfusionError:
            operators = {node.op_type for node in model.graph.node if node.domain in ("", "ai.onnx")}
            known = len(operators) > 0 and operators <= set(SUPPORTED_OPERATORS)
            return known and len(_inputs(model)) > 1
        return True

    @classmethod
    def prepare(cls, model: ModelProto, device: str = "CPU", **options: Any) -> DlfusionRep:
        """The model, compiled if none of its inputs is fixed.

        Raises:
            UnsupportedError: the device is no CPU, or the model uses what is not supported.
            DlfusionError: it cannot be compiled for another reason.
        """
        if not cls.supports_device(device):
            raise UnsupportedError(f"the device {device} is not supported; `CPU` is")
        return DlfusionRep(model, options)

    @classmethod
    def run_model(
        cls, model: ModelProto, inputs: Any, device: str = "CPU", **options: Any
    ) -> tuple[NDArray[np.float32], ...]:
        """The outputs of a model that is run once."""
        return cls.prepare(model, device, **options).run(inputs)

    @classmethod
    def run_node(
        cls,
        node: NodeProto,
        inputs: Any,
        device: str = "CPU",
        outputs_info: Sequence[tuple[Any, tuple[int, ...]]] | None = None,
        **options: Any,
    ) -> tuple[NDArray[np.float32], ...]:
        """The outputs of a single node for those of its inputs that are not left out.

        `opset_version` chooses the operator set (default: the newest that the `onnx` package knows).
        """
        del outputs_info  # shapes are inferred
        opset = int(options.pop("opset_version", defs.onnx_opset_version()))
        names = list(dict.fromkeys(name for name in node.input if name))
        arrays = [np.asarray(array) for array in inputs]
        if len(arrays) != len(names):
            raise InputError(f"{len(arrays)} arrays given, but {node.op_type} reads {', '.join(names) or 'nothing'}")
        ports = [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
            for name, array in zip(names, arrays, strict=True)
        ]
        outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in node.output if name]
        graph = helper.make_graph([node], node.name or node.op_type, ports, outputs)
        imports = [helper.make_opsetid(node.domain, opset)]
        model = helper.make_model(graph, opset_imports=imports, ir_version=IR_VERSION)
        return cls.run_model(model, arrays, device, **options)


def _inputs(model: ModelProto) -> list[ValueInfoProto]:
    """The inputs that have no default value."""
    defaults = {tensor.name for tensor in model.graph.initializer}
    return [port for port in model.graph.input if port.name not in defaults]


def _is_float32(port: ValueInfoProto) -> bool:
    return bool(port.type.tensor_type.elem_type == TensorProto.FLOAT)


def _is_static(port: ValueInfoProto) -> bool:
    tensor = port.type.tensor_type
    return tensor.HasField("shape") and all(size.dim_value > 0 for size in tensor.shape.dim)


def _equal(first: NDArray[Any], second: NDArray[Any]) -> bool:
    return first.dtype == second.dtype and first.shape == second.shape and first.tobytes() == second.tobytes()


def fit(model: ModelProto, values: Values) -> tuple[Network, Values]:
    """The network with the fewest fixed inputs that is supported, and their values.

    Raises:
        UnsupportedError: there is none; with the reason that stays when all inputs but one are fixed.
    """
    ports = _inputs(model)
    floats = [port for port in ports if _is_float32(port)]
    if not floats:
        raise UnsupportedError("no input is float32; at least one must be, since constants alone are no model")
    refusal = UnsupportedError("")
    for varying in range(len(floats), 0, -1):
        free = {port.name for port in floats[:varying]}
        fixed = {port.name: values[port.name] for port in ports if port.name not in free}
        shapes = {port.name: values[port.name].shape for port in floats[:varying] if not _is_static(port)}
        try:
            return import_model(with_constants(model, fixed), shapes), fixed
        except UnsupportedError as error:
            refusal = error
    raise refusal


def with_constants(model: ModelProto, fixed: Values) -> ModelProto:
    """The model with constants in place of inputs."""
    if not fixed:
        return model
    result = ModelProto()
    result.CopyFrom(model)
    kept = [port for port in result.graph.input if port.name not in fixed]
    del result.graph.input[:]
    result.graph.input.extend(kept)
    result.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in fixed.items())
    return result


is_compatible = DlfusionBackend.is_compatible
prepare = DlfusionBackend.prepare
run_model = DlfusionBackend.run_model
run_node = DlfusionBackend.run_node
supports_device = DlfusionBackend.supports_device
