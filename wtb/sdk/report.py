"""The record of one execution as one readable HTML page, which needs nothing else: no script, no font, no network.

A value is shown whole where it first comes up, and by its beginning after that,
so the page grows with what happened and not with its square. What is very long
is cut, and says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, cast

from wtb.domain.audit import AUDIT_STREAM, ExecutionArchived, ExecutionErased, ExecutionImported
from wtb.domain.errors import ExecutionNotFound
from wtb.domain.event_log import Recorded
from wtb.domain.execution import (
    ExecutionPaused,
    ExecutionResumed,
    ExecutionStarted,
    Failure,
    Forked,
    NodeFailed,
    NodeSkipped,
    StateEdited,
)
from wtb.domain.identifiers import NULL_DIGEST, Digest, ExecutionId, StreamName, execution_stream, known_id, node_path
from wtb.infra.event_store.verification import verify_stream
from wtb.projections import checkpoints, executions, steps
from wtb.projections.executions import Execution
from wtb.projections.steps import Step
from wtb.sdk.platform import Platform
from wtb.sdk.shown_values import Shown, ShownValue

MOST_STEPS = 3_000
"""Steps and checkpoints that a page shows; more make it unusable."""

FOLDER = "(output folder)"
"""What the files that a node found go by, beside the channels; an empty folder isn't worth a line."""

TEMPLATE = Path(__file__).with_name("report.html.jinja")


@dataclass(frozen=True, slots=True)
class Act:
    """Something that somebody did to the execution, or that became of it."""

    time: str
    actor: str
    cause: str
    what: str
    details: Sequence[tuple[str, str]]
    values: Sequence[ShownValue] = ()


@dataclass(frozen=True, slots=True)
class ShownStep:
    node: str
    step: Step
    started: str
    duration: str
    saw: Sequence[ShownValue]
    wrote: Sequence[ShownValue]


@dataclass(frozen=True, slots=True)
class Fault:
    where: str
    time: str
    type: str
    message: str
    traceback: ShownValue | None


@dataclass(slots=True)
class Asked:
    """A question, and its answer once it has one."""

    time: str
    question: ShownValue
    answer: ShownValue | None = None
    answered: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """All that the template shows."""

    execution: Execution
    made: str
    started: str
    ended: str
    duration: str
    chain: str
    flaw: str
    """Why the chain isn't whole; empty when it is."""
    audited: Sequence[str]
    acts: Sequence[Act]
    faults: Sequence[Fault]
    asked: Sequence[Asked]
    ancestors: Sequence[tuple[str, str]]
    children: Sequence[tuple[str, str]]
    steps: Sequence[ShownStep]
    more_steps: bool
    checkpoints: Sequence[tuple[str, int, str, str, str, str]]
    more_checkpoints: bool


def report(platform: Platform, execution: str, path: str | Path | None) -> str:
    """The page, also written to ``path`` in UTF-8. Raises `ExecutionNotFound`, `StoreError` or `OSError`."""
    html = _template().render(page=_page(platform, known_id(execution)))
    if path is not None:
        Path(path).write_text(html, encoding="utf-8")
    return str(html)


@cache
def _template() -> Any:
    from jinja2 import Environment, StrictUndefined  # only pages need it

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8"))


def _page(platform: Platform, id: ExecutionId) -> Page:
    stream = execution_stream(id)
    with platform.reading() as connection:
        execution = executions.get(connection, id)
        if execution is None:
            raise ExecutionNotFound(id)
        taken = steps.of(connection, id, limit=MOST_STEPS)
        saved = checkpoints.of(connection, id, limit=MOST_STEPS)
        line = [execution, *executions.ancestors(connection, id)]
    events, _ = platform.store.lifecycle(stream)
    forks = _all(platform, stream, "Forked")
    checked = verify_stream(platform.store, stream)
    # A value is folded out where it first stands on the page: so in the order of the page.
    shown = Shown(platform)
    faults = _faults(platform, stream, events, shown)
    asked = _asked(events, shown)
    acts = [_act(event, shown) for event in sorted([*events, *forks], key=lambda event: event.version)]
    return Page(
        execution=execution,
        made=moment(datetime.now(UTC)),
        started=moment(execution.started_at),
        ended=moment(execution.ended_at),
        duration=duration(execution.duration_us),
        chain=f"{checked.events} events follow one another unchanged"
        if checked.whole
        else f"{len(checked.findings)} of {checked.events} events aren't as they were recorded",
        flaw=str(checked.first or ""),
        audited=_audited(platform, id),
        acts=acts,
        faults=faults,
        asked=asked,
        ancestors=[(e.parent_execution, e.parent_checkpoint or "") for e in line if e.parent_execution is not None],
        children=[(event.fact.child, event.fact.checkpoint) for event in forks if isinstance(event.fact, Forked)],
        steps=_steps(platform, stream, taken.items, shown),
        more_steps=taken.next_cursor is not None,
        checkpoints=[
            (c.id, c.step, c.source, node_path(c.namespace, ""), moment(c.created_at), c.parent or "")
            for c in reversed(saved.items)
        ],
        more_checkpoints=saved.next_cursor is not None,
    )


def _all(platform: Platform, stream: StreamName, *types: str) -> list[Recorded]:
    return platform.store.log(limit=2**31, types=types, stream=stream)


# --- what somebody did --------------------------------------------------------------------------------

