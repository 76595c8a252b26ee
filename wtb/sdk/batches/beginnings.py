"""The ways a batch begins: started, or resumed after it was stopped or its process died."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import cast

from wtb.domain import batch_decisions
from wtb.domain.batch import (
    BatchFact,
    BatchLifecycleFact,
    BatchStarted,
    Budget,
    Case,
    CasesAdded,
    Price,
    State,
    Unknown,
    fold,
    trial_execution,
)
from wtb.domain.errors import BatchExists, BatchTaken, InvalidRequest
from wtb.domain.event_log import EMPTY_STREAM, Origin, StreamHead
from wtb.domain.identifiers import BatchId, batch_stream, new_id
from wtb.infra.langgraph.graphs import RunnableGraph
from wtb.sdk.batches.assessment import Assessment
from wtb.sdk.batches.assignment import Assignment
from wtb.sdk.batches.budget import check_budget
from wtb.sdk.batches.cases import AT_A_TIME, Cases, Found, check_cases, kept, read_cases
from wtb.sdk.batches.coordinator import Coordinator, Job, Tally, trials
from wtb.sdk.batches.ledger import Ledger
from wtb.sdk.batches.matrix import Combination
from wtb.sdk.batches.progress import Progress
from wtb.sdk.batches.recorded_cases import RecordedCases
from wtb.sdk.batches.scoring import as_preferences, as_scores
from wtb.sdk.batches.trial_run import FindGraph, TrialRunner
from wtb.sdk.batches.workers import ExecutorName, workers_for
from wtb.sdk.platform import Platform, new_batch_id
from wtb.sdk.running import Options

LONGEST_BATCH_ID = 150
"""Bytes: its trials' ids are longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a batch is asked to be."""

    workflow: str
    graph: RunnableGraph
    find_graph: FindGraph
    combinations: Sequence[Combination]
    cases: Cases
    scores: Sequence[object] = ()
    preferences: Sequence[object] = ()
    repeats: int = 1
    max_concurrency: int | None = None
    executor: ExecutorName | Executor = "auto"
    timeout: float | timedelta | None = None
    attempts: int = 1
    fail_fast: bool = False
    budget: Budget | None = None
    prices: Mapping[str, Price] = field(default_factory=dict)
    share_prefix: bool = False
    batch_id: str | None = None
    description: str = ""


@dataclass(slots=True)
class BatchRun:
    """A batch that this process has taken, until it ends."""

    platform: Platform
    ledger: Ledger
    coordinator: Coordinator
    close: Callable[[], None]

    def run(self) -> BatchId:
        """To its end, or until it is stopped. Raises as `Coordinator.run`."""
        with self._held():
            self.coordinator.run()
        return self.ledger.batch

    async def arun(self) -> BatchId:
        """`run` without holding up the running loop; cancelled, it cancels what is under way and notes that."""
        with self._held():
            working = asyncio.ensure_future(asyncio.to_thread(self.coordinator.run))
            try:
                await asyncio.shield(working)
            except asyncio.CancelledError:
                self.coordinator.interrupt()
                await working
                raise
        return self.ledger.batch

    @contextmanager
    def _held(self) -> Iterator[None]:
        try:
            yield
        finally:
            self.close()
            self.platform.batches.discard(self.ledger.batch)


def start(
    platform: Platform,
    wish: Wish,
    origin: Origin,
    options: Options,
    progress: Progress | None = None,
    loop: asyncio.AbstractEventLoop | None = None,
) -> BatchRun:
    """A new batch, durable with all its cases, and not run yet. ``loop``: the caller's, that async trials may use.

    Everything is checked before anything is written. Raises `InvalidCase`,
    `InvalidRequest`, `NodeNotFound`, `VariantNotFound`, `BatchExists` or
    `StoreError`.
    """
    batch = new_batch_id() if wish.batch_id is None else _chosen(wish.batch_id)
    graphs = _checked(wish)
    scores, preferences = as_scores(wish.scores), as_preferences(wish.preferences)
    executor = _executor(wish.executor, graphs, wish.combinations)
    found = read_cases(wish.cases)
    check_cases(found, graphs)
    head = platform.store.head(batch_stream(batch))
    if head != EMPTY_STREAM:
        raise BatchExists(batch)
    started = BatchStarted(
        workflow=wish.workflow,
        graph=wish.graph.version,
        worker=platform.presence.announce(),
        cases=len(found),
        combinations=tuple(wish.combinations),
        repeats=wish.repeats,
        scores=tuple(score.name for score in scores),
        preferences=tuple(preference.name for preference in preferences),
        higher_is_better={s.name: s.higher_is_better for s in scores if s.higher_is_better is not True},
        executor=executor if isinstance(executor, str) else type(executor).__name__,
        max_concurrency=wish.max_concurrency or most_at_once(executor),
        timeout_us=_microseconds(wish.timeout),
        attempts=wish.attempts,
        fail_fast=wish.fail_fast,
        share_prefix=wish.share_prefix,
        budget=wish.budget,
        prices=dict(wish.prices),
        description=wish.description,
    )
    ledger = Ledger(platform, batch, head, Unknown(), origin)
    cases = _take(platform, ledger, batch_decisions.start(batch, Unknown(), started), found, wish.graph)
    workers = workers_for(executor, TrialRunner(platform, wish.find_graph, origin, options), loop)
    recorded = RecordedCases(platform, cases)
    assessment = Assessment(
        platform, recorded, started.combinations, wish.find_graph, scores, preferences, started.max_concurrency
    )
    jobs = _jobs(batch, started, cases)
    total = len(cases) * len(started.combinations) * started.repeats
    coordinator = Coordinator(started, ledger, workers, assessment, jobs, Tally(total), progress)

    def close() -> None:
        assessment.close()
        workers.close()

    return BatchRun(platform, ledger, coordinator, close)


