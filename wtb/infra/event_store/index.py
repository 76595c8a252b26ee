"""How events are found without reading their stream: (scope, namespace, key) to version."""

from typing import NamedTuple

from wtb.domain.event_log import AnyFact
from wtb.domain.execution import (
    CheckpointSaved,
    HeadMove,
    NodeCompleted,
    NodeInterrupted,
    WritesSaved,
)

LIFECYCLE_SCOPE = "life"
HEAD_SCOPE = "head"
"""Those of the lifecycle's facts that moved the head."""
CHECKPOINT_SCOPE = "checkpoint"
WRITES_SCOPE = "writes"


class IndexEntry(NamedTuple):
    stream: str
    scope: str
    namespace: str
    key: str
    version: int


def entries_of(stream: str, version: int, fact: AnyFact, lifecycle: bool) -> tuple[IndexEntry, ...]:
    """Where an event is to be found, if by more than its version."""
    if isinstance(fact, CheckpointSaved):
        return (IndexEntry(stream, CHECKPOINT_SCOPE, fact.namespace, fact.checkpoint, version),)
    if isinstance(fact, NodeCompleted | NodeInterrupted | WritesSaved):
        if isinstance(fact, NodeCompleted) and fact.left_graph:
            return ()  # the parent graph's checkpoint holds its effect
        return (IndexEntry(stream, WRITES_SCOPE, fact.namespace, fact.checkpoint, version),)
    if lifecycle:
        scopes = (LIFECYCLE_SCOPE, HEAD_SCOPE) if isinstance(fact, HeadMove) else (LIFECYCLE_SCOPE,)
        return tuple(IndexEntry(stream, scope, "", "", version) for scope in scopes)
    return ()
