"""The page of `dlfusion reproduce`: the paper's evaluation, with sentences that are made from its numbers."""

import json
import statistics
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dlfusion.report.claims import LEAST_SEARCH_FACTOR, PUBLISHED, PUBLISHED_TARGET, claim_table, claims, explanation
from dlfusion.report.strategies import (
    EXACT_NOTE,
    ORACLE,
    Comparison,
    csv_text,
    duration,
    file_name,
    strategy_table,
    whole_number,
)
from dlfusion.report.strategy_figures import draw_search_times, draw_speed_ups, draw_strips
from dlfusion.report.table import Column, Table, markdown
from dlfusion.report.units import percent
from dlfusion.search.choices import REDUCTION

PAGE_STEM = "reproduction"


@dataclass(frozen=True, slots=True)
class AccuracyRow:
    """How well a cost model predicts the blocks of all plans of one model; errors are relative."""

    model: str
    cost_model: str
    blocks: int
    median_relative_error: float
    worst_relative_error: float
    rank_correlation: float


@dataclass(frozen=True, slots=True)
class SensitivityRow:
    """One assumed number of a machine file times `factor`; `results` has model, `dlfusion`'s speed-up, and its regret.

    `value` is the changed number, in `unit`; `source` is the file's reason for the unchanged one. The regret is None
    where the reference was not run.
    """

    quantity: str
    factor: float
    value: float
    unit: str
    source: str
    results: tuple[tuple[str, float, float | None], ...]


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """What the assumed numbers of a machine do to the result; `how` says how each row was evaluated.

    The first row is the machine as it is, evaluated in the same way.
    """

    how: str
    rows: tuple[SensitivityRow, ...]


@dataclass(frozen=True, slots=True)
class TargetPart:
    """All that was found on one target."""

    comparison: Comparison
    accuracy: tuple[AccuracyRow, ...] = ()
    sensitivity: Sensitivity | None = None


@dataclass(frozen=True, slots=True)
class Reproduction:
    """The evaluation on one target after the other."""

    parts: tuple[TargetPart, ...]

    @property
    def exact(self) -> bool:
        """Whether plans were to compute every layer directly."""
        return any(part.comparison.exact for part in self.parts)

    @property
    def stem(self) -> str:
        """The name of the page's files, without an ending."""
        return f"{PAGE_STEM}-exact" if self.exact else PAGE_STEM

    def document(self) -> dict[str, Any]:
        """All of it as JSON can hold it, samples and plans included."""
        shown = asdict(self)
        for part, entry in zip(self.parts, shown["parts"], strict=True):
            entry["comparison"] = part.comparison.document()
            entry["claims"] = [asdict(claim) for claim in claims(part.comparison)]
        return shown


def write_page(reproduction: Reproduction, folder: Path, write: Callable[[Path, str], None]) -> tuple[Path, ...]:
    """Draws all pictures into an existing folder, and writes the page beside them: Markdown, HTML, JSON and CSV.

    Args:
        reproduction: what was found.
        folder: where the files go.
        write: writes a text file so that an interruption leaves the old one.

    Returns:
        The Markdown page first, then all other files.

    Raises:
        DrawingError: matplotlib is not installed.
    """
    files: list[Path] = []
    lines = ["# The paper's evaluation, reproduced", "", *_introduction(reproduction)]
    for part in reproduction.parts:
        stem = part.comparison.stem
        lines += ["", *_section(part, folder, files)]
        write(folder / f"{stem}.csv", csv_text(part.comparison))
        files.append(folder / f"{stem}.csv")
    page = "\n".join(lines) + "\n"
    texts = {"md": page, "html": _html(page), "json": json.dumps(reproduction.document(), indent=1) + "\n"}
    pages = [folder / f"{reproduction.stem}.{ending}" for ending in texts]
    for path, text in zip(pages, texts.values(), strict=True):
        write(path, text)
    return (*pages, *files)


