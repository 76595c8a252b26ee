"""Trials: how each case of a batch ended under each combination; the comparison matrix, a row for each field of it.

A row is there once its trial has ended. One that is tried again gets a new one in
its place, without the scores of the one before.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, ClassVar, NamedTuple

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    Integer,
    MetaData,
    Row,
    Table,
    bindparam,
    func,
    select,
    tuple_,
)

from wtb.domain.batch import FAILED, CaseFinished, CaseScored, Scored, TrialStatus, trial_place
from wtb.domain.event_log import Recorded
from wtb.domain.identifiers import BatchId, ExecutionId, Position, subject_of
from wtb.projections.database import TEXT, Columns, moment, put_rows
from wtb.projections.page import Page, check_limit, cursor_after, key_of


class Usage(msgspec.Struct, frozen=True):
    """Tokens that a trial used of one model."""

    model: str
    input_tokens: int
    output_tokens: int


class TrialRow(msgspec.Struct, frozen=True, kw_only=True):
    """One case under one combination, for the how-many-eth time, and how it ended."""

    batch: BatchId
    case: str
    place: int
    """The case's among the batch's, from 0."""
    combination: int
    """Its place among the batch's combinations, from 0."""
    repeat: int
    """From 0."""
    execution: ExecutionId
    status: TrialStatus
    finished_at: datetime
    duration_us: int
    """Of its last attempt, without what it shares with others."""
    attempts: int
    error_type: str | None
    error_message: str | None
    usage: tuple[Usage, ...]
    scores: dict[str, Scored]
    score_errors: dict[str, str]
    """Scores that raised, by name."""
    position: Position

    shown: ClassVar = ("case", "combination", "repeat", "status", "duration_us", "attempts", "scores", "error_message")


class Tally(NamedTuple):
    """What a batch's trials add up to."""

    finished: int = 0
    failed: int = 0
    input_tokens: int = 0
    output_tokens: int = 0


# --- The table --------------------------------------------------------------------------------------


def define(metadata: MetaData, suffix: str = "", generation: int = 0) -> Table:
    """The table. Index names carry the generation, because a renamed table keeps its indexes' names."""
    return Table(
        f"wtb_trials{suffix}",
        metadata,
        Column("batch", TEXT, primary_key=True),
        Column("case", TEXT, primary_key=True),
        Column("combination", Integer, primary_key=True, autoincrement=False),
        Column("repeat", Integer, primary_key=True, autoincrement=False),
        Column("place", Integer, nullable=False),
        Column("execution", TEXT, nullable=False),
        Column("status", TEXT, nullable=False),
        Column("finished_us", BigInteger, nullable=False),
        Column("duration_us", BigInteger, nullable=False),
        Column("attempts", Integer, nullable=False),
        Column("error_type", TEXT),
        Column("error_message", TEXT),
        Column("usage", TEXT, nullable=False),
        Column("input_tokens", BigInteger, nullable=False),
        Column("output_tokens", BigInteger, nullable=False),
        Column("scores", TEXT, nullable=False),
        Column("score_errors", TEXT, nullable=False),
        Column("position", BigInteger, nullable=False),
        Index(f"wtb_trials_place_{generation}", "batch", "place", "combination", "repeat"),
        sqlite_with_rowid=False,
    )


TRIALS = define(MetaData())


# --- How facts change it ------------------------------------------------------------------------------

Key = tuple[str, str, int, int]
"""Batch, case, combination, repeat."""


