"""How far each set of read model tables has got, and by which code."""

from typing import Literal, NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Integer,
    MetaData,
    Table,
    bindparam,
    delete,
    inspect,
    select,
    text,
)

from wtb.domain.identifiers import Position
from wtb.projections.database import TEXT, put_rows

SetName = Literal["live", "rebuild"]
"""The tables that are read, and those that will take their place."""

POSITIONS = Table(
    "wtb_projections",
    MetaData(),
    Column("tables", TEXT, primary_key=True),
    Column("position", BigInteger, nullable=False),
    Column("schema", Integer, nullable=False),
    Column("generation", Integer, nullable=False),
)
"""Every wtb reads this, so its layout never changes."""


class Progress(NamedTuple):
    """A set's newest event, the schema number of the code that made it, and how many sets there were before it."""

    position: Position
    schema: int
    generation: int


def create(connection: Connection) -> None:
    """Make the table if there is none. Others that would make it wait until the transaction ends."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('wtb read models'))"))
    POSITIONS.metadata.create_all(connection)


def exist(connection: Connection) -> bool:
    return inspect(connection).has_table(POSITIONS.name)


# Made once: building a statement costs more than asking it, and every read asks this first.
_GET = select(POSITIONS.c.position, POSITIONS.c.schema, POSITIONS.c.generation).where(
    POSITIONS.c.tables == bindparam("name")
)
# SQLite has no row locks and leaves them out; there `writing` has locked the file.
_LOCK = _GET.with_for_update()


def get(connection: Connection, tables: SetName, *, lock: bool = False) -> Progress | None:
    """A set's progress; None when there is no such set. ``lock``: nobody else changes it in this transaction."""
    row = connection.execute(_LOCK if lock else _GET, {"name": tables}).first()
    return None if row is None else Progress(*row)


def put(connection: Connection, tables: SetName, progress: Progress) -> None:
    put_rows(connection, POSITIONS, [{"tables": tables, **progress._asdict()}])


def remove(connection: Connection, tables: SetName) -> None:
    connection.execute(delete(POSITIONS).where(POSITIONS.c.tables == tables))
