"""LangGraph's loops, told to go through a record: each checkpoint takes the name it had, and nothing is saved."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
)
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.errors import GraphBubbleUp, GraphInterrupt

from wtb.domain.execution import CheckpointSaved
from wtb.infra.langgraph.history import History, config_at
from wtb.infra.langgraph.internals import CONF, AsyncPregelLoop, SyncPregelLoop
from wtb.infra.langgraph.loops import G, running_with
from wtb.infra.langgraph.replay.divergence import SegmentEnd
from wtb.infra.langgraph.replay.places import PLACE, Place
from wtb.infra.langgraph.replay.replaying import Replaying


class ReplaySaver(BaseCheckpointSaver[str]):
    """Gives a loop the checkpoint its replay begins at; keeps nothing."""

    def __init__(self, replaying: Replaying, history: History, serde: SerializerProtocol) -> None:
        super().__init__(serde=serde)
        self.replaying = replaying
        self._history = history

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        place: Place | None = config[CONF].get(PLACE)
        start = None if place is None else place.start
        return None if start is None else self._tuple(start)

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        return self.get_tuple(config)

    def _tuple(self, saved: CheckpointSaved) -> CheckpointTuple:
        values = self.replaying.record.values
        return CheckpointTuple(
            config=config_at(self.replaying.record.execution, saved.namespace, saved.checkpoint),
            checkpoint=Checkpoint(
                v=saved.format,
                id=saved.checkpoint,
                ts=saved.created,
                channel_values={c: values[digest] for c, (_, digest) in saved.channels.items() if digest is not None},
                channel_versions={c: version for c, (version, _) in saved.channels.items() if version != 0},
                versions_seen=cast("dict[str, ChannelVersions]", {n: {**s} for n, s in saved.versions_seen.items()}),
                updated_channels=None if saved.updated is None else [*saved.updated],
            ),
            metadata=cast("CheckpointMetadata", dict(saved.metadata)),
            parent_config=None,
            pending_writes=[],
        )

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        return config

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        return config

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Keeps nothing."""

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Keeps nothing."""

    def get_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        return self._history.delta_channels(config, channels)

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        return self._history.delta_channels(config, channels)

    def get_next_version(self, current: str | int | float | None, channel: None) -> str:
        """Sorts after every version in the record; nothing here can collide, so nothing is random."""
        count = int(current.partition(".")[0], 16) if isinstance(current, str) else int(current or 0)
        return f"{count + 1:08x}"


class _Following:
    """What both loops do otherwise than LangGraph's own."""

    checkpoint_metadata: Any
    checkpoint: Any
    config: Any
    checkpointer: Any
    is_nested: bool
    output: Any

    def _begin(self) -> None:
        self.place: Place = self.config[CONF][PLACE]
        self.replaying: Replaying = self.place.replaying

    def tick(self) -> bool:
        self.replaying.channels.look(self.place, self)
        if self.replaying.ends_here(self.place):
            raise SegmentEnd
        try:
            more: bool = super().tick()  # type: ignore[misc]
        except GraphBubbleUp:
            raise
        except Exception as error:
            self.replaying.broken(self.place, self, error)
            raise
        self.replaying.prepared(self.place, self)
        return more

    def after_tick(self) -> None:
        try:
            super().after_tick()  # type: ignore[misc]
        except GraphBubbleUp:
            raise
        except Exception as error:
            self.replaying.broken(self.place, self, error)
            raise

    def _put_checkpoint(self, metadata: Any) -> None:
        if metadata is not self.checkpoint_metadata:  # it is on the way out, where LangGraph would save
            super()._put_checkpoint(metadata)  # type: ignore[misc]
            self.replaying.saved(self.place, self)

    def _put_exit_delta_writes(self) -> None:
        """Nothing is saved."""

    def _put_pending_writes(self) -> None:
        """Nothing is saved."""

    def _suppress_interrupt(self, kind: Any, error: Any, trace: Any) -> bool | None:
        if isinstance(error, GraphInterrupt) and not self.is_nested:
            self.replaying.paused = True
        suppressed: bool | None = super()._suppress_interrupt(kind, error, trace)  # type: ignore[misc]
        self.place.output = self.output
        return suppressed


class ReplayLoop(_Following, SyncPregelLoop):
    """The loop behind ``stream``."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._begin()


class AsyncReplayLoop(_Following, AsyncPregelLoop):
    """The loop behind ``astream``."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._begin()


def following_a_record(graph: G) -> G:
    """The graph itself, whose runs go through a record. Only for WTB's own copies of graphs."""
    return running_with(graph, ReplayLoop, AsyncReplayLoop)
