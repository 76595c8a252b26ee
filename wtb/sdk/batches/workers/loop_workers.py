"""Trials as tasks of one event loop."""

import asyncio
from concurrent.futures import Future

from wtb.sdk.batches.workers.assignment import Assignment, Ended
from wtb.sdk.batches.workers.loop_thread import LoopThread
from wtb.sdk.batches.workers.trial_run import TrialRunner

SECONDS_TO_SETTLE = 5.0


class LoopWorkers:
    """A task for each trial, on a loop in a thread of its own, or on the caller's.

    A node that doesn't give the loop back holds up all the others.
    """

    def __init__(self, runner: TrialRunner, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """``loop``: the caller's, which runs; it is left running."""
        self._runner = runner
        self._own = LoopThread("wtb-batch") if loop is None else None
        self._loop = self._own.loop if self._own is not None else loop
        assert self._loop is not None
        self._tasks: set[asyncio.Task[Ended]] = set()

    def submit(self, assignment: Assignment) -> "Future[Ended]":
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(self._run(assignment), self._loop)

    async def _run(self, assignment: Assignment) -> Ended:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            return await self._runner.arun(assignment)
        finally:
            self._tasks.discard(task)

    async def settled(self) -> None:
        """Wait, on the loop itself, for tasks that were cancelled to have said so; not for one that won't end."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=SECONDS_TO_SETTLE)

    def give_up(self, assignment: Assignment, future: "Future[Ended]") -> bool:
        """Cancel the task. Its execution has ended before, so that it doesn't matter how the task takes it."""
        self._runner.give_up(assignment)
        future.cancel()
        return True

    def close(self) -> None:
        if self._own is not None:
            self._own.close()
