"""The models that mutations start from: small ones of the zoo, and those of the ONNX standard's tests that pass."""

import functools
from collections.abc import Mapping
from typing import Any

from onnx import ModelProto

from dlfusion import backend, zoo
from tests.conformance.cases import Case, cases
from tests.conformance.exclusions import exclusion_of

SIZES: Mapping[str, Mapping[str, Any]] = {
    "alexnet": {"size": 64, "width_factor": 0.05},
    "dncnn": {"size": 8, "width": 8, "width_factor": 0.1},
    "espcn": {"size": 8, "width": 8, "width_factor": 0.1},
    "fsrcnn": {"size": 8, "width": 8, "width_factor": 0.2},
    "mobilenetv2": {"size": 32, "width_factor": 0.1},
    "resnet18": {"size": 32, "width_factor": 0.05},
    "unet": {"size": 32, "width_factor": 0.05},
}
"""Options of the zoo's models; those that are left out are variations of these, or have no options."""


@functools.cache
def bases() -> tuple[ModelProto, ...]:
    """All of them, in a fixed order; the zoo's models several times, so that they are a third of all draws."""
    small = [zoo.build(name, **options) for name, options in SIZES.items()]
    nodes = [_bound(case) for case in cases() if exclusion_of(case.name) is None]
    return (*small * (len(nodes) // (2 * len(small))), *nodes)


def _bound(case: Case) -> ModelProto:
    """The test's model with constants for those inputs that must be such."""
    _, fixed = backend.fit(case.model, case.values())
    return backend.with_constants(case.model, fixed)
