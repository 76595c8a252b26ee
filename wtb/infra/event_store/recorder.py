"""What both databases' recorders offer the event store beyond the library's own."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from eventsourcing.persistence import StoredEvent

from wtb.domain.event_log import Value
from wtb.domain.identifiers import Digest
from wtb.infra.event_store.compaction import expand
from wtb.infra.event_store.index import IndexEntry

SCHEMA = 1
"""Number of the tables' layout; a store with a higher one was written by a later WTB."""


class Row(NamedTuple):
    """A stored event as it lies in the table."""

    position: int
    stream: str
    version: int
    topic: str
    state: bytes


RawRow = tuple[int, str, int, str, bytes]
"""Position, stream, version, topic and the event, as the driver hands them out: not expanded, and maybe damaged."""


class Ends(NamedTuple):
    """How far the log goes: its last position, and the last one that was ever given.

    ``given`` is None where positions may have gaps, so that neither a hole nor a
    missing end says that events are gone.
    """

    last: int
    given: int | None


class Recorder(Protocol):
    """The tables of events, values and index, written in one transaction."""

    def insert_events(
        self,
        stored_events: Sequence[StoredEvent],
        *,
        values: Mapping[Digest, Value],
        index: Sequence[IndexEntry],
        forget: Sequence[tuple[str, str, str, str]],
    ) -> Sequence[int] | None:
        """Write events, their values and their index entries, and take ``forget`` out of the index; all or none.

        Returns the events' positions. ``forget`` holds (stream, scope,
        namespace, key); "*" stands for any namespace or key.
        """
        ...

    def tail(self, stream: str) -> Row | None:
        """A stream's last event."""
        ...

    def read_stream(self, stream: str, after: int, limit: int | None) -> list[Row]: ...

    def read_log(self, after: int, limit: int, topics: Sequence[str], stream: str | None) -> list[Row]: ...

    def last_position(self) -> int: ...

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
        """Indexed events as (namespace, row), by key and version; ``before`` bounds the key from above."""
        ...

    def read_values(self, digests: Collection[Digest]) -> dict[Digest, Value]: ...

    # --- everything as it lies in the tables, for who vouches for it and who checks it

    def raw_log(self, after: int, through: int, limit: int) -> list[RawRow]:
        """All streams' events after a position up to another, in order of position."""
        ...

    def raw_stream(self, stream: str, after: int, limit: int) -> list[RawRow]:
        """A stream's events after a version, in order of version."""
        ...

    def raw_values(self, after: str, limit: int) -> Iterator[tuple[str, str, bytes]]:
        """Digest, kind and bytes of values whose digests sort after one, in order; one at a time where that saves."""
        ...

    def known(self, digests: Collection[Digest]) -> set[Digest]:
        """Which of these values are stored."""
        ...

    # --- taking values out

    def digests(self, after: str, limit: int) -> list[Digest]:
        """Digests of stored values that sort after one, in order."""
        ...

    def values_of(self, kinds: Sequence[str], digests: Collection[Digest]) -> list[Value]:
        """Those of these values that are of one of these kinds."""
        ...

    def remove_values(self, digests: Collection[Digest], through: int, stored_events: Sequence[StoredEvent]) -> bool:
        """Delete values and write events in one transaction, if no event has come after a position.

        Else nothing is done, and the answer is False. Whoever is about to
        write waits until it is over.
        """
        ...

    def wipe(self) -> bool:
        """See to it that what was deleted can't be found in the files any more; False when that can't be done here."""
        ...

    def ends(self) -> Ends: ...

    def dangling(self, limit: int) -> list[tuple[str, int]]:
        """Streams and versions that the index names and no event has."""
        ...

    def wait(self, after: int, seconds: float) -> bool: ...

    def close(self) -> None: ...


def row_of(columns: Sequence[Any]) -> Row:
    """A stored event from its columns as the drivers hand them out."""
    return Row(columns[0], columns[1], columns[2], columns[3], expand(bytes(columns[4])))
