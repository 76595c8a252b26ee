"""A note queues, a commit makes durable; many journals share a transaction; others' events are admitted or refused."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest

from tests.infra.event_store.given import ONE, ORIGIN, TWO, grow, reasons, said
from wtb.domain.errors import ExecutionTaken, InvalidState, StoreUnavailable, VersionConflict
from wtb.domain.event_log import EMPTY_STREAM, Append, Appended, Recorded, Value
from wtb.domain.execution import ExecutionFact, PauseRequested
from wtb.domain.identifiers import Digest, StreamName, execution_stream
from wtb.infra.event_store.journal import REBASES, Committer, Journal
from wtb.infra.event_store.store import EventStore
from wtb.infra.event_store.values import read
from wtb.infra.langgraph.serializer import strict_serializer

SERDE = strict_serializer()


class WatchedStore(EventStore):
    """Counts the transactions, and lets a test hold one back."""

    def __init__(self, store: EventStore) -> None:
        super().__init__(store._recorder, store.name, commits_at_once=store.commits_at_once)
        self.sizes: list[int] = []
        self.entered = threading.Event()
        self.gate = threading.Event()
        self.gate.set()

    def append(self, appends: Sequence[Append]) -> list[Appended]:
        self.sizes.append(len(appends))
        self.entered.set()
        self.gate.wait()
        return super().append(appends)


@pytest.fixture
def watched(store: EventStore) -> WatchedStore:
    return WatchedStore(store)


@pytest.fixture
def committer(watched: WatchedStore) -> Iterator[Committer]:
    committer = Committer(watched, inline=False)
    yield committer
    committer.close()


def journal_of(stream: StreamName, *noted: str) -> Journal:
    journal = Journal(stream, EMPTY_STREAM, ORIGIN)
    note(journal, *noted)
    return journal


def note(journal: Journal, *noted: str) -> None:
    for fact in said(*noted):
        journal.note(fact)


def streams(count: int) -> list[StreamName]:
    return [execution_stream(f"e{number}") for number in range(count)]


# --- Note and commit -----------------------------------------------------------------------------


def test_a_note_only_queues_and_a_commit_writes_all_of_them_in_order(store: EventStore, committer: Committer) -> None:
    journal = journal_of(ONE, "a", "b")
    assert journal.pending
    assert store.log() == []
    committer.commit(journal)
    assert not journal.pending
    assert reasons(store, ONE) == ["a", "b"]
    note(journal, "c")
    committer.commit(journal)
    assert reasons(store, ONE) == ["a", "b", "c"]
    events = store.read(ONE)
    assert all(before.time_us <= after.time_us for before, after in pairwise(events))
    assert (journal.head, journal.position) == (store.head(ONE), events[-1].position)


def test_a_commit_of_nothing_makes_no_transaction(watched: WatchedStore, committer: Committer) -> None:
    committer.commit(journal_of(ONE))
    assert watched.sizes == []


def test_who_is_told_hears_each_event_once_and_only_when_it_is_durable(store: EventStore, committer: Committer) -> None:
    heard: list[Recorded] = []

    def told(events: Sequence[Recorded]) -> None:
        assert store.read(ONE)[-len(events) :] == events
        heard.extend(events)

    journal = Journal(ONE, EMPTY_STREAM, ORIGIN, told=told)
    for reason in "abc":
        note(journal, reason, reason * 2)
        assert heard == store.read(ONE)
        committer.commit(journal)
    assert heard == store.read(ONE)
    assert len(heard) == 6


def test_values_are_stored_with_the_next_fact(store: EventStore, committer: Committer) -> None:
    journal = journal_of(ONE)
    digest = journal.value(["long " * 100, "words " * 100], SERDE)
    committer.commit(journal)
    assert store.log() == []
    note(journal, "names it")
    committer.commit(journal)
    assert read([digest], store.values, SERDE)[digest] == ["long " * 100, "words " * 100]


# --- Group commit --------------------------------------------------------------------------------


def spin_until(condition: Callable[[], bool]) -> None:
    """The test's own time limit bounds it."""
    while not condition():
        pass


def test_who_asks_while_a_commit_is_under_way_shares_the_next_transaction(
    store: EventStore, watched: WatchedStore, committer: Committer
) -> None:
    first, *others = journals = [journal_of(stream, "a", "b") for stream in streams(10)]
    watched.gate.clear()
    with ThreadPoolExecutor(len(journals)) as threads:
        leading = threads.submit(committer.commit, first)
        watched.entered.wait()
        following = [threads.submit(committer.commit, journal) for journal in others]
        spin_until(lambda: len(committer._waiting) == len(others))
        assert not leading.done()
        assert not any(each.done() for each in following)
        watched.gate.set()
        for each in (leading, *following):
            each.result()
    assert watched.sizes == [1, 9]
    for journal in journals:
        assert reasons(store, journal.stream) == ["a", "b"]
        assert journal.head == store.head(journal.stream)
        assert journal.position == store.read(journal.stream)[-1].position


