"""Following the log: the past and the present, each event once and in order."""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import nats
import pytest

from tests.infra.nats.given import Log, running, until
from wtb.domain.cloud_event import CloudEvent, WireEvent
from wtb.infra.nats.relay import Relay
from wtb.infra.nats.server import EmbeddedNats
from wtb.infra.nats.stream import STREAM
from wtb.infra.nats.subscription import QUEUE, LiveEvents

pytestmark = pytest.mark.nats


@pytest.fixture
async def live(log: Log, server: EmbeddedNats) -> AsyncIterator[LiveEvents]:
    """The feed, with the relay that fills its stream."""
    live = LiveEvents(log.store, server.url)
    async with running(Relay(log.store, server.url, owns_stream=True).run(), live.run()):
        await until(lambda: live.listening)
        yield live


async def take(live: LiveEvents, count: int, execution: str | None = None, after: int = 0) -> list[int]:
    """The positions of the first events that a follower is given."""
    taken: list[int] = []
    async with aclosing(live.follow(execution, after)) as events:
        while len(taken) < count:
            taken.append((await anext(events)).position)
    return taken


async def grow_slowly(log: Log, *executions: str, commits: int = 200) -> None:
    for number in range(commits):
        await asyncio.to_thread(log.grow, executions[number % len(executions)], 1 + number % 7)


async def test_the_past_comes_first_then_the_present(log: Log, live: LiveEvents) -> None:
    log.grow("a", 3)
    async with aclosing(live.follow("a")) as events:
        past = [await anext(events) for _ in range(3)]
        for _ in range(3):
            (position,) = log.grow("a")
            event = await anext(events)
            assert event.position == position
            past.append(event)
    assert [CloudEvent.model_validate_json(event.json) for event in past] == [
        CloudEvent.of(event) for event in log.store.log()
    ]
    assert {event.type for event in past} == {"PauseRequested"}


async def test_no_gap_and_no_repeat_while_events_are_appended(log: Log, live: LiveEvents) -> None:
    log.grow("a", 2000)
    growing = asyncio.create_task(grow_slowly(log, "a", "b"))
    followers: list[asyncio.Task[list[int]]] = []
    while not growing.done():  # followers begin at many different moments
        followers.append(asyncio.create_task(take(live, 1000, after=1500 - len(followers))))
        await asyncio.sleep(0)
        await until(lambda: growing.done() or log.store.last_position() > 2000 + 20 * len(followers))
    await growing
    all_positions = log.positions()
    log.grow("b", 1000)
    for number, taken in enumerate(await asyncio.gather(*followers)):
        expected = [p for p in (*all_positions, *log.positions()[len(all_positions) :]) if p > 1500 - number]
        assert taken == expected[:1000]


async def test_one_execution_is_followed_without_the_others(log: Log, live: LiveEvents) -> None:
    following = asyncio.create_task(take(live, 300, "a.b"))
    await grow_slowly(log, "a.b", "a", "a.b.c", commits=300)
    assert await following == log.positions("a.b")[:300]


async def test_a_slow_follower_misses_nothing_and_delays_nobody(log: Log, live: LiveEvents) -> None:
    (first,) = log.grow("a")
    async with aclosing(live.follow("a")) as slow:
        assert (await anext(slow)).position == first
        quick = asyncio.create_task(take(live, 3 * QUEUE, after=first))
        for _ in range(30):
            await asyncio.to_thread(log.grow, "a", QUEUE // 10)
        assert await quick == log.positions()[1:]  # while the slow one took nothing
        rest = [(await anext(slow)).position for _ in range(3 * QUEUE)]
    assert rest == log.positions()[1:]


@pytest.mark.parametrize("emptied", [False, True])
async def test_nats_killed_in_the_middle_is_not_noticed(
    log: Log, server: EmbeddedNats, live: LiveEvents, tmp_path: Path, emptied: bool
) -> None:
    following = asyncio.create_task(take(live, 2000))
    for _ in range(3):
        await grow_slowly(log, "a", commits=50)
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        await until(lambda: server.pid is None)
        if emptied:
            shutil.rmtree(tmp_path / "nats" / "jetstream")
        await grow_slowly(log, "a", commits=10)
        await asyncio.to_thread(server.start)
    while not following.done():
        await grow_slowly(log, "a", commits=10)
    assert await following == log.positions()[:2000]


async def test_a_deleted_stream_is_noticed_and_made_again(log: Log, server: EmbeddedNats, live: LiveEvents) -> None:
    following = asyncio.create_task(take(live, 500))
    await grow_slowly(log, "a", commits=10)
    client = await nats.connect(server.url)
    await client.jetstream().delete_stream(STREAM)
    await client.close()
    while not following.done():
        await grow_slowly(log, "a", commits=1)
    assert await following == log.positions()[:500]


async def test_an_event_too_big_for_nats_is_followed_whole(log: Log, live: LiveEvents) -> None:
    log.grow("a")
    async with aclosing(live.follow("a")) as events:
        await anext(events)
        log.grow("a", reason="x" * 9_000_000)
        log.grow("a")
        big = CloudEvent.model_validate_json((await anext(events)).json)
        assert big.data is not None
        assert len(big.data["reason"]) == 9_000_000
        assert (await anext(events)).position == log.positions()[-1]


async def test_followers_end_when_the_feed_does(log: Log, server: EmbeddedNats) -> None:
    log.grow("a", 3)
    live = LiveEvents(log.store, server.url)
    seen: list[WireEvent] = []

    async def follow() -> None:
        async for event in live.follow("a"):
            seen.append(event)  # noqa: PERF401

    async with running(live.run()):
        following = asyncio.create_task(follow())
        await until(lambda: len(seen) == 3)
    await following