def accuracy_table(part: TargetPart) -> Table:
    """How well the cost model predicted each model's blocks."""
    columns = (
        Column("model", number=False),
        Column("cost model", number=False),
        Column("blocks"),
        Column("median error"),
        Column("worst error"),
        Column("rank correlation"),
    )
    rows = tuple(
        (
            *(row.model, row.cost_model, str(row.blocks), percent(row.median_relative_error)),
            *(percent(row.worst_relative_error), f"{row.rank_correlation:.3f}"),
        )
        for row in part.accuracy
    )
    how = "simulated" if part.comparison.simulated else "measured"
    return Table(f"Predicted against {how} times of blocks on {part.comparison.subject}", columns, rows)


def sensitivity_table(sensitivity: Sensitivity) -> Table:
    """One row for each changed number: `dlfusion`'s speed-up over the baseline on each model, and its regret."""
    models = [model for model, _, _ in sensitivity.rows[0].results] if sensitivity.rows else []
    columns = (
        Column("assumed number", number=False),
        Column("times"),
        Column("value"),
        *(Column(model) for model in models),
    )
    rows = tuple(
        (
            row.quantity,
            f"{row.factor:g}",
            f"{row.value:g} {row.unit}" if row.unit else "",
            *(_speed_and_regret(speed, regret) for _, speed, regret in row.results),
        )
        for row in sensitivity.rows
    )
    return Table("Sensitivity (simulated)", columns, rows, (sensitivity.how,))


def _introduction(reproduction: Reproduction) -> Iterator[str]:
    low, high = PUBLISHED
    yield (
        f"The paper (arXiv 2011.05630) reports, on a Cambricon MLU-100, {low:g}x to {high:g}x over running every layer "
        "alone on one core, close to an oracle from a reduced brute-force search. It publishes the range only, not the "
        "models' numbers. This page has the same comparison by DLFusion; "
        f"`dlfusion reproduce{' --exact' if reproduction.exact else ''}` writes it."
    )
    if reproduction.exact:
        yield from ("", EXACT_NOTE)
    for part in reproduction.parts:
        comparison = part.comparison
        how = "simulated: no such device was used" if comparison.simulated else "measured on this machine"
        yield ""
        yield f"* **{comparison.target}**: {how} ({comparison.machine})."


def _section(part: TargetPart, folder: Path, files: list[Path]) -> Iterator[str]:
    comparison = part.comparison
    word = "simulated" if comparison.simulated else "measured"
    stem = comparison.stem
    yield from (f"## {comparison.subject} ({word})", "")
    yield from (f"### Speed-up ({word})", "")
    band = PUBLISHED if comparison.target == PUBLISHED_TARGET else None
    drawn = draw_speed_ups(comparison, folder, f"{stem}-speed-ups", band)
    yield from _pictures(f"Speed-up over the baseline ({word})", drawn, files)
    yield from _bullets(explanation(comparison))
    yield from ("", f"### What was to be shown ({word})", "", markdown(claim_table(claims(comparison))))
    yield from (f"### All strategies ({word})", "", markdown(strategy_table(comparison)))
    yield from (f"### Search time against the oracle's ({word} target)", "")
    yield from _pictures("Search times", draw_search_times(comparison, folder, f"{stem}-search"), files)
    yield from _bullets(_search_sentences(comparison))
    yield from ("", f"### Where each strategy cut, and the cores of each block ({word})", "")
    for model in comparison.models:
        strips = draw_strips(comparison, model, folder, f"{stem}-blocks-{file_name(model.model)}")
        yield from _pictures(f"Blocks and cores of {model.model} ({word})", strips, files)
    if part.accuracy:
        yield from (f"### Predicted against {word} times", "", markdown(accuracy_table(part)))
    if part.sensitivity is not None:
        yield from ("### Sensitivity to the assumed numbers (simulated)", "")
        yield from _bullets(sensitivity_sentences(part.sensitivity))
        yield from ("", markdown(sensitivity_table(part.sensitivity)))
        yield from _bullets(_sources(part.sensitivity))


