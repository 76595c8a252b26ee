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
from typing import Any, TypeVar, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
    PendingWrite,
    get_checkpoint_id,
    get_checkpoint_metadata,
    writes_sort_key,
)
from langgraph.checkpoint.serde.base import SerializerProtocol

from wtb.domain.errors import ExecutionTaken, InvalidRequest
from wtb.domain.event_log import Append, Origin, Recorded
from wtb.domain.execution import (
    CheckpointSaved,
    CheckpointsDeleted,
    NodeCompleted,
    NodeInterrupted,
    Write,
    WritesSaved,
)
from wtb.domain.identifiers import CheckpointId, Digest, Namespace, StreamName, TaskId, execution_of, execution_stream
from wtb.infra.event_store import values
from wtb.infra.event_store.index import CHECKPOINT_SCOPE, WRITES_SCOPE
from wtb.infra.event_store.journal import Committer, Journal
from wtb.infra.event_store.store import EventStore, Synchronous, open_store
from wtb.infra.langgraph.internals import CONTROL_WRITES, ERROR, START
from wtb.infra.langgraph.recording import Channels, Recording

RECORDINGS_KEPT = 512
"""How many threads' write positions a saver used alone remembers; others are read again."""
PAGE = 200
UNRECORDED_METADATA = frozenset(("output_dir",))
"""Keys of the run's config that aren't worth repeating in every checkpoint's metadata."""

