"""What variants cost: dispatching to them, and finding out which ones run."""

from collections.abc import Callable
from typing import Any

from benchmarks import contenders, graphs
from benchmarks.measure import Figure, interleaved, medians, ratio, seconds
from benchmarks.on_postgres import database, server
from wtb.sdk import beginnings
from wtb.sdk.platform import new_execution_id
from wtb.sdk.running import Options, drive

TIMES = 10
"""A short run is done so often in a row: one alone, after a garbage collection, finds all caches cold."""


def variants(rounds: int, steps: int) -> list[Figure]:
    """All nodes their own, or all a variant that is the same function; then runs that look what runs, or don't."""
    figures = [
        _dispatching("10-node graph, all nodes variants", graphs.linear(10), rounds * 6, TIMES),
        _dispatching(f"loop of {steps} steps, all nodes variants", graphs.loop(steps), rounds * 2, 1),
        _choosing("10-node graph, which variants run, SQLite", None, rounds * 6),
    ]
    with server() as running, database(running) as url:
        return [*figures, _choosing("10-node graph, which variants run, Postgres", url, rounds * 6)]


def _dispatching(name: str, builder: Any, rounds: int, times: int) -> Figure:
    graph, state = builder.compile(), graphs.counting(1000)
    with contenders.bench(None, "NORMAL") as (bench, _):
        for node, spec in builder.nodes.items():
            bench.project.variant(node, "same", spec.runnable.func)
        chosen = dict.fromkeys(builder.nodes, "same")

        def run(choices: dict[str, str]) -> float:
            def runs() -> None:
                for _ in range(times):
                    assert bench.run(graph, state, variants=choices, config={"recursion_limit": graphs.ENDLESS}).state

            return seconds(runs) / times

        run(chosen)
        taken = interleaved({"own": lambda: run({}), "variant": lambda: run(chosen)}, rounds)
    found = ratio(taken, "variant", "own")
    return Figure(name, "ms", medians(taken, 1000), {"variant / own": found}, "≤ 1.02", found <= 1.02)


def _choosing(name: str, location: str | None, rounds: int) -> Figure:
    graph, state = graphs.linear(10).compile(), graphs.counting(1000)
    with contenders.bench(location, "NORMAL") as (bench, _):
        bench.project.variant("node_0", "short", lambda state: {"i": 1})
        workflow, runnable = bench._workflows.register(graph, None)
        platform = bench.platform

        def unasked() -> None:
            origin, options = platform.origin(cause="run"), Options({"recursion_limit": graphs.ENDLESS})
            drive(
                beginnings.start(platform, new_execution_id(), workflow, runnable, state, {}, origin, options, new=True)
            )

        def asked() -> None:
            bench.run(graph, state, config={"recursion_limit": graphs.ENDLESS})

        def looks() -> None:
            bench._workflows.choose(workflow, runnable, {})

        asked()
        contestants = {"without": unasked, "with": asked, "the look alone": looks}
        taken = interleaved({name: lambda work=work: _each(work) for name, work in contestants.items()}, rounds)  # type: ignore[misc]
    ratios = {
        "with / without": ratio(taken, "with", "without"),
        "the look / without": ratio(taken, "the look alone", "without"),
    }
    found = ratios["the look / without"]
    return Figure(name, "ms", medians(taken, 1000), ratios, "the look ≤ 0.02", found <= 0.02)


def _each(work: Callable[[], object]) -> float:
    def repeated() -> None:
        for _ in range(TIMES):
            work()

    return seconds(repeated) / TIMES
