"""A full disk, a lock, a damaged or foreign file: a typed error, nothing acknowledged lost, and then it works again."""

import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from tests.infra.event_store.given import ONE, SPAWN, TWO, appending, grow, outside, reasons, said, text_value
from wtb.domain.errors import NotAStore, StoreTooNew, StoreUnavailable, UnknownEvent, ValueMissing
from wtb.infra.event_store import sqlite
from wtb.infra.event_store.store import EventStore, open_store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "wtb.db"


def append_until_refused(store: EventStore) -> list[str]:
    """Append events with values of some size until the store refuses; what was acknowledged."""
    acknowledged: list[str] = []
    while True:
        reason = f"event {len(acknowledged)}"
        values = dict([text_value(os.urandom(10_000).hex())])
        try:
            store.append([appending(ONE, store.head(ONE), said(reason), values)])
        except StoreUnavailable:
            return acknowledged
        acknowledged.append(reason)


def assert_sound(path: Path) -> None:
    with outside(str(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


# --- No room -------------------------------------------------------------------------------------


def test_a_full_database_refuses_keeps_what_it_acknowledged_and_goes_on_when_there_is_room(path: Path) -> None:
    store = open_store(str(path))
    writer = store._recorder._writer  # type: ignore[attr-defined]
    writer.execute("PRAGMA max_page_count=60")
    acknowledged = append_until_refused(store)
    assert acknowledged
    assert reasons(store, ONE) == acknowledged
    writer.execute("PRAGMA max_page_count=100000")
    grow(store, ONE, "again")
    store.close()
    reopened = open_store(str(path))
    assert reasons(reopened, ONE) == [*acknowledged, "again"]
    assert [event.version for event in reopened.read(ONE)] == list(range(1, len(acknowledged) + 2))
    reopened.close()
    assert_sound(path)


def append_to_a_disk_that_fills_up(path: str, outcome: "Connection[object, object]") -> None:
    store = open_store(path)
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, most))
    acknowledged = append_until_refused(store)
    refused_again = append_until_refused(store)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    acknowledged += refused_again
    grow(store, ONE, "again")
    outcome.send([*acknowledged, "again"])
    # No close: nothing may hang on it.
    os._exit(0)


def test_a_file_that_can_not_grow_refuses_and_goes_on_when_it_can(path: Path) -> None:
    """The operating system refuses the write in the middle of a commit, as a full disk does."""
    here, there = SPAWN.Pipe(duplex=False)
    process = SPAWN.Process(target=append_to_a_disk_that_fills_up, args=(str(path), there))
    process.start()
    there.close()
    acknowledged = here.recv()
    process.join()
    assert len(acknowledged) > 2
    store = open_store(str(path))
    assert reasons(store, ONE) == acknowledged
    store.close()
    assert_sound(path)


# --- Locked --------------------------------------------------------------------------------------

HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def held_by_another_process(path: Path) -> Iterator[None]:
    """The file is locked by a process, which is killed in the end."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        try:
            yield
        finally:
            process.kill()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "LOCK_TIMEOUT_SECONDS", 0.05)


@pytest.mark.usefixtures("impatient")
def test_a_locked_file_can_be_read_refuses_appends_and_takes_them_again_when_the_lock_is_gone(path: Path) -> None:
    store = open_store(str(path))
    grow(store, ONE, "before")
    with held_by_another_process(path):
        with pytest.raises(StoreUnavailable, match="locked"):
            grow(store, ONE, "meanwhile")
        assert reasons(store, ONE) == ["before"]
        with pytest.raises(StoreUnavailable, match="locked"):
            open_store(str(path))
    grow(store, ONE, "after")
    assert reasons(store, ONE) == ["before", "after"]
    store.close()


def test_an_append_waits_for_a_writer_that_is_under_way(path: Path) -> None:
    store = open_store(str(path))
    with outside(str(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        waiting = SPAWN.Process(target=append_from_elsewhere, args=(str(path),))
        waiting.start()
        # Reads go on, and another process's opening and appending only wait.
        assert not store.wait(0, 0.5)
        other.execute("COMMIT")
        assert store.wait(0, 60)
        waiting.join()
    assert waiting.exitcode == 0
    assert reasons(store, TWO) == ["waited"]
    store.close()


def append_from_elsewhere(path: str) -> None:
    store = open_store(path)
    grow(store, TWO, "waited")
    store.close()


# --- Files that can't be used --------------------------------------------------------------------


@pytest.fixture
def shared_folder() -> Iterator[Path]:
    """A folder that users without rights may look into."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@contextmanager
