"""Comparisons as people read them: stretches in which both did the same take one line."""

from collections.abc import Callable, Iterator
from html import escape
from itertools import groupby

from wtb.projections.steps import Step
from wtb.sdk.changes import Change
from wtb.sdk.comparison import Comparison, FirstDifference, Side, StepComparison

HEADS = ("", "node", "step", "status", "tries", "variant", "duration", "differs")
MOST_STEPS = 20
"""A REPL shows so many steps that differ; the comparison holds them all."""
MOST_CHANGES = 12


def as_text(found: Comparison) -> str:
    lines = [f"<Comparison: {verdict(found)}>", f"a  {side_of(found.a)}", f"b  {side_of(found.b)}"]
    lines += versions_of(found)
    rows = [HEADS, *rows_of(found, MOST_STEPS)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    if len(rows) > 1:
        lines.append("")
        lines += [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
        ]
    if found.state:
        lines += ["", "state at the end", *changes_of(found.state)]
    return "\n".join(lines)


def as_html(found: Comparison) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in HEADS)
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows_of(found, MOST_STEPS)
    )
    state = "".join(f"<li><code>{escape(line)}</code></li>" for line in changes_of(found.state))
    return (
        f"<p><b>{escape(verdict(found))}</b><br>a {escape(side_of(found.a))}<br>b {escape(side_of(found.b))}"
        f"{''.join(f'<br>{escape(line)}' for line in versions_of(found))}</p>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
        + (f"<p>state at the end</p><ul>{state}</ul>" if state else "")
    )


def first_as_text(found: FirstDifference) -> str:
    lines = [f"<FirstDifference: {first_in_words(found)}>"]
    lines += [f"  {line}" for line in changes_of(found.changes)]
    if found.what == "path":
        lines += [
            f"  {side} ran {step.node} in superstep {step.step}" if step else f"  {side} had ended"
            for side, step in (("a", found.a), ("b", found.b))
        ]
    return "\n".join(lines)


def first_in_words(found: FirstDifference) -> str:
    if found.node is None:
        return f"no step differs, but the {found.what} at the end does"
    step = found.a or found.b
    assert step is not None
    places = ", ".join(str(position) if position is not None else "nowhere" for position in found.positions)
    tried = f", attempt {step.attempt}" if step.attempt > 1 else ""
    return f"{found.what} of {found.node}, superstep {step.step}{tried}, at positions {places}"


def verdict(found: Comparison) -> str:
    if found.equal:
        return f"equal, {_steps(len(found.steps))}"
    told = [f"{len(found.different)} of {_steps(len(found.steps))} differ"] if found.different else []
    return ", ".join([*told, *(f"{what} at the end differs" for what in found.differs)])


def versions_of(found: Comparison) -> list[str]:
    """A line that says how the versions differ which the two ran, if they do."""
    if found.versions is None:
        return []
    told = [
        f"{what} {', '.join(nodes[:MOST_CHANGES])}{', …' if len(nodes) > MOST_CHANGES else ''}"
        for what, nodes in (
            ("changed", found.versions.changed),
            ("added", found.versions.added),
            ("removed", found.versions.removed),
        )
        if nodes
    ]
    return [f"they ran different versions: {'; '.join(told) or 'the nodes are the same'}"]


def rows_of(found: Comparison, most: int | None = None) -> Iterator[tuple[str, ...]]:
    """A row for each step that differs, up to ``most``, and one for each stretch of equal ones."""
    left = len(found.different) if most is None else most
    for equal, stretch in groupby(found.steps, key=lambda step: step.equal):
        group = [*stretch]
        if equal:
            yield ("=", f"… {_steps(len(group))} alike", *[""] * (len(HEADS) - 2))
            continue
        for step in group[:left]:
            yield _row(step)
        left -= len(group)
        if left < 0:
            yield ("", f"… {-left} more in this stretch", *[""] * (len(HEADS) - 2))
            return


def _row(step: StepComparison) -> tuple[str, ...]:
    sign = "-" if step.b is None else "+" if step.a is None else "~"
    return (
        sign,
        step.node,
        _both(step, lambda each: str(each.step)),
        _both(step, lambda each: each.status),
        "→".join(dict.fromkeys(str(tries) for tries in step.tries if tries)),
        _both(step, lambda each: each.variant or ""),
        _both(step, lambda each: _duration(each.duration_us)),
        ", ".join((*step.differs, *(f"saw {channel}" for channel in step.unlike))),
    )


def _both(step: StepComparison, tell: Callable[[Step], str]) -> str:
    """One side's word, or both where they differ."""
    return " → ".join(dict.fromkeys(tell(each) for each in (step.a, step.b) if each is not None)).strip()


def changes_of(found: tuple[Change, ...], most: int | None = MOST_CHANGES) -> list[str]:
    """A line for each change, and a text's unified diff below it."""
    lines = []
    for change in found[:most]:
        lines.append(str(change) if change.text is None else f"~ {change.path}:")
        lines += [f"    {line}" for line in (change.text or "").splitlines()[2:]]
    if most is not None and len(found) > most:
        lines.append(f"… {len(found) - most} more")
    return lines


def side_of(side: Side) -> str:
    one = side.execution
    parts = [one.id, one.workflow, side.status, _duration(one.duration_us)]
    if side.named:
        parts[2:] = [f"at {side.checkpoint}, step {side.step}"]
    if one.variants:
        parts.append(", ".join(f"{node}={name}" for node, name in one.variants.items()))
    if one.error_type and not side.named:
        parts.append(f"{one.error_type}: {one.error_message}")
    return "  ".join(part for part in parts if part)


def _duration(microseconds: int | None) -> str:
    return "" if microseconds is None else f"{microseconds / 1000:.1f} ms"


def _steps(number: int) -> str:
    return "1 step" if number == 1 else f"{number} steps"
