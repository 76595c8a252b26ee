"""The port to the event store, and the envelope every event travels in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple, Protocol, TypeGuard, get_args

from wtb.domain.audit import AuditFact
from wtb.domain.batch import BatchFact
from wtb.domain.execution import ExecutionFact
from wtb.domain.identifiers import Digest, Position, StreamName, Version
from wtb.domain.workflow import WorkflowFact

OfOthers = WorkflowFact | BatchFact | AuditFact
"""Facts that aren't an execution's."""

AnyFact = ExecutionFact | OfOthers
"""Whatever may stand in the log."""

_OTHERS = frozenset(get_args(OfOthers))


def is_of_execution(fact: AnyFact) -> TypeGuard[ExecutionFact]:
    """Whether a fact is an execution's. Asked of every event, so it doesn't try one class after the other."""
    return type(fact) not in _OTHERS


GENESIS = ""
"""The chain digest before a stream's first event."""


class StreamHead(NamedTuple):
    """Where a stream ends: what the next append must follow."""

    version: Version
    chain: str


EMPTY_STREAM = StreamHead(Version(0), GENESIS)


@dataclass(frozen=True, slots=True)
class Origin:
    """Who caused events and why.

    ``actor`` is a person or a program; ``cause`` what led to it (a command or
    another event); ``trace`` a W3C traceparent.
    """

    actor: str
    cause: str | None = None
    trace: str | None = None


class Value(NamedTuple):
    """A serialised value: how to read it (``kind``), and its bytes."""

    kind: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Append:
    """Facts to add to one stream, if it still ends at ``head``, with the values they name."""

    stream: StreamName
    head: StreamHead
    facts: Sequence[AnyFact]
    times_us: Sequence[int]
    """When each fact happened: microseconds since 1970, UTC."""
    origin: Origin
    values: Mapping[Digest, Value] = field(default_factory=dict)


class Appended(NamedTuple):
    """Where an append ended up: the stream's new head, each event's position and each one's chain digest."""

    head: StreamHead
    positions: Sequence[Position]
    chains: Sequence[str]


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event as it stands in the log."""

    position: Position
    stream: StreamName
    version: Version
    type: str
    fact: AnyFact
    time_us: int
    actor: str
    cause: str | None
    trace: str | None
    chain: str
    """SHA-256 over the event and the one before it in its stream, hexadecimal."""

    @property
    def time(self) -> datetime:
        return datetime.fromtimestamp(self.time_us / 1_000_000, UTC)


def recorded(append: Append, appended: Appended) -> list[Recorded]:
    """The events an append became."""
    origin = append.origin
    return [
        Recorded(
            position,
            append.stream,
            Version(append.head.version + place),
            type(fact).__name__,
            fact,
            time_us,
            origin.actor,
            origin.cause,
            origin.trace,
            chain,
        )
        for place, (fact, time_us, position, chain) in enumerate(
            zip(append.facts, append.times_us, appended.positions, appended.chains, strict=True), start=1
        )
    ]


class EventLog(Protocol):
    """An append-only log of events in streams, with the values they name.

    Promises, kept by every implementation: an append is all or none; it raises
    `VersionConflict` when a stream has moved past the expected head, and then
    nothing of it is written; what is acknowledged is durable; positions become
    visible in order and are never reused, so a reader that goes on after the
    last position it saw misses nothing.
    """

    def append(self, appends: Sequence[Append]) -> list[Appended]: ...

    def head(self, stream: StreamName) -> StreamHead:
        """Where the stream ends; `EMPTY_STREAM` when it has no events."""
        ...

    def read(self, stream: StreamName, *, after: int = 0, limit: int | None = None) -> list[Recorded]:
        """A stream's events after a version, oldest first."""
        ...

    def lifecycle(self, stream: StreamName) -> tuple[list[Recorded], StreamHead]:
        """The few events of a stream that decisions rest on, and the head they were read at."""
        ...

    def log(
        self, *, after: int = 0, limit: int = 1000, types: Sequence[str] = (), stream: StreamName | None = None
    ) -> list[Recorded]:
        """All streams' events after a position, in order of position."""
        ...

    def last_position(self) -> Position:
        """The position of the newest event; 0 when there is none."""
        ...

    def values(self, digests: Sequence[Digest]) -> dict[Digest, Value]:
        """Stored values. Raises `ValueMissing`."""
        ...

    def wait(self, after: int, seconds: float) -> bool:
        """Wait until the log has gone beyond a position; False when the time ran out."""
        ...