def test_what_is_noted_while_a_commit_is_under_way_waits_for_the_next(
    store: EventStore, watched: WatchedStore, committer: Committer
) -> None:
    journal = journal_of(ONE, "first")
    watched.gate.clear()
    commit = threading.Thread(target=committer.commit, args=(journal,))
    commit.start()
    watched.entered.wait()
    note(journal, "second")
    watched.gate.set()
    commit.join()
    assert reasons(store, ONE) == ["first"]
    assert journal.pending
    committer.commit(journal)
    assert reasons(store, ONE) == ["first", "second"]


def test_threads_that_share_a_journal_find_their_own_notes_durable_when_their_commit_returns(
    store: EventStore, committer: Committer
) -> None:
    journal = journal_of(ONE)

    def work(worker: int) -> None:
        for number in range(10):
            note(journal, f"{worker}:{number}")
            committer.commit(journal)
            assert f"{worker}:{number}" in reasons(store, ONE)

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(work, range(6)))
    written = reasons(store, ONE)
    assert len(written) == 60
    for worker in range(6):
        assert [r for r in written if r.startswith(f"{worker}:")] == [f"{worker}:{number}" for number in range(10)]


# --- Coroutines ----------------------------------------------------------------------------------


@pytest.mark.parametrize("inline", [True, False])
async def test_coroutines_that_ask_in_the_same_turn_share_a_transaction(watched: WatchedStore, inline: bool) -> None:
    committer = Committer(watched, inline=inline)
    committer.busy = 10
    journals = [journal_of(stream, "a") for stream in streams(10)]
    await asyncio.gather(*map(committer.acommit, journals))
    assert watched.sizes == [10]
    for journal in journals:
        note(journal, "b")
    await asyncio.gather(*map(committer.acommit, journals), committer.acommit(journals[0]))
    assert watched.sizes == [10, 10]
    assert all(reasons(watched, journal.stream) == ["a", "b"] for journal in journals)
    committer.close()


async def test_a_single_execution_need_not_wait_for_the_loops_next_turn(watched: WatchedStore) -> None:
    committer = Committer(watched, inline=True)
    committer.busy = 1
    commit = committer.acommit(journal_of(ONE, "a"))
    with pytest.raises(StopIteration):
        commit.send(None)
    assert reasons(watched, ONE) == ["a"]


def test_loops_of_several_threads_share_a_committer(store: EventStore, committer: Committer) -> None:
    async def work(worker: int) -> None:
        journals = [journal_of(execution_stream(f"{worker}-{number}")) for number in range(3)]
        for number in range(5):
            for journal in journals:
                note(journal, str(number))
            await asyncio.gather(*map(committer.acommit, journals))

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda worker: asyncio.run(work(worker)), range(4)))
    for worker in range(4):
        for number in range(3):
            assert reasons(store, execution_stream(f"{worker}-{number}")) == list("01234")


# --- Others write too ----------------------------------------------------------------------------


def test_a_journal_goes_on_after_what_others_added_and_shows_it_to_admit(
    store: EventStore, committer: Committer
) -> None:
    admitted: list[Recorded] = []
    journal = Journal(ONE, EMPTY_STREAM, ORIGIN, admit=admitted.extend)
    note(journal, "mine")
    grow(store, ONE, "theirs", "theirs too")
    committer.commit(journal)
    assert reasons(store, ONE) == ["theirs", "theirs too", "mine"]
    assert admitted == store.read(ONE, limit=2)
    assert journal.head == store.head(ONE)
    note(journal, "mine again")
    committer.commit(journal)
    assert len(admitted) == 2
    assert reasons(store, ONE)[2:] == ["mine", "mine again"]


async def test_only_the_journal_that_others_overtook_is_rebased(store: EventStore, committer: Committer) -> None:
    admitted: list[Recorded] = []
    one = Journal(ONE, EMPTY_STREAM, ORIGIN, admit=admitted.extend)
    two = Journal(TWO, EMPTY_STREAM, ORIGIN, admit=admitted.extend)
    note(one, "one")
    note(two, "two")
    grow(store, TWO, "theirs")
    await asyncio.gather(committer.acommit(one), committer.acommit(two))
    assert (reasons(store, ONE), reasons(store, TWO)) == (["one"], ["theirs", "two"])
    assert [event.stream for event in admitted] == [TWO]
    assert (one.head, two.head) == (store.head(ONE), store.head(TWO))


def test_what_is_said_may_change_because_of_what_others_said(store: EventStore, committer: Committer) -> None:
    told: list[Recorded] = []

    def amend(fact: ExecutionFact) -> ExecutionFact | None:
        return None if fact == said("never")[0] else said("again")[0]

    journal = Journal(ONE, EMPTY_STREAM, ORIGIN, admit=lambda added: amend, told=told.extend)
    note(journal, "never", "mine", "never")
    grow(store, ONE, "theirs")
    committer.commit(journal)
    assert reasons(store, ONE) == ["theirs", "again"]
    assert told == store.read(ONE)
    assert (journal.head, journal.position) == (store.head(ONE), told[-1].position)


