"""Variants: one row for each name that a workflow's node has another implementation under."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cache
from typing import Any, ClassVar, NamedTuple

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Integer,
    MetaData,
    Row,
    Select,
    Table,
    bindparam,
    select,
    tuple_,
)

from wtb.domain.event_log import Recorded
from wtb.domain.identifiers import Position, subject_of
from wtb.domain.workflow import VariantKind, VariantPromoted, VariantRegistered, VariantRestored, VariantRetired
from wtb.projections.database import TEXT, Columns, moment, put_rows
from wtb.projections.page import Page, check_limit, cursor_after, key_of


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """A variant as it stands at ``position``, the newest event that changed it."""

    workflow: str
    node: str
    """The node's path; ``*`` for another whole graph."""
    name: str
    kind: VariantKind
    description: str
    code: str
    """Digest of its newest revision's code."""
    reference: str | None
    """Where it can be loaded from, as ``module:attribute``."""
    promoted: bool
    """Whether it runs when nothing is chosen for the node."""
    retired: bool
    """Whether it isn't to be chosen any more."""
    revisions: int
    """How often it was registered: once, and whenever its code or what is told of it had changed."""
    registered_at: datetime
    """When it was registered first."""
    by: str
    """Who registered it first."""
    position: Position

    shown: ClassVar = ("workflow", "node", "name", "kind", "promoted", "retired", "revisions", "description")


# --- The table --------------------------------------------------------------------------------------


def define(metadata: MetaData, suffix: str = "", generation: int = 0) -> Table:
    """The table; see `executions.define`."""
    return Table(
        f"wtb_variants{suffix}",
        metadata,
        Column("workflow", TEXT, primary_key=True),
        Column("node", TEXT, primary_key=True),
        Column("name", TEXT, primary_key=True),
        Column("kind", TEXT, nullable=False),
        Column("description", TEXT, nullable=False),
        Column("code", TEXT, nullable=False),
        Column("reference", TEXT),
        Column("promoted", Boolean, nullable=False),
        Column("retired", Boolean, nullable=False),
        Column("revisions", Integer, nullable=False),
        Column("registered_us", BigInteger, nullable=False),
        Column("actor", TEXT, nullable=False),
        Column("position", BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )


VARIANTS = define(MetaData())


# --- How facts change it ------------------------------------------------------------------------------

_SEEN = frozenset((VariantRegistered, VariantPromoted, VariantRetired, VariantRestored))


class Key(NamedTuple):
    """What a row goes by."""

    workflow: str
    node: str
    name: str


class Fold:
    """Events folded into rows that are yet to be written: all those of the workflows that they are of."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._rows: dict[Key, Columns] = {}
        self._loaded: set[str] = set()

    def take(self, connection: Connection, events: Sequence[Recorded]) -> None:
        found = [event for event in events if type(event.fact) in _SEEN]
        if unknown := {subject_of(event.stream) for event in found} - self._loaded:
            self._load(connection, unknown)
        for event in found:
            workflow = subject_of(event.stream)
            match event.fact:
                case VariantRegistered() as fact:
                    key = Key(workflow, fact.node, fact.name)
                    self._rows[key] = _registered(self._rows.get(key), workflow, fact, event)
                case VariantPromoted(node=node, name=name):
                    for row in self._of_node(workflow, node):
                        if row["promoted"] != (row["name"] == name):
                            row.update(promoted=row["name"] == name, position=event.position)
                case VariantRetired(node=node, name=name) | VariantRestored(node=node, name=name):
                    known = self._rows.get(Key(workflow, node, name))
                    if known is not None:
                        known.update(retired=isinstance(event.fact, VariantRetired), position=event.position)
                case _:
                    pass

    def _of_node(self, workflow: str, node: str) -> Iterator[Columns]:
        return (row for (of, path, _), row in self._rows.items() if (of, path) == (workflow, node))

    def _load(self, connection: Connection, workflows: set[str]) -> None:
        self._loaded |= workflows
        for row in connection.execute(_of_some(self._table), {"workflows": [*workflows]}).mappings():
            self._rows[Key(row["workflow"], row["node"], row["name"])] = dict(row)

    def write(self, connection: Connection) -> None:
        put_rows(connection, self._table, [*self._rows.values()])


@cache
def _of_some(table: Table) -> Select[Any]:
    return select(table).where(table.c.workflow.in_(bindparam("workflows", expanding=True)))


def _registered(known: Columns | None, workflow: str, fact: VariantRegistered, event: Recorded) -> Columns:
    first = known or {
        "workflow": workflow,
        "node": fact.node,
        "name": fact.name,
        "promoted": False,
        "retired": False,
        "revisions": 0,
        "registered_us": event.time_us,
        "actor": event.actor,
    }
    return {
        **first,
        "kind": fact.kind,
        "description": fact.description,
        "code": fact.code,
        "reference": fact.reference,
        "revisions": first["revisions"] + 1,
        "position": event.position,
    }


# --- Queries ------------------------------------------------------------------------------------------

_KEY = (VARIANTS.c.workflow, VARIANTS.c.node, VARIANTS.c.name)


def page(
    connection: Connection,
    *,
    workflow: str | None = None,
    node: str | None = None,
    retired: bool | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[Variant]:
    """Variants, by workflow, node and name. Raises `InvalidCursor` or `InvalidRequest`."""
    check_limit(limit)
    filters = ("variants", workflow, node, retired)
    query = select(VARIANTS).order_by(*_KEY).limit(limit + 1)
    if workflow is not None:
        query = query.where(VARIANTS.c.workflow == workflow)
    if node is not None:
        query = query.where(VARIANTS.c.node == node)
    if retired is not None:
        query = query.where(VARIANTS.c.retired == retired)
    if cursor is not None:
        query = query.where(tuple_(*_KEY) > tuple_(*key_of(cursor, filters, Key)))
    rows = connection.execute(query).all()
    more = None
    if len(rows) > limit:
        last = rows[limit - 1]
        more = cursor_after(Key(last.workflow, last.node, last.name), filters)
    return Page(items=tuple(map(_variant, rows[:limit])), next_cursor=more)


def get(connection: Connection, workflow: str, node: str, name: str) -> Variant | None:
    query = select(VARIANTS).where(tuple_(*_KEY) == tuple_(workflow, node, name))
    row = connection.execute(query).first()
    return None if row is None else _variant(row)


def workflows(connection: Connection, node: str, name: str | None) -> tuple[str, ...]:
    """The workflows whose node has a variant of that name, or any."""
    query = select(VARIANTS.c.workflow).where(VARIANTS.c.node == node).distinct().order_by(VARIANTS.c.workflow)
    if name is not None:
        query = query.where(VARIANTS.c.name == name)
    return tuple(connection.execute(query).scalars())


def _variant(row: Row[Any]) -> Variant:
    return Variant(
        workflow=row.workflow,
        node=row.node,
        name=row.name,
        kind=row.kind,
        description=row.description,
        code=row.code,
        reference=row.reference,
        promoted=row.promoted,
        retired=row.retired,
        revisions=row.revisions,
        registered_at=moment(row.registered_us),
        by=row.actor,
        position=row.position,
    )
