"""Figures that papers published, reproduced exactly by the row arithmetic."""

import pytest

from dlfusion.layers.describe import describe
from dlfusion.layers.layer import Network
from dlfusion.ops.conv import Conv
from dlfusion.plans.memory import layer_map_bytes
from dlfusion.plans.plan import Block
from dlfusion.plans.schedule import schedule
from dlfusion.plans.tiles import Overlap, tile_cost
from dlfusion.plans.traffic import block_traffic, line_buffer_bytes
from tests.support.networks import fsrcnn_valid, mobilenet_v2, vgg_head

KIB = 1024


@pytest.fixture(scope="module")
def vgg() -> Network:
    return describe(vgg_head().build())


@pytest.fixture(scope="module")
def mobilenet() -> Network:
    return describe(mobilenet_v2().build())


@pytest.fixture(scope="module")
def fsrcnn() -> Network:
    return describe(fsrcnn_valid().build())


def map_bytes(network: Network, *runs: tuple[int, int], element_bytes: int = 4) -> int:
    """Feature-map traffic of blocks that hold these runs of layers."""
    cuts = (schedule(network, Block(first, last, 1)) for first, last in runs)
    return sum(block_traffic(network, cut, element_bytes).map_bytes for cut in cuts)


class TestFusedLayerAccelerators:
    """Alwani et al., Fused-Layer CNN Accelerators, MICRO 2016: VGGNet-E, conv1_1 to conv3_1, 224 x 224, float32.

    Published: 77 MB of feature-map traffic become 3.6 MB, with 362 KB of storage on the chip.
    """

    def test_fused_traffic(self, vgg: Network) -> None:
        assert map_bytes(vgg, (0, 6)) == 224 * 224 * 3 * 4 + 56 * 56 * 256 * 4 == 3_813_376

    def test_line_buffers(self, vgg: Network) -> None:
        padded_rows = (5_424, 115_712, 58_368, 116_736, 59_392)
        size = line_buffer_bytes(vgg, schedule(vgg, Block(0, 6, 1)))
        assert size == sum(padded_rows) == 355_632
        assert abs(size / 1024 / 362 - 1) < 0.05

    def test_unfused_traffic_lies_around_the_published_77_megabytes(self, vgg: Network) -> None:
        pools_merged = map_bytes(vgg, (0, 0), (1, 2), (3, 3), (4, 5), (6, 6))
        pools_apart = map_bytes(vgg, *((layer, layer) for layer in range(7)))
        assert pools_merged == 50_764 * KIB
        assert pools_apart == 88_396 * KIB
        assert pools_merged < 77e6 < pools_apart


class TestPatchBasedInference:
    """Lin et al., MCUNetV2, NeurIPS 2021, figure 1: MobileNetV2 1.0, 224 x 224, int8.

    Published: a peak of 1372 kB layer by layer, 172 kB when the head runs in patches.
    """

    def needed(self, mobilenet: Network, index: int) -> int:
        layer = mobilenet.layers[index]
        operator = layer.anchor.operator
        in_place = isinstance(operator, Conv) and operator.groups > 1
        return layer_map_bytes(mobilenet, layer, element_bytes=1, in_place=in_place)

    def test_peak_layer_by_layer(self, mobilenet: Network) -> None:
        peak = max(self.needed(mobilenet, index) for index in range(len(mobilenet.layers)))
        assert peak == 112 * 112 * (16 + 96) == 1_404_928 == 1372 * KIB

    def test_peak_after_the_fused_head(self, mobilenet: Network) -> None:
        sizes = [(layer.features.output_height, layer.features.output_channels) for layer in mobilenet.layers]
        after_head = sizes.index((28, 32)) + 1
        peak = max(self.needed(mobilenet, index) for index in range(after_head, len(mobilenet.layers)))
        assert peak == 28 * 28 * (32 + 192) == 175_616

    def test_first_convolution(self, mobilenet: Network) -> None:
        assert self.needed(mobilenet, 0) == 224 * 224 * 3 + 112 * 112 * 32 == 551_936 == 539 * KIB


class TestDepthFirstTiles:
    """Mei et al., DeFiNES, HPCA 2023, case study 1: FSRCNN without padding, 974 x 554 to 960 x 540, int8."""

    BASE = 8_362_594_208

    @pytest.mark.parametrize(
        ("columns", "rows", "tiles", "recomputed", "cached_in_x", "ratio", "input_bytes"),
        [
            (1, 1, 518_400, 247_467_571_200, 33_388_390_080, 29.5922, 116_640_000),
            (16, 18, 1_800, 11_884_608_000, 9_709_065_600, 1.4212, 1_728_000),
            (960, 540, 1, BASE, BASE, 1.0, 539_596),
        ],
    )
    def test_tiles(
        self,
        fsrcnn: Network,
        columns: int,
        rows: int,
        tiles: int,
        recomputed: int,
        cached_in_x: int,
        ratio: float,
        input_bytes: int,
    ) -> None:
        block = Block(0, 7, 1)
        costs = {overlap: tile_cost(fsrcnn, block, columns, rows, overlap) for overlap in Overlap}
        assert {cost.tiles for cost in costs.values()} == {tiles}
        assert costs[Overlap.RECOMPUTE].operations == 2 * recomputed
        assert costs[Overlap.CACHED_X].operations == 2 * cached_in_x
        assert costs[Overlap.CACHED].operations == 2 * self.BASE
        assert round(recomputed / self.BASE, 4) == ratio
        assert costs[Overlap.RECOMPUTE].input_elements == input_bytes

    def test_base_operations_and_weights(self, fsrcnn: Network) -> None:
        assert sum(layer.features.operations for layer in fsrcnn.layers) == 2 * self.BASE
        biases = sum(layer.features.output_channels for layer in fsrcnn.layers)
        assert sum(layer.features.weight_bytes for layer in fsrcnn.layers) // 4 - biases == 15_992

    def test_activation_traffic(self, fsrcnn: Network) -> None:
        unfused = map_bytes(fsrcnn, *((layer, layer) for layer in range(8)), element_bytes=1)
        fused = map_bytes(fsrcnn, (0, 7), element_bytes=1)
        assert (unfused, fused) == (190_276_524, 8_833_996)
        assert round(unfused / fused, 2) == 21.54

    def test_bands_of_one_core_are_tiles_as_wide_as_the_map(self, fsrcnn: Network) -> None:
        """Row bands and tiles are two computations of one thing: 30 bands are 30 tiles of 960 x 18."""
        cut = schedule(fsrcnn, Block(0, 7, 30))
        tiles = tile_cost(fsrcnn, Block(0, 7, 1), 960, 18, Overlap.RECOMPUTE)
        traffic = block_traffic(fsrcnn, cut, element_bytes=1)
        assert traffic.input_bytes == tiles.input_elements


def test_tiles_refuse_what_they_cannot_count() -> None:
    network = describe(mobilenet_v2().build())
    with pytest.raises(ValueError, match="does not simply follow"):
        tile_cost(network, Block(0, len(network.layers) - 1, 1), 7, 7, Overlap.CACHED)
    with pytest.raises(ValueError, match="at least 1 x 1"):
        tile_cost(network, Block(0, 0, 1), 0, 7, Overlap.CACHED)
