"""What is written to a bundle and read from it into another store is the same there, byte for byte."""

from base64 import urlsafe_b64decode
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.infra.event_store.given import ONE, ORIGIN, outside, text_value
from tests.infra.event_store.test_codec import GOLDEN
from wtb.domain.errors import NotAStore, ValueMissing, VersionConflict
from wtb.domain.event_log import Append, Origin, StreamHead, Value
from wtb.domain.execution import (
    CheckpointSaved,
    CheckpointsDeleted,
    ExecutionFact,
    ExecutionPaused,
    ExecutionStarted,
    NodeStarted,
    PauseRequested,
    Question,
    RolledBack,
    Write,
    WritesSaved,
)
from wtb.domain.identifiers import CheckpointId, Digest, Namespace, TaskId, Version, WorkerId, execution_stream
from wtb.infra.event_store import bundle_reader, bundle_writer, chain
from wtb.infra.event_store.store import EventStore, Stored, open_store
from wtb.infra.event_store.values import digest_of

STARTED = ExecutionStarted(workflow="w", graph="g", input=Digest("null"), worker=WorkerId("w"))
ROOT = Namespace("")


def checkpoint(name: str, *digests: Digest, namespace: str = "", files: Digest | None = None) -> CheckpointSaved:
    return CheckpointSaved(
        checkpoint=CheckpointId(name),
        parent=None,
        namespace=Namespace(namespace),
        step=0,
        source="loop",
        created="2026-01-01T00:00:00+00:00",
        channels={f"c{place}": ("1", digest) for place, digest in enumerate(digests)},
        versions_seen={},
        updated=None,
        metadata={},
        format=4,
        files=files,
    )


def writes(name: str, *digests: Digest) -> WritesSaved:
    return WritesSaved(
        task=TaskId("t"),
        namespace=ROOT,
        checkpoint=CheckpointId(name),
        path="",
        writes=tuple(Write(channel="c", value=digest) for digest in digests),
    )


def fill(store: EventStore, *facts: ExecutionFact, values: Sequence[tuple[Digest, Value]] = ()) -> None:
    times = [1_700_000_000_000_000 + place for place in range(len(facts))]
    store.append([Append(ONE, store.head(ONE), facts, times, ORIGIN, dict(values))])


def move(store: EventStore, file: Path, to: EventStore) -> None:
    bundle_writer.write(file, store, ONE)
    content = bundle_reader.read(file)
    to.restore(ONE, content.stored, content.values)


def rows(store: EventStore) -> list[tuple[int, str, bytes]]:
    return [(row.version, row.topic, row.state) for row in store.stored(ONE)]


def index(store: EventStore) -> list[Any]:
    with outside(store.name) as session:
        return sorted(tuple(row) for row in session.execute("SELECT * FROM wtb_index").fetchall())


@pytest.fixture
def here(tmp_path: Path) -> Iterator[EventStore]:
    store = open_store(str(tmp_path / "here.db"))
    yield store
    store.close()


@pytest.fixture
def there(tmp_path: Path) -> Iterator[EventStore]:
    store = open_store(str(tmp_path / "there.db"))
    yield store
    store.close()


# --- the same there ---------------------------------------------------------------------------------


