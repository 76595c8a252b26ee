"""A batch's result as Markdown."""

from collections.abc import Sequence

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
    line,
    preference_rows,
    preferences_of,
    settings_rows,
    shift_rows,
    statistics_of,
    summary_rows,
    troubled,
    work_rows,
)
from wtb.sdk.batches.result import BatchResult

MOST_ROWS = 50
"""So that it fits a comment on a pull request."""

_SPECIAL = frozenset("\\`*_{}[]<>#|~$&")


def markdown(result: BatchResult) -> str:
    """The summary, what each combination took, regressions, improvements and failures."""
    statistics = statistics_of(result)
    regressions = [shift for score in result.scores for shift in result.regressions(score)]
    improvements = [shift for score in result.scores for shift in result.improvements(score)]
    chapters = [
        f"# Batch {_text(result.id)}\n\n{_text(headline(result))}",
        _chapter("Scores", SUMMARY_HEADS, summary_rows(result, statistics)),
        _chapter("Preferences", PREFERENCE_HEADS, preference_rows(result, preferences_of(result))),
        _chapter("Work", WORK_HEADS, work_rows(result, result.work)),
        _chapter("Regressions", SHIFT_HEADS, shift_rows(result, regressions), code=len(SHIFT_HEADS) - 1),
        _chapter("Improvements", SHIFT_HEADS, shift_rows(result, improvements), code=len(SHIFT_HEADS) - 1),
        _chapter("Failures", FAILURE_HEADS, failure_rows(result, troubled(result)), code=len(FAILURE_HEADS) - 1),
        _chapter("How it was run", ("", ""), settings_rows(result)),
    ]
    return "\n\n".join(chapter for chapter in chapters if chapter) + "\n"


def _chapter(title: str, heads: Row, rows: Sequence[Row], code: int | None = None) -> str:
    """A heading and a table, or nothing without rows; the column ``code`` is set as code."""
    if not rows:
        return ""
    more = f"\n\n… {len(rows) - MOST_ROWS} more" if len(rows) > MOST_ROWS else ""
    rows = rows[:MOST_ROWS]
    if code is None:
        heads, rows = filled(heads, rows) if any(heads) else (heads, rows)
    lines = [
        _line([_text(head) for head in heads]),
        _line(["---"] * len(heads)),
        *(_line([_code(cell) if place == code else _text(cell) for place, cell in enumerate(row)]) for row in rows),
    ]
    return f"## {title}\n\n" + "\n".join(lines) + more


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _text(value: str) -> str:
    """Text that Markdown takes for nothing but text."""
    return "".join(f"\\{c}" if c in _SPECIAL else c if c.isprintable() else "\ufffd" for c in line(value))


def _code(value: str) -> str:
    inside = "".join(c if c.isprintable() else "\ufffd" for c in line(value)).replace("|", "\\|")
    fence = "``" if "`" in inside else "`"
    return f"{fence}{inside}{fence}" if inside else ""
