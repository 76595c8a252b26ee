"""A subscriber that doesn't read is told so and closed, and holds nobody up."""

import json
import select

import pytest
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import ClientConnection

from tests.infra.nats.given import Log
from tests.interfaces.rest.given import until
from tests.interfaces.websocket.given import positions, subscribed, subscribers
from wtb.interfaces.serve import Server
from wtb.interfaces.websocket import feed, protocol

EVENTS = 4000
REASON = "x" * 5000
"""Together more than a socket's buffers hold."""


@pytest.fixture(scope="module", autouse=True)
def expected(server: Server) -> list[int]:
    """The positions of many events."""
    return list(Log(server.bench.platform.store).grow("long", EVENTS, REASON))


def sluggish(server: Server) -> ClientConnection:
    """A subscriber whose reading stops after a frame or two, until somebody takes them."""
    return subscribed(server, "?execution=long", max_queue=1, close_timeout=0)


def read_all(connection: ClientConnection, seen: list[int]) -> None:
    """Take all frames, until the connection is closed or everything was seen."""
    while len(seen) < EVENTS:
        seen += positions(json.loads(connection.recv()))


def test_it_holds_nobody_up(server: Server, expected: list[int]) -> None:
    heard: list[int] = []
    with sluggish(server), subscribed(server, "?execution=long") as other:
        read_all(other, heard)
    assert heard == expected


def test_it_is_told_and_goes_on_where_it_was(
    server: Server, expected: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    until(lambda: subscribers(server) == 0)
    seen: list[int] = []
    with monkeypatch.context() as impatient:
        impatient.setattr(feed, "SEND_SECONDS", 0.1)
        impatient.setattr(protocol, "CUT_OFF_SECONDS", 60)
        connection = sluggish(server)
        until(lambda: subscribers(server) == 0)
    with connection, pytest.raises(ConnectionClosedError) as closed:
        read_all(connection, seen)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4408, "too slow; come back with after=")
    assert 0 < len(seen) < EVENTS
    with subscribed(server, f"?execution=long&after={seen[-1]}") as connection:
        read_all(connection, seen)
    assert seen == expected


def test_one_that_never_reads_again_is_cut_off(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "SEND_SECONDS", 0.05)
    monkeypatch.setattr(protocol, "CUT_OFF_SECONDS", 0.05)
    with sluggish(server) as connection:
        reset = select.poll()
        reset.register(connection.socket, select.POLLHUP | select.POLLERR)
        assert reset.poll(15_000)  # sooner than the client's own pings would notice
