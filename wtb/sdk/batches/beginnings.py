"""The ways a batch begins: started, or resumed after it was stopped or its process died."""

import asyncio
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import cast

from wtb.domain import batch_decisions
from wtb.domain.batch import (
    FAILED,
    BatchFact,
    BatchLifecycleFact,
    BatchStarted,
    Case,
    CaseFinished,
    CasesAdded,
    State,
    Trial,
    Unknown,
    fold,
    trial_execution,
)
from wtb.domain.batch import Running as BatchRunning
from wtb.domain.errors import BatchExists, BatchNotFound, BatchTaken, InvalidRequest, VersionConflict
from wtb.domain.event_log import EMPTY_STREAM, StreamHead
from wtb.domain.execution import Completed, Failed
from wtb.domain.identifiers import BatchId, batch_stream
from wtb.infra.langgraph.graphs import RunnableGraph
from wtb.sdk import claims
from wtb.sdk.batches.assessment import Assessment
from wtb.sdk.batches.cases import AT_A_TIME, check_cases, kept, read_cases
from wtb.sdk.batches.coordinator import Coordinator, Job, Tally
from wtb.sdk.batches.ledger import Ledger
from wtb.sdk.batches.prefix import is_shareable, shared
from wtb.sdk.batches.progress import Progress
from wtb.sdk.batches.record import Record, read_record
from wtb.sdk.batches.recorded_cases import RecordedCases
from wtb.sdk.batches.scoring import Preference, Score, as_preferences, as_scores
from wtb.sdk.batches.wish import (
    Wish,
    check_number,
    check_wish,
    chosen_id,
    executor_for,
    graphs_of,
    microseconds,
    most_at_once,
)
from wtb.sdk.batches.workers.assignment import Assignment, Workers
from wtb.sdk.batches.workers.choice import Describe, ExecutorName, workers_for
from wtb.sdk.batches.workers.loop_workers import LoopWorkers
from wtb.sdk.batches.workers.trial_run import TrialRunner
from wtb.sdk.platform import Platform, new_batch_id


@dataclass(slots=True)
class BatchRun:
    """A batch that this process has taken, until it ends."""

    platform: Platform
    ledger: Ledger
    coordinator: Coordinator
    workers: Workers
    assessment: Assessment

    @property
    def batch(self) -> BatchId:
        return self.ledger.batch

    def take(self, facts: Sequence[BatchFact], workflow: str, graphs: Iterable[RunnableGraph]) -> None:
        """Have the batch run by this process, durably; its graphs and variants are known to the store before.

        Raises as `Ledger.take`, or `BatchTaken`; then it is let go.
        """
        try:
            if self.platform.batches.setdefault(self.batch, self) is not self:
                raise BatchTaken(self.batch, self.ledger.worker)
            for graph in graphs:  # the processes that trials may run in know nothing of variants' names
                self.platform.registry.note(workflow, graph, self.ledger.journal.origin)
            self.ledger.take(facts)
        except BaseException:
            self._let_go()
            raise

    def run(self) -> BatchId:
        """To its end, or until it is stopped. Raises as `Coordinator.run`."""
        with self._held():
            self.coordinator.run()
        return self.batch

    async def arun(self) -> BatchId:
        """`run` without holding up the running loop; cancelled, it cancels what is under way and notes that."""
        with self._held():
            working = asyncio.ensure_future(asyncio.to_thread(self.coordinator.run))
            try:
                await asyncio.shield(working)
            except asyncio.CancelledError:
                self.coordinator.interrupt()
                await working
                if isinstance(self.workers, LoopWorkers):
                    await self.workers.settled()
                raise
        return self.batch

    @contextmanager
    def _held(self) -> Iterator[None]:
        try:
            yield
        finally:
            self._let_go()

    def _let_go(self) -> None:
        self.assessment.close()
        self.workers.close()
        if self.platform.batches.get(self.batch) is self:
            del self.platform.batches[self.batch]