_ELSEWHERE = {"questions", "answers", "writes", "input", "error", "duration_us"}
"""Fields of facts that are shown by their values, or in a chapter of their own."""


def _act(event: Recorded, shown: Shown) -> Act:
    fact = event.fact
    named: list[tuple[str, Digest]] = []
    match fact:
        case ExecutionStarted(input=given):
            named = [("input", given)]
        case StateEdited(writes=writes) | NodeSkipped(writes=writes):
            named = [(write.channel, write.value) for write in writes if is_users(write.channel)]
        case ExecutionResumed(answers=answers):
            named = [("answer", answer) for answer in answers.values()]
        case _:
            pass
    details = [
        (name, shown.text_of(value))
        for name, value in fact.model_dump().items()
        if name not in _ELSEWHERE and value not in (None, "", (), {}, [])
    ]
    return Act(moment(event.time), event.actor, event.cause or "", words(event.type), details, shown.values(named))


def _faults(platform: Platform, stream: StreamName, events: Sequence[Recorded], shown: Shown) -> list[Fault]:
    """Every error, node by node; the execution's own when no node raised it."""
    faults = [(event, _fault(event, shown)) for event in _all(platform, stream, "NodeFailed")[:MOST_STEPS]]
    told = {(fault.type, fault.message) for _, fault in faults}
    for event in events:
        error = getattr(event.fact, "error", None)
        if isinstance(error, Failure) and (error.type, error.message) not in told:
            faults.append((event, _fault(event, shown)))
    return [fault for _, fault in sorted(faults, key=lambda each: each[0].version)]


def _fault(event: Recorded, shown: Shown) -> Fault:
    error = cast("NodeFailed", event.fact).error
    if isinstance(event.fact, NodeFailed):
        where = f"{node_path(event.fact.namespace, event.fact.node)}, attempt {event.fact.attempt}"
    else:
        where = "the execution"
    traceback = shown.values([("traceback", error.traceback)])[0] if error.traceback is not None else None
    return Fault(where, moment(event.time), error.type, shown.clean(error.message), traceback)


def _asked(events: Sequence[Recorded], shown: Shown) -> list[Asked]:
    asked: dict[str, Asked] = {}
    for event in events:
        if isinstance(event.fact, ExecutionPaused):
            for question in event.fact.questions:
                if question.id not in asked or asked[question.id].answer is not None:
                    # The same interrupt may ask again: each asking is told, the newest is the one that waits.
                    asked[f"{question.id} {event.version}" if question.id in asked else question.id] = Asked(
                        moment(event.time), shown.values([(question.id, question.value)])[0]
                    )
        elif isinstance(event.fact, ExecutionResumed):
            for interrupt, answer in event.fact.answers.items():
                waiting = [a for a in asked.values() if a.question.name == interrupt and a.answer is None]
                for one in waiting:
                    one.answer = shown.values([("answer", answer)])[0]
                    one.answered, one.by = moment(event.time), event.actor
    return list(asked.values())


def _audited(platform: Platform, id: ExecutionId) -> list[str]:
    """What was done with the whole record: brought in, archived, erased."""
    told: list[str] = []
    types = ("ExecutionImported", "ExecutionArchived", "ExecutionErased")
    for event in _all(platform, AUDIT_STREAM, *types):
        fact = event.fact
        if not isinstance(fact, ExecutionImported | ExecutionArchived | ExecutionErased) or fact.execution != id:
            continue
        reason = getattr(fact, "reason", "")
        told.append(f"{words(event.type)} by {event.actor}, {moment(event.time)}" + (f": {reason}" if reason else ""))
    return told


# --- what the nodes did ---------------------------------------------------------------------------------


def _steps(platform: Platform, stream: StreamName, taken: Sequence[Step], shown: Shown) -> list[ShownStep]:
    made: list[ShownStep] = []
    seen: dict[tuple[str, str], list[tuple[str, Digest]]] = {}
    for step in taken:
        key = (step.namespace, step.checkpoint)
        if key not in seen:
            fact = platform.saver.history.checkpoint(stream, step.namespace, step.checkpoint)
            channels = fact.channels if fact is not None else {}
            seen[key] = [(c, digest) for c, (_, digest) in channels.items() if digest is not None and is_users(c)]
            if fact is not None and fact.files is not None and fact.files != NULL_DIGEST:
                seen[key].append((FOLDER, fact.files))
        made.append(
            ShownStep(
                node_path(step.namespace, step.node),
                step,
                moment(step.started_at),
                duration(step.duration_us),
                shown.values(seen[key]),
                shown.values([(write.channel, write.value) for write in step.writes if is_users(write.channel)]),
            )
        )
    return made


# --- words --------------------------------------------------------------------------------------------


def is_users(channel: str) -> bool:
    """Whether a channel is the graph's own, not LangGraph's machinery."""
    return not channel.startswith(("__", "branch:to:", "join:"))


def words(type: str) -> str:
    """``StateEdited`` as people write it: state edited."""
    return "".join(f" {c.lower()}" if c.isupper() else c for c in type).strip()


def moment(time: datetime | None) -> str:
    """In UTC, to the millisecond: the page is read anywhere."""
    return (
        "" if time is None else time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.") + f"{time.microsecond // 1000:03}"
    )


def duration(microseconds: int | None) -> str:
    if microseconds is None:
        return ""
    return f"{microseconds / 1000:.1f} ms" if microseconds < 1_000_000 else f"{microseconds / 1_000_000:.1f} s"
