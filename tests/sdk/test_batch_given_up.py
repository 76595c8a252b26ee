"""Trials whose nodes misbehave, or that are given up at awkward moments: each is told as its record has it."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.sdk.given import beside, chain
from tests.sdk.processes import lives, wait_at_gate
from wtb.domain.errors import BatchTaken, WtbError
from wtb.domain.execution import Completed, ExecutionCompleted
from wtb.sdk import TestBench, WorkflowProject
from wtb.sdk.batches.progress import BatchProgress
from wtb.sdk.batches.workers.assignment import Assignment
from wtb.sdk.batches.workers.thread_workers import ThreadWorkers
from wtb.sdk.claims import standing

CASES = [{"query": name} for name in ("one", "two", "three")]


def leaves(state: Any) -> Any:
    if state["query"] == "two":
        raise SystemExit(3)
    return {"notes": ["done"]}


async def leaves_a_loop(state: Any) -> Any:
    await asyncio.sleep(0)
    return leaves(state)


@pytest.mark.parametrize("node", [leaves, leaves_a_loop])
@pytest.mark.parametrize("shape", [chain, beside])
def test_a_node_that_would_have_the_process_exit_fails_its_trial_and_no_other(
    quick_bench: TestBench, shape: Any, node: Any
) -> None:
    result = quick_bench.batch(shape(node=node, other=leaves), CASES, timeout=20, max_concurrency=1)
    assert [o.status for o in result] == ["completed", "failed", "completed"]
    assert result.outcome("2").error is not None
    assert result.outcome("2").error.type == "SystemExit"  # type: ignore[union-attr]


def test_what_hangs_before_the_first_node_times_out(bench: TestBench) -> None:
    hangs = threading.Event()

    def route(state: Any) -> str:
        if state["query"] == "two":
            hangs.wait()
        return "node"

    graph = chain(node=lambda _: {"notes": ["done"]}).builder
    graph.edges.clear()
    graph.set_conditional_entry_point(route, ["node"])
    result = bench.batch(graph.compile(), CASES, timeout=1, max_concurrency=1)
    hangs.set()
    assert [o.status for o in result] == ["completed", "timed_out", "completed"]
    assert bench.verify().whole


def test_a_trial_whose_end_is_being_written_as_it_is_given_up_is_told_as_it_ended(
    bench: TestBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread that gives it up waits for that commit, and then believes the record."""
    store, late, given_up = bench.platform.store, threading.Event(), threading.Event()
    append, give_up = store.append, ThreadWorkers.give_up

    def slow_append(appends: Any) -> Any:
        if any(isinstance(fact, ExecutionCompleted) for each in appends for fact in each.facts):
            late.set()
            given_up.wait()
        return append(appends)

    def give_up_then(self: ThreadWorkers, assignment: Assignment, future: Any) -> bool:
        late.wait()
        threading.Timer(0.1, given_up.set).start()
        return give_up(self, assignment, future)

    monkeypatch.setattr(store, "append", slow_append)
    monkeypatch.setattr(ThreadWorkers, "give_up", give_up_then)
    [outcome] = bench.batch(chain(node=leaves), CASES[:1], timeout=0.3)
    assert isinstance(standing(bench.platform, outcome.execution_id).state, Completed)
    assert outcome.status == "completed"


def test_a_batch_whose_progress_raises_is_stopped_and_what_had_ended_is_noted(bench: TestBench) -> None:
    def fail(progress: BatchProgress) -> None:
        if progress.finished == 2:
            raise ValueError("no more room")

    graph = chain(node=lambda _: {"notes": ["done"]})
    with pytest.raises(ValueError, match="no more room"):
        bench.batch(graph, CASES, max_concurrency=1, batch_id="b", progress=fail)
    stopped = bench.batch_result("b")
    assert (stopped.status, stopped.stop_reason, stopped.stop_detail) == ("stopped", "interrupted", "ValueError")
    assert len(stopped) == 2
    assert [o.status for o in bench.resume_batch("b")] == ["completed"] * 3


def test_a_batch_that_is_resumed_by_many_at_once_is_run_by_one(bench: TestBench) -> None:
    runs: list[str] = []

    def node(state: Any) -> Any:
        runs.append(state["query"])
        return {"notes": ["done"]}

    def stop(progress: BatchProgress) -> None:
        if progress.finished == 1:
            raise KeyboardInterrupt

    graph = chain(node=node)
    with pytest.raises(KeyboardInterrupt):
        bench.batch(graph, CASES, max_concurrency=1, batch_id="b", progress=stop)
    refused: list[WtbError] = []
    together = threading.Barrier(8)

    def resume() -> None:
        together.wait()
        try:
            bench.resume_batch("b")
        except BatchTaken as taken:
            refused.append(taken)

    threads = [threading.Thread(target=resume) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(runs) == ["one", "three", "two"]
    assert [o.status for o in bench.batch_result("b")] == ["completed"] * 3
    assert not bench.platform.batches


def waits() -> Any:
    return chain(wait=wait_at_gate)


def test_a_trial_that_another_process_still_runs_is_waited_for(
    project: WorkflowProject, bench: TestBench, tmp_path: Path
) -> None:
    """As a pool's processes do, which end what they are at though the process that asked them was killed."""
    told: list[Any] = []
    batch = threading.Thread(
        target=lambda: told.extend(bench.batch(waits(), [{"query": "q"}], batch_id="b", timeout=20))
    )
    with lives(project, waits, "b.0.0.0", tmp_path / "gate"):
        batch.start()
        batch.join(0.5)
        assert batch.is_alive()
    batch.join()
    assert [(o.status, o.state["notes"]) for o in told] == [("completed", ["waited"])]
