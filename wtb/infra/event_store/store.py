"""The event store: facts in, recorded events out, over either database's recorder."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple

from eventsourcing.persistence import IntegrityError, StoredEvent

from wtb.domain.errors import StoreUnavailable, ValueMissing, VersionConflict
from wtb.domain.event_log import EMPTY_STREAM, Append, Appended, Recorded, StreamHead, Value
from wtb.domain.execution import CheckpointsDeleted
from wtb.domain.identifiers import Digest, Position, StreamName, Version
from wtb.infra.event_store import chain, codec
from wtb.infra.event_store.index import (
    CHECKPOINT_SCOPE,
    LIFECYCLE_SCOPE,
    WRITES_SCOPE,
    IndexEntry,
    entries_of,
)
from wtb.infra.event_store.recorder import Recorder, Row
from wtb.infra.event_store.sqlite import SQLiteRecorder, translated_errors
from wtb.infra.redaction import Redaction

Synchronous = Literal["NORMAL", "FULL"]


class EventStore:
    """Implements `wtb.domain.event_log.EventLog`, and finds events by index."""

    def __init__(
        self, recorder: Recorder, name: str, *, commits_at_once: bool, redaction: Redaction | None = None
    ) -> None:
        """``commits_at_once``: a commit waits for neither disk nor server, so an event loop may make it itself.

        ``redaction``: what must not be stored. Facts are redacted here; values by
        the journal that names them.
        """
        self.redaction = redaction or None
        self._recorder = recorder
        self.name = name
        self.commits_at_once = commits_at_once

    def append(self, appends: Sequence[Append]) -> list[Appended]:
        encoded = [self._encoded(append) for append in appends]
        stored = [event for each in encoded for event in each.events]
        if not stored:
            return [Appended(append.head, (), ()) for append in appends]
        values = {digest: value for append in appends for digest, value in append.values.items()}
        with translated_errors(self.name):
            try:
                positions = self._recorder.insert_events(
                    stored,
                    # Sorted, so that transactions that share values take their row locks in one order.
                    values={digest: values[digest] for digest in sorted(values)},
                    index=[entry for each in encoded for entry in each.entries],
                    forget=[lost for each in encoded for lost in each.forget],
                )
            except IntegrityError as conflict:
                first = appends[0]
                raise VersionConflict(first.stream, first.head.version) from conflict
        assert positions is not None
        given = iter(positions)
        return [Appended(each.head, [Position(next(given)) for _ in each.events], each.chains) for each in encoded]

    def made(self, append: Append) -> Appended | None:
        """Where an append ended up that may have been made unheard; None when it wasn't made."""
        encoded = self._encoded(append)
        found = self.read(append.stream, after=append.head.version, limit=len(append.facts))
        if [event.chain for event in found] != encoded.chains:
            return None
        return Appended(encoded.head, [event.position for event in found], encoded.chains)

    def _encoded(self, append: Append) -> "_Encoded":
        if self.redaction is not None:
            append = replace(append, facts=[self.redaction.fact(fact) for fact in append.facts])
        return _encode(append)

    def head(self, stream: StreamName) -> StreamHead:
        with translated_errors(self.name):
            row = self._recorder.tail(stream)
        return EMPTY_STREAM if row is None else _head(row)

    def read(self, stream: StreamName, *, after: int = 0, limit: int | None = None) -> list[Recorded]:
        with translated_errors(self.name):
            return [codec.decode(*row) for row in self._recorder.read_stream(stream, after, limit)]

    def rows(self, stream: StreamName) -> list[Row]:
        """A stream's events as they lie in the table, oldest first: what the chain is made of."""
        with translated_errors(self.name):
            return self._recorder.read_stream(stream, 0, None)

    def lifecycle(self, stream: StreamName) -> tuple[list[Recorded], StreamHead]:
        # The head first: what comes between the two reads makes the append conflict, not the decision wrong.
        head = self.head(stream)
        return [
            event
            for _, event in self.find(stream, LIFECYCLE_SCOPE, namespace="", key="")
            if event.version <= head.version
        ], head

    def log(
        self, *, after: int = 0, limit: int = 1000, types: Sequence[str] = (), stream: StreamName | None = None
    ) -> list[Recorded]:
        with translated_errors(self.name):
            rows = self._recorder.read_log(after, limit, codec.topics(types), stream)
        return [codec.decode(*row) for row in rows]

    def last_position(self) -> Position:
        with translated_errors(self.name):
            return Position(self._recorder.last_position())

    def values(self, digests: Collection[Digest]) -> dict[Digest, Value]:
        with translated_errors(self.name):
            found = self._recorder.read_values(digests)
        if gone := set(digests) - found.keys():
            raise ValueMissing(f"value {min(gone)} isn't stored in {self.name}")
        return found

    def wait(self, after: int, seconds: float) -> bool:
        with translated_errors(self.name):
            return self._recorder.wait(after, seconds)

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
    ) -> list[tuple[str, Recorded]]:
        """Indexed events as (namespace, event), in order of key and version."""
        with translated_errors(self.name):
            rows = self._recorder.find(
                stream, scope, namespace=namespace, key=key, before=before, limit=limit, newest_first=newest_first
            )
        return [(found, codec.decode(*row)) for found, row in rows]

    def close(self) -> None:
        self._recorder.close()


