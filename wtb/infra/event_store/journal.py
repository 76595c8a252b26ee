"""What one execution has to say, kept in order until it is durable; many journals commit together.

A note is cheap and only queues. A commit makes everything noted so far durable,
in one transaction with whatever other journals wait at that moment. So a
superstep's end, its checkpoint and the next node's start cost one transaction,
and fifty executions at once hardly more than one.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

from langgraph.checkpoint.serde.base import SerializerProtocol

from wtb.domain.errors import InvalidState, StoreUnavailable, VersionConflict, WtbError
from wtb.domain.event_log import AnyFact, Append, Appended, Origin, Recorded, StreamHead, Value, recorded
from wtb.domain.execution import ExecutionFact
from wtb.domain.identifiers import Digest, Position, StreamName
from wtb.infra.event_store.store import EventStore
from wtb.infra.event_store.values import ValueWriter
from wtb.infra.redaction import MASK, Redaction

REBASES = 20
"""How often an append may find that others were first before it gives up."""

Amend = Callable[[ExecutionFact], ExecutionFact | None]
"""What a fact that isn't written yet becomes; None when it mustn't be written."""

Admit = Callable[[Sequence[Recorded]], Amend | None]
"""Looks at what others added to the stream meanwhile; raises when this writer must stop.

Returns how what it has to say changes because of that, if it does.
"""

Told = Callable[[Sequence[Recorded]], None]
"""Hears of events once they are durable; of others' too, where they come between."""


class Journal:
    """One stream's unwritten facts. Safe to share between threads."""

    def __init__(
        self,
        stream: StreamName,
        head: StreamHead,
        origin: Origin,
        *,
        admit: Admit | None = None,
        told: Told | None = None,
    ) -> None:
        self.stream = stream
        self.head = head
        self.origin = origin
        self.writer = ValueWriter()
        self._redaction: Redaction | None = None
        self.position = Position(0)
        """The position of the last event that is durable."""
        self.failure: WtbError | None = None
        """Why this journal can't be written any more; every later commit raises it."""
        self._admit = admit
        self._told = told
        self._lock = threading.Lock()
        self._facts: list[AnyFact] = []
        self._times: list[int] = []
        self._values: dict[Digest, Value] = {}

    def redact(self, redaction: Redaction | None) -> None:
        """From now on keep what must not be stored out of facts and values."""
        self._redaction = redaction
        self.writer.change = None if redaction is None else redaction.inside

    def note(self, fact: AnyFact, values: dict[Digest, Value] | None = None) -> None:
        """Queue a fact, with values it names."""
        if self._redaction is not None:
            fact = self._redaction.fact(fact)
        now = time.time_ns() // 1000
        with self._lock:
            self._facts.append(fact)
            self._times.append(now)
            if values:
                self._values.update(values)

    def value(self, value: Any, serde: SerializerProtocol, channel: str = "") -> Digest:
        """Name a value and queue what must be stored for it. Raises what the serializer raises."""
        if self._redaction is not None and self._redaction.names(channel) and value is not None:
            value = MASK
        values: dict[Digest, Value] = {}
        digest = self.writer.write(value, serde, values)
        if values:
            with self._lock:
                self._values.update(values)
        return digest

    def raw(self, kind: str, data: bytes) -> Digest:
        """Name bytes as they are and queue what must be stored for them."""
        values: dict[Digest, Value] = {}
        digest = self.writer.write_raw(kind, data, values)
        if values:
            with self._lock:
                self._values.update(values)
        return digest

    @property
    def pending(self) -> bool:
        return bool(self._facts)

    def take(self) -> Append | None:
        """What is queued, as one append; the queue is empty after. For the committer."""
        with self._lock:
            if not self._facts:
                return None
            append = Append(self.stream, self.head, self._facts, self._times, self.origin, self._values)
            self._facts, self._times, self._values = [], [], {}
        return append

    def done(self, append: Append, appended: Appended) -> None:
        """Hear that an append is durable. For the committer."""
        self.head = appended.head
        if not appended.positions:
            return  # all of it was taken back
        self.position = appended.positions[-1]
        if self._told is not None:
            self._told(recorded(append, appended))

    def failed(self, failure: WtbError) -> None:
        """Hear that an append can never be made. For the committer."""
        self.failure = failure
        self.writer.forget()

    def rebase(self, append: Append, added: Sequence[Recorded]) -> Append:
        """The append as it goes after what others added; or raises. For the committer."""
        amend = self._admit(added) if self._admit is not None else None
        self.head = StreamHead(added[-1].version, added[-1].chain)
        if self._told is not None:
            self._told(added)
        facts, times, values = append.facts, append.times_us, append.values
        if amend is not None:
            with self._lock:
                facts, times = _amended(amend, facts, times)
                self._facts, self._times = _amended(amend, self._facts, self._times)
                if not facts:
                    self._values, values = {**values, **self._values}, {}  # others' facts to come may name them
        return Append(append.stream, self.head, facts, times, append.origin, values)


def _amended(amend: Amend, facts: Sequence[AnyFact], times: Sequence[int]) -> tuple[list[AnyFact], list[int]]:
    kept = [
        (now, time)
        for fact, time in zip(facts, times, strict=True)
        if (now := amend(cast("ExecutionFact", fact))) is not None  # only executions' journals amend
    ]
    return [fact for fact, _ in kept], [time for _, time in kept]


