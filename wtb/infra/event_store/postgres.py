"""The event store's tables in Postgres, on the `eventsourcing` library's recorder.

The library's ``enable_db_functions`` stays off: with it a reader tailing the log
missed events, because it inserts without the table lock that makes positions
become visible in order.
"""

import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Literal

import psycopg
from eventsourcing import postgres as library
from eventsourcing.persistence import InterfaceError, OperationalError, PersistenceError, StoredEvent
from eventsourcing.utils import retry
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import tuple_row
from psycopg.sql import SQL

from wtb.domain.errors import NotAStore, StoreTooNew, StoreUnavailable
from wtb.domain.event_log import Value
from wtb.domain.identifiers import Digest
from wtb.infra.event_store.compaction import compact
from wtb.infra.event_store.index import IndexEntry
from wtb.infra.event_store.recorder import SCHEMA, Ends, RawRow, Row, row_of

EVENTS = "wtb_events"
CHANNEL = "wtb_appended"
"""Where listeners hear that events were appended."""
LISTEN_SECONDS = 0.2

_TABLES = [
    """CREATE TABLE IF NOT EXISTS wtb_index (
        stream text COLLATE "C" NOT NULL, scope text COLLATE "C" NOT NULL,
        namespace text COLLATE "C" NOT NULL, key text COLLATE "C" NOT NULL, version bigint NOT NULL,
        PRIMARY KEY (stream, namespace, key, scope, version))""",
    """CREATE TABLE IF NOT EXISTS wtb_values (
        digest text COLLATE "C" PRIMARY KEY, kind text NOT NULL, data bytea NOT NULL)""",
    "CREATE TABLE IF NOT EXISTS wtb_meta (name text PRIMARY KEY, value text NOT NULL)",
    f"INSERT INTO wtb_meta VALUES ('schema', '{SCHEMA}') ON CONFLICT DO NOTHING",
]

# All of an append in one statement: one way to the server and back, and the lock is held for its writing alone.
# Values and index entries go in before the lock is taken, in an order in which two writers can't wait for each other.
_APPEND = f"""CREATE OR REPLACE FUNCTION wtb_append(
    digests text[], kinds text[], datas bytea[],
    at_streams text[], at_scopes text[], at_namespaces text[], at_keys text[], at_versions bigint[],
    not_streams text[], not_scopes text[], not_namespaces text[], not_keys text[],
    streams text[], versions bigint[], topics text[], states bytea[], channel text)
RETURNS SETOF bigint LANGUAGE plpgsql AS $body$
BEGIN
    INSERT INTO wtb_values
        SELECT * FROM unnest(digests, kinds, datas) AS v (digest, kind, data) ORDER BY v.digest COLLATE "C"
        ON CONFLICT DO NOTHING;
    INSERT INTO wtb_index
        SELECT * FROM unnest(at_streams, at_scopes, at_namespaces, at_keys, at_versions)
            AS i (stream, scope, namespace, key, version)
            ORDER BY i.stream COLLATE "C", i.namespace COLLATE "C", i.key COLLATE "C", i.scope COLLATE "C", i.version
        ON CONFLICT DO NOTHING;
    IF cardinality(not_streams) > 0 THEN
        DELETE FROM wtb_index i USING unnest(not_streams, not_scopes, not_namespaces, not_keys)
            AS n (stream, scope, namespace, key)
            WHERE i.stream = n.stream AND i.scope = n.scope
            AND n.namespace IN (i.namespace, '*') AND n.key IN (i.key, '*');
    END IF;
    LOCK TABLE {EVENTS} IN EXCLUSIVE MODE;
    PERFORM pg_notify(channel, '');
    RETURN QUERY INSERT INTO {EVENTS} (originator_id, originator_version, topic, state)
        SELECT e.stream, e.version, e.topic, e.state FROM unnest(streams, versions, topics, states)
            WITH ORDINALITY AS e (stream, version, topic, state, place) ORDER BY e.place
        RETURNING notification_id;
END $body$"""

