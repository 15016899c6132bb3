"""Proves that every number of the reasons is the cost model's, and that what forbids a block is named."""

from dataclasses import replace

import pytest

from dlfusion.layers.describe import describe
from dlfusion.plans.legality import problems
from dlfusion.plans.plan import Block, Partition, Plan
from dlfusion.plans.schedule import schedule
from dlfusion.report import why as tables
from dlfusion.report.table import markdown
from dlfusion.search import find_strategy
from dlfusion.search.candidates import candidates
from dlfusion.search.contract import toy_accelerator, toy_problem, toy_problems
from dlfusion.search.problem import Problem
from dlfusion.search.why import BUFFER, CORE_COUNTS, WHOLE_INPUT, Reasons, reasons
from tests.support.networks import chain

PROBLEMS = {f"{problem.network.graph.name} on {problem.machine.name}": problem for problem in toy_problems()}


def planned(name: str, problem: Problem) -> Plan:
    return find_strategy(name).plan(problem)  # type: ignore[union-attr]


def seconds(problem: Problem, block: Block) -> float:
    return problem.cost.block(problem.network, schedule(problem.network, block)).seconds


def cheapest(problem: Problem, first: int, last: int) -> float:
    return min(seconds(problem, block) for block in candidates(problem, first, last))


@pytest.fixture(params=PROBLEMS)
def problem(request: pytest.FixtureRequest) -> Problem:
    return PROBLEMS[request.param]


@pytest.mark.parametrize("strategy", ["baseline", "fuse-all", "dp"])
def test_every_boundary_has_the_cost_models_numbers(problem: Problem, strategy: str) -> None:
    plan = planned(strategy, problem)
    found = reasons(problem, plan)
    assert [boundary.after for boundary in found.boundaries] == list(range(len(problem.network.layers) - 1))
    ends = {block.last: index for index, block in enumerate(plan.blocks)}
    for boundary in found.boundaries:
        assert boundary.cut == (boundary.after in ends)
        if boundary.cut:
            left, right = plan.blocks[ends[boundary.after]], plan.blocks[ends[boundary.after] + 1]
            assert boundary.cut_seconds == pytest.approx(seconds(problem, left) + seconds(problem, right))
            if candidates(problem, left.first, right.last):
                assert boundary.merged_seconds == pytest.approx(cheapest(problem, left.first, right.last))
            else:
                assert boundary.merged_seconds is None
                assert boundary.problem
        else:
            (block,) = (block for block in plan.blocks if boundary.after in block.layers)
            parts = cheapest(problem, block.first, boundary.after), cheapest(problem, boundary.after + 1, block.last)
            assert boundary.cut_seconds == pytest.approx(sum(parts))
            assert boundary.merged_seconds == pytest.approx(seconds(problem, block))


def test_the_deciding_term_is_the_one_that_moves_most(problem: Problem) -> None:
    for boundary in reasons(problem, planned("baseline", problem)).boundaries:
        if boundary.merged_seconds is None:
            continue
        total = sum(change.saved_by_cutting for change in boundary.changes)
        assert total == pytest.approx(boundary.merged_seconds - boundary.cut_seconds)
        (decided,) = (change for change in boundary.changes if change.term == boundary.decided)
        sign = 1 if boundary.cut_seconds <= boundary.merged_seconds else -1
        assert all(sign * change.saved_by_cutting <= sign * decided.saved_by_cutting for change in boundary.changes)


def test_every_core_count_of_every_block(problem: Problem) -> None:
    plan = planned("dp", problem)
    found = reasons(problem, plan)
    for block, reason in zip(plan.blocks, found.blocks, strict=True):
        assert reason.seconds == pytest.approx(seconds(problem, block))
        assert sum(value for _, value in reason.terms) == pytest.approx(reason.seconds)
        assert [choice.cores for choice in reason.choices] == list(problem.core_counts)
        (chosen,) = (choice for choice in reason.choices if choice.chosen)
        assert chosen.cores == block.cores
        assert chosen.seconds == pytest.approx(reason.seconds)
        for choice in reason.choices:
            options = [b for b in candidates(problem, block.first, block.last) if b.cores == choice.cores]
            if not options:
                assert choice.seconds is None
            else:
                assert choice.seconds == pytest.approx(min(seconds(problem, option) for option in options))


def test_dp_agrees_with_every_boundary(problem: Problem) -> None:
    assert all(boundary.agrees for boundary in reasons(problem, planned("dp", problem)).boundaries)


def test_what_forbids_merging_is_named_with_its_numbers() -> None:
    small = replace(toy_accelerator(), buffer_bytes=600)
    chain = toy_problem(PROBLEMS["chain on toy CPU"].network, small)
    boundary = reasons(chain, planned("baseline", chain)).boundaries[1]
    assert (boundary.merged_seconds, boundary.decided) == (None, BUFFER)
    assert "bytes per core, allowed are 600" in boundary.problem
    assert boundary.problem in {
        "; ".join(problems(chain.network, Block(1, 2, cores), chain.limits)) for cores in chain.core_counts
    }
    classifier = toy_problem(PROBLEMS["classifier on toy CPU"].network, toy_accelerator())
    ends = list(reasons(classifier, planned("baseline", classifier)).boundaries)
    assert (ends[1].decided, ends[1].merged_seconds) == (WHOLE_INPUT, None)
    assert "reads its whole input" in ends[1].problem


def test_a_block_of_fewer_rows_than_any_core_count_is_no_matter_of_memory() -> None:
    flat = describe(chain([(8, 3, 1)] * 2, height=2).build())
    few = replace(toy_problem(flat, toy_accelerator()), core_counts=(4,))
    by_channels = [Block(index, index, 4, Partition.CHANNELS, 2, reason="why") for index in range(2)]
    (boundary,) = reasons(few, few.plan("by hand", tuple(by_channels))).boundaries
    assert (boundary.decided, boundary.problem) == (
        CORE_COUNTS,
        "4 cores cannot share 2 rows of the block's tallest output",
    )


def test_tables_and_json_have_the_same_numbers() -> None:
    problem = PROBLEMS["residual on toy accelerator"]
    found: Reasons = reasons(problem, planned("dlfusion", problem))
    boundaries, blocks = tables.boundary_table(found), tables.core_table(found)
    assert len(boundaries.rows) == len(found.boundaries)
    for row, boundary in zip(boundaries.rows, found.boundaries, strict=True):
        assert row[0] == f"{boundary.after}|{boundary.after + 1}"
        assert row[3] == f"{boundary.cut_seconds * 1e6:.1f}"
        assert row[2].startswith("cut" if boundary.cut else "merged")
        assert boundary.decided in row
    for row, block in zip(blocks.rows, found.blocks, strict=True):
        marked = [cell for cell in row[2:-1] if cell.endswith("*")]
        assert marked == [f"{block.seconds * 1e6:.1f} *"]
    assert markdown(boundaries).count("\n") > len(found.boundaries)
    document = tables.document(found)
    assert document["boundaries"][0]["cut_seconds"] == found.boundaries[0].cut_seconds
    assert document["boundaries"][0]["agrees"] == found.boundaries[0].agrees
    assert document["blocks"][0]["choices"][0]["cores"] == problem.core_counts[0]
