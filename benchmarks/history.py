"""What reading back costs, and that it doesn't grow with the past."""

import tempfile
from collections import deque
from pathlib import Path
from typing import Any

from benchmarks import contenders, graphs
from benchmarks.measure import Figure, interleaved, medians, ratio, seconds
from wtb.domain.event_log import Append, Origin
from wtb.domain.execution import ExecutionStarted, NodeCompleted, PauseRequested
from wtb.domain.identifiers import NULL_DIGEST, CheckpointId, Namespace, TaskId, WorkerId, execution_stream
from wtb.sdk import TestBench


def listing(rounds: int, steps: int) -> list[Figure]:
    """Figure 5: 1,000 checkpoints listed, and the state at any one of them."""
    builder, state = graphs.loop(steps), graphs.counting(1000)
    with (
        tempfile.TemporaryDirectory() as folder,
        contenders.sqlite_saver(Path(folder) / "peer.db", "NORMAL") as saver,
        contenders.bench(None, "NORMAL") as (bench, _),
    ):
        peer = builder.compile(checkpointer=saver)
        at = contenders.config()
        peer.invoke(state, at)
        ours = builder.compile()
        execution = bench.run(ours, state, config={"recursion_limit": graphs.ENDLESS}).execution_id
        bench.checkpoints(execution)  # the first read brings the read models up to date

        def peer_list() -> float:
            return seconds(lambda: [*peer.get_state_history(at)])

        taken = interleaved(
            {"get_state_history": peer_list, "wtb": lambda: seconds(lambda: bench.checkpoints(execution))}, rounds
        )
        assert len(bench.checkpoints(execution)) == len([*saver.list(at)])
        listed = medians(taken, 1000)

        theirs = [c.config for c in saver.list(at)]
        mine = [c.id for c in bench.checkpoints(execution)]
        picks = range(0, len(mine), max(1, len(mine) // 50))
        read = interleaved(
            {
                "SqliteSaver": lambda: seconds(lambda: [peer.get_state(theirs[i]) for i in picks]) / len(picks),
                "wtb": lambda: seconds(lambda: [bench.state(execution, at=mine[i]) for i in picks]) / len(picks),
            },
            rounds,
        )
    found = ratio(read, "wtb", "SqliteSaver")
    return [
        Figure(f"list {len(mine)} checkpoints", "ms", listed, {}, "≤ 3 ms", listed["wtb"] <= 3),
        Figure("state at a checkpoint", "ms", medians(read, 1000), {"wtb / SqliteSaver": found}, "≤ 1.0", found <= 1),
    ]


def lengthen(bench: TestBench, execution: str, events: int) -> None:
    """Give an execution a long past: node ends, as its runs would have left them."""
    store, stream = bench.platform.store, execution_stream(execution)
    started = ExecutionStarted(workflow="w", graph="g", input=NULL_DIGEST, worker=WorkerId("w"))
    facts: list[Any] = [started]
    facts += [
        NodeCompleted(
            node="n",
            task=TaskId(f"t{number}"),
            namespace=Namespace(""),
            checkpoint=CheckpointId(f"c{number:08}"),
            attempt=1,
            path="p",
            duration_us=1,
            writes=(),
        )
        for number in range(events - 1)
    ]
    for start in range(0, len(facts), 5000):
        part = facts[start : start + 5000]
        store.append([Append(stream, store.head(stream), part, [1] * len(part), Origin("benchmark"))])


def length(rounds: int) -> list[Figure]:
    """Figure 7: reading one execution and appending to it, with 100 and with 100,000 events behind it."""
    with contenders.bench(None, "NORMAL") as (bench, _):
        lengthen(bench, "short", 100)
        lengthen(bench, "long", 100_000)
        bench.execution("long")

        def reading(execution: str) -> float:
            return seconds(lambda: [bench.execution(execution) for _ in range(50)]) / 50

        def appending(execution: str) -> float:
            store, stream = bench.platform.store, execution_stream(execution)

            def command() -> object:
                _, head = store.lifecycle(stream)
                return store.append([Append(stream, head, [PauseRequested()], [1], Origin("benchmark"))])

            return seconds(lambda: deque((command() for _ in range(10)), maxlen=0)) / 10

        # The pause requests pile up alike on both.
        read = interleaved({"100": lambda: reading("short"), "100,000": lambda: reading("long")}, rounds)
        append = interleaved({"100": lambda: appending("short"), "100,000": lambda: appending("long")}, rounds)
    figures = []
    for name, taken in (("read one execution", read), ("decide and append", append)):
        found = ratio(taken, "100,000", "100")
        figures.append(
            Figure(
                f"{name} at 100 and at 100,000 events",
                "ms",
                medians(taken, 1000),
                {"100,000 / 100": found},
                "± 20 %",
                found <= 1.2,
            )
        )
    return figures
