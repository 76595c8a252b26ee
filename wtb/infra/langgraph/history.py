"""Checkpoints as LangGraph reads them: found in the event store, put together with their values and writes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
    PendingWrite,
    get_checkpoint_id,
    writes_sort_key,
)
from langgraph.checkpoint.serde.base import SerializerProtocol

from wtb.domain.event_log import Recorded
from wtb.domain.execution import CheckpointSaved, HeadMove, NodeCompleted, NodeInterrupted, Write, WritesSaved
from wtb.domain.identifiers import (
    NULL_DIGEST,
    CheckpointId,
    Digest,
    Namespace,
    StreamName,
    TaskId,
    execution_of,
    execution_stream,
)
from wtb.infra.event_store import values
from wtb.infra.event_store.index import CHECKPOINT_SCOPE, HEAD_SCOPE, WRITES_SCOPE
from wtb.infra.event_store.store import EventStore

PAGE = 200
DELTA_COUNTERS = "counters_since_delta_snapshot"
"""LangGraph's note in a checkpoint that some channels' values are to be rebuilt from writes."""


COPY_OF = "copy_of"
"""In a checkpoint's metadata: the execution, namespace and checkpoint that it is a copy of, where a branch begins."""


def coordinates(config: RunnableConfig) -> tuple[str, Namespace, CheckpointId | None]:
    """The thread, the namespace and the checkpoint that a config names."""
    configurable = config["configurable"]
    checkpoint = configurable.get("checkpoint_id")
    return (
        str(configurable["thread_id"]),
        Namespace(configurable.get("checkpoint_ns") or ""),
        CheckpointId(checkpoint) if checkpoint else None,
    )


def config_at(thread: str, namespace: str, checkpoint: str | None) -> RunnableConfig:
    """The config that names a checkpoint."""
    return {"configurable": {"thread_id": thread, "checkpoint_ns": namespace, "checkpoint_id": checkpoint}}


