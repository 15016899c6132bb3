"""Three models of the light set under short names, with random weights, to be built like all others.

Their graphs are those that their authors published; only their own input size, 224 x 224, is possible.
"""

from onnx import ModelProto, helper

from dlfusion.zoo import light
from dlfusion.zoo.builder import IR_VERSION


def build_squeezenet(*, seed: int) -> ModelProto:
    """SqueezeNet 1.1 (Iandola et al., arXiv 1602.07360)."""
    return _build("squeezenet", "squeezenet", seed)


def build_inception(*, seed: int) -> ModelProto:
    """Inception v2, with batch normalization (Ioffe and Szegedy, arXiv 1502.03167)."""
    return _build("inception", "inception_v2", seed)


def build_densenet(*, seed: int) -> ModelProto:
    """DenseNet-121 (Huang et al., arXiv 1608.06993)."""
    return _build("densenet", "densenet121", seed)


def _build(name: str, light_name: str, seed: int) -> ModelProto:
    """The model with its weights as constants alone: old models list each among their inputs too.

    Softmax gets its axis said, which is 1 by default up to opset 12: some readers (pnnx) take the later default, -1.
    """
    model = light.randomized(light_name, seed)
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [port for port in model.graph.input if port.name not in constants]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    for node in model.graph.node:
        if node.op_type == "Softmax" and not node.attribute:
            node.attribute.append(helper.make_attribute("axis", 1))
    model.graph.name = name
    model.ir_version = IR_VERSION
    return model
