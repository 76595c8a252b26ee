"""A batch whose process was killed: resumed, it comes to what it would have come to, and nothing ran twice."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.sdk import batch_process
from tests.sdk.batch_process import CASES, MOMENTS, Moment, is_short, killed
from tests.sdk.given import chain
from wtb.domain.errors import BatchTaken
from wtb.domain.execution import NodeCompleted
from wtb.domain.identifiers import execution_stream
from wtb.sdk import TestBench, WorkflowProject
from wtb.sdk.batches.result import BatchResult


def told(result: BatchResult) -> list[Any]:
    return [(o.trial, o.status, o.scores, o.attempts, dict(o.state)) for o in result]


@pytest.mark.parametrize("moment", MOMENTS)
def test_after_kill_9_only_what_had_not_finished_runs(project: WorkflowProject, tmp_path: Path, moment: Moment) -> None:
    calls = tmp_path / "calls"
    calls.touch()
    killed(project, calls, moment, max_concurrency=1)
    with TestBench(project) as bench:
        project.variant(batch_process.VARIED, "short", batch_process.short)
        resumed = bench.resume_batch("b", graph=batch_process.graph(calls), scores=[is_short])
        undisturbed = batch_process.run(bench, tmp_path / "others", "u")
        assert resumed.status == "completed"
        assert told(resumed) == told(undisturbed)
        executions = [e for e in bench.executions(limit=500) if (e.batch_case or "").startswith("b/")]
        assert {e.id for e in executions} == {o.execution_id for o in resumed}
        for execution in executions:
            events = bench.platform.store.read(execution_stream(execution.id))
            ends = Counter(e.fact.node for e in events if isinstance(e.fact, NodeCompleted))
            assert ends == {"first": 1, "middle": 1, "last": 1}
        assert Counter(calls.read_text().splitlines()) == {
            f"{case.id} {node}": times for case in CASES for node, times in (("first", 2), ("middle", 1), ("last", 2))
        }
        assert bench.verify().whole


def test_a_batch_that_another_process_runs_is_not_resumed(bench: TestBench, project: WorkflowProject) -> None:
    refused: list[TestBench] = []

    def meddles(state: Any) -> Any:
        with TestBench(project) as other:
            for meddler in (bench, other):
                with pytest.raises(BatchTaken):
                    meddler.resume_batch("b", graph=graph)
                refused.append(meddler)
        return {"notes": ["fine"]}

    graph = chain(meddles=meddles)
    bench.batch(graph, [{"query": "q"}], batch_id="b")
    assert len(refused) == 2


@pytest.mark.parametrize("moment", MOMENTS)
def test_after_kill_9_what_trials_share_is_not_run_again_either(
    project: WorkflowProject, tmp_path: Path, moment: Moment
) -> None:
    calls = tmp_path / "calls"
    calls.touch()
    killed(project, calls, moment, max_concurrency=1, share_prefix=True)
    with TestBench(project) as bench:
        project.variant(batch_process.VARIED, "short", batch_process.short)
        resumed = bench.resume_batch("b", graph=batch_process.graph(calls), scores=[is_short])
        undisturbed = batch_process.run(bench, tmp_path / "others", "u")
        assert told(resumed) == told(undisturbed)
        assert Counter(calls.read_text().splitlines()) == {
            f"{case.id} {node}": times for case in CASES for node, times in (("first", 1), ("middle", 1), ("last", 2))
        }
        assert bench.verify().whole
