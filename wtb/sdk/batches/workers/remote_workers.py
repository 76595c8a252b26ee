"""Workers in other processes: what is the same for all of them."""

import time
from abc import ABC, abstractmethod
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Protocol

import msgspec

from wtb.domain.errors import WorkerDied
from wtb.domain.execution import Running
from wtb.domain.identifiers import ExecutionId
from wtb.sdk.batches.workers.assignment import Assignment, Ended
from wtb.sdk.batches.workers.crossing import ended_of
from wtb.sdk.batches.workers.trial_run import TrialRunner
from wtb.sdk.claims import is_run, standing

RELEASE_SECONDS = 10.0
"""How long a system or a database may take to notice that a process is dead."""


class Errand(Protocol):
    """An assignment on its way in another process."""

    def reply(self) -> str:
        """Wait for what comes back. Raises `WorkerDied` when the process died, also by `stop`."""
        ...

    def stop(self) -> None:
        """Have nobody run it any more, and end the wait for its reply. Ends at once what has ended."""
        ...


class RemoteWorkers(ABC):
    """Send assignments away as text, and wait for the replies in threads."""

    def __init__(self, runner: TrialRunner, max_concurrency: int) -> None:
        self._runner = runner
        self._threads = ThreadPoolExecutor(max_concurrency, "wtb-trial")
        self._under_way: dict[Future[Ended], Errand] = {}

    @abstractmethod
    def _send(self, assignment: Assignment, text: str) -> Errand:
        """Begin an assignment, which ``text`` is as JSON."""

    def submit(self, assignment: Assignment) -> "Future[Ended]":
        errand = self._send(assignment, msgspec.json.encode(assignment).decode())
        future = self._threads.submit(self._follow, assignment.execution, errand)
        self._under_way[future] = errand
        future.add_done_callback(self._under_way.pop)
        return future

    def _follow(self, execution: ExecutionId, errand: Errand) -> Ended:
        try:
            return ended_of(errand.reply())
        except WorkerDied:
            self._until_released(execution)
            raise

    def give_up(self, assignment: Assignment, future: "Future[Ended]") -> bool:
        errand = self._under_way.get(future)
        if errand is not None:
            errand.stop()
            wait([future])
        self._runner.give_up(assignment)
        return True

    def close(self) -> None:
        for errand in list(self._under_way.values()):
            errand.stop()
        self._threads.shutdown()

    def _until_released(self, execution: ExecutionId) -> None:
        """Wait until the store knows that nobody runs an execution: a dead process's lock takes a moment to go."""
        end = time.monotonic() + RELEASE_SECONDS
        while time.monotonic() < end:
            state = standing(self._runner.platform, execution).state
            if not isinstance(state, Running) or not is_run(self._runner.platform, execution, state.worker):
                return
            time.sleep(0.005)
