"""LangGraph asked what would be, from a recorded checkpoint, without anything being recorded."""

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
)

from wtb.infra.langgraph.history import History


class AsCopied(BaseCheckpointSaver[str]):
    """Holds one durable checkpoint, under the name its copy will have; what is put is forgotten."""

    def __init__(self, history: History, at: RunnableConfig, to: RunnableConfig) -> None:
        """``at`` names the checkpoint, ``to`` what it goes by here."""
        super().__init__(serde=history.serde)
        self._history = history
        self._at = at
        self._to = to

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        found = self._history.tuple_at(self._at)
        if found is None:
            return None
        renamed: Checkpoint = {**found.checkpoint, "id": self._to["configurable"]["checkpoint_id"]}
        return CheckpointTuple(self._to, renamed, found.metadata, None, [])

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        return self.get_tuple(config)

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        return self._to

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        return self._to

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        pass

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        pass

    def get_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        return self._history.delta_channels(self._at, channels)

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        return self._history.delta_channels(self._at, channels)

    def get_next_version(self, current: str | int | float | None, channel: None) -> str:
        return f"{current or ''}+"
