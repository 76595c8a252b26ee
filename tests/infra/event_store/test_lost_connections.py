"""A Postgres that can't be reached, or is lost in the middle: what was acknowledged stays, and nothing comes twice."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Literal
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.infra.event_store.given import (
    ONE,
    ORIGIN,
    TWO,
    Session,
    grow,
    outside,
    reasons,
    said,
    text_value,
)
from tests.infra.event_store.lossy_proxy import LossyProxy
from wtb.domain.errors import StoreUnavailable
from wtb.domain.event_log import EMPTY_STREAM, Recorded
from wtb.infra.event_store.journal import Committer, Journal
from wtb.infra.event_store.store import EventStore, open_store

pytestmark = pytest.mark.postgres


@pytest.fixture
def direct(postgres_url: str) -> Iterator[EventStore]:
    """A store whose connections nothing happens to."""
    store = open_store(postgres_url)
    yield store
    store.close()


def terminate_others(database: Session) -> None:
    """End every other session in the database, whatever it is doing."""
    database.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )


def until_it_answers(store: EventStore) -> None:
    """Ask until the store has found its server again; what it says before is that it is unavailable."""
    while True:
        try:
            store.last_position()
            return
        except StoreUnavailable:
            continue


# --- Not there -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("postgresql://somebody:secret@127.0.0.1:1/wtb", "refused"),
        ("postgresql://somebody:secret@127.0.0.1:1/wtb?no=sense", "invalid URI"),
    ],
)
def test_a_server_that_can_not_be_reached_is_refused_with_the_reason_and_without_the_password(
    url: str, why: str
) -> None:
    with pytest.raises(StoreUnavailable, match=why) as refusal:
        open_store(url)
    assert "secret" not in str(refusal.value)


def test_a_database_that_does_not_exist_is_refused_by_name(postgres_url: str) -> None:
    database = urlsplit(postgres_url).path.removeprefix("/")
    with pytest.raises(StoreUnavailable, match='database "nowhere" does not exist'):
        open_store(postgres_url.replace(database, "nowhere"))


# --- Terminated ----------------------------------------------------------------------------------


def test_after_its_sessions_were_ended_a_store_appends_and_reads_on(direct: EventStore, postgres_url: str) -> None:
    grow(direct, ONE, "before")
    with outside(postgres_url) as database:
        terminate_others(database)
        until_it_answers(direct)
        grow(direct, ONE, "after")
        head = direct.head(ONE)
        terminate_others(database)
    with outside(postgres_url) as database:
        assert database.execute("SELECT count(*) FROM wtb_events").fetchone()[0] == 2
    until_it_answers(direct)
    assert reasons(direct, ONE) == ["before", "after"]
    assert direct.head(ONE) == head


def test_a_reader_waits_on_after_its_sessions_were_ended(direct: EventStore, postgres_url: str) -> None:
    other = open_store(postgres_url)
    after = grow(direct, ONE, "before").positions[-1]
    assert not direct.wait(after, 0)
    with outside(postgres_url) as database:
        terminate_others(database)
    until_it_answers(direct)
    until_it_answers(other)
    appending = threading.Thread(target=grow, args=(other, ONE, "after"))
    appending.start()
    assert direct.wait(after, 60)
    appending.join()
    other.close()


HELD = 8
"""The advisory lock that holds back appends between their insert and their commit."""


def test_an_append_whose_session_is_ended_in_the_middle_is_made_once(direct: EventStore, postgres_url: str) -> None:
    journal, committer = Journal(ONE, EMPTY_STREAM, ORIGIN), Committer(direct, inline=False)
    for fact in said("a", "b"):
        journal.note(fact)
    with outside(postgres_url) as database, outside(postgres_url) as holder:
        database.execute(
            "CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN PERFORM pg_advisory_xact_lock_shared({HELD}); RETURN NEW; END $$"
        )
        database.execute("CREATE TRIGGER hold AFTER INSERT ON wtb_events FOR EACH STATEMENT EXECUTE FUNCTION hold()")
        holder.execute(f"SELECT pg_advisory_lock({HELD})")
        commit = threading.Thread(target=committer.commit, args=(journal,))
        commit.start()
        ended = None
        while ended is None:
            ended = database.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE NOT granted AND locktype = 'advisory'"
            ).fetchone()
        holder.execute(f"SELECT pg_advisory_unlock({HELD})")
        commit.join()
    until_it_answers(direct)
    assert reasons(direct, ONE) == ["a", "b"]
    assert journal.failure is None
    assert journal.head == direct.head(ONE)


# --- The acknowledgement is lost -----------------------------------------------------------------


@pytest.fixture
def proxy(postgres_url: str) -> Iterator[LossyProxy]:
    (folder,) = parse_qs(urlsplit(postgres_url).query)["host"]
    with LossyProxy(f"{folder}/.s.PGSQL.5432") as proxy:
        yield proxy


@pytest.fixture
def shaky(proxy: LossyProxy, postgres_url: str) -> Iterator[EventStore]:
    """The same store as `direct`, reached through the proxy."""
    database = urlsplit(postgres_url).path.removeprefix("/")
    store = open_store(f"postgresql://postgres@127.0.0.1:{proxy.port}/{database}")
    yield store
    store.close()


@pytest.mark.parametrize("lose", ["request", "answer"])
def test_a_commit_whose_outcome_is_unknown_is_made_once_and_counts_as_made(
    shaky: EventStore, direct: EventStore, proxy: LossyProxy, lose: Literal["request", "answer"]
) -> None:
    heard: list[Recorded] = []
    journal, committer = Journal(ONE, EMPTY_STREAM, ORIGIN, told=heard.extend), Committer(shaky, inline=False)
    digest, value = text_value("named")
    facts = said("a", "b", "c")
    journal.note(facts[0], {digest: value})
    journal.note(facts[1])
    proxy.lose = lose
    committer.commit(journal)
    assert proxy.lost == [lose]
    assert reasons(direct, ONE) == ["a", "b"]
    assert direct.values([digest]) == {digest: value}
    assert journal.head == direct.head(ONE)

    journal.note(facts[2])
    committer.commit(journal)
    assert reasons(direct, ONE) == ["a", "b", "c"]
    assert heard == direct.read(ONE)
    assert journal.position == direct.last_position()


async def test_journals_that_committed_together_each_find_their_own_events(
    shaky: EventStore, direct: EventStore, proxy: LossyProxy
) -> None:
    committer = Committer(shaky, inline=False)
    one, two = Journal(ONE, EMPTY_STREAM, ORIGIN), Journal(TWO, EMPTY_STREAM, ORIGIN)
    for journal, fact in zip((one, two), said("of one", "of two"), strict=True):
        journal.note(fact)
    proxy.lose = "answer"
    await asyncio.gather(committer.acommit(one), committer.acommit(two))
    assert proxy.lost == ["answer"]
    assert (reasons(direct, ONE), reasons(direct, TWO)) == (["of one"], ["of two"])
    assert (one.head, two.head) == (direct.head(ONE), direct.head(TWO))
    committer.close()


def test_own_events_are_known_again_though_others_followed_them(
    shaky: EventStore, direct: EventStore, proxy: LossyProxy
) -> None:
    admitted: list[Recorded] = []
    journal, committer = Journal(ONE, EMPTY_STREAM, ORIGIN, admit=admitted.extend), Committer(shaky, inline=False)
    mine = said("mine", "mine too")
    journal.note(mine[0])
    proxy.lose = "answer"
    proxy.meanwhile = lambda: grow(direct, ONE, "theirs")
    committer.commit(journal)
    assert reasons(direct, ONE) == ["mine", "theirs"]
    assert admitted == []
    assert journal.head.version == 1

    journal.note(mine[1])
    committer.commit(journal)
    assert reasons(direct, ONE) == ["mine", "theirs", "mine too"]
    assert [event.version for event in admitted] == [2]


def test_anothers_events_at_the_same_place_are_not_taken_for_own(
    shaky: EventStore, direct: EventStore, proxy: LossyProxy
) -> None:
    """The COMMIT never arrived, and others were quicker than the second attempt."""
    admitted: list[Recorded] = []
    journal, committer = Journal(ONE, EMPTY_STREAM, ORIGIN, admit=admitted.extend), Committer(shaky, inline=False)
    (mine,) = said("same words")
    journal.note(mine)
    proxy.lose = "request"
    proxy.meanwhile = lambda: grow(direct, ONE, "same words")
    committer.commit(journal)
    assert proxy.lost == ["request"]
    assert reasons(direct, ONE) == ["same words", "same words"]
    assert admitted == direct.read(ONE, limit=1)
    assert journal.head == direct.head(ONE)
