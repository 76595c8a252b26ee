"""The graphs this process knows, by workflow name."""

import threading
from collections.abc import Iterable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

from wtb.domain import workflow_decisions
from wtb.domain.errors import InvalidRequest, VariantNotFound, WorkflowNotFound
from wtb.domain.execution import ExecutionStarted
from wtb.domain.identifiers import LONGEST_NAME, is_name
from wtb.domain.workflow import OWN, WHOLE
from wtb.infra.langgraph.graphs import RunnableGraph, compiled
from wtb.infra.langgraph.variants import Variants
from wtb.sdk.claims import FindGraph
from wtb.sdk.platform import Platform

UNNAMED = "LangGraph"
"""What LangGraph calls a graph that was given no name."""


class Workflows:
    """Prepares graphs for running, each once, and remembers them by workflow."""

    def __init__(self, platform: Platform, default_name: str, variants: Variants) -> None:
        self._platform = platform
        self._default_name = default_name
        self._variants = variants
        self._prepared: WeakKeyDictionary[Any, RunnableGraph] = WeakKeyDictionary()
        self._by_name: dict[str, RunnableGraph] = {}
        self._noted: set[tuple[str, str, str, str]] = set()
        self._given: dict[str, object] = {}
        self._lock = threading.Lock()

    def register(self, graph: object, workflow: str | None) -> tuple[str, RunnableGraph]:
        """The workflow's name and its runnable graph.

        Raises `InvalidGraph`, `InvalidRequest` for a name that can't be stored, or `InvalidVariant` as `_note` does.

        Unnamed graphs go by the project's name.
        """
        ready = compiled(graph)
        name = workflow or (ready.name if ready.name != UNNAMED else self._default_name)
        if not is_name(name):
            raise InvalidRequest(
                f"{str(name)[:50]!r} can't name a workflow: not every store can hold it",
                hint=f"Use a text of up to {LONGEST_NAME} bytes.",
            )
        runnable = self.prepared(ready)
        self._note(name, runnable, self._variants.registered())
        self._by_name[name] = runnable
        self._given[name] = graph
        return name, runnable

    def given(self, workflow: str) -> object:
        """The graph that was registered last, as it was given: a `StateGraph` perhaps. Raises `WorkflowNotFound`."""
        found = self._given.get(workflow)
        if found is None:
            raise WorkflowNotFound(workflow)
        return found

    def prepared(self, graph: object) -> RunnableGraph:
        """A graph ready to be run that isn't thereby its workflow's. Raises `InvalidGraph`."""
        ready = compiled(graph)
        with self._lock:
            runnable = self._prepared.get(ready)
            if runnable is None:
                runnable = self._prepared[ready] = RunnableGraph(ready, self._platform.saver, self._variants)
            return runnable

    # --- choosing ---------------------------------------------------------------------------------

    def choose(
        self, workflow: str, graph: RunnableGraph, choices: Mapping[str, str]
    ) -> tuple[RunnableGraph, dict[str, str]]:
        """The graph that runs, and what runs in its nodes: what was promoted, and over it what is chosen.

        What was promoted for a node that the graph hasn't got counts for nothing.
        Costs one look at the workflow's stream. Raises `ArchivedWorkflow`,
        `RetiredVariant`, `VariantNotFound` or `InvalidVariant`.
        """
        state = self._platform.registry.state(workflow)
        chosen = workflow_decisions.choose(workflow, state, choices)
        promoted = chosen.keys() - choices.keys()
        self._check_promoted(workflow, chosen, promoted & {WHOLE})
        runs = self.standing_in(graph, chosen)
        chosen = {node: name for node, name in chosen.items() if node in {*choices, WHOLE, *runs.nodes}}
        self._check_promoted(workflow, chosen, promoted & chosen.keys())
        self._note(workflow, runs, chosen.items())
        return runs, chosen

    def choosing_anew(self, find: FindGraph, choices: Mapping[str, str]) -> FindGraph:
        """What finds the graph of an execution that begins where another stood, with choices of its own.

        It raises as ``find`` does, and `RetiredVariant` or `InvalidVariant`.
        """

        def found(started: ExecutionStarted) -> RunnableGraph:
            workflow_decisions.check_choices(self._platform.registry.state(started.workflow), choices)
            graph = find(started)
            self._note(started.workflow, graph, choices.items())
            return graph

        return found

    def _check_promoted(self, workflow: str, chosen: Mapping[str, str], nodes: Iterable[str]) -> None:
        for node in nodes:
            name = chosen[node]
            if not self._variants.knows(node, name):
                refusal = VariantNotFound(node, name)
                refusal.hint = (
                    f"It was promoted in workflow {workflow!r}, and isn't known to this process: register it with "
                    f"project.variant({node!r}, {name!r}, …), or choose {OWN!r} for the node."
                )
                raise refusal

    def _note(self, workflow: str, graph: RunnableGraph, variants: Iterable[tuple[str, str]]) -> None:
        """Have the store know the variants that the graph has nodes for, once something of the workflow is run.

        What was noted before costs nothing. Raises `InvalidVariant` for one that can't
        work in its node.
        """
        fresh = [
            (node, name)
            for node, name in variants
            if name != OWN
            and (node == WHOLE or node in graph.nodes)
            and (workflow, graph.version, node, name) not in self._noted
        ]
        if not fresh:
            return
        for node, name in fresh:
            graph.check_fit(node, name)
        facts = [self._variants.implementation(node, name).fact for node, name in fresh]
        self._platform.registry.announce(workflow, facts)
        self._noted.update((workflow, graph.version, node, name) for node, name in fresh)

    # --- finding ----------------------------------------------------------------------------------

    def standing_in(self, graph: RunnableGraph, variants: Mapping[str, str]) -> RunnableGraph:
        """The graph that runs under these choices: itself, or another one in its place. Raises `VariantNotFound`."""
        name = variants.get(WHOLE, OWN)
        return graph if name == OWN else self.prepared(self._variants.find(WHOLE, name))

    def named(self, workflow: str) -> RunnableGraph:
        """The graph of a workflow. Raises `WorkflowNotFound`."""
        found = self._by_name.get(workflow)
        if found is None:
            raise WorkflowNotFound(workflow)
        return found

    def find(self, started: ExecutionStarted) -> RunnableGraph:
        """The graph of an execution. Raises `WorkflowNotFound` or `VariantNotFound`."""
        return self.standing_in(self.named(started.workflow), started.variants)

    def get(self, started: ExecutionStarted | None) -> RunnableGraph | None:
        """The graph of an execution, if it is known here."""
        found = None if started is None else self._by_name.get(started.workflow)
        if started is None or found is None:
            return None
        try:
            return self.standing_in(found, started.variants)
        except VariantNotFound:
            return None
