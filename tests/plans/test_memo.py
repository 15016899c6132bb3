"""Proves that values are made once per network and key, that few are kept, and that none outlives its network."""

import gc

from dlfusion.layers.describe import describe
from dlfusion.layers.layer import Network
from dlfusion.plans.memo import NetworkMemo
from tests.support.networks import chain


def network() -> Network:
    return describe(chain([(2, 1, 1)], height=2, channels=2).build())


def test_a_value_is_made_once_per_network_and_key() -> None:
    memo: NetworkMemo[str, list[str]] = NetworkMemo(capacity=4)
    one, two = network(), network()
    first = memo.get(one, "a", lambda: ["made"])
    assert memo.get(one, "a", lambda: ["again"]) is first
    assert memo.get(one, "b", lambda: ["other key"]) == ["other key"]
    assert memo.get(two, "a", lambda: ["other network"]) == ["other network"]


def test_the_oldest_value_goes_first() -> None:
    memo: NetworkMemo[int, int] = NetworkMemo(capacity=2)
    one = network()
    for key in (1, 2, 3):
        memo.get(one, key, lambda key=key: key)  # type: ignore[misc]
    assert memo.get(one, 3, lambda: -3) == 3
    assert memo.get(one, 2, lambda: -2) == 2
    assert memo.get(one, 1, lambda: -1) == -1


def test_values_do_not_outlive_their_network() -> None:
    memo: NetworkMemo[int, int] = NetworkMemo(capacity=2)
    for value in range(20):
        # A new network may get the address, and so the identity, of one that is gone.
        assert memo.get(network(), 0, lambda value=value: value) == value  # type: ignore[misc]
        gc.collect()
