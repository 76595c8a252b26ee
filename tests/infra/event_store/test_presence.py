"""A worker is alive for as long as its process is, and dead the moment that is killed."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.infra.event_store.given import is_postgres, outside
from wtb.domain.errors import StoreUnavailable
from wtb.domain.identifiers import WorkerId
from wtb.infra.event_store.presence import Presence, new_worker_id, open_presence

ANNOUNCE = """
import sys
from wtb.infra.event_store.presence import open_presence
presence = open_presence(sys.argv[1])
print(presence.announce(), flush=True)
sys.stdin.readline()
presence.close()
print("closed", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def presence(store_location: str) -> Iterator[Presence]:
    presence = open_presence(store_location)
    yield presence
    presence.close()


class Worker:
    """Another process that has announced itself."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.id = WorkerId(self._says())

    def _says(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def leave(self) -> None:
        """Close its presence, though the process lives on."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        assert self._says() == "closed"

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def other_process(location: str) -> Iterator[Worker]:
    with subprocess.Popen(
        [sys.executable, "-c", ANNOUNCE, location], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Worker(process)
        finally:
            process.kill()


def until_dead(presence: Presence, worker: WorkerId) -> None:
    """A Postgres server notices only a moment later that a client is gone; the test's own time limit bounds it."""
    while presence.is_alive(worker):
        pass


def test_a_process_is_alive_until_it_is_killed_and_never_again(presence: Presence, store_location: str) -> None:
    with other_process(store_location) as worker:
        assert presence.is_alive(worker.id)
        # Asking must not take its place.
        assert presence.is_alive(worker.id)
        worker.kill()
        if is_postgres(store_location):
            until_dead(presence, worker.id)
        assert not presence.is_alive(worker.id)
        assert not presence.is_alive(worker.id)


def test_a_process_that_left_is_dead_though_it_runs_on(presence: Presence, store_location: str) -> None:
    with other_process(store_location) as worker:
        assert presence.is_alive(worker.id)
        worker.leave()
        if is_postgres(store_location):
            until_dead(presence, worker.id)
        assert not presence.is_alive(worker.id)
        assert worker.process.poll() is None


def test_one_workers_death_is_not_anothers(presence: Presence, store_location: str) -> None:
    with other_process(store_location) as one, other_process(store_location) as two:
        assert one.id != two.id
        one.kill()
        until_dead(presence, one.id)
        assert presence.is_alive(two.id)


def test_a_process_is_one_worker_and_knows_itself_alive(presence: Presence, store_location: str) -> None:
    worker = presence.announce()
    assert presence.announce() == worker
    assert presence.is_alive(worker)
    asking = open_presence(store_location)
    assert asking.is_alive(worker)
    presence.close()
    if is_postgres(store_location):
        until_dead(asking, worker)
    assert not asking.is_alive(worker)
    asking.close()


def test_after_leaving_a_process_is_another_worker(presence: Presence) -> None:
    before = presence.announce()
    presence.close()
    after = presence.announce()
    assert after != before
    assert presence.is_alive(after)


def test_who_never_announced_is_not_alive(presence: Presence) -> None:
    assert not presence.is_alive(new_worker_id())
    assert not presence.is_alive(WorkerId("../strange/../name\n"))
    presence.close()
    presence.close()


def test_dead_workers_leave_no_files_behind(tmp_path: Path) -> None:
    location = str(tmp_path / "wtb.db")
    presence = open_presence(location)
    with other_process(location) as killed, other_process(location) as left:
        assert len(list(tmp_path.glob("wtb.db.workers/*"))) == 2
        killed.kill()
        left.leave()
        assert not presence.is_alive(killed.id)
        assert not presence.is_alive(left.id)
    assert list(tmp_path.glob("wtb.db.workers/*")) == []


def test_a_worker_that_can_not_announce_itself_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(StoreUnavailable, match="announce"):
        open_presence(str(tmp_path / "file" / "wtb.db")).announce()


@pytest.mark.postgres
def test_a_worker_whose_session_broke_is_dead_to_others(postgres_url: str) -> None:
    presence, asking = open_presence(postgres_url), open_presence(postgres_url)
    worker = presence.announce()
    assert asking.is_alive(worker)
    with outside(postgres_url) as database:
        database.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE granted AND locktype = 'advisory' "
            "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
    until_dead(asking, worker)
    presence.close()
    asking.close()


@pytest.mark.postgres
def test_a_postgres_that_can_not_be_reached_is_told() -> None:
    presence = open_presence("postgresql://somebody:secret@127.0.0.1:1/wtb")
    with pytest.raises(StoreUnavailable, match="refused") as refusal:
        presence.announce()
    assert "secret" not in str(refusal.value)
    with pytest.raises(StoreUnavailable):
        presence.is_alive(new_worker_id())
