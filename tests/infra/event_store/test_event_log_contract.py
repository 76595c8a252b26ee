"""What `EventLog` promises, asked of SQLite and of Postgres alike."""

import threading
from hashlib import sha256
from itertools import pairwise

import pytest

from tests.infra.event_store.given import (
    ONE,
    ORIGIN,
    SPAWN,
    TWO,
    appending,
    grow,
    outside,
    position_column,
    reasons,
    said,
    text_value,
)
from wtb.domain.errors import ValueMissing, VersionConflict
from wtb.domain.event_log import EMPTY_STREAM, GENESIS, Recorded, StreamHead, recorded
from wtb.domain.execution import (
    CheckpointSaved,
    ExecutionCompleted,
    ExecutionFact,
    ExecutionStarted,
    NodeStarted,
    PauseRequested,
    WritesSaved,
)
from wtb.domain.identifiers import (
    NULL_DIGEST,
    CheckpointId,
    Namespace,
    StreamName,
    TaskId,
    Version,
    WorkerId,
)
from wtb.infra.event_store.compaction import expand
from wtb.infra.event_store.store import EventStore, open_store

STARTED = ExecutionStarted(workflow="w", graph="g", input=NULL_DIGEST, worker=WorkerId("w1"), variants={"a": "b"})
CHECKPOINT = CheckpointSaved(
    checkpoint=CheckpointId("c1"),
    parent=None,
    namespace=Namespace(""),
    step=0,
    source="loop",
    created="2026-01-01T00:00:00+00:00",
    channels={"x": ("1", NULL_DIGEST), "y": (2, None)},
    versions_seen={"n": {"x": "1"}},
    updated=("x",),
    metadata={"step": 0},
    format=4,
)
NODE = NodeStarted(
    node="n",
    task=TaskId("t1"),
    namespace=Namespace(""),
    checkpoint=CheckpointId("c1"),
    step=1,
    attempt=1,
    path="p",
)
WRITES = WritesSaved(task=TaskId("t1"), namespace=Namespace(""), checkpoint=CheckpointId("c1"), path="p", writes=())
COMPLETED = ExecutionCompleted(duration_us=5)
RUN: list[ExecutionFact] = [STARTED, CHECKPOINT, NODE, WRITES, COMPLETED]


def positions(store: EventStore) -> list[int]:
    return [event.position for event in store.log()]


# --- Append and read -----------------------------------------------------------------------------


def test_a_stream_reads_back_in_the_order_it_was_written_with_versions_from_1(store: EventStore) -> None:
    grow(store, ONE, "a", "b")
    grow(store, TWO, "x")
    grow(store, ONE, "c")
    assert reasons(store, ONE) == ["a", "b", "c"]
    assert [event.version for event in store.read(ONE)] == [1, 2, 3]


def test_an_event_reads_back_with_all_that_was_said_about_it(store: EventStore) -> None:
    append = appending(ONE, EMPTY_STREAM, RUN)
    (appended,) = store.append([append])
    assert store.read(ONE) == recorded(append, appended)
    assert store.log() == recorded(append, appended)
    assert {(event.actor, event.cause, event.trace) for event in store.read(ONE)} == {
        (ORIGIN.actor, ORIGIN.cause, ORIGIN.trace)
    }


def test_a_reopened_store_holds_what_was_appended(store: EventStore, store_location: str) -> None:
    grow(store, ONE, "a", "b")
    before = store.log()
    again = open_store(store_location)
    assert again.log() == before
    assert again.head(ONE) == store.head(ONE)
    again.close()


def test_a_page_of_a_stream_begins_after_a_version_and_ends_at_its_limit(store: EventStore) -> None:
    grow(store, ONE, "a", "b", "c", "d")
    assert [event.version for event in store.read(ONE, after=1, limit=2)] == [2, 3]
    assert [event.version for event in store.read(ONE, after=3)] == [4]
    assert store.read(ONE, after=4) == []
    assert store.read(StreamName("nobody")) == []


