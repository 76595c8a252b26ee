"""The bench: one line per verb; the work lives in the room named after it."""

from collections.abc import Mapping
from types import TracebackType
from typing import Any

from langchain_core.runnables import RunnableConfig

from wtb.domain.errors import CheckpointNotFound, Conflict, ExecutionNotFound, NotFound
from wtb.domain.event_log import EMPTY_STREAM, Recorded
from wtb.domain.identifiers import Position, execution_stream, known_id, new_id
from wtb.projections import checkpoints, executions, steps
from wtb.projections.checkpoints import Checkpoint
from wtb.projections.executions import Execution
from wtb.projections.page import Page, check_limit, check_position
from wtb.projections.steps import Step
from wtb.sdk import beginnings
from wtb.sdk.beginnings import UNANSWERED
from wtb.sdk.platform import new_execution_id, open_platform
from wtb.sdk.results import Recovery, RunResult, State, Status, Unrecovered
from wtb.sdk.running import Emit, Options, Run, adrive, drive
from wtb.sdk.state import state_at, workflow_of
from wtb.sdk.streaming import AsyncRunStream, RunStream
from wtb.sdk.workflow_project import WorkflowProject
from wtb.sdk.workflows import Workflows


class TestBench:
    """Runs a project's workflows with everything recorded, and answers what was recorded.

    Also a context manager. Safe to share between threads. Opening one raises
    `StoreError` when the project's database can't be used.
    """

    __test__ = False  # not a test class, for all that pytest can see

    def __init__(self, project: WorkflowProject) -> None:
        self.project = project
        self.platform = open_platform(
            project.location, project.output_dir, actor=project.actor, synchronous=project.synchronous
        )
        self._workflows = Workflows(self.platform.saver, project.name, project.variants)

    def __enter__(self) -> "TestBench":
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

    # --- running ----------------------------------------------------------------------------------

    def register(self, graph: object, *, workflow: str | None = None) -> str:
        """Make a graph known under a workflow's name, so that `resume` and `recover` find it. Returns the name."""
        return self._workflows.register(graph, workflow)[0]

    def run(
        self,
        graph: object,
        initial_state: Any,
        *,
        workflow: str | None = None,
        execution_id: str | None = None,
        variants: Mapping[str, object] | None = None,
        config: RunnableConfig | None = None,
        context: Any = None,
        actor: str | None = None,
        trace: str | None = None,
    ) -> RunResult:
        """Run a `StateGraph` or a compiled graph to its end, its first interrupt or its failure.

        ``variants`` puts other implementations in the place of nodes: node path to
        the name of a variant of the project's, or to an implementation. A node's
        failure is told by the result's ``status`` and ``error``. Raises
        `InvalidGraph`, `InvalidState`, `InvalidRequest`, `NodeNotFound`,
        `VariantNotFound`, `ExecutionExists` or `StoreError`.
        """
        return drive(self._start(graph, initial_state, workflow, execution_id, variants, config, context, actor, trace))

    async def arun(
        self,
        graph: object,
        initial_state: Any,
        *,
        workflow: str | None = None,
        execution_id: str | None = None,
        variants: Mapping[str, object] | None = None,
        config: RunnableConfig | None = None,
        context: Any = None,
        actor: str | None = None,
        trace: str | None = None,
    ) -> RunResult:
        """`run` on the running event loop."""
        return await adrive(
            self._start(graph, initial_state, workflow, execution_id, variants, config, context, actor, trace)
        )

    def stream(
        self,
        graph: object,
        initial_state: Any,
        *,
        workflow: str | None = None,
        execution_id: str | None = None,
        variants: Mapping[str, object] | None = None,
        config: RunnableConfig | None = None,
        context: Any = None,
        actor: str | None = None,
        trace: str | None = None,
    ) -> RunStream:
        """`run`, and iterate over what happens meanwhile: durable events, tokens, custom data; then ``.result``."""
        return RunStream(
            lambda emit: self._start(
                graph, initial_state, workflow, execution_id, variants, config, context, actor, trace, emit
            )
        )

    def astream(
        self,
        graph: object,
        initial_state: Any,
        *,
        workflow: str | None = None,
        execution_id: str | None = None,
        variants: Mapping[str, object] | None = None,
        config: RunnableConfig | None = None,
        context: Any = None,
        actor: str | None = None,
        trace: str | None = None,
    ) -> AsyncRunStream:
        """`stream` for ``async for``; then ``await stream.result()``."""
        return AsyncRunStream(
            lambda emit: self._start(
                graph, initial_state, workflow, execution_id, variants, config, context, actor, trace, emit
            )
        )

    def _start(
        self,
        graph: object,
        state: Any,
        workflow: str | None,
        execution_id: str | None,
        variants: Mapping[str, object] | None,
        config: RunnableConfig | None,
        context: Any,
        actor: str | None,
        trace: str | None,
        emit: Emit | None = None,
    ) -> Run:
        name, runnable = self._workflows.register(graph, workflow)
        return beginnings.start(
            self.platform,
            new_execution_id() if execution_id is None else new_id(execution_id),
            name,
            runnable,
            state,
            self.project.variants.chosen(variants or {}),
            self.platform.origin(cause="run", actor=actor, trace=trace),
            Options(config, context),
            emit,
            new=execution_id is None,
        )

    def resume(
        self,
        execution_id: str,
        answer: Any = UNANSWERED,
        *,
        answers: Mapping[str, Any] | None = None,
        graph: object | None = None,
        config: RunnableConfig | None = None,
        context: Any = None,
        actor: str | None = None,
    ) -> RunResult:
        """Go on after an interrupt, with its answer (or ``answers`` by interrupt id when several wait).

        ``graph`` is needed in a process that hasn't run or registered the
        workflow. Raises `ExecutionNotFound`, `ExecutionTaken`, `NotResumable`,
        `InvalidAnswer`, `WorkflowNotFound` or `StoreError`.
        """
        return drive(self._resume(execution_id, answer, answers, graph, config, context, actor))

    async def aresume(
        self,
        execution_id: str,
        answer: Any = UNANSWERED,
        *,
        answers: Mapping[str, Any] | None = None,
        graph: object | None = None,
        config: RunnableConfig | None = None,
        context: Any = None,
        actor: str | None = None,
    ) -> RunResult:
        """`resume` on the running event loop."""
        return await adrive(self._resume(execution_id, answer, answers, graph, config, context, actor))

    def stream_resume(
        self,
        execution_id: str,
        answer: Any = UNANSWERED,
        *,
        answers: Mapping[str, Any] | None = None,
        graph: object | None = None,
        config: RunnableConfig | None = None,
        context: Any = None,
        actor: str | None = None,
    ) -> RunStream:
        """`resume`, and iterate over what happens meanwhile, as with `stream`; refused before it returns."""
        return RunStream(lambda emit: self._resume(execution_id, answer, answers, graph, config, context, actor, emit))

    def _resume(
        self,
        execution_id: str,
        answer: Any,
        answers: Mapping[str, Any] | None,
        graph: object | None,
        config: RunnableConfig | None,
        context: Any,
        actor: str | None,
        emit: Emit | None = None,
    ) -> Run:
        return beginnings.resume(
            self.platform,
            known_id(execution_id),
            self._finder(graph),
            answer,
            answers,
            self.platform.origin(cause="resume", actor=actor),
            Options(config, context),
            emit,
        )

    def _finder(self, graph: object | None) -> beginnings.FindGraph:
        if graph is None:
            return self._workflows.find
        return lambda workflow: self._workflows.register(graph, workflow)[1]

    def recover(self, execution_id: str | None = None, *, graph: object | None = None) -> Recovery:
        """Finish executions whose process died, without running a finished node again.

        All of them, or one. ``graph`` stands for its own workflow, or for that of the
        one named. Those that can't be recovered now (their graph is unknown here,
        another process was first) are told in ``left``.
        """
        if graph is not None and execution_id is None:
            self.register(graph)
            graph = None
        found = [e.id for e in self.orphans()] if execution_id is None else [known_id(execution_id)]
        results: list[RunResult] = []
        left: list[Unrecovered] = []
        for execution in found:
            try:
                run = beginnings.recover(
                    self.platform, execution, self._finder(graph), self.platform.origin(cause="recover"), Options()
                )
                if run is not None:
                    results.append(drive(run))
            except (Conflict, NotFound) as refusal:
                if execution_id is not None:
                    raise
                left.append(Unrecovered(execution, str(refusal)))
        return Recovery(tuple(results), tuple(left))

    def orphans(self) -> list[Execution]:
        """Executions recorded as running that nobody runs any more, oldest first; `recover` finishes them."""
        with self.platform.reading() as connection:
            running = executions.running(connection)
        return [found for found in running if not beginnings.is_run(self.platform, found.id, found.worker)]

    def rebuild(self) -> Position:
        """Make the read models anew from the log, while they are read; the position they have got to."""
        return self.platform.projector.rebuild()

    # --- asking -----------------------------------------------------------------------------------

    def executions(
        self,
        *,
        status: Status | None = None,
        workflow: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Execution]:
        """Executions, newest first; the page's ``next_cursor`` leads on. Raises `InvalidCursor`."""
        with self.platform.reading() as connection:
            return executions.page(connection, status=status, workflow=workflow, limit=limit, cursor=cursor)

    def execution(self, execution_id: str) -> Execution:
        """Raises `ExecutionNotFound`."""
        with self.platform.reading() as connection:
            found = executions.get(connection, known_id(execution_id))
        if found is None:
            raise ExecutionNotFound(execution_id)
        return found

    def steps(self, execution_id: str, *, limit: int | None = None) -> Page[Step]:
        """Every try at every node, in the order they started. Raises `ExecutionNotFound`."""
        self._require(execution_id)
        with self.platform.reading() as connection:
            return steps.of(connection, execution_id, limit=limit)

    def checkpoints(
        self, execution_id: str, *, namespace: str | None = None, limit: int | None = None
    ) -> Page[Checkpoint]:
        """Checkpoints, newest first, nested graphs' too unless a ``namespace`` is given. Raises `ExecutionNotFound`."""
        self._require(execution_id)
        with self.platform.reading() as connection:
            return checkpoints.of(connection, execution_id, namespace=namespace, limit=limit)

    def state(self, execution_id: str, at: str | None = None, *, namespace: str = "") -> State:
        """The state at a checkpoint, or the newest. Raises `ExecutionNotFound` or `CheckpointNotFound`."""
        execution = known_id(execution_id)
        graph = self._workflows.get(workflow_of(self.platform, execution))
        try:
            return state_at(self.platform, execution, at, namespace, graph)
        except CheckpointNotFound:
            self._require(execution_id)
            raise

    def events(self, execution_id: str, *, after: int = 0, limit: int | None = None) -> list[Recorded]:
        """One execution's events after a log position, oldest first. Raises `ExecutionNotFound`."""
        check_limit(limit)
        check_position(after)
        self._require(execution_id)
        stream = execution_stream(execution_id)
        return self.platform.store.log(after=after, limit=limit or 2**31, stream=stream)

    def log(self, *, after: int = 0, limit: int = 1000, types: tuple[str, ...] = ()) -> list[Recorded]:
        """All executions' events after a position, in order."""
        check_limit(limit)
        check_position(after)
        return self.platform.store.log(after=after, limit=limit, types=types)

    def _require(self, execution_id: str) -> list[Recorded]:
        """The execution's lifecycle; a bare checkpointer's thread has none, and counts as known."""
        facts, head = self.platform.store.lifecycle(execution_stream(known_id(execution_id)))
        if head == EMPTY_STREAM:
            raise ExecutionNotFound(execution_id)
        return facts
