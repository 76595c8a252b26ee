"""What the store knows of workflows: their versions and variants, decided upon by one process at a time."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import cast

from wtb.domain.errors import VersionConflict
from wtb.domain.event_log import EMPTY_STREAM, Append, Origin, StreamHead
from wtb.domain.identifiers import workflow_stream
from wtb.domain.workflow import Workflow, WorkflowFact, evolve
from wtb.infra.event_store.store import EventStore

Decide = Callable[[Workflow], Sequence[WorkflowFact]]
"""A workflow as it stands to what becomes true of it; raises what refuses it."""


class Registry:
    """Workflows as they stand in the store. Safe to share between threads."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._known: dict[str, tuple[StreamHead, Workflow]] = {}
        self._lock = threading.Lock()

    def state(self, workflow: str) -> Workflow:
        """As it stands now, whoever changed it. Costs one look at its stream's end when nobody has."""
        return self._now(workflow)[1]

    def decide(self, workflow: str, decide: Decide, origin: Origin) -> Workflow:
        """Make true what ``decide`` says of the workflow as it stands; as it is then.

        Asked again when another process was first. Raises what ``decide`` raises,
        and `StoreError`.
        """
        while True:
            head, state = self._now(workflow)
            facts = decide(state)
            if not facts:
                return state
            now = time.time_ns() // 1000
            try:
                self._store.append([Append(workflow_stream(workflow), head, facts, [now] * len(facts), origin)])
            except VersionConflict:
                continue  # it is no longer as it was when looked at: look again
            return self.state(workflow)

    def _now(self, workflow: str) -> tuple[StreamHead, Workflow]:
        stream = workflow_stream(workflow)
        head, state = self._known.get(workflow, (EMPTY_STREAM, Workflow()))
        now = self._store.head(stream)
        if now == head:
            return head, state
        for event in self._store.read(stream, after=head.version):
            state, head = evolve(state, cast("WorkflowFact", event.fact)), StreamHead(event.version, event.chain)
        with self._lock:
            if head.version > self._known.get(workflow, (EMPTY_STREAM, state))[0].version:
                self._known[workflow] = (head, state)
        return head, state
