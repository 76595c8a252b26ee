"""The event store's tables in SQLite, on the `eventsourcing` library's recorder."""

import sqlite3
import threading
import time
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from eventsourcing import sqlite as library
from eventsourcing.persistence import IntegrityError, PersistenceError, StoredEvent

from wtb.domain.errors import NotAStore, StoreTooNew, StoreUnavailable
from wtb.domain.event_log import Value
from wtb.domain.identifiers import Digest
from wtb.infra.event_store.compaction import compact
from wtb.infra.event_store.index import IndexEntry
from wtb.infra.event_store.recorder import SCHEMA, Ends, RawRow, Row, row_of

EVENTS = "wtb_events"
LOCK_TIMEOUT_SECONDS = 30
CHECKPOINT_PAGES = 4000
"""SQLite copies its write-ahead log into the file, and waits for the disk, once per so many pages (4 kB each)."""
POLL_SECONDS = 0.02

_TABLES = [
    # AUTOINCREMENT: VACUUM never renumbers positions and a deleted tail's are never given again.
    f"""CREATE TABLE IF NOT EXISTS {EVENTS} (
        position INTEGER PRIMARY KEY AUTOINCREMENT,
        originator_id TEXT NOT NULL,
        originator_version INTEGER NOT NULL,
        topic TEXT NOT NULL,
        state BLOB NOT NULL,
        UNIQUE (originator_id, originator_version))""",
    """CREATE TABLE IF NOT EXISTS wtb_index (
        stream TEXT NOT NULL, scope TEXT NOT NULL, namespace TEXT NOT NULL, key TEXT NOT NULL,
        version INTEGER NOT NULL,
        PRIMARY KEY (stream, namespace, key, scope, version)) WITHOUT ROWID""",
    # Both this and the index keep a commit to few pages: what belongs together lies together.
    """CREATE TABLE IF NOT EXISTS wtb_values (
        digest TEXT PRIMARY KEY, kind TEXT NOT NULL, data BLOB NOT NULL) WITHOUT ROWID""",
    "CREATE TABLE IF NOT EXISTS wtb_meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    f"INSERT OR IGNORE INTO wtb_meta VALUES ('schema', '{SCHEMA}')",
]

_COLUMNS = "position, originator_id, originator_version, topic, state"


class _Connections:
    """Connections to one file, as many as are in use at a time.

    The library's own pool costs more than most of what is asked here, and its
    connections remember only one prepared statement each.
    """

    def __init__(self, path: Path, synchronous: str) -> None:
        self._path = path
        self._synchronous = synchronous
        self._idle: deque[sqlite3.Connection] = deque()
        self._closed = False

    def connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, check_same_thread=False, isolation_level=None, timeout=LOCK_TIMEOUT_SECONDS
        )
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={self._synchronous}")
        connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
        return connection

    def select(self, statement: str, params: Sequence[Any]) -> list[Any]:
        if self._closed:
            raise StoreUnavailable(f"{self._path} was closed", hint="Open it again; what was acknowledged is in it.")
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self.connect()
        try:
            return connection.execute(statement, params).fetchall()
        finally:
            self._idle.append(connection)

    def close(self) -> None:
        self._closed = True
        while self._idle:
            self._idle.pop().close()


