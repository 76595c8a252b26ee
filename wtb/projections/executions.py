"""Executions: one row each, from its start to where it stands now."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, ClassVar, assert_never

import msgspec
from sqlalchemy import BigInteger, Column, Connection, Index, Integer, MetaData, Row, Select, Table, bindparam, select

from wtb.domain.event_log import Recorded, is_of_execution
from wtb.domain.execution import (
    BreakpointsSet,
    CancelRequested,
    CheckpointSaved,
    CheckpointsDeleted,
    ExecutionCancelled,
    ExecutionCompleted,
    ExecutionFact,
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
    Status,
    WritesSaved,
)
from wtb.domain.identifiers import (
    CheckpointId,
    ExecutionId,
    Position,
    StreamName,
    Version,
    WorkerId,
    execution_of,
    execution_stream,
)
from wtb.projections.database import TEXT, Columns, moment, put_rows
from wtb.projections.page import Page, Place, check_limit, cursor_after, key_of


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """An execution as it stands at ``position``, its newest event."""

    id: ExecutionId
    workflow: str
    graph: str
    """Digest of the graph: the workflow's version."""
    status: Status
    worker: WorkerId
    """The process that runs it, or ran it last."""
    actor: str
    """Who started it."""
    started_at: datetime
    updated_at: datetime
    ended_at: datetime | None
    duration_us: int | None
    error_type: str | None
    error_message: str | None
    failed_node: str | None
    waiting: tuple[str, ...]
    """Ids of the interrupts that wait for an answer."""
    parent_execution: ExecutionId | None
    parent_checkpoint: CheckpointId | None
    variants: dict[str, str]
    """Node path to the name of the variant chosen for it."""
    batch_case: str | None = None
    """The case of a batch that it runs, as ``batch/case``."""
    steps: int
    """Node attempts started since its start."""
    checkpoints: int
    """Checkpoints saved since its start, those deleted later included."""
    version: Version
    position: Position

    shown: ClassVar = ("id", "workflow", "status", "started_at", "duration_us", "steps", "failed_node", "error_message")


# --- The table --------------------------------------------------------------------------------------


def define(metadata: MetaData, suffix: str = "", generation: int = 0) -> Table:
    """The table. Index names carry the generation, because a renamed table keeps its indexes' names."""
    name = f"wtb_executions{suffix}"
    table = Table(
        name,
        metadata,
        Column("id", TEXT, primary_key=True),
        Column("begun", BigInteger, nullable=False),  # the start's position: unique, and the order of listings
        Column("workflow", TEXT, nullable=False),
        Column("graph", TEXT, nullable=False),
        Column("status", TEXT, nullable=False),
        Column("worker", TEXT, nullable=False),
        Column("actor", TEXT, nullable=False),
        Column("started_us", BigInteger, nullable=False),
        Column("updated_us", BigInteger, nullable=False),
        Column("ended_us", BigInteger),
        Column("duration_us", BigInteger),
        Column("error_type", TEXT),
        Column("error_message", TEXT),
        Column("failed_node", TEXT),
        Column("waiting", TEXT, nullable=False),
        Column("before_rollback", TEXT),
        Column("parent_execution", TEXT),
        Column("parent_checkpoint", TEXT),
        Column("variants", TEXT, nullable=False),
        Column("batch", TEXT),
        Column("batch_case", TEXT),
        Column("steps", Integer, nullable=False),
        Column("checkpoints", Integer, nullable=False),
        Column("version", BigInteger, nullable=False),
        Column("position", BigInteger, nullable=False),
        Index(f"wtb_executions_begun_{generation}", "begun"),
        Index(f"wtb_executions_status_{generation}", "status", "begun"),
        Index(f"wtb_executions_workflow_{generation}", "workflow", "begun"),
        Index(f"wtb_executions_parent_{generation}", "parent_execution", "begun"),
        sqlite_with_rowid=False,
    )
    of_batches = table.c.batch.is_not(None)
    index = f"wtb_executions_batch_{generation}"
    Index(index, table.c.batch, table.c.begun, sqlite_where=of_batches, postgresql_where=of_batches)
    return table


EXECUTIONS = define(MetaData())


