"""A batch's result as people read it: the rows of every table that a REPL, the shell and the reports show."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from html import escape

from wtb.domain.batch import FAILED
from wtb.domain.errors import ExtraMissing
from wtb.sdk.batches.outcome import Outcome
from wtb.sdk.batches.result import BatchResult
from wtb.sdk.batches.statistics.score_statistics import Interval, Kind, PreferenceStatistics, ScoreStatistics, Work
from wtb.sdk.batches.statistics.shifts import Shift

SUMMARY_HEADS = ("score", "combination", "n", "mean", "95 % interval", "difference", "p", "verdict")
WORK_HEADS = ("combination", "trials", "failed", "median", "p95", "tokens", "cost")
PREFERENCE_HEADS = ("preference", "a", "b", "a preferred", "b preferred", "ties", "p", "verdict")
SHIFT_HEADS = ("case", "score", "combination", "before", "after", "see")
FAILURE_HEADS = ("case", "combination", "repeat", "status", "error", "execution")

MOST_FAILURES = 5
"""A REPL shows so many; the result holds them all."""

Row = tuple[str, ...]


# --- what all of them say -------------------------------------------------------------------------------


def headline(result: BatchResult) -> str:
    """``stopped (budget), 12 of 64 trials, 2 failed``."""
    why = f" ({result.stop_reason})" if result.stop_reason else ""
    parts = [f"{result.status}{why}", f"{len(result)} of {result.trials} trials"]
    if result.failures:
        parts.append(f"{len(result.failures)} failed")
    return ", ".join(parts)


def statistics_of(result: BatchResult) -> list[ScoreStatistics]:
    """Of each score: with intervals and tests where the packages for them are installed, else means alone."""
    try:
        return [result.summary(score) for score in result.scores]
    except ExtraMissing:
        return [result.summary(score, inferred=False) for score in result.scores]


def preferences_of(result: BatchResult) -> list[PreferenceStatistics]:
    """Of each preference, as `statistics_of`."""
    names = result.settings.preferences
    try:
        return [pair for name in names for pair in result.preferred(name)]
    except ExtraMissing:
        return [pair for name in names for pair in result.preferred(name, inferred=False)]


def summary_rows(result: BatchResult, statistics: Iterable[ScoreStatistics]) -> list[Row]:
    return [row for each in statistics for row in _score_rows(result, each)]


def _score_rows(result: BatchResult, found: ScoreStatistics) -> list[Row]:
    rows: list[Row] = []
    for summary in found.summaries:
        compared = found.compared(summary.combination)
        mean = number(summary.mean, found.kind)
        if summary.labels:
            mean = ", ".join(f"{label} {count}" for label, count in summary.labels.items())
        rows.append(
            (
                found.name,
                result.names[summary.combination],
                str(summary.n),
                mean,
                interval(summary.interval, found.kind),
                number(compared.difference, found.kind, sign=True) if compared else "",
                p_value(compared.corrected_p) if compared else "",
                (compared.verdict or "") if compared else "",
            )
        )
    return rows


def work_rows(result: BatchResult, work: Iterable[Work]) -> list[Row]:
    costs = [result.cost_of([used for outcome in group for used in outcome.usage]) for group in _by_combination(result)]
    return [
        (
            result.names[each.combination],
            str(each.trials),
            str(each.failures),
            seconds(each.median_seconds),
            seconds(each.p95_seconds),
            f"{each.input_tokens + each.output_tokens:,}" if each.input_tokens or each.output_tokens else "",
            "" if (cost := costs[each.combination]) is None else f"{cost:.4g}",
        )
        for each in work
    ]


def _by_combination(result: BatchResult) -> list[list[Outcome]]:
    groups: list[list[Outcome]] = [[] for _ in result.combinations]
    for outcome in result.outcomes:
        groups[outcome.trial.combination].append(outcome)
    return groups


def preference_rows(result: BatchResult, preferences: Iterable[PreferenceStatistics]) -> list[Row]:
    return [
        (
            each.name,
            result.names[each.a],
            result.names[each.b],
            str(each.wins_a),
            str(each.wins_b),
            str(each.ties),
            p_value(each.corrected_p),
            {"better": "b is better", "worse": "a is better"}.get(each.verdict or "", each.verdict or ""),
        )
        for each in preferences
    ]


def shift_rows(result: BatchResult, shifts: Iterable[Shift]) -> list[Row]:
    return [
        (
            shift.case,
            shift.score,
            result.names[shift.combination],
            f"{shift.before:.4g}",
            f"{shift.after:.4g}",
            shift.command,
        )
        for shift in shifts
    ]


def failure_rows(result: BatchResult, outcomes: Iterable[Outcome]) -> list[Row]:
    """A row for each trial that failed, and one for each score that raised."""
    rows: list[Row] = []
    for outcome in outcomes:
        case, combination, repeat = outcome.trial
        told: list[tuple[str, str]] = []
        if outcome.error or outcome.status in FAILED:
            told.append((outcome.status, str(outcome.error or "")))
        told += [(f"score {name} raised", str(error)) for name, error in outcome.score_errors.items()]
        rows += [
            (case, result.names[combination], str(repeat), what, line(error), outcome.execution_id)
            for what, error in told
        ]
    return rows


def troubled(result: BatchResult) -> list[Outcome]:
    """The outcomes that `failure_rows` has something to say of."""
    return [outcome for outcome in result.outcomes if outcome.status in FAILED or outcome.error or outcome.score_errors]


def settings_rows(result: BatchResult) -> list[Row]:
    """How it was run."""
    how = result.settings
    budget = how.budget
    limits = (
        []
        if budget is None
        else [
            f"{amount:g} {unit}"
            for amount, unit in ((budget.seconds, "seconds"), (budget.tokens, "tokens"), (budget.cost, "in cost"))
            if amount is not None
        ]
    )
    rows = [
        ("workflow", result.workflow),
        ("graph", how.graph),
        ("description", how.description),
        ("started", f"{moment(result.started_at)} UTC by {result.actor}"),
        ("ended", f"{moment(result.ended_at)} UTC" if result.ended_at else ""),
        (
            "at work",
            seconds(result.elapsed.total_seconds()) + (f", resumed {result.resumed} ×" if result.resumed else ""),
        ),
        ("trials' time together", seconds(result.duration.total_seconds())),
        ("cases", str(len(result.cases))),
        ("combinations", "; ".join(result.names)),
        ("repeats", str(how.repeats)),
        ("executor", f"{how.executor}, {how.max_concurrency} at once"),
        ("timeout", seconds(how.timeout_us / 1e6) if how.timeout_us is not None else ""),
        ("attempts", str(how.attempts)),
        ("fail fast", "yes" if how.fail_fast else ""),
        ("shared prefixes", "yes" if how.share_prefix else ""),
        ("budget", ", ".join(limits)),
        ("tokens", "; ".join(f"{u.model}: {u.input_tokens:,} in, {u.output_tokens:,} out" for u in result.usage)),
        ("cost", "" if result.cost is None else f"{result.cost:.4g}"),
    ]
    return [row for row in rows if row[1]]


# --- words ----------------------------------------------------------------------------------------------


def number(value: float | None, kind: Kind | None, *, sign: bool = False) -> str:
    """A mean or a difference: shares of yes as percent."""
    if value is None:
        return ""
    plus = "+" if sign and value > 0 else ""
    return f"{plus}{100 * value:.1f} %" if kind == "yes_no" else f"{plus}{value:.4g}"


def interval(found: Interval | None, kind: Kind | None) -> str:
    return "" if found is None else f"{number(found.low, kind)} – {number(found.high, kind)}"


def p_value(value: float | None) -> str:
    if value is None:
        return ""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def seconds(value: float | None) -> str:
    if value is None:
        return ""
    return (
        f"{value * 1000:.1f} ms"
        if value < 1
        else str(timedelta(seconds=round(value)))
        if value >= 600
        else f"{value:.1f} s"
    )


def moment(time: datetime) -> str:
    """In UTC, to the second: reports are read anywhere."""
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def line(text: str) -> str:
    return " ".join(text.split())


# --- in a REPL and in Jupyter ---------------------------------------------------------------------------


def as_text(result: BatchResult) -> str:
    parts = [f"<BatchResult {result.id}: {headline(result)}>"]
    parts += _text_table(SUMMARY_HEADS, summary_rows(result, statistics_of(result)))
    parts += _text_table(PREFERENCE_HEADS, preference_rows(result, preferences_of(result)))
    parts += _text_table(WORK_HEADS, work_rows(result, result.work))
    shown = result.failures[:MOST_FAILURES]
    parts += _text_table(FAILURE_HEADS, failure_rows(result, shown))
    if len(result.failures) > len(shown):
        parts.append(f"… {len(result.failures) - len(shown)} more")
    return "\n".join(parts)


def _text_table(heads: Row, rows: Sequence[Row]) -> list[str]:
    if not rows:
        return []
    heads, rows = filled(heads, rows)
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    return [
        "",
        *(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in (heads, *rows)
        ),
    ]


def as_html(result: BatchResult) -> str:
    shown = result.failures[:MOST_FAILURES]
    return (
        f"<p><b>{escape(result.id)}</b>: {escape(headline(result))}</p>"
        + html_table(SUMMARY_HEADS, summary_rows(result, statistics_of(result)))
        + html_table(PREFERENCE_HEADS, preference_rows(result, preferences_of(result)))
        + html_table(WORK_HEADS, work_rows(result, result.work))
        + html_table(FAILURE_HEADS, failure_rows(result, shown))
    )


def html_table(heads: Row, rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    heads, rows = filled(heads, rows)
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def filled(heads: Row, rows: Sequence[Row]) -> tuple[Row, list[Row]]:
    """Without the columns in which no row says anything."""
    kept = [place for place in range(len(heads)) if any(row[place] for row in rows)]
    return tuple(heads[place] for place in kept), [tuple(row[place] for place in kept) for row in rows]