def start(
    wish: Wish,
    runner: TrialRunner,
    describe: Describe,
    progress: Progress | None = None,
    loop: asyncio.AbstractEventLoop | None = None,
) -> BatchRun:
    """A new batch, durable with all its cases, and not run yet. ``loop``: the caller's, that async trials may use.

    Everything is checked before anything is written. Raises `InvalidCase`,
    `InvalidRequest`, `NodeNotFound`, `VariantNotFound`, `BatchExists` or
    `StoreError`.
    """
    platform = runner.platform
    batch = new_batch_id() if wish.batch_id is None else chosen_id(wish.batch_id)
    graphs = check_wish(wish)
    scores, preferences = as_scores(wish.scores), as_preferences(wish.preferences)
    executor = executor_for(wish.executor, graphs, wish.combinations)
    found = read_cases(wish.cases)
    check_cases(found, graphs)
    if platform.store.head(batch_stream(batch)) != EMPTY_STREAM:
        raise BatchExists(batch)
    started = BatchStarted(
        workflow=wish.workflow,
        graph=wish.graph.version,
        worker=platform.presence.announce(),
        cases=len(found),
        combinations=tuple(wish.combinations),
        repeats=wish.repeats,
        scores=tuple(score.name for score in scores),
        higher_is_better={s.name: s.higher_is_better for s in scores if s.higher_is_better is not True},
        preferences=tuple(preference.name for preference in preferences),
        executor=executor if isinstance(executor, str) else type(executor).__name__,
        max_concurrency=wish.max_concurrency or most_at_once(executor),
        timeout_us=microseconds(wish.timeout),
        attempts=wish.attempts,
        fail_fast=wish.fail_fast,
        share_prefix=wish.share_prefix,
        budget=wish.budget,
        prices=dict(wish.prices),
        description=wish.description,
    )
    if platform.store.redaction is not None:
        runner = replace(runner, given={case.id: case.input for case, _ in found})
    ledger = Ledger(platform, batch, EMPTY_STREAM, Unknown(), runner.origin)
    cases = [*kept(found, ledger.journal, wish.graph.saver.serde)]
    added: list[BatchFact] = [
        CasesAdded(cases=tuple(cases[place : place + AT_A_TIME])) for place in range(0, len(cases), AT_A_TIME)
    ]
    tally = Tally(len(cases) * len(started.combinations) * started.repeats)
    jobs = _jobs(platform, batch, started, cases)
    workers = _workers(executor, runner, describe, started, loop)
    run = _run(started, ledger, runner, workers, cases, scores, preferences, jobs, tally, progress)
    run.take([*batch_decisions.start(batch, Unknown(), started), *added], wish.workflow, graphs)
    return run


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumption:
    """What is asked of a batch that goes on; None where it is to be as it was."""

    scores: Sequence[object] | None = None
    """The functions themselves, since only their names are stored. Without them trials go unscored for now."""
    preferences: Sequence[object] | None = None
    executor: ExecutorName | Executor | None = None
    max_concurrency: int | None = None
    retry_failed: bool = False


def resume(
    batch: BatchId,
    asked: Resumption,
    runner: TrialRunner,
    describe: Describe,
    progress: Progress | None = None,
    loop: asyncio.AbstractEventLoop | None = None,
) -> BatchRun | None:
    """A batch that was stopped, or whose process died, goes on with what isn't finished; None when all is.

    Raises `BatchNotFound`, `BatchTaken`, `InvalidRequest`, `NodeNotFound`,
    `VariantNotFound` or `StoreError`.
    """
    while True:
        with suppress(VersionConflict):  # when it is no longer as it was when looked at: look again
            return _resume(batch, asked, runner, describe, progress, loop)


def _resume(
    batch: BatchId,
    asked: Resumption,
    runner: TrialRunner,
    describe: Describe,
    progress: Progress | None,
    loop: asyncio.AbstractEventLoop | None,
) -> BatchRun | None:
    platform = runner.platform
    if asked.max_concurrency is not None:
        check_number("max_concurrency", asked.max_concurrency)
    state, head = standing(platform, batch)
    record = read_record(platform, batch)
    started, cases = record.started, record.cases
    graphs = graphs_of(runner.find_graph, started.combinations)
    scores, preferences = as_scores(asked.scores or ()), as_preferences(asked.preferences or ())
    _check_names("score", asked.scores, [score.name for score in scores], started.scores)
    _check_names("preference", asked.preferences, [each.name for each in preferences], started.preferences)
    executor = executor_for(asked.executor or _as_before(started), graphs, started.combinations)
    most = asked.max_concurrency or (started.max_concurrency if asked.executor is None else most_at_once(executor))
    started = started.model_copy(update={"max_concurrency": most})
    again = {
        trial: fact
        for trial, fact in record.finished.items()
        if _is_open(platform, fact, retry_failed=asked.retry_failed)
    }
    record.finished = {trial: fact for trial, fact in record.finished.items() if trial not in again}
    tally = Tally(len(cases) * len(started.combinations) * started.repeats)
    for trial, fact in record.finished.items():
        tally.finish(fact)
        if trial in record.scored:
            tally.score(record.scored[trial])
    left = tally.finished < tally.total or _is_unsaid(record, scores, preferences)
    alive = isinstance(state, BatchRunning) and is_run(platform, batch, state)
    facts = batch_decisions.resume(batch, state, platform.presence.announce(), alive=alive, left=left)
    if not facts:
        return None
    ledger = Ledger(platform, batch, head, state, runner.origin)
    jobs = _jobs(platform, batch, started, cases, again, record.finished.keys())
    workers = _workers(executor, runner, describe, started, loop)
    run = _run(started, ledger, runner, workers, cases, scores, preferences, jobs, tally, progress, record)
    run.take(facts, started.workflow, graphs)
    return run


