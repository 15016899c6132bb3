"""What tests of the stand-in share: a fresh session for each."""

from collections.abc import Iterator

import pytest

from tests.targets.mlu100.standin_bench import Bench
from tests.targets.mlu100.standin_library import Session


@pytest.fixture
def bench() -> Iterator[Bench]:
    """Operators and tensors on a session that ends with the test."""
    with Session() as session:
        yield Bench(session)
