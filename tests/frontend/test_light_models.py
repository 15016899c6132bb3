"""The nine models that the onnx package ships, at full size."""

import numpy as np
import pytest

from dlfusion.frontend import load
from dlfusion.passes import clean
from dlfusion.runtime.reference import evaluate
from dlfusion.zoo import light
from tests.support.onnx_models import assert_matches_onnx_runtime


@pytest.mark.parametrize("name", light.NAMES)
def test_stored_output(name: str) -> None:
    graph = clean(load(light.path(name)))
    expected = light.stored_output(name)
    (actual,) = evaluate(graph, [light.stored_input(name)])
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize("name", ["densenet121", "inception_v1", "shufflenet"])
def test_with_random_weights(name: str) -> None:
    """The shipped weights are all alike, so that a channel out of place would not show."""
    assert_matches_onnx_runtime(light.randomized(name), raw=False)


def test_seed_decides_the_random_weights() -> None:
    one, same, other = (light.randomized("squeezenet", seed) for seed in (1, 1, 2))
    assert one.SerializeToString() == same.SerializeToString()
    assert one.SerializeToString() != other.SerializeToString()