def without_rights() -> Iterator[None]:
    """Root may write everything, so go on as somebody else for a while."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_a_read_only_file_is_refused_and_opens_again_when_it_may_be_written(shared_folder: Path) -> None:
    path = shared_folder / "wtb.db"
    store = open_store(str(path))
    grow(store, ONE, "kept")
    store.close()
    path.chmod(0o444)
    with without_rights(), pytest.raises(StoreUnavailable, match=r"readonly|unable to open"):
        open_store(str(path))
    path.chmod(0o644)
    store = open_store(str(path))
    assert reasons(store, ONE) == ["kept"]
    grow(store, ONE, "more")
    store.close()


@pytest.mark.parametrize(("mode", "below"), [(0o555, "wtb.db"), (0o000, "wtb.db"), (0o555, "new/wtb.db")])
def test_a_folder_that_can_not_be_written_or_entered_is_refused(shared_folder: Path, mode: int, below: str) -> None:
    folder = shared_folder / "shut"
    folder.mkdir()
    folder.chmod(mode)
    with without_rights(), pytest.raises(StoreUnavailable, match="shut"):
        open_store(str(folder / below))
    folder.chmod(0o755)
    open_store(str(folder / below)).close()


def test_folders_that_are_missing_are_made(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/some/where/wtb.db")
    grow(store, ONE, "a")
    store.close()
    assert (tmp_path / "some" / "where" / "wtb.db").exists()


def test_a_path_through_a_file_or_to_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    for path in (tmp_path / "file" / "wtb.db", tmp_path):
        with pytest.raises(StoreUnavailable, match=str(tmp_path)):
            open_store(str(path))


def test_an_sqlite_file_of_something_else_is_refused_and_left_as_it_was(path: Path) -> None:
    with sqlite3.connect(path) as foreign:
        foreign.execute("CREATE TABLE notes (text)")
    foreign.close()
    before = path.read_bytes()
    with pytest.raises(NotAStore, match="something else"):
        open_store(str(path))
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused_and_left_as_it_was(path: Path) -> None:
    path.write_text("Dear diary, " * 1000)
    before = path.read_bytes()
    with pytest.raises(NotAStore, match="not an SQLite database"):
        open_store(str(path))
    assert path.read_bytes() == before


def test_damaged_pages_are_told_as_damage(path: Path) -> None:
    store = open_store(str(path))
    for number in range(200):
        grow(store, ONE, f"{number} {os.urandom(500).hex()}")
    store.close()
    page = 4096
    sound = path.read_bytes()
    assert len(sound) > 20 * page
    # The first pages, with the schema and the tables' roots, stay whole: the damage shows when events are read.
    path.write_bytes(sound[: 12 * page] + b"\xff" * (len(sound) - 12 * page))
    damaged = open_store(str(path))
    with pytest.raises(NotAStore, match="damaged"):
        damaged.read(ONE)
    damaged.close()
    path.write_bytes(sound)
    restored = open_store(str(path))
    assert len(restored.read(ONE)) == 200
    restored.close()


# --- Both back ends ------------------------------------------------------------------------------


def test_a_store_of_a_later_wtb_is_refused_and_left_as_it_was(store: EventStore, store_location: str) -> None:
    grow(store, ONE, "a")
    with outside(store_location) as database:
        database.execute("UPDATE wtb_meta SET value='2' WHERE name='schema'")
        with pytest.raises(StoreTooNew, match="schema 2"):
            open_store(store_location)
        assert database.execute("SELECT value FROM wtb_meta WHERE name='schema'").fetchone()[0] == "2"
        database.execute("UPDATE wtb_meta SET value='1' WHERE name='schema'")
    again = open_store(store_location)
    assert reasons(again, ONE) == ["a"]
    again.close()


@pytest.mark.parametrize("damage", [b"", b"\x01", b"\x01not zstd", b"no lines", b"chain\n{}\n{}", b"chain\nheader\n{}"])
def test_a_damaged_event_is_named_and_the_others_can_be_read(
    store: EventStore, store_location: str, damage: bytes
) -> None:
    grow(store, ONE, "a", "b", "c")
    with outside(store_location) as database:
        database.execute("UPDATE wtb_events SET state=? WHERE originator_version=2", (damage,))
    with pytest.raises(NotAStore, match="event"):
        store.read(ONE)
    with pytest.raises(NotAStore, match="event"):
        store.log()
    assert [event.version for event in store.read(ONE, limit=1)] == [1]
    assert [event.version for event in store.read(ONE, after=2)] == [3]


def test_an_event_of_a_later_wtb_is_unknown_and_appending_goes_on(store: EventStore, store_location: str) -> None:
    grow(store, ONE, "a", "b")
    with outside(store_location) as database:
        database.execute("UPDATE wtb_events SET topic='MoonLanded@1' WHERE originator_version=1")
    with pytest.raises(UnknownEvent, match="MoonLanded@1"):
        store.read(ONE)
    grow(store, ONE, "c")
    assert [event.version for event in store.read(ONE, after=1)] == [2, 3]


def test_an_erased_value_is_missing_and_the_others_can_be_read(store: EventStore, store_location: str) -> None:
    values = dict([text_value("kept"), text_value("erased")])
    kept, erased = values
    store.append([appending(ONE, store.head(ONE), said("a"), values)])
    with outside(store_location) as database:
        database.execute("DELETE FROM wtb_values WHERE digest=?", (erased,))
    with pytest.raises(ValueMissing, match=erased):
        store.values([kept, erased])
    assert store.values([kept]) == {kept: values[kept]}
