"""The failures a user can cause, apart from bugs.

Every message says what failed, where (ONNX node or file), the numbers (needed, allowed) and what to do next. The
command line prints such a message without a traceback and exits with status 2; any other exception is a bug.
"""


class DlfusionError(Exception):
    """What the user can put right: base of all errors below."""


class ModelError(DlfusionError):
    """The model file cannot be read, is inconsistent, or leaves a shape open."""


class UnsupportedError(DlfusionError):
    """The model uses operators or attributes that are not supported; the message lists every such node."""


class PlanError(DlfusionError):
    """A plan is malformed, illegal, or made for another graph."""


class InputError(DlfusionError):
    """An array or file handed to a compiled model does not fit its inputs."""


class BuildError(DlfusionError):
    """No usable compiler, or the compiler failed or hung."""


class VerificationError(DlfusionError):
    """The compiled program's result differs from the reference."""


class MachineError(DlfusionError):
    """A machine file cannot be read, or a number in it is missing, unknown, of another unit or out of range."""


class PlanWarning(UserWarning):
    """A plan is legal, but was made for another machine."""