class Fold:
    """Events folded into rows that are yet to be written."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._rows: dict[Key, Columns] = {}

    def take(self, connection: Connection, events: Sequence[Recorded]) -> None:
        for event in events:
            fact = event.fact
            if isinstance(fact, CaseFinished):
                row = _finished(fact, event)
                self._rows[row["batch"], fact.case, fact.combination, fact.repeat] = row
            elif isinstance(fact, CaseScored):
                key = (subject_of(event.stream), fact.case, fact.combination, fact.repeat)
                if (scored := self._rows.get(key) or self._load(connection, key)) is not None:
                    errors = {name: f"{error.type}: {error.message}" for name, error in fact.errors.items()}
                    scored.update(scores=_json(fact.scores), score_errors=_json(errors), position=event.position)
                    self._rows[key] = scored

    def _load(self, connection: Connection, key: Key) -> Columns | None:
        """A trial's row as stored. Most scores follow their trial's end closely, so few are asked for."""
        columns = [*self._table.primary_key]
        query = select(self._table).where(*(column == part for column, part in zip(columns, key, strict=True)))
        found = connection.execute(query).mappings().first()
        return None if found is None else dict(found)

    def write(self, connection: Connection) -> None:
        put_rows(connection, self._table, [*self._rows.values()])


def _finished(fact: CaseFinished, event: Recorded) -> Columns:
    return {
        "batch": subject_of(event.stream),
        "case": fact.case,
        "combination": fact.combination,
        "repeat": fact.repeat,
        "place": trial_place(fact.execution),
        "execution": fact.execution,
        "status": fact.status,
        "finished_us": event.time_us,
        "duration_us": fact.duration_us,
        "attempts": fact.attempts,
        "error_type": fact.error.type if fact.error else None,
        "error_message": fact.error.message if fact.error else None,
        "usage": _json([Usage(used.model, used.input_tokens, used.output_tokens) for used in fact.usage]),
        "input_tokens": sum(used.input_tokens for used in fact.usage),
        "output_tokens": sum(used.output_tokens for used in fact.usage),
        "scores": "{}",
        "score_errors": "{}",
        "position": event.position,
    }


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


# --- Queries ------------------------------------------------------------------------------------------


def of(
    connection: Connection,
    batch: str,
    *,
    status: TrialStatus | None = None,
    combination: int | None = None,
    case: str | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Page[TrialRow]:
    """A batch's trials that have ended, in order of cases, combinations and repeats.

    Raises `InvalidCursor` when ``cursor`` isn't the ``next_cursor`` of a page
    with the same filters, `InvalidRequest` when ``limit`` isn't positive.
    """
    check_limit(limit)
    filters = ("trials", batch, status, combination, case)
    c = TRIALS.c
    place = (c.place, c.combination, c.repeat)
    query = select(TRIALS).where(c.batch == batch).order_by(*place)
    for column, wanted in ((c.status, status), (c.combination, combination), (c.case, case)):
        if wanted is not None:
            query = query.where(column == wanted)
    if cursor is not None:
        query = query.where(tuple_(*place) > tuple_(*key_of(cursor, filters, tuple[int, int, int])))
    if limit is not None:
        query = query.limit(limit + 1)
    rows = connection.execute(query).all()
    more = None
    if limit is not None and len(rows) > limit:
        last = rows[limit - 1]
        more = cursor_after((last.place, last.combination, last.repeat), filters)
    return Page(items=tuple([_trial(row) for row in rows[:limit]]), next_cursor=more)


_TALLIES = (
    select(
        TRIALS.c.batch,
        func.count(),
        func.count().filter(TRIALS.c.status.in_(sorted(FAILED))),
        func.sum(TRIALS.c.input_tokens),
        func.sum(TRIALS.c.output_tokens),
    )
    .where(TRIALS.c.batch.in_(bindparam("batches", expanding=True)))
    .group_by(TRIALS.c.batch)
)


def tallies(connection: Connection, batches: Iterable[str]) -> dict[str, Tally]:
    """What the trials of each of these batches add up to; those of which none has ended are left out."""
    found = connection.execute(_TALLIES, {"batches": [*batches]})
    return {batch: Tally(finished, failed, int(read), int(written)) for batch, finished, failed, read, written in found}


_read_usage = msgspec.json.Decoder(tuple[Usage, ...]).decode
_read_scores = msgspec.json.Decoder(dict[str, Scored]).decode
_read_errors = msgspec.json.Decoder(dict[str, str]).decode


def _trial(row: Row[Any]) -> TrialRow:
    return TrialRow(
        batch=row.batch,
        case=row.case,
        place=row.place,
        combination=row.combination,
        repeat=row.repeat,
        execution=row.execution,
        status=row.status,
        finished_at=moment(row.finished_us),
        duration_us=row.duration_us,
        attempts=row.attempts,
        error_type=row.error_type,
        error_message=row.error_message,
        usage=_read_usage(row.usage),
        scores=_read_scores(row.scores),
        score_errors=_read_errors(row.score_errors),
        position=row.position,
    )
