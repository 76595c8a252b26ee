"""Given facts in a log; then rows in the read models."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection, Engine, select

from wtb.domain.batch import (
    BatchFact,
    BatchStarted,
    CaseFinished,
    CaseScored,
    Scored,
    Trial,
    TrialStatus,
    Usage,
    trial_execution,
)
from wtb.domain.event_log import AnyFact, Append, EventLog, Origin
from wtb.domain.execution import (
    CheckpointSaved,
    ExecutionFact,
    ExecutionStarted,
    Failure,
    ForkPoint,
    NodeCompleted,
    NodeFailed,
    NodeInterrupted,
    NodeStarted,
    Write,
)
from wtb.domain.identifiers import (
    NULL_DIGEST,
    BatchId,
    CheckpointId,
    Digest,
    Namespace,
    Position,
    StreamName,
    TaskId,
    WorkerId,
    batch_stream,
    execution_stream,
)
from wtb.projections.database import Columns
from wtb.projections.page import Page
from wtb.projections.projector import Projector, TableSet

T = TypeVar("T", bound=msgspec.Struct)

HERE = CheckpointId("c1")
ROOT = Namespace("")
ONE = Digest("one")
WRITES = (Write(channel="n", value=ONE),)

# --- Facts, all but what matters filled in ----------------------------------------------------------


def started(workflow: str = "w", *, worker: str = "ada", parent: ForkPoint | None = None) -> ExecutionStarted:
    return ExecutionStarted(workflow=workflow, graph="g", input=NULL_DIGEST, worker=WorkerId(worker), parent=parent)


def node_started(task: str = "t1", node: str = "draft", attempt: int = 1) -> NodeStarted:
    return NodeStarted(
        node=node, task=TaskId(task), namespace=ROOT, checkpoint=HERE, step=1, attempt=attempt, path="~pull"
    )


def node_completed(task: str = "t1", node: str = "draft", attempt: int = 1) -> NodeCompleted:
    return NodeCompleted(
        node=node,
        task=TaskId(task),
        namespace=ROOT,
        checkpoint=HERE,
        attempt=attempt,
        path="~pull",
        duration_us=5,
        writes=WRITES,
    )


def node_failed(task: str = "t1", node: str = "draft", attempt: int = 1, message: str = "broken") -> NodeFailed:
    return NodeFailed(
        node=node,
        task=TaskId(task),
        namespace=ROOT,
        checkpoint=HERE,
        attempt=attempt,
        duration_us=5,
        error=Failure(type="ValueError", message=message),
    )


def node_interrupted(task: str = "t1", node: str = "draft", attempt: int = 1) -> NodeInterrupted:
    return NodeInterrupted(
        node=node,
        task=TaskId(task),
        namespace=ROOT,
        checkpoint=HERE,
        attempt=attempt,
        path="~pull",
        duration_us=5,
        questions=("q1",),
        writes=WRITES,
    )


def saved(checkpoint: str, parent: str | None = None, *, namespace: str = "", step: int = 0) -> CheckpointSaved:
    return CheckpointSaved(
        checkpoint=CheckpointId(checkpoint),
        parent=CheckpointId(parent) if parent else None,
        namespace=Namespace(namespace),
        step=step,
        source="loop",
        created="2026-01-01T00:00:00+00:00",
        channels={"n": ("1.a", ONE)},
        versions_seen={},
        updated=None,
        metadata={},
        format=4,
    )


def batch_started(cases: int = 1, combinations: tuple[dict[str, str], ...] = ({},), **more: Any) -> BatchStarted:
    return BatchStarted(
        workflow=more.pop("workflow", "w"),
        graph="g",
        worker=WorkerId("ada"),
        cases=cases,
        combinations=combinations,
        **more,
    )


def case_finished(
    case: str,
    combination: int = 0,
    repeat: int = 0,
    *,
    status: TrialStatus = "completed",
    error: str = "",
    tokens: int = 0,
) -> CaseFinished:
    """The case's place is what follows its first letter: that of ``c7`` is 7."""
    place = int(case[1:])
    return CaseFinished(
        case=case,
        combination=combination,
        repeat=repeat,
        execution=trial_execution(BatchId("b1"), Trial(case, combination, repeat), place),
        status=status,
        duration_us=5,
        error=Failure(type="ValueError", message=error) if error else None,
        usage=(Usage(model="small", input_tokens=tokens, output_tokens=1),) if tokens else (),
    )


def case_scored(case: str, combination: int = 0, repeat: int = 0, **scores: Scored) -> CaseScored:
    return CaseScored(case=case, combination=combination, repeat=repeat, scores=scores)


# --- The log and the read models ---------------------------------------------------------------------


class ReadModels:
    """A log that grows, and the read models over it. Each execution's n-th event happens in second n."""

    def __init__(self, log: EventLog, engine: Engine) -> None:
        self.log = log
        self.engine = engine
        self.projector = Projector(log, engine)

    def given(self, execution: str, *facts: ExecutionFact) -> list[Position]:
        """Append facts to an execution, in one commit; their positions."""
        return self.told(execution_stream(execution), *facts)

    def given_batch(self, batch: str, *facts: BatchFact) -> list[Position]:
        """Append facts to a batch, in one commit; their positions."""
        return self.told(batch_stream(batch), *facts)

    def told(self, stream: StreamName, *facts: AnyFact) -> list[Position]:
        head = self.log.head(stream)
        times = [second * 1_000_000 for second, _ in enumerate(facts, head.version + 1)]
        (done,) = self.log.append([Append(stream, head, facts, times, Origin("ada"))])
        return list(done.positions)

    @contextmanager
    def now(self) -> Iterator[Connection]:
        """A connection to read models that hold all there is."""
        self.projector.catch_up()
        with self.engine.connect() as connection:
            yield connection


def second(number: int) -> datetime:
    return datetime.fromtimestamp(number, UTC)


def walk(turn: Callable[..., Page[T]], between: Callable[[], object] = lambda: None) -> list[T]:
    """All rows of a listing, page by page, with something happening after each page."""
    page = turn()
    rows, cursors = list(page), set()
    while page.next_cursor is not None:
        assert page.next_cursor not in cursors, "a cursor led in a circle"
        cursors.add(page.next_cursor)
        between()
        page = turn(cursor=page.next_cursor)
        assert page.items, "a cursor led to an empty page"
        rows += page
    return rows


NO_CURSORS = ["", "x", "WzEsMl0", "é", "!!!!", "W10", "\0", "bnVsbA", "AAAA" * 1000]
"""What may stand in an address bar where a cursor should."""


def rows_of(engine: Engine) -> dict[str, list[Columns]]:
    """All the live tables' rows, as they are stored, in order of their keys."""
    found = {}
    with engine.connect() as connection:
        for _, table in TableSet("live").tables:
            rows = [dict(row) for row in connection.execute(select(table)).mappings()]
            keys = [column.name for column in table.primary_key]
            found[table.name] = sorted(rows, key=lambda row: [row[key] for key in keys])
    return found
