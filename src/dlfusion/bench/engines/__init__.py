"""The engines that compiled models are compared with, one file each; ours is `compiled.py`."""

from collections.abc import Sequence

from dlfusion.bench.engines.adapter import Adapter
from dlfusion.bench.engines.mnn import Mnn
from dlfusion.bench.engines.ncnn import Ncnn
from dlfusion.bench.engines.onnx_runtime import OnnxRuntime
from dlfusion.bench.engines.openvino import OpenVino
from dlfusion.errors import InputError

PEERS: tuple[type[Adapter], ...] = (OnnxRuntime, OpenVino, Ncnn, Mnn)


def installed_peers() -> tuple[type[Adapter], ...]:
    """Those that are installed."""
    return tuple(peer for peer in PEERS if peer.is_installed())


def parse_peers(text: str) -> tuple[type[Adapter], ...]:
    """The peers that a text like `onnxruntime,mnn` names.

    Raises:
        InputError: there is no such peer, or it is not installed; the message says how to install it.
    """
    return named_peers([name.strip() for name in text.split(",") if name.strip()])


def named_peers(names: Sequence[str]) -> tuple[type[Adapter], ...]:
    """The peers of these names, in this order, each once.

    Raises:
        InputError: there is no such peer, or it is not installed; the message says how to install it.
    """
    known = {peer.name: peer for peer in PEERS}
    for name in names:
        if name not in known:
            raise InputError(f"no peer is called {name!r}; choose from {', '.join(known)}")
        known[name].require()
    return tuple(known[name] for name in dict.fromkeys(names))
