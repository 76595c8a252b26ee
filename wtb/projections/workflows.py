"""Workflows: one row each, as they stand now."""

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any, ClassVar

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
    update,
)

from wtb.domain.event_log import Recorded
from wtb.domain.execution import ExecutionStarted
from wtb.domain.identifiers import Position, is_storable, subject_of
from wtb.domain.workflow import (
    VariantPromoted,
    VariantRegistered,
    VariantRestored,
    VariantRetired,
    WorkflowArchived,
    WorkflowRegistered,
    WorkflowRestored,
    WorkflowVersioned,
)
from wtb.projections.database import TEXT, Columns, moment, put_rows
from wtb.projections.page import Page, check_limit, cursor_after, key_of


class Workflow(msgspec.Struct, frozen=True, kw_only=True):
    """A workflow as it stands at ``position``, the newest event of its own."""

    name: str
    description: str
    archived: bool
    version: str | None
    """The digest of the version that was first seen last."""
    versions: int
    variants: int
    """Variants of its nodes that were ever registered."""
    first_seen: datetime
    last_seen: datetime
    """When something of it last changed, or an execution of it was started."""
    position: Position

    shown: ClassVar = ("name", "version", "versions", "variants", "last_seen", "archived", "description")


# --- The table --------------------------------------------------------------------------------------


def define(metadata: MetaData, suffix: str = "", generation: int = 0) -> Table:
    """The table; see `executions.define`."""
    return Table(
        f"wtb_workflows{suffix}",
        metadata,
        Column("name", TEXT, primary_key=True),
        Column("description", TEXT, nullable=False),
        Column("archived", Boolean, nullable=False),
        Column("graph", TEXT),
        Column("versions", Integer, nullable=False),
        Column("variants", TEXT, nullable=False),
        Column("first_seen_us", BigInteger, nullable=False),
        Column("last_seen_us", BigInteger, nullable=False),
        Column("position", BigInteger, nullable=False),
        Index(f"wtb_workflows_archived_{generation}", "archived", "name"),
        sqlite_with_rowid=False,
    )


WORKFLOWS = define(MetaData())


# --- How facts change it ------------------------------------------------------------------------------

_OWN = (
    WorkflowRegistered,
    WorkflowVersioned,
    VariantRegistered,
    VariantPromoted,
    VariantRetired,
    VariantRestored,
    WorkflowArchived,
    WorkflowRestored,
)
_SEEN = frozenset((*_OWN, ExecutionStarted))


class Fold:
    """Events folded into rows that are yet to be written."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._rows: dict[str, Columns] = {}
        self._loaded: set[str] = set()
        self._started: dict[str, int] = {}
        """When executions were last started, of workflows that may have a row."""

    def take(self, connection: Connection, events: Sequence[Recorded]) -> None:
        found = [event for event in events if type(event.fact) in _SEEN]
        if unknown := {subject_of(event.stream) for event in found if isinstance(event.fact, _OWN)} - self._loaded:
            self._load(connection, unknown)
        for event in found:
            if isinstance(event.fact, ExecutionStarted):
                self._see(event.fact.workflow, event.time_us)
            else:
                name = subject_of(event.stream)
                row = self._rows.setdefault(name, _new(name, event))
                _change(row, event)

    def _see(self, workflow: str, time_us: int) -> None:
        if not is_storable(workflow):
            return  # a name that came in a bundle, and can't be a workflow's here
        row = self._rows.get(workflow)
        if row is not None:
            row["last_seen_us"] = max(row["last_seen_us"], time_us)
        elif workflow not in self._loaded:
            self._started[workflow] = max(self._started.get(workflow, 0), time_us)

    def _load(self, connection: Connection, names: set[str]) -> None:
        self._loaded |= names
        for row in connection.execute(_of_some(self._table), {"names": [*names]}).mappings():
            self._rows[row["name"]] = {
                **row,
                "last_seen_us": max(row["last_seen_us"], self._started.get(row["name"], 0)),
            }

    def write(self, connection: Connection) -> None:
        put_rows(connection, self._table, [*self._rows.values()])
        seen = [{"n": name, "t": time_us} for name, time_us in self._started.items() if name not in self._rows]
        if seen:
            connection.execute(_seen(self._table), seen)


@cache
def _of_some(table: Table) -> Select[Any]:
    return select(table).where(table.c.name.in_(bindparam("names", expanding=True)))


@cache
def _seen(table: Table) -> Any:
    later = (table.c.name == bindparam("n"), table.c.last_seen_us < bindparam("t"))
    return update(table).where(*later).values(last_seen_us=bindparam("t"))


def _new(name: str, event: Recorded) -> Columns:
    return {
        "name": name,
        "description": "",
        "archived": False,
        "graph": None,
        "versions": 0,
        "variants": "[]",
        "first_seen_us": event.time_us,
        "last_seen_us": event.time_us,
        "position": event.position,
    }


def _change(row: Columns, event: Recorded) -> None:
    row["last_seen_us"] = max(row["last_seen_us"], event.time_us)
    row["position"] = event.position
    match event.fact:
        case WorkflowRegistered(description=description):
            row["description"] = description
        case WorkflowVersioned(version=version):
            row.update(graph=version, versions=row["versions"] + 1)
        case VariantRegistered(node=node, name=name):
            known = _read_variants(row["variants"])
            row["variants"] = msgspec.json.encode(sorted({*known, (node, name)})).decode()
        case WorkflowArchived() | WorkflowRestored() as fact:
            row["archived"] = isinstance(fact, WorkflowArchived)
        case _:
            pass


# --- Queries ------------------------------------------------------------------------------------------


def get(connection: Connection, workflow: str) -> Workflow | None:
    row = connection.execute(select(WORKFLOWS).where(WORKFLOWS.c.name == workflow)).first()
    return None if row is None else _workflow(row)


def page(
    connection: Connection, *, archived: bool = False, limit: int = 50, cursor: str | None = None
) -> Page[Workflow]:
    """Workflows in order of their names, archived ones only when asked for.

    Raises `InvalidCursor` when ``cursor`` isn't the ``next_cursor`` of a page
    with the same filter, `InvalidRequest` when ``limit`` isn't positive.
    """
    check_limit(limit)
    filters = ("workflows", archived)
    query = select(WORKFLOWS).order_by(WORKFLOWS.c.name).limit(limit + 1)
    if not archived:
        query = query.where(WORKFLOWS.c.archived.is_(False))
    if cursor is not None:
        query = query.where(WORKFLOWS.c.name > key_of(cursor, filters, str))
    rows = connection.execute(query).all()
    more = cursor_after(rows[limit - 1].name, filters) if len(rows) > limit else None
    return Page(items=tuple(map(_workflow, rows[:limit])), next_cursor=more)


_read_variants = msgspec.json.Decoder(list[tuple[str, str]]).decode


def _workflow(row: Row[Any]) -> Workflow:
    return Workflow(
        name=row.name,
        description=row.description,
        archived=row.archived,
        version=row.graph,
        versions=row.versions,
        variants=len(_read_variants(row.variants)),
        first_seen=moment(row.first_seen_us),
        last_seen=moment(row.last_seen_us),
        position=row.position,
    )
