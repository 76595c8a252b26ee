"""A batch's result in a terminal, and how to go on with it."""

from collections.abc import Sequence

from wtb.interfaces.cli.output import console, table, text
from wtb.interfaces.cli.shared import Shared
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
    shift_rows,
    statistics_of,
    summary_rows,
    troubled,
    work_rows,
)
from wtb.sdk.batches.result import BatchResult

MOST_ROWS = 20
"""Failures or regressions that a terminal shows; reports have more."""

STYLES = {"better": "green", "worse": "red", "failed": "red", "timed_out": "red", "lost": "magenta"}


def show_result(result: BatchResult) -> None:
    """Scores, preferences, what each combination took, regressions and failures."""
    out = console()
    style = "red" if result.failures else "green" if result.status == "completed" else "yellow"
    out.print(text(f"batch {result.id}: {headline(result)}", style), soft_wrap=True)
    if result.stop_detail:
        out.print(text(result.stop_detail), soft_wrap=True)
    regressions = [shift for score in result.scores for shift in result.regressions(score)]
    _show("", SUMMARY_HEADS, summary_rows(result, statistics_of(result)))
    _show("", PREFERENCE_HEADS, preference_rows(result, preferences_of(result)))
    _show("", WORK_HEADS, work_rows(result, result.work))
    _show("regressions", SHIFT_HEADS, shift_rows(result, regressions))
    _show("failures", FAILURE_HEADS, failure_rows(result, troubled(result)))


def _show(title: str, heads: Row, rows: Sequence[Row]) -> None:
    if not rows:
        return
    out = console()
    out.print()
    if title:
        out.print(text(title, "bold"))
    heads, shown = filled(heads, rows[:MOST_ROWS])
    out.print(table(heads, [[text(cell, STYLES.get(cell, "")) for cell in row] for row in shown]))
    if len(rows) > MOST_ROWS:
        out.print(text(f"… {len(rows) - MOST_ROWS} more"))


def outlook(shared: Shared, result: BatchResult, *, alive: bool | None, stop_requested: bool = False) -> None:
    """What is to be expected, or done next."""
    match result.status:
        case "running" if alive is False:
            said = f"Its process is gone. Go on with: {resume_command(shared, result.id)}"
        case "running":
            said = (
                "It is asked to stop."
                if stop_requested
                else f"It runs. Stop it with: {_command(shared, 'stop', result)}"
            )
        case "stopped":
            said = f"Go on with: {resume_command(shared, result.id)}"
        case "completed" if result.failures:
            said = f"Try what failed again with: {resume_command(shared, result.id, '--retry-failed')}"
        case _:
            said = f"Write a report with: {_command(shared, 'report', result)} --html FILE"
    console().print()
    console().print(text(said), soft_wrap=True)  # a wrapped command can't be copied


def resume_command(shared: Shared, batch: str, *words: str) -> str:
    """What goes on with a batch. The graph, its variants and scores are named anew: nothing recorded is imported."""
    return shared.command("batch", "resume", batch, *words)


def _command(shared: Shared, verb: str, result: BatchResult) -> str:
    return shared.command("batch", verb, result.id)
