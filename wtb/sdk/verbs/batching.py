"""Many cases under many combinations of variants."""

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from datetime import timedelta
from functools import partial
from typing import Any

from langchain_core.runnables import RunnableConfig

from wtb.domain.batch import BatchStatus, Budget, Price, TrialStatus
from wtb.domain.errors import BatchNotFound
from wtb.domain.identifiers import known_batch
from wtb.projections import batches, trials
from wtb.projections.batches import Batch
from wtb.projections.page import Page
from wtb.projections.trials import TrialRow
from wtb.sdk.batches import beginnings as batch_beginnings
from wtb.sdk.batches.beginnings import Resumption
from wtb.sdk.batches.cases import Cases
from wtb.sdk.batches.matrix import VariedBy, combinations
from wtb.sdk.batches.outcome import Case
from wtb.sdk.batches.past_cases import past_cases
from wtb.sdk.batches.progress import Progress
from wtb.sdk.batches.recorded_result import batch_result
from wtb.sdk.batches.result import BatchResult
from wtb.sdk.batches.stopping import stop as stop_batch
from wtb.sdk.batches.wish import Wish
from wtb.sdk.batches.workers.bench_spec import BenchSpec
from wtb.sdk.batches.workers.choice import ExecutorName
from wtb.sdk.batches.workers.trial_run import FindGraph as FindGraphOfTrial
from wtb.sdk.batches.workers.trial_run import TrialRunner
from wtb.sdk.loading import named_graph
from wtb.sdk.running import Options
from wtb.sdk.verbs.bench import Bench


class BatchVerbs(Bench):
    """Many cases under many combinations of variants."""

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
