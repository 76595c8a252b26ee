"""The server as a process: it tells when it listens, stops when told, and refuses what it can't do."""

import asyncio
import json
import signal
import socket
import sys
import threading
from pathlib import Path

import pytest
from websockets.sync.client import connect

from tests.interfaces.rest.given import client_of, server_in_thread, settings_in, until
from tests.interfaces.serving import ended, serving, start
from wtb.domain.errors import GraphNotFound, InvalidSettings, NotAStore
from wtb.infra.nats.server import EmbeddedNats
from wtb.infra.references import Reference
from wtb.interfaces import serve
from wtb.sdk import TestBench, WorkflowProject

IMPATIENT = (
    sys.executable,
    "-c",
    "import sys; from wtb.interfaces import serve; from wtb.sdk.configured import load_settings;"
    "serve.RUN_SECONDS = 0.1; sys.exit(serve.serve(load_settings()))",
)
"""A server that gives executions a tenth of a second to end."""


def bench_on(folder: Path) -> TestBench:
    return TestBench(WorkflowProject("any", db_path=folder / "wtb.db", output_dir=folder / "outputs"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_it_stops_when_told_and_says_nothing_but_where_it_listened(tmp_path: Path, number: signal.Signals) -> None:
    with serving(tmp_path) as server:
        with server.client() as api:
            execution = api.start("greeter").raise_for_status().json()["id"]
            assert api.ended(execution)["status"] == "completed"
        code, out, err = server.end(number)
    assert (code, out) == (0, "")
    assert "Traceback" not in err
    assert "WARNING" not in err


def test_an_execution_that_ends_soon_is_waited_for(tmp_path: Path) -> None:
    with serving(tmp_path) as server, server.client() as api:
        execution = api.start("gated", {"gate": str(tmp_path / "gate")}).json()["id"]
        server.process.terminate()
        assert server.process.stderr is not None
        while "executions under way: 1" not in server.process.stderr.readline():
            assert server.process.poll() is None
        # Later than the server would be gone if it didn't wait.
        threading.Timer(1, (tmp_path / "gate").touch).start()
        assert ended(server.process).code == 0
    with bench_on(tmp_path) as bench:
        assert bench.execution(execution).status == "completed"


def test_an_execution_that_takes_longer_is_left_and_can_be_recovered(tmp_path: Path) -> None:
    with serving(tmp_path, IMPATIENT) as server, server.client() as api:
        execution = api.start("gated", {"gate": str(tmp_path / "gate")}).json()["id"]
        until(lambda: len(api.get(f"executions/{execution}/steps").json()["items"]) == 2)
        code, _, err = server.end()
    assert code == 0
    assert "executions left for `wtb recover`: 1" in err
    (tmp_path / "gate").touch()
    with server_in_thread(settings_in(tmp_path)) as next_one:  # its graphs are registered
        assert next_one.bench.execution(execution).status == "running"
        (recovered,) = next_one.bench.recover(execution)
        assert recovered.state["trail"] == ["hello None", "open", "bye"]
        assert [step.node for step in next_one.bench.steps(execution)] == ["greet", "wait", "wait", "leave"]


def test_an_execution_that_is_left_is_recorded_for_as_long_as_its_process_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wtb.interfaces.serve.RUN_SECONDS", 0.01)
    with server_in_thread(settings_in(tmp_path)) as server, client_of(server) as api:
        execution = api.start("gated", {"gate": str(tmp_path / "gate")}).json()["id"]
    assert server.background.running == 1
    (tmp_path / "gate").touch()
    until(lambda: server.background.running == 0)
    assert server.bench.execution(execution).status == "completed"
    server.bench.close()


def test_an_execution_goes_on_in_the_next_server_and_so_does_its_subscriber(tmp_path: Path) -> None:
    with serving(tmp_path) as server, server.client() as api:
        execution = api.start("asker").json()["id"]
        assert api.ended(execution)["status"] == "paused"
        with connect(f"{server.websocket}?execution={execution}", proxy=None) as connection:
            seen = [event["position"] for event in json.loads(connection.recv())]
        assert server.end().code == 0
    with (
        serving(tmp_path) as server,
        server.client() as api,
        connect(f"{server.websocket}?execution={execution}&after={seen[-1]}", proxy=None) as connection,
    ):
        api.post(f"executions/{execution}/resume", json={"answer": "yes"}).raise_for_status()
        assert api.ended(execution)["status"] == "completed"
        expected = [event["position"] for event in api.get(f"executions/{execution}/events").json()]
        while len(seen) < len(expected):
            seen += [event["position"] for event in json.loads(connection.recv())]
    assert seen == expected


def test_a_port_that_is_taken_is_refused_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        code, out, err = ended(start(tmp_path, port=str(port)))
    assert (code, out) == (2, "")
    error, hint = err.splitlines()
    assert error == f"error: setting port (WTB_PORT) can't be {port}: it is taken on 127.0.0.1"
    assert hint.startswith("hint: ")


def test_a_grpc_port_that_is_taken_is_refused_too(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        settings = settings_in(tmp_path, grpc_port=other.getsockname()[1])
        with pytest.raises(InvalidSettings, match="WTB_GRPC_PORT"), server_in_thread(settings):
            pass


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "0"])
def test_other_machines_arent_served(tmp_path: Path, host: str) -> None:
    with pytest.raises(InvalidSettings, match="nobody logs in yet"), server_in_thread(settings_in(tmp_path, host=host)):
        pass
    assert not (tmp_path / "wtb.db").exists()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_loopback_is_served_by_each_of_its_names(tmp_path: Path, host: str) -> None:
    with server_in_thread(settings_in(tmp_path, host=host)) as server, client_of(server) as api:
        assert api.get("health").status_code == 200


def test_a_host_that_is_no_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="WTB_HOST"), server_in_thread(settings_in(tmp_path, host="a..b")):
        pass


