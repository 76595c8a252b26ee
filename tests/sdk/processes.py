"""Executions in processes of their own: some die in a node, some race each other."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

from wtb.domain.errors import WtbError
from wtb.sdk import TestBench, WorkflowProject

MakeGraph = Callable[[], Any]
"""A function of a module, so that a child can find it."""

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload([__name__])  # children have everything imported when they are born


def die(state: object) -> Any:
    """A node that takes its whole process with it."""
    os.kill(os.getpid(), signal.SIGKILL)


def dies_running(project: WorkflowProject, graph: MakeGraph, execution: str) -> None:
    """Run a graph, one of whose nodes kills its process."""
    dies(_run, project, graph, execution)


def dies_resuming(project: WorkflowProject, graph: MakeGraph, execution: str, answer: Any) -> None:
    dies(_resume, project, graph, execution, answer)


def dies(work: Callable[..., None], *args: Any) -> None:
    """Do some work in a process that kills itself."""
    child = _forks.Process(target=work, args=args)
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL


def _run(project: WorkflowProject, graph: MakeGraph, execution: str) -> None:
    TestBench(project).run(graph(), {"query": "q"}, execution_id=execution)


def _resume(project: WorkflowProject, graph: MakeGraph, execution: str, answer: Any) -> None:
    TestBench(project).resume(execution, answer, graph=graph())


@contextmanager
def lives(project: WorkflowProject, graph: MakeGraph, execution: str, gate: Path) -> Iterator[None]:
    """An execution under way in another process, whose node waits for the file ``gate`` to be opened for writing."""
    child = _forks.Process(target=_run_with_gate, args=(project, graph, execution, gate))
    os.mkfifo(gate)
    child.start()
    with gate.open("w"):  # both sides wait here for the other
        yield
    child.join()
    assert child.exitcode == 0


def _run_with_gate(project: WorkflowProject, graph: MakeGraph, execution: str, gate: Path) -> None:
    os.environ["GATE"] = str(gate)
    _run(project, graph, execution)


def wait_at_gate(state: object) -> Any:
    """A node that waits until its `lives` context ends."""
    with Path(os.environ["GATE"]).open() as gate:
        gate.read()
    return {"notes": ["waited"]}


def race(project: WorkflowProject, graph: MakeGraph, tries: Sequence[tuple[str, dict[str, Any]]]) -> list[list[str]]:
    """Each process resumes the executions in turn, all at once; what came of it, by process."""
    barrier = _forks.Barrier(len(tries[0][1]["answers"]))
    racers = []
    for number in range(len(tries[0][1]["answers"])):
        here, there = _forks.Pipe(duplex=False)
        child = _forks.Process(target=_race, args=(project, graph, tries, number, barrier, there))
        child.start()
        there.close()
        racers.append((child, here))
    outcomes: list[list[str]] = [here.recv() for _, here in racers]
    for child, _ in racers:
        child.join()
    return outcomes


@contextmanager
def frozen(project: WorkflowProject, graph: MakeGraph, execution: str, gate: Path) -> Iterator[list[str]]:
    """As `lives`, but stopped by its system while the context lasts; what came of the run is in the list after."""
    outcome: list[str] = []
    here, there = _forks.Pipe(duplex=False)
    child = _forks.Process(target=_tell_run_with_gate, args=(project, graph, execution, gate, there))
    os.mkfifo(gate)
    child.start()
    there.close()
    assert child.pid is not None
    with gate.open("w"):
        os.kill(child.pid, signal.SIGSTOP)
        try:
            yield outcome
        finally:
            os.kill(child.pid, signal.SIGCONT)
    outcome.append(here.recv())
    child.join()


def _tell_run_with_gate(
    project: WorkflowProject, graph: MakeGraph, execution: str, gate: Path, told: Connection
) -> None:
    try:
        _run_with_gate(project, graph, execution, gate)
    except WtbError as refusal:
        told.send(type(refusal).__name__)
    else:
        told.send("finished")


def contest(
    project: WorkflowProject, graph: MakeGraph, executions: Sequence[str], verbs: Sequence[tuple[str, tuple[Any, ...]]]
) -> list[list[str]]:
    """Each process does its verb to the executions in turn, all at once; the status or the refusal, by process."""
    barrier = _forks.Barrier(len(verbs))
    rivals = []
    for verb in verbs:
        here, there = _forks.Pipe(duplex=False)
        child = _forks.Process(target=_contest, args=(project, graph, executions, verb, barrier, there))
        child.start()
        there.close()
        rivals.append((child, here))
    outcomes: list[list[str]] = [here.recv() for _, here in rivals]
    for child, _ in rivals:
        child.join()
    return outcomes


def _contest(
    project: WorkflowProject,
    graph: MakeGraph,
    executions: Sequence[str],
    verb: tuple[str, tuple[Any, ...]],
    barrier: Barrier,
    told: Connection,
) -> None:
    outcomes = []
    with TestBench(project) as bench:
        bench.register(graph())
        for execution in executions:
            barrier.wait(30)
            try:
                outcomes.append(getattr(bench, verb[0])(execution, *verb[1]).status)
            except WtbError as refusal:
                outcomes.append(type(refusal).__name__)
    told.send(outcomes)


def _race(
    project: WorkflowProject,
    graph: MakeGraph,
    tries: Sequence[tuple[str, dict[str, Any]]],
    number: int,
    barrier: Barrier,
    told: Connection,
) -> None:
    outcomes = []
    with TestBench(project) as bench:
        made = graph()
        for execution, given in tries:
            barrier.wait(30)
            try:
                result = bench.resume(execution, given["answers"][number], graph=made)
            except WtbError as refusal:
                outcomes.append(type(refusal).__name__)
            else:
                outcomes.append(result.state["notes"][0])
    told.send(outcomes)
