"""What the tests of NATS begin with: a growing log, and services that run."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import nats
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig

from wtb.domain.event_log import EMPTY_STREAM, Append, Origin, StreamHead
from wtb.domain.execution import PauseRequested
from wtb.domain.identifiers import Position, execution_stream
from wtb.infra.event_store.store import EventStore
from wtb.infra.nats.stream import STREAM


class Log:
    """A store and the heads of its streams."""

    def __init__(self, store: EventStore) -> None:
        self.store = store
        self._heads: dict[str, StreamHead] = {}

    def grow(self, execution: str, events: int = 1, reason: str = "") -> list[Position]:
        """Append so many events to an execution, in one commit."""
        stream = execution_stream(execution)
        facts = [PauseRequested(reason=reason)] * events
        head = self._heads.get(execution, EMPTY_STREAM)
        (done,) = self.store.append([Append(stream, head, facts, range(events), Origin("tester"))])
        self._heads[execution] = done.head
        return list(done.positions)

    def positions(self, execution: str | None = None) -> list[int]:
        stream = execution_stream(execution) if execution is not None else None
        return [event.position for event in self.store.log(limit=1_000_000, stream=stream)]


async def until(condition: Callable[[], bool]) -> None:
    """Return when a condition has come true; the test's own time limit bounds it."""
    while not condition():  # noqa: ASYNC110 - what is waited for lies in other processes
        await asyncio.sleep(0.005)


@asynccontextmanager
async def running(*services: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Services that run meanwhile and are cancelled afterwards; if one fails, so does the test."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(service) for service in services]
        yield
        for task in tasks:
            task.cancel()


async def messages(url: str) -> list[Msg]:
    """Everything that is in the stream."""
    client = await nats.connect(url)
    js = client.jetstream()
    count = (await js.stream_info(STREAM)).state.messages
    found: list[Msg] = []
    if count:
        subscription = await js.subscribe(
            "wtb.events.>", stream=STREAM, config=ConsumerConfig(ack_policy=AckPolicy.NONE)
        )
        found = [await subscription.next_msg(10) for _ in range(count)]
    await client.close()
    return found


async def published(url: str) -> list[int]:
    """The positions of what is in the stream, in its order."""
    return [int((message.headers or {})["Nats-Msg-Id"]) for message in await messages(url)]
