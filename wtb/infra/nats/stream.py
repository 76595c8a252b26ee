"""The JetStream stream that holds a copy of the event log's end, and its subjects."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from hashlib import sha256
from urllib.parse import quote

import nats
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig, StreamInfo
from nats.js.errors import NotFoundError

from wtb.domain.identifiers import StreamName

STREAM = "WTB_EVENTS"
SUBJECTS = "wtb.events.>"
MAX_BYTES = 256 * 1024 * 1024
"""The oldest messages go beyond this; the event store keeps them all."""

DUPLICATE_WINDOW_SECONDS = 0.1
"""The least NATS allows: what keeps duplicates out is the expected sequence, for any length of time."""

RECONNECT_SECONDS = 0.1

REQUEST_SECONDS = 2.0
"""How long to wait for an answer: a server that was killed meanwhile will never give it."""

MAX_TOKEN = 200

TROUBLE = (NatsError, OSError, TimeoutError)
"""What any exchange with a server raises that is away, restarting or emptied; tried again, for ever."""

logger = logging.getLogger(__name__)


def stop_if_cancelled() -> None:
    """Raise a cancellation that nats-py 2.16 swallowed, as it does while it flushes; loops around it call this."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def subject_of(stream: StreamName) -> str:
    """``wtb.events.<aggregate>.<id>``, below which each event type is a token.

    Characters that mean something in a subject are percent-encoded, the dot
    among them; an id that would be longer than 200 characters ends in ``%`` and
    a digest instead.
    """
    aggregate, _, name = stream.partition("-")
    token = quote(name, safe="").replace(".", "%2E") or "%"
    if len(token) > MAX_TOKEN:
        token = f"{token[:64]}%{sha256(name.encode()).hexdigest()}"
    return f"wtb.events.{aggregate}.{token}"


async def open_stream(js: JetStreamContext) -> StreamInfo:
    """The stream as it is, made when it isn't there; an administrator's changes to it are left alone."""
    try:
        return await js.stream_info(STREAM)
    except NotFoundError:
        return await js.add_stream(
            StreamConfig(
                name=STREAM,
                description="WTB's event log, newest part; Nats-Msg-Id is the position",
                subjects=[SUBJECTS],
                retention=RetentionPolicy.LIMITS,
                # No age limit: an idle stream would lose its last message, which is the relay's bookmark.
                max_bytes=MAX_BYTES,
                discard=DiscardPolicy.OLD,
                storage=StorageType.FILE,
                duplicate_window=DUPLICATE_WINDOW_SECONDS,
            )
        )


@asynccontextmanager
async def connected(url: str, name: str, on_reconnect: Callable[[], None] = lambda: None) -> AsyncIterator[Client]:
    """A connection that waits for the server as long as it takes, at the start and after every loss."""

    async def trouble(error: Exception) -> None:
        if isinstance(error, TROUBLE):
            logger.debug("%s: %s", name, error)
        else:
            logger.error("%s", name, exc_info=error)

    async def disconnected() -> None:
        logger.info("%s: NATS connection closed", name)

    async def reconnected() -> None:
        logger.info("%s: NATS connection is back", name)
        on_reconnect()

    client = await nats.connect(
        url,
        name=name,
        max_reconnect_attempts=-1,
        reconnect_time_wait=RECONNECT_SECONDS,
        error_cb=trouble,
        disconnected_cb=disconnected,
        reconnected_cb=reconnected,
    )
    try:
        yield client
    finally:
        await client.close()
