"""States as checkpoints hold them."""

from datetime import datetime
from typing import cast

from wtb.domain.errors import CheckpointNotFound
from wtb.domain.execution import CheckpointSaved, ExecutionStarted
from wtb.domain.identifiers import CheckpointId, ExecutionId, Namespace, execution_stream, is_storable, node_path
from wtb.infra.event_store.index import CHECKPOINT_SCOPE, LIFECYCLE_SCOPE
from wtb.infra.langgraph.graphs import RunnableGraph, is_users
from wtb.infra.langgraph.history import DELTA_COUNTERS
from wtb.sdk.platform import Platform
from wtb.sdk.results import State


def state_at(
    platform: Platform, execution: ExecutionId, checkpoint: str | None, namespace: str, graph: RunnableGraph | None
) -> State:
    """The state at a checkpoint, or at the one the namespace stands at.

    ``graph`` lets its own types be built, delta channels be rebuilt, and channels
    that begin with a value be shown before they are written; without it there is
    the plain data that was stored. Raises `CheckpointNotFound`.
    """
    return state_of(platform, execution, find_checkpoint(platform, execution, checkpoint, namespace), graph)


def state_of(platform: Platform, execution: ExecutionId, fact: CheckpointSaved, graph: RunnableGraph | None) -> State:
    """The state that a checkpoint holds; ``graph`` as for `state_at`."""
    saver = graph.saver if graph is not None else platform.saver
    if graph is not None and DELTA_COUNTERS in fact.metadata and not fact.namespace:
        configurable = {"thread_id": execution, "checkpoint_id": fact.checkpoint}
        channels = dict(graph.graph.get_state({"configurable": configurable}).values)
    else:
        named = {c: digest for c, (_, digest) in fact.channels.items() if digest is not None and is_users(c)}
        loaded = saver.history.load(set(named.values()))
        channels = {channel: loaded[digest] for channel, digest in named.items()}
        if graph is not None:
            initial = graph.initial_values(node_path(fact.namespace, "").rstrip("/"))
            channels |= {c: value for c, value in initial.items() if is_users(c) and c not in channels}
    return State(execution, fact.checkpoint, fact.step, datetime.fromisoformat(fact.created), channels)


def find_checkpoint(
    platform: Platform, execution: ExecutionId, checkpoint: str | None, namespace: str = ""
) -> CheckpointSaved:
    """A checkpoint by its id, or the one the namespace stands at. Raises `CheckpointNotFound`."""
    if not (is_storable(checkpoint or "") and is_storable(namespace)):
        raise CheckpointNotFound(execution, checkpoint)
    stream = execution_stream(execution)
    named = None if checkpoint is None else CheckpointId(checkpoint)
    found = platform.saver.history.checkpoint(stream, Namespace(namespace), named)
    if found is None and checkpoint is not None:
        # It may be a nested graph's; most are the outermost one's, which the index finds at once.
        anywhere = platform.store.find(stream, CHECKPOINT_SCOPE, key=checkpoint, newest_first=True, limit=1)
        found = cast("CheckpointSaved", anywhere[0][1].fact) if anywhere else None
    if found is None:
        raise CheckpointNotFound(execution, checkpoint)
    return found


def started_of(platform: Platform, execution: ExecutionId) -> ExecutionStarted | None:
    """How an execution began; None for a bare checkpointer's thread, which is none."""
    found = platform.store.find(execution_stream(execution), LIFECYCLE_SCOPE, namespace="", key="", limit=1)
    return found[0][1].fact if found and isinstance(found[0][1].fact, ExecutionStarted) else None