class SQLiteRecorder(library.SQLiteApplicationRecorder):
    """Implements `wtb.infra.event_store.recorder.Recorder` on one SQLite file."""

    def __init__(self, path: Path, synchronous: Literal["NORMAL", "FULL"] = "NORMAL") -> None:
        _refuse_foreign_file(path)
        super().__init__(library.SQLiteDatastore(str(path), originator_id_type="text"), events_table_name=EVENTS)
        self.insert_events_statement = (
            f"INSERT INTO {EVENTS} (originator_id, originator_version, topic, state) VALUES (?,?,?,?)"
        )
        self._appended = threading.Condition()
        self._writing = threading.Lock()
        self._connections = _Connections(path, synchronous)
        with translated_errors(path):
            # One connection does all the writing: SQLite has one writer at a time anyway.
            self._writer = self._connections.connect()
            self.create_table()

    def create_table(self) -> None:
        with self._transaction() as cursor:
            for statement in _TABLES:
                cursor.execute(statement)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Cursor]:
        with self._writing:
            cursor = self._writer.cursor()
            cursor.execute("BEGIN IMMEDIATE")
            try:
                yield cursor
                cursor.execute("COMMIT")
            except BaseException:
                # Also when COMMIT itself failed, as on a full disk: the transaction would stay open.
                self._writer.rollback()
                raise

    def insert_events(
        self,
        stored_events: Sequence[StoredEvent],
        *,
        values: Mapping[Digest, Value] | None = None,
        index: Sequence[IndexEntry] = (),
        forget: Sequence[tuple[str, str, str, str]] = (),
        **_: Any,
    ) -> Sequence[int]:
        with self._transaction() as cursor:
            try:
                *most, newest = [
                    (e.originator_id, e.originator_version, e.topic, compact(e.state)) for e in stored_events
                ]
                cursor.executemany(self.insert_events_statement, most)
                cursor.execute(self.insert_events_statement, newest)
            except sqlite3.IntegrityError as conflict:
                raise IntegrityError(conflict) from conflict
            last = cursor.lastrowid or 0
            if values:
                cursor.executemany(
                    "INSERT OR IGNORE INTO wtb_values VALUES (?,?,?)", [(d, v.kind, v.data) for d, v in values.items()]
                )
            if index:
                cursor.executemany("INSERT OR REPLACE INTO wtb_index VALUES (?,?,?,?,?)", index)
            for entry in forget:
                cursor.execute(*_forgetting(entry))
        with self._appended:
            self._appended.notify_all()
        return range(last - len(stored_events) + 1, last + 1)

    def _select(self, statement: str, params: Sequence[Any] = ()) -> list[Any]:
        return self._connections.select(statement, params)

    def tail(self, stream: str) -> Row | None:
        rows = self._select(
            f"SELECT {_COLUMNS} FROM {EVENTS} WHERE originator_id=? ORDER BY originator_version DESC LIMIT 1", (stream,)
        )
        return row_of(rows[0]) if rows else None

    def read_stream(self, stream: str, after: int, limit: int | None) -> list[Row]:
        rows = self._select(
            f"SELECT {_COLUMNS} FROM {EVENTS} WHERE originator_id=? AND originator_version>? "
            "ORDER BY originator_version LIMIT ?",
            (stream, after, -1 if limit is None else limit),
        )
        return [row_of(row) for row in rows]

    def read_log(self, after: int, limit: int, topics: Sequence[str], stream: str | None) -> list[Row]:
        statement = f"SELECT {_COLUMNS} FROM {EVENTS} WHERE position>?"
        params: list[Any] = [after]
        if stream is not None:
            # The stream's own index: versions and positions rise together.
            statement, params = statement + " AND originator_id=?", [*params, stream]
        if topics:
            statement, params = statement + f" AND topic IN ({','.join('?' * len(topics))})", [*params, *topics]
        order = "originator_version" if stream is not None else "position"
        return [row_of(row) for row in self._select(f"{statement} ORDER BY {order} LIMIT ?", [*params, limit])]

    def last_position(self) -> int:
        return int(self._select(f"SELECT MAX(position) FROM {EVENTS}")[0][0] or 0)

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
            "ON e.originator_id=i.stream AND e.originator_version=i.version WHERE i.scope=?"
        )
        params: list[Any] = [scope]
        for condition, value in (
            ("i.stream=?", stream),
            ("i.namespace=?", namespace),
            ("i.key=?", key),
            ("i.key<?", before),
        ):
            if value is not None:
                statement, params = f"{statement} AND {condition}", [*params, value]
        direction = "DESC" if newest_first else "ASC"
        statement += f" ORDER BY i.key {direction}, i.version {direction} LIMIT ?"
        rows = self._select(statement, [*params, -1 if limit is None else limit])
        return [(row[0], row_of(row[1:])) for row in rows]

    def read_values(self, digests: Collection[Digest]) -> dict[Digest, Value]:
        found: dict[Digest, Value] = {}
        wanted = list(digests)
        for start in range(0, len(wanted), 900):
            some = wanted[start : start + 900]
            rows = self._select(f"SELECT * FROM wtb_values WHERE digest IN ({','.join('?' * len(some))})", some)
            found.update((row[0], Value(row[1], row[2])) for row in rows)
        return found

    def raw_log(self, after: int, through: int, limit: int) -> list[RawRow]:
        return self._select(
            f"SELECT {_COLUMNS} FROM {EVENTS} WHERE position>? AND position<=? ORDER BY position LIMIT ?",
            (after, through, limit),
        )

    def raw_stream(self, stream: str, after: int, limit: int) -> list[RawRow]:
        return self._select(
            f"SELECT {_COLUMNS} FROM {EVENTS} WHERE originator_id=? AND originator_version>? "
            "ORDER BY originator_version LIMIT ?",
            (stream, after, limit),
        )

    def raw_values(self, after: str, limit: int) -> Iterator[tuple[str, str, bytes]]:
        connection = self._connections.connect()
        try:
            yield from connection.execute(
                "SELECT digest, kind, data FROM wtb_values WHERE digest>? ORDER BY digest LIMIT ?", (after, limit)
            )
        finally:
            connection.close()

    def known(self, digests: Collection[Digest]) -> set[Digest]:
        found: set[Digest] = set()
        wanted = list(digests)
        for start in range(0, len(wanted), 900):
            some = wanted[start : start + 900]
            rows = self._select(f"SELECT digest FROM wtb_values WHERE digest IN ({','.join('?' * len(some))})", some)
            found.update(row[0] for row in rows)
        return found

    def digests(self, after: str, limit: int) -> list[Digest]:
        rows = self._select("SELECT digest FROM wtb_values WHERE digest>? ORDER BY digest LIMIT ?", (after, limit))
        return [row[0] for row in rows]

    def values_of(self, kinds: Sequence[str], digests: Collection[Digest]) -> list[Value]:
        found: list[Value] = []
        wanted = list(digests)
        for start in range(0, len(wanted), 900):
            some = wanted[start : start + 900]
            rows = self._select(
                f"SELECT kind, data FROM wtb_values WHERE digest IN ({','.join('?' * len(some))}) "
                f"AND kind IN ({','.join('?' * len(kinds))})",
                [*some, *kinds],
            )
            found.extend(Value(*row) for row in rows)
        return found

    def remove_values(self, digests: Collection[Digest], through: int, stored_events: Sequence[StoredEvent]) -> bool:
        with self._transaction() as cursor:
            cursor.execute("PRAGMA secure_delete=ON")
            if (cursor.execute(f"SELECT MAX(position) FROM {EVENTS}").fetchone()[0] or 0) != through:
                return False
            cursor.executemany("DELETE FROM wtb_values WHERE digest=?", [(digest,) for digest in digests])
            cursor.executemany(
                self.insert_events_statement,
                [(e.originator_id, e.originator_version, e.topic, compact(e.state)) for e in stored_events],
            )
        with self._appended:
            self._appended.notify_all()
        return True

    def wipe(self) -> bool:
        # Deleted rows leave their bytes in free pages, and whenever rows were moved to other pages these kept a copy.
        with self._writing:
            self._writer.execute("VACUUM")
            busy, _, _ = self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return not busy

    def ends(self) -> Ends:
        # One statement, so that both are of one moment.
        last, given = self._select(
            f"SELECT (SELECT MAX(position) FROM {EVENTS}), (SELECT seq FROM sqlite_sequence WHERE name='{EVENTS}')"
        )[0]
        return Ends(last or 0, given or 0)

    def dangling(self, limit: int) -> list[tuple[str, int]]:
        return self._select(
            f"SELECT DISTINCT i.stream, i.version FROM wtb_index i LEFT JOIN {EVENTS} e "
            "ON e.originator_id=i.stream AND e.originator_version=i.version "
            "WHERE e.position IS NULL ORDER BY i.stream, i.version LIMIT ?",
            (limit,),
        )

    def wait(self, after: int, seconds: float) -> bool:
        # Other processes' appends can only be polled for; this process's own wake at once.
        deadline = time.monotonic() + seconds
        while self.last_position() <= after:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            with self._appended:
                self._appended.wait(min(left, POLL_SECONDS))
        return True

    def close(self) -> None:
        self._writer.close()
        self._connections.close()
        self.datastore.close()