_CALL_APPEND = SQL(
    "SELECT * FROM wtb_append(%s::text[],%s::text[],%b::bytea[],"
    "%s::text[],%s::text[],%s::text[],%s::text[],%s::bigint[],%s::text[],%s::text[],%s::text[],%s::text[],"
    "%s::text[],%s::bigint[],%s::text[],%b::bytea[],%s)"
)

_COLUMNS = "notification_id, originator_id, originator_version, topic, state"


class _Datastore(library.PostgresDatastore):
    def __init__(self, url: str, synchronous: str) -> None:
        known = conninfo_to_dict(url)
        super().__init__(
            dbname=str(known.pop("dbname", "postgres")),
            host=str(known.pop("host", "")),
            port=str(known.pop("port", "")) or "5432",
            user=str(known.pop("user", "")),
            password=str(known.pop("password", "")),
            pool_size=2,
            max_overflow=30,
            originator_id_type="text",
        )
        commit = "on" if synchronous == "FULL" else "off"
        # search_path is part of the URL's options when a schema of one's own is wanted.
        options = f"{known.pop('options', '')} -c synchronous_commit={commit}".strip()
        assert isinstance(self.pool.kwargs, dict)
        self.pool.kwargs.update(known, options=options)
        self.schema = _schema_of(options)


def _schema_of(options: str) -> str:
    _, found, rest = options.partition("search_path=")
    return rest.split()[0].split(",")[0] if found else "public"


