"""Whatever the graph and whichever its varied nodes: sharing a prefix changes what is run, never what comes of it."""

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.random_graphs import Part, build, logs, parts
from wtb.domain.execution import NodeStarted
from wtb.domain.identifiers import ExecutionId, execution_stream
from wtb.sdk import TestBench, WorkflowProject
from wtb.sdk.batches.result import BatchResult

CASES = [{"log": [name]} for name in ("one", "two")]


def ends(bench: TestBench, graph: Any, result: BatchResult) -> list[Any]:
    """How each trial ended; one that asks is answered until it ends."""
    told = []
    for outcome in result:
        status, state, asked = outcome.status, dict(outcome.state), 0
        while status == "paused":
            asked += 1
            waiting = bench.execution(outcome.execution_id).waiting
            resumed = bench.resume(outcome.execution_id, answers=dict.fromkeys(waiting, "yes"), graph=graph)
            assert resumed.status in ("paused", "completed")
            status, state = resumed.status, resumed.state
        told.append((outcome.trial, outcome.status, status, state, asked))
    return told


def calls(bench: TestBench, execution: ExecutionId) -> int:
    events = bench.platform.store.read(execution_stream(execution))
    return sum(isinstance(event.fact, NodeStarted) for event in events)


def shared_as_alone(made_of: tuple[Part, ...], data: Any) -> None:
    with TemporaryDirectory() as folder:
        project = WorkflowProject("random", db_path=Path(folder) / "wtb.db", output_dir=Path(folder) / "out")
        with TestBench(project) as bench:
            graph = build(made_of)
            bench.register(graph)
            nodes = sorted(bench._workflows.named("random").nodes)
            varied = data.draw(st.lists(st.sampled_from(nodes), min_size=1, max_size=2, unique=True))
            variants = {node: ["default", logs(f"another {node}")] for node in varied}
            shared = bench.batch(graph, CASES, variants=variants, share_prefix=True)
            alone = bench.batch(graph, CASES, variants=variants)
            run = Counter(
                {
                    name: sum(calls(bench, o.execution_id) for o in result)
                    for name, result in (("shared", shared), ("alone", alone))
                }
            )
            run["shared"] += sum(calls(bench, ExecutionId(f"{shared.id}.{place}.prefix.0")) for place in range(2))
            assert run["shared"] <= run["alone"] + 2 * len(shared)
            assert ends(bench, graph, shared) == ends(bench, graph, alone)


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(made_of=parts, data=st.data())
def test_sharing_a_prefix_changes_nothing_but_how_often_nodes_run(made_of: tuple[Part, ...], data: Any) -> None:
    shared_as_alone(made_of, data)


@pytest.mark.soak
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(made_of=parts, data=st.data())
def test_sharing_a_prefix_changes_nothing_in_many_graphs(made_of: tuple[Part, ...], data: Any) -> None:
    shared_as_alone(made_of, data)
