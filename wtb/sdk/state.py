"""States as checkpoints hold them."""

from datetime import datetime
from typing import cast

from wtb.domain.errors import CheckpointNotFound
from wtb.domain.event_log import Recorded
from wtb.domain.execution import CheckpointSaved, ExecutionStarted
from wtb.domain.identifiers import ExecutionId, execution_stream, node_path
from wtb.infra.event_store.index import CHECKPOINT_SCOPE, LIFECYCLE_SCOPE
from wtb.infra.langgraph.graphs import RunnableGraph
from wtb.infra.langgraph.history import DELTA_COUNTERS
from wtb.sdk.platform import Platform
from wtb.sdk.results import State


def state_at(
    platform: Platform, execution: ExecutionId, checkpoint: str | None, namespace: str, graph: RunnableGraph | None
) -> State:
    """The state at a checkpoint, or at the newest one of the namespace.

    ``graph`` lets its own types be built, delta channels be rebuilt, and channels
    that begin with a value be shown before they are written; without it there is
    the plain data that was stored. Raises `CheckpointNotFound`.
    """
    # A named checkpoint may be a nested graph's; most are the outermost one's, which the index finds at once.
    namespaces: tuple[str | None, ...] = (namespace,) if checkpoint is None else (namespace, None)
    found = next(filter(None, (_find(platform, execution, within, checkpoint) for within in namespaces)), None)
    if found is None:
        raise CheckpointNotFound(execution, checkpoint)
    fact = cast("CheckpointSaved", found.fact)
    saver = graph.saver if graph is not None else platform.saver
    if graph is not None and DELTA_COUNTERS in fact.metadata and not fact.namespace:
        configurable = {"thread_id": execution, "checkpoint_id": fact.checkpoint}
        channels = dict(graph.graph.get_state({"configurable": configurable}).values)
    else:
        named = {c: digest for c, (_, digest) in fact.channels.items() if digest is not None and _is_users(c)}
        loaded = saver.history.load(set(named.values()))
        channels = {channel: loaded[digest] for channel, digest in named.items()}
        if graph is not None:
            initial = graph.initial_values(node_path(fact.namespace, "").rstrip("/"))
            channels |= {c: value for c, value in initial.items() if _is_users(c) and c not in channels}
    return State(execution, fact.checkpoint, fact.step, datetime.fromisoformat(fact.created), channels)


def workflow_of(platform: Platform, execution: ExecutionId) -> str | None:
    """The workflow that an execution runs; None for a bare checkpointer's thread, which has none."""
    found = platform.store.find(execution_stream(execution), LIFECYCLE_SCOPE, namespace="", key="", limit=1)
    return found[0][1].fact.workflow if found and isinstance(found[0][1].fact, ExecutionStarted) else None


def _find(platform: Platform, execution: ExecutionId, namespace: str | None, checkpoint: str | None) -> Recorded | None:
    found = platform.store.find(
        execution_stream(execution), CHECKPOINT_SCOPE, namespace=namespace, key=checkpoint, newest_first=True, limit=1
    )
    return found[0][1] if found else None


def _is_users(channel: str) -> bool:
    """Whether a channel is the graph's own, not LangGraph's machinery."""
    return not channel.startswith(("__", "branch:to:", "join:"))
