"""Figure 8: all read models built anew from the whole log."""

import tempfile
from pathlib import Path
from typing import Any

from benchmarks.measure import Figure, peak_megabytes, seconds
from wtb.domain.event_log import EMPTY_STREAM, Append, Origin
from wtb.domain.execution import (
    CheckpointSaved,
    ExecutionCompleted,
    ExecutionStarted,
    NodeCompleted,
    NodeStarted,
    Write,
)
from wtb.domain.identifiers import NULL_DIGEST, CheckpointId, Namespace, TaskId, WorkerId, execution_stream
from wtb.infra.event_store.store import open_store
from wtb.projections.database import engine_for
from wtb.projections.projector import Projector

STEPS = 32
ROOT = Namespace("")


def rebuild(events: int) -> Figure:
    """Executions of 32 steps, as a run leaves them: start, checkpoint and ends, three events a step."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "wtb.db"
        store = open_store(str(path))
        for number in range(events // (3 * STEPS + 2)):
            facts = _execution(number)
            stream = execution_stream(f"execution-{number}")
            store.append([Append(stream, EMPTY_STREAM, facts, [number] * len(facts), Origin("benchmark", "run"))])
        total = store.last_position()
        engine = engine_for(str(path))
        projector = Projector(store, engine)
        projector.catch_up()
        before = peak_megabytes()
        took = seconds(projector.rebuild)
        grown = peak_megabytes() - before
        engine.dispose()
        store.close()
    rate = total / took
    return Figure(
        f"rebuild of all read models from {total:,} events",
        "events/s",
        {"wtb": rate},
        {"MB grown": grown},
        "≥ 50,000 events/s, memory flat",
        rate >= 50_000 and grown < 30,
    )


def _execution(number: int) -> list[Any]:
    facts: list[Any] = [ExecutionStarted(workflow="w", graph="g", input=NULL_DIGEST, worker=WorkerId("w"))]
    parent = None
    for step in range(STEPS):
        checkpoint, task = CheckpointId(f"{number:08}-{step:04}"), TaskId(f"task-{number}-{step}")
        facts += [
            CheckpointSaved(
                checkpoint=checkpoint,
                parent=parent,
                namespace=ROOT,
                step=step,
                source="loop",
                created="2026-01-01T00:00:00+00:00",
                channels={"i": (f"{step:08x}.abcdef", NULL_DIGEST), "branch:to:step": (f"{step:08x}.ghijkl", None)},
                versions_seen={"step": {"branch:to:step": f"{step:08x}.ghijkl"}},
                updated=("i",),
                metadata={"source": "loop", "step": step, "parents": {}},
                format=4,
            ),
            NodeStarted(
                node="step", task=task, namespace=ROOT, checkpoint=checkpoint, step=step, attempt=1, path="~pull, step"
            ),
            NodeCompleted(
                node="step",
                task=task,
                namespace=ROOT,
                checkpoint=checkpoint,
                attempt=1,
                path="~pull, step",
                duration_us=10,
                writes=(Write(channel="i", value=NULL_DIGEST),),
            ),
        ]
        parent = checkpoint
    return [*facts, ExecutionCompleted(duration_us=1)]
