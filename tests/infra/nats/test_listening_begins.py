"""The moment in which listening begins, while events pour in."""

import asyncio
from contextlib import aclosing
from threading import Event, Thread

import pytest

from tests.infra.nats.given import Log, running
from wtb.infra.nats.relay import Relay
from wtb.infra.nats.server import EmbeddedNats
from wtb.infra.nats.subscription import LiveEvents

ROUNDS = 60
"""The moment is short: few rounds hit it."""

pytestmark = pytest.mark.nats


async def test_whoever_waits_when_listening_begins_misses_nothing(log: Log, server: EmbeddedNats) -> None:
    """The first messages may come before NATS has said that it listens."""
    enough = Event()

    def grow() -> None:
        while not enough.is_set():
            log.grow("busy")

    async def heard(live: LiveEvents, after: int) -> list[int]:
        positions: list[int] = []
        async with aclosing(live.batches(after=after)) as batches:
            async for batch in batches:
                positions += [event.position for event in batch]
                if len(positions) > 300:
                    break
        return positions

    log.grow("busy")
    growing = Thread(target=grow)
    growing.start()
    try:
        async with running(Relay(log.store, server.url, owns_stream=True).run()):
            for _ in range(ROUNDS):
                live, after = LiveEvents(log.store, server.url), log.store.last_position()
                following = asyncio.create_task(heard(live, after))
                async with running(live.run()):
                    positions = await following
                assert positions == list(range(after + 1, after + 1 + len(positions)))
    finally:
        enough.set()
        growing.join()