def test_the_head_is_where_the_stream_ends_and_empty_before_its_first_event(store: EventStore) -> None:
    assert store.head(ONE) == EMPTY_STREAM
    appended = grow(store, ONE, "a", "b")
    assert store.head(ONE) == appended.head
    assert appended.head == StreamHead(Version(2), appended.chains[-1])
    assert store.head(TWO) == EMPTY_STREAM


def test_an_append_of_nothing_writes_nothing(store: EventStore) -> None:
    head = grow(store, ONE, "a").head
    (appended,) = store.append([appending(ONE, head, [])])
    assert appended == (head, (), ())
    assert store.last_position() == store.log()[-1].position
    assert store.append([]) == []


# --- All or none ---------------------------------------------------------------------------------


def test_an_append_over_several_streams_writes_each_with_its_values(store: EventStore) -> None:
    digest_1, value_1 = text_value("first")
    digest_2, value_2 = text_value("second")
    one, two = store.append(
        [
            appending(ONE, EMPTY_STREAM, said("a", "b"), {digest_1: value_1}),
            appending(TWO, EMPTY_STREAM, said("x"), {digest_2: value_2}),
        ]
    )
    assert (one.head, two.head) == (store.head(ONE), store.head(TWO))
    assert [*one.positions, *two.positions] == positions(store)
    assert store.values([digest_1, digest_2]) == {digest_1: value_1, digest_2: value_2}


def test_a_conflict_in_one_stream_writes_nothing_to_any(store: EventStore) -> None:
    grow(store, TWO, "first")
    before = store.log()
    digest, value = text_value("unborn")
    with pytest.raises(VersionConflict):
        store.append(
            [
                appending(ONE, EMPTY_STREAM, [STARTED, *said("a")], {digest: value}),
                appending(TWO, EMPTY_STREAM, said("late")),
            ]
        )
    assert store.log() == before
    assert store.head(ONE) == EMPTY_STREAM
    assert store.lifecycle(ONE) == ([], EMPTY_STREAM)
    with pytest.raises(ValueMissing):
        store.values([digest])


def test_only_one_of_two_writers_with_the_same_head_succeeds(store: EventStore) -> None:
    head = grow(store, ONE, "a").head
    store.append([appending(ONE, head, said("winner"))])
    with pytest.raises(VersionConflict, match="one"):
        store.append([appending(ONE, head, said("loser"))])
    with pytest.raises(VersionConflict):
        store.append([appending(ONE, head, said("loser", "and", "more"))])
    assert reasons(store, ONE) == ["a", "winner"]
    grow(store, ONE, "next")
    assert reasons(store, ONE) == ["a", "winner", "next"]


# --- Positions -----------------------------------------------------------------------------------


def test_positions_rise_over_all_streams_and_the_newest_is_the_last(store: EventStore) -> None:
    assert store.last_position() == 0
    given = [position for stream in (ONE, TWO, ONE, TWO) for position in grow(store, stream, "a", "b").positions]
    assert given[0] == 1
    assert all(before < after for before, after in pairwise(given))
    assert positions(store) == given
    assert store.last_position() == given[-1]


def test_a_conflict_takes_no_position_from_others(store: EventStore) -> None:
    grow(store, ONE, "a")
    with pytest.raises(VersionConflict):
        store.append([appending(ONE, EMPTY_STREAM, said("late"))])
    last = store.last_position()
    assert grow(store, ONE, "b").positions[0] > last


def test_positions_are_never_given_again_after_the_newest_events_were_deleted(
    store: EventStore, store_location: str
) -> None:
    head = grow(store, ONE, "a").head
    deleted = grow(store, ONE, "b", "c").positions
    with outside(store_location) as database:
        database.execute(f"DELETE FROM wtb_events WHERE {position_column(store_location)} > ?", (1,))
        database.execute("DELETE FROM wtb_index WHERE version > ?", (1,))
    (again,) = store.append([appending(ONE, head, said("d"))])
    assert again.positions[0] > deleted[-1]


