"""A Postgres store is served as an SQLite file is."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interfaces.rest.given import Client, server_in_thread, settings_in
from tests.interfaces.websocket.given import events_until, subscribed
from wtb.domain.cloud_event import WireEvent
from wtb.interfaces.serve import Server

pytestmark = pytest.mark.postgres


@pytest.fixture
def server(tmp_path: Path, postgres_url: str) -> Iterator[Server]:
    with server_in_thread(settings_in(tmp_path, db=postgres_url, nats_store_dir=tmp_path / "nats")) as server:
        yield server


def test_an_execution_is_started_resumed_and_followed(api: Client, server: Server) -> None:
    execution = api.start("asker").json()["id"]
    with subscribed(server, f"?execution={execution}") as connection:
        assert api.ended(execution)["status"] == "paused"
        api.post(f"executions/{execution}/resume", json={"answer": "yes"}).raise_for_status()
        assert api.ended(execution)["status"] == "completed"
        heard = events_until(connection, "ExecutionCompleted")
    assert heard == api.get(f"executions/{execution}/events").json()
    assert heard == [json.loads(WireEvent.of(event).json) for event in server.bench.events(execution)]
    assert api.get(f"executions/{execution}/state").json()["channels"]["trail"] == ["hello Ada", "yes", "bye"]


def test_a_text_that_a_database_cant_hold_is_refused(api: Client, server: Server) -> None:
    for query in (
        *(f"executions/%00{what}" for what in ("", "/steps", "/checkpoints", "/events", "/state")),
        "executions/x/state?at=%00",
        "executions/x/state?namespace=%00",
        "executions/x/checkpoints?namespace=%00",
        "executions?workflow=%00",
    ):
        answer = api.get(query)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid-request"), query
    assert api.post("executions/%00/resume", json={}).status_code == 400
    with subscribed(server, "?execution=%00") as connection:
        assert json.loads(connection.recv())["code"] == "invalid-request"