# Named here because inside the class `list` is a method.
Doomed = list[tuple[Namespace, CheckpointId]]
TaskWrites = list[tuple[TaskId, Write]]
Pending = list[PendingWrite]

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

    def recording(self, thread: str) -> Recording:
        """The thread's recording: the one under way, or one that begins where its stream ends."""
        with self._lock:
            known = self._recordings.get(thread)
            if known is not None and known.journal.failure is None:
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

    def end(self, thread: str) -> None:
        """The thread is no longer recorded: what was noted is durable, or given up."""
        with self._lock:
            del self._recordings[thread]
            self.committer.busy -= 1

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
        thread, namespace, parent = _coordinates(config)
        recording = self.recording(thread)
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
            )
        )
        recording.channels[namespace] = (CheckpointId(checkpoint["id"]), channels)
        recording.superseded(parent)
        return recording, _config(thread, namespace, checkpoint["id"])

    def _channels_at(self, recording: Recording, namespace: Namespace, parent: CheckpointId | None) -> Channels:
        if parent is None:
            return {}
        known = recording.channels.get(namespace)
        if known is not None and known[0] == parent:
            return known[1]
        recording.commit()
        found = self.store.find(
            recording.journal.stream, CHECKPOINT_SCOPE, namespace=namespace, key=parent, newest_first=True, limit=1
        )
        return cast("CheckpointSaved", found[0][1].fact).channels if found else {}

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
        thread, namespace, checkpoint = _coordinates(config)
        recording = self.recording(thread)
        if recording.engine:
            # The graph's own entry only copies the input, and a shell has noted what its node wrote.
            if recording.covers(TaskId(task_id)) or task_path.endswith(f", {START}"):
                return None
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

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        thread, namespace, checkpoint = _coordinates(config)
        recording = self._settled(thread)
        if recording is not None:
            if recording.fresh and namespace not in recording.channels:
                return None  # this process has seen all there is
            recording.commit()
        return self._read_tuple(thread, namespace, checkpoint, config if checkpoint else None)

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        thread, namespace, checkpoint = _coordinates(config)
        recording = self._settled(thread)
        if recording is not None:
            if recording.fresh and namespace not in recording.channels:
                return None
            await recording.acommit()
        return await self._read(self._read_tuple, thread, namespace, checkpoint, config if checkpoint else None)

    def _settled(self, thread: str) -> Recording | None:
        with self._lock:
            return self._recordings.get(thread)

    async def _read(self, read: Callable[..., T], *args: Any) -> T:
        if self.store.commits_at_once:
            return read(*args)
        return await asyncio.to_thread(read, *args)

    def _read_tuple(
        self, thread: str, namespace: Namespace, checkpoint: CheckpointId | None, config: RunnableConfig | None
    ) -> CheckpointTuple | None:
        found = self.store.find(
            execution_stream(thread),
            CHECKPOINT_SCOPE,
            namespace=namespace,
            key=checkpoint,
            newest_first=True,
            limit=1,
        )
        return self._tuples([event for _, event in found], config)[0] if found else None

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
        for page in self._pages(config, filter, before, limit):
            yield from self._tuples(page)

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
        pages = self._pages(config, filter, before, limit)
        while page := await self._read(next, pages, None):
            for found in await self._read(self._tuples, page):
                yield found

    def _recordings_of(self, config: RunnableConfig | None) -> Sequence[Recording]:
        with self._lock:
            if config is None:
                return [*self._recordings.values()]
            known = self._recordings.get(_coordinates(config)[0])
            return [known] if known is not None else []

    def _pages(
        self,
        config: RunnableConfig | None,
        filter: dict[str, Any] | None,
        before: RunnableConfig | None,
        limit: int | None,
    ) -> Iterator[Sequence[Recorded]]:
        """Matching checkpoints, newest first, as many at a time as are worth holding."""
        thread = namespace = checkpoint = None
        if config is not None:
            thread = execution_stream(_coordinates(config)[0])
            namespace = config["configurable"].get("checkpoint_ns")
            checkpoint = get_checkpoint_id(config)
        bound = get_checkpoint_id(before) if before else None
        left = limit
        while left is None or left > 0:
            found = self.store.find(
                thread,
                CHECKPOINT_SCOPE,
                namespace=namespace,
                key=checkpoint,
                before=bound,
                newest_first=True,
                limit=PAGE if thread is not None else None,
            )
            page = [event for _, event in found if _matches(event, filter)]
            yield page[:left]
            if left is not None:
                left -= len(page)
            if checkpoint is not None or thread is None or len(found) < PAGE:
                return
            bound = cast("CheckpointSaved", found[-1][1].fact).checkpoint

    def _tuples(self, events: Sequence[Recorded], config: RunnableConfig | None = None) -> Sequence[CheckpointTuple]:
        """Checkpoint events as LangGraph's tuples: their pending writes and all values, in few queries."""
        saved = [(event.stream, cast("CheckpointSaved", event.fact)) for event in events]
        pending = [self._pending(stream, fact.namespace, fact.checkpoint) for stream, fact in saved]
        wanted = {digest for _, fact in saved for _, digest in fact.channels.values() if digest is not None}
        wanted |= {write.value for writes in pending for _, write in writes}
        loaded = self.load(wanted)
        return [
            _tuple(stream, fact, writes, loaded, config) for (stream, fact), writes in zip(saved, pending, strict=True)
        ]

    def load(self, digests: set[Digest]) -> dict[Digest, Any]:
        """The values that digests name. Raises `ValueMissing`."""
        return values.read(digests, self.store.values, self.serde)

    def _pending(
        self, stream: StreamName, namespace: Namespace, checkpoint: CheckpointId
    ) -> Sequence[tuple[TaskId, Write]]:
        """The writes that hang on a checkpoint, in LangGraph's order.

        A regular write stands once said; of the special ones (interrupt, resume,
        error) the last counts.
        """
        slots: dict[tuple[str, str, int], tuple[TaskId, Write]] = {}
        for _, event in self.store.find(stream, WRITES_SCOPE, namespace=namespace, key=checkpoint):
            fact = cast("NodeCompleted | NodeInterrupted | WritesSaved", event.fact)
            special = all(write.channel in WRITES_IDX_MAP for write in fact.writes)
            for place, write in enumerate(fact.writes):
                slot = writes_sort_key(fact.path, fact.task, WRITES_IDX_MAP.get(write.channel, place))
                if special or slot not in slots:
                    slots[slot] = (fact.task, write)
        return [slots[slot] for slot in sorted(slots)]

    def get_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        thread, namespace, checkpoint = _coordinates(config)
        for recording in self._recordings_of(config):
            recording.commit()
        return self._delta_history(execution_stream(thread), namespace, checkpoint, channels)

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        thread, namespace, checkpoint = _coordinates(config)
        for recording in self._recordings_of(config):
            await recording.acommit()
        return await self._read(self._delta_history, execution_stream(thread), namespace, checkpoint, channels)

    def _delta_history(
        self, stream: StreamName, namespace: Namespace, checkpoint: CheckpointId | None, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """Walks facts, not tuples, so that only these channels' values are read."""
        written: dict[str, TaskWrites] = {channel: [] for channel in channels}
        seeds: dict[str, Digest] = {}
        left = set(channels)
        fact = self._checkpoint(stream, namespace, checkpoint)
        while left and fact is not None and fact.parent is not None:
            fact = self._checkpoint(stream, namespace, fact.parent)
            if fact is None:
                break
            for task, write in reversed(self._pending(stream, namespace, fact.checkpoint)):
                if write.channel in left:
                    written[write.channel].append((task, write))
            for channel in left & fact.channels.keys():
                digest = fact.channels[channel][1]
                if digest is not None:
                    seeds[channel] = digest
            left -= seeds.keys()
        loaded = self.load({*seeds.values(), *(write.value for writes in written.values() for _, write in writes)})
        history: dict[str, DeltaChannelHistory] = {}
        for channel in channels:
            writes: Pending = [(task, channel, loaded[w.value]) for task, w in reversed(written[channel])]
            history[channel] = {"writes": writes}
            if channel in seeds:
                history[channel]["seed"] = loaded[seeds[channel]]
        return history

    def _checkpoint(
        self, stream: StreamName, namespace: Namespace, checkpoint: CheckpointId | None
    ) -> CheckpointSaved | None:
        found = self.store.find(
            stream, CHECKPOINT_SCOPE, namespace=namespace, key=checkpoint, newest_first=True, limit=1
        )
        return cast("CheckpointSaved", found[0][1].fact) if found else None

    # --- deleting, copying, pruning ----------------------------------------------------------------

    def delete_thread(self, thread_id: str) -> None:
        self._delete(thread_id, CheckpointsDeleted(reason="thread"))

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        for recording in self._recordings_of(None):
            recording.commit()
        doomed: dict[str, Doomed] = {}
        runs = set(run_ids)
        for _, event in self.store.find(None, CHECKPOINT_SCOPE):
            fact = cast("CheckpointSaved", event.fact)
            if fact.metadata.get("run_id") in runs:
                doomed.setdefault(event.stream, []).append((fact.namespace, fact.checkpoint))
        for stream, checkpoints in doomed.items():
            self._delete(execution_of(stream), CheckpointsDeleted(reason="run", checkpoints=tuple(checkpoints)))

    def _delete(self, thread: str, fact: CheckpointsDeleted) -> None:
        recording = self.recording(thread)
        recording.journal.note(fact)
        recording.channels.clear()
        recording.commit()

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        for recording in self._recordings_of(_config(source_thread_id, "", None)):
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
            for recording in self._recordings_of(_config(thread, "", None)):
                recording.commit()
            doomed = self._prunable(execution_stream(thread))
            if doomed:
                self._delete(thread, CheckpointsDeleted(reason="prune", checkpoints=tuple(doomed)))

    def _prunable(self, stream: StreamName) -> Sequence[tuple[Namespace, CheckpointId]]:
        by_namespace: dict[Namespace, dict[CheckpointId, CheckpointSaved]] = {}
        for _, event in self.store.find(stream, CHECKPOINT_SCOPE):
            fact = cast("CheckpointSaved", event.fact)
            by_namespace.setdefault(fact.namespace, {})[fact.checkpoint] = fact
        doomed: Doomed = []
        for namespace, saved in by_namespace.items():
            kept = saved[max(saved)]
            needed = {kept.checkpoint}
            # A delta channel without a value here is rebuilt from its ancestors' writes.
            unbuilt = {channel for channel, (_, digest) in kept.channels.items() if digest is None}
            unbuilt &= kept.metadata.get("counters_since_delta_snapshot", {}).keys()
            while unbuilt and kept.parent in saved:
                kept = saved[kept.parent]
                needed.add(kept.checkpoint)
                unbuilt -= {channel for channel, (_, digest) in kept.channels.items() if digest is not None}
            doomed.extend((namespace, checkpoint) for checkpoint in saved if checkpoint not in needed)
        return doomed

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


def _coordinates(config: RunnableConfig) -> tuple[str, Namespace, CheckpointId | None]:
    configurable = config["configurable"]
    checkpoint = configurable.get("checkpoint_id")
    return (
        str(configurable["thread_id"]),
        Namespace(configurable.get("checkpoint_ns") or ""),
        CheckpointId(checkpoint) if checkpoint else None,
    )


def _config(thread: str, namespace: str, checkpoint: str | None) -> RunnableConfig:
    return {"configurable": {"thread_id": thread, "checkpoint_ns": namespace, "checkpoint_id": checkpoint}}


def _matches(event: Recorded, filter: dict[str, Any] | None) -> bool:
    metadata = cast("CheckpointSaved", event.fact).metadata
    return all(metadata.get(key) == value for key, value in (filter or {}).items())


def _tuple(
    stream: StreamName,
    fact: CheckpointSaved,
    writes: Sequence[tuple[TaskId, Write]],
    loaded: Mapping[Digest, Any],
    config: RunnableConfig | None,
) -> CheckpointTuple:
    thread = execution_of(stream)
    return CheckpointTuple(
        config=config or _config(thread, fact.namespace, fact.checkpoint),
        checkpoint=Checkpoint(
            v=fact.format,
            id=fact.checkpoint,
            ts=fact.created,
            channel_values={c: loaded[digest] for c, (_, digest) in fact.channels.items() if digest is not None},
            channel_versions={c: version for c, (version, _) in fact.channels.items() if version != 0},
            versions_seen=cast("dict[str, ChannelVersions]", {n: dict(seen) for n, seen in fact.versions_seen.items()}),
            updated_channels=None if fact.updated is None else [*fact.updated],
        ),
        metadata=cast("CheckpointMetadata", dict(fact.metadata)),
        parent_config=_config(thread, fact.namespace, fact.parent) if fact.parent else None,
        pending_writes=[(task, write.channel, loaded[write.value]) for task, write in writes],
    )
