"""``/ws``: events after a position, then those that come, as JSON arrays of CloudEvents.

A connection that WTB ends has a close code, and unless the server goes away a
problem document as its last frame. Coming back with ``after=<last position>``
goes on without gap or repeat.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import aclosing, suppress
from typing import Annotated, Any

import msgspec
from litestar import WebSocket, websocket
from litestar.concurrency import sync_to_thread
from litestar.di import NamedDependency
from litestar.exceptions import WebSocketDisconnect
from msgspec import Meta

from wtb.domain.cloud_event import WireEvent
from wtb.domain.errors import InvalidRequest
from wtb.interfaces.rest.parameters import NO_ZEROS
from wtb.interfaces.rest.problems import told
from wtb.interfaces.rest.served import Served
from wtb.sdk import TestBench

Socket = WebSocket[Any, Any, Any]

FRAME_BYTES = 256 * 1024
"""A frame holds the events that fit, and at least one. Clients commonly refuse frames beyond 1 MiB."""

SEND_SECONDS = 10.0
"""How long a subscriber may leave a frame unread before it counts as too slow."""

GOING_AWAY = 1012
"""Close code: the server goes down."""

PROBLEM = 4000
"""Close code: this plus the problem's HTTP status."""

SLOW = 4408
"""Close code: the subscriber doesn't read."""


class Subscription(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the query says: one execution's events or all, after a position."""

    execution: Annotated[str, Meta(pattern=NO_ZEROS)] | None = None
    after: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0

    @classmethod
    def asked(cls, query: dict[str, Any], bench: TestBench) -> "Subscription":
        """Raises `InvalidRequest` or `ExecutionNotFound`."""
        try:
            asked = msgspec.convert(query, cls, strict=False)
        except msgspec.ValidationError as misfit:
            raise InvalidRequest(f"query: {misfit}", hint="Ask with ?execution=ID and ?after=POSITION.") from misfit
        if asked.execution is not None:
            bench.events(asked.execution, limit=1)
        end = bench.platform.store.last_position()
        if asked.after > end:
            raise InvalidRequest(
                f"query: there is no position {asked.after} yet, the log ends at {end}",
                hint="Ask with the position of an event you were sent; this may be another store.",
            )
        return asked


@websocket("/ws")
async def feed(socket: Socket, served: NamedDependency[Served]) -> None:
    await socket.accept()
    sending = asyncio.create_task(_send(socket, served))
    leaving = asyncio.create_task(_left(socket))
    try:
        await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (sending, leaving):
            task.cancel()
        await asyncio.wait({sending, leaving})
    for task in (sending, leaving):
        if not task.cancelled():
            task.result()


async def _send(socket: Socket, served: Served) -> None:
    """Send until the server goes down, the subscriber is gone or something goes wrong."""
    with suppress(WebSocketDisconnect, OSError):  # gone meanwhile
        try:
            await _send_events(socket, served)
            await socket.close(GOING_AWAY, "the server goes down; come back with after=")
        except TimeoutError:
            await socket.close(SLOW, "too slow; come back with after=")
        except (WebSocketDisconnect, OSError):
            raise
        except Exception as error:  # noqa: BLE001  # the subscriber is told, and the log
            problem = told(error)
            await socket.send_text(msgspec.json.encode(problem))
            await socket.close(PROBLEM + problem.status, problem.code)


async def _send_events(socket: Socket, served: Served) -> None:
    query = dict(socket.query_params.items())
    asked = await sync_to_thread(Subscription.asked, query, served.bench)
    async with aclosing(served.live.batches(asked.execution, asked.after)) as batches:
        async for batch in batches:
            for frame in frames(batch):
                async with asyncio.timeout(SEND_SECONDS):
                    await socket.send_text(frame)


async def _left(socket: Socket) -> None:
    """Returns when the subscriber has left; what it says is ignored."""
    async for _ in socket.iter_data("text"):
        pass


def frames(events: Sequence[WireEvent]) -> Iterator[bytes]:
    """Events in as few frames as they fit into."""
    waiting: list[bytes] = []
    size = 0
    for event in events:
        if waiting and size + len(event.json) > FRAME_BYTES:
            yield b"[" + b",".join(waiting) + b"]"
            waiting, size = [], 0
        waiting.append(event.json)
        size += len(event.json)
    if waiting:
        yield b"[" + b",".join(waiting) + b"]"
