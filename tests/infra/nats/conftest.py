"""A real store and a real NATS server for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.infra.nats.given import Log
from wtb.infra.event_store.store import open_store
from wtb.infra.nats.server import EmbeddedNats


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    store = open_store(str(tmp_path / "wtb.db"))
    yield Log(store)
    store.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedNats]:
    with EmbeddedNats(tmp_path / "nats") as server:
        yield server
