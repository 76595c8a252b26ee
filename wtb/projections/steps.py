"""Steps: one row for each time a node began its work, told apart by the position of its start.

LangGraph gives a task the same id and the same attempt number when it begins
again after a crash; the start's position keeps both tries.

A step runs until its end is recorded, or until something shows that no end will
come: its task starts again, or its execution stops. Then it is ``interrupted``
if the execution was paused or cancelled, and ``lost`` otherwise, as when the
process died and another recovered the execution. An end without a start, as in
a copied thread, is no step: the work was done elsewhere.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any, ClassVar, Literal, assert_never

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Index,
    Integer,
    MetaData,
    Row,
    Select,
    Table,
    bindparam,
    literal_column,
    select,
)

from wtb.domain.event_log import Recorded, is_of_execution
from wtb.domain.execution import (
    BreakpointsSet,
    CancelRequested,
    CheckpointSaved,
    CheckpointsDeleted,
    ExecutionCancelled,
    ExecutionCompleted,
    ExecutionFailed,
    ExecutionPaused,
    ExecutionRecovered,
    ExecutionResumed,
    ExecutionRetried,
    ExecutionStarted,
    Forked,
    NodeCompleted,
    NodeFailed,
    NodeInterrupted,
    NodeSkipped,
    NodeStarted,
    PauseRequested,
    RollbackUndone,
    RolledBack,
    StateEdited,
    WritesSaved,
)
from wtb.domain.execution import Write as WriteFact
from wtb.domain.identifiers import (
    CheckpointId,
    Digest,
    ExecutionId,
    Namespace,
    Position,
    StreamName,
    TaskId,
    execution_of,
    execution_stream,
    node_path,
)
from wtb.projections.database import TEXT, Columns, moment, put_rows
from wtb.projections.page import Page, Place, check_limit, cursor_after, key_of

StepStatus = Literal["running", "completed", "failed", "interrupted", "lost"]


class Write(msgspec.Struct, frozen=True):
    """A value written to a channel, by digest."""

    channel: str
    value: Digest


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One node's work in one superstep, tried once."""

    execution: ExecutionId
    position: Position
    """Of its start."""
    task: TaskId
    node: str
    namespace: Namespace
    checkpoint: CheckpointId
    """The checkpoint it read."""
    step: int
    attempt: int
    path: str
    """LangGraph's task path."""
    variant: str | None
    status: StepStatus
    started_at: datetime
    ended_at: datetime | None
    duration_us: int | None
    error_type: str | None
    error_message: str | None
    writes: tuple[Write, ...]

    shown: ClassVar = ("step", "node", "namespace", "attempt", "variant", "status", "started_at", "duration_us")


# --- The table --------------------------------------------------------------------------------------

_RUNNING: ColumnElement[str] = literal_column(
    "'running'"
)  # no parameter: planners use a partial index only when they see its condition


def define(metadata: MetaData, suffix: str = "", generation: int = 0) -> Table:
    """The table. Index names carry the generation, because a renamed table keeps its indexes' names."""
    table = Table(
        f"wtb_steps{suffix}",
        metadata,
        Column("execution", TEXT, primary_key=True),
        Column("position", BigInteger, primary_key=True, autoincrement=False),
        Column("task", TEXT, nullable=False),
        Column("node", TEXT, nullable=False),
        Column("namespace", TEXT, nullable=False),
        Column("checkpoint", TEXT, nullable=False),
        Column("step", BigInteger, nullable=False),
        Column("attempt", Integer, nullable=False),
        Column("path", TEXT, nullable=False),
        Column("variant", TEXT),
        Column("status", TEXT, nullable=False),
        Column("started_us", BigInteger, nullable=False),
        Column("ended_us", BigInteger),
        Column("duration_us", BigInteger),
        Column("error_type", TEXT),
        Column("error_message", TEXT),
        Column("writes", TEXT, nullable=False),
        sqlite_with_rowid=False,
    )
    running = table.c.status == _RUNNING
    Index(f"wtb_steps_running_{generation}", table.c.execution, sqlite_where=running, postgresql_where=running)
    return table


STEPS = define(MetaData())


# --- How facts change it ------------------------------------------------------------------------------


