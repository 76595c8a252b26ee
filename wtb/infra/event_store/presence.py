"""Which workers live: a worker holds a lock that its operating system or its database releases when it dies.

No heartbeats and no timeouts: a killed process is known to be dead at once, and
a slow one is never taken for dead.
"""

import os
import re
import socket
import threading
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from filelock import FileLock, Timeout
from uuid_utils import uuid7

from wtb.domain.errors import StoreUnavailable
from wtb.domain.identifiers import WorkerId


class Presence(Protocol):
    """Says which workers live, to every process that uses the same store."""

    def announce(self) -> WorkerId:
        """Be present from now on, until `close` or death; the same worker each time."""
        ...

    def is_alive(self, worker: WorkerId) -> bool: ...

    def close(self) -> None: ...


def new_worker_id() -> WorkerId:
    """Names host and process for people, and is never given twice."""
    host = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())
    return WorkerId(f"{host}.{os.getpid()}.{uuid7().hex[-12:]}")


class FilePresence:
    """Workers of a store in a file: each holds a lock on a file of its own beside it."""

    def __init__(self, store: Path) -> None:
        self._folder = store.with_name(store.name + ".workers")
        self._mine: tuple[WorkerId, FileLock] | None = None
        self._lock = threading.Lock()

    def announce(self) -> WorkerId:
        with self._lock:
            if self._mine is None:
                worker = new_worker_id()
                try:
                    self._folder.mkdir(parents=True, exist_ok=True)
                    held = FileLock(self._path(worker), thread_local=False)
                    held.acquire(timeout=0)
                except OSError as refusal:
                    raise StoreUnavailable(f"can't announce this process beside the store: {refusal}") from refusal
                self._mine = (worker, held)
            return self._mine[0]

    def is_alive(self, worker: WorkerId) -> bool:
        path = self._path(worker)
        if not path.exists():
            return False
        probe = FileLock(path, thread_local=False)
        try:
            probe.acquire(timeout=0)
        except Timeout:
            return True
        path.unlink(missing_ok=True)
        probe.release()
        return False

    def _path(self, worker: WorkerId) -> Path:
        return self._folder / (quote(worker, safe="") + ".lock")

    def close(self) -> None:
        with self._lock:
            if self._mine is not None:
                worker, held = self._mine
                self._path(worker).unlink(missing_ok=True)
                held.release()
                self._mine = None


class PostgresPresence:
    """Workers of a Postgres store: each holds an advisory lock in a session of its own.

    A worker whose session breaks counts as dead though its process may live; the
    stream's versions then keep it from writing on.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._mine: tuple[WorkerId, Any] | None = None
        self._lock = threading.Lock()

    def _connect(self) -> Any:
        import psycopg

        try:
            return psycopg.connect(self._url, autocommit=True, connect_timeout=5)
        except psycopg.Error as refusal:
            raise StoreUnavailable(f"can't reach Postgres: {refusal}") from refusal

    def announce(self) -> WorkerId:
        with self._lock:
            if self._mine is None:
                worker, session = new_worker_id(), self._connect()
                session.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", (worker,))
                self._mine = (worker, session)
            return self._mine[0]

    def is_alive(self, worker: WorkerId) -> bool:
        import psycopg

        mine = self._mine
        if mine is not None and mine[0] == worker:
            return True
        if mine is not None:
            try:
                return not _is_free(mine[1], worker)
            except psycopg.OperationalError:
                pass  # this worker's own session broke; another can be asked
        with self._connect() as session:
            return not _is_free(session, worker)

    def close(self) -> None:
        with self._lock:
            if self._mine is not None:
                self._mine[1].close()
                self._mine = None


def _is_free(session: Any, worker: WorkerId) -> bool:
    # Shared, and for this statement alone, so that those who ask keep nobody from it.
    row = session.execute("SELECT pg_try_advisory_xact_lock_shared(hashtextextended(%s, 0))", (worker,)).fetchone()
    return bool(row[0])


def open_presence(location: str) -> Presence:
    """The presence that belongs to a store's location, which `open_store` has opened."""
    if location.startswith(("postgresql://", "postgres://")):
        return PostgresPresence(location)
    return FilePresence(Path(location.removeprefix("sqlite:///")).expanduser())
