"""LangGraph's checkpointer over the event store: every checkpoint and pending write is an event.

Implements ``langgraph.checkpoint.base.BaseCheckpointSaver``, sync and async on
one class, all eight capabilities of its conformance suite. Nothing is ever
overwritten: forks can't collide (versions end in a random number), resume and
interrupt writes keep their history and are folded on reading, deleted
checkpoints can no longer be found but their events stay.
"""

import asyncio
import random
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
    get_checkpoint_metadata,
)
from langgraph.checkpoint.serde.base import SerializerProtocol

from wtb.domain.errors import ExecutionTaken, InvalidRequest, WrongStatus, WtbError
from wtb.domain.event_log import Append, Origin
from wtb.domain.execution import CheckpointSaved, CheckpointsDeleted, WritesSaved
from wtb.domain.identifiers import CheckpointId, Digest, Namespace, StreamName, TaskId, execution_of, execution_stream
from wtb.infra.event_store.index import CHECKPOINT_SCOPE, WRITES_SCOPE
from wtb.infra.event_store.journal import Committer, Journal
from wtb.infra.event_store.store import EventStore, Synchronous, open_store
from wtb.infra.langgraph.history import History, config_at, coordinates
from wtb.infra.langgraph.internals import CONTROL_WRITES, ERROR
from wtb.infra.langgraph.recording import RECORDING, Channels, Recording

RECORDINGS_KEPT = 512
"""How many threads' write positions a saver used alone remembers; others are read again."""
UNRECORDED_METADATA = frozenset(("output_dir",))
"""Keys of the run's config that aren't worth repeating in every checkpoint's metadata."""

# Named here because inside the class `list` is a method.
Doomed = list[tuple[Namespace, CheckpointId]]

T = TypeVar("T")


