"""Trials in processes of this machine, which are killed when they take too long."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading

from wtb.domain.errors import WorkerDied
from wtb.sdk.batches.workers.assignment import Assignment
from wtb.sdk.batches.workers.bench_spec import BenchSpec
from wtb.sdk.batches.workers.remote_workers import RemoteWorkers
from wtb.sdk.batches.workers.trial_run import TrialRunner

PROGRAM = """
import sys
sys.path[:] = sys.argv[2:]
from wtb.sdk.batches.workers.worker_process import main
main(int(sys.argv[1]))
"""
"""Imports find in a worker what they find here; the program's own file isn't run again unless the spec names it."""


class ProcessWorkers(RemoteWorkers):
    """Processes that each open the bench once and run one trial at a time.

    All of them start at once. One that died is replaced when it is needed. A
    trial's time begins when its process is ready: `submit` waits for that.
    """

    def __init__(self, runner: TrialRunner, spec: BenchSpec, max_concurrency: int) -> None:
        super().__init__(runner, max_concurrency)
        self._spec = spec.text
        self._idle = [WorkerProcess(self._spec) for _ in range(max_concurrency)]
        self._lock = threading.Lock()

    def _send(self, assignment: Assignment, text: str) -> "ProcessErrand":
        process = self._found() or WorkerProcess(self._spec)
        process.wait_until_ready()
        return ProcessErrand(self, process, text)

    def _found(self) -> "WorkerProcess | None":
        """A process that waits for work; those that died meanwhile are forgotten."""
        with self._lock:
            while self._idle:
                process = self._idle.pop()
                if process.lives:
                    return process
        return None

    def take_back(self, process: "WorkerProcess") -> None:
        with self._lock:
            self._idle.append(process)

    def close(self) -> None:
        super().close()
        for process in self._idle:
            process.dismiss()
        for process in self._idle:
            process.wait()
        self._idle.clear()


class ProcessErrand:
    """An assignment that a process of its own runs."""

    def __init__(self, workers: ProcessWorkers, process: "WorkerProcess", text: str) -> None:
        self._workers = workers
        self._process = process
        process.tell(text)

    def reply(self) -> str:
        reply = self._process.hear()
        self._workers.take_back(self._process)
        return reply

    def stop(self) -> None:
        self._process.kill()


class WorkerProcess:
    """A Python process that says when it is ready, and answers each assignment, a line of JSON; see `worker_process`.

    It leads a process group: what its nodes have started dies with it, and a Ctrl-C
    in the terminal is for this process alone to heed. What it prints goes where
    this process's own output goes.
    """

    def __init__(self, spec: str) -> None:
        here, there = socket.socketpair()
        with there:
            self._process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, str(there.fileno()), *sys.path],
                stdin=subprocess.DEVNULL,
                stdout=_output(),
                pass_fds=[there.fileno()],
                start_new_session=True,
            )
        with here:
            self._lines = here.makefile("rwb")
        self._is_ready = False
        self.tell(spec)

    @property
    def lives(self) -> bool:
        return self._process.poll() is None

    def wait_until_ready(self) -> None:
        """Until it has opened the bench, or is dead."""
        if not self._is_ready:
            self._is_ready = bool(self._line())

    def tell(self, text: str) -> None:
        with contextlib.suppress(BrokenPipeError):  # it is dead, which `hear` will find
            self._lines.write(text.encode() + b"\n")
            self._lines.flush()

    def hear(self) -> str:
        """Raises `WorkerDied`."""
        line = self._line()
        if not line:
            self.kill()
            raise WorkerDied(f"the process that ran the trial died ({_cause(self._process.wait())})")
        return line

    def _line(self) -> str:
        """A whole line; empty when the process died before it had written one."""
        try:
            line = self._lines.readline()
        except ConnectionResetError:
            line = b""
        return line.decode() if line.endswith(b"\n") else ""

    def kill(self) -> None:
        """End it, and what its nodes have started. It is dead after."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def dismiss(self) -> None:
        """Let it go, which has nothing to do."""
        self._lines.close()
        if not self._is_ready:
            self.kill()

    def wait(self) -> None:
        """Until it has gone."""
        self._process.wait()


def _output() -> int | None:
    """Where this process prints to, when that isn't where it was started with: the CLI keeps its JSON apart."""
    try:
        return sys.stdout.fileno()
    except (OSError, AttributeError, ValueError):  # a notebook's, or pytest's
        return None


def _cause(code: int) -> str:
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name