def sensitivity_sentences(sensitivity: Sensitivity) -> Iterator[str]:
    """What the assumed numbers can do to the mean speed-up, the strongest first."""
    if not sensitivity.rows:
        return
    nominal, *changed = sensitivity.rows
    base = _mean_speed(nominal)
    yield f"With the file's numbers, the mean speed-up of `dlfusion` over the models below is {base:.2f}x."
    strongest = sorted(changed, key=lambda row: -abs(_mean_speed(row) - base))[:3]
    for row in strongest:
        yield f"`{row.quantity}` times {row.factor:g} gives a mean of {_mean_speed(row):.2f}x."
    if changed:
        means = [_mean_speed(row) for row in changed]
        yield f"Over all halvings and doublings the mean stays between {min(means):.2f}x and {max(means):.2f}x."
    regrets = [regret for row in sensitivity.rows for _, _, regret in row.results if regret is not None]
    if regrets:
        yield f"The largest regret of any row is {percent(max(regrets))}."


def _sources(sensitivity: Sensitivity) -> Iterator[str]:
    seen = {row.quantity: row.source for row in sensitivity.rows if row.source}
    for quantity, source in seen.items():
        yield f"`{quantity}` is assumed: {source}"


def _search_sentences(comparison: Comparison) -> Iterator[str]:
    if comparison.simulated:
        yield (
            "These are times of the computer that searched. The oracle's is spent on simulating blocks; on a device, "
            "each block would have to be compiled, loaded and run instead."
        )
    if any(model.oracle is not None for model in comparison.models):
        yield f"The oracle measures every legal block but for what its reduction leaves out. {' '.join(REDUCTION)}"
    if any((result := model.find(ORACLE)) is not None and result.reused for model in comparison.models):
        yield (
            "What the database held already, from other strategies, models or runs, the oracle did not measure again: "
            "its times are lower bounds."
        )
    for model in comparison.models:
        ours = model.find("dlfusion")
        if ours is None or model.oracle is None:
            continue
        oracle = model.oracle
        factor = oracle.seconds / ours.search_seconds
        text = (
            f"{model.model}: `dlfusion` decides in {duration(ours.search_seconds)}, the oracle took "
            f"{duration(oracle.seconds)} for {oracle.measurements} blocks of up to {oracle.longest} layers "
            f"({factor:,.0f} times as long); full brute force would time {whole_number(oracle.brute_force)} plans."
        )
        if comparison.simulated and factor < LEAST_SEARCH_FACTOR:
            needed = LEAST_SEARCH_FACTOR * ours.search_seconds / oracle.measurements
            text += f" It would be {LEAST_SEARCH_FACTOR:,.0f} times if measuring a block took {duration(needed)}."
        yield text


def _mean_speed(row: SensitivityRow) -> float:
    return statistics.fmean(speed for _, speed, _ in row.results)


def _speed_and_regret(speed: float, regret: float | None) -> str:
    return f"{speed:.2f}x" + ("" if regret is None else f" ({percent(regret)})")


def _pictures(words: str, drawn: tuple[Path, ...], files: list[Path]) -> Iterator[str]:
    """The lines that show what was drawn, which is added to the files."""
    files += drawn
    for path in drawn:
        if path.suffix == ".png":
            yield from (f"![{words}]({path.name})", "")


def _bullets(sentences: Iterator[str]) -> Iterator[str]:
    for sentence in sentences:
        yield f"* {sentence}"


def _html(page: str) -> str:
    """The page for a browser."""
    from markdown_it import MarkdownIt

    body = MarkdownIt("commonmark").enable("table").render(page)
    style = (
        "body{font:16px/1.5 sans-serif;max-width:72em;margin:2em auto;padding:0 1em}img{max-width:100%}"
        "table{border-collapse:collapse;font-size:14px}td,th{border:1px solid #ccc;padding:.2em .6em}"
    )
    head = f'<meta charset="utf-8"><title>DLFusion: the paper\'s evaluation</title><style>{style}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}</body></html>\n'