def test_vacuum_renumbers_nothing(store: EventStore, store_location: str) -> None:
    for reason in "abcdef":
        grow(store, ONE, reason)
    with outside(store_location) as database:
        # A gap is what a renumbering would close.
        database.execute(f"DELETE FROM wtb_events WHERE {position_column(store_location)} IN (?, ?)", (2, 4))
        before = positions(store)
        database.execute("VACUUM")
    assert positions(store) == before == [1, 3, 5, 6]
    store.close()
    again = open_store(store_location)
    assert positions(again) == before
    assert grow(again, ONE, "g").positions[0] > 6
    again.close()


# --- The log -------------------------------------------------------------------------------------


def test_the_log_can_be_read_page_by_page_without_gap_or_repeat(store: EventStore) -> None:
    for reason in "abcde":
        grow(store, ONE, reason, reason * 2)
        grow(store, TWO, reason)
    everything = store.log()
    assert len(everything) == 15
    pages: list[Recorded] = []
    while page := store.log(after=pages[-1].position if pages else 0, limit=4):
        assert len(page) <= 4
        pages += page
    assert pages == everything


def test_the_log_can_be_narrowed_to_types_and_to_a_stream(store: EventStore) -> None:
    store.append([appending(ONE, EMPTY_STREAM, RUN), appending(TWO, EMPTY_STREAM, [*said("a"), STARTED])])
    assert [event.stream for event in store.log(types=["ExecutionStarted"])] == [ONE, TWO]
    assert [event.type for event in store.log(types=["NodeStarted", "CheckpointSaved"])] == [
        "CheckpointSaved",
        "NodeStarted",
    ]
    assert [event.type for event in store.log(stream=TWO)] == ["PauseRequested", "ExecutionStarted"]
    (started,) = store.log(stream=TWO, types=["ExecutionStarted"])
    assert (started.stream, started.version) == (TWO, 2)
    assert store.log(stream=TWO, after=started.position) == []
    assert store.log(types=["ExecutionStarted"], after=1) == [started]
    assert store.log(types=["ExecutionStarted"], limit=1) == store.log(limit=1)
    assert store.log(stream=ONE, types=["Forked"]) == []


# --- Lifecycle -----------------------------------------------------------------------------------


def test_the_lifecycle_holds_the_facts_decisions_rest_on_and_the_whole_streams_head(store: EventStore) -> None:
    (appended,) = store.append([appending(ONE, EMPTY_STREAM, [*RUN, NODE])])
    events, head = store.lifecycle(ONE)
    assert [event.fact for event in events] == [STARTED, COMPLETED]
    assert [event.version for event in events] == [1, 5]
    assert head == appended.head == store.head(ONE)
    assert store.lifecycle(TWO) == ([], EMPTY_STREAM)


def test_a_decision_can_be_appended_at_the_lifecycles_head(store: EventStore) -> None:
    store.append([appending(ONE, EMPTY_STREAM, [STARTED, CHECKPOINT, NODE])])
    _, head = store.lifecycle(ONE)
    store.append([appending(ONE, head, said("please"))])
    assert [type(event.fact) for event in store.lifecycle(ONE)[0]] == [ExecutionStarted, PauseRequested]


# --- Values --------------------------------------------------------------------------------------


def test_a_value_named_by_many_events_is_stored_once(store: EventStore, store_location: str) -> None:
    digest, value = text_value("shared")
    head = store.append([appending(ONE, EMPTY_STREAM, said("a"), {digest: value})])[0].head
    store.append(
        [
            appending(ONE, head, said("b"), {digest: value}),
            appending(TWO, EMPTY_STREAM, said("x"), {digest: value}),
        ]
    )
    assert store.values([digest]) == {digest: value}
    with outside(store_location) as database:
        assert database.execute("SELECT count(*) FROM wtb_values").fetchone()[0] == 1


