"""Answers a search by measuring from a cost model, without a target."""

from dataclasses import dataclass, field

from dlfusion.plans.plan import Block, Plan
from dlfusion.plans.schedule import schedule
from dlfusion.search.problem import Problem
from dlfusion.search.strategy import MeasuringStrategy, Request, TimeBlocks, TimePlans


@dataclass
class Answers:
    """What was asked, and the plan in the end."""

    requests: list[Request] = field(default_factory=list)
    plan: Plan | None = None

    @property
    def blocks(self) -> list[Block]:
        """All blocks whose times were asked for."""
        return [block for request in self.requests if isinstance(request, TimeBlocks) for block in request.blocks]

    @property
    def plans(self) -> list[Plan]:
        """All plans whose times were asked for."""
        return [plan for request in self.requests if isinstance(request, TimePlans) for plan in request.plans]


def measured(strategy: MeasuringStrategy, problem: Problem, device: Problem, most: int | None = None) -> Answers:
    """Runs a search; `device.cost` says what the device takes, `problem.cost` what the search believes.

    After `most` answers only essential requests are answered.
    """
    answers = Answers()
    search = strategy.search(problem)
    answer: tuple[float, ...] | None = None
    try:
        while True:
            request = search.send(answer) if answers.requests else next(search)
            refused = most is not None and len(answers.requests) >= most
            answers.requests.append(request)
            essential = isinstance(request, TimePlans) and request.essential
            answer = None if refused and not essential else seconds_of(request, device)
    except StopIteration as end:
        answers.plan = end.value
    return answers


def seconds_of(request: Request, device: Problem) -> tuple[float, ...]:
    """What the device takes, without noise."""
    if isinstance(request, TimeBlocks):
        return tuple(block_seconds(block, device) for block in request.blocks)
    return tuple(sum(block_seconds(block, device) for block in plan.blocks) for plan in request.plans)


def block_seconds(block: Block, device: Problem) -> float:
    """One block."""
    return device.cost.block(device.network, schedule(device.network, block)).seconds
