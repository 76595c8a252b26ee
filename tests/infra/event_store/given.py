"""What the tests of the event store begin with: appends, and the same database seen from outside."""

import multiprocessing
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import psycopg
from psycopg.sql import SQL

from wtb.domain.event_log import Append, Appended, Origin, StreamHead, Value
from wtb.domain.execution import ExecutionFact, PauseRequested
from wtb.domain.identifiers import Digest, StreamName, execution_stream
from wtb.infra.event_store.store import EventStore
from wtb.infra.event_store.values import digest_of

ONE = execution_stream("one")
TWO = execution_stream("two")
ORIGIN = Origin("tester", "a test", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")

SPAWN = multiprocessing.get_context("spawn")
"""Processes of their own, which share nothing with the test's."""


def is_postgres(location: str) -> bool:
    return location.startswith("postgres")


def said(*reasons: str) -> list[PauseRequested]:
    """Facts that tell each other apart."""
    return [PauseRequested(reason=reason) for reason in reasons]


def appending(
    stream: StreamName,
    head: StreamHead,
    facts: Sequence[ExecutionFact],
    values: Mapping[Digest, Value] | None = None,
) -> Append:
    times = range(1_700_000_000_000_000, 1_700_000_000_000_000 + len(facts))
    return Append(stream, head, facts, times, ORIGIN, values or {})


def grow(store: EventStore, stream: StreamName, *reasons: str) -> Appended:
    """Append to a stream wherever it ends."""
    (appended,) = store.append([appending(stream, store.head(stream), said(*reasons))])
    return appended


def reasons(store: EventStore, stream: StreamName) -> list[str]:
    """What a stream's facts say."""
    return [event.fact.reason for event in store.read(stream) if isinstance(event.fact, PauseRequested)]


def text_value(text: str) -> tuple[Digest, Value]:
    value = Value("text", text.encode())
    return digest_of(*value), value


class Session(Protocol):
    """A connection of `sqlite3` or `psycopg`."""

    def execute(self, query: Any, params: Any = ..., /) -> Any: ...


@contextmanager
def outside(location: str) -> Iterator[Session]:
    """The store's database by a driver of one's own; statements take ``?`` and each is committed."""
    if is_postgres(location):
        with psycopg.connect(location, autocommit=True) as session:
            yield _Numbered(session)
    else:
        connection = sqlite3.connect(location, isolation_level=None)
        try:
            yield connection
        finally:
            connection.close()


class _Numbered:
    def __init__(self, session: psycopg.Connection) -> None:
        self._session = session

    def execute(self, query: str, params: Sequence[Any] = (), /) -> Any:
        return self._session.execute(SQL(query.replace("?", "%s")), params)


def position_column(location: str) -> str:
    return "notification_id" if is_postgres(location) else "position"
