"""What a command costs whose execution has a long past, on both databases."""

import statistics
from collections.abc import Callable

from benchmarks import contenders
from benchmarks.history import lengthen
from benchmarks.measure import Figure, interleaved, medians, seconds
from benchmarks.on_postgres import database, server
from wtb.domain.event_log import Append, Origin
from wtb.domain.execution import ExecutionPaused, ExecutionResumed, LifecycleFact
from wtb.domain.identifiers import WorkerId, execution_stream
from wtb.sdk import TestBench

GOAL_MS = 5


def commands(rounds: int, events: int) -> list[Figure]:
    """A command on an execution of 100,000 events: pause, breakpoints, cancel."""
    with server() as running, database(running) as location:
        return [_figure("SQLite", None, rounds, events), _figure("Postgres", location, rounds, events)]


def _figure(name: str, location: str | None, rounds: int, events: int) -> Figure:
    with contenders.bench(location, "NORMAL") as (bench, _):
        lengthen(bench, "long", events)
        lengthen(bench, "fresh", 100)
        taken = interleaved(
            {
                "pause": lambda: _again(bench, "long", lambda: bench.pause("long")),
                "set_breakpoints": lambda: _again(
                    bench, "long", lambda: bench.set_breakpoints("long", before=["n"]), bench.set_breakpoints
                ),
                "cancel": lambda: _again(bench, "long", lambda: bench.cancel("long")),
                f"pause at 100 of {events:,}": lambda: _again(bench, "fresh", lambda: bench.pause("fresh")),
            },
            rounds,
        )
    worst = max(statistics.median(times) for times in taken.values()) * 1000
    return Figure(
        f"a command on an execution of {events:,} events, {name}",
        "ms",
        medians(taken, 1000),
        {},
        f"≤ {GOAL_MS} ms",
        worst <= GOAL_MS,
    )


def _again(
    bench: TestBench, execution: str, command: Callable[[], object], undo: Callable[[str], object] | None = None
) -> float:
    """The command's time; after it the execution is running as before."""
    took = seconds(command)
    if undo is not None:
        undo(execution)
    store, stream = bench.platform.store, execution_stream(execution)
    facts: list[LifecycleFact] = [ExecutionPaused(reason="request"), ExecutionResumed(worker=WorkerId("w"))]
    store.append([Append(stream, store.head(stream), facts, [1, 1], Origin("benchmark"))])
    return took
