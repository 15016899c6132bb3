"""Tables, pages and JSON of layers with planted times."""

import json
from pathlib import Path

import pytest

from dlfusion.report.layer_pages import index_text, page_text, write_page
from dlfusion.report.layer_tables import blocks_table, gains_table, layers_table, rates_table
from dlfusion.report.layers import Timing
from tests.report.toy_comparison import write
from tests.report.toy_layers import model_report


def test_timing() -> None:
    assert Timing.of([3.0, 1.0, 2.0]) == Timing(1.0, 2.0, 3)


def test_gains() -> None:
    report = model_report()
    one, two = report.cores
    assert one.fusion_gain == pytest.approx(1.05)
    assert two.fusion_gain == pytest.approx(0.96)
    assert report.core_gain(two) == pytest.approx(1.6)
    assert one.blocks[0].gain == pytest.approx(1.25)
    assert one.share == pytest.approx(101e6 / 2e-3 / 100e9)
    assert [layer.work.index for layer in one.held_back] == [1, 2], "the first reaches 80 %"
    rows = gains_table(report).rows
    assert rows[0] == ("1", "2.10", "2.00", "2.20", "1.050", "1.050", "1.000", "50.5", "50.5 %", "2 of 3")
    assert rows[1][6] == "1.600"
    assert "strategy dlfusion" in gains_table(report).notes[0]
    assert gains_table(report).notes[0].endswith("held against 1 core. Weights were stored as fp32.")


def test_a_row_for_each_layer_and_their_sum() -> None:
    one, two = model_report().cores
    table = layers_table(one)
    dense, pool, moving, total = table.rows
    assert dense == (
        *("0", "Conv 3x3 + Relu", "64x14x14 → 64x14x14", "direct", "1.25", "80.0"),
        *("80.0 %", "80.0 %", "242.0 KiB", "1.00", ""),
    )
    assert pool[-1].startswith("input 1.0 MiB from L3: 0.105 of 0.500 ms; no sums over channels")
    assert moving[5:8] == ("", "", "")
    assert total[4] == "2.00"
    assert total[9] == "1.21", "1 ms of arithmetic, twice 0.105 ms of input"
    assert layers_table(two).rows[0][-1] == (
        "sharing: 1.25 ms on one core: 0.125 of 0.750 ms; inside the kernel (conv_blocked): 0.125 of 0.750 ms"
    )
    assert layers_table(two).title == "Layers on 2 cores"


def test_blocks_beside_their_layers() -> None:
    (row,) = blocks_table(model_report().cores[0]).rows
    assert row == ("0-1", "Conv 3x3 + Relu", "MaxPool 2x2", "1", "1.40", "1.54", "1.75", "1.93", "1.250", "1.250")


def test_limits_of_the_machine() -> None:
    table = rates_table(model_report())
    assert table.rows[0] == ("1", "100.0", "200.0 / 100.0", "100.0 / 50.0", "10.0 / 5.0", "1.0 / 0.5", "1.00")
    assert "a machine, avx2, with a compiler" in table.notes[0]


def test_json_has_all_that_tables_show() -> None:
    document = json.loads(json.dumps(model_report().document()))
    one, two = document["cores"]
    assert one["layers"][0]["share_of_peak"] == pytest.approx(0.8)
    assert one["layers"][0]["reasons"] == []
    assert one["layers"][1]["bound_seconds"] == pytest.approx((1 << 20) / 10e9 + 50_176 / 100e9)
    assert one["layers"][1]["weights"] == {"bytes": 0, "level": "L1", "written": False}
    assert one["blocks"][0]["gain"] == pytest.approx(1.25)
    assert (two["fusion_gain"], two["core_gain"]) == (pytest.approx(0.96), pytest.approx(1.6))


def test_page() -> None:
    text = page_text(model_report(), "toy-roofline.png")
    assert "![Roofline of toy](toy-roofline.png)" in text
    headings = [line for line in text.splitlines() if line.startswith("## ")]
    assert headings[3:] == ["## 1 core: layers", "## 1 core: fused blocks", "## 2 cores: layers"]


def test_index_of_pages() -> None:
    text = index_text([model_report().document()])
    assert "| [toy](toy.md) | 1 | 2.00 | 1.050 | 1.000 | 50.5 % | 2 of 3 |" in text
    assert "| [toy](toy.md) | 2 | 1.25 | 0.960 | 1.600 | 40.4 % | 3 of 3 |" in text
    assert "Measured on a machine." in text
    assert "Cores gain: the model's time on the fewest cores that were measured" in text


def test_files(tmp_path: Path) -> None:
    page, picture = write_page(model_report(), tmp_path, write)
    assert {path.name for path in tmp_path.iterdir()} == {page.name, picture.name} == {"toy.md", "toy-roofline.png"}
