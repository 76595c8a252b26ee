"""Versions of workflows: one row each, with all that is known of the graph."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar

import msgspec
from sqlalchemy import BigInteger, Column, Connection, Index, MetaData, Row, Table, bindparam, select, update

from wtb.domain.event_log import Recorded
from wtb.domain.execution import ExecutionStarted
from wtb.domain.identifiers import Position, is_storable, subject_of
from wtb.domain.workflow import EdgeDescribed, NodeDescribed, WorkflowVersioned
from wtb.projections.database import TEXT, Columns, moment, put_rows
from wtb.projections.page import Page, Place, check_limit, cursor_after, key_of


class WorkflowVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a workflow, as it was described when it was first seen."""

    workflow: str
    version: str
    """The digest that an execution's ``graph`` names."""
    nodes: tuple[NodeDescribed, ...]
    edges: tuple[EdgeDescribed, ...]
    channels: dict[str, str]
    """Channel to its type and its reducer."""
    input_schema: dict[str, Any] | None
    output_schema: dict[str, Any] | None
    reference: str | None
    """Where it was loaded from, as ``module:attribute``."""
    first_seen: datetime
    last_seen: datetime
    """When it was described, or an execution of it was started, whichever was last."""
    position: Position

    shown: ClassVar = ("workflow", "version", "first_seen", "last_seen", "reference")


# --- The table --------------------------------------------------------------------------------------


def define(metadata: MetaData, suffix: str = "", generation: int = 0) -> Table:
    """The table; see `executions.define`. The description is kept as the JSON of its fact."""
    return Table(
        f"wtb_versions{suffix}",
        metadata,
        Column("workflow", TEXT, primary_key=True),
        Column("version", TEXT, primary_key=True),
        Column("described", TEXT, nullable=False),
        Column("first_seen_us", BigInteger, nullable=False),
        Column("last_seen_us", BigInteger, nullable=False),
        Column("position", BigInteger, nullable=False),
        Index(f"wtb_versions_position_{generation}", "workflow", "position"),
        sqlite_with_rowid=False,
    )


VERSIONS = define(MetaData())


# --- How facts change it ------------------------------------------------------------------------------


class Fold:
    """Events folded into rows that are yet to be written, and into when versions were last started."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._rows: dict[tuple[str, str], Columns] = {}
        self._started: dict[tuple[str, str], int] = {}

    def take(self, connection: Connection, events: Sequence[Recorded]) -> None:
        for event in events:
            fact = event.fact
            if isinstance(fact, ExecutionStarted):
                key = (fact.workflow, fact.graph)
                if is_storable(fact.workflow) and is_storable(fact.graph):
                    self._started[key] = max(self._started.get(key, 0), event.time_us)
            elif isinstance(fact, WorkflowVersioned):
                workflow = subject_of(event.stream)
                # An execution that was started before this is none of a version that was known.
                self._started.pop((workflow, fact.version), None)
                self._rows[workflow, fact.version] = {
                    "workflow": workflow,
                    "version": fact.version,
                    "described": fact.model_dump_json(),
                    "first_seen_us": event.time_us,
                    "last_seen_us": event.time_us,
                    "position": event.position,
                }

    def write(self, connection: Connection) -> None:
        put_rows(connection, self._table, [*self._rows.values()])
        if self._started:
            c = self._table.c
            this = (c.workflow == bindparam("w"), c.version == bindparam("v"), c.last_seen_us < bindparam("t"))
            seen = [{"w": workflow, "v": version, "t": time} for (workflow, version), time in self._started.items()]
            connection.execute(update(self._table).where(*this).values(last_seen_us=bindparam("t")), seen)


# --- Queries ------------------------------------------------------------------------------------------


def get(connection: Connection, workflow: str, version: str | None = None) -> WorkflowVersion | None:
    """A version; the one first seen last when None is named."""
    c = VERSIONS.c
    query = select(VERSIONS).where(c.workflow == workflow).order_by(c.position.desc()).limit(1)
    row = connection.execute(query if version is None else query.where(c.version == version)).first()
    return None if row is None else _version(row)


def of(
    connection: Connection, workflow: str, *, limit: int | None = None, cursor: str | None = None
) -> Page[WorkflowVersion]:
    """A workflow's versions, those first seen last first. Raises `InvalidCursor` and `InvalidRequest` as others do."""
    check_limit(limit)
    filters = ("versions", workflow)
    c = VERSIONS.c
    query = select(VERSIONS).where(c.workflow == workflow).order_by(c.position.desc())
    if cursor is not None:
        query = query.where(c.position < key_of(cursor, filters, Place))
    if limit is not None:
        query = query.limit(limit + 1)
    rows = connection.execute(query).all()
    more = cursor_after(rows[limit - 1].position, filters) if limit is not None and len(rows) > limit else None
    return Page(items=tuple(map(_version, rows[:limit])), next_cursor=more)


def _version(row: Row[Any]) -> WorkflowVersion:
    fact = WorkflowVersioned.model_validate_json(row.described)
    return WorkflowVersion(
        workflow=row.workflow,
        version=fact.version,
        nodes=fact.nodes,
        edges=fact.edges,
        channels=fact.channels,
        input_schema=fact.input_schema,
        output_schema=fact.output_schema,
        reference=fact.reference,
        first_seen=moment(row.first_seen_us),
        last_seen=moment(row.last_seen_us),
        position=row.position,
    )
