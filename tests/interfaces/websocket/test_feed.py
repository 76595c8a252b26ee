"""Events over a WebSocket: the past, then the present, without gap or repeat."""

import json
import os
import signal
import socket
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus
from websockets.sync.client import connect

from tests.interfaces.rest.given import Client, client_of, server_in_thread, settings_in, until
from tests.interfaces.websocket.given import events_until, positions, subscribed, subscribers
from wtb.domain.cloud_event import WireEvent
from wtb.interfaces.serve import Server


def recorded(server: Server, execution: str | None = None, after: int = 0) -> list[object]:
    """What the SDK says should come."""
    events = server.bench.events(execution, after=after) if execution else server.bench.log(after=after, limit=10**6)
    return [json.loads(WireEvent.of(event).json) for event in events]


def test_past_events_come_in_one_frame(api: Client, server: Server) -> None:
    execution = api.start("greeter").json()["id"]
    api.ended(execution)
    with subscribed(server, f"?execution={execution}") as connection:
        assert json.loads(connection.recv()) == recorded(server, execution)


def test_only_events_after_the_position_come(api: Client, server: Server) -> None:
    execution = api.start("greeter").json()["id"]
    api.ended(execution)
    middle = server.bench.events(execution)[3].position
    with subscribed(server, f"?execution={execution}&after={middle}") as connection:
        events = events_until(connection, "ExecutionCompleted")
    assert events == recorded(server, execution, after=middle)


def test_events_come_as_they_happen(api: Client, server: Server, tmp_path: Path) -> None:
    execution = api.start("gated", {"gate": str(tmp_path / "gate")}).json()["id"]
    with subscribed(server, f"?execution={execution}") as connection:
        past = events_until(connection, "NodeStarted")
        while past[-1]["type"] != "wtb.NodeStarted" or past[-1]["data"]["node"] != "wait":
            past += json.loads(connection.recv())
        (tmp_path / "gate").touch()
        present = events_until(connection, "ExecutionCompleted")
    assert past + present == recorded(server, execution)


def test_without_an_execution_all_events_come(api: Client, server: Server) -> None:
    before = server.bench.platform.store.last_position()
    with subscribed(server, f"?after={before}") as connection:
        for name in ("greeter", "failing"):
            api.ended(api.start(name).json()["id"])
        events = events_until(connection, "ExecutionFailed")
    assert events == recorded(server, after=before)
    assert len({event["subject"] for event in events}) == 2


def test_an_execution_of_another_id_isnt_heard(api: Client, server: Server) -> None:
    first = api.start("asker").json()["id"]
    api.ended(first)
    with subscribed(server, f"?execution={first}") as connection:
        api.ended(api.start("greeter").json()["id"])
        api.post(f"executions/{first}/resume", json={"answer": 1}).raise_for_status()
        events = events_until(connection, "ExecutionCompleted")
    assert {event["subject"] for event in events} == {first}


def test_many_subscribers_see_the_same(api: Client, server: Server) -> None:
    before = server.bench.platform.store.last_position()
    seen: list[list[int]] = []

    def watch() -> None:
        with subscribed(server, f"?after={before}") as connection:
            seen.append(positions(events_until(connection, "ExecutionCompleted")))

    watchers = [threading.Thread(target=watch) for _ in range(10)]
    for watcher in watchers:
        watcher.start()
    api.ended(api.start("greeter").json()["id"])
    for watcher in watchers:
        watcher.join()
    assert seen == [[event.position for event in server.bench.log(after=before)]] * 10