class Fold:
    """Events folded into rows that are yet to be written."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._running: dict[StreamName, dict[TaskId, Columns]] = {}
        self._changed: dict[int, Columns] = {}  # by position

    def take(self, connection: Connection, events: Sequence[Recorded]) -> None:
        if unknown := {event.stream for event in events} - self._running.keys():
            self._load(connection, unknown)
        for event in events:
            fact = event.fact
            if not is_of_execution(fact):
                continue
            running = self._running[event.stream]
            # The frequent facts first: they are tried in turn.
            match fact:
                case NodeStarted():
                    if before := running.pop(fact.task, None):
                        self._end(before, "lost", event.time_us)
                    running[fact.task] = self._changed[event.position] = _begun(fact, event)
                case CheckpointSaved():
                    pass
                case NodeCompleted():
                    self._end_attempt(running, event, fact, "completed", writes=_written(fact.writes))
                case NodeInterrupted():
                    self._end_attempt(running, event, fact, "interrupted", writes=_written(fact.writes))
                case NodeFailed():
                    error = {"error_type": fact.error.type, "error_message": fact.error.message}
                    self._end_attempt(running, event, fact, "failed", **error)
                case ExecutionPaused() | ExecutionCancelled():
                    self._end_all(running, "interrupted", event.time_us)
                case ExecutionRecovered() | ExecutionCompleted() | ExecutionFailed():
                    self._end_all(running, "lost", event.time_us)
                case WritesSaved() | CheckpointsDeleted() | Forked():
                    pass
                case ExecutionStarted() | ExecutionResumed() | ExecutionRetried() | NodeSkipped():
                    pass
                case PauseRequested() | CancelRequested() | BreakpointsSet():
                    pass
                case StateEdited() | RolledBack() | RollbackUndone():
                    pass
                case _:
                    assert_never(fact)

    def write(self, connection: Connection) -> None:
        put_rows(connection, self._table, [*self._changed.values()])

    def _load(self, connection: Connection, streams: set[StreamName]) -> None:
        self._running.update((stream, {}) for stream in streams)
        executions = [execution_of(stream) for stream in streams]
        stored = connection.execute(_running_in(self._table), {"executions": executions})
        for row in stored.mappings():
            self._running[execution_stream(row["execution"])][row["task"]] = dict(row)

    def _end_attempt(
        self,
        running: dict[TaskId, Columns],
        event: Recorded,
        fact: NodeCompleted | NodeInterrupted | NodeFailed,
        status: StepStatus,
        **outcome: str,
    ) -> None:
        row = running.get(fact.task)
        if row is not None and row["attempt"] == fact.attempt:
            del running[fact.task]
            row.update(outcome, duration_us=fact.duration_us)
            self._end(row, status, event.time_us)

    def _end_all(self, running: dict[TaskId, Columns], status: StepStatus, time_us: int) -> None:
        for row in running.values():
            self._end(row, status, time_us)
        running.clear()

    def _end(self, row: Columns, status: StepStatus, time_us: int) -> None:
        row["status"] = status
        row["ended_us"] = time_us
        self._changed[row["position"]] = row


@cache
def _running_in(table: Table) -> Select[Any]:
    return select(table).where(
        table.c.status == _RUNNING, table.c.execution.in_(bindparam("executions", expanding=True))
    )


def _begun(fact: NodeStarted, event: Recorded) -> Columns:
    return {
        "execution": execution_of(event.stream),
        "position": event.position,
        "task": fact.task,
        "node": fact.node,
        "namespace": fact.namespace,
        "checkpoint": fact.checkpoint,
        "step": fact.step,
        "attempt": fact.attempt,
        "path": fact.path,
        "variant": fact.variant,
        "status": "running",
        "started_us": event.time_us,
        "ended_us": None,
        "duration_us": None,
        "error_type": None,
        "error_message": None,
        "writes": "[]",
    }


def _written(writes: Sequence[WriteFact]) -> str:
    return msgspec.json.encode([Write(write.channel, write.value) for write in writes]).decode()


# --- Queries ------------------------------------------------------------------------------------------


def of(
    connection: Connection, execution: str, *, after: int = 0, limit: int | None = None, cursor: str | None = None
) -> Page[Step]:
    """An execution's steps that started after a position, in the order they started.

    Raises `InvalidCursor` when ``cursor`` isn't the ``next_cursor`` of a page of
    the same execution, `InvalidRequest` when ``limit`` isn't positive.
    """
    check_limit(limit)
    filters = ("steps", execution)
    if cursor is not None:
        after = max(after, key_of(cursor, filters, Place))
    query = select(STEPS).where(STEPS.c.execution == execution, STEPS.c.position > after).order_by(STEPS.c.position)
    if limit is not None:
        query = query.limit(limit + 1)
    rows = connection.execute(query).all()
    more = cursor_after(rows[limit - 1].position, filters) if limit is not None and len(rows) > limit else None
    return Page(items=tuple(map(_step, rows[:limit])), next_cursor=more)


def last_of(connection: Connection, execution: str, node: str, checkpoint: str | None = None) -> Step | None:
    """The newest step of a node, by its path such as ``sub/answer``; of those that read ``checkpoint``, if given."""
    query = (
        select(STEPS)
        .where(STEPS.c.execution == execution, STEPS.c.node == node.rpartition("/")[2])
        .order_by(STEPS.c.position.desc())
    )
    if checkpoint is not None:
        query = query.where(STEPS.c.checkpoint == checkpoint)
    rows = connection.execute(query)
    return next((_step(row) for row in rows if node_path(row.namespace, row.node) == node), None)


_read_writes = msgspec.json.Decoder(tuple[Write, ...]).decode


def _step(row: Row[Any]) -> Step:
    (
        execution,
        position,
        task,
        node,
        namespace,
        checkpoint,
        step,
        attempt,
        path,
        variant,
        status,
        started_us,
        ended_us,
        duration_us,
        error_type,
        error_message,
        writes,
    ) = tuple(row)
    return Step(
        execution=execution,
        position=position,
        task=task,
        node=node,
        namespace=namespace,
        checkpoint=checkpoint,
        step=step,
        attempt=attempt,
        path=path,
        variant=variant,
        status=status,
        started_at=moment(started_us),
        ended_at=None if ended_us is None else moment(ended_us),
        duration_us=duration_us,
        error_type=error_type,
        error_message=error_message,
        writes=_read_writes(writes),
    )