def test_thousands_of_values_are_read_in_one_call(store: EventStore) -> None:
    values = dict(text_value(str(number)) for number in range(2000))
    store.append([appending(ONE, EMPTY_STREAM, said("many"), values)])
    assert store.values(list(values)) == values


def test_a_value_that_is_not_stored_is_named_in_the_refusal(store: EventStore) -> None:
    digest, value = text_value("there")
    gone, _ = text_value("gone")
    store.append([appending(ONE, EMPTY_STREAM, said("a"), {digest: value})])
    with pytest.raises(ValueMissing, match=gone):
        store.values([digest, gone])
    assert store.values([]) == {}


# --- Wait ----------------------------------------------------------------------------------------


def test_wait_returns_at_once_when_the_log_is_further_already(store: EventStore) -> None:
    grow(store, ONE, "a")
    assert store.wait(0, 0)


def test_wait_says_so_when_the_time_ran_out(store: EventStore) -> None:
    grow(store, ONE, "a")
    assert not store.wait(store.last_position(), 0.05)
    assert not store.wait(store.last_position() + 10, 0.05)


def test_wait_returns_when_another_thread_appended(store: EventStore) -> None:
    after = grow(store, ONE, "a").positions[-1]
    waited: list[bool] = []
    waiter = threading.Thread(target=lambda: waited.append(store.wait(after, 60)))
    waiter.start()
    grow(store, ONE, "b")
    waiter.join()
    assert waited == [True]
    assert reasons(store, ONE) == ["a", "b"]


def append_elsewhere(location: str) -> None:
    store = open_store(location)
    grow(store, TWO, "from elsewhere")
    store.close()


def test_wait_returns_when_another_process_appended(store: EventStore, store_location: str) -> None:
    after = grow(store, ONE, "a").positions[-1]
    other = SPAWN.Process(target=append_elsewhere, args=(store_location,))
    other.start()
    try:
        assert store.wait(after, 60)
    finally:
        other.join()
    assert reasons(store, TWO) == ["from elsewhere"]


# --- As stored -----------------------------------------------------------------------------------


def test_every_chain_digest_covers_its_event_and_the_digest_before(store: EventStore, store_location: str) -> None:
    store.append([appending(ONE, EMPTY_STREAM, RUN), appending(TWO, EMPTY_STREAM, said("a", "b"))])
    grow(store, ONE, "later")
    for stream in (ONE, TWO):
        before = GENESIS
        with outside(store_location) as database:
            rows = database.execute(
                "SELECT originator_version, topic, state FROM wtb_events WHERE originator_id=? "
                "ORDER BY originator_version",
                (stream,),
            ).fetchall()
        for version, topic, state in rows:
            digest, content = expand(bytes(state)).split(b"\n", 1)
            covered = f"{before}\n{stream}\n{version}\n{topic}\n".encode() + content
            assert digest.decode() == sha256(covered).hexdigest()
            before = digest.decode()
        assert before == store.head(stream).chain
        assert [event.chain for event in store.read(stream)][-1] == before


def test_events_are_stored_compact_and_the_long_form_still_reads_the_same(
    store: EventStore, store_location: str
) -> None:
    (appended,) = store.append([appending(ONE, EMPTY_STREAM, RUN)])
    before = store.log()
    with outside(store_location) as database:
        rows = database.execute("SELECT originator_version, state FROM wtb_events").fetchall()
        for version, state in rows:
            long = expand(bytes(state))
            assert len(bytes(state)) < len(long)
            assert long.startswith(appended.chains[version - 1].encode())
            database.execute("UPDATE wtb_events SET state=? WHERE originator_version=?", (long, version))
    assert store.log() == store.read(ONE) == before
    assert store.lifecycle(ONE)[1] == appended.head
