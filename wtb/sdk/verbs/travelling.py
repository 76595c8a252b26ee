"""Travelling: forks, rollbacks, edits, single nodes."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from langchain_core.runnables import RunnableConfig

from wtb.domain.identifiers import known_id, new_id
from wtb.projections.executions import Execution
from wtb.sdk import beginnings, time_travel
from wtb.sdk.claims import Request
from wtb.sdk.lineage import Lineage, lineage
from wtb.sdk.node_run import NodeRun, run_node
from wtb.sdk.platform import new_execution_id
from wtb.sdk.results import RunResult, State
from wtb.sdk.running import Run, adrive, drive
from wtb.sdk.time_travel import Changes, Place, rest
from wtb.sdk.verbs.asking import AskingVerbs


class TravelVerbs(AskingVerbs):
    """Travelling: forks, rollbacks, edits, single nodes."""

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
