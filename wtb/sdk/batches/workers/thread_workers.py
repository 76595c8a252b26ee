"""Trials in threads of this process."""

import threading
from concurrent.futures import Future

from wtb.sdk.batches.workers.assignment import Assignment, Ended
from wtb.sdk.batches.workers.trial_run import TrialRunner


class ThreadWorkers:
    """A thread for each trial. Daemons: one that hangs keeps neither the batch from going on nor the process."""

    def __init__(self, runner: TrialRunner) -> None:
        self._runner = runner

    def submit(self, assignment: Assignment) -> "Future[Ended]":
        future: Future[Ended] = Future()
        future.set_running_or_notify_cancel()
        threading.Thread(
            target=self._run, args=(assignment, future), name=f"wtb-{assignment.execution}", daemon=True
        ).start()
        return future

    def _run(self, assignment: Assignment, future: "Future[Ended]") -> None:
        try:
            ended = self._runner.run(assignment)
        except BaseException as refusal:  # noqa: BLE001  # the future's to raise
            future.set_exception(refusal)
        else:
            future.set_result(ended)

    def give_up(self, assignment: Assignment, future: "Future[Ended]") -> bool:
        """Shut the thread out of its execution: when it wakes it finds that it may write no more."""
        return self._runner.give_up(assignment)

    def close(self) -> None:
        """Threads end by themselves."""