# --- How facts change it ------------------------------------------------------------------------------

_NOT_ENDED: Columns = {
    "ended_us": None,
    "duration_us": None,
    "error_type": None,
    "error_message": None,
    "failed_node": None,
    "waiting": "[]",
    "before_rollback": None,
}

_BEFORE_ROLLBACK = ("status", *(name for name in _NOT_ENDED if name != "before_rollback"))
"""What an undone rollback brings back."""


class Fold:
    """Events folded into rows that are yet to be written. Streams without a start have no row."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._rows: dict[StreamName, Columns] = {}
        self._loaded: set[StreamName] = set()

    def take(self, connection: Connection, events: Sequence[Recorded]) -> None:
        if unknown := {event.stream for event in events} - self._loaded:
            self._load(connection, unknown)
        rows = self._rows
        for event in events:
            if isinstance(event.fact, ExecutionStarted):
                rows[event.stream] = _begun(event.fact, event)
            elif (row := rows.get(event.stream)) is not None and is_of_execution(event.fact):
                row["updated_us"] = event.time_us
                row["version"] = event.version
                row["position"] = event.position
                _change(row, event.fact, event.time_us)

    def _load(self, connection: Connection, streams: set[StreamName]) -> None:
        self._loaded |= streams
        executions = [execution_of(stream) for stream in streams]
        stored = connection.execute(_of_some(self._table), {"executions": executions})
        self._rows.update((execution_stream(row["id"]), dict(row)) for row in stored.mappings())

    def write(self, connection: Connection) -> None:
        put_rows(connection, self._table, [*self._rows.values()])


@cache
def _of_some(table: Table) -> Select[Any]:
    return select(table).where(table.c.id.in_(bindparam("executions", expanding=True)))


def _begun(fact: ExecutionStarted, event: Recorded) -> Columns:
    return {
        "id": execution_of(event.stream),
        "begun": event.position,
        "workflow": fact.workflow,
        "graph": fact.graph,
        "status": "running",
        "worker": fact.worker,
        "actor": event.actor,
        "started_us": event.time_us,
        "updated_us": event.time_us,
        **_NOT_ENDED,
        "parent_execution": fact.parent.execution if fact.parent else None,
        "parent_checkpoint": fact.parent.checkpoint if fact.parent else None,
        "variants": msgspec.json.encode(fact.variants).decode(),
        "batch": fact.batch_case.partition("/")[0] if fact.batch_case else None,
        "batch_case": fact.batch_case,
        "steps": 0,
        "checkpoints": 0,
        "version": event.version,
        "position": event.position,
    }


def _change(row: Columns, fact: ExecutionFact, time_us: int) -> None:
    # The frequent facts first: they are tried in turn.
    match fact:
        case NodeStarted():
            row["steps"] += 1
        case CheckpointSaved():
            row["checkpoints"] += 1
        case NodeCompleted() | NodeFailed() | NodeInterrupted() | WritesSaved() | CheckpointsDeleted():
            pass
        case ExecutionResumed() | ExecutionRetried() | NodeSkipped() | ExecutionRecovered():
            row.update(_NOT_ENDED, status="running", worker=fact.worker)
        case ExecutionPaused():
            waiting = msgspec.json.encode([question.id for question in fact.questions]).decode()
            row.update(_NOT_ENDED, status="paused", waiting=waiting)
        case ExecutionCompleted():
            row.update(_NOT_ENDED, status="completed", ended_us=time_us, duration_us=fact.duration_us)
        case ExecutionFailed():
            row.update(
                _NOT_ENDED,
                status="failed",
                ended_us=time_us,
                duration_us=fact.duration_us,
                error_type=fact.error.type,
                error_message=fact.error.message,
                failed_node=fact.node,
            )
        case ExecutionCancelled():
            row.update(_NOT_ENDED, status="cancelled", ended_us=time_us)
        case StateEdited():
            row.update(_NOT_ENDED, status="paused")
        case RolledBack():
            before = {name: row[name] for name in _BEFORE_ROLLBACK}
            kept = row["before_rollback"] or msgspec.json.encode(before).decode()
            row.update(_NOT_ENDED, status="paused", before_rollback=kept)
        case RollbackUndone():
            row.update(msgspec.json.decode(row["before_rollback"] or "{}"), before_rollback=None)
        case ExecutionStarted() | Forked() | PauseRequested() | CancelRequested() | BreakpointsSet():
            pass
        case _:
            assert_never(fact)


# --- Queries ------------------------------------------------------------------------------------------


_GET = select(EXECUTIONS).where(EXECUTIONS.c.id == bindparam("execution"))


def get(connection: Connection, execution: str) -> Execution | None:
    row = connection.execute(_GET, {"execution": execution}).first()
    return None if row is None else _execution(row)


def page(
    connection: Connection,
    *,
    status: Status | None = None,
    workflow: str | None = None,
    batch: str | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[Execution]:
    """Executions, those started last first.

    Raises `InvalidCursor` when ``cursor`` isn't the ``next_cursor`` of a page
    with the same filters, `InvalidRequest` when ``limit`` isn't positive.
    """
    check_limit(limit)
    filters = ("executions", status, workflow, batch)
    query = select(EXECUTIONS).order_by(EXECUTIONS.c.begun.desc()).limit(limit + 1)
    if status is not None:
        query = query.where(EXECUTIONS.c.status == status)
    if workflow is not None:
        query = query.where(EXECUTIONS.c.workflow == workflow)
    if batch is not None:
        query = query.where(EXECUTIONS.c.batch == batch)
    if cursor is not None:
        query = query.where(EXECUTIONS.c.begun < key_of(cursor, filters, Place))
    rows = connection.execute(query).all()
    more = cursor_after(rows[limit - 1].begun, filters) if len(rows) > limit else None
    return Page(items=tuple(map(_execution, rows[:limit])), next_cursor=more)


def running(connection: Connection) -> tuple[Execution, ...]:
    """Every execution that runs, or whose process died while it ran; oldest first."""
    query = select(EXECUTIONS).where(EXECUTIONS.c.status == "running").order_by(EXECUTIONS.c.begun)
    return tuple(map(_execution, connection.execute(query)))


def ancestors(connection: Connection, execution: str) -> tuple[Execution, ...]:
    """The execution that one was forked from, the one that was forked from, and so on."""
    found: list[Execution] = []
    child = get(connection, execution)
    while child is not None and child.parent_execution is not None:
        child = get(connection, child.parent_execution)
        if child is not None:
            found.append(child)
    return tuple(found)


def ended_before(connection: Connection, time: datetime) -> tuple[ExecutionId, ...]:
    """Ids of the executions that ended before a time, oldest first."""
    before = (time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    query = select(EXECUTIONS.c.id).where(EXECUTIONS.c.ended_us < before).order_by(EXECUTIONS.c.begun)
    return tuple(connection.execute(query).scalars())


def forks(connection: Connection, parents: Sequence[str]) -> tuple[Execution, ...]:
    """The executions that were forked from these, oldest first."""
    query = select(EXECUTIONS).where(EXECUTIONS.c.parent_execution.in_(parents)).order_by(EXECUTIONS.c.begun)
    return tuple(map(_execution, connection.execute(query)))


_read_waiting = msgspec.json.Decoder(tuple[str, ...]).decode
_read_variants = msgspec.json.Decoder(dict[str, str]).decode


def _execution(row: Row[Any]) -> Execution:
    return Execution(
        id=row.id,
        workflow=row.workflow,
        graph=row.graph,
        status=row.status,
        worker=row.worker,
        actor=row.actor,
        started_at=moment(row.started_us),
        updated_at=moment(row.updated_us),
        ended_at=None if row.ended_us is None else moment(row.ended_us),
        duration_us=row.duration_us,
        error_type=row.error_type,
        error_message=row.error_message,
        failed_node=row.failed_node,
        waiting=_read_waiting(row.waiting),
        parent_execution=row.parent_execution,
        parent_checkpoint=row.parent_checkpoint,
        variants=_read_variants(row.variants),
        batch_case=row.batch_case,
        steps=row.steps,
        checkpoints=row.checkpoints,
        version=row.version,
        position=row.position,
    )