@dataclass(frozen=True, slots=True)
class History:
    """What checkpoints a store holds. What a recording has only noted must be committed before it can be seen."""

    store: EventStore
    serde: SerializerProtocol

    def checkpoint(
        self, stream: StreamName, namespace: Namespace, checkpoint: CheckpointId | None
    ) -> CheckpointSaved | None:
        """A checkpoint, or the one its namespace stands at."""
        if checkpoint is None:
            return self.head(stream, namespace)
        found = self.store.find(
            stream, CHECKPOINT_SCOPE, namespace=namespace, key=checkpoint, newest_first=True, limit=1
        )
        return _saved(found[0][1]) if found else None

    def head(self, stream: StreamName, namespace: Namespace) -> CheckpointSaved | None:
        """Where a namespace stands: its newest checkpoint, unless the execution's head was moved since."""
        newest = self.store.find(stream, CHECKPOINT_SCOPE, namespace=namespace, newest_first=True, limit=1)
        if namespace:
            return _saved(newest[0][1]) if newest else None
        moves = self.store.find(stream, HEAD_SCOPE, namespace="", key="", newest_first=True, limit=1)
        if moves and (not newest or newest[0][1].version < moves[0][1].version):
            return self.checkpoint(stream, namespace, cast("HeadMove", moves[0][1].fact).head)
        return _saved(newest[0][1]) if newest else None

    def every(self, stream: StreamName | None) -> list[tuple[StreamName, CheckpointSaved]]:
        """Every checkpoint of a stream, or of all streams, oldest first."""
        return [(event.stream, _saved(event)) for _, event in self.store.find(stream, CHECKPOINT_SCOPE)]

    def tuple_at(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The checkpoint a config names, or the one its namespace stands at."""
        thread, namespace, checkpoint = coordinates(config)
        stream = execution_stream(thread)
        fact = self.checkpoint(stream, namespace, checkpoint)
        if fact is None:
            return None
        return self.tuples([(stream, fact)], config if checkpoint else None)[0]

    def pages(
        self,
        config: RunnableConfig | None,
        filter: dict[str, Any] | None,
        before: RunnableConfig | None,
        limit: int | None,
    ) -> Iterator[Sequence[tuple[StreamName, CheckpointSaved]]]:
        """Matching checkpoints, newest first, as many at a time as are worth holding."""
        stream = namespace = checkpoint = None
        if config is not None:
            stream = execution_stream(coordinates(config)[0])
            namespace = config["configurable"].get("checkpoint_ns")
            checkpoint = get_checkpoint_id(config)
        bound = get_checkpoint_id(before) if before else None
        left = limit
        while left is None or left > 0:
            found = self.store.find(
                stream,
                CHECKPOINT_SCOPE,
                namespace=namespace,
                key=checkpoint,
                before=bound,
                newest_first=True,
                limit=PAGE if stream is not None else None,
            )
            page = [(event.stream, fact) for _, event in found if _matches(fact := _saved(event), filter)]
            yield page[:left]
            if left is not None:
                left -= len(page)
            if checkpoint is not None or stream is None or len(found) < PAGE:
                return
            bound = _saved(found[-1][1]).checkpoint

    def tuples(
        self, saved: Sequence[tuple[StreamName, CheckpointSaved]], config: RunnableConfig | None = None
    ) -> list[CheckpointTuple]:
        """Checkpoints with all their values and pending writes, in few queries."""
        pending = [self._pending(stream, fact.namespace, fact.checkpoint) for stream, fact in saved]
        wanted = {digest for _, fact in saved for _, digest in fact.channels.values() if digest is not None}
        wanted |= {write.value for writes in pending for _, write in writes}
        loaded = self.load(wanted)
        return [
            _tuple(stream, fact, writes, loaded, config) for (stream, fact), writes in zip(saved, pending, strict=True)
        ]

    def check_values(self, checkpoints: Sequence[CheckpointSaved]) -> None:
        """Raise `ValueMissing` when something that checkpoints hold is no longer stored."""
        named = {digest for fact in checkpoints for _, digest in fact.channels.values() if digest is not None}
        gone = self.store.missing(named - {NULL_DIGEST})
        if gone:
            self.load(gone)  # says what became of it

    def load(self, digests: set[Digest]) -> Mapping[Digest, Any]:
        """The values that digests name, each made anew when it is asked for. Raises `ValueMissing`."""
        return values.read(digests, self.store.values, self.serde)

    def _pending(
        self, stream: StreamName, namespace: Namespace, checkpoint: CheckpointId
    ) -> list[tuple[TaskId, Write]]:
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

    def delta_channels(self, config: RunnableConfig, channels: Sequence[str]) -> dict[str, DeltaChannelHistory]:
        """What rebuilds delta channels: their last stored values and the writes since.

        Walks facts, not tuples, so that only these channels' values are read.
        """
        thread, namespace, checkpoint = coordinates(config)
        stream = execution_stream(thread)
        written: dict[str, list[tuple[TaskId, Write]]] = {channel: [] for channel in channels}
        seeds: dict[str, Digest] = {}
        left = set(channels)
        fact = self.checkpoint(stream, namespace, checkpoint)
        while left and fact is not None:
            if COPY_OF in fact.metadata:
                # It holds what its original holds: the past is the original's.
                execution, within, original = fact.metadata[COPY_OF]
                stream = execution_stream(execution)
                fact = self.checkpoint(stream, Namespace(within), CheckpointId(original))
                continue
            fact = self.checkpoint(stream, fact.namespace, fact.parent) if fact.parent is not None else None
            if fact is None:
                break
            for task, write in reversed(self._pending(stream, fact.namespace, fact.checkpoint)):
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
            writes: list[PendingWrite] = [(task, channel, loaded[w.value]) for task, w in reversed(written[channel])]
            history[channel] = {"writes": writes}
            if channel in seeds:
                history[channel]["seed"] = loaded[seeds[channel]]
        return history

    def prunable(self, stream: StreamName) -> list[tuple[Namespace, CheckpointId]]:
        """All checkpoints but each namespace's newest, and those it needs to rebuild its delta channels."""
        by_namespace: dict[Namespace, dict[CheckpointId, CheckpointSaved]] = {}
        for _, fact in self.every(stream):
            by_namespace.setdefault(fact.namespace, {})[fact.checkpoint] = fact
        prunable: list[tuple[Namespace, CheckpointId]] = []
        for namespace, saved in by_namespace.items():
            kept = saved[max(saved)]
            needed = {kept.checkpoint}
            # A delta channel without a value here is rebuilt from its ancestors' writes.
            unbuilt = {channel for channel, (_, digest) in kept.channels.items() if digest is None}
            unbuilt &= kept.metadata.get(DELTA_COUNTERS, {}).keys()
            while unbuilt and kept.parent in saved:
                kept = saved[kept.parent]
                needed.add(kept.checkpoint)
                unbuilt -= {channel for channel, (_, digest) in kept.channels.items() if digest is not None}
            prunable.extend((namespace, checkpoint) for checkpoint in saved if checkpoint not in needed)
        return prunable


def _saved(event: Recorded) -> CheckpointSaved:
    return cast("CheckpointSaved", event.fact)


def _matches(fact: CheckpointSaved, filter: dict[str, Any] | None) -> bool:
    return all(fact.metadata.get(key) == value for key, value in (filter or {}).items())


def _tuple(
    stream: StreamName,
    fact: CheckpointSaved,
    writes: Sequence[tuple[TaskId, Write]],
    loaded: Mapping[Digest, Any],
    config: RunnableConfig | None,
) -> CheckpointTuple:
    thread = execution_of(stream)
    return CheckpointTuple(
        config=config or config_at(thread, fact.namespace, fact.checkpoint),
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
        parent_config=config_at(thread, fact.namespace, fact.parent) if fact.parent else None,
        pending_writes=[(task, write.channel, loaded[write.value]) for task, write in writes],
    )
