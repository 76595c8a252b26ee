"""What a graph gave back, read from the record."""

from collections.abc import Mapping
from typing import Any

from wtb.domain.batch import TrialStatus
from wtb.domain.identifiers import ExecutionId
from wtb.infra.langgraph.graphs import RunnableGraph
from wtb.sdk.platform import Platform
from wtb.sdk.state import state_at


def output_of(
    platform: Platform, execution: ExecutionId, status: TrialStatus, graph: RunnableGraph
) -> Mapping[str, Any]:
    """The graph's output when it completed, else its state as last recorded. Raises `ValueMissing`."""
    state = state_at(platform, execution, None, "", graph).channels
    channels = graph.source.output_channels
    if status != "completed" or isinstance(channels, str):
        return state
    return {channel: state[channel] for channel in channels if channel in state}