def test_a_langgraph_json_that_leads_nowhere_is_refused(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    assert settings.langgraph_json is not None
    settings.langgraph_json.write_text('{"graphs": {"greeter": "./graphs.py:nothing"}}')
    with pytest.raises(GraphNotFound, match="nothing"), server_in_thread(settings):
        pass


def test_a_file_that_isnt_a_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "wtb.db").write_text("not a database at all, but long enough to be looked at\n" * 100)
    with pytest.raises(NotAStore), server_in_thread(settings_in(tmp_path)):
        pass


def test_without_a_langgraph_json_there_is_nothing_to_start_but_all_to_read(tmp_path: Path) -> None:
    with server_in_thread(settings_in(tmp_path)) as server, client_of(server) as api:
        execution = api.start("greeter").json()["id"]
        api.ended(execution)
    with server_in_thread(settings_in(tmp_path, langgraph_json=None)) as server, client_of(server) as api:
        assert api.start("greeter").json()["code"] == "workflow-not-found"
        assert api.get(f"executions/{execution}").json()["status"] == "completed"


def test_workflows_of_the_settings_are_served_beside_those_of_a_langgraph_json(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, workflows={"welcoming": Reference("./graphs.py:greeter", tmp_path)})
    with server_in_thread(settings) as server, client_of(server) as api:
        execution = api.start("welcoming").raise_for_status().json()["id"]
        assert api.ended(execution)["status"] == "completed"
        assert server.bench.version("welcoming").reference == "./graphs.py:greeter"
        assert "greeter" in {each.name for each in server.bench.workflows()}
    twice = settings_in(tmp_path, workflows={"greeter": Reference("./graphs.py:greeter", tmp_path)})
    with pytest.raises(InvalidSettings, match="'greeter'"), server_in_thread(twice):
        pass


def test_an_archived_workflow_is_not_started_over_the_network(tmp_path: Path) -> None:
    with server_in_thread(settings_in(tmp_path)) as server, client_of(server) as api:
        server.bench.archive_workflow("greeter", "old")
        assert api.start("greeter").status_code == 409
        assert api.start("greeter").json()["code"] == "workflow-archived"


def test_a_refused_start_frees_what_it_had_taken(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    assert settings.langgraph_json is not None
    good = settings.langgraph_json.read_text()
    settings.langgraph_json.write_text("{}")
    with pytest.raises(GraphNotFound), server_in_thread(settings):
        pass
    settings.langgraph_json.write_text(good)
    with server_in_thread(settings) as server, client_of(server) as api:
        assert api.get("health").status_code == 200


@pytest.mark.nats
def test_a_nats_that_holds_another_stores_events_ends_it_in_one_line(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    with EmbeddedNats(tmp_path / "nats") as nats:
        with server_in_thread(settings_in(first, nats_url=nats.url)) as server, client_of(server) as api:
            api.ended(api.start("greeter").json()["id"])
            until(lambda: api.get("health/ready").json()["relay_lag"] == 0)
        code, _, err = ended(start(second, nats_url=nats.url))
    assert code == 6
    assert [line for line in err.splitlines() if line.startswith("error: ")] != []
    assert "Traceback" not in err


async def test_a_part_that_misses_its_cancellation_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """As nats-py does now and then while it connects."""
    monkeypatch.setattr(serve, "ASKED_AGAIN_SECONDS", 0.01)
    missed = asyncio.Event()

    async def part() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            missed.set()
        await asyncio.Event().wait()

    async with serve._running(part()):
        await asyncio.sleep(0)
    assert missed.is_set()
