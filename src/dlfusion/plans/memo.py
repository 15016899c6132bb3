"""What follows from a network and a key alone, computed once while the network lives."""

import weakref
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Generic, TypeVar

from dlfusion.layers.layer import Network

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class NetworkMemo(Generic[Key, Value]):
    """Remembers up to `capacity` values per network; the oldest goes first. Networks count by identity."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._known: dict[int, dict[Key, Value]] = {}
        self._changing = Lock()

    def get(self, network: Network, key: Key, make: Callable[[], Value]) -> Value:
        """The value of `key` for this network: the remembered one, or what `make` returns."""
        known = self._known.get(id(network))
        if known is None:
            with self._changing:
                if id(network) not in self._known:
                    weakref.finalize(network, self._known.pop, id(network), None)
                known = self._known.setdefault(id(network), {})
        value = known.get(key)
        if value is None:
            value = make()
            with self._changing:
                if len(known) >= self._capacity:
                    del known[next(iter(known))]
                known[key] = value
        return value
