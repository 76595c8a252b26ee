"""Batches: one row each, from its start to where it stands now; what its trials add up to is asked of `trials`."""

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any, ClassVar, assert_never, cast, get_args

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Index,
    Integer,
    MetaData,
    Row,
    Select,
    Table,
    bindparam,
    select,
)

from wtb.domain.batch import (
    BatchCompleted,
    BatchFact,
    BatchResumed,
    BatchStarted,
    BatchStatus,
    BatchStopped,
    BatchStopRequested,
    CaseFinished,
    CasePreferred,
    CasesAdded,
    CaseScored,
)
from wtb.domain.event_log import Recorded
from wtb.domain.identifiers import BatchId, Position, StreamName, Version, WorkerId, batch_stream, subject_of
from wtb.projections import trials
from wtb.projections.database import TEXT, Columns, moment, put_rows
from wtb.projections.page import Page, Place, check_limit, cursor_after, key_of


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """A batch as it stands at ``position``, its newest event."""

    id: BatchId
    workflow: str
    graph: str
    """Digest of the graph: the workflow's version."""
    status: BatchStatus
    stop_requested: bool
    """Somebody asked the process that runs it to stop."""
    stop_reason: str | None
    """Why it is stopped: ``request``, ``fail_fast``, ``budget`` or ``interrupted``."""
    stop_detail: str
    worker: WorkerId
    """The process that runs it, or ran it last."""
    actor: str
    """Who started it."""
    description: str
    cases: int
    combinations: tuple[dict[str, str], ...]
    """Node path to variant name."""
    repeats: int
    trials: int
    """How many there are to be."""
    finished: int
    """Trials that have ended."""
    failed: int
    """Trials that failed, timed out or were lost."""
    scores: tuple[str, ...]
    preferences: tuple[str, ...]
    input_tokens: int
    output_tokens: int
    started_at: datetime
    updated_at: datetime
    ended_at: datetime | None
    """When it was stopped or completed; None while it runs."""
    version: Version
    position: Position

    shown: ClassVar = ("id", "workflow", "status", "trials", "finished", "failed", "started_at", "description")


# --- The table --------------------------------------------------------------------------------------


def define(metadata: MetaData, suffix: str = "", generation: int = 0) -> Table:
    """The table. Index names carry the generation, because a renamed table keeps its indexes' names."""
    return Table(
        f"wtb_batches{suffix}",
        metadata,
        Column("id", TEXT, primary_key=True),
        Column("begun", BigInteger, nullable=False),  # the start's position: unique, and the order of listings
        Column("workflow", TEXT, nullable=False),
        Column("graph", TEXT, nullable=False),
        Column("status", TEXT, nullable=False),
        Column("stop_requested", Boolean, nullable=False),
        Column("stop_reason", TEXT),
        Column("stop_detail", TEXT, nullable=False),
        Column("worker", TEXT, nullable=False),
        Column("actor", TEXT, nullable=False),
        Column("description", TEXT, nullable=False),
        Column("cases", Integer, nullable=False),
        Column("combinations", TEXT, nullable=False),
        Column("repeats", Integer, nullable=False),
        Column("trials", BigInteger, nullable=False),
        Column("scores", TEXT, nullable=False),
        Column("preferences", TEXT, nullable=False),
        Column("started_us", BigInteger, nullable=False),
        Column("updated_us", BigInteger, nullable=False),
        Column("ended_us", BigInteger),
        Column("version", BigInteger, nullable=False),
        Column("position", BigInteger, nullable=False),
        Index(f"wtb_batches_begun_{generation}", "begun"),
        Index(f"wtb_batches_status_{generation}", "status", "begun"),
        Index(f"wtb_batches_workflow_{generation}", "workflow", "begun"),
        sqlite_with_rowid=False,
    )


BATCHES = define(MetaData())


# --- How facts change it ------------------------------------------------------------------------------

_KINDS = frozenset(get_args(BatchFact))
_NOT_STOPPED: Columns = {"stop_requested": False, "stop_reason": None, "stop_detail": "", "ended_us": None}


