"""Figures of batches: against the batch runner of wtb 0.3.1, against the ideal, and with shared prefixes."""

import asyncio
import gc
import json
import os
import subprocess
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from langgraph.graph import START, StateGraph

from benchmarks import graphs
from benchmarks.graphs import Counting
from benchmarks.measure import Figure, interleaved, medians, ratio, seconds
from benchmarks.one_execution import peer_python
from wtb.sdk import TestBench, WorkflowProject
from wtb.sdk.batches.progress import BatchProgress

SLOW = 0.05
"""Seconds of awaited I/O in a node."""
SLOWER = 0.2
"""Seconds that a node of a slow half takes."""


def batches(rounds: int, cases: int, *, peer: bool) -> list[Figure]:
    return [_recorded(rounds, 64, peer=peer), _ideal(cases), _shared(rounds)]


def _recorded(rounds: int, cases: int, *, peer: bool) -> Figure:
    """Batches of the 10-node graph under two variants, beside the same recorded runs one by one."""
    builder = graphs.linear(10)
    states = [{"i": number, "blob": os.urandom(500).hex()} for number in range(cases)]
    variants = [{"node_5": "default"}, {"node_5": "another"}]

    def batch() -> float:
        with _bench() as bench:
            bench.project.variant("node_5", "another", _another)
            graph = builder.compile()
            bench.run(graph, states[0])
            return seconds(lambda: bench.batch(graph, states, variants={"node_5": ["default", "another"]}))

    def one_by_one() -> float:
        with _bench() as bench:
            bench.project.variant("node_5", "another", _another)
            graph = builder.compile()
            bench.run(graph, states[0])
            return seconds(lambda: [bench.run(graph, state, variants=each) for state in states for each in variants])

    contenders: dict[str, Callable[[], float]] = {"wtb, one by one": one_by_one, "wtb": batch}
    if peer:
        contenders["wtb 0.3.1"] = lambda: _peer(cases)
    taken = interleaved(contenders, rounds)
    ratios = {"wtb / one by one": ratio(taken, "wtb", "wtb, one by one")}
    if peer:
        ratios["wtb 0.3.1 / wtb"] = ratio(taken, "wtb 0.3.1", "wtb")
    return Figure(
        f"{cases} cases × 2 variants of the 10-node graph",
        "ms",
        medians(taken, 1000),
        ratios,
        "≥ 2.5 × the throughput of wtb 0.3.1, ≤ 1.1 × one by one",
        ratios["wtb / one by one"] <= 1.1 and ratios.get("wtb 0.3.1 / wtb", 2.5) >= 2.5,
    )


def _peer(cases: int) -> float:
    script = Path(__file__).with_name("peer_wtb_031_batch.py")
    child = subprocess.run(
        [str(peer_python()), str(script), str(cases)], check=True, capture_output=True, text=True, env=_without_path()
    )
    return float(json.loads(child.stdout.splitlines()[-1]))


def _without_path() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def _ideal(cases: int, nodes: int = 4, concurrency: int = 8) -> Figure:
    """Awaited I/O in every node: what it takes beside what the waiting alone would take, and how memory grows."""
    held: dict[int, float] = {}

    def look(progress: BatchProgress) -> None:
        if progress.finished in (cases // 10, cases):
            gc.collect()
            held[progress.finished] = tracemalloc.get_traced_memory()[0] / 1e6

    with _bench() as bench:
        graph = _chain(nodes, _waits)
        states = [{"i": number, "blob": os.urandom(500).hex()} for number in range(cases)]
        bench.batch(graph, states[:1])
        taken = seconds(lambda: bench.batch(graph, states, max_concurrency=concurrency))
        alone = seconds(lambda: asyncio.run(_unrecorded(graph, states, concurrency)))
        tracemalloc.start()  # which slows everything down, so it has a batch of its own
        bench.batch(graph, states, max_concurrency=50, progress=look)
        tracemalloc.stop()
    ideal = cases * nodes * SLOW / concurrency
    return Figure(
        f"{cases} cases, {SLOW * 1000:.0f} ms of I/O in each of {nodes} nodes, {concurrency} at a time",
        "s",
        {"wtb": taken, "LangGraph alone": alone, "ideal": ideal},
        {"wtb / ideal": taken / ideal, "LangGraph alone / ideal": alone / ideal},
        "≤ 1.1 × the ideal, memory flat",
        taken / ideal <= 1.1 and held[cases] <= held[cases // 10] + 1,
        f"{held[cases // 10]:.1f} MB held after a tenth of the cases, {held[cases]:.1f} MB after all",
    )


async def _unrecorded(graph: Any, states: list[Any], concurrency: int) -> None:
    """The same runs with nothing recorded."""
    free = asyncio.Semaphore(concurrency)

    async def run(state: Any) -> None:
        async with free:
            await graph.ainvoke(state)

    await asyncio.gather(*map(run, states))


def _shared(rounds: int) -> Figure:
    """A graph whose first half is slow, under two variants of a node in its second half."""

    def work(state: Counting) -> dict[str, Any]:
        if state["i"] % 10 < 5:
            time.sleep(SLOWER)
        return {"i": state["i"] + 1}

    def measured(*, share_prefix: bool) -> float:
        with _bench() as bench:
            graph = _chain(10, work)
            states = [{"i": 10 * number, "blob": ""} for number in range(8)]
            variants = {"node_7": ["default", _another]}
            bench.batch(graph, states[:1], variants=variants)
            return seconds(
                lambda: bench.batch(graph, states, variants=variants, share_prefix=share_prefix, max_concurrency=2)
            )

    taken = interleaved(
        {"alone": lambda: measured(share_prefix=False), "shared": lambda: measured(share_prefix=True)}, rounds
    )
    found = ratio(taken, "alone", "shared")
    return Figure(
        "share_prefix, the first half slow, 2 variants",
        "ms",
        medians(taken, 1000),
        {"alone / shared": found},
        "≥ 1.8 ×",
        found >= 1.8,
    )


async def _waits(state: Counting) -> dict[str, Any]:
    await asyncio.sleep(SLOW)
    return {"i": state["i"] + 1}


def _another(state: Counting) -> dict[str, Any]:
    return {"i": state["i"] + 2}


def _chain(nodes: int, work: Any) -> Any:
    builder = StateGraph(Counting)
    before = START
    for number in range(nodes):
        builder.add_node(f"node_{number}", work)
        builder.add_edge(before, f"node_{number}")
        before = f"node_{number}"
    return builder.compile()


@contextmanager
def _bench() -> Iterator[TestBench]:
    with tempfile.TemporaryDirectory() as folder:
        project = WorkflowProject("measured", db_path=Path(folder) / "wtb.db", output_dir=Path(folder) / "out")
        with TestBench(project) as bench:
            yield bench
