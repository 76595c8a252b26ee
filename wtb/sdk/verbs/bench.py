"""What every verb stands on: the project, the platform, and the graphs that are known here."""

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from langchain_core.runnables import RunnableConfig

from wtb.domain.errors import ExecutionNotFound
from wtb.domain.event_log import EMPTY_STREAM, Recorded
from wtb.domain.execution import BreakpointsSet, ExecutionStarted
from wtb.domain.identifiers import execution_stream, known_id
from wtb.infra.langgraph.graphs import RunnableGraph
from wtb.sdk.claims import Request
from wtb.sdk.platform import open_platform
from wtb.sdk.running import Emit, Options
from wtb.sdk.workflow_project import WorkflowProject
from wtb.sdk.workflows import Workflows


class Bench:
    """A project's platform, and the graphs that are known here; `TestBench` is what has the verbs."""

    def __init__(self, project: WorkflowProject) -> None:
        self.project = project
        self.platform = open_platform(
            project.location,
            project.output_dir,
            actor=project.actor,
            synchronous=project.synchronous,
            keep_files=project.keep_files,
            redact=project.redact,
        )
        self._workflows = Workflows(self.platform, project.name, project.variants)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the database. Executions under way in other threads must have ended."""
        self.platform.close()

    def __repr__(self) -> str:
        return f"TestBench({self.project.name!r}, {self.platform.store.name})"

    def _request(
        self,
        cause: str,
        graph: object | None = None,
        config: RunnableConfig | None = None,
        context: Any = None,
        actor: str | None = None,
        emit: Emit | None = None,
    ) -> Request:
        find = self._workflows.find
        if graph is not None:
            find = lambda started: self._registered(graph, started)  # noqa: E731
        return Request(find, self.platform.origin(cause=cause, actor=actor), Options(config, context), emit)

    def _registered(self, graph: object, started: ExecutionStarted) -> RunnableGraph:
        """A graph that was given for an execution's workflow, or what was chosen to run in its place."""
        return self._workflows.standing_in(self._workflows.register(graph, started.workflow)[1], started.variants)

    def _require(self, execution_id: str) -> list[Recorded]:
        """The execution's lifecycle; a bare checkpointer's thread has none, and counts as known."""
        facts, head = self.platform.store.lifecycle(execution_stream(known_id(execution_id)))
        if head == EMPTY_STREAM:
            raise ExecutionNotFound(execution_id)
        return facts


def breakpoints_at(before: Sequence[str], after: Sequence[str]) -> BreakpointsSet:
    """Breakpoints before and after nodes, each named once."""
    return BreakpointsSet(before=tuple(dict.fromkeys(before)), after=tuple(dict.fromkeys(after)))
