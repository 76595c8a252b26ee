"""Trials in processes of their own: what ends one of them ends nothing else."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import psutil
import pytest

from tests.sdk.batches.elsewhere import assigned, awaiting, begun, obedient, runner, spec
from tests.sdk.given import completed
from wtb.domain.errors import GraphNotFound, VariantNotFound, WorkerDied
from wtb.sdk import TestBench
from wtb.sdk.batches.workers.assignment import Trouble
from wtb.sdk.batches.workers.process_workers import ProcessWorkers


@contextmanager
def processes(bench: TestBench, graph: object = obedient, *, number: int = 1) -> Iterator[ProcessWorkers]:
    """Workers that leave no process when they are closed."""
    before = set(psutil.Process().children(recursive=True))
    workers = ProcessWorkers(runner(bench), spec(bench, graph), number)
    try:
        yield workers
    finally:
        workers.close()
    assert set(psutil.Process().children(recursive=True)) <= before


def test_what_dies_or_hangs_in_one_is_tried_again_in_another(bench: TestBench, tmp_path: Path) -> None:
    dying, living, hanging = assigned(bench, f"die {tmp_path / 'died'}", "b", f"hang-outside {tmp_path / 'hung'}")
    with processes(bench, number=2) as workers:
        first, second = workers.submit(dying), workers.submit(living)
        with pytest.raises(WorkerDied, match="SIGKILL"):
            first.result(60)
        assert second.result(60).status == "completed"
        hung = workers.submit(hanging)
        pid = begun(tmp_path / "hung")
        [outside] = psutil.Process(pid).children()
        workers.give_up(hanging, hung)
        assert isinstance(hung.exception(0), WorkerDied)
        assert psutil.wait_procs([outside], timeout=30)[1] == []
        assert {e.id for e in bench.orphans()} == {dying.execution}
        assert bench.execution(hanging.execution).status == "cancelled"
        for again in (dying, hanging):
            assert workers.submit(again).result(60).status == "completed"
            assert completed(bench.events(again.execution)) == ["before", "told"]
    assert str(os.getpid()) not in {bench.state(each.execution)["notes"][-1] for each in (dying, living, hanging)}


@pytest.mark.soak
def test_a_nodes_error_is_told(quick_bench: TestBench) -> None:
    [raising] = assigned(quick_bench, "raise")
    with processes(quick_bench) as workers:
        failed = workers.submit(raising).result(60)
    assert failed.status == "failed"
    assert failed.error == Trouble("ValueError", "as told", "told")


@pytest.mark.soak
def test_an_idle_one_that_is_killed_is_nobodys_loss(quick_bench: TestBench) -> None:
    first, second, third = assigned(quick_bench, "a", "b", "c")
    with processes(quick_bench) as workers:
        for each in (first, second):
            assert workers.submit(each).result(60).status == "completed"
        pids = {quick_bench.state(each.execution)["notes"][-1] for each in (first, second)}
        assert len(pids) == 1  # which was free again
        idle = psutil.Process(int(pids.pop()))
        idle.kill()
        psutil.wait_procs([idle])
        assert workers.submit(third).result(60).status == "completed"


@pytest.mark.soak
def test_one_that_cannot_open_the_bench_says_why_each_time(quick_bench: TestBench) -> None:
    [assignment] = assigned(quick_bench, "a")
    missing = msgspec.structs.replace(spec(quick_bench), graph="nowhere:graph")
    workers = ProcessWorkers(runner(quick_bench), missing, 1)
    for _ in range(2):
        with pytest.raises(GraphNotFound, match="can't import nowhere"):
            workers.submit(assignment).result(60)
    workers.close()


def test_what_keeps_a_trial_from_being_begun_is_raised_and_the_worker_goes_on(quick_bench: TestBench) -> None:
    unknown, awaited = assigned(quick_bench, "a", "b")
    unknown = msgspec.structs.replace(unknown, variants={"awaits": "nobody"})
    with processes(quick_bench, awaiting) as workers:
        with pytest.raises(VariantNotFound, match="nobody"):
            workers.submit(unknown).result(60)
        assert workers.submit(awaited).result(60).status == "completed"
    assert quick_bench.state(awaited.execution)["notes"] == ["awaited"]


def test_closing_ends_what_is_under_way(quick_bench: TestBench, tmp_path: Path) -> None:
    [hanging] = assigned(quick_bench, f"hang {tmp_path / 'hung'}")
    with processes(quick_bench) as workers:
        future = workers.submit(hanging)
        begun(tmp_path / "hung")
    assert isinstance(future.exception(0), WorkerDied)
    assert [e.id for e in quick_bench.orphans()] == [hanging.execution]


PROGRAM = """
import os, sys
from dataclasses import dataclass
from pathlib import Path
from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict
from wtb.domain.errors import InvalidRequest
from tests.sdk.given import chain
from tests.sdk.batches.elsewhere import assigned, runner, spec
from wtb.sdk import TestBench, WorkflowProject
from wtb.sdk.batches.workers.process_workers import ProcessWorkers

async def node(state):
    return {"notes": [__name__, str(os.getpid())]}

graph = chain(node=node)

@dataclass
class Topic:
    name: str

class Topical(TypedDict):
    topic: Topic

builder = StateGraph(Topical)
builder.add_node("node", node)
builder.add_edge(START, "node")
topical = builder.compile()

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    with TestBench(WorkflowProject("notes", db_path=folder / "wtb.db", output_dir=folder / "out")) as bench:
        [assignment] = assigned(bench, "q")
        workers = ProcessWorkers(runner(bench), spec(bench, graph), 1)
        print(workers.submit(assignment).result(60).status)
        workers.close()
        module, pid = bench.state(assignment.execution)["notes"]
        print(module, pid != str(os.getpid()))
        try:
            spec(bench, topical)
        except InvalidRequest as refused:
            print(refused, refused.hint)
"""


def test_a_graph_may_be_in_the_programs_own_file(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    ran = subprocess.run(
        [sys.executable, tmp_path / "program.py", tmp_path],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(entry or os.getcwd() for entry in sys.path)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert ran.stdout.splitlines() == [
        "completed",
        "program True",
        "states of workflow 'notes' hold Topic, which the program's own file defines; "
        "another process knows it by another name Define it in a module that the program imports.",
    ]


HUNG = """
import sys
from pathlib import Path
from tests.sdk.batches.elsewhere import assigned, runner, spec
from wtb.sdk import TestBench, WorkflowProject
from wtb.sdk.batches.workers.process_workers import ProcessWorkers

folder = Path(sys.argv[1])
bench = TestBench(WorkflowProject("notes", db_path=folder / "wtb.db", output_dir=folder / "out"))
[assignment] = assigned(bench, f"hang {folder / 'hung'}")
ProcessWorkers(runner(bench), spec(bench), 1).submit(assignment).result()
"""


@pytest.mark.soak
def test_workers_end_with_the_process_they_work_for(quick_bench: TestBench, tmp_path: Path) -> None:
    path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
    killed = subprocess.Popen([sys.executable, "-c", HUNG, tmp_path], env=os.environ | {"PYTHONPATH": path})
    worker = psutil.Process(begun(tmp_path / "hung"))
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert psutil.wait_procs([worker], timeout=30)[1] == []
    assert [e.id for e in quick_bench.orphans()] == ["b.0.0.0"]