POOL = [text_value(text) for text in ("", "a", "b" * 3000, "ünï\0code")]
DIGESTS = st.sampled_from([digest for digest, _ in POOL])
NAMES = st.sampled_from(["1", "2", "3"])
FACTS: st.SearchStrategy[ExecutionFact] = st.one_of(
    st.builds(checkpoint, NAMES, DIGESTS, namespace=st.sampled_from(["", "sub:1"])),
    st.builds(writes, NAMES, DIGESTS, DIGESTS),
    st.builds(PauseRequested, reason=st.text()),
    st.builds(ExecutionPaused, reason=st.just("interrupt"), questions=st.tuples(st.builds(Question, value=DIGESTS))),
    st.just(CheckpointsDeleted(reason="thread")),
    st.builds(
        lambda name: CheckpointsDeleted(reason="prune", checkpoints=((ROOT, CheckpointId(name)),)),
        NAMES,
    ),
    st.builds(lambda name: RolledBack(to=CheckpointId(name), head=CheckpointId(name), left=CheckpointId("1")), NAMES),
    st.builds(
        NodeStarted,
        node=st.just("n"),
        task=st.just(TaskId("t")),
        namespace=st.just(ROOT),
        checkpoint=st.just(CheckpointId("1")),
        step=st.integers(-1, 9),
        attempt=st.integers(1, 9),
        path=st.text(),
    ),
)
ORIGINS = st.builds(Origin, st.text(), st.none() | st.text(), st.none() | st.text())
TIMES = st.integers(-(10**15), 10**17)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(facts=st.lists(st.tuples(FACTS, ORIGINS, TIMES), max_size=12))
def test_exported_imported_and_exported_again_gives_the_same_bytes(
    facts: list[tuple[ExecutionFact, Origin, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever the facts, whoever caused each, whenever it was."""
    folder = tmp_path_factory.mktemp("stores")
    here, there = open_store(str(folder / "here.db")), open_store(str(folder / "there.db"))
    for fact, origin, time_us in [(STARTED, ORIGIN, 0), *facts]:
        here.append([Append(ONE, here.head(ONE), [fact], [time_us], origin, dict(POOL))])
    move(here, folder / "first", there)
    assert rows(there) == rows(here)
    assert index(there) == index(here)
    bundle_writer.write(folder / "second", there, ONE)
    assert (folder / "second").read_bytes() == (folder / "first").read_bytes()
    here.close()
    there.close()


def test_events_of_every_schema_are_restored_as_they_were_stored(
    here: EventStore, there: EventStore, tmp_path: Path
) -> None:
    """Old shapes aren't lifted to today's: their digests cover what was."""
    of_the_log = ("LogSealed", "ExecutionImported", "ExecutionArchived", "ExecutionErased", "ExecutionStarted")
    topics = ["ExecutionStarted@1", *(topic for topic in GOLDEN if not topic.startswith(of_the_log))]
    digest, stored = "", []
    for version, topic in enumerate(topics, start=1):
        content = GOLDEN[topic]["text"].encode().split(b"\n", 1)[1]
        digest = chain.link(digest, ONE, version, topic, content)
        stored.append(Stored(topic, digest.encode() + b"\n" + content))
    here.restore(ONE, stored, {})
    assert [(topic, state) for _, topic, state in rows(here)] == stored
    with pytest.raises(ValueMissing):
        bundle_writer.write(tmp_path / "file", here, ONE)
    assert [*tmp_path.glob("*file*")] == []
    assert here.head(ONE) == StreamHead(Version(len(topics)), digest)


def test_values_come_along_with_all_they_are_made_of(here: EventStore, there: EventStore, tmp_path: Path) -> None:
    pieces = [text_value(f"piece {place}") for place in range(3)]
    names = [msgspec.json.encode({"report.txt": {"mode": 420, "pieces": [digest for digest, _ in pieces]}})]
    files = digest_of("files", names[0])
    element = text_value("element")
    chunk_data = urlsafe_b64decode(element[0] + "=")
    chunk = digest_of("chunk", chunk_data)
    whole_data = urlsafe_b64decode(chunk + "=")
    whole = digest_of("list", whole_data)
    values = [*pieces, (files, Value("files", names[0])), element]
    values += [(chunk, Value("chunk", chunk_data)), (whole, Value("list", whole_data)), text_value("of nobody")]
    fill(here, STARTED, checkpoint("1", whole, files=files), values=values)
    move(here, tmp_path / "file", there)
    expected = {digest for digest, _ in values[:-1]}
    assert there.values(expected) == here.values(expected)
    assert there.missing([values[-1][0]]) == {values[-1][0]}


def test_what_was_deleted_before_it_was_saved_again_is_found(
    here: EventStore, there: EventStore, tmp_path: Path
) -> None:
    fill(here, STARTED, checkpoint("1"), checkpoint("2"))
    fill(here, CheckpointsDeleted(reason="thread"))
    fill(here, checkpoint("1"))
    move(here, tmp_path / "file", there)
    assert index(there) == index(here)
    assert [event.version for _, event in there.find(ONE, "checkpoint")] == [5]


def test_events_and_what_goes_along_are_written_together_or_not_at_all(
    here: EventStore, there: EventStore, tmp_path: Path
) -> None:
    fill(here, STARTED)
    bundle_writer.write(tmp_path / "file", here, ONE)
    content = bundle_reader.read(tmp_path / "file")
    other = execution_stream("other")
    late = Append(other, StreamHead(Version(7), "x"), [PauseRequested()], [0], ORIGIN)
    there.append(
        [Append(other, StreamHead(Version(version), "x"), [PauseRequested()], [0], ORIGIN) for version in range(8)]
    )
    with pytest.raises(VersionConflict):
        there.restore(ONE, content.stored, content.values, [late])
    assert rows(there) == []


def test_events_that_make_no_chain_are_not_restored(here: EventStore, there: EventStore) -> None:
    fill(here, STARTED, PauseRequested(), PauseRequested(reason="again"))
    stored = [Stored(topic, state) for _, topic, state in rows(here)]
    for broken in (stored[1:], [stored[0], stored[2]], [*stored, stored[2]]):
        with pytest.raises(NotAStore, match="doesn't follow"):
            there.restore(ONE, broken, {})
    assert rows(there) == []


def test_a_stream_that_was_tampered_with_is_not_exported(here: EventStore, tmp_path: Path) -> None:
    fill(here, STARTED, PauseRequested(reason="lunch"))
    state = rows(here)[1][2].replace(b"lunch", b"lurch")
    with outside(here.name) as session:
        session.execute("UPDATE wtb_events SET state=? WHERE originator_version=2", (state,))
    with pytest.raises(NotAStore, match="event 2 isn't what was appended"):
        bundle_writer.write(tmp_path / "file", here, ONE)
    assert not (tmp_path / "file").exists()
