"""Proves that plans survive JSON unchanged and that malformed ones are refused with what is wrong."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlfusion.errors import PlanError
from dlfusion.plans.plan import Block, Partition, Plan

naturals = st.integers(0, 500)
blocks = st.builds(
    Block,
    naturals,
    naturals,
    naturals,
    st.sampled_from(Partition),
    naturals,
    st.lists(st.tuples(naturals, st.text()), max_size=3).map(tuple),
    st.text(),
)
any_plans = st.builds(Plan, st.text(), st.text(), st.text(), st.lists(blocks, max_size=4).map(tuple))

PLAN = Plan("d" * 64, "A; 2 cores; L2 1024 KiB", "by hand", (Block(0, 3, 2, reason="end"),))


@given(any_plans)
def test_json_round_trip(plan: Plan) -> None:
    assert Plan.from_json(plan.to_json()) == plan


def test_optional_fields_of_a_block_have_defaults() -> None:
    document = json.loads(PLAN.to_json())
    document["blocks"] = [{"first": 0, "last": 3, "cores": 2}]
    assert Plan.from_json(json.dumps(document)).blocks == (Block(0, 3, 2),)


def changed(**fields: object) -> dict[str, Any]:
    return {**json.loads(PLAN.to_json()), **fields}


def block_with(**fields: object) -> dict[str, Any]:
    return changed(blocks=[{"first": 0, "last": 1, "cores": 1, **fields}])


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "In the plan: expected an object with fields, found \\[\\]"),
        ({}, "In the plan: missing version"),
        (changed(version=7), "has version 7; this program reads version 1"),
        ({"version": 1}, "missing graph, machine, strategy, blocks"),
        (changed(colour="red"), "unknown colour; the fields are"),
        (changed(graph=3), "`graph` must be of type str, found 3"),
        (changed(blocks={}), "`blocks` must be of type list, found {}"),
        (changed(blocks=[4]), "In block 0: expected an object with fields, found 4"),
        (changed(blocks=[{"first": 0}]), "In block 0: missing last, cores"),
        (block_with(cores=True), "`cores` must be of type int, found true"),
        (block_with(cores="two"), '`cores` must be of type int, found "two"'),
        (block_with(steps=3), "In block 0: unknown steps"),
        (block_with(partition="columns"), "partition `columns` is none of rows, channels"),
        (block_with(reason="half \ud800"), "In block 0: `reason` has half of a surrogate pair"),
        (block_with(algorithms=[[1]]), "must be \\[layer index, name\\], found \\[1\\]"),
        (block_with(algorithms=[[True, "direct"]]), "must be \\[layer index, name\\]"),
    ],
)
def test_malformed_plans_are_refused_with_the_place(document: object, message: str) -> None:
    with pytest.raises(PlanError, match=message):
        Plan.from_json(json.dumps(document))


@pytest.mark.parametrize("text", ["[" * 100_000, '{"version": ' + "1" * 5000 + "}"])
def test_json_beyond_the_limits_of_python(text: str) -> None:
    with pytest.raises(PlanError, match="not valid JSON"):
        Plan.from_json(text)


def test_text_that_is_no_json() -> None:
    with pytest.raises(PlanError, match=r"not valid JSON: .* line 1 column 2"):
        Plan.from_json("{")


def test_a_plan_for_another_graph_is_an_error() -> None:
    PLAN.check_graph("d" * 64)
    with pytest.raises(PlanError, match="made for another graph: it names dddddddddddddddd"):
        PLAN.check_graph("e" * 64)


def test_a_plan_from_another_machine_is_a_warning_that_names_the_difference() -> None:
    assert PLAN.machine_warning("A; 2 cores; L2 1024 KiB") is None
    warning = PLAN.machine_warning("A; 4 cores; L2 1024 KiB")
    assert warning is not None
    assert "2 cores; here: 4 cores" in warning
    assert "1024" not in warning
