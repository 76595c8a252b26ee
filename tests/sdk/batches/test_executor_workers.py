"""Trials on executors that the caller brings."""

import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.sdk.batches.elsewhere import assigned, begun, runner, spec
from tests.sdk.given import completed
from wtb.domain.errors import ExecutionNotFound, InvalidRequest, WorkerDied, WrongStatus
from wtb.sdk import TestBench
from wtb.sdk.batches.workers.crossing import BENCHES
from wtb.sdk.batches.workers.executor_workers import ExecutorWorkers, ThreadPoolWorkers


@pytest.fixture
def pool() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        yield pool
        for process in list((pool._processes or {}).values()):
            process.kill()  # some hang


def on(bench: TestBench, executor: Executor) -> ExecutorWorkers:
    return ExecutorWorkers(runner(bench), spec(bench), 2, executor)


def test_a_thread_pool_runs_trials_in_this_process(bench: TestBench) -> None:
    first, failing = assigned(bench, "a", "raise")
    with ThreadPoolExecutor(2) as threads:
        workers = ThreadPoolWorkers(runner(bench), threads)
        ended = [future.result(60) for future in [workers.submit(first), workers.submit(failing)]]
        workers.close()
        assert threads.submit(int).result() == 0  # it is the caller's to shut down
    assert [each.status for each in ended] == ["completed", "failed"]
    assert bench.state(first.execution)["notes"] == ["before", str(os.getpid())]


def test_a_trial_in_a_thread_is_shut_out_of_its_execution(bench: TestBench, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    waiting, queued = assigned(bench, f"wait {gate}", "b")
    with ThreadPoolExecutor(1) as threads:
        workers = ThreadPoolWorkers(runner(bench), threads)
        futures = [workers.submit(waiting), workers.submit(queued)]
        with gate.open("w"):  # the node is in there now
            workers.give_up(waiting, futures[0])
            workers.give_up(queued, futures[1])
            assert bench.execution(waiting.execution).status == "cancelled"
        assert isinstance(futures[0].exception(60), WrongStatus)
    assert futures[1].cancelled()
    assert completed(bench.events(waiting.execution)) == ["before"]
    with pytest.raises(ExecutionNotFound):
        bench.execution(queued.execution)


def test_a_pool_that_was_shut_down_is_refused(quick_bench: TestBench) -> None:
    [assignment] = assigned(quick_bench, "a")
    for executor in (threads := ThreadPoolExecutor(1), processes := ProcessPoolExecutor(1)):
        executor.shutdown()
    for workers in (ThreadPoolWorkers(runner(quick_bench), threads), on(quick_bench, processes)):
        with pytest.raises(InvalidRequest, match="takes no more trials") as refused:
            workers.submit(assignment)
        assert refused.value.hint == "Resume the batch with another executor."
        workers.close()


def test_a_process_pool_runs_trials_until_one_of_its_processes_dies(
    quick_bench: TestBench, pool: ProcessPoolExecutor, tmp_path: Path
) -> None:
    living, dying, late = assigned(quick_bench, "a", f"die {tmp_path / 'died'}", "b")
    workers = on(quick_bench, pool)
    assert workers.submit(living).result(60).status == "completed"
    assert quick_bench.state(living.execution)["notes"][-1] != str(os.getpid())
    with pytest.raises(WorkerDied):
        workers.submit(dying).result(60)
    assert [e.id for e in quick_bench.orphans()] == [dying.execution]
    with pytest.raises(InvalidRequest, match="takes no more trials"):
        workers.submit(late)
    workers.close()


def test_what_a_pool_cannot_end_is_shut_out_of_its_execution(
    quick_bench: TestBench, pool: ProcessPoolExecutor, tmp_path: Path
) -> None:
    [hanging] = assigned(quick_bench, f"hang {tmp_path / 'hung'}")
    workers = on(quick_bench, pool)
    future = workers.submit(hanging)
    begun(tmp_path / "hung")
    workers.give_up(hanging, future)
    assert isinstance(future.exception(0), WorkerDied)
    assert quick_bench.execution(hanging.execution).status == "cancelled"
    assert workers.submit(hanging).result(60).status == "completed"
    workers.close()


class Inline(Executor):
    """An executor that nobody knows: it calls at once."""

    def submit(self, call: Callable[..., Any], /, *args: Any, **named: Any) -> "Future[Any]":
        assert all(isinstance(arg, str) for arg in args)
        assert not named
        future: Future[Any] = Future()
        future.set_result(call(*args))
        return future


def test_any_executor_gets_texts_only(quick_bench: TestBench) -> None:
    [assignment] = assigned(quick_bench, "a")
    workers = on(quick_bench, Inline())
    assert workers.submit(assignment).result(60).status == "completed"
    workers.close()
    BENCHES.close()
