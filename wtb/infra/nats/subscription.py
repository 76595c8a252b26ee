"""The past from the event log and the present from NATS, for many followers over one subscription.

Why nothing is missed: a follower's queue is opened before it reads the log's
end, the relay publishes an event only after it is in the log, and the stream
holds all events in order. So whatever the last read didn't see arrives in the
queue, and what both have is known by its position.

Everything that could break this (NATS restarts, a lost message, a follower too
slow for its queue) ends alike: the queue is thrown away and the follower reads
on from the log, after the last event it gave.
"""

import asyncio
import logging
from collections import defaultdict, deque
from collections.abc import AsyncGenerator, Callable, Sequence

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, Header

from wtb.domain.cloud_event import WireEvent
from wtb.domain.event_log import EventLog
from wtb.domain.identifiers import Position, StreamName, execution_stream
from wtb.infra.nats.relay import DATA_LEFT_OUT
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

QUEUE = 1000
"""Live events that wait for one follower before it has to read them from the log."""

PAGE = 500
HEARTBEAT_SECONDS = 1.0
RETRY_SECONDS = 0.1
EVERYTHING = ""

logger = logging.getLogger(__name__)


class _Follower:
    """One reader's live events. While it is behind, they are left to the log."""

    def __init__(self) -> None:
        self.behind = True
        self.ended = False
        self._queue: deque[WireEvent] = deque()
        self._news = asyncio.Event()

    def offer(self, event: WireEvent) -> None:
        if self.behind:
            return
        if len(self._queue) == QUEUE:
            self.fall_behind()
            return
        self._queue.append(event)
        self._news.set()

    def fall_behind(self) -> None:
        self.behind = True
        self._queue.clear()
        self._news.set()

    def end(self) -> None:
        self.ended = True
        self._news.set()

    async def take(self) -> list[WireEvent]:
        """All that waits, once there is news; nothing when the news is another."""
        await self._news.wait()
        self._news.clear()
        taken = list(self._queue)
        self._queue.clear()
        return taken


class LiveEvents:
    """Follow the log as it grows. ``run`` must be running for anything new to arrive."""

    def __init__(self, log: EventLog, url: str) -> None:
        self._log = log
        self._url = url
        self._followers: defaultdict[str, set[_Follower]] = defaultdict(set)
        self._sequence: int | None = None
        self._heard = False
        self._reconnected = asyncio.Event()
        self.listening = False
        """Whether events arrive from NATS at the moment."""

    async def run(self) -> None:
        """Listen until cancelled; all followers end then."""
        try:
            async with connected(self._url, "wtb live events", self._reconnected.set) as client:
                while True:
                    stop_if_cancelled()
                    try:
                        await self._listen(client)
                    except TROUBLE as trouble:
                        logger.warning("listening again: %s: %s", type(trouble).__name__, trouble)
                        await asyncio.sleep(RETRY_SECONDS)
                    finally:
                        self.listening = False
        finally:
            self._tell_all(_Follower.end)

    async def batches(self, execution: str | None = None, after: int = 0) -> AsyncGenerator[Sequence[WireEvent], None]:
        """Like `follow`, as many events at a time as there are."""
        stream = execution_stream(execution) if execution is not None else None
        subject = subject_of(stream) if stream is not None else EVERYTHING
        follower = _Follower()
        self._followers[subject].add(follower)
        last = after
        try:
            while not follower.ended:
                if follower.behind:
                    follower.behind = False  # before the read: from here on, what isn't read is queued
                    full = True
                    while full:
                        page = await in_thread(self._past, last, stream)
                        full = len(page) == PAGE
                        if page:
                            last = page[-1].position
                            yield page
                elif news := [event for event in await follower.take() if event.position > last]:
                    last = news[-1].position
                    yield news
        finally:
            self._followers[subject].discard(follower)
            if not self._followers[subject]:
                del self._followers[subject]

    async def follow(self, execution: str | None = None, after: int = 0) -> AsyncGenerator[WireEvent, None]:
        """Events after a position, of one execution or of all: those there are, then those that come.

        Each exactly once, in order of position, for as long as ``run`` runs. A
        slow reader delays nobody and misses nothing. Close the iterator
        (``contextlib.aclosing``) to stop early.
        """
        async for batch in self.batches(execution, after):
            for event in batch:
                yield event

    def _past(self, after: int, stream: StreamName | None) -> list[WireEvent]:
        return [WireEvent.of(event) for event in self._log.log(after=after, limit=PAGE, stream=stream)]

    async def _listen(self, client: Client) -> None:
        """Take what comes from now on; returns when the subscription no longer lives."""
        js = client.jetstream(timeout=REQUEST_SECONDS)
        await open_stream(js)
        inbox = client.new_inbox()
        self._sequence = None
        self._reconnected.clear()
        subscription = await client.subscribe(inbox, cb=self._receive)
        try:
            await js.add_consumer(
                STREAM,
                ConsumerConfig(
                    description="wtb live events",
                    deliver_subject=inbox,
                    deliver_policy=DeliverPolicy.NEW,
                    ack_policy=AckPolicy.NONE,
                    idle_heartbeat=HEARTBEAT_SECONDS,
                    mem_storage=True,
                ),
            )
            self.listening = True
            self._tell_all(_Follower.fall_behind)  # whatever came before the consumer is in the log
            while not self._reconnected.is_set():
                self._heard = False
                stop_if_cancelled()
                await self._reconnection(3 * HEARTBEAT_SECONDS)
                if not self._heard:
                    return
        finally:
            await subscription.unsubscribe()

    async def _reconnection(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._reconnected.wait(), seconds)
        except TimeoutError:
            return

    async def _receive(self, message: Msg) -> None:
        self._heard = True
        headers = message.headers or {}
        if Header.STATUS in headers:  # a heartbeat: it names the last message sent
            self._expect(int(headers[Header.LAST_STREAM]), int(headers[Header.LAST_STREAM]))
            return
        sequence = message.metadata.sequence.stream
        self._expect(sequence - 1, sequence)
        subject, _, kind = message.subject.rpartition(".")
        event = WireEvent(Position(int(headers[Header.MSG_ID])), kind, message.data)
        for follower in (*self._followers.get(subject, ()), *self._followers.get(EVERYTHING, ())):
            if DATA_LEFT_OUT in headers:
                follower.fall_behind()
            else:
                follower.offer(event)

    def _expect(self, before: int, now: int) -> None:
        """Note where the stream is; a message missing before it sends everyone back to the log.

        So does the first one: it may come before the answer that the consumer is
        made, and what the consumer never saw is missing before it.
        """
        if self._sequence != before:
            self._tell_all(_Follower.fall_behind)
        self._sequence = now

    def _tell_all(self, news: Callable[[_Follower], None]) -> None:
        for followers in self._followers.values():
            for follower in followers:
                news(follower)
