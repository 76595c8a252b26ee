"""Seals: one digest vouches for the whole log up to a position.

A seal's digest is SHA-256, in hexadecimal, over these bytes:

- the digest of the seal before it (64 hexadecimal characters; nothing for the first), and a line break;
- for each event after the position that seal goes through, up to the position this one goes through, in order
  of position: its position in decimal, a line break, its stream in UTF-8, a zero byte, its version in decimal, a
  line break, its chain digest (64 hexadecimal characters), and a line break.

No stream's name holds a zero byte, so no two logs give the same bytes. A seal
covers the seals before it like any other event, and not itself.
"""

import threading
from collections.abc import Iterable
from hashlib import sha256
from typing import NamedTuple

from wtb.domain.audit import AUDIT_STREAM, LogSealed
from wtb.domain.errors import StoreError, VersionConflict
from wtb.domain.event_log import Append, Origin, Recorded
from wtb.domain.identifiers import Position
from wtb.infra.event_store.compaction import expand
from wtb.infra.event_store.recorder import RawRow
from wtb.infra.event_store.sqlite import translated_errors
from wtb.infra.event_store.store import EventStore

INTERVAL = 10_000
"""Positions after which an ending run seals the log."""
AT_ONCE = 10 * INTERVAL
"""Positions that one seal made by an ending run covers at most, some 0.3 s of work: a long log is caught up with."""
PAGE = 2_000
CHAIN_BYTES = 64

_SEAL = LogSealed.__name__ + "@"


def opening(previous: str) -> bytes:
    """What a seal's digest begins with."""
    return f"{previous}\n".encode()


def covered(position: int, stream: str, version: int, chain: bytes) -> bytes:
    """What a seal's digest holds of one event."""
    return b"%d\n%b\0%d\n%b\n" % (position, stream.encode(), version, chain)


def is_seal(stream: str, topic: str) -> bool:
    return stream == AUDIT_STREAM and topic.startswith(_SEAL)


class Sealed(NamedTuple):
    """A seal and the event that holds it; no event for what stands before the first."""

    fact: LogSealed
    event: Recorded | None


UNSEALED = Sealed(LogSealed(through=Position(0), events=0, digest="", previous=""), None)


def last_seal(store: EventStore) -> Sealed:
    """The newest seal, or `UNSEALED`."""
    before: int = store.head(AUDIT_STREAM).version
    while before > 0:
        # Backwards, few at a time: the stream also tells of what was imported, archived and erased.
        after = max(0, before - 20)
        for event in reversed(store.read(AUDIT_STREAM, after=after, limit=before - after)):
            if isinstance(event.fact, LogSealed):
                return Sealed(event.fact, event)
        before = after
    return UNSEALED


def seal(store: EventStore, origin: Origin, time_us: int, *, at_most: int | None = None) -> LogSealed:
    """Vouch for everything that is in the log now, or for ``at_most`` positions beyond the last seal.

    When nothing has come since but seals, the last one stands. Raises
    `StoreError`, `NotAStore` for an event that is damaged.
    """
    while True:
        head = store.head(AUDIT_STREAM)
        last, _ = last_seal(store)
        through = store.last_position()
        if at_most is not None:
            through = Position(min(through, last.through + at_most))
        digest, events, others = _digest(store, last, through)
        if last.digest and not others:
            return last
        fact = LogSealed(through=through, events=events, digest=digest, previous=last.digest)
        try:
            store.append([Append(AUDIT_STREAM, head, [fact], [time_us], origin)])
        except VersionConflict:
            continue  # another seal, perhaps: it is looked at anew
        return fact


def _digest(store: EventStore, last: LogSealed, through: int) -> tuple[str, int, int]:
    """The digest over what comes after a seal, how many events it covers, and how many of them aren't seals."""
    digest = sha256(opening(last.digest))
    after, events, seals = int(last.through), 0, 0
    while rows := _page(store, after, through):
        digest.update(b"".join(_covered(rows)))
        events += len(rows)
        seals += sum(is_seal(stream, topic) for _, stream, _, topic, _ in rows)
        after = rows[-1][0]
    return digest.hexdigest(), events, events - seals


def _page(store: EventStore, after: int, through: int) -> list[RawRow]:
    with translated_errors(store.name):
        return store.recorder.raw_log(after, through, PAGE)


def _covered(rows: Iterable[RawRow]) -> Iterable[bytes]:
    for position, stream, version, _, stored in rows:
        yield covered(position, stream, version, expand(stored)[:CHAIN_BYTES])


class Sealer:
    """Seals the log as it grows, when runs end in this process."""

    def __init__(self, store: EventStore, origin: Origin) -> None:
        self._store = store
        self._origin = origin
        self._sealed = 0
        """How far the log is known to be sealed: it may be further, by others."""
        self._sealing = threading.Lock()

    def is_due(self, position: int) -> bool:
        """Whether a log that has got to a position is to be sealed; costs a comparison."""
        return position - self._sealed >= INTERVAL

    def seal(self, position: int, time_us: int) -> None:
        """Seal the log if nobody has. The run that ended is durable, so a store that fails now is told to the next."""
        if not self._sealing.acquire(blocking=False):
            return  # another run of this process is at it
        try:
            self._sealed = last_seal(self._store).fact.through
            if self.is_due(position):
                self._sealed = seal(self._store, self._origin, time_us, at_most=AT_ONCE).through
        except StoreError:
            pass
        finally:
            self._sealing.release()
