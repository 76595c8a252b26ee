"""The event store: facts in, recorded events out, over either database's recorder."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple

from eventsourcing.persistence import IntegrityError, StoredEvent

from wtb.domain.errors import NotAStore, StoreUnavailable, VersionConflict
from wtb.domain.event_log import EMPTY_STREAM, Append, Appended, Recorded, StreamHead, Value
from wtb.domain.execution import CheckpointsDeleted
from wtb.domain.identifiers import Digest, Position, StreamName, Version
from wtb.infra.event_store import chain, codec, loss
from wtb.infra.event_store.index import (
    CHECKPOINT_SCOPE,
    LIFECYCLE_SCOPE,
    WRITES_SCOPE,
    IndexEntry,
    entries_of,
)
from wtb.infra.event_store.parts import PARTS
from wtb.infra.event_store.recorder import Recorder, Row
from wtb.infra.event_store.sqlite import SQLiteRecorder, translated_errors
from wtb.infra.redaction import Redaction

Synchronous = Literal["NORMAL", "FULL"]

CHAIN_LINE = 65
"""Bytes of a stored event's first line."""
DIGESTS_AT_A_TIME = 10_000


class Stored(NamedTuple):
    """An event as it was stored: its topic with the schema, and chain digest, header and fact in three lines."""

    topic: str
    state: bytes


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

    @property
    def recorder(self) -> Recorder:
        """The tables themselves, for those who vouch for what lies in them or check it."""
        return self._recorder

    def append(self, appends: Sequence[Append]) -> list[Appended]:
        return self._insert(
            [self._encoded(append) for append in appends],
            {digest: value for append in appends for digest, value in append.values.items()},
        )

    def _insert(self, encoded: Sequence["_Encoded"], values: Mapping[Digest, Value]) -> list[Appended]:
        """Write encoded events and values in one transaction. Raises `VersionConflict`."""
        stored = [event for each in encoded for event in each.events]
        if not stored:
            return [Appended(each.head, (), ()) for each in encoded]
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
                first = next(each for each in encoded if each.events).events[0]
                raise VersionConflict(str(first.originator_id), first.originator_version - 1) from conflict
        assert positions is not None
        given = iter(positions)
        return [Appended(each.head, [Position(next(given)) for _ in each.events], each.chains) for each in encoded]

    def restore(
        self,
        stream: StreamName,
        stored: Sequence[Stored],
        values: Mapping[Digest, Value],
        along: Sequence[Append] = (),
    ) -> list[Appended]:
        """Write events as they were stored elsewhere, from a stream's first on, and what is appended ``along``.

        All in one transaction. Returns what `append` does, for ``along``. Raises
        `VersionConflict` when the stream has events or another append came first,
        and `NotAStore` or `UnknownEvent` for events that don't make up a chain or
        can't be read.
        """
        of_all = {digest: value for append in along for digest, value in append.values.items()}
        return self._insert([_restored(stream, stored), *map(self._encoded, along)], {**values, **of_all})[1:]

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

    def stored(self, stream: StreamName, *, after: int = 0, limit: int | None = None) -> list[Row]:
        """A stream's events after a version as they were stored, oldest first: not decoded, not upcast."""
        with translated_errors(self.name):
            return self._recorder.read_stream(stream, after, limit)

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
            raise loss.missing(self, min(gone), self.name)
        return found

    def missing(self, digests: Collection[Digest]) -> set[Digest]:
        """Those of the values that aren't stored."""
        with translated_errors(self.name):
            return set(digests) - self._recorder.known(digests)

    def every_digest(self) -> Iterator[Digest]:
        """The digests of all stored values, in order."""
        after = ""
        while True:
            with translated_errors(self.name):
                page = self._recorder.digests(after, DIGESTS_AT_A_TIME)
            if not page:
                return
            yield from page
            after = page[-1]

    def composites(self, digests: Collection[Digest]) -> list[Value]:
        """Those of the values that are made of others, as far as they are stored."""
        kinds = [kind + ending for kind in PARTS for ending in ("", "+zstd")]
        with translated_errors(self.name):
            return self._recorder.values_of(kinds, digests)

    def remove(self, digests: Collection[Digest], through: Position, note: Append) -> bool:
        """Take values out and append what says so, in one transaction, if the log still ends at a position.

        False when it doesn't, and then nothing was done. While it is at work
        nothing else is written, so what was found to be named by nobody stays so.
        """
        encoded = self._encoded(note)
        with translated_errors(self.name):
            return self._recorder.remove_values(digests, through, encoded.events)

    def wipe(self) -> bool:
        """Overwrite what was removed wherever the database still has its bytes; False where that is others' to do."""
        with translated_errors(self.name):
            return self._recorder.wipe()

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


def _restored(stream: StreamName, stored: Sequence[Stored]) -> _Encoded:
    encoded = _Encoded([], [], [], [], EMPTY_STREAM)
    found: dict[tuple[str, str, str], list[IndexEntry]] = {}
    version, digest = EMPTY_STREAM
    for topic, state in stored:
        version = Version(version + 1)
        event = codec.decode(0, stream, version, topic, state)
        digest = chain.link(digest, stream, version, topic, state[CHAIN_LINE:])
        if event.chain != digest:
            raise NotAStore(f"event {version} of stream {stream!r} doesn't follow from those before it")
        encoded.events.append(StoredEvent(stream, version, topic, state))
        encoded.chains.append(digest)
        for entry in entries_of(stream, version, event.fact, event.type in codec.LIFECYCLE):
            found.setdefault(entry[1:4], []).append(entry)
        if isinstance(event.fact, CheckpointsDeleted):
            # Only what came before is forgotten, so it can't be left to the end as with an append.
            for _, scope, namespace, key in _forgotten(stream, event.fact):
                for place in [p for p in found if p[0] == scope] if key == "*" else [(scope, namespace, key)]:
                    found.pop(place, None)
    entries = [entry for some in found.values() for entry in some]
    return encoded._replace(entries=entries, head=StreamHead(version, digest))


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