class _Encoded(NamedTuple):
    events: list[StoredEvent]
    chains: list[str]
    entries: list[IndexEntry]
    forget: list[tuple[str, str, str, str]]
    head: StreamHead


def _encode(append: Append) -> _Encoded:
    version, digest = append.head
    origin = codec.origin_header(append.origin)
    encoded = _Encoded([], [], [], [], append.head)
    for fact, time_us in zip(append.facts, append.times_us, strict=True):
        version = Version(version + 1)
        topic, content = codec.encode(fact, time_us, origin)
        digest = chain.link(digest, append.stream, version, topic, content)
        encoded.events.append(StoredEvent(append.stream, version, topic, b"%b\n%b" % (digest.encode(), content)))
        encoded.chains.append(digest)
        encoded.entries.extend(entries_of(append.stream, version, fact, type(fact).__name__ in codec.LIFECYCLE))
        if isinstance(fact, CheckpointsDeleted):
            encoded.forget.extend(_forgotten(append.stream, fact))
    return encoded._replace(head=StreamHead(version, digest))


def _head(row: Row) -> StreamHead:
    return StreamHead(Version(row.version), row.state[:64].decode())


def _forgotten(stream: str, fact: CheckpointsDeleted) -> list[tuple[str, str, str, str]]:
    scopes = (CHECKPOINT_SCOPE, WRITES_SCOPE)
    if fact.checkpoints is None:
        return [(stream, scope, "*", "*") for scope in scopes]
    return [(stream, scope, namespace, key) for namespace, key in fact.checkpoints for scope in scopes]


def open_store(location: str, synchronous: Synchronous = "NORMAL", *, redaction: Redaction | None = None) -> EventStore:
    """Open the store at a path, an ``sqlite:///`` URL or a ``postgresql://`` URL, making it if it's new.

    Raises `StoreUnavailable`, `NotAStore` or `StoreTooNew`.
    """
    if location.startswith(("postgresql://", "postgres://")):
        try:
            from wtb.infra.event_store.postgres import PostgresRecorder
        except ImportError as missing:
            raise StoreUnavailable(
                f"no Postgres driver: {missing}", hint="Install it with the extra: wtb[postgres]"
            ) from missing
        recorder = PostgresRecorder(location, synchronous)
        return EventStore(recorder, without_password(location), commits_at_once=False, redaction=redaction)
    path = Path(location.removeprefix("sqlite:///")).expanduser()
    at_once = synchronous == "NORMAL"
    return EventStore(SQLiteRecorder(path, synchronous), str(path), commits_at_once=at_once, redaction=redaction)


def without_password(url: str) -> str:
    """A URL that may stand in a message."""
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
