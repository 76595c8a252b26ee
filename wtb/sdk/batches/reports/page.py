"""A batch's result as one HTML page that needs nothing else: no script, no font, no network.

The same record makes the same page. What is very much is cut, and says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from wtb.domain.batch import FAILED, Scored
from wtb.sdk.batches.outcome import Outcome
from wtb.sdk.batches.reports import plots
from wtb.sdk.batches.reports.comparison_matrix import outcome_text
from wtb.sdk.batches.reports.result_shown import (
    FAILURE_HEADS,
    PREFERENCE_HEADS,
    SHIFT_HEADS,
    SUMMARY_HEADS,
    WORK_HEADS,
    Row,
    failure_rows,
    filled,
    headline,
    preference_rows,
    preferences_of,
    settings_rows,
    shift_rows,
    summary_rows,
    troubled,
    work_rows,
)
from wtb.sdk.batches.result import BatchResult
from wtb.sdk.batches.statistics.score_statistics import ScoreStatistics

MOST_ROWS = 1_000
"""Cases, failures or shifts that a page shows; more make it unusable."""
MOST_CELLS = 20_000
"""Cells of the matrix."""

TEMPLATE = Path(__file__).with_name("page.html.jinja")


@dataclass(frozen=True, slots=True)
class Table:
    id: str
    title: str
    heads: Row
    rows: Sequence[Row]
    more: int
    """Rows that aren't shown."""
    marked: Sequence[str]
    """A class for each row."""


@dataclass(frozen=True, slots=True)
class Cell:
    text: str
    look: str
    """A class: how good it is."""
    title: str
    """The execution."""


@dataclass(frozen=True, slots=True)
class Plots:
    score: str
    svgs: Sequence[str]


@dataclass(frozen=True, slots=True)
class Page:
    """All that the template shows."""

    id: str
    status: str
    headline: str
    detail: str
    combinations: Sequence[str]
    summaries: Sequence[Table]
    plots: Sequence[Plots]
    latencies: str | None
    cells: Sequence[tuple[str, Sequence[Sequence[Cell]]]]
    more_cases: int
    changes: Sequence[Table]
    failures: Table | None
    settings: Sequence[Row]


def html(result: BatchResult) -> str:
    """The page. Raises `ExtraMissing`."""
    return _clean(_template().render(page=_page(result)))


@cache
def _template() -> Any:
    from jinja2 import Environment, StrictUndefined  # only pages need it

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8"))


def _page(result: BatchResult) -> Page:
    statistics = [result.summary(score) for score in result.scores]
    tables = [
        _table("scores", "Scores", SUMMARY_HEADS, summary_rows(result, statistics), verdict=-1),
        _table(
            "preferences",
            "Preferences",
            PREFERENCE_HEADS,
            preference_rows(result, preferences_of(result)),
        ),
        _table("work", "Work", WORK_HEADS, work_rows(result, result.work)),
    ]
    regressions = [shift for score in result.scores for shift in result.regressions(score)]
    improvements = [shift for score in result.scores for shift in result.improvements(score)]
    changes = [
        _table("regressions", "Regressions", SHIFT_HEADS, shift_rows(result, regressions)),
        _table("improvements", "Improvements", SHIFT_HEADS, shift_rows(result, improvements)),
    ]
    most_cases = max(1, min(MOST_ROWS, MOST_CELLS // max(1, len(result.combinations) * result.settings.repeats)))
    matrix = result.matrix()
    ways = {each.name: each.higher_is_better for each in statistics}
    return Page(
        id=result.id,
        status=result.status,
        headline=headline(result),
        detail=result.stop_detail,
        combinations=result.names,
        summaries=[table for table in tables if table is not None],
        plots=[_plots(result, found, f"score{number}") for number, found in enumerate(statistics)],
        latencies=plots.latencies(result, "latency"),
        cells=[
            (case, [_cells(result, matrix[case, place], ways) for place in range(len(result.combinations))])
            for case in result.cases.ids[:most_cases]
        ],
        more_cases=max(0, len(result.cases) - most_cases),
        changes=[table for table in changes if table is not None],
        failures=_table("failures", "Failures", FAILURE_HEADS, failure_rows(result, troubled(result))),
        settings=settings_rows(result),
    )


def _table(id: str, title: str, heads: Row, rows: Sequence[Row], verdict: int | None = None) -> Table | None:
    """Without the columns that are empty; None without rows. ``verdict``: the column that colours a row."""
    if not rows:
        return None
    marked = ["" if verdict is None else row[verdict].replace(" ", "-") for row in rows[:MOST_ROWS]]
    heads, shown = filled(heads, rows[:MOST_ROWS])
    return Table(id, title, heads, shown, max(0, len(rows) - MOST_ROWS), marked)


def _plots(result: BatchResult, found: ScoreStatistics, name: str) -> Plots:
    drawn = (plots.means(result, found, f"{name}-means"), plots.differences(result, found, f"{name}-differences"))
    return Plots(found.name, [svg for svg in drawn if svg is not None])


def _cells(result: BatchResult, outcomes: Sequence[Outcome], ways: dict[str, bool | None]) -> list[Cell]:
    """A cell for each repeat, of those that haven't ended too."""
    left = result.settings.repeats - len(outcomes)
    return [*(_cell(result, outcome, ways) for outcome in outcomes), *[Cell("…", "dim", "not finished")] * left]


def _cell(result: BatchResult, outcome: Outcome, ways: dict[str, bool | None]) -> Cell:
    answers = [value for value in outcome.scores.values() if isinstance(value, bool)]
    look = "bad" if outcome.status in FAILED or outcome.score_errors else ""
    if not look and outcome.status == "completed" and answers:
        good = sum(_is_good(name, value, ways) for name, value in outcome.scores.items() if isinstance(value, bool))
        look = "good" if good == len(answers) else "bad" if good == 0 else "mixed"
    return Cell(outcome_text(outcome, result.scores), look, outcome.execution_id)


def _is_good(name: str, value: Scored, ways: dict[str, bool | None]) -> bool:
    return value is not (ways.get(name) is False)


def _clean(text: str) -> str:
    """Text that may stand in a page: without control characters and halves of characters."""
    return "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in text)
