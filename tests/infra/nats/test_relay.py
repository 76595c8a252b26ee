"""The relay: every event reaches the stream once, in order, whatever restarts."""

import asyncio
import json
import os
import shutil
import signal
from pathlib import Path

import nats
import pytest

from tests.infra.nats.given import Log, messages, published, running, until
from wtb.infra.event_store.store import open_store
from wtb.infra.nats.errors import StreamOfAnotherLog
from wtb.infra.nats.relay import PAGE, Relay
from wtb.infra.nats.server import EmbeddedNats
from wtb.infra.nats.stream import STREAM

pytestmark = pytest.mark.nats


def relay_of(log: Log, server: EmbeddedNats, *, owns_stream: bool = True) -> Relay:
    return Relay(log.store, server.url, owns_stream=owns_stream)


async def relayed(log: Log, server: EmbeddedNats) -> None:
    """Run a relay until the stream has all of the log."""
    relay = relay_of(log, server)
    async with running(relay.run()):
        await until(lambda: relay.position == log.store.last_position())


async def test_all_events_arrive_in_order_with_their_ids_subjects_and_bodies(log: Log, server: EmbeddedNats) -> None:
    log.grow("a", PAGE)
    log.grow("b.c", 3)
    log.grow("a", PAGE)
    await relayed(log, server)
    events = log.store.log(limit=10_000)
    found = await messages(server.url)
    assert [(m.headers or {})["Nats-Msg-Id"] for m in found] == [str(e.position) for e in events]
    assert {m.subject for m in found} == {
        "wtb.events.execution.a.PauseRequested",
        "wtb.events.execution.b%2Ec.PauseRequested",
    }
    bodies = [json.loads(m.data) for m in found]
    assert [(b["stream"], b["version"], b["chain"]) for b in bodies] == [(e.stream, e.version, e.chain) for e in events]
    assert (found[0].headers or {})["Content-Type"] == "application/cloudevents+json"


async def test_a_plain_nats_client_sees_events_as_they_happen(log: Log, server: EmbeddedNats) -> None:
    client = await nats.connect(server.url)
    subscription = await client.subscribe("wtb.events.execution.*.>")
    await client.flush()
    relay = relay_of(log, server)
    async with running(relay.run()):
        for _ in range(3):
            (position,) = log.grow("abc")
            message = await subscription.next_msg(10)
            assert message.subject == "wtb.events.execution.abc.PauseRequested"
            assert json.loads(message.data)["position"] == position
    await client.close()


async def test_a_relay_goes_on_where_the_one_before_stopped(log: Log, server: EmbeddedNats) -> None:
    log.grow("a", 10)
    await relayed(log, server)
    log.grow("a", 10)
    await relayed(log, server)
    assert await published(server.url) == log.positions()


async def test_two_relays_make_no_duplicates_and_keep_the_order(log: Log, server: EmbeddedNats) -> None:
    relays = [relay_of(log, server), relay_of(log, server)]
    async with running(*(relay.run() for relay in relays)):
        for _ in range(100):
            await asyncio.to_thread(log.grow, "a", 20)
        await until(lambda: all(relay.position == log.store.last_position() for relay in relays))
    assert await published(server.url) == log.positions()


@pytest.mark.parametrize("emptied", [False, True])
async def test_nats_killed_in_the_middle_loses_nothing(
    log: Log, server: EmbeddedNats, tmp_path: Path, emptied: bool
) -> None:
    relay = relay_of(log, server)
    async with running(relay.run()):
        for _ in range(3):
            for _ in range(20):
                await asyncio.to_thread(log.grow, "a", 100)
            assert server.pid is not None
            os.kill(server.pid, signal.SIGKILL)  # while the relay is publishing
            await until(lambda: server.pid is None)
            if emptied:
                shutil.rmtree(tmp_path / "nats" / "jetstream")
            await asyncio.to_thread(log.grow, "a", 100)
            await asyncio.to_thread(server.start)
        await until(lambda: relay.position == log.store.last_position())
    assert await published(server.url) == log.positions()


async def test_a_relay_that_starts_before_nats_waits_for_it(log: Log, server: EmbeddedNats) -> None:
    log.grow("a", 10)
    server.stop()
    relay = relay_of(log, server)
    async with running(relay.run()):
        await asyncio.to_thread(server.start)
        await until(lambda: relay.position == log.store.last_position())
    assert await published(server.url) == log.positions()


async def test_a_purged_stream_is_filled_again(log: Log, server: EmbeddedNats) -> None:
    log.grow("a", 10)
    await relayed(log, server)
    client = await nats.connect(server.url)
    await client.jetstream().purge_stream(STREAM)
    await client.close()
    await relayed(log, server)
    assert await published(server.url) == log.positions()


async def test_the_stream_of_another_log_is_refused(log: Log, server: EmbeddedNats, tmp_path: Path) -> None:
    log.grow("a", 10)
    await relayed(log, server)
    other = Log(open_store(str(tmp_path / "other.db")))
    other.grow("b", 20)
    with pytest.raises(StreamOfAnotherLog):
        await relay_of(other, server, owns_stream=False).run()
    assert await published(server.url) == log.positions()


@pytest.mark.parametrize("events", [1, 10, 20])
async def test_the_server_of_a_replaced_store_is_filled_anew(
    log: Log, server: EmbeddedNats, tmp_path: Path, events: int
) -> None:
    log.grow("a", 10)
    await relayed(log, server)
    replaced = Log(open_store(str(tmp_path / "replaced.db")))
    replaced.grow("b", events)
    await relayed(replaced, server)
    assert [m.subject.split(".")[3] for m in await messages(server.url)] == ["b"] * events


async def test_an_event_too_big_for_nats_is_sent_without_its_data(log: Log, server: EmbeddedNats) -> None:
    log.grow("a", reason="x" * 9_000_000)
    log.grow("a")
    await relayed(log, server)
    big, small = [json.loads(message.data) for message in await messages(server.url)]
    assert "data" not in big
    assert big["dataref"] == "/api/v1/events?after=0&limit=1"
    assert small["data"] == {"reason": ""}
