"""What a fork and a rollback cost, and that it doesn't grow with the past."""

from typing import Any

from benchmarks import contenders, graphs
from benchmarks.measure import Figure, interleaved, medians, ratio, seconds
from wtb.domain.event_log import Append, Origin
from wtb.domain.execution import CheckpointSaved, ExecutionCompleted, ExecutionStarted
from wtb.domain.identifiers import CheckpointId, WorkerId, execution_stream
from wtb.sdk import TestBench
from wtb.sdk.platform import new_checkpoint_id

GOAL_MS = 3.0
TIMES = 6
"""Each is done so often in a row: one alone, after a garbage collection, finds all caches cold."""


def _lengthen(bench: TestBench, execution: str, checkpoints: int) -> list[CheckpointId]:
    """An execution with that many checkpoints, as its run would have left them: those of a real one, over and over."""
    store, stream = bench.platform.store, execution_stream(execution)
    real = bench.run(graphs.linear(3).compile(), graphs.counting(1000))
    started, *events = [event.fact for event in bench.events(real.execution_id)]
    assert isinstance(started, ExecutionStarted)
    model = next(fact for fact in reversed(events) if isinstance(fact, CheckpointSaved) and fact.step == 1)
    facts: list[Any] = [started.model_copy(update={"worker": WorkerId("gone")})]
    ids: list[CheckpointId] = []
    for number in range(checkpoints):
        ids.append(new_checkpoint_id(number))
        update = {"checkpoint": ids[-1], "parent": ids[-2] if number else None, "step": number}
        facts.append(model.model_copy(update=update))
    facts.append(ExecutionCompleted(duration_us=1))
    for begin in range(0, len(facts), 5000):
        part = facts[begin : begin + 5000]
        store.append([Append(stream, store.head(stream), part, [1] * len(part), Origin("benchmark"))])
    return ids


def branching(rounds: int, most: int) -> list[Figure]:
    """Figure 1: a fork from the middle and a rollback to it, with few checkpoints and with many."""
    sizes = {"100": 100, f"{most:,}": most}
    with contenders.bench(None, "NORMAL") as (bench, _):
        graph = graphs.linear(3).compile()
        bench.register(graph)
        middles = {}
        for name, size in sizes.items():
            ids = _lengthen(bench, name, size)
            middles[name] = ids[len(ids) // 2], ids[len(ids) // 3]
        bench.executions()  # the read models are level before anything is measured

        def fork(name: str) -> float:
            return seconds(lambda: [bench.fork(name, at=middles[name][0], run=False) for _ in range(TIMES)]) / TIMES

        def rollback(name: str) -> float:
            # Alternately, since a rollback to where it stands is none.
            return seconds(lambda: [bench.rollback(name, middles[name][i % 2]) for i in range(TIMES)]) / TIMES

        forks = interleaved({name: lambda name=name: fork(name) for name in sizes}, rounds)  # type: ignore[misc]
        backs = interleaved({name: lambda name=name: rollback(name) for name in sizes}, rounds)  # type: ignore[misc]
    figures = []
    for what, taken in (("fork", forks), ("rollback", backs)):
        found = medians(taken, 1000)
        figures.append(
            Figure(
                f"{what} at 100 and at {most:,} checkpoints",
                "ms",
                found,
                {f"{most:,} / 100": ratio(taken, f"{most:,}", "100")},
                f"≤ {GOAL_MS:.0f} ms",
                max(found.values()) <= GOAL_MS,
                "wtb 0.3.1 took 97 ms at 302 checkpoints, measured earlier",
            )
        )
    return figures
