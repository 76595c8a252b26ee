"""Running a workflow, and going on with what was run."""

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig

from wtb.domain.errors import Conflict, InvalidRequest, NotFound
from wtb.domain.execution import BreakpointsSet
from wtb.domain.identifiers import known_id, new_id
from wtb.projections import executions
from wtb.projections.executions import Execution
from wtb.sdk import beginnings, replay
from wtb.sdk.beginnings import UNANSWERED
from wtb.sdk.claims import FindGraph, is_run
from wtb.sdk.platform import new_execution_id
from wtb.sdk.replay_report import ReplayReport
from wtb.sdk.results import Recovery, RunResult, Unrecovered
from wtb.sdk.running import Emit, Options, Run, adrive, drive
from wtb.sdk.streaming import AsyncRunStream, RunStream
from wtb.sdk.verbs.bench import Bench, breakpoints_at


class RunningVerbs(Bench):
    """Running a workflow, and going on with what was run."""

    def register(
        self,
        graph: object,
        *,
        workflow: str | None = None,
        description: str | None = None,
        reference: str | None = None,
        actor: str | None = None,
    ) -> str:
        """Make a graph known under a workflow's name, so that `resume` and `recover` find it. Returns the name.

        The store keeps what the graph is as a version of the workflow, as it does
        when it is first run; ``description`` is the workflow's, ``reference`` says
        where the graph was loaded from. Raises `InvalidGraph`, `InvalidRequest` for
        what can't be a name, or `StoreError`.
        """
        name, runnable = self._workflows.register(graph, workflow)
        origin = self.platform.origin(cause="register", actor=actor)
        self.platform.registry.note(name, runnable, origin, description, reference)
        return name

    def run(
        self,
        graph: object,
        initial_state: Any,
        *,
        workflow: str | None = None,
        execution_id: str | None = None,
        variants: Mapping[str, object] | None = None,
        break_before: Sequence[str] = (),
        break_after: Sequence[str] = (),
        config: RunnableConfig | None = None,
        context: Any = None,
        actor: str | None = None,
        trace: str | None = None,
    ) -> RunResult:
        """Run a `StateGraph` or a compiled graph to its end, its first interrupt or its failure.

        ``variants`` puts other implementations in the place of nodes: node path to
        the name of a variant of the project's, or to an implementation; ``*`` is the
        whole graph. Where nothing is chosen what was promoted runs, ``default`` is the
        node's own. It pauses ``break_before`` and ``break_after`` the nodes with these
        paths. A node's failure is told by the result's ``status`` and ``error``. Raises
        `InvalidGraph`, `InvalidState`, `InvalidRequest`, `InvalidVariant`,
        `NodeNotFound`, `VariantNotFound`, `RetiredVariant`, `ArchivedWorkflow`,
        `ExecutionExists` or `StoreError`.
        """
        held = breakpoints_at(break_before, break_after)
        return drive(
            self._start(graph, initial_state, workflow, execution_id, variants, held, config, context, actor, trace)
        )

    async def arun(
        self,
        graph: object,
        initial_state: Any,
        *,
        workflow: str | None = None,
        execution_id: str | None = None,
        variants: Mapping[str, object] | None = None,
        break_before: Sequence[str] = (),
        break_after: Sequence[str] = (),
        config: RunnableConfig | None = None,
        context: Any = None,
        actor: str | None = None,
        trace: str | None = None,
    ) -> RunResult:
        """`run` on the running event loop."""
        held = breakpoints_at(break_before, break_after)
        return await adrive(
            self._start(graph, initial_state, workflow, execution_id, variants, held, config, context, actor, trace)
        )

    def stream(
        self,
        graph: object,
        initial_state: Any,
        *,
        workflow: str | None = None,
        execution_id: str | None = None,
        variants: Mapping[str, object] | None = None,
        break_before: Sequence[str] = (),
        break_after: Sequence[str] = (),
        config: RunnableConfig | None = None,
        context: Any = None,
        actor: str | None = None,
        trace: str | None = None,
    ) -> RunStream:
        """`run`, and iterate over what happens meanwhile: durable events, tokens, custom data; then ``.result``."""
        held = breakpoints_at(break_before, break_after)
        return RunStream(
            lambda emit: self._start(
                graph, initial_state, workflow, execution_id, variants, held, config, context, actor, trace, emit
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
        break_before: Sequence[str] = (),
        break_after: Sequence[str] = (),
        config: RunnableConfig | None = None,
        context: Any = None,
        actor: str | None = None,
        trace: str | None = None,
    ) -> AsyncRunStream:
        """`stream` for ``async for``; then ``await stream.result()``."""
        held = breakpoints_at(break_before, break_after)
        return AsyncRunStream(
            lambda emit: self._start(
                graph, initial_state, workflow, execution_id, variants, held, config, context, actor, trace, emit
            )
        )

    def _start(
        self,
        graph: object,
        state: Any,
        workflow: str | None,
        execution_id: str | None,
        variants: Mapping[str, object] | None,
        held: BreakpointsSet,
        config: RunnableConfig | None,
        context: Any,
        actor: str | None,
        trace: str | None,
        emit: Emit | None = None,
    ) -> Run:
        given = self.project.variants.chosen(variants or {})
        name, registered = self._workflows.register(graph, workflow)
        runnable, chosen = self._workflows.choose(name, registered, given)
        return beginnings.start(
            self.platform,
            new_execution_id() if execution_id is None else new_id(execution_id),
            name,
            runnable,
            state,
            chosen,
            self.platform.origin(cause="run", actor=actor, trace=trace),
            Options(config, context),
            emit,
            new=execution_id is None,
            held=held,
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
        request = self._request("resume", graph, config, context, actor, emit)
        return beginnings.resume(self.platform, known_id(execution_id), request, answer, answers)

    def recover(
        self, execution_id: str | None = None, *, graph: object | None = None, take_over: bool = False
    ) -> Recovery:
        """Finish executions whose process died, without running a finished node again.

        All of them, or one. ``graph`` stands for its own workflow, or for that of the
        one named. Those that can't be recovered now (their graph is unknown here,
        another process was first) are told in ``left``. ``take_over`` recovers the one
        named though its process looks alive; should that come back, it finds itself
        shut out and stops. Raises `InvalidRequest` for ``take_over`` without an id.
        """
        if take_over and execution_id is None:
            raise InvalidRequest("take_over needs an execution", hint="Name the one whose process is gone.")
        if graph is not None and execution_id is None:
            self.register(graph)
            graph = None
        found = [e.id for e in self.orphans()] if execution_id is None else [known_id(execution_id)]
        results: list[RunResult] = []
        left: list[Unrecovered] = []
        for execution in found:
            try:
                request = self._request("recover", graph)
                run = beginnings.recover(self.platform, execution, request, take_over=take_over)
                if run is not None:
                    results.append(drive(run))
            except (Conflict, NotFound) as refusal:
                if execution_id is not None:
                    raise
                left.append(Unrecovered(execution, str(refusal)))
        return Recovery(tuple(results), tuple(left))

    def replay(
        self,
        execution_id: str,
        *,
        graph: object | None = None,
        variants: Mapping[str, object] | None = None,
        live: bool = False,
        at: str | None = None,
    ) -> ReplayReport:
        """Go through a past execution from its record, with today's graph: no node and no router is called.

        The report says whether everything came out as recorded, and where it first
        didn't. With ``variants`` (node path to a variant's name, to an
        implementation, or to ``default`` for the node's own of today) it is a
        what-if: those nodes run, and others are served as long as they are asked
        what they were asked then; where they aren't they run if ``live``, else the
        replay stops. ``at`` ends it at a checkpoint. Nothing is stored. Raises
        `ExecutionNotFound`, `CheckpointNotFound`, `WorkflowNotFound`,
        `NodeNotFound` or `VariantNotFound`.
        """
        return replay.replay(
            self.platform,
            known_id(execution_id),
            self._replayed(graph),
            self.project.variants,
            None if variants is None else self.project.variants.chosen(variants),
            live=live,
            at=at,
        )

    async def areplay(
        self,
        execution_id: str,
        *,
        graph: object | None = None,
        variants: Mapping[str, object] | None = None,
        live: bool = False,
        at: str | None = None,
    ) -> ReplayReport:
        """`replay` on the running event loop."""
        return await replay.areplay(
            self.platform,
            known_id(execution_id),
            self._replayed(graph),
            self.project.variants,
            None if variants is None else self.project.variants.chosen(variants),
            live=live,
            at=at,
        )

    def _replayed(self, graph: object | None) -> FindGraph:
        """What finds the graph to replay with, which isn't thereby its workflow's."""
        if graph is None:
            return self._workflows.find
        return lambda started: self._workflows.standing_in(self._workflows.prepared(graph), started.variants)

    def orphans(self) -> list[Execution]:
        """Executions recorded as running that nobody runs any more, oldest first; `recover` finishes them."""
        with self.platform.reading() as connection:
            running = executions.running(connection)
        return [found for found in running if not is_run(self.platform, found.id, found.worker)]
