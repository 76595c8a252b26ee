"""Hands a batch's trials out, as many at a time as may be, and notes what comes of them."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future, wait
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Literal

from wtb.domain.batch import (
    FAILED,
    BatchCompleted,
    BatchStarted,
    BatchStopped,
    CaseFinished,
    CaseScored,
    TrialStatus,
    Usage,
    by_model,
)
from wtb.domain.errors import BatchTaken, StoreError, TrialTimedOut, ValueMissing, WorkerDied, WrongStatus, WtbError
from wtb.domain.execution import Cancelled, Completed, Failure, Paused
from wtb.sdk.batches.assessment import Assessment, Verdict
from wtb.sdk.batches.budget import Spending
from wtb.sdk.batches.ledger import Ledger
from wtb.sdk.batches.progress import BatchProgress, Progress
from wtb.sdk.batches.record import Record
from wtb.sdk.batches.workers.assignment import Assignment, Ended, Trouble, Workers
from wtb.sdk.batches.workers.trial_run import told
from wtb.sdk.claims import standing

A_MOMENT = 0.05
"""Seconds: a trial that is just about to begin has begun by then."""

StopReason = Literal["request", "fail_fast", "budget", "interrupted"]


@dataclass(slots=True)
class Job:
    """A trial to be brought to its end."""

    assignment: Assignment
    attempts: int = 0
    """Begun so far."""
    usage: tuple[Usage, ...] = ()
    """Of all attempts."""
    began: float = 0.0
    """Monotonic seconds: the last attempt."""
    then: "Callable[[Ended], list[Job]] | None" = None
    """What there is to do once it has ended, when it is no trial but what several begin with."""


@dataclass(slots=True)
class Tally:
    """What progress tells."""

    total: int
    finished: int = 0
    failed: int = 0
    tokens: int = 0
    sums: dict[str, tuple[float, int]] = field(default_factory=dict)
    """Of each score: its values' sum, and how many there are."""

    def finish(self, fact: CaseFinished) -> None:
        self.finished += 1
        self.failed += fact.status in FAILED
        self.tokens += sum(used.tokens for used in fact.usage)

    def score(self, fact: CaseScored) -> None:
        for name, said in fact.scores.items():
            if not isinstance(said, str):
                total, count = self.sums.get(name, (0.0, 0))
                self.sums[name] = (total + said, count + 1)


