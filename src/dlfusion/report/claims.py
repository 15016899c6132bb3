"""What the evaluation has to show, checked against its numbers, and sentences that explain the speed-ups."""

import statistics
from collections.abc import Iterator
from dataclasses import dataclass

from dlfusion.report.strategies import GLOBAL_CORES, UNFUSED, Comparison, ModelComparison, StrategyResult
from dlfusion.report.table import Column, Table
from dlfusion.report.units import percent

PUBLISHED = (3.6, 7.9)
"""Speed-ups over the baseline that the paper's abstract states (arXiv 2011.05630)."""

PUBLISHED_TARGET = "mlu100"
"""The device that they are of; nothing was published about others."""

LARGEST_REGRET = 0.10
LARGEST_MEAN_REGRET = 0.05
LARGEST_DP_REGRET = 0.02
LARGEST_TUNED_REGRET = 0.03
LEAST_SEARCH_FACTOR = 1000.0
"""The evaluation's own goals."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Something that was to be shown: what was wanted, what was found, and whether that is enough."""

    what: str
    wanted: str
    found: str
    met: bool


def claims(comparison: Comparison) -> tuple[Claim, ...]:
    """The evaluation's claims about one target; those whose strategies were not compared are left out."""
    found: list[Claim] = []
    if comparison.simulated:
        found += _regret_claims(comparison, "dlfusion", LARGEST_REGRET, LARGEST_MEAN_REGRET)
        found += _regret_claims(comparison, "dp", LARGEST_DP_REGRET)
        found += _search_claims(comparison)
    else:
        found += _regret_claims(comparison, "dlfusion", LARGEST_REGRET)
        found += _regret_claims(comparison, "tuned", LARGEST_TUNED_REGRET)
        found += _promise_claims(comparison, UNFUSED, "the fastest unfused plan")
        found += _promise_claims(comparison, GLOBAL_CORES, "the best single core count")
    return tuple(found)


def claim_table(found: tuple[Claim, ...]) -> Table:
    """What was to be shown, what was found, and whether that is enough."""
    columns = (
        Column("to show", number=False),
        Column("wanted"),
        Column("found"),
        Column("met", number=False),
    )
    rows = tuple((claim.what, claim.wanted, claim.found, "yes" if claim.met else "no") for claim in found)
    return Table("Claims", columns, rows)


def explanation(comparison: Comparison) -> Iterator[str]:
    """For each model: `dlfusion`'s speed-up, how it stands to the published range, and what sets it."""
    low, high = PUBLISHED
    for model in comparison.models:
        ours, base = model.find("dlfusion"), model.find("baseline")
        if ours is None or base is None:
            continue
        speed = model.ratio(base, ours).minimum
        text = f"{model.model}: {speed:.2f}x over the baseline"
        if not comparison.simulated:
            yield f"{text} on {ours.cores} cores."
            continue
        if comparison.target == PUBLISHED_TARGET:
            place = "above" if speed > high else "below" if speed < low else "inside"
            text += f", {place} the published {low:g}x to {high:g}x"
        yield f"{text}. {_limits(base, ours)}".rstrip()


def _limits(base: StrategyResult, ours: StrategyResult) -> str:
    """What bounds the two plans, from the simulator's shares."""
    if base.shares is None or ours.shares is None or not ours.shares.arithmetic:
        return ""
    cores = max(block.cores for block in ours.plan.blocks)
    before, after = base.shares, ours.shares
    parts = {
        "launching and synchronising blocks": after.starts,
        "the busiest memory channel": after.memory,
        "the busiest core's arithmetic": after.arithmetic,
    }
    shorter = before.arithmetic * base.minimum / (after.arithmetic * ours.minimum)
    largest = max(parts, key=lambda name: parts[name])
    return (
        f"The baseline computes on one core for {percent(before.arithmetic)} of its time ({percent(before.starts)} "
        f"goes to starting {base.blocks} blocks, {percent(before.memory)} of the time its memory channel works). With "
        f"{ours.blocks} blocks on up to {cores} cores, starts take {percent(after.starts)}, memory works "
        f"{percent(after.memory)} and arithmetic {percent(after.arithmetic)} of the time; the busiest core's "
        f"arithmetic is {shorter:.1f} times shorter than the baseline's. What limits it most is {largest}."
    )


def _regret_claims(
    comparison: Comparison, strategy: str, largest: float, largest_mean: float | None = None
) -> Iterator[Claim]:
    found = [(model.model, regret) for model in comparison.models if (regret := _regret(model, strategy)) is not None]
    if not found:
        return
    name, worst = max(found, key=lambda entry: entry[1])
    what = f"regret of `{strategy}` against the oracle, every model"
    yield Claim(what, f"at most {percent(largest)}", f"{percent(worst)} ({name})", worst <= largest)
    if largest_mean is not None:
        mean = statistics.fmean(regret for _, regret in found)
        what = f"regret of `{strategy}` against the oracle, mean"
        yield Claim(what, f"at most {percent(largest_mean)}", percent(mean), mean <= largest_mean)


def _regret(model: ModelComparison, strategy: str) -> float | None:
    result = model.find(strategy)
    regret = None if result is None else model.regret(result)
    return None if regret is None else regret.minimum


def _search_claims(comparison: Comparison) -> Iterator[Claim]:
    found = [
        (model.oracle.seconds / ours.search_seconds, model.model)
        for model in comparison.models
        if (ours := model.find("dlfusion")) is not None and model.oracle is not None
    ]
    if found:
        least, name = min(found)
        what = "search of `dlfusion` against the oracle's, every model"
        wanted = f"at least {LEAST_SEARCH_FACTOR:,.0f} times faster"
        yield Claim(what, wanted, f"{least:,.0f} times ({name})", least >= LEAST_SEARCH_FACTOR)


def _promise_claims(comparison: Comparison, rivals: tuple[str, ...], words: str) -> Iterator[Claim]:
    """Tuned plans are no slower than others, beyond the noise that the model's own run shows."""
    found = []
    for model in comparison.models:
        tuned = model.find("tuned")
        excess = None if tuned is None else model.excess(tuned, rivals)
        if excess is not None:
            found.append((excess.minimum - model.noise, excess.minimum, model))
    if found:
        beyond, excess_minimum, model = max(found, key=lambda entry: entry[0])
        text = f"{percent(excess_minimum)} slower at noise {percent(model.noise)} ({model.model})"
        if excess_minimum < 0:
            text = f"{percent(-excess_minimum)} faster at least ({model.model})"
        yield Claim(f"`tuned` never slower than {words}", "beyond the run's noise", text, beyond <= 0)
