"""Values are taken out in one transaction with what says so, and only if nothing was written meanwhile."""

import sqlite3
import threading
from pathlib import Path

import psycopg
import pytest
from psycopg.sql import SQL

from tests.infra.event_store.given import ONE, ORIGIN, TWO, appending, grow, said, text_value
from tests.infra.event_store.test_bundle import checkpoint
from wtb.domain.audit import AUDIT_STREAM, ExecutionErased
from wtb.domain.event_log import Append
from wtb.domain.identifiers import ExecutionId
from wtb.infra.event_store import sqlite
from wtb.infra.event_store.removal import Removal
from wtb.infra.event_store.store import EventStore, open_store

A, B = text_value("a"), text_value("b")


def note(store: EventStore) -> Append:
    fact = ExecutionErased(execution=ExecutionId("one"), values=1)
    return Append(AUDIT_STREAM, store.head(AUDIT_STREAM), [fact], [0], ORIGIN)


def fill(store: EventStore) -> None:
    store.append([appending(ONE, store.head(ONE), [checkpoint("1", A[0], B[0])], dict([A, B]))])
    store.append([appending(TWO, store.head(TWO), [checkpoint("1", B[0])], dict([B]))])


def test_values_go_and_the_fact_is_noted(store: EventStore) -> None:
    fill(store)
    removal = Removal(store, [ONE], {})
    removal.catch_up()
    lost = removal.lost()
    assert (lost, removal.count(ONE, lost)) == ({A[0]}, 1)
    assert store.remove(lost, removal.position, note(store))
    assert store.missing([A[0], B[0]]) == {A[0]}
    assert [event.type for event in store.read(AUDIT_STREAM)] == ["ExecutionErased"]
    assert store.wait(removal.position, 0)


def test_nothing_goes_when_the_log_has_grown(store: EventStore) -> None:
    fill(store)
    removal = Removal(store, [ONE], {})
    removal.catch_up()
    store.append([appending(TWO, store.head(TWO), [checkpoint("2", A[0])], dict([A]))])
    assert not store.remove(removal.lost(), removal.position, note(store))
    assert (store.missing([A[0]]), store.read(AUDIT_STREAM)) == (set(), [])
    removal.catch_up()
    assert removal.lost() == set()


def test_an_empty_store_has_nothing_to_lose(store: EventStore) -> None:
    removal = Removal(store, [], {})
    removal.catch_up()
    assert (removal.position, removal.lost()) == (0, set())
    assert store.remove([], removal.position, note(store))


def test_many_values_are_paged_through(store: EventStore) -> None:
    values = [text_value(str(place)) for place in range(2500)]
    kept = [digest for digest, _ in values[::2]]
    store.append([appending(ONE, store.head(ONE), [checkpoint("1", *(d for d, _ in values))], dict(values))])
    store.append([appending(TWO, store.head(TWO), [checkpoint("1", *kept)], {})])
    removal = Removal(store, [ONE], {})
    removal.catch_up()
    assert store.remove(removal.lost(), removal.position, note(store))
    assert sorted(store.every_digest()) == sorted(kept)


@pytest.mark.postgres
def test_an_append_under_way_on_postgres_is_waited_for(postgres_url: str) -> None:
    """It found the value here and so didn't write it; only when it is done does the log say that it names it."""
    store = open_store(postgres_url)
    fill(store)
    removal = Removal(store, [ONE], {})
    removal.catch_up()
    outcome: list[bool] = []
    with psycopg.connect(postgres_url) as append, psycopg.connect(postgres_url, autocommit=True) as watching:
        append.execute(
            "INSERT INTO wtb_values VALUES (%s, %s, %s) ON CONFLICT DO NOTHING", (A[0], A[1].kind, A[1].data)
        )
        remover = threading.Thread(
            target=lambda: outcome.append(store.remove(removal.lost(), removal.position, note(store)))
        )
        remover.start()
        waiting = SQL("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'wtb_values'::regclass")
        while (watching.execute(waiting).fetchone() or (0,))[0] == 0:
            assert remover.is_alive()
        assert outcome == []
        append.execute(
            "INSERT INTO wtb_events (originator_id, originator_version, topic, state) VALUES (%s, 99, 'x', '')", (TWO,)
        )
        append.commit()
        remover.join()
    assert outcome == [False]
    assert store.missing([A[0]]) == set()
    store.close()


def test_bytes_are_wiped_from_a_file_and_left_to_the_operator_of_a_server(tmp_path: Path, postgres_url: str) -> None:
    on_file, on_server = open_store(str(tmp_path / "wtb.db")), open_store(postgres_url)
    fill(on_file)
    assert on_file.wipe()
    assert [event.type for event in on_file.read(ONE)] == ["CheckpointSaved"]
    grow(on_file, ONE, "after")
    assert not on_server.wipe()
    on_file.close()
    on_server.close()


def test_a_reader_that_holds_the_log_back_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "LOCK_TIMEOUT_SECONDS", 0.1)
    store = open_store(str(tmp_path / "wtb.db"))
    fill(store)
    reader = sqlite3.connect(tmp_path / "wtb.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM wtb_values").fetchall()
    assert not store.wipe()
    reader.close()
    assert store.wipe()
    store.close()


def test_a_value_named_by_nobody_goes(store: EventStore) -> None:
    store.append([appending(TWO, store.head(TWO), said("x"), dict([A]))])
    removal = Removal(store, [], {})
    removal.catch_up()
    assert removal.lost() == {A[0]}


def test_bytes_that_lie_in_free_pages_since_earlier_are_wiped_too(tmp_path: Path) -> None:
    secrets = [text_value(f"{place} secret " * 50) for place in range(20)]
    path = tmp_path / "wtb.db"
    store = open_store(str(path))
    store.append([appending(ONE, store.head(ONE), [checkpoint("1")], dict(secrets))])
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("PRAGMA secure_delete=OFF")
    other.execute("DELETE FROM wtb_values")
    other.close()
    assert any(b" secret " in file.read_bytes() for file in tmp_path.iterdir() if file.is_file())
    assert store.wipe()
    assert not any(b" secret " in file.read_bytes() for file in tmp_path.iterdir() if file.is_file())
    store.close()
