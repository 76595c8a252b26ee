"""How events are found without reading their stream: (scope, namespace, key) to version."""

from typing import NamedTuple

from wtb.domain.execution import CheckpointSaved, ExecutionFact, NodeCompleted, NodeInterrupted, WritesSaved

LIFECYCLE_SCOPE = "life"
CHECKPOINT_SCOPE = "checkpoint"
WRITES_SCOPE = "writes"


class IndexEntry(NamedTuple):
    stream: str
    scope: str
    namespace: str
    key: str
    version: int


def entry_of(stream: str, version: int, fact: ExecutionFact, lifecycle: bool) -> IndexEntry | None:
    """Where an event is to be found, if by more than its version."""
    if isinstance(fact, CheckpointSaved):
        return IndexEntry(stream, CHECKPOINT_SCOPE, fact.namespace, fact.checkpoint, version)
    if isinstance(fact, NodeCompleted | NodeInterrupted | WritesSaved):
        if isinstance(fact, NodeCompleted) and fact.left_graph:
            return None  # the parent graph's checkpoint holds its effect
        return IndexEntry(stream, WRITES_SCOPE, fact.namespace, fact.checkpoint, version)
    if lifecycle:
        return IndexEntry(stream, LIFECYCLE_SCOPE, "", "", version)
    return None