def standing(platform: Platform, batch: BatchId) -> tuple[State, StreamHead]:
    """A batch as it stands: what decisions rest on."""
    events, head = platform.store.lifecycle(batch_stream(batch))
    return fold([cast("BatchLifecycleFact", event.fact) for event in events]), head


def workflow_of(platform: Platform, batch: BatchId) -> str:
    """The workflow that a batch runs. Raises `BatchNotFound`."""
    state, _ = standing(platform, batch)
    if isinstance(state, Unknown):
        raise BatchNotFound(batch)
    return state.started.workflow


def is_run(platform: Platform, batch: BatchId, state: BatchRunning) -> bool:
    """Whether the worker that a batch is recorded as running in still runs it; this process knows what it runs."""
    if state.worker == platform.presence.announce():
        return batch in platform.batches
    return platform.presence.is_alive(state.worker)


# --- what they share ----------------------------------------------------------------------------------


def _run(
    started: BatchStarted,
    ledger: Ledger,
    runner: TrialRunner,
    workers: Workers,
    cases: Sequence[Case],
    scores: Sequence[Score],
    preferences: Sequence[Preference],
    jobs: Iterable[Job],
    tally: Tally,
    progress: Progress | None,
    record: Record | None = None,
) -> BatchRun:
    platform = runner.platform
    recorded = RecordedCases(platform, cases)
    assessment = Assessment(platform, recorded, started, runner.find_graph, scores, preferences)
    coordinator = Coordinator(started, ledger, workers, assessment, jobs, tally, progress, record)
    return BatchRun(platform, ledger, coordinator, workers, assessment)


def _workers(
    executor: ExecutorName | Executor,
    runner: TrialRunner,
    describe: Describe,
    started: BatchStarted,
    loop: asyncio.AbstractEventLoop | None,
) -> Workers:
    trials = started.cases * len(started.combinations) * started.repeats
    at_once = min(started.max_concurrency, trials) or 1
    return workers_for(executor, runner, lambda: describe(started.combinations), at_once, loop)


def _jobs(
    platform: Platform,
    batch: BatchId,
    started: BatchStarted,
    cases: Sequence[Case],
    again: Mapping[Trial, CaseFinished] | None = None,
    done: Collection[Trial] = (),
) -> Iterator[Job]:
    """Every trial that isn't done, all combinations of a case together; those of ``again`` had ended before."""
    sharing = started.share_prefix and is_shareable(started.combinations)
    again = again or {}
    for place, case in enumerate(cases):
        for repeat in range(started.repeats):
            all_trials = [Trial(case.id, number, repeat) for number in range(len(started.combinations))]
            jobs = [
                _job(batch, started, place, case, trial, again.get(trial)) for trial in all_trials if trial not in done
            ]
            if jobs and sharing:
                yield shared(platform, started.combinations, place, jobs)
            else:
                yield from jobs


def _job(
    batch: BatchId, started: BatchStarted, place: int, case: Case, trial: Trial, before: CaseFinished | None
) -> Job:
    attempts = before.attempts if before is not None and before.status in FAILED else 0
    assignment = Assignment(
        batch=batch,
        trial=trial,
        execution=trial_execution(batch, trial, place),
        workflow=started.workflow,
        variants=started.combinations[trial.combination],
        input=case.input,
        attempts=attempts + started.attempts,
    )
    return Job(assignment, attempts=attempts)


def _is_open(platform: Platform, fact: CaseFinished, *, retry_failed: bool) -> bool:
    """Whether a trial that ended is to be looked at again: it failed, or it waited and has been resumed since."""
    if fact.status == "paused":
        return isinstance(claims.standing(platform, fact.execution).state, Completed | Failed)
    return retry_failed and fact.status in FAILED


def _is_unsaid(record: Record, scores: Sequence[Score], preferences: Sequence[Preference]) -> bool:
    """Whether a trial that has ended is still to be scored or compared."""
    if scores and record.scored.keys() < record.finished.keys():
        return True
    ended = Counter((trial.case, trial.repeat) for trial in record.finished)
    others = len(record.started.combinations) - 1
    whole = sum(count == others + 1 for count in ended.values())
    return len(record.preferred) < whole * others * len(preferences)


def _as_before(started: BatchStarted) -> ExecutorName:
    """The executor a batch was started with; one that was handed over then isn't known any more."""
    known: dict[str, ExecutorName] = {"asyncio": "asyncio", "processes": "processes", "ray": "ray"}
    return known.get(started.executor, "auto")


def _check_names(kind: str, given: object, names: Sequence[str], known: Sequence[str]) -> None:
    if given is not None and {*names} != {*known}:
        raise InvalidRequest(
            f"the batch's {kind}s are {', '.join(known) or 'none'}, not {', '.join(names) or 'none'}",
            hint="Give those it was started with, or none to have trials unscored for now.",
        )