class Coordinator:
    """Runs a batch in the thread that calls `run`; keeps no states, and of trials only those under way.

    Everything that happens comes through one inbox, as the call that deals with
    it: so all of it is dealt with in that thread.
    """

    def __init__(
        self,
        started: BatchStarted,
        ledger: Ledger,
        workers: Workers,
        assessment: Assessment,
        jobs: Iterable[Job],
        tally: Tally,
        progress: Progress | None = None,
        record: Record | None = None,
    ) -> None:
        """``jobs`` are asked for as there is room for them; ``record``: of a batch that is resumed."""
        self._started = started
        self._ledger = ledger
        self._workers = workers
        self._assessment = assessment
        self._awaited: set[Verdict] = set()
        self._ahead: Iterator[Job] = iter(jobs)
        self._ready: deque[Job] = deque()
        self._under_way: dict[Future[Ended], Job] = {}
        self._inbox: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._timeout = None if started.timeout_us is None else started.timeout_us / 1e6
        self._spending = Spending(started.budget, started.prices)
        self._stopping: BatchStopped | None = None
        self._tally = tally
        self._progress = progress
        self._record = record
        self._began = monotonic()

    # --- the loop ---------------------------------------------------------------------------------

    def run(self) -> None:
        """Until every trial has ended, or it is stopped.

        Raises `StoreError` or `BatchTaken` when it can't be recorded any more, and
        whatever stopped this thread, such as ``KeyboardInterrupt`` or what the caller's
        ``progress`` raised; nothing is under way then, and that is noted.
        """
        try:
            self._work()
        except BaseException as stop:
            self._give_all_up()
            if not isinstance(stop, StoreError | BatchTaken):
                self._ledger.close(BatchStopped(reason="interrupted", detail=type(stop).__name__))
            raise
        self._ledger.close(self._end())
        self._tell()

    def interrupt(self) -> None:
        """From any thread: stop at once, as by Ctrl-C."""
        self._inbox.put(partial(self._stop_at_once, "interrupted", "cancelled"))

    def _work(self) -> None:
        self._tell()
        if self._record is not None:
            self._await(self._assessment.left_over(self._record))
        while True:
            self._hand_out()
            if not self._under_way and not self._awaited:
                return
            with suppress(Empty):
                self._inbox.get(timeout=self._patience())()
            self._expire()
            if self._ledger.is_due:
                self._ledger.commit()

    def _hand_out(self) -> None:
        while len(self._under_way) < self._started.max_concurrency and self._may_go_on():
            job = self._next()
            if job is None:
                return
            self._begin(job)

    def _next(self) -> Job | None:
        return self._ready.popleft() if self._ready else next(self._ahead, None)

    def _may_go_on(self) -> bool:
        if self._stopping is None and self._ledger.stop_requested:
            self._stopping = BatchStopped(reason="request", detail=self._ledger.stop_detail)
        if self._stopping is None and (used_up := self._spending.used_up(self._elapsed)):
            self._stopping = BatchStopped(reason="budget", detail=used_up)
        return self._stopping is None

    def _begin(self, job: Job) -> None:
        job.attempts += 1
        future = self._workers.submit(job.assignment)
        job.began = monotonic()  # a process may have had to start
        self._under_way[future] = job
        future.add_done_callback(lambda done: self._inbox.put(partial(self._ended, done)))

    def _patience(self) -> float | None:
        """Seconds until something is to be done though nothing happens; None when there is no such thing."""
        waits = [self._ledger.due_in] if self._ledger.pending else []
        if self._timeout is not None and self._under_way:
            oldest = next(iter(self._under_way.values()))  # they are in the order in which they were begun
            waits.append(oldest.began + self._timeout - monotonic())
        return max(0.0, min(waits)) if waits else None

    # --- what happens -----------------------------------------------------------------------------

    def _ended(self, future: "Future[Ended]") -> None:
        job = self._under_way.pop(future, None)
        if job is None:
            return  # given up before
        try:
            ended = future.result()
        except WorkerDied as death:
            ended = self._recorded(job) or _refused(job, "lost", death)
        except (WrongStatus, CancelledError) as given_up:  # too late: its end was being written
            ended = self._recorded(job) or _refused(job, "failed", given_up)
        except ValueMissing as gone:
            ended = _refused(job, "failed", gone)
        except StoreError:
            raise
        except WtbError as refusal:
            ended = _refused(job, "failed", refusal)
        self._take(job, ended)

    def _expire(self) -> None:
        if self._timeout is None:
            return
        now = monotonic()
        late = [future for future, job in self._under_way.items() if job.began + self._timeout <= now]
        for future in late:
            if future.done():
                continue  # it is in the inbox
            job = self._under_way[future]
            if not self._gives_up(job, future):
                continue
            del self._under_way[future]
            self._take(job, _refused(job, "timed_out", TrialTimedOut(f"it took longer than {self._timeout:g} s")))

    def _take(self, job: Job, ended: Ended) -> None:
        """An attempt is over: try again, or note the end."""
        job.usage = by_model([*job.usage, *ended.tokens])
        job.attempts = max(job.attempts, ended.attempts)
        self._spending.add(ended.tokens)
        if ended.status in FAILED and job.attempts < job.assignment.attempts:
            self._ready.append(job)
            return
        if job.then is not None:
            self._ready.extendleft(reversed(job.then(ended)))
            return
        trial = job.assignment.trial
        error = ended.error
        fact = CaseFinished(
            case=trial.case,
            combination=trial.combination,
            repeat=trial.repeat,
            execution=ended.execution,
            status=ended.status,
            duration_us=ended.duration_us,
            attempts=job.attempts,
            error=None if error is None else Failure(type=error.type, message=error.message),
            usage=job.usage,
        )
        self._ledger.note(fact)
        self._tally.finish(fact)
        self._await(self._assessment.of(fact))
        if self._started.fail_fast and ended.status in FAILED:
            self._stop_at_once("fail_fast", f"case {trial.case!r} {ended.status.replace('_', ' ')}")
        self._tell()

    def _await(self, verdicts: Iterable[Verdict]) -> None:
        for verdict in verdicts:
            self._awaited.add(verdict)
            verdict.add_done_callback(lambda done: self._inbox.put(partial(self._said, done)))

    def _said(self, verdict: Verdict) -> None:
        self._awaited.discard(verdict)
        facts = verdict.result()
        self._ledger.note(*facts)
        for fact in facts:
            if isinstance(fact, CaseScored):
                self._tally.score(fact)
        self._tell()

    # --- stopping ---------------------------------------------------------------------------------

    def _stop_at_once(self, reason: StopReason, detail: str) -> None:
        self._stopping = self._stopping or BatchStopped(reason=reason, detail=detail)
        self._give_all_up()

    def _give_all_up(self) -> None:
        """What is under way is cancelled, and not noted as finished: a resumed batch goes on with it."""
        left = {future: job for future, job in self._under_way.items() if not future.done()}
        while left:
            for future in [future for future, job in left.items() if self._gives_up(job, future)]:
                del left[future], self._under_way[future]
            for future in wait(left, A_MOMENT).done:  # those have ended by themselves, and are in the inbox
                del left[future]

    def _gives_up(self, job: Job, future: "Future[Ended]") -> bool:
        """Have its execution cancelled, so that nobody runs it.

        False when it has just ended, and its future tells how, or is just about to begin.
        """
        is_out = self._workers.give_up(job.assignment, future)
        state = standing(self._ledger.platform, job.assignment.execution).state
        return not isinstance(state, Completed | Paused) and (is_out or isinstance(state, Cancelled))

    def _recorded(self, job: Job) -> Ended | None:
        """How an attempt ended by its record, when nobody is left to tell; None when it tells of no end."""
        now = standing(self._ledger.platform, job.assignment.execution)
        return told(now) if isinstance(now.state, Completed | Paused) else None

    def _end(self) -> BatchStopped | BatchCompleted:
        if self._stopping is not None and self._tally.finished < self._tally.total:
            return self._stopping
        return BatchCompleted(duration_us=round(self._elapsed * 1e6))

    # --- progress ---------------------------------------------------------------------------------

    @property
    def _elapsed(self) -> float:
        return monotonic() - self._began

    def _tell(self) -> None:
        if self._progress is not None:
            tally = self._tally
            self._progress(
                BatchProgress(
                    total=tally.total,
                    finished=tally.finished,
                    failed=tally.failed,
                    running=len(self._under_way),
                    elapsed=timedelta(seconds=self._elapsed),
                    tokens=tally.tokens,
                    scores={name: total / count for name, (total, count) in tally.sums.items()},
                )
            )


def _refused(job: Job, status: TrialStatus, error: Exception) -> Ended:
    return Ended(
        execution=job.assignment.execution,
        status=status,
        duration_us=round((monotonic() - job.began) * 1e6),
        error=Trouble(type(error).__name__, str(error)),
    )