class Fold:
    """Events folded into rows that are yet to be written."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._rows: dict[StreamName, Columns] = {}
        self._loaded: set[StreamName] = set()

    def take(self, connection: Connection, events: Sequence[Recorded]) -> None:
        mine = [event for event in events if type(event.fact) in _KINDS]
        if unknown := {event.stream for event in mine} - self._loaded:
            self._load(connection, unknown)
        for event in mine:
            if isinstance(event.fact, BatchStarted):
                self._rows[event.stream] = _begun(event.fact, event)
            elif (row := self._rows.get(event.stream)) is not None:
                row.update(updated_us=event.time_us, version=event.version, position=event.position)
                _change(row, cast("BatchFact", event.fact), event.time_us)

    def _load(self, connection: Connection, streams: set[StreamName]) -> None:
        self._loaded |= streams
        stored = connection.execute(_of_some(self._table), {"batches": [subject_of(stream) for stream in streams]})
        self._rows.update((batch_stream(row["id"]), dict(row)) for row in stored.mappings())

    def write(self, connection: Connection) -> None:
        put_rows(connection, self._table, [*self._rows.values()])


@cache
def _of_some(table: Table) -> Select[Any]:
    return select(table).where(table.c.id.in_(bindparam("batches", expanding=True)))


def _begun(fact: BatchStarted, event: Recorded) -> Columns:
    return {
        "id": subject_of(event.stream),
        "begun": event.position,
        "workflow": fact.workflow,
        "graph": fact.graph,
        "status": "running",
        **_NOT_STOPPED,
        "worker": fact.worker,
        "actor": event.actor,
        "description": fact.description,
        "cases": fact.cases,
        "combinations": _json(fact.combinations),
        "repeats": fact.repeats,
        "trials": fact.cases * len(fact.combinations) * fact.repeats,
        "scores": _json(fact.scores),
        "preferences": _json(fact.preferences),
        "started_us": event.time_us,
        "updated_us": event.time_us,
        "version": event.version,
        "position": event.position,
    }


def _change(row: Columns, fact: BatchFact, time_us: int) -> None:
    match fact:
        case CaseFinished() | CaseScored() | CasePreferred() | CasesAdded() | BatchStarted():
            pass
        case BatchResumed():
            row.update(_NOT_STOPPED, status="running", worker=fact.worker)
        case BatchStopRequested():
            row["stop_requested"] = row["status"] == "running"
        case BatchStopped():
            row.update(
                _NOT_STOPPED, status="stopped", stop_reason=fact.reason, stop_detail=fact.detail, ended_us=time_us
            )
        case BatchCompleted():
            row.update(_NOT_STOPPED, status="completed", ended_us=time_us)
        case _:
            assert_never(fact)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


# --- Queries ------------------------------------------------------------------------------------------

_GET = select(BATCHES).where(BATCHES.c.id == bindparam("batch"))


def get(connection: Connection, batch: str) -> Batch | None:
    row = connection.execute(_GET, {"batch": batch}).first()
    return None if row is None else _counted(connection, [row])[0]


def page(
    connection: Connection,
    *,
    status: BatchStatus | None = None,
    workflow: str | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[Batch]:
    """Batches, those started last first.

    Raises `InvalidCursor` when ``cursor`` isn't the ``next_cursor`` of a page
    with the same filters, `InvalidRequest` when ``limit`` isn't positive.
    """
    check_limit(limit)
    filters = ("batches", status, workflow)
    query = select(BATCHES).order_by(BATCHES.c.begun.desc()).limit(limit + 1)
    if status is not None:
        query = query.where(BATCHES.c.status == status)
    if workflow is not None:
        query = query.where(BATCHES.c.workflow == workflow)
    if cursor is not None:
        query = query.where(BATCHES.c.begun < key_of(cursor, filters, Place))
    rows = connection.execute(query).all()
    more = cursor_after(rows[limit - 1].begun, filters) if len(rows) > limit else None
    return Page(items=tuple(_counted(connection, rows[:limit])), next_cursor=more)


_read_combinations = msgspec.json.Decoder(tuple[dict[str, str], ...]).decode
_read_names = msgspec.json.Decoder(tuple[str, ...]).decode


def _counted(connection: Connection, rows: Sequence[Row[Any]]) -> list[Batch]:
    """Rows with what their trials add up to."""
    counted = trials.tallies(connection, [row.id for row in rows])
    return [_batch(row, counted.get(row.id, trials.Tally())) for row in rows]


def _batch(row: Row[Any], tally: trials.Tally) -> Batch:
    return Batch(
        id=row.id,
        workflow=row.workflow,
        graph=row.graph,
        status=row.status,
        stop_requested=row.stop_requested,
        stop_reason=row.stop_reason,
        stop_detail=row.stop_detail,
        worker=row.worker,
        actor=row.actor,
        description=row.description,
        cases=row.cases,
        combinations=_read_combinations(row.combinations),
        repeats=row.repeats,
        trials=row.trials,
        finished=tally.finished,
        failed=tally.failed,
        scores=_read_names(row.scores),
        preferences=_read_names(row.preferences),
        input_tokens=tally.input_tokens,
        output_tokens=tally.output_tokens,
        started_at=moment(row.started_us),
        updated_at=moment(row.updated_us),
        ended_at=None if row.ended_us is None else moment(row.ended_us),
        version=row.version,
        position=row.position,
    )
