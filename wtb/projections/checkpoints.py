"""Checkpoints: which there are and which follows which; their values stay in the event store."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar

import msgspec
from sqlalchemy import BigInteger, Column, Connection, MetaData, Row, Table, bindparam, delete, select, tuple_

from wtb.domain.event_log import Recorded
from wtb.domain.execution import CheckpointSaved, CheckpointsDeleted
from wtb.domain.identifiers import CheckpointId, ExecutionId, Namespace, Position, execution_of
from wtb.projections.database import TEXT, Columns, moment, put_rows
from wtb.projections.page import Page, check_limit, cursor_after, key_of


class Checkpoint(msgspec.Struct, frozen=True):
    """A graph's state after a superstep, by name."""

    execution: ExecutionId
    id: CheckpointId
    parent: CheckpointId | None
    namespace: Namespace
    step: int
    """-1 for the input, 0 before the first node, then the supersteps."""
    source: str
    """What made it: ``input``, ``loop``, ``update`` or ``fork``."""
    created_at: datetime
    position: Position

    shown: ClassVar = ("id", "parent", "namespace", "step", "source", "created_at")


# --- The table --------------------------------------------------------------------------------------


def define(metadata: MetaData, suffix: str = "", generation: int = 0) -> Table:
    """The table. Its key is the order of listings, so it needs no index."""
    return Table(
        f"wtb_checkpoints{suffix}",
        metadata,
        Column("execution", TEXT, primary_key=True),
        Column("id", TEXT, primary_key=True),
        Column("namespace", TEXT, primary_key=True),
        Column("parent", TEXT),
        Column("step", BigInteger, nullable=False),
        Column("source", TEXT, nullable=False),
        Column("created_us", BigInteger, nullable=False),
        Column("position", BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )


CHECKPOINTS = define(MetaData())


# --- How facts change it ------------------------------------------------------------------------------

Key = tuple[ExecutionId, CheckpointId, Namespace]


class Fold:
    """Events folded into rows that are yet to be written or deleted."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._saved: dict[Key, Columns] = {}
        self._emptied: set[ExecutionId] = set()
        self._removed: set[Key] = set()

    def take(self, connection: Connection, events: Sequence[Recorded]) -> None:
        for event in events:
            fact = event.fact
            if isinstance(fact, CheckpointSaved):
                execution = execution_of(event.stream)
                self._saved[execution, fact.checkpoint, fact.namespace] = {
                    "execution": execution,
                    "id": fact.checkpoint,
                    "namespace": fact.namespace,
                    "parent": fact.parent,
                    "step": fact.step,
                    "source": fact.source,
                    "created_us": event.time_us,
                    "position": event.position,
                }
            elif isinstance(fact, CheckpointsDeleted):
                self._delete(execution_of(event.stream), fact)

    def _delete(self, execution: ExecutionId, fact: CheckpointsDeleted) -> None:
        if fact.checkpoints is None:
            self._emptied.add(execution)
            self._saved = {key: row for key, row in self._saved.items() if key[0] != execution}
        else:
            for namespace, checkpoint in fact.checkpoints:
                self._removed.add((execution, checkpoint, namespace))
                self._saved.pop((execution, checkpoint, namespace), None)

    def write(self, connection: Connection) -> None:
        # Deletions first: what was saved again after its deletion is among the saved.
        c = self._table.c
        if self._emptied:
            connection.execute(delete(self._table).where(c.execution.in_(self._emptied)))
        if self._removed:
            # One by one, because a pruned thread's may be more than a statement can name.
            this = (c.execution == bindparam("e"), c.id == bindparam("i"), c.namespace == bindparam("n"))
            keys = [
                {"e": execution, "i": checkpoint, "n": namespace} for execution, checkpoint, namespace in self._removed
            ]
            connection.execute(delete(self._table).where(*this), keys)
        put_rows(connection, self._table, [*self._saved.values()])


# --- Queries ------------------------------------------------------------------------------------------


# Without the execution, which whoever asks has named.
_ROWS = select(
    *(CHECKPOINTS.c[name] for name in ("id", "parent", "namespace", "step", "source", "created_us", "position"))
)


def get(connection: Connection, execution: str, checkpoint: str, namespace: str = "") -> Checkpoint | None:
    c = CHECKPOINTS.c
    query = _ROWS.where(c.execution == execution, c.id == checkpoint, c.namespace == namespace)
    row = connection.execute(query).first()
    return None if row is None else _checkpoint(ExecutionId(execution), row)


def at_step(connection: Connection, execution: str, step: int) -> CheckpointId | None:
    """The newest checkpoint of the outermost graph after that many supersteps."""
    c = CHECKPOINTS.c
    query = select(c.id).where(c.execution == execution, c.namespace == "", c.step == step)
    found: CheckpointId | None = connection.execute(query.order_by(c.id.desc()).limit(1)).scalar()
    return found


def tips(connection: Connection, execution: str) -> tuple[Checkpoint, ...]:
    """Where the branches of an execution's outermost graph end: its checkpoints that none follows, newest first."""
    c, child = CHECKPOINTS.c, CHECKPOINTS.alias()
    followed = select(child.c.parent).where(
        child.c.execution == execution, child.c.namespace == "", child.c.parent.is_not(None)
    )
    query = _ROWS.where(c.execution == execution, c.namespace == "", c.id.not_in(followed)).order_by(c.id.desc())
    return tuple(_checkpoint(ExecutionId(execution), row) for row in connection.execute(query))


def of(
    connection: Connection,
    execution: str,
    *,
    namespace: str | None = None,
    before: str | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Page[Checkpoint]:
    """An execution's checkpoints, newest first; only those older than the checkpoint ``before``, if given.

    Newest means by id, as in LangGraph. All namespaces when ``namespace`` is
    None; the root graph's is "". Raises `InvalidCursor` when ``cursor`` isn't the
    ``next_cursor`` of a page with the same execution and namespace,
    `InvalidRequest` when ``limit`` isn't positive.
    """
    check_limit(limit)
    filters = ("checkpoints", execution, namespace)
    c = CHECKPOINTS.c
    query = _ROWS.where(c.execution == execution).order_by(c.id.desc(), c.namespace.desc())
    if namespace is not None:
        query = query.where(c.namespace == namespace)
    if before is not None:
        query = query.where(c.id < before)
    if cursor is not None:
        query = query.where(tuple_(c.id, c.namespace) < key_of(cursor, filters, tuple[str, str]))
    if limit is not None:
        query = query.limit(limit + 1)
    rows = connection.execute(query).all()
    more = None
    if limit is not None and len(rows) > limit:
        more = cursor_after((rows[limit - 1].id, rows[limit - 1].namespace), filters)
    named = ExecutionId(execution)
    return Page(items=tuple([_checkpoint(named, row) for row in rows[:limit]]), next_cursor=more)


def _checkpoint(execution: ExecutionId, row: Row[Any]) -> Checkpoint:
    id, parent, namespace, step, source, created_us, position = tuple(row)
    return Checkpoint(execution, id, parent, namespace, step, source, moment(created_us), position)
