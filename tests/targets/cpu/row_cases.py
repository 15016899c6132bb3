"""The ways in which every row kernel is driven by its test."""

from collections.abc import Callable, Sequence

from dlfusion.layers.layer import Layer, Network
from dlfusion.targets.cpu.isa import AVX2, AVX512, Isa
from dlfusion.targets.cpu.kernel import Lowered
from tests.support.isas import NARROW
from tests.targets.cpu.kernel_harness import Case, check

Candidates = Callable[[Layer, Network, Isa], tuple[Lowered, ...]]


def drives(network: Network, lowered: Lowered) -> list[Case]:
    """All rows at once; rings with two rows a call and wider pads; the lower rows, in channel parts."""
    (layer,) = network.layers
    height = network.shape(layer.output)[2]
    result = [Case(network, lowered)]
    if layer.anchor.operator.streams:
        result.append(Case(network, lowered, step_rows=2, rings=True, extra_pads=2))
    if layer.anchor.operator.splits_channels:
        result.append(Case(network, lowered, parts=3, rows=(height // 3, height), extra_pads=1))
    return result


def check_all(networks: Sequence[Network], candidates: Candidates, least: int = 1, clang: bool = False) -> None:
    """Runs every candidate for every network in every way, with vectors of every width, against the reference."""
    for isa in (AVX512, AVX2) if clang else (AVX512, AVX2, NARROW):
        cases = []
        for network in networks:
            ways = candidates(network.layers[0], network, isa)
            assert len(ways) >= least, network.layers[0].anchor.operator.label
            cases += [case for way in ways for case in drives(network, way)]
        check(cases, isa, clang)
