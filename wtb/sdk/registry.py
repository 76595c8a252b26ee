"""What the store knows of workflows: their versions and variants, decided upon by one process at a time."""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import cast

from wtb.domain import workflow_decisions as decisions
from wtb.domain.errors import InvalidRequest, VersionConflict
from wtb.domain.event_log import EMPTY_STREAM, Append, Origin, StreamHead
from wtb.domain.identifiers import is_storable, workflow_stream
from wtb.domain.workflow import VariantRegistered, Workflow, WorkflowFact, evolve
from wtb.infra.event_store.store import EventStore
from wtb.infra.langgraph.describing import described
from wtb.infra.langgraph.graphs import RunnableGraph

Decide = Callable[[Workflow], Sequence[WorkflowFact]]
"""A workflow as it stands to what becomes true of it; raises what refuses it."""


class Registry:
    """Workflows as they stand in the store. Safe to share between threads."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._known: dict[str, tuple[StreamHead, Workflow]] = {}
        self._noted: set[tuple[str, str]] = set()
        self._announced: dict[str, dict[tuple[str, str], VariantRegistered]] = {}
        self._lock = threading.Lock()

    def state(self, workflow: str) -> Workflow:
        """As it stands now, whoever changed it. Costs one look at its stream's end when nobody has."""
        return self._now(workflow)[1]

    def note(
        self,
        workflow: str,
        graph: RunnableGraph,
        origin: Origin,
        description: str | None = None,
        reference: str | None = None,
    ) -> None:
        """Have the store know a graph as a version of the workflow, and the variants announced; nothing when it does.

        ``description`` replaces the workflow's, unless None. What this process has
        noted before costs nothing. Raises `InvalidRequest` for what can't be a
        workflow's name, and `StoreError`.
        """
        waiting = list(self._announced.get(workflow, {}).values())
        if description is None and (workflow, graph.version) in self._noted and not waiting:
            return
        if not workflow or not is_storable(workflow):
            raise InvalidRequest(f"{workflow!r} can't name a workflow", hint="Give it a name that can be printed.")

        def known(state: Workflow) -> list[WorkflowFact]:
            # Describing takes longer than all else, so it is done only for what is new.
            new = graph.version not in state.versions
            versioned = decisions.version(state, described(graph.source, graph.version, reference)) if new else []
            varied = [fact for variant in waiting for fact in decisions.register_variant(state, variant)]
            return [*decisions.register(state, description), *versioned, *varied]

        self.decide(workflow, known, origin)
        self._noted.add((workflow, graph.version))
        with self._lock:
            for variant in waiting:
                self._announced[workflow].pop((variant.node, variant.name), None)

    def announce(self, workflow: str, variants: Iterable[VariantRegistered]) -> None:
        """Have `note` put these variants into the store with the next graph of the workflow.

        So a run that is refused has written nothing.
        """
        with self._lock:
            self._announced.setdefault(workflow, {}).update({(each.node, each.name): each for each in variants})

    def archive(self, workflow: str, reason: str, origin: Origin) -> None:
        """Have a workflow started no more; its executions stay what they are. Raises `WorkflowNotFound`."""
        self.decide(workflow, lambda state: decisions.archive(workflow, state, reason), origin)

    def restore(self, workflow: str, reason: str, origin: Origin) -> None:
        """Let an archived workflow be started again. Raises `WorkflowNotFound`."""
        self.decide(workflow, lambda state: decisions.restore(workflow, state, reason), origin)

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
