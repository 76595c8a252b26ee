"""Several processes append to one store at once: nothing is lost, and a reader that tails the log misses nothing."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest

from tests.infra.event_store.given import ONE, SPAWN, TWO, appending, grow, outside, said
from wtb.domain.errors import VersionConflict
from wtb.domain.event_log import Recorded
from wtb.domain.execution import PauseRequested
from wtb.domain.identifiers import StreamName, execution_stream
from wtb.infra.event_store.store import EventStore, open_store

WRITERS = 3
ROUNDS = 80

SHARED = execution_stream("shared")


def own_stream(writer: int) -> StreamName:
    return execution_stream(f"of-{writer}")


def write(location: str, writer: int) -> None:
    """Each round appends to a stream of this writer's own and to the one that all want, until it was first there."""
    store = open_store(location)
    for number in range(ROUNDS):
        grow(store, own_stream(writer), f"{writer}:{number}:own")
        while True:
            head = store.head(SHARED)
            try:
                store.append([appending(SHARED, head, said(f"{writer}:{number}:a", f"{writer}:{number}:b"))])
                break
            except VersionConflict:
                continue
    store.close()


class Tail:
    """A reader that goes on after the last position it saw."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self.seen: list[Recorded] = []

    def read(self) -> bool:
        """Read what is new; False when nothing is."""
        new = self._store.log(after=self.seen[-1].position if self.seen else 0, limit=7)
        self.seen += new
        return bool(new)

    def read_while(self, condition: Callable[[], bool]) -> None:
        while condition():
            if not self.read():
                self._store.wait(self.seen[-1].position if self.seen else 0, 0.05)
        while self.read():
            pass


def reason(event: Recorded) -> str:
    assert isinstance(event.fact, PauseRequested)
    return event.fact.reason


def test_processes_that_append_at_once_lose_nothing_and_a_tailing_reader_misses_nothing(
    store: EventStore, store_location: str
) -> None:
    writers = [SPAWN.Process(target=write, args=(store_location, number)) for number in range(WRITERS)]
    for writer in writers:
        writer.start()
    tail = Tail(store)
    tail.read_while(lambda: any(writer.is_alive() for writer in writers))
    assert [writer.exitcode for writer in writers] == [0] * WRITERS

    everything = store.log(limit=1_000_000)
    assert tail.seen == everything
    assert all(before.position < after.position for before, after in pairwise(everything))

    for number in range(WRITERS):
        own = store.read(own_stream(number))
        assert [reason(event) for event in own] == [f"{number}:{place}:own" for place in range(ROUNDS)]
        assert [event.version for event in own] == list(range(1, ROUNDS + 1))

    shared = store.read(SHARED)
    assert [event.version for event in shared] == list(range(1, 2 * WRITERS * ROUNDS + 1))
    # Each append's two events stand together, and each writer's in the order it wrote them.
    said_there = [reason(event) for event in shared]
    assert [a.removesuffix("a") for a in said_there[::2]] == [b.removesuffix("b") for b in said_there[1::2]]
    for number in range(WRITERS):
        assert [r for r in said_there if r.startswith(f"{number}:")] == [
            f"{number}:{place}:{part}" for place in range(ROUNDS) for part in "ab"
        ]


def test_threads_that_append_through_one_store_lose_nothing(store: EventStore) -> None:
    def append_to(number: int) -> None:
        for place in range(20):
            grow(store, own_stream(number), str(place))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(append_to, range(8)))
    for number in range(8):
        assert [reason(event) for event in store.read(own_stream(number))] == [str(place) for place in range(20)]
    assert len(store.log()) == 160


LATE = 7
"""The advisory lock that holds back an append to `ONE` between its insert and its commit."""


@pytest.fixture
def late_commits(postgres_url: str) -> str:
    """A Postgres store whose appends to `ONE` have their position, and can't commit while `LATE` is locked."""
    open_store(postgres_url).close()
    with outside(postgres_url) as database:
        database.execute(
            "CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN PERFORM pg_advisory_xact_lock_shared({LATE}); RETURN NEW; END $$"
        )
        database.execute(
            "CREATE TRIGGER hold AFTER INSERT ON wtb_events FOR EACH ROW "
            f"WHEN (NEW.originator_id = '{ONE}') EXECUTE FUNCTION hold()"
        )
    return postgres_url


@pytest.mark.postgres
def test_an_event_can_not_be_seen_before_one_with_a_lower_position_that_commits_later(late_commits: str) -> None:
    """What the library's ``enable_db_functions`` breaks: the reader would go on after the later position."""
    store, other = open_store(late_commits), open_store(late_commits)
    tail = Tail(store)
    grow(store, TWO, "first")
    with outside(late_commits) as database:

        def waiting(lock: str) -> bool:
            found = database.execute(
                "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = ? "
                "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
                (lock,),
            )
            return bool(found.fetchone()[0])

        database.execute(f"SELECT pg_advisory_lock({LATE})")
        late = threading.Thread(target=grow, args=(store, ONE, "late"))
        late.start()
        while not waiting("advisory"):
            pass
        quick = threading.Thread(target=grow, args=(other, TWO, "quick"))
        quick.start()
        while quick.is_alive() and not waiting("relation"):
            pass
        while tail.read():
            pass
        database.execute(f"SELECT pg_advisory_unlock({LATE})")
        late.join()
        quick.join()
    while tail.read():
        pass
    assert [reason(event) for event in tail.seen] == ["first", "late", "quick"]
    assert tail.seen == store.log()
    store.close()
    other.close()
