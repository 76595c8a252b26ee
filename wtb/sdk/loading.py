"""Where the graphs of a process that was started from a shell come from."""

from pathlib import Path

from wtb.domain.errors import WorkflowNotFound
from wtb.infra.langgraph.loader import (
    LANGGRAPH_JSON,
    GraphFile,
    load_graph,
    load_implementation,
    workflow_name,
)
from wtb.sdk.workflows import UNNAMED

__all__ = ["GraphFile", "Graphs", "load_graph", "load_implementation"]


class Graphs:
    """What may be run here: the graphs of a ``langgraph.json``, and whatever a person names.

    Nothing is imported before it is asked for.
    """

    def __init__(self, langgraph_json: Path | None = None) -> None:
        """``langgraph_json``: the file; the working folder's, if it has one, when None."""
        self._path = langgraph_json
        self._file: GraphFile | None = None

    @property
    def file(self) -> GraphFile | None:
        """Raises `GraphNotFound` when the file was named and can't be read, or isn't one."""
        if self._file is None and (self._path is not None or Path(LANGGRAPH_JSON).is_file()):
            self._file = GraphFile.read(self._path or Path(LANGGRAPH_JSON))
        return self._file

    def named(self, reference: str) -> tuple[str, object]:
        """A graph and its workflow's name.

        The name is the id for an id of ``langgraph.json``, else the graph's own,
        or the reference for a graph without one. Raises `GraphNotFound` or
        `InvalidGraph`.
        """
        if ":" not in reference and self.file is not None:
            return reference, self.file.load(reference)
        graph = load_graph(reference)
        own = getattr(graph, "name", UNNAMED)
        return own if own != UNNAMED else workflow_name(reference), graph

    def of_workflow(self, workflow: str) -> object:
        """The graph whose id in ``langgraph.json`` is the workflow's name. Raises `WorkflowNotFound` and as `named`."""
        if self.file is None or workflow not in self.file.graphs:
            refusal = WorkflowNotFound(workflow)
            refusal.hint = f"Name its graph with --graph module:attribute, or in a langgraph.json under {workflow!r}."
            raise refusal
        return self.file.load(workflow)
