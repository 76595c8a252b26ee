"""From the event log to NATS: each event once, in order, whatever restarts.

The relay's bookmark is the stream itself: the last message's ``Nats-Msg-Id`` is
the position published last. So it can't disagree with what is in the stream,
and a NATS that was emptied gets the whole log again from its first event.

Every message names the stream sequence it must follow
(``Nats-Expected-Last-Sequence``). A message can therefore be neither stored
twice nor stored after a lost one, with any number of relays at work: the one
that comes second is refused, reads the bookmark again and goes on from there.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import NamedTuple

from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import Header
from nats.js.errors import APIError
from pydantic_core import from_json

from wtb.domain.cloud_event import MEDIA_TYPE, CloudEvent
from wtb.domain.errors import StoreUnavailable
from wtb.domain.event_log import EventLog, Recorded
from wtb.infra.nats.errors import StreamOfAnotherLog
from wtb.infra.nats.stream import (
    REQUEST_SECONDS,
    STREAM,
    TROUBLE,
    connected,
    open_stream,
    stop_if_cancelled,
    subject_of,
)
from wtb.infra.nats.threads import in_thread

PAGE = 500
"""Events read at once, and on their way to NATS at once."""

WAIT_SECONDS = 0.25
RETRY_SECONDS = 0.1
ENVELOPE_BYTES = 8 * 1024
"""Room in a message for subject, headers and the envelope."""

DATA_LEFT_OUT = "Wtb-Data-Left-Out"
"""Header of a message whose fact was too big for the server's ``max_payload``."""

WRONG_LAST_SEQUENCE = 10071

logger = logging.getLogger(__name__)


class Bookmark(NamedTuple):
    """The position published last, and the stream sequence the next message must follow."""

    position: int
    sequence: int


class Message(NamedTuple):
    subject: str
    body: bytes
    headers: dict[str, str]


class Overtaken(Exception):
    """Another relay published first."""


class Relay:
    """Publishes an event log to the stream ``WTB_EVENTS``."""

    def __init__(self, log: EventLog, url: str, *, owns_stream: bool) -> None:
        """``owns_stream``: the NATS server is this store's alone.

        A stream that doesn't fit the log (the database was replaced, or lost
        its end in a power cut) is then emptied and filled again; without it the
        relay raises `StreamOfAnotherLog`.
        """
        self._log = log
        self._url = url
        self._owns_stream = owns_stream
        self.position = 0
        """The last position that NATS has acknowledged; the log's last position minus this is the lag."""

    async def run(self) -> None:
        """Publish what there is and what comes, until cancelled. Raises `StreamOfAnotherLog`."""
        async with connected(self._url, "wtb relay") as client:
            while True:
                stop_if_cancelled()
                try:
                    await self._publish_all(client)
                except Overtaken:
                    logger.debug("another relay was first")
                except (*TROUBLE, StoreUnavailable) as trouble:
                    logger.warning("the relay tries again: %s: %s", type(trouble).__name__, trouble)
                    await asyncio.sleep(RETRY_SECONDS)

    async def _publish_all(self, client: Client) -> None:
        js = client.jetstream(timeout=REQUEST_SECONDS)
        bookmark = await self._bookmark(js)
        self.position = bookmark.position
        while True:
            stop_if_cancelled()
            page = await in_thread(self._log.log, after=bookmark.position, limit=PAGE)
            if page:
                await self._publish(client, js, page, bookmark.sequence)
                bookmark = Bookmark(page[-1].position, bookmark.sequence + len(page))
                self.position = bookmark.position
            else:
                await in_thread(self._log.wait, bookmark.position, WAIT_SECONDS)

    async def _publish(self, client: Client, js: JetStreamContext, events: Sequence[Recorded], sequence: int) -> None:
        """Returns when all are stored.

        Only the last is acknowledged: it could not have been stored, had one before it not been.
        """
        most = client.max_payload - ENVELOPE_BYTES
        *before, last = (_message(event, follows, most) for follows, event in enumerate(events, sequence))
        for message in before:
            await client.publish(message.subject, message.body, headers=message.headers)
        try:
            answer = await js.publish(last.subject, last.body, headers=last.headers)
        except APIError as refusal:
            if refusal.err_code == WRONG_LAST_SEQUENCE:
                raise Overtaken from refusal
            raise
        if answer.duplicate:  # the stream was emptied a moment ago, but the id isn't forgotten yet
            raise TimeoutError("NATS knows an event that it no longer holds")

    async def _bookmark(self, js: JetStreamContext) -> Bookmark:
        state = (await open_stream(js)).state
        if not state.messages:
            return Bookmark(0, state.last_seq)
        message = await js.get_last_msg(STREAM, ">")
        position = (message.headers or {}).get(Header.MSG_ID, "")
        if position.isdigit() and await in_thread(self._holds, int(position), message.data or b""):
            return Bookmark(int(position), max(state.last_seq, message.seq or 0))
        if not self._owns_stream:
            raise StreamOfAnotherLog(STREAM, position)
        logger.warning("NATS stream %s doesn't fit the event store; it is emptied and filled again", STREAM)
        await js.purge_stream(STREAM)
        return Bookmark(0, (await js.stream_info(STREAM)).state.last_seq)

    def _holds(self, position: int, body: bytes) -> bool:
        """Whether the log's event at a position is the one in a message."""
        for event in self._log.log(after=position - 1, limit=1):
            return event.position == position and event.chain == from_json(body).get("chain")
        return False


def _message(event: Recorded, follows: int, most: int) -> Message:
    """An event that must follow stream sequence ``follows``, its body at most so many bytes."""
    headers = {
        Header.MSG_ID.value: str(event.position),
        Header.EXPECTED_LAST_SEQUENCE.value: str(follows),
        "Content-Type": MEDIA_TYPE,
    }
    if event.trace:
        headers["traceparent"] = event.trace
    whole = CloudEvent.of(event)
    body = whole.model_dump_json().encode()
    if len(body) > most:
        body = whole.without_data().model_dump_json().encode()
        headers[DATA_LEFT_OUT] = "too big"
    return Message(f"{subject_of(event.stream)}.{event.type}", body, headers)