def _forgetting(entry: tuple[str, str, str, str]) -> tuple[str, list[str]]:
    conditions, params = [], []
    for column, value in zip(("stream", "scope", "namespace", "key"), entry, strict=True):
        if value != "*":
            conditions.append(f"{column}=?")
            params.append(value)
    return f"DELETE FROM wtb_index WHERE {' AND '.join(conditions)}", params


def _refuse_foreign_file(path: Path) -> None:
    """Raise rather than write into a file that is something else."""
    try:
        new = not path.exists() or path.stat().st_size == 0
        if new:
            path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as refusal:
        raise StoreUnavailable(f"can't reach {path}: {refusal}") from refusal
    if new:
        return
    try:
        with sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=LOCK_TIMEOUT_SECONDS
        ) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")}
            if tables and "wtb_meta" not in tables:
                raise NotAStore(f"{path} is an SQLite database of something else")
            schema = connection.execute("SELECT value FROM wtb_meta WHERE name='schema'").fetchone() if tables else None
    except sqlite3.OperationalError as refusal:
        raise StoreUnavailable(f"can't open {path}: {refusal}") from refusal
    except sqlite3.DatabaseError as damage:
        raise NotAStore(f"{path} is not an SQLite database, or is damaged: {damage}") from damage
    if schema and int(schema[0]) > SCHEMA:
        raise StoreTooNew(f"{path} has schema {schema[0]}; this wtb knows up to {SCHEMA}")


@contextmanager
def translated_errors(what: object) -> Iterator[None]:
    """The database's and the library's errors as WTB's; what isn't known to be damage is unavailability."""
    try:
        yield
    except (PersistenceError, sqlite3.Error) as error:
        if "malformed" in str(error) or "not a database" in str(error):
            raise NotAStore(f"{what} is damaged: {error}") from error
        raise StoreUnavailable(f"{what}: {error}") from error
