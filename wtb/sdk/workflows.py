"""The graphs this process knows, by workflow name."""

import threading
from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

from wtb.domain.errors import VariantNotFound, WorkflowNotFound
from wtb.domain.execution import ExecutionStarted
from wtb.domain.workflow import OWN, WHOLE
from wtb.infra.langgraph.checkpointer import EventSourcedSaver
from wtb.infra.langgraph.graphs import RunnableGraph, compiled
from wtb.infra.langgraph.variants import Variants

UNNAMED = "LangGraph"
"""What LangGraph calls a graph that was given no name."""


class Workflows:
    """Prepares graphs for running, each once, and remembers them by workflow."""

    def __init__(self, saver: EventSourcedSaver, default_name: str, variants: Variants) -> None:
        self._saver = saver
        self._default_name = default_name
        self._variants = variants
        self._prepared: WeakKeyDictionary[Any, RunnableGraph] = WeakKeyDictionary()
        self._by_name: dict[str, RunnableGraph] = {}
        self._lock = threading.Lock()

    def register(self, graph: object, workflow: str | None) -> tuple[str, RunnableGraph]:
        """The workflow's name and its runnable graph. Raises `InvalidGraph`.

        Unnamed graphs go by the project's name.
        """
        ready = compiled(graph)
        name = workflow or (ready.name if ready.name != UNNAMED else self._default_name)
        with self._lock:
            runnable = self._by_name[name] = self._prepare(ready)
        return name, runnable

    def prepared(self, graph: object) -> RunnableGraph:
        """A graph ready to be run that isn't thereby its workflow's. Raises `InvalidGraph`."""
        ready = compiled(graph)
        with self._lock:
            return self._prepare(ready)

    def _prepare(self, ready: Any) -> RunnableGraph:
        runnable = self._prepared.get(ready)
        if runnable is None:
            runnable = self._prepared[ready] = RunnableGraph(ready, self._saver, self._variants)
        return runnable

    def standing_in(self, graph: RunnableGraph, variants: Mapping[str, str]) -> RunnableGraph:
        """The graph that runs under these choices: itself, or another one in its place. Raises `VariantNotFound`."""
        name = variants.get(WHOLE, OWN)
        return graph if name == OWN else self.prepared(self._variants.find(WHOLE, name))

    def find(self, started: ExecutionStarted) -> RunnableGraph:
        """The graph of an execution. Raises `WorkflowNotFound` or `VariantNotFound`."""
        found = self._by_name.get(started.workflow)
        if found is None:
            raise WorkflowNotFound(started.workflow)
        return self.standing_in(found, started.variants)

    def get(self, started: ExecutionStarted | None) -> RunnableGraph | None:
        """The graph of an execution, if it is known here."""
        found = None if started is None else self._by_name.get(started.workflow)
        if started is None or found is None:
            return None
        try:
            return self.standing_in(found, started.variants)
        except VariantNotFound:
            return None
