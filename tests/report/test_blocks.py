"""The rows of `explain` agree with the row arithmetic and add up."""

import json

import pytest

from dlfusion.layers.describe import describe
from dlfusion.layers.layer import Network
from dlfusion.plans.plan import Block, Plan
from dlfusion.report.blocks import block_table, layer_label, summarize
from tests.support.networks import vgg_head

FUSED_TRAFFIC_BYTES = 3_813_376
"""Alwani et al. (MICRO 2016): input and output of the seven fused layers of VGGNet-E, without weights."""


@pytest.fixture(scope="module")
def network() -> Network:
    """The published example: conv1_1 to conv3_1 of VGGNet-E."""
    return describe(vgg_head().build())


def plan_of(network: Network, *blocks: Block) -> Plan:
    """A plan of these blocks."""
    return Plan(network.graph.digest, "any", "by hand", blocks)


def test_fused_block_has_the_published_traffic(network: Network) -> None:
    last = len(network.layers) - 1
    summary = summarize(network, plan_of(network, Block(0, last, cores=1, reason="everything")))
    weights = sum(layer.features.weight_bytes for layer in network.layers)
    assert summary.rows[0].traffic_bytes == FUSED_TRAFFIC_BYTES + weights
    assert summary.rows[0].line_buffer_bytes == 355_632
    assert summary.rows[0].recompute == 0
    assert summary.unfused_traffic_bytes > 10 * summary.traffic_bytes


def test_a_second_core_recomputes_halo_rows(network: Network) -> None:
    last = len(network.layers) - 1
    one, two = (summarize(network, plan_of(network, Block(0, last, cores=cores))).rows[0] for cores in (1, 2))
    assert two.recompute > 0
    assert two.operations > one.operations
    assert two.traffic_bytes > one.traffic_bytes


def test_layers_alone_are_the_unfused_sum(network: Network) -> None:
    blocks = tuple(Block(i, i, cores=1, step_rows=8) for i in range(len(network.layers)))
    summary = summarize(network, plan_of(network, *blocks))
    assert summary.traffic_bytes == summary.unfused_traffic_bytes
    assert summary.peak_tensor_bytes == summary.unfused_peak_tensor_bytes
    assert all(row.line_buffer_bytes == 0 for row in summary.rows)


def test_table_shows_times_only_where_they_were_measured(network: Network) -> None:
    plan = plan_of(network, Block(0, len(network.layers) - 1, cores=2, step_rows=4, reason="the model ends"))
    untimed, timed = block_table(summarize(network, plan)), block_table(summarize(network, plan, [0.0125]))
    assert "ms" not in [column.heading for column in untimed.columns]
    row = dict(zip([column.heading for column in timed.columns], timed.rows[0], strict=True))
    assert (row["ms"], row["cores"], row["step"], row["why it ends"]) == ("12.50", "2", "4", "the model ends")
    assert row["layers"].startswith("0-6: Conv 3x3 + Relu, ")
    assert "more" in row["layers"]
    alone = plan_of(network, *(Block(i, i, cores=1) for i in range(len(network.layers))))
    assert block_table(summarize(network, alone)).rows[2][1] == "2: MaxPool 2x2 s2"


def test_layers_that_are_not_computed_directly_name_their_algorithm(network: Network) -> None:
    block = Block(0, 6, cores=1, algorithms=((1, "winograd6"), (3, "winograd4"), (4, "winograd6")))
    apart = (Block(0, 0, 1), Block(1, 1, 1, algorithms=((1, "winograd6"),)), Block(2, 6, 1))
    fused, alone = summarize(network, plan_of(network, block)), summarize(network, plan_of(network, *apart))
    assert fused.rows[0].algorithms == ("direct", "winograd6", "direct", "winograd4", "winograd6", "direct", "direct")
    (row,) = block_table(fused, reasons=False).rows
    assert (
        "0-6: Conv 3x3 + Relu, Conv 3x3 + Relu by winograd6, ... 4 more (1 by winograd4, 1 by winograd6) ..." in row[1]
    )
    assert block_table(alone).rows[1][1] == "1: Conv 3x3 + Relu by winograd6"
    direct = summarize(network, plan_of(network, Block(0, 6, cores=1)))
    assert fused.traffic_bytes > direct.traffic_bytes
    assert fused.unfused_traffic_bytes > direct.unfused_traffic_bytes


def test_times_for_other_blocks_are_refused(network: Network) -> None:
    plan = plan_of(network, Block(0, len(network.layers) - 1, cores=1))
    with pytest.raises(ValueError, match="zip"):
        summarize(network, plan, [0.1, 0.2])


def test_document_is_json(network: Network) -> None:
    summary = summarize(network, plan_of(network, Block(0, len(network.layers) - 1, cores=2)))
    document = json.loads(json.dumps(summary.document()))
    assert document["rows"][0]["cores"] == 2
    assert document["rows"][0]["partition"] == "rows"


def test_label_names_the_epilogue(network: Network) -> None:
    assert layer_label(network.layers[0]) == "Conv 3x3 + Relu"