@pytest.mark.nats
def test_a_subscriber_that_comes_back_misses_nothing_and_hears_nothing_twice(
    api: Client, server: Server, tmp_path: Path
) -> None:
    """While an execution goes on and NATS is killed and started again, several times."""
    assert server.nats is not None
    gate = {"gate": str(tmp_path / "gate")}
    execution = api.start("spinning", gate, config={"recursion_limit": 1_000_000}).json()["id"]
    seen: list[int] = []
    types: set[str] = set()
    died: set[int] = set()
    while "wtb.ExecutionCompleted" not in types:
        with subscribed(server, f"?execution={execution}&after={seen[-1] if seen else 0}") as connection:
            for _ in range(3):
                events = json.loads(connection.recv())
                seen += positions(events)
                types |= {event["type"] for event in events}
                if "wtb.ExecutionCompleted" in types:
                    break
            pid = server.nats.pid
            if len(died) == 3:
                (tmp_path / "gate").touch()
            elif pid is not None and pid not in died:
                os.kill(pid, signal.SIGKILL)
                died.add(pid)
    assert seen == [event.position for event in server.bench.events(execution)]


@pytest.mark.nats
def test_a_subscriber_that_stays_hears_everything_though_nats_died(api: Client, server: Server, tmp_path: Path) -> None:
    assert server.nats is not None
    execution = api.start("gated", {"gate": str(tmp_path / "gate")}).json()["id"]
    with subscribed(server, f"?execution={execution}") as connection:
        events = events_until(connection, "NodeCompleted")
        killed = server.nats.pid
        assert killed is not None
        os.kill(killed, signal.SIGKILL)
        (tmp_path / "gate").touch()
        events += events_until(connection, "ExecutionCompleted")
    assert events == recorded(server, execution)
    assert server.nats.pid not in (None, killed)


@pytest.mark.parametrize(
    ("query", "close_code", "code"),
    [
        ("?after=-1", 4400, "invalid-request"),
        ("?after=soon", 4400, "invalid-request"),
        ("?after=99999999999999999999", 4400, "invalid-request"),
        ("?after=999999", 4400, "invalid-request"),
        ("?afer=1", 4400, "invalid-request"),
        ("?execution=nobody", 4404, "execution-not-found"),
        ("?execution=nobody&after=-1", 4400, "invalid-request"),
    ],
)
def test_a_query_that_doesnt_fit_is_told_and_closed(server: Server, query: str, close_code: int, code: str) -> None:
    with subscribed(server, query) as connection:
        problem = json.loads(connection.recv())
        with pytest.raises(ConnectionClosedError) as closed:
            connection.recv()
    assert (problem["status"], problem["code"]) == (close_code - 4000, code)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (close_code, code)


def test_a_page_of_elsewhere_cant_subscribe(server: Server) -> None:
    with pytest.raises(InvalidStatus) as refused, subscribed(server, origin="https://example.com"):
        pass
    assert refused.value.response.status_code == 403


def test_a_name_that_was_made_to_lead_here_cant_be_subscribed_to(server: Server) -> None:
    connection = socket.create_connection((server.host, server.port))
    with pytest.raises(InvalidStatus) as refused, connect("ws://example.com/ws", sock=connection, proxy=None):
        pass
    assert refused.value.response.status_code == 403


def test_what_a_subscriber_says_is_ignored(api: Client, server: Server) -> None:
    with subscribed(server, "?after=0") as connection:
        for _ in range(100):
            connection.send("hello")
        connection.send(b"\x00")
        execution = api.start("greeter").json()["id"]
        while execution not in {event["subject"] for event in json.loads(connection.recv())}:
            pass


def test_subscribers_that_leave_leave_nothing_behind(server: Server) -> None:
    """Whether they say so or not."""
    for politely in (True, False):
        with subscribed(server) as connection:
            assert subscribers(server) == 1
            if not politely:
                connection.socket.shutdown(socket.SHUT_RDWR)
        until(lambda: subscribers(server) == 0)


def test_a_server_that_stops_closes_its_subscribers(tmp_path: Path) -> None:
    with ExitStack() as stack:
        with server_in_thread(settings_in(tmp_path)) as server:
            connections = [stack.enter_context(subscribed(server)) for _ in range(3)]
            with client_of(server) as api:
                api.ended(api.start("greeter").json()["id"])
            for connection in connections:
                events_until(connection, "ExecutionCompleted")
        for connection in connections:
            with pytest.raises(ConnectionClosed) as closed:
                connection.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1012
