"""Read models over an empty store, on SQLite and on Postgres."""

from collections.abc import Iterator

import pytest

from tests.projections.given import ReadModels
from wtb.infra.event_store.store import EventStore
from wtb.projections.database import engine_for


@pytest.fixture
def models(store: EventStore, store_location: str) -> Iterator[ReadModels]:
    engine = engine_for(store_location)
    yield ReadModels(store, engine)
    engine.dispose()