class Committer:
    """Makes journals durable, as many as wait at a time in one transaction."""

    def __init__(self, store: EventStore, *, inline: bool) -> None:
        """``inline`` lets an event loop's own thread commit, for stores whose commit waits for no disk or server."""
        self.store = store
        self._inline = inline
        self.busy = 0
        """How many executions are under way; a single one needn't wait for others to join its transaction."""
        self._waiting: dict[Journal, None] = {}
        self._mutex = threading.Lock()
        self._leading = threading.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loops: dict[asyncio.AbstractEventLoop, dict[Journal, list[asyncio.Future[None]]]] = {}
        self._thread: ThreadPoolExecutor | None = None

    def commit(self, journal: Journal) -> None:
        """Return once everything noted is durable. Raises `StoreError`, `Conflict` or `InvalidState`."""
        with self._mutex:
            self._waiting[journal] = None
        # Whoever gets the lock commits for all who wait; the others then find nothing left to do.
        with self._leading:
            with self._mutex:
                batch, self._waiting = self._waiting, {}
            if batch:
                self._write(batch)
        if journal.failure is not None:
            raise journal.failure

    def settle(self) -> None:
        """Wait until what is being written now is durable, or isn't going to be."""
        with self._leading:
            pass

    def commit_together(self, *journals: Journal) -> None:
        """Make what several streams have noted durable in one transaction: all of it, or nothing.

        Raises as `commit`; then none of it is written, now or later.
        """
        with self._leading:
            taken = {journal: append for journal in journals if (append := journal.take()) is not None}
            try:
                for journal, made in zip(taken, self._all_at_once(taken), strict=True):
                    journal.done(*made)
            except WtbError as failure:
                for journal in taken:
                    journal.failed(failure)
                raise

    def _all_at_once(self, taken: dict[Journal, Append]) -> list[tuple[Append, Appended]]:
        for _ in range(REBASES):
            try:
                appended = self.store.append(list(taken.values()))
            except VersionConflict:
                made = [self.store.made(append) for append in taken.values()]
                if None not in made:  # as in `_write_one`
                    return list(zip(taken.values(), filter(None, made), strict=True))
                for journal, append in taken.items():
                    added = self.store.read(append.stream, after=append.head.version)
                    if added:
                        taken[journal] = journal.rebase(append, added)
            else:
                return list(zip(taken.values(), appended, strict=True))
        raise VersionConflict(next(iter(taken)).stream, next(iter(taken.values())).head.version)

    async def acommit(self, journal: Journal) -> None:
        """`commit` for coroutines: those of one loop that ask in the same turn share a transaction."""
        if self._inline and self.busy <= 1:
            self.commit(journal)
            return
        loop = asyncio.get_running_loop()
        asking = self._loops.get(loop)
        if asking is None:
            asking = self._loops[loop] = {}
            if self._inline:
                loop.call_soon(self._commit_turn, loop)
            else:
                task = loop.create_task(self._commit_turns(loop))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        future: asyncio.Future[None] = loop.create_future()
        asking.setdefault(journal, []).append(future)
        await future
        if journal.failure is not None:
            raise journal.failure

    def _commit_turn(self, loop: asyncio.AbstractEventLoop) -> None:
        asking = self._loops.pop(loop)
        try:
            with self._leading:
                self._write(asking)
        finally:
            _wake(asking)

    async def _commit_turns(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "wtb-commit")
        # One turn for the others to ask too; while a commit is under way, more gather for the next.
        try:
            await asyncio.sleep(0)
            while asking := self._loops[loop]:
                self._loops[loop] = {}
                try:
                    await loop.run_in_executor(self._thread, self._write_alone, asking)
                finally:
                    _wake(asking)
        finally:
            # Whoever asks after this task was cancelled begins another; who had asked before is cancelled too.
            for futures in self._loops.pop(loop).values():
                for future in futures:
                    future.cancel()

    def _write_alone(self, journals: Iterable[Journal]) -> None:
        with self._leading:
            self._write(journals)

    def _write(self, journals: Iterable[Journal]) -> None:
        taken = {j: append for j in journals if j.failure is None and (append := j.take()) is not None}
        if not taken:
            return
        try:
            self._append(taken)
        except BaseException as crash:  # told to whoever waits, lest they take it for durable
            for journal in taken:
                journal.failed(StoreUnavailable(f"a commit broke off: {crash!r}"))
            if not isinstance(crash, Exception):
                raise

    def _append(self, taken: dict[Journal, Append]) -> None:
        """Take out each journal that is done or has failed."""
        if len(taken) > 1:
            try:
                done = self.store.append(list(taken.values()))
            except (VersionConflict, InvalidState):
                pass  # one of them; find out which, one at a time
            except WtbError as failure:
                while taken:
                    taken.popitem()[0].failed(failure)
                return
            else:
                for (journal, append), appended in zip(list(taken.items()), done, strict=True):
                    del taken[journal]
                    journal.done(append, appended)
                return
        for journal, append in list(taken.items()):
            try:
                made = self._write_one(journal, append)
            except WtbError as failure:
                del taken[journal]
                journal.failed(failure)
            else:
                del taken[journal]
                journal.done(*made)

    def _write_one(self, journal: Journal, append: Append) -> tuple[Append, Appended]:
        for _ in range(REBASES):
            try:
                return append, self.store.append([append])[0]
            except VersionConflict:
                # A connection lost after the server's commit is tried again, and meets its own events.
                made = self.store.made(append)
                if made is not None:
                    return append, made
                added = self.store.read(append.stream, after=append.head.version)
                if not added:
                    continue
                append = journal.rebase(append, added)
        raise VersionConflict(append.stream, append.head.version)

    def close(self) -> None:
        if self._thread is not None:
            self._thread.shutdown()


def _wake(asking: dict[Journal, list[asyncio.Future[None]]]) -> None:
    for futures in asking.values():
        for future in futures:
            if not future.done():
                future.set_result(None)