def test_when_all_is_taken_back_its_values_go_with_what_is_said_next(store: EventStore, committer: Committer) -> None:
    journal = Journal(ONE, EMPTY_STREAM, ORIGIN, admit=lambda added: lambda fact: None)
    digest = journal.value("a value", SERDE)
    note(journal, "never")
    grow(store, ONE, "theirs")
    committer.commit(journal)
    assert (reasons(store, ONE), journal.head) == (["theirs"], store.head(ONE))
    note(journal, "mine")
    committer.commit(journal)
    assert reasons(store, ONE) == ["theirs", "mine"]
    assert read({digest}, store.values, SERDE)[digest] == "a value"


def refuse(added: Sequence[Recorded]) -> None:
    raise ExecutionTaken("two", "another")


async def test_a_journal_that_is_not_admitted_fails_for_good_and_alone(store: EventStore, committer: Committer) -> None:
    one, two = journal_of(ONE, "one"), Journal(TWO, EMPTY_STREAM, ORIGIN, admit=refuse)
    note(two, "two")
    grow(store, TWO, "theirs")
    outcomes = await asyncio.gather(committer.acommit(one), committer.acommit(two), return_exceptions=True)
    assert outcomes[0] is None
    assert isinstance(outcomes[1], ExecutionTaken)
    assert (reasons(store, ONE), reasons(store, TWO)) == (["one"], ["theirs"])
    note(two, "more")
    with pytest.raises(ExecutionTaken):
        committer.commit(two)
    note(one, "goes on")
    committer.commit(one)
    assert (reasons(store, ONE), reasons(store, TWO)) == (["one", "goes on"], ["theirs"])


def test_a_journal_that_is_overtaken_again_and_again_gives_up(store: EventStore, committer: Committer) -> None:
    def be_quicker(added: Sequence[Recorded]) -> None:
        grow(store, ONE, "quicker")

    journal = Journal(ONE, EMPTY_STREAM, ORIGIN, admit=be_quicker)
    note(journal, "mine")
    grow(store, ONE, "first")
    with pytest.raises(VersionConflict):
        committer.commit(journal)
    assert reasons(store, ONE) == ["first", *["quicker"] * REBASES]


# --- What can't be stored ------------------------------------------------------------------------

UNSTORABLE = PauseRequested(reason="a lone surrogate: \udcff")


async def test_a_fact_that_can_not_be_stored_fails_its_own_journal_and_no_other(
    store: EventStore, committer: Committer
) -> None:
    fine, bad = journal_of(ONE, "fine"), journal_of(TWO, "lost with it")
    bad.note(UNSTORABLE)
    outcomes = await asyncio.gather(committer.acommit(fine), committer.acommit(bad), return_exceptions=True)
    assert outcomes[0] is None
    assert isinstance(outcomes[1], InvalidState)
    assert (reasons(store, ONE), store.read(TWO)) == (["fine"], [])
    with pytest.raises(InvalidState, match="PauseRequested"):
        committer.commit(bad)


class Crash(RuntimeError):
    """Nothing the store knows of."""


class CrashingStore(WatchedStore):
    """A defect below the journal."""

    crashes = True

    def append(self, appends: Sequence[Append]) -> list[Appended]:
        if self.crashes:
            raise Crash
        return super().append(appends)


@pytest.mark.parametrize("inline", [True, False])
async def test_after_a_crash_in_a_commit_nobody_takes_theirs_for_durable(store: EventStore, inline: bool) -> None:
    crashing = CrashingStore(store)
    committer = Committer(crashing, inline=inline)
    committer.busy = 2
    journals = [journal_of(stream, "a") for stream in streams(3)]
    outcomes = await asyncio.gather(*map(committer.acommit, journals), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [StoreUnavailable] * 3
    with pytest.raises(StoreUnavailable, match="Crash"):
        committer.commit(journals[0])
    crashing.crashes = False
    later = journal_of(ONE, "goes on")
    await committer.acommit(later)
    assert [event.stream for event in store.log()] == [ONE]
    committer.close()


def test_after_a_failure_values_are_handed_out_again(store: EventStore, committer: Committer) -> None:
    journal = Journal(TWO, EMPTY_STREAM, ORIGIN, admit=refuse)
    handed_out: dict[Digest, Value] = {}
    digest = journal.value("text", SERDE)
    journal.writer.write("text", SERDE, handed_out)
    assert handed_out == {}
    note(journal, "never written")
    grow(store, TWO, "theirs")
    with pytest.raises(ExecutionTaken):
        committer.commit(journal)
    journal.writer.write("text", SERDE, handed_out)
    assert list(handed_out) == [digest]
