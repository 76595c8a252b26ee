"""The bench: one line per verb; the work lives in the room named after it."""

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from langchain_core.runnables import RunnableConfig

from wtb.domain.audit import LogSealed
from wtb.domain.batch import BatchStatus, Budget, Price, TrialStatus
from wtb.domain.errors import (
    BatchNotFound,
    CheckpointNotFound,
    Conflict,
    ExecutionNotFound,
    InvalidRequest,
    NotFound,
    VariantNotFound,
)
from wtb.domain.event_log import EMPTY_STREAM, Recorded
from wtb.domain.execution import BreakpointsSet, ExecutionStarted
from wtb.domain.identifiers import Position, execution_stream, known_batch, known_id, new_id
from wtb.infra.langgraph.graphs import RunnableGraph
from wtb.infra.output_folder.restoring import Restored
from wtb.projections import batches, checkpoints, executions, steps, trials, variants, workflows
from wtb.projections.batches import Batch
from wtb.projections.checkpoints import Checkpoint
from wtb.projections.executions import Execution
from wtb.projections.page import Page, check_limit, check_position
from wtb.projections.steps import Step
from wtb.projections.trials import TrialRow
from wtb.projections.variants import Variant
from wtb.projections.versions import WorkflowVersion
from wtb.projections.workflows import Workflow
from wtb.sdk import (
    audit,
    beginnings,
    bundles,
    comparing,
    control,
    files,
    promotion,
    replay,
    retention,
    time_travel,
    versions,
)
from wtb.sdk.as_of import View, as_of
from wtb.sdk.batches import beginnings as batch_beginnings
from wtb.sdk.batches.beginnings import Resumption
from wtb.sdk.batches.cases import Cases
from wtb.sdk.batches.matrix import VariedBy, combinations
from wtb.sdk.batches.outcome import Case
from wtb.sdk.batches.past_cases import past_cases
from wtb.sdk.batches.progress import Progress
from wtb.sdk.batches.result import BatchResult, batch_result
from wtb.sdk.batches.stopping import stop as stop_batch
from wtb.sdk.batches.wish import Wish
from wtb.sdk.batches.workers.bench_spec import BenchSpec
from wtb.sdk.batches.workers.choice import ExecutorName
from wtb.sdk.batches.workers.trial_run import FindGraph as FindGraphOfTrial
from wtb.sdk.batches.workers.trial_run import TrialRunner
from wtb.sdk.beginnings import UNANSWERED
from wtb.sdk.claims import FindGraph, Request, is_run
from wtb.sdk.comparison import Comparison, FirstDifference
from wtb.sdk.drawing import Format
from wtb.sdk.files import File
from wtb.sdk.lineage import Lineage, lineage
from wtb.sdk.loading import named_graph
from wtb.sdk.node_run import NodeRun, run_node
from wtb.sdk.platform import new_execution_id, open_platform
from wtb.sdk.promotion import VariantChange
from wtb.sdk.replay_report import ReplayReport
from wtb.sdk.report import report
from wtb.sdk.results import Commanded, Recovery, RunResult, State, Status, Unrecovered
from wtb.sdk.retention import Archived, Erasure
from wtb.sdk.running import Emit, Options, Run, adrive, drive
from wtb.sdk.state import started_of, state_at
from wtb.sdk.streaming import AsyncRunStream, RunStream
from wtb.sdk.time_travel import Changes, Place, rest
from wtb.sdk.version_changes import VersionChanges, changes_between
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
            project.location,
            project.output_dir,
            actor=project.actor,
            synchronous=project.synchronous,
            keep_files=project.keep_files,
            redact=project.redact,
        )
        self._workflows = Workflows(self.platform, project.name, project.variants)

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
        held = _breakpoints(break_before, break_after)
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
        held = _breakpoints(break_before, break_after)
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
        held = _breakpoints(break_before, break_after)
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
        held = _breakpoints(break_before, break_after)
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

    # --- travelling -------------------------------------------------------------------------------

    def fork(
        self,
        execution_id: str,
        *,
        at: str | None = None,
        node: str | None = None,
        step: int | None = None,
        state: Mapping[str, Any] | None = None,
        as_node: str | None = None,
        variants: Mapping[str, object] | None = None,
        run: bool = True,
        new_id: str | None = None,
        graph: object | None = None,
        config: RunnableConfig | None = None,
        context: Any = None,
        reason: str = "",
        actor: str | None = None,
    ) -> RunResult:
        """Start a new execution from any checkpoint of this one, and run on.

        ``at`` is a checkpoint's id, nested graphs' included; ``node`` means the
        checkpoint it read when it last started, ``step`` a superstep; none of them
        where the execution stands. ``state`` is written before it runs on, through
        the channels' reducers and as if ``as_node`` had written it. ``variants`` come
        over the choices it inherits; another whole graph must have the channels that
        the checkpoint holds. Without ``run`` the fork waits to be resumed. Raises
        `ExecutionNotFound`, `CheckpointNotFound`, `NodeNotFound`,
        `VariantNotFound`, `RetiredVariant`, `InvalidVariant`, `WorkflowNotFound`,
        `InvalidState` or `ExecutionExists`.
        """
        begun = self._fork(
            execution_id,
            Place(at, node, step),
            None if state is None else Changes(state, as_node, reason),
            variants,
            new_id,
            self._request("fork", graph, config, context, actor),
        )
        return drive(begun) if run else rest(begun)

    async def afork(
        self,
        execution_id: str,
        *,
        at: str | None = None,
        node: str | None = None,
        step: int | None = None,
        state: Mapping[str, Any] | None = None,
        as_node: str | None = None,
        variants: Mapping[str, object] | None = None,
        new_id: str | None = None,
        graph: object | None = None,
        config: RunnableConfig | None = None,
        context: Any = None,
        reason: str = "",
        actor: str | None = None,
    ) -> RunResult:
        """`fork` on the running event loop."""
        return await adrive(
            self._fork(
                execution_id,
                Place(at, node, step),
                None if state is None else Changes(state, as_node, reason),
                variants,
                new_id,
                self._request("fork", graph, config, context, actor),
            )
        )

    def _fork(
        self,
        execution_id: str,
        place: Place,
        changes: Changes | None,
        variants: Mapping[str, object] | None,
        child: str | None,
        request: Request,
    ) -> Run:
        chosen = self.project.variants.chosen(variants or {})
        return time_travel.fork(
            self.platform,
            known_id(execution_id),
            new_execution_id() if child is None else new_id(child),
            replace(request, find_graph=self._workflows.choosing_anew(request.find_graph, chosen)),
            place,
            changes,
            chosen,
        )

    def rollback(
        self,
        execution_id: str,
        to: str | None = None,
        *,
        node: str | None = None,
        step: int | None = None,
        graph: object | None = None,
        reason: str = "",
        actor: str | None = None,
    ) -> Execution:
        """Move an execution's head to an earlier checkpoint, named as for `fork`; `resume` runs on from there.

        Nothing is erased: what ran beyond it stays as a branch, and
        `undo_rollback` moves the head back. Raises `ExecutionNotFound`,
        `ExecutionTaken`, `CheckpointNotFound`, `NodeNotFound`, `WorkflowNotFound`,
        or `VersionConflict` when another changed it at the same time.
        """
        request = self._request("rollback", graph, actor=actor)
        time_travel.roll_back(self.platform, known_id(execution_id), request, Place(to, node, step), reason)
        return self.execution(execution_id)

    def undo_rollback(self, execution_id: str, *, reason: str = "", actor: str | None = None) -> Execution:
        """Put the head, the status and the files back to what they were before it was rolled back.

        Raises `ExecutionNotFound`, `ExecutionTaken`, or `NothingToUndo` when
        something has run since.
        """
        request = self._request("undo_rollback", actor=actor)
        time_travel.undo_rollback(self.platform, known_id(execution_id), request, reason)
        return self.execution(execution_id)

    def edit(
        self,
        execution_id: str,
        state: Mapping[str, Any],
        *,
        as_node: str | None = None,
        graph: object | None = None,
        reason: str = "",
        actor: str | None = None,
    ) -> State:
        """Change the state of an execution that isn't running; the state as it is then.

        Values go through the channels' reducers, as if ``as_node`` had written them:
        what follows that node runs next. Raises `ExecutionNotFound`,
        `ExecutionTaken`, `InvalidState`, `NodeNotFound`, `WorkflowNotFound`, or
        `VersionConflict` when another changed it at the same time.
        """
        request = self._request("edit", graph, actor=actor)
        time_travel.edit(self.platform, known_id(execution_id), request, Changes(state, as_node, reason))
        return self.state(execution_id)

    def retry(
        self,
        execution_id: str,
        *,
        graph: object | None = None,
        config: RunnableConfig | None = None,
        context: Any = None,
        reason: str = "",
        actor: str | None = None,
    ) -> RunResult:
        """Go on with a failed or cancelled execution; what had finished doesn't run again.

        Raises `ExecutionNotFound`, `ExecutionTaken`, `WrongStatus`,
        `WorkflowNotFound`, or `VersionConflict` when another was first.
        """
        request = self._request("retry", graph, config, context, actor)
        return drive(beginnings.retry(self.platform, known_id(execution_id), request, reason))

    async def aretry(
        self,
        execution_id: str,
        *,
        graph: object | None = None,
        config: RunnableConfig | None = None,
        context: Any = None,
        reason: str = "",
        actor: str | None = None,
    ) -> RunResult:
        """`retry` on the running event loop."""
        request = self._request("retry", graph, config, context, actor)
        return await adrive(beginnings.retry(self.platform, known_id(execution_id), request, reason))

    def skip(
        self,
        execution_id: str,
        node: str,
        writes: Mapping[str, Any] | None = None,
        *,
        graph: object | None = None,
        config: RunnableConfig | None = None,
        context: Any = None,
        reason: str = "",
        actor: str | None = None,
    ) -> RunResult:
        """Go on past a node that failed or waits to run, as if it had returned ``writes``.

        ``node`` is its path. Raises as `retry`, `NodeNotFound` when it doesn't wait
        to run, or `InvalidState` when the graph has no such channels.
        """
        request = self._request("skip", graph, config, context, actor)
        return drive(beginnings.skip(self.platform, known_id(execution_id), request, node, writes or {}, reason))

    def run_node(
        self,
        execution_id: str,
        node: str,
        *,
        at: str | None = None,
        variant: object | None = None,
        state: Mapping[str, Any] | None = None,
        graph: object | None = None,
        config: RunnableConfig | None = None,
        context: Any = None,
    ) -> NodeRun:
        """Run one node on a recorded state, without touching the execution; nothing of it is recorded.

        On the state it last read, or at the checkpoint ``at``; ``state`` replaces
        channels of it. ``variant`` is the name of a variant, or an implementation.
        Raises `ExecutionNotFound`, `CheckpointNotFound`, `NodeNotFound`,
        `VariantNotFound` or `WorkflowNotFound`; the node's own error is told by
        the result.
        """
        choice = self.project.variants.chosen({} if variant is None else {node: variant})
        return run_node(
            self.platform,
            known_id(execution_id),
            self._request("run_node", graph, config, context),
            node,
            at,
            choice.get(node),
            state or {},
        )

    def lineage(self, execution_id: str) -> Lineage:
        """What an execution was forked from, what was forked from it, and its own branches.

        Raises `ExecutionNotFound`.
        """
        return lineage(self.platform, known_id(execution_id))

    # --- variants ---------------------------------------------------------------------------------

    def variants(
        self,
        workflow: str | None = None,
        node: str | None = None,
        *,
        retired: bool | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Variant]:
        """The variants that were registered, by workflow, node and name; all, or only those (not) ``retired``.

        A variant is registered when a graph that has its node is, at the latest when
        it is run. Raises `InvalidCursor`.
        """
        with self.platform.reading() as connection:
            return variants.page(connection, workflow=workflow, node=node, retired=retired, limit=limit, cursor=cursor)

    def variant(self, node: str, name: str, *, workflow: str | None = None) -> Variant:
        """One of them; ``workflow`` as for `promote`. Raises `VariantNotFound` or `InvalidRequest`."""
        of = workflow or promotion.workflow_with(self.platform, node, name, self.project.name)
        with self.platform.reading() as connection:
            found = variants.get(connection, of, node, name)
        if found is None:
            raise VariantNotFound(node, name)
        return found

    def promote(
        self, node: str, name: str, *, workflow: str | None = None, reason: str = "", actor: str | None = None
    ) -> VariantChange:
        """Have a variant run wherever nothing is chosen for its node; ``default`` is the node's own again.

        Without ``workflow`` it is that of the project's name if it has the variant,
        else the only one that does. Raises `VariantNotFound`, `WorkflowNotFound`,
        `RetiredVariant`, or `InvalidRequest` when several have it.
        """
        of = workflow or promotion.workflow_with(self.platform, node, name, self.project.name)
        origin = self.platform.origin(cause="promote", actor=actor)
        return promotion.promote(self.platform, of, node, name, reason, origin)

    def retire(
        self, node: str, name: str, *, workflow: str | None = None, reason: str = "", actor: str | None = None
    ) -> VariantChange:
        """Have a variant chosen no more; past executions go on and are replayed as before.

        Where it was promoted the node's own implementation runs again. ``workflow``
        as for `promote`. Raises `VariantNotFound`, `WorkflowNotFound` or
        `InvalidRequest`.
        """
        of = workflow or promotion.workflow_with(self.platform, node, name, self.project.name)
        origin = self.platform.origin(cause="retire", actor=actor)
        return promotion.retire(self.platform, of, node, name, reason, origin)

    def restore_variant(
        self, node: str, name: str, *, workflow: str | None = None, reason: str = "", actor: str | None = None
    ) -> VariantChange:
        """Let a retired variant be chosen again; it isn't promoted thereby. Raises as `retire`."""
        of = workflow or promotion.workflow_with(self.platform, node, name, self.project.name)
        origin = self.platform.origin(cause="restore_variant", actor=actor)
        return promotion.restore(self.platform, of, node, name, reason, origin)

    # --- workflows --------------------------------------------------------------------------------

    def workflows(self, *, archived: bool = False, limit: int = 50, cursor: str | None = None) -> Page[Workflow]:
        """The workflows that were ever registered or run, by name; archived ones only when asked for.

        Raises `InvalidCursor`.
        """
        with self.platform.reading() as connection:
            return workflows.page(connection, archived=archived, limit=limit, cursor=cursor)

    def workflow(self, name: str) -> Workflow:
        """Raises `WorkflowNotFound`."""
        return versions.workflow(self.platform, name)

    def versions(self, workflow: str, *, limit: int | None = None, cursor: str | None = None) -> Page[WorkflowVersion]:
        """A workflow's versions, the one first seen last first. Raises `WorkflowNotFound` or `InvalidCursor`."""
        return versions.versions_of(self.platform, workflow, limit, cursor)

    def version(self, workflow: str, version: str | None = None) -> WorkflowVersion:
        """A workflow's version; its newest when None. Raises `WorkflowNotFound`, or `GraphNotFound` for no version."""
        return versions.version(self.platform, workflow, version)

    def version_changes(self, workflow: str, a: str, b: str | None = None) -> VersionChanges:
        """What is different in version ``b`` of a workflow, or its newest, from what it was in ``a``.

        Raises `WorkflowNotFound`, or `GraphNotFound` when it has no such version.
        """
        return changes_between(self.version(workflow, a), self.version(workflow, b))

    def workflow_changes(self, execution_a: str, execution_b: str) -> VersionChanges:
        """What is different in the version that execution ``b`` ran from that which ``a`` ran.

        Raises `ExecutionNotFound`, or `WorkflowNotFound` and `GraphNotFound` for
        executions of a time when versions weren't noted yet.
        """
        return versions.changes_of_executions(self.platform, execution_a, execution_b)

    def draw(self, workflow: object, *, version: str | None = None, format: Format = "mermaid") -> str:
        """A graph, or a workflow's version, as a Mermaid flowchart or as text; its newest version if none is named.

        Raises `WorkflowNotFound`, `GraphNotFound` when it has no such version, or
        `InvalidGraph`.
        """
        return versions.draw(self.platform, workflow, version, format)

    def archive_workflow(self, name: str, reason: str = "", *, actor: str | None = None) -> Workflow:
        """Have a workflow be started no more; its executions can be read, resumed, forked and replayed as before.

        Raises `WorkflowNotFound`.
        """
        self.platform.registry.archive(name, reason, self.platform.origin(cause="archive_workflow", actor=actor))
        return self.workflow(name)

    def restore_workflow(self, name: str, reason: str = "", *, actor: str | None = None) -> Workflow:
        """Let an archived workflow be started again. Raises `WorkflowNotFound`."""
        self.platform.registry.restore(name, reason, self.platform.origin(cause="restore_workflow", actor=actor))
        return self.workflow(name)

    # --- bundles ----------------------------------------------------------------------------------

    def export(self, execution_id: str, path: str | Path) -> Path:
        """Write an execution to a file, with everything it names, or into a folder under its id. Returns the file.

        `docs/bundles.md` describes the file. Raises `ExecutionNotFound`,
        `ValueMissing`, `InvalidRequest` or `StoreError`.
        """
        return bundles.export(self.platform, known_id(execution_id), Path(path))[0]

    def import_bundle(
        self, path: str | Path, *, most_bytes: int = bundles.MOST_BYTES, actor: str | None = None
    ) -> Execution:
        """Restore an execution from a file that `export` wrote, identical; nothing happens when it is here already.

        ``most_bytes`` bounds what the file may hold, uncompressed. Raises
        `InvalidBundle`, `ExecutionExists`, `WrongStatus` or `StoreError`.
        """
        origin = self.platform.origin(cause="import", actor=actor)
        return self.execution(bundles.import_bundle(self.platform, Path(path), origin, most_bytes))

    def archive(
        self,
        ids: str | Sequence[str] | None = None,
        *,
        to: str | Path,
        older_than: timedelta | None = None,
        reason: str = "",
        actor: str | None = None,
        alone: bool = False,
    ) -> tuple[Archived, ...]:
        """Move executions that have ended into bundles in the folder ``to``: those named, or those that ended long ago.

        Each file is read back before anything goes. Events stay; values that no other
        execution names go, and come back with `import_bundle`. Those archived before
        are left out. ``alone`` is the caller's word that no program uses the
        checkpointer alone on this store now. Raises `ExecutionNotFound`,
        `WrongStatus`, `ExecutionTaken` while anything runs, `InvalidRequest`,
        `ValueMissing`, `VersionConflict` or `StoreError`.
        """
        origin = self.platform.origin(cause="archive", actor=actor)
        return retention.archive(self.platform, ids, older_than, Path(to), reason, origin, alone=alone)

    def erase(self, ids: str | Sequence[str], *, reason: str, actor: str | None = None, alone: bool = False) -> Erasure:
        """Take executions' values and output folders away for ever, and those of all their forks.

        Events stay, with the digests of what was, so the log still proves itself
        whole. `docs/bundles.md` tells what else stays. ``alone`` as for `archive`.
        Raises `ExecutionNotFound`, `ExecutionTaken` while anything runs,
        `WrongStatus`, `InvalidRequest`, `VersionConflict` or `StoreError`.
        """
        origin = self.platform.origin(cause="erase", actor=actor)
        return retention.erase(self.platform, ids, reason, origin, alone=alone)

    # --- upkeep -----------------------------------------------------------------------------------

    def rebuild(self) -> Position:
        """Make the read models anew from the log, while they are read; the position they have got to."""
        return self.platform.projector.rebuild()

    # --- control from outside ---------------------------------------------------------------------

    def pause(
        self, execution_id: str, reason: str = "", *, actor: str | None = None, if_version: int | None = None
    ) -> Commanded:
        """Have an execution stop before its next node, whichever process runs it; `resume` goes on.

        With ``if_version`` only while its stream is at that version. Raises
        `ExecutionNotFound`, `WrongStatus` when it has ended, or `VersionConflict`.
        """
        origin = self.platform.origin(cause="pause", actor=actor)
        return control.pause(self.platform, known_id(execution_id), reason, origin, if_version)

    def cancel(
        self, execution_id: str, reason: str = "", *, actor: str | None = None, if_version: int | None = None
    ) -> Commanded:
        """End an execution: before its next node, or at once when it is paused or its process is dead.

        Raises as `pause` does.
        """
        origin = self.platform.origin(cause="cancel", actor=actor)
        return control.cancel(self.platform, known_id(execution_id), reason, origin, if_version)

    def set_breakpoints(
        self,
        execution_id: str,
        *,
        before: Sequence[str] = (),
        after: Sequence[str] = (),
        actor: str | None = None,
        if_version: int | None = None,
    ) -> Commanded:
        """Have an execution stop before and after these nodes, named by path; these replace those set before.

        Raises `ExecutionNotFound`, `VersionConflict`, or `NodeNotFound` when the
        workflow's graph is known here and has no such node.
        """
        origin = self.platform.origin(cause="set_breakpoints", actor=actor)
        wanted, known = _breakpoints(before, after), self._workflows.get
        return control.set_breakpoints(self.platform, known_id(execution_id), wanted, known, origin, if_version)

    # --- proving ----------------------------------------------------------------------------------

    def seal(self, *, actor: str | None = None) -> LogSealed:
        """Vouch for everything that is in the log now, by one digest; note it elsewhere. Raises `StoreError`."""
        return audit.seal(self.platform, actor)

    def verify(self, seal: str | None = None) -> audit.Verification:
        """Prove the log whole, or name the first event that was changed, removed, inserted or reordered.

        ``seal`` is a seal's digest that was noted elsewhere: the log must hold it.
        Raises `StoreError`, or `InvalidRequest` for what can't be a digest.
        """
        return audit.verify(self.platform, seal)

    def report(self, execution_id: str, path: str | Path | None = None) -> str:
        """The execution's record as one HTML page, also written to ``path``: who, when, which node saw and wrote what.

        Raises `ExecutionNotFound`, `StoreError`, or `OSError` when the file can't
        be written.
        """
        return report(self.platform, execution_id, path)

    # --- asking -----------------------------------------------------------------------------------

    def executions(
        self,
        *,
        status: Status | None = None,
        workflow: str | None = None,
        batch: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Execution]:
        """Executions, newest first; the page's ``next_cursor`` leads on. ``batch``: only its trials.

        Raises `InvalidCursor`.
        """
        with self.platform.reading() as connection:
            return executions.page(
                connection, status=status, workflow=workflow, batch=batch, limit=limit, cursor=cursor
            )

    def execution(self, execution_id: str) -> Execution:
        """Raises `ExecutionNotFound`."""
        with self.platform.reading() as connection:
            found = executions.get(connection, known_id(execution_id))
        if found is None:
            raise ExecutionNotFound(execution_id)
        return found

    def steps(self, execution_id: str, *, limit: int | None = None, cursor: str | None = None) -> Page[Step]:
        """Every try at every node, in the order they started. Raises `ExecutionNotFound` or `InvalidCursor`."""
        self._require(execution_id)
        with self.platform.reading() as connection:
            return steps.of(connection, execution_id, limit=limit, cursor=cursor)

    def checkpoints(
        self,
        execution_id: str,
        *,
        namespace: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Page[Checkpoint]:
        """Checkpoints, newest first, nested graphs' too unless a ``namespace`` is given.

        Raises `ExecutionNotFound` or `InvalidCursor`.
        """
        self._require(execution_id)
        with self.platform.reading() as connection:
            return checkpoints.of(connection, execution_id, namespace=namespace, limit=limit, cursor=cursor)

    def state(self, execution_id: str, at: str | None = None, *, namespace: str = "") -> State:
        """The state at a checkpoint, or the newest. Raises `ExecutionNotFound` or `CheckpointNotFound`."""
        execution = known_id(execution_id)
        graph = self._workflows.get(started_of(self.platform, execution))
        try:
            return state_at(self.platform, execution, at, namespace, graph)
        except CheckpointNotFound:
            self._require(execution_id)
            raise

    def files(self, execution_id: str, at: str | None = None) -> tuple[File, ...]:
        """What was in the output folder at a checkpoint, or the newest; nothing where files weren't kept.

        Raises `ExecutionNotFound` or `CheckpointNotFound`.
        """
        self._require(execution_id)
        return files.files_at(self.platform, known_id(execution_id), at)

    def read_file(self, execution_id: str, path: str, at: str | None = None) -> bytes:
        """A file of the output folder as it was at a checkpoint. Raises `FileNotKept` and as `files`."""
        self._require(execution_id)
        return files.read_file(self.platform, known_id(execution_id), path, at)

    def copy_files(self, execution_id: str, folder: str | Path, at: str | None = None) -> Restored:
        """Put the files of a checkpoint into a new or empty folder. Raises `InvalidRequest` and as `files`."""
        self._require(execution_id)
        return files.copy_files(self.platform, known_id(execution_id), Path(folder), at)

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

    def as_of(self, when: int | datetime) -> View:
        """The reads, answered as the world was at a log position or at a time.

        A position beyond the log's end stands for the end. Raises `InvalidRequest`
        for a negative position and for a time without a zone.
        """
        return as_of(self.platform, self._workflows.get, when)

    # --- batches ----------------------------------------------------------------------------------

    def batch(
        self,
        graph: object,
        cases: Cases,
        *,
        variants: VariedBy | None = None,
        scores: Sequence[object] = (),
        preferences: Sequence[object] = (),
        repeats: int = 1,
        max_concurrency: int | None = None,
        executor: ExecutorName | Executor = "auto",
        timeout: float | timedelta | None = None,
        attempts: int = 1,
        fail_fast: bool = False,
        budget: Budget | None = None,
        prices: Mapping[str, Price] | None = None,
        share_prefix: bool = False,
        workflow: str | None = None,
        batch_id: str | None = None,
        description: str = "",
        config: RunnableConfig | None = None,
        context: Any = None,
        progress: Progress | None = None,
        actor: str | None = None,
    ) -> BatchResult:
        """Run many cases under many combinations of variants, each as an execution of its own, and compare them.

        ``graph``: a graph, or ``module:attribute``. ``cases``: `Case` objects, mappings
        with an ``input``, states, or a .jsonl or .csv file. ``variants``: node to all
        that may stand in for it (every combination runs), or the combinations
        themselves. ``scores`` and ``preferences`` are functions of a case and its
        outcomes. ``timeout`` (seconds) is for one attempt. `docs/batches.md` tells the
        rest. A trial that fails is told by the result. Raises `InvalidCase`,
        `InvalidGraph`, `InvalidRequest`, `NodeNotFound`, `VariantNotFound`,
        `BatchExists` or `StoreError`; then nothing has run.
        """
        wish = self._wish(
            graph,
            workflow,
            variants,
            cases=cases,
            scores=scores,
            preferences=preferences,
            repeats=repeats,
            max_concurrency=max_concurrency,
            executor=executor,
            timeout=timeout,
            attempts=attempts,
            fail_fast=fail_fast,
            budget=budget,
            prices=prices or {},
            share_prefix=share_prefix,
            batch_id=batch_id,
            description=description,
        )
        runner = self._trials(wish.find_graph, "batch", config, context, actor)
        describe = partial(BenchSpec.of, self.project, runner, wish.workflow, self._workflows.given(wish.workflow))
        return self.batch_result(batch_beginnings.start(wish, runner, describe, progress).run())

    async def abatch(
        self,
        graph: object,
        cases: Cases,
        *,
        variants: VariedBy | None = None,
        scores: Sequence[object] = (),
        preferences: Sequence[object] = (),
        repeats: int = 1,
        max_concurrency: int | None = None,
        executor: ExecutorName | Executor = "auto",
        timeout: float | timedelta | None = None,  # noqa: ASYNC109  # of a trial
        attempts: int = 1,
        fail_fast: bool = False,
        budget: Budget | None = None,
        prices: Mapping[str, Price] | None = None,
        share_prefix: bool = False,
        workflow: str | None = None,
        batch_id: str | None = None,
        description: str = "",
        config: RunnableConfig | None = None,
        context: Any = None,
        progress: Progress | None = None,
        actor: str | None = None,
    ) -> BatchResult:
        """`batch` on the running event loop; cancelled, it cancels what is under way and is stopped."""
        wish = self._wish(
            graph,
            workflow,
            variants,
            cases=cases,
            scores=scores,
            preferences=preferences,
            repeats=repeats,
            max_concurrency=max_concurrency,
            executor=executor,
            timeout=timeout,
            attempts=attempts,
            fail_fast=fail_fast,
            budget=budget,
            prices=prices or {},
            share_prefix=share_prefix,
            batch_id=batch_id,
            description=description,
        )
        runner = self._trials(wish.find_graph, "batch", config, context, actor)
        describe = partial(BenchSpec.of, self.project, runner, wish.workflow, self._workflows.given(wish.workflow))
        begun = batch_beginnings.start(wish, runner, describe, progress, asyncio.get_running_loop())
        return self.batch_result(await begun.arun())

    def _wish(self, graph: object, workflow: str | None, variants: VariedBy | None, **wishes: Any) -> Wish:
        if isinstance(graph, str):
            named, graph = named_graph(graph)
            workflow = workflow or named
        name, runnable = self._workflows.register(graph, workflow)
        asked = combinations(variants, self.project.variants.chosen)
        # What is promoted later changes nothing in a batch: each combination names what runs.
        chosen = [self._workflows.choose(name, runnable, each)[1] for each in asked]
        return Wish(
            workflow=name,
            graph=runnable,
            find_graph=partial(self._workflows.standing_in, runnable),
            combinations=chosen,
            **wishes,
        )

    def _trials(
        self, find_graph: FindGraphOfTrial, cause: str, config: RunnableConfig | None, context: Any, actor: str | None
    ) -> TrialRunner:
        origin = self.platform.origin(cause=cause, actor=actor)
        return TrialRunner(self.platform, find_graph, origin, Options(config, context))

    def resume_batch(
        self,
        batch_id: str,
        *,
        graph: object | None = None,
        scores: Sequence[object] | None = None,
        preferences: Sequence[object] | None = None,
        executor: ExecutorName | Executor | None = None,
        max_concurrency: int | None = None,
        retry_failed: bool = False,
        config: RunnableConfig | None = None,
        context: Any = None,
        progress: Progress | None = None,
        actor: str | None = None,
    ) -> BatchResult:
        """Go on with a batch that was stopped or whose process died: what has finished isn't run again.

        ``graph`` is needed in a process that hasn't registered the workflow, ``scores``
        and ``preferences`` wherever trials are still to be scored; `retry_failed` tries
        those again that failed. Raises `BatchNotFound`, `BatchTaken`,
        `WorkflowNotFound`, `InvalidRequest`, `NodeNotFound`, `VariantNotFound` or
        `StoreError`.
        """
        batch = known_batch(batch_id)
        workflow = batch_beginnings.workflow_of(self.platform, batch)
        asked = Resumption(
            scores=scores,
            preferences=preferences,
            executor=executor,
            max_concurrency=max_concurrency,
            retry_failed=retry_failed,
        )
        if isinstance(graph, str):
            graph = named_graph(graph)[1]
        runnable = self._workflows.named(workflow) if graph is None else self._workflows.register(graph, workflow)[1]
        runner = self._trials(partial(self._workflows.standing_in, runnable), "resume_batch", config, context, actor)
        describe = partial(BenchSpec.of, self.project, runner, workflow, self._workflows.given(workflow))
        begun = batch_beginnings.resume(batch, asked, runner, describe, progress)
        return self.batch_result(batch if begun is None else begun.run())

    def stop_batch(self, batch_id: str, reason: str = "", *, actor: str | None = None) -> Batch:
        """Have no further trial of a batch start, whichever process runs it; `resume_batch` goes on.

        Raises `BatchNotFound`.
        """
        stop_batch(self.platform, known_batch(batch_id), reason, self.platform.origin(cause="stop_batch", actor=actor))
        return self.batch_info(batch_id)

    def cases_from(
        self,
        executions: Sequence[str] | None = None,
        *,
        status: str | None = None,
        workflow: str | None = None,
        batch: str | None = None,
        limit: int = 50,
    ) -> list[Case]:
        """Cases of past executions: those named, or the newest with a status, of a workflow, of a batch's trials.

        A case is the execution's input, with its ``source``; what was a batch's case
        keeps its id, expected value and metadata, and comes once. Raises
        `ExecutionNotFound`, `BatchNotFound` or `ValueMissing`.
        """
        return past_cases(self.platform, self._workflows.get, executions, status, workflow, batch, limit)

    def batches(
        self,
        *,
        status: BatchStatus | None = None,
        workflow: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Batch]:
        """Batches, newest first. Raises `InvalidCursor`."""
        with self.platform.reading() as connection:
            return batches.page(connection, status=status, workflow=workflow, limit=limit, cursor=cursor)

    def batch_info(self, batch_id: str) -> Batch:
        """A batch as it stands. Raises `BatchNotFound`."""
        with self.platform.reading() as connection:
            found = batches.get(connection, known_batch(batch_id))
        if found is None:
            raise BatchNotFound(batch_id)
        return found

    def trials(
        self,
        batch_id: str,
        *,
        status: TrialStatus | None = None,
        combination: int | None = None,
        case: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Page[TrialRow]:
        """A batch's trials that have ended, case by case. Raises `BatchNotFound` or `InvalidCursor`."""
        self.batch_info(batch_id)
        with self.platform.reading() as connection:
            return trials.of(
                connection, batch_id, status=status, combination=combination, case=case, limit=limit, cursor=cursor
            )

    def batch_result(self, batch_id: str) -> BatchResult:
        """What a batch has come to so far, from its record alone. Raises `BatchNotFound`."""
        return batch_result(self.platform, known_batch(batch_id), self._workflows.get)

    # --- comparing --------------------------------------------------------------------------------

    def diff(
        self, a: str, b: str | None = None, *, at_a: str | None = None, at_b: str | None = None, exact: bool = False
    ) -> Comparison:
        """Two executions step by step, or one at two checkpoints: ``diff(id, at_a=…, at_b=…)``.

        LangChain messages that differ in nothing but their ``id`` count as equal,
        unless ``exact``. Raises `ExecutionNotFound`, `CheckpointNotFound` or
        `InvalidRequest`.
        """
        return comparing.diff(self.platform, a, b, at_a, at_b, exact)

    def first_difference(
        self, a: str, b: str | None = None, *, at_a: str | None = None, at_b: str | None = None, exact: bool = False
    ) -> FirstDifference | None:
        """The step by which two came to differ; None when `diff` finds them equal. Raises what `diff` raises."""
        return comparing.first_difference(self.platform, a, b, at_a, at_b, exact)

    def _require(self, execution_id: str) -> list[Recorded]:
        """The execution's lifecycle; a bare checkpointer's thread has none, and counts as known."""
        facts, head = self.platform.store.lifecycle(execution_stream(known_id(execution_id)))
        if head == EMPTY_STREAM:
            raise ExecutionNotFound(execution_id)
        return facts


def _breakpoints(before: Sequence[str], after: Sequence[str]) -> BreakpointsSet:
    return BreakpointsSet(before=tuple(dict.fromkeys(before)), after=tuple(dict.fromkeys(after)))
