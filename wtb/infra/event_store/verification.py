"""The proof that a log is whole, or the first event that isn't as it was recorded."""

from collections.abc import Iterator

from wtb.domain.audit import (
    AUDIT_STREAM,
    ExecutionArchived,
    ExecutionErased,
    ExecutionImported,
    LogSealed,
)
from wtb.domain.errors import InvalidRequest, NotAStore, UnknownEvent
from wtb.domain.event_log import Recorded
from wtb.domain.identifiers import Position, StreamName, execution_stream
from wtb.infra.event_store import codec
from wtb.infra.event_store.compaction import expand
from wtb.infra.event_store.finding import Finding, Verification
from wtb.infra.event_store.log_check import LogCheck, Ranked, StoredSeal
from wtb.infra.event_store.recorder import RawRow, Recorder
from wtb.infra.event_store.sqlite import translated_errors
from wtb.infra.event_store.store import EventStore
from wtb.infra.event_store.value_check import ValueCheck

PAGE = 2_000
TOLD = 100
"""Findings that are told at most."""


def verify(store: EventStore, seal: str | None = None, *, values: bool = True) -> Verification:
    """Check everything that is in a log now: chains, positions, index, seals, and values unless told not to.

    ``seal`` is the digest of a seal that was noted elsewhere: the log must hold
    it. Others may append meanwhile; what they append isn't looked at. Raises
    `StoreError` and `InvalidRequest`.
    """
    expected = None if seal is None else _digest(seal)
    with translated_errors(store.name):
        return _verify(store.recorder, expected, ValueCheck(store.recorder) if values else None)


def _verify(recorder: Recorder, expected: str | None, values: ValueCheck | None) -> Verification:
    last, given = recorder.ends()
    if values is not None:
        values.look_at_all()
    seals = [
        StoredSeal(event.position, event.version, event.fact)
        for event in _audit_events(recorder)
        if isinstance(event.fact, LogSealed) and event.position <= last
    ]
    log = LogCheck(seals, dense=given is not None)
    after = 0
    while rows := recorder.raw_log(after, last, PAGE):
        contents = log.follow(rows)
        if values is not None:
            values.look_for(rows, contents)
        after = rows[-1][0]
    log.absence.indexed(recorder.dangling(TOLD), log.heads)
    found = [*log.absence.findings(given, last), *log.finish()]
    if values is not None:
        found += values.finish(_taken_away(recorder))
    if expected is not None and all(each.fact.digest != expected for each in seals):
        what = f"no seal has the digest {expected}: the log, or its end, isn't the one that was sealed"
        found.append((float("inf"), Finding("seal", None, None, None, None, what)))
    return Verification(
        events=log.events,
        through=Position(last),
        streams=len(log.heads),
        values=0 if values is None else values.count,
        seals=len(seals),
        sealed=seals[-1].fact.through if seals else Position(0),
        seal=seals[-1].fact.digest if seals else "",
        findings=_in_order(found),
    )


def _in_order(found: list[Ranked]) -> tuple[Finding, ...]:
    return tuple(finding for _, finding in sorted(found, key=lambda ranked: ranked[0])[:TOLD])


def verify_stream(store: EventStore, stream: StreamName) -> Verification:
    """Check one stream's chain alone. Raises `StoreError`."""
    log = LogCheck((), dense=False)
    with translated_errors(store.name):
        after = 0
        while rows := store.recorder.raw_stream(stream, after, PAGE):
            log.follow(rows)
            after = rows[-1][2]
    return Verification(
        events=log.events,
        through=Position(log.position),
        streams=len(log.heads),
        values=0,
        seals=0,
        sealed=Position(0),
        seal="",
        findings=_in_order([*log.finish(), *log.absence.findings(None, log.position)]),
    )


def _digest(seal: str) -> str:
    digest = seal.strip().lower()
    if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
        raise InvalidRequest(f"{seal!r} is no seal's digest", hint="Give the 64 hexadecimal characters of a seal.")
    return digest


def _audit_events(recorder: Recorder) -> Iterator[Recorded]:
    """The log's own events. Those that can't be read are left out: following the log tells of them."""
    after = 0
    while rows := recorder.raw_stream(AUDIT_STREAM, after, PAGE):
        for row in rows:
            event = _decoded(row)
            if event is not None:
                yield event
        after = rows[-1][2]


def _decoded(row: RawRow) -> Recorded | None:
    position, stream, version, topic, stored = row
    if not isinstance(stored, bytes):
        return None
    try:
        return codec.decode(position, stream, version, topic, expand(stored))
    except (NotAStore, UnknownEvent):
        return None


def _taken_away(recorder: Recorder) -> set[StreamName]:
    """The streams of executions whose values were archived or erased, and not brought back since."""
    gone: set[StreamName] = set()
    for event in _audit_events(recorder):
        match event.fact:
            case ExecutionArchived(execution=execution) | ExecutionErased(execution=execution):
                gone.add(execution_stream(execution))
            case ExecutionImported(execution=execution):
                gone.discard(execution_stream(execution))
            case _:
                pass
    return gone
