"""The database as read models use it: reads statement by statement, writes in one locked transaction."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import (
    Connection,
    Dialect,
    Engine,
    ExceptionContext,
    StaticPool,
    Table,
    Text,
    create_engine,
    event,
    make_url,
)
from sqlalchemy import exc as refusals
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL

from wtb.domain.errors import InvalidRequest, NotAStore, StoreUnavailable, WtbError

LOCK_TIMEOUT_SECONDS = 30

Columns = dict[str, Any]
"""A row as its table holds it: column to value."""


# Collated by code point, as SQLite does it: checkpoint ids sort by age.
TEXT = Text().with_variant(Text(collation="C"), "postgresql")


def engine_for(location: str, synchronous: Literal["NORMAL", "FULL"] = "NORMAL") -> Engine:
    """An engine on the store at a path, an ``sqlite:///`` URL or a ``postgresql://`` URL.

    Its connections hold no transaction, so a reader keeps nobody waiting; use
    `writing` to write. NORMAL is enough for read models: what a power cut takes
    is folded again from the log. Through it `StoreUnavailable` and `NotAStore`
    are raised in place of the driver's errors.
    """
    if location.startswith(("postgresql://", "postgres://")):
        engine = _postgres_engine(location, synchronous)
    else:
        engine = _sqlite_engine(Path(location.removeprefix("sqlite:///")).expanduser(), synchronous)
    event.listen(engine, "handle_error", _translate)
    return engine


def engine_in_memory() -> Engine:
    """An engine on an empty database of its own, with one connection: not to be used by two threads at once."""
    return _sqlite(
        create_engine("sqlite://", connect_args={"check_same_thread": False}, paramstyle="named", poolclass=StaticPool),
        "OFF",
    )


def _sqlite_engine(path: Path, synchronous: str) -> Engine:
    url = URL.create("sqlite", database=str(path))
    return _sqlite(create_engine(url, connect_args={"timeout": LOCK_TIMEOUT_SECONDS}, paramstyle="named"), synchronous)


def _sqlite(engine: Engine, synchronous: str) -> Engine:

    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None  # transactions begin below, not when the driver sees fit
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={synchronous}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # The lock comes first: a transaction that reads before it writes fails at once when another wrote meanwhile.
        if connection.get_execution_options().get("wtb_writing"):
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _postgres_engine(location: str, synchronous: str) -> Engine:
    url = make_url(location).set(drivername="postgresql+psycopg")
    commit = "on" if synchronous == "FULL" else "off"
    options = f"{url.query.get('options', '')} -c synchronous_commit={commit}".strip()
    return create_engine(url.update_query_dict({"options": options}), isolation_level="AUTOCOMMIT")


_IN_TRANSACTION: dict[str, dict[str, Any]] = {
    "sqlite": {"wtb_writing": True},
    "postgresql": {"isolation_level": "READ COMMITTED"},
}


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One transaction: all or nothing. On SQLite it is the only writer from its first moment on."""
    with engine.connect().execution_options(**_IN_TRANSACTION[engine.dialect.name]) as connection, connection.begin():
        yield connection


def put_rows(connection: Connection, table: Table, rows: Sequence[Columns]) -> None:
    """Write whole rows, each in place of the one with its primary key."""
    if not rows:
        return
    dialect = connection.dialect
    if dialect.name == "postgresql":
        rows = [_without_zeros(row) for row in rows]
    # Past SQLAlchemy's handling of parameters, which costs more than the insert: both drivers take rows as they are.
    connection.exec_driver_sql(_upsert(table, dialect), rows)


_INSERTS: dict[str, Callable[[Table], Any]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


@cache
def _upsert(table: Table, dialect: Dialect) -> str:
    insert = _INSERTS[dialect.name](table)
    replaced = {column.name: insert.excluded[column.name] for column in table.columns if not column.primary_key}
    return str(
        insert.on_conflict_do_update(index_elements=[*table.primary_key], set_=replaced).compile(dialect=dialect)
    )


def _without_zeros(row: Columns) -> Columns:
    """Postgres takes no zero character in a text, but an error's message may hold one."""
    return {
        name: value.replace("\0", "\ufffd") if isinstance(value, str) and "\0" in value else value
        for name, value in row.items()
    }


def moment(time_us: int) -> datetime:
    """Microseconds since 1970 as a time in UTC."""
    return datetime.fromtimestamp(time_us / 1_000_000, UTC)


def _translate(context: ExceptionContext) -> WtbError | None:
    """The error to raise in place of the driver's."""
    error, what = context.sqlalchemy_exception, context.original_exception
    if isinstance(error, refusals.DataError):
        return InvalidRequest(
            f"the database can't take this: {what}", hint="Ask with text that holds no zero character."
        )
    if "malformed" in str(what) or "not a database" in str(what):
        return NotAStore(f"the store is damaged: {what}")
    if isinstance(error, refusals.OperationalError):
        return StoreUnavailable(f"the store can't be read or written: {what}")
    return None