class PostgresRecorder(library.PostgresApplicationRecorder):
    """Implements `wtb.infra.event_store.recorder.Recorder` on one Postgres schema."""

    def __init__(self, url: str, synchronous: Literal["NORMAL", "FULL"] = "NORMAL") -> None:
        try:
            # The pool would only say that it got no connection in time; this says why, and at once.
            with psycopg.connect(url, connect_timeout=5) as opening:
                # Held until all is made: Postgres refuses those who make or replace the same thing at once.
                opening.execute("SELECT pg_advisory_xact_lock(hashtext('wtb tables'))")
                datastore = _Datastore(url, synchronous)
                super().__init__(datastore, events_table_name=EVENTS)
                self._refuse_newer()
                self.create_table()
                with self.datastore.transaction(commit=True) as cursor:
                    for statement in [*_TABLES, _APPEND]:
                        cursor.execute(SQL(statement))
        except (PersistenceError, psycopg.Error, OSError) as error:
            raise StoreUnavailable(f"can't open the Postgres store: {error}") from error
        self._appended = threading.Condition()
        self._listener: threading.Thread | None = None
        self._closed = threading.Event()

    def _refuse_newer(self) -> None:
        if self._select("SELECT to_regclass('wtb_meta')")[0][0] is None:
            return
        schema = self._select("SELECT value FROM wtb_meta WHERE name='schema'")
        if schema and int(schema[0][0]) > SCHEMA:
            raise StoreTooNew(f"the store has schema {schema[0][0]}; this wtb knows up to {SCHEMA}")
        if not schema:
            raise NotAStore("the table wtb_meta holds no schema number")

    @retry((InterfaceError, OperationalError), max_attempts=10, wait=0.2)
    def insert_events(
        self,
        stored_events: Sequence[StoredEvent],
        *,
        values: Mapping[Digest, Value] | None = None,
        index: Sequence[IndexEntry] = (),
        forget: Sequence[tuple[str, str, str, str]] = (),
        **_: Any,
    ) -> Sequence[int]:
        named = values or {}
        arguments = [
            [*named],
            [value.kind for value in named.values()],
            [value.data for value in named.values()],
            *_columns(index, 5),
            *_columns(forget, 4),
            [event.originator_id for event in stored_events],
            [event.originator_version for event in stored_events],
            [event.topic for event in stored_events],
            [compact(event.state) for event in stored_events],
            CHANNEL,
        ]
        with self.datastore.get_connection() as connection, connection.cursor(row_factory=tuple_row) as cursor:
            positions = [position for (position,) in cursor.execute(_CALL_APPEND, arguments, prepare=True)]
        with self._appended:
            self._appended.notify_all()
        return positions

    def _select(self, statement: str, params: Sequence[Any] = ()) -> list[Any]:
        with self.datastore.get_connection() as connection, connection.cursor(row_factory=tuple_row) as cursor:
            cursor.execute(SQL(statement), params, prepare=True)
            return cursor.fetchall()

    def tail(self, stream: str) -> Row | None:
        rows = self._select(
            f"SELECT {_COLUMNS} FROM {EVENTS} WHERE originator_id=%s ORDER BY originator_version DESC LIMIT 1",
            (stream,),
        )
        return row_of(rows[0]) if rows else None

    def read_stream(self, stream: str, after: int, limit: int | None) -> list[Row]:
        rows = self._select(
            f"SELECT {_COLUMNS} FROM {EVENTS} WHERE originator_id=%s AND originator_version>%s "
            "ORDER BY originator_version LIMIT %s",
            (stream, after, limit),
        )
        return [row_of(row) for row in rows]

    def read_log(self, after: int, limit: int, topics: Sequence[str], stream: str | None) -> list[Row]:
        statement = f"SELECT {_COLUMNS} FROM {EVENTS} WHERE notification_id>%s"
        params: list[Any] = [after]
        if stream is not None:
            statement, params = statement + " AND originator_id=%s", [*params, stream]
        if topics:
            statement, params = statement + " AND topic = ANY(%s)", [*params, list(topics)]
        order = "originator_version" if stream is not None else "notification_id"
        return [row_of(row) for row in self._select(f"{statement} ORDER BY {order} LIMIT %s", [*params, limit])]

    def last_position(self) -> int:
        return int(self._select(f"SELECT MAX(notification_id) FROM {EVENTS}")[0][0] or 0)

    def find(
        self,
        stream: str | None,
        scope: str,
        *,
        namespace: str | None = None,
        key: str | None = None,
        before: str | None = None,
        limit: int | None = None,
        newest_first: bool = False,
    ) -> list[tuple[str, Row]]:
        statement = (
            f"SELECT i.namespace, {_COLUMNS} FROM wtb_index i JOIN {EVENTS} e "
            # In the collation of the library's column: in any other its primary key is of no use.
            'ON e.originator_id=i.stream COLLATE "default" AND e.originator_version=i.version WHERE i.scope=%s'
        )
        params: list[Any] = [scope]
        for condition, value in (
            ("i.stream=%s", stream),
            ("i.namespace=%s", namespace),
            ("i.key=%s", key),
            ("i.key<%s", before),
        ):
            if value is not None:
                statement, params = f"{statement} AND {condition}", [*params, value]
        direction = "DESC" if newest_first else "ASC"
        statement += f" ORDER BY i.key {direction}, i.version {direction} LIMIT %s"
        return [(row[0], row_of(row[1:])) for row in self._select(statement, [*params, limit])]

    def read_values(self, digests: Collection[Digest]) -> dict[Digest, Value]:
        rows = self._select("SELECT digest, kind, data FROM wtb_values WHERE digest = ANY(%s)", [list(digests)])
        return {row[0]: Value(row[1], bytes(row[2])) for row in rows}

    def known(self, digests: Collection[Digest]) -> set[Digest]:
        return {row[0] for row in self._select("SELECT digest FROM wtb_values WHERE digest=ANY(%s)", [list(digests)])}

    def digests(self, after: str, limit: int) -> list[Digest]:
        rows = self._select("SELECT digest FROM wtb_values WHERE digest>%s ORDER BY digest LIMIT %s", (after, limit))
        return [row[0] for row in rows]

    def values_of(self, kinds: Sequence[str], digests: Collection[Digest]) -> list[Value]:
        rows = self._select(
            "SELECT kind, data FROM wtb_values WHERE digest = ANY(%s) AND kind = ANY(%s)", [list(digests), list(kinds)]
        )
        return [Value(row[0], bytes(row[1])) for row in rows]

    def remove_values(self, digests: Collection[Digest], through: int, stored_events: Sequence[StoredEvent]) -> bool:
        with self.datastore.transaction(commit=True) as cursor:
            # An append writes values first, then events. Who has begun one is waited for, who comes later waits: an
            # append that found a value here, and so didn't write it, must have told in the log who names it.
            cursor.execute(SQL("LOCK TABLE wtb_values IN SHARE ROW EXCLUSIVE MODE"))
            cursor.execute(SQL(f"LOCK TABLE {EVENTS} IN EXCLUSIVE MODE"))
            cursor.execute(SQL(f"SELECT MAX(notification_id) AS last FROM {EVENTS}"))
            row = cursor.fetchone()
            if ((row and row["last"]) or 0) != through:
                return False
            cursor.execute(SQL("DELETE FROM wtb_values WHERE digest = ANY(%s)"), [list(digests)])
            insert = SQL(f"INSERT INTO {EVENTS} (originator_id, originator_version, topic, state) VALUES (%s,%s,%s,%s)")
            for event in stored_events:
                cursor.execute(
                    insert, (event.originator_id, event.originator_version, event.topic, compact(event.state))
                )
            cursor.execute(SQL("SELECT pg_notify(%s, '')"), [CHANNEL])
        with self._appended:
            self._appended.notify_all()
        return True

    def wipe(self) -> bool:
        return False

    def raw_log(self, after: int, through: int, limit: int) -> list[RawRow]:
        return self._select(
            f"SELECT {_COLUMNS} FROM {EVENTS} WHERE notification_id>%s AND notification_id<=%s "
            "ORDER BY notification_id LIMIT %s",
            (after, through, limit),
        )

    def raw_stream(self, stream: str, after: int, limit: int) -> list[RawRow]:
        return self._select(
            f"SELECT {_COLUMNS} FROM {EVENTS} WHERE originator_id=%s AND originator_version>%s "
            "ORDER BY originator_version LIMIT %s",
            (stream, after, limit),
        )

    def raw_values(self, after: str, limit: int) -> Iterator[tuple[str, str, bytes]]:
        yield from self._select(
            "SELECT digest, kind, data FROM wtb_values WHERE digest>%s ORDER BY digest LIMIT %s", (after, limit)
        )

    def ends(self) -> Ends:
        # Conflicts leave gaps, so what the sequence has given says nothing.
        return Ends(self.last_position(), None)

    def dangling(self, limit: int) -> list[tuple[str, int]]:
        return self._select(
            f"SELECT DISTINCT i.stream, i.version FROM wtb_index i LEFT JOIN {EVENTS} e "
            "ON e.originator_id=i.stream AND e.originator_version=i.version "
            "WHERE e.notification_id IS NULL ORDER BY i.stream, i.version LIMIT %s",
            (limit,),
        )

    def wait(self, after: int, seconds: float) -> bool:
        self._listen()
        deadline = time.monotonic() + seconds
        while self.last_position() <= after:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            with self._appended:
                self._appended.wait(min(left, LISTEN_SECONDS))
        return True

    def _listen(self) -> None:
        """Be told of other processes' appends from now on."""
        with self._appended:
            if self._listener is None:
                self._listener = threading.Thread(target=self._hear, name="wtb-listen", daemon=True)
                self._listener.start()

    def _hear(self) -> None:
        while not self._closed.is_set():
            try:
                with self.datastore.get_connection() as connection:
                    connection.execute(SQL(f"LISTEN {CHANNEL}"))
                    while not self._closed.is_set():
                        for _ in connection.notifies(timeout=LISTEN_SECONDS, stop_after=1):
                            with self._appended:
                                self._appended.notify_all()
            except PersistenceError:
                # The server went away; `wait` still polls, and this thread listens again when it is back.
                self._closed.wait(LISTEN_SECONDS)

    def close(self) -> None:
        self._closed.set()
        if self._listener is not None:
            self._listener.join()
        self.datastore.close()


def _columns(rows: Sequence[Sequence[Any]], width: int) -> list[list[Any]]:
    """Rows turned into one array for each column."""
    return [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(width)]
