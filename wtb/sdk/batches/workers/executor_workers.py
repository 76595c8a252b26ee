"""Trials on an executor that the caller brings. It isn't shut down: that is the caller's to do."""

import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ThreadPoolExecutor, wait
from typing import TypeVar

from wtb.domain.errors import ExecutionNotFound, InvalidRequest, WorkerDied, WrongStatus
from wtb.sdk import control
from wtb.sdk.batches.workers.assignment import Assignment, Ended
from wtb.sdk.batches.workers.bench_spec import BenchSpec
from wtb.sdk.batches.workers.crossing import run_across
from wtb.sdk.batches.workers.remote_workers import RemoteWorkers
from wtb.sdk.batches.workers.trial_run import TrialRunner

_T = TypeVar("_T")

BEGINNING_SECONDS = 10.0
"""How long a trial that is given up may take until it has begun, so that it can be cancelled."""


class ThreadPoolWorkers:
    """Trials in the threads of a pool, in this process.

    A thread can't be killed: what is given up is cancelled in the store. What it
    goes on to do isn't recorded, and it stops before its next node; until then it
    keeps a thread of the pool busy.
    """

    def __init__(self, runner: TrialRunner, executor: ThreadPoolExecutor) -> None:
        self._runner = runner
        self._executor = executor

    def submit(self, assignment: Assignment) -> "Future[Ended]":
        """Raises `InvalidRequest` when the pool was shut down."""
        return _submitted(lambda: self._executor.submit(self._runner.run, assignment))

    def give_up(self, assignment: Assignment, future: "Future[Ended]") -> bool:
        return future.cancel() or self._runner.give_up(assignment)

    def close(self) -> None:
        pass


class ExecutorWorkers(RemoteWorkers):
    """Trials as calls of an executor whose workers may be anywhere; what is given up is cancelled in the store."""

    def __init__(self, runner: TrialRunner, spec: BenchSpec, max_concurrency: int, executor: Executor) -> None:
        super().__init__(runner, max_concurrency)
        self._spec = spec.text
        self._executor = executor

    def _send(self, assignment: Assignment, text: str) -> "ExecutorErrand":
        call = _submitted(lambda: self._executor.submit(run_across, self._spec, text))
        return ExecutorErrand(call, lambda: _withdraw(self._runner, assignment, call))


class ExecutorErrand:
    """An assignment that a call runs."""

    def __init__(self, call: "Future[str]", withdraw: Callable[[], None]) -> None:
        self._call = call
        self._withdraw = withdraw
        self._left: Future[str] = Future()

    def reply(self) -> str:
        wait((self._call, self._left), return_when=FIRST_COMPLETED)
        if not self._call.done():
            raise WorkerDied("the trial was given up, and its worker can't be ended")
        try:
            return self._call.result()
        except BrokenExecutor as broken:
            raise WorkerDied(f"the executor broke while it ran the trial: {broken}") from broken

    def stop(self) -> None:
        if not self._call.cancel():
            self._withdraw()
        self._left.set_result("")


def _submitted(submit: "Callable[[], Future[_T]]") -> "Future[_T]":
    try:
        return submit()
    except RuntimeError as refusal:  # broken, or shut down
        raise InvalidRequest(
            f"the executor takes no more trials: {refusal}", hint="Resume the batch with another executor."
        ) from refusal


def _withdraw(runner: TrialRunner, assignment: Assignment, future: "Future[_T]") -> None:
    """Cancel a trial that somebody runs and nobody can stop. One that ends meanwhile has ended."""
    until = time.monotonic() + BEGINNING_SECONDS
    while not future.done() and time.monotonic() < until:
        try:
            control.cancel(runner.platform, assignment.execution, "given up by its batch", runner.origin, at_once=True)
        except ExecutionNotFound:
            time.sleep(0.005)  # it is about to begin
        except WrongStatus:
            return
        else:
            return
