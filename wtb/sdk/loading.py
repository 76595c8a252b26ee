"""Where the graphs of a process that was started from a shell come from."""

from collections.abc import Mapping
from pathlib import Path

from wtb.domain.errors import InvalidSettings, WorkflowNotFound
from wtb.infra.langgraph.loader import (
    LANGGRAPH_JSON,
    GraphFile,
    load_attribute,
    load_graph,
    load_implementation,
    workflow_name,
)
from wtb.infra.references import Reference
from wtb.infra.settings import Settings
from wtb.sdk.workflows import UNNAMED

__all__ = ["GraphFile", "Graphs", "load_attribute", "load_graph", "load_implementation", "named_graph"]


def named_graph(reference: str) -> tuple[str, object]:
    """The graph at ``module:attribute``, and its own name, or the reference for one without.

    Raises `GraphNotFound` or `InvalidGraph`.
    """
    graph = load_graph(reference)
    own = getattr(graph, "name", UNNAMED)
    return own if own != UNNAMED else workflow_name(reference), graph


class Graphs:
    """What may be run here: the graphs that ``wtb.toml`` and a ``langgraph.json`` name, and whatever a person names.

    Nothing is imported before it is asked for.
    """

    def __init__(self, settings: Settings, *, here: bool = True) -> None:
        """``here``: whether the working folder's ``langgraph.json`` counts where the settings name none."""
        self._named = settings.langgraph_json
        self._path = settings.langgraph_json or (Path(LANGGRAPH_JSON) if here else None)
        self._workflows: Mapping[str, Reference] = settings.workflows
        self._file: GraphFile | None = None

    @property
    def file(self) -> GraphFile | None:
        """Raises `GraphNotFound` when the file was named and can't be read, or isn't one."""
        if self._file is None and self._path is not None and (self._named is not None or self._path.is_file()):
            self._file = GraphFile.read(self._path)
        return self._file

    @property
    def references(self) -> Mapping[str, str]:
        """Workflow to where its graph lies, of all that are configured.

        Raises `InvalidSettings` when both files name one, and as `file`.
        """
        in_file = {} if self.file is None else self.file.graphs
        if twice := sorted(in_file.keys() & self._workflows.keys()):
            assert self.file is not None
            raise InvalidSettings(
                f"workflow {twice[0]!r} is in [workflows] of the settings and in {self.file.path}",
                hint="Take it out of one of them.",
            )
        return {**in_file, **{id: reference.text for id, reference in self._workflows.items()}}

    def named(self, reference: str) -> tuple[str, object]:
        """A graph and its workflow's name.

        The name is the id for one that is configured, else the graph's own, or the
        reference for a graph without one. Raises `GraphNotFound`, `InvalidGraph` or
        `InvalidSettings`.
        """
        if ":" not in reference and (reference in self.references or self.file is not None):
            return reference, self._load(reference)
        return named_graph(reference)

    def of_workflow(self, workflow: str) -> object:
        """The graph that is configured under the workflow's name. Raises `WorkflowNotFound` and as `named`."""
        if workflow not in self.references:
            refusal = WorkflowNotFound(workflow)
            refusal.hint = (
                f"Name its graph with --graph module:attribute, or in a langgraph.json under {workflow!r}, "
                "or so in [workflows] of wtb.toml."
            )
            raise refusal
        return self._load(workflow)

    def _load(self, id: str) -> object:
        """Raises `GraphNotFound` or `InvalidGraph`."""
        reference = self._workflows.get(id)
        if reference is not None:
            return load_graph(*reference)
        assert self.file is not None
        return self.file.load(id)