def _take(
    platform: Platform,
    ledger: Ledger,
    facts: Sequence[BatchLifecycleFact],
    found: Sequence[Found],
    graph: RunnableGraph,
) -> list[Case]:
    """Begin the batch with its cases in one commit; the cases as they are kept."""
    cases = [*kept(found, ledger.journal, graph.saver.serde)]
    added: list[BatchFact] = [
        CasesAdded(cases=tuple(cases[place : place + AT_A_TIME])) for place in range(0, len(cases), AT_A_TIME)
    ]
    if ledger.batch in platform.batches:
        raise BatchTaken(ledger.batch, ledger.worker)
    platform.batches.add(ledger.batch)
    try:
        ledger.take([*facts, *added])
    except BaseException:
        platform.batches.discard(ledger.batch)
        raise
    return cases


def _jobs(batch: BatchId, started: BatchStarted, cases: Sequence[Case]) -> Iterator[Job]:
    ids = [case.id for case in cases]
    for place, trial in trials(ids, len(started.combinations), started.repeats):
        yield Job(
            Assignment(
                batch=batch,
                trial=trial,
                execution=trial_execution(batch, trial, place),
                workflow=started.workflow,
                variants=started.combinations[trial.combination],
                input=cases[place].input,
                attempts=started.attempts,
            )
        )


def standing(platform: Platform, batch: BatchId) -> tuple[State, StreamHead]:
    """A batch as it stands: what decisions rest on."""
    events, head = platform.store.lifecycle(batch_stream(batch))
    return fold([cast("BatchLifecycleFact", event.fact) for event in events]), head


def most_at_once(executor: ExecutorName | Executor) -> int:
    """How many trials run at a time, where nothing else is asked."""
    import os

    cores = os.cpu_count() or 1
    return {"threads": min(32, cores + 4), "asyncio": 100}.get(cast("str", executor), cores)


def _chosen(batch_id: str) -> BatchId:
    if len(batch_id.encode("utf-8", "replace")) > LONGEST_BATCH_ID:
        raise InvalidRequest(f"a batch's id can't be longer than {LONGEST_BATCH_ID} bytes")
    return BatchId(new_id(batch_id))


def _checked(wish: Wish) -> list[RunnableGraph]:
    """The graphs that the combinations run."""
    for name, number in (
        ("repeats", wish.repeats),
        ("attempts", wish.attempts),
        ("max_concurrency", 1 if wish.max_concurrency is None else wish.max_concurrency),
    ):
        if number < 1:
            raise InvalidRequest(f"{name} can't be {number}", hint="Give 1 or more.")
    if wish.timeout is not None and not (_microseconds(wish.timeout) or 0) > 0:
        raise InvalidRequest(f"a timeout of {wish.timeout} leaves no time", hint="Give more, or leave it out.")
    check_budget(wish.budget, wish.prices)
    graphs: list[RunnableGraph] = []
    for combination in wish.combinations:
        graph = wish.find_graph(combination)
        graph.check_variants(combination)
        if graph not in graphs:
            graphs.append(graph)
    return graphs


def _executor(
    asked: ExecutorName | Executor, graphs: Sequence[RunnableGraph], combinations: Sequence[Combination]
) -> ExecutorName | Executor:
    if asked != "auto":
        return asked
    on_a_loop = any(graph.runs_on_a_loop(each) for graph in graphs for each in combinations)
    return "asyncio" if on_a_loop else "threads"


def _microseconds(timeout: float | timedelta | None) -> int | None:
    if timeout is None:
        return None
    seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
    return round(seconds * 1e6)