class EventSourcedSaver(BaseCheckpointSaver[str]):
    """A LangGraph checkpointer that keeps every checkpoint as an event, in SQLite or Postgres.

    ::

        with EventSourcedSaver.from_conn_string("sqlite:///wtb.db") as saver:
            graph = builder.compile(checkpointer=saver)

    Used alone it commits each call before it returns. Safe to share between
    threads and event loops, and between shallow copies of itself.
    """

    def __init__(self, store: EventStore, *, serde: SerializerProtocol | None = None, actor: str = "langgraph") -> None:
        """``store`` is not closed by the saver; `from_conn_string` opens and closes one of its own."""
        super().__init__(serde=serde)
        self.store = store
        self._origin = Origin(actor)
        # SQLite's commit in mode NORMAL waits for no disk: a loop's own thread makes it fastest.
        self.committer = Committer(store, inline=store.commits_at_once)
        self._recordings: OrderedDict[str, Recording] = OrderedDict()
        self._lock = threading.Lock()

    @classmethod
    @contextmanager
    def from_conn_string(
        cls, conn_string: str, *, serde: SerializerProtocol | None = None, synchronous: Synchronous = "NORMAL"
    ) -> Iterator["EventSourcedSaver"]:
        """A saver on ``sqlite:///path``, a path, or ``postgresql://…``, closed with the context.

        Raises `StoreUnavailable`, `NotAStore` or `StoreTooNew`.
        """
        store = open_store(conn_string, synchronous)
        try:
            yield cls(store, serde=serde)
        finally:
            store.close()

    @classmethod
    @asynccontextmanager
    async def afrom_conn_string(
        cls, conn_string: str, *, serde: SerializerProtocol | None = None, synchronous: Synchronous = "NORMAL"
    ) -> AsyncIterator["EventSourcedSaver"]:
        """`from_conn_string` for ``async with``."""
        store = await asyncio.to_thread(open_store, conn_string, synchronous)
        try:
            yield cls(store, serde=serde)
        finally:
            await asyncio.to_thread(store.close)

    # --- recordings -------------------------------------------------------------------------------

    def recording(self, thread: str, config: RunnableConfig | None = None) -> Recording:
        """The thread's recording: the one under way, or one that begins where its stream ends.

        ``config`` tells on behalf of which run: one that was given up, or has ended,
        finds itself shut out. Raises what it was given up for, or `WrongStatus`.
        """
        asking: Recording | None = None if config is None else config["configurable"].get(RECORDING)
        with self._lock:
            known = self._recordings.get(thread)
            if asking is not None and asking is not known and asking.journal.stream == execution_stream(thread):
                raise asking.journal.failure or WrongStatus(thread, "no longer run by this", "go on")
            # A run that can't be recorded any more is given up: what LangGraph still has to say about it is not news.
            if known is not None and (known.engine or known.journal.failure is None):
                self._recordings.move_to_end(thread)
                return known
        stream = execution_stream(thread)
        journal = Journal(stream, self.store.head(stream), self._origin)
        began = Recording(journal, self.committer, engine=False, fresh=False)
        with self._lock:
            self._recordings[thread] = began
            idle = [t for t, r in self._recordings.items() if not r.engine and not r.journal.pending and t != thread]
            for old in idle[: max(0, len(self._recordings) - RECORDINGS_KEPT)]:
                del self._recordings[old]
        return began

    def begin(self, thread: str, recording: Recording) -> None:
        """Record this thread by ``recording`` until `end`. Raises `ExecutionTaken` while another one does."""
        with self._lock:
            known = self._recordings.get(thread)
            if known is not None and known.engine:
                raise ExecutionTaken(thread, "of this very process")
            self._recordings[thread] = recording
            self.committer.busy += 1

    def end(self, thread: str, recording: Recording) -> None:
        """The thread is no longer recorded by this: what was noted is durable, or given up."""
        with self._lock:
            if self._recordings.get(thread) is recording:
                del self._recordings[thread]
                self.committer.busy -= 1

    def give_up(self, thread: str, failure: WtbError) -> bool:
        """Have nobody record this thread any more; the run under way, if any, gets ``failure`` when it next says
        something. What it had noted and wasn't durable is lost. Whether there was such a run.
        """
        with self._lock:
            known = self._recordings.get(thread)
        if known is not None and known.engine:
            known.journal.failed(failure)
            self.committer.settle()
            self.end(thread, known)
            return True
        return False

    def queues(self, thread: str) -> bool:
        """Whether what is put for this thread is only queued, because a run says when it must be durable."""
        with self._lock:
            known = self._recordings.get(thread)
            return known is not None and known.engine

    def forget(self, thread: str) -> None:
        """Read where the thread's stream ends again before the next write."""
        with self._lock:
            self._recordings.pop(thread, None)

    # --- writing ----------------------------------------------------------------------------------

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        recording, stored = self._note_checkpoint(config, checkpoint, metadata)
        if not recording.engine:
            recording.commit()
        return stored

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        recording, stored = self._note_checkpoint(config, checkpoint, metadata)
        if not recording.engine:
            await recording.acommit()
        return stored

    def _note_checkpoint(
        self, config: RunnableConfig, checkpoint: Checkpoint, metadata: CheckpointMetadata
    ) -> tuple[Recording, RunnableConfig]:
        thread, namespace, parent = coordinates(config)
        recording = self.recording(thread, config)
        known = self._channels_at(recording, namespace, parent)
        held = checkpoint["channel_values"]
        channels: dict[str, tuple[str | int | float, Digest | None]] = {}
        for channel, version in checkpoint["channel_versions"].items():
            before = known.get(channel)
            if before is not None and before[0] == version:
                channels[channel] = before  # the version says it's unchanged: neither serialised nor stored again
            elif channel in held:
                digest = recording.name_value("(state)", channel, held[channel], self.serde)
                channels[channel] = (version, digest)
            else:
                channels[channel] = (version, None)
        for channel in held.keys() - channels.keys():
            # Not LangGraph's doing, but the interface allows values without a version.
            channels[channel] = (0, recording.name_value("(state)", channel, held[channel], self.serde))
        recording.journal.note(
            CheckpointSaved(
                checkpoint=CheckpointId(checkpoint["id"]),
                parent=parent,
                namespace=namespace,
                step=metadata.get("step", -1),
                source=metadata.get("source", "loop"),
                created=checkpoint["ts"],
                channels=channels,
                versions_seen=checkpoint["versions_seen"],
                updated=None if (updated := checkpoint.get("updated_channels")) is None else tuple(updated),
                metadata={
                    key: value
                    for key, value in get_checkpoint_metadata(config, metadata).items()
                    if key not in UNRECORDED_METADATA
                },
                format=checkpoint["v"],
                files=recording.keep_files(),
            )
        )
        recording.channels[namespace] = (CheckpointId(checkpoint["id"]), channels)
        recording.superseded(parent)
        return recording, config_at(thread, namespace, checkpoint["id"])

    def _channels_at(self, recording: Recording, namespace: Namespace, parent: CheckpointId | None) -> Channels:
        if parent is None:
            return {}
        known = recording.channels.get(namespace)
        if known is not None and known[0] == parent:
            return known[1]
        recording.commit()
        found = self.history.checkpoint(recording.journal.stream, namespace, parent)
        return found.channels if found is not None else {}

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        recording = self._note_writes(config, writes, task_id, task_path)
        if recording is not None:
            recording.commit()

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        recording = self._note_writes(config, writes, task_id, task_path)
        if recording is not None:
            await recording.acommit()

    def _note_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str
    ) -> Recording | None:
        """Note writes that aren't noted yet; the recording to commit, if that can't wait."""
        thread, namespace, checkpoint = coordinates(config)
        recording = self.recording(thread, config)
        if recording.engine:
            if recording.covers(TaskId(task_id)):
                return None  # a shell has noted what its node wrote
            if any(channel == ERROR for channel, _ in writes):
                # What a failed node had written would make it read as finished.
                writes = [write for write in writes if write[0] in CONTROL_WRITES]
        node = task_path.rpartition(", ")[2] or "(command)"
        recording.journal.note(
            WritesSaved(
                task=TaskId(task_id),
                namespace=namespace,
                checkpoint=checkpoint or CheckpointId(""),
                path=task_path,
                writes=recording.name_writes(node, writes, self.serde),
            )
        )
        return None if recording.engine else recording

    # --- reading ----------------------------------------------------------------------------------

    @property
    def history(self) -> History:
        """What the store holds of all threads."""
        return History(self.store, self.serde)

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        for recording in self._recordings_of(config):
            if _has_none_yet(recording, config):
                return None
            recording.commit()
        return self.history.tuple_at(config)

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        for recording in self._recordings_of(config):
            if _has_none_yet(recording, config):
                return None
            await recording.acommit()
        return await self._read(self.history.tuple_at, config)

    async def _read(self, read: Callable[..., T], *args: Any) -> T:
        if self.store.commits_at_once:
            return read(*args)
        return await asyncio.to_thread(read, *args)

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        for recording in self._recordings_of(config):
            recording.commit()
        for page in self.history.pages(config, filter, before, limit):
            yield from self.history.tuples(page)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        for recording in self._recordings_of(config):
            await recording.acommit()
        pages = self.history.pages(config, filter, before, limit)
        while page := await self._read(next, pages, None):
            for found in await self._read(self.history.tuples, page):
                yield found

    def _recordings_of(self, config: RunnableConfig | None) -> Sequence[Recording]:
        with self._lock:
            if config is None:
                return [*self._recordings.values()]
            known = self._recordings.get(coordinates(config)[0])
            return [known] if known is not None else []

    def get_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        for recording in self._recordings_of(config):
            recording.commit()
        return self.history.delta_channels(config, channels)

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        for recording in self._recordings_of(config):
            await recording.acommit()
        return await self._read(self.history.delta_channels, config, channels)

    # --- deleting, copying, pruning ----------------------------------------------------------------

    def delete_thread(self, thread_id: str) -> None:
        self._delete(thread_id, CheckpointsDeleted(reason="thread"))

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        for recording in self._recordings_of(None):
            recording.commit()
        doomed: dict[StreamName, Doomed] = {}
        runs = set(run_ids)
        for stream, fact in self.history.every(None):
            if fact.metadata.get("run_id") in runs:
                doomed.setdefault(stream, []).append((fact.namespace, fact.checkpoint))
        for stream, checkpoints in doomed.items():
            self._delete(execution_of(stream), CheckpointsDeleted(reason="run", checkpoints=tuple(checkpoints)))

    def _delete(self, thread: str, fact: CheckpointsDeleted) -> None:
        recording = self.recording(thread)
        recording.journal.note(fact)
        recording.channels.clear()
        recording.commit()

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        for recording in self._recordings_of(config_at(source_thread_id, "", None)):
            recording.commit()
        stream = execution_stream(source_thread_id)
        events = [event for scope in (CHECKPOINT_SCOPE, WRITES_SCOPE) for _, event in self.store.find(stream, scope)]
        events.sort(key=lambda event: event.version)
        target = execution_stream(target_thread_id)
        if events:
            self.store.append(
                [
                    Append(
                        target,
                        self.store.head(target),
                        [event.fact for event in events],
                        [event.time_us for event in events],
                        Origin(self._origin.actor, cause=f"copied from {source_thread_id}"),
                    )
                ]
            )
        self.forget(target_thread_id)

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Make old checkpoints unreadable: all (``delete``), or all but each namespace's newest (``keep_latest``).

        What the newest still needs to rebuild its delta channels is kept too.
        Raises `InvalidRequest` for another strategy.
        """
        if strategy not in ("keep_latest", "delete"):
            raise InvalidRequest(f"there is no prune strategy {strategy!r}", hint="Use keep_latest or delete.")
        for thread in thread_ids:
            if strategy == "delete":
                self._delete(thread, CheckpointsDeleted(reason="prune"))
                continue
            for recording in self._recordings_of(config_at(thread, "", None)):
                recording.commit()
            doomed = self.history.prunable(execution_stream(thread))
            if doomed:
                self._delete(thread, CheckpointsDeleted(reason="prune", checkpoints=tuple(doomed)))

    async def adelete_thread(self, thread_id: str) -> None:
        await asyncio.to_thread(self.delete_thread, thread_id)

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        await asyncio.to_thread(self.delete_for_runs, run_ids)

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        await asyncio.to_thread(self.copy_thread, source_thread_id, target_thread_id)

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        await asyncio.to_thread(lambda: self.prune(thread_ids, strategy=strategy))

    # --- versions ---------------------------------------------------------------------------------

    def get_next_version(self, current: str | int | float | None, channel: None) -> str:
        """``<count>.<random>``: counts sort as text, and two forks of one parent never share a version."""
        count = int(str(current).partition(".")[0], 16) if isinstance(current, str) else int(current or 0)
        return f"{count + 1:08x}.{random.getrandbits(32):08x}"


def _has_none_yet(recording: Recording, config: RunnableConfig) -> bool:
    """Whether this process has seen all there is of a thread, and no checkpoint where the config points."""
    return recording.fresh and coordinates(config)[1] not in recording.channels
