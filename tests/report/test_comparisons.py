"""Comparisons: ratios point the right way, documents hold every sample, tables show what was not measured."""

import json

from dlfusion.report.comparisons import best_table, engine_table
from dlfusion.report.record import PEER, Comparison, Engine, Record

PEER_RUNS = Engine(PEER, (0.020, 0.022, 0.030), peak_memory_bytes=8 << 20)
FUSED = Engine("fuse-all", (0.010, 0.013, 0.011), peak_memory_bytes=2 << 20, largest_difference=2e-6)
SLOW = Engine("baseline", (0.040, 0.041), peak_memory_bytes=4 << 20, largest_difference=1e-6)
COMPARISON = Comparison("fsrcnn", 1, (PEER_RUNS, SLOW, FUSED), {"all-cores": "baseline"})
RECORD = Record("a machine", {"onnxruntime": "1.31"}, 3.0, (COMPARISON,))


def test_ratio_is_above_one_for_the_faster_engine() -> None:
    assert COMPARISON.ratio(FUSED) == 2.0
    assert COMPARISON.ratio(SLOW) == 0.5
    assert COMPARISON.best is FUSED
    assert COMPARISON.peer is PEER_RUNS


def test_minimum_and_median() -> None:
    assert FUSED.minimum_seconds == 0.010
    assert FUSED.median_seconds == 0.011


def test_document_keeps_all_samples_and_summary_replaces_them() -> None:
    document = json.loads(json.dumps(RECORD.document()))
    assert document["comparisons"][0]["engines"][2]["samples_seconds"] == [0.010, 0.013, 0.011]
    entry = json.loads(json.dumps(RECORD.summary()))["comparisons"][0]["engines"][2]
    assert "samples_seconds" not in entry
    assert (entry["runs"], entry["minimum_seconds"], entry["speed_against_onnxruntime"]) == (3, 0.010, 2.0)


def test_engine_table_has_a_row_for_each_engine_and_names_equal_plans() -> None:
    rows = engine_table(RECORD).rows
    assert [row[2] for row in rows] == [PEER, "baseline", "fuse-all", "all-cores (same plan as baseline)"]
    assert rows[2][3:8] == ("10.00", "11.00", "2.00", "2.0 MiB", "2e-06")


def test_best_table_shows_the_fastest_strategy() -> None:
    assert best_table(RECORD).rows == (("fsrcnn", "1", "20.00", "10.00", "2.00", "fuse-all", "8.0 MiB", "2.0 MiB"),)


def test_memory_that_was_not_measured_is_left_empty() -> None:
    bare = Comparison("m", 1, (Engine(PEER, (1.0,)), Engine("baseline", (1.0,))), {})
    record = Record("m", {}, 1.0, (bare,))
    assert best_table(record).rows[0][-2:] == ("", "")
    table = engine_table(record)
    assert "memory" not in [column.heading for column in table.columns]
    assert not any("Memory" in note for note in table.notes)
    partly = Record("m", {}, 1.0, (bare, COMPARISON))
    assert [row[6] for row in engine_table(partly).rows[:4]] == ["", "", "8.0 MiB", "4.0 MiB"]
