"""Comparisons: ratios point the right way, documents hold every sample, tables and pictures show what did not run."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from dlfusion.report.comparison_figures import draw_comparison
from dlfusion.report.comparison_pages import write_comparison
from dlfusion.report.comparisons import best_table, engine_table
from dlfusion.report.record import PAPER_MODELS, Comparison, Engine, Record, geometric_means
from dlfusion.report.table import markdown

RUNTIME = Engine(
    "onnxruntime", (0.020, 0.022, 0.030), peak_memory_bytes=8 << 20, is_peer=True, title="ONNX Runtime",
    settings={"threads": "1"},
)  # fmt: skip
QUICK = Engine("quick", (0.015, 0.016), largest_difference=1e-5, is_peer=True, title="Quick")
BROKEN = Engine("broken", (), is_peer=True, title="Broken", problem="it has no batches")
FUSED = Engine("fuse-all", (0.010, 0.013, 0.011), peak_memory_bytes=2 << 20, largest_difference=2e-6, title="DLFusion")
SLOW = Engine("baseline", (0.040, 0.041), peak_memory_bytes=4 << 20, largest_difference=1e-6, title="DLFusion")
COMPARISON = Comparison("fsrcnn", 1, (RUNTIME, QUICK, BROKEN, SLOW, FUSED), {"all-cores": "baseline"}, (0,))
RECORD = Record("a machine", {"dlfusion": "1", "onnxruntime": "1.31"}, 3.0, (COMPARISON,))


def test_ratio_is_above_one_where_ours_is_faster() -> None:
    assert COMPARISON.best is FUSED
    assert COMPARISON.best_peer is QUICK
    assert COMPARISON.ratio(FUSED) == 1.5
    assert COMPARISON.ratio(SLOW) == 0.375
    assert COMPARISON.ratio(RUNTIME) == 2.0
    assert COMPARISON.ratio(QUICK) == 1.5
    assert COMPARISON.ratio(BROKEN) is None


def test_without_a_peer_that_runs_there_is_no_ratio() -> None:
    alone = Comparison("m", 1, (BROKEN, FUSED), {})
    assert alone.best_peer is None
    assert alone.ratio(FUSED) is None
    assert alone.peer("broken") is BROKEN
    assert alone.peer("quick") is None


def test_minimum_and_median() -> None:
    assert FUSED.minimum_seconds == 0.010
    assert FUSED.median_seconds == 0.011


def test_geometric_mean_only_where_all_models_were_compared() -> None:
    five = [replace(COMPARISON, model=name, cores=cores) for name in PAPER_MODELS for cores in (1, 2)]
    slower = replace(five[0], engines=(RUNTIME, QUICK, SLOW))
    record = replace(RECORD, comparisons=(slower, *five[1:-1], COMPARISON))
    assert geometric_means(record) == {1: pytest.approx((1.5**4 * 0.375) ** 0.2)}
    assert best_table(record).rows[-1][:2] == ("geometric mean of the paper's five", "1")


def test_document_keeps_all_samples_and_comes_back() -> None:
    document = json.loads(json.dumps(RECORD.document()))
    assert document["comparisons"][0]["engines"][4]["samples_seconds"] == [0.010, 0.013, 0.011]
    assert Record.of(document) == RECORD
    with pytest.raises(ValueError, match="has schema 1, expected 2"):
        Record.of({**document, "schema": 1})


def test_summary_has_ratios_in_place_of_samples() -> None:
    summary = json.loads(json.dumps(RECORD.summary(), allow_nan=False))
    (shown,) = summary["comparisons"]
    assert shown["best_peer"] == "quick"
    _, _, broken, _, fused = shown["engines"]
    assert "samples_seconds" not in fused
    assert (fused["runs"], fused["minimum_seconds"], fused["ratio"]) == (3, 0.010, 1.5)
    assert (broken["runs"], broken["minimum_seconds"], broken["ratio"]) == (0, None, None)
    assert broken["problem"] == "it has no batches"


def test_engine_table_has_a_row_for_each_engine_and_names_equal_plans() -> None:
    table = engine_table(RECORD)
    assert [row[2] for row in table.rows] == [
        "ONNX Runtime", "Quick", "Broken", "baseline", "fuse-all", "all-cores (same plan as baseline)"
    ]  # fmt: skip
    assert table.rows[4][3:8] == ("10.00", "11.00", "1.50", "2.0 MiB", "2e-06")
    assert table.rows[2][3:] == ("cannot run", "", "", "", "", "0")
    assert "Broken cannot run: it has no batches (fsrcnn on 1 core)." in table.notes
    allowed = "by 0.0001 of their scale, a peer's by 0.001; in bf16 by 0.02 and 0.05"
    assert any(allowed in note for note in table.notes)


def test_best_table_shows_the_fastest_strategy_beside_each_peer() -> None:
    table = best_table(RECORD)
    assert [column.heading for column in table.columns][2:7] == [
        "DLFusion", "strategy", "ONNX Runtime", "Quick", "Broken"
    ]  # fmt: skip
    (row,) = table.rows
    assert row[2:] == (
        "10.00 (11.00)", "fuse-all", "20.00 (22.00)", "15.00 (15.50)", "cannot run",
        "1.50", "Quick", "2.0 MiB", "8.0 MiB",
    )  # fmt: skip


def test_how_many_strategies_ours_is_the_best_of_is_said() -> None:
    assert COMPARISON.strategies == ("baseline", "fuse-all", "all-cores")
    several = best_table(RECORD)
    assert several.title.endswith("DLFusion: the fastest of 3 strategies")
    assert "of DLFusion, that of the fastest of 3 strategies" in several.notes[0]
    single = best_table(replace(RECORD, comparisons=(Comparison("m", 1, (RUNTIME, FUSED), {}),)))
    assert "strategy" not in [column.heading for column in single.columns]
    assert "strategies" not in single.title
    assert "of DLFusion, that of strategy fuse-all" in single.notes[0]


def test_the_page_has_its_picture_and_both_tables(tmp_path: Path) -> None:
    written: dict[str, str] = {}
    write_comparison(RECORD, tmp_path, lambda file, text: written.update({file.name: text}))
    assert {path.name for path in tmp_path.iterdir()} == {"comparison.png", "comparison.svg"}
    (text,) = written.values()
    assert list(written) == ["comparison.md"]
    for part in ("(comparison.svg)", markdown(best_table(RECORD)), markdown(engine_table(RECORD)).strip()):
        assert part in text


def test_memory_that_was_not_measured_is_left_empty() -> None:
    bare = Comparison("m", 1, (Engine("onnxruntime", (1.0,), is_peer=True), Engine("baseline", (1.0,))), {})
    record = replace(RECORD, comparisons=(bare,))
    assert best_table(record).rows[0][-2:] == ("", "")
    table = engine_table(record)
    assert "memory" not in [column.heading for column in table.columns]
    assert not any("Memory" in note for note in table.notes)
    assert any("Loading and optimizing count" in note for note in engine_table(RECORD).notes)
    partly = replace(RECORD, comparisons=(bare, COMPARISON))
    assert [row[6] for row in engine_table(partly).rows[:3]] == ["", "", "8.0 MiB"]


def test_other_precisions_and_instructions_are_said() -> None:
    halved = replace(QUICK, precision="bf16")
    comparison = Comparison("m", 1, (RUNTIME, halved, replace(FUSED, precision="bf16")), {})
    record = replace(RECORD, comparisons=(comparison,), precision="bf16", isa="avx2", unrestricted=("quick",))
    table = best_table(record)
    assert [column.heading for column in table.columns][3:5] == ["ONNX Runtime (fp32)", "Quick"]
    assert "in bf16, instructions: avx2" in table.title
    assert "ONNX Runtime: in fp32, because bf16 is not offered." in table.notes
    assert "Quick: not kept to avx2; all instructions of the machine are used." in table.notes


def test_the_picture_is_drawn_with_and_without_peers(tmp_path: Path) -> None:
    two = replace(RECORD, comparisons=(COMPARISON, replace(COMPARISON, cores=2)))
    drawn = draw_comparison(two, tmp_path, "all")
    assert [path.name for path in drawn] == ["all.png", "all.svg"]
    again = tmp_path / "again"
    again.mkdir()
    assert [path.read_bytes() for path in draw_comparison(two, again, "all")] == [path.read_bytes() for path in drawn]
    alone = replace(RECORD, comparisons=(Comparison("m", 1, (FUSED,), {}),))
    assert all(path.is_file() for path in draw_comparison(alone, tmp_path, "alone"))
