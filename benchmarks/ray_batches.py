"""Batches of CPU-bound trials on one worker and on two: Ray over Postgres, and processes.

Beside them the bare work in a process pool, which tells how much a second core is
worth on this machine at that moment.
"""

import multiprocessing
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import ray
from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict

from benchmarks.measure import Figure, interleaved, medians, ratio, seconds
from benchmarks.on_postgres import database, server
from wtb.sdk import TestBench, WorkflowProject

NODES = 3
ROUNDS_OF_WORK = 1_500_000
"""Some 100 ms of one core for a node."""


class Count(TypedDict, total=False):
    number: int


def burn(number: int) -> int:
    for _ in range(ROUNDS_OF_WORK):
        number = (number * 1_103_515_245 + 12_345) & 0x7FFFFFFF
    return number


def work(state: Count) -> Count:
    return {"number": burn(state["number"])}


def _built() -> Any:
    builder = StateGraph(Count)
    before = START
    for place in range(NODES):
        builder.add_node(f"node{place}", work)
        builder.add_edge(before, f"node{place}")
        before = f"node{place}"
    return builder.compile(name="burning")


burning = _built()


def executors(rounds: int, cases: int) -> list[Figure]:
    """``cases`` trials of three nodes, each 100 ms of work for a core."""
    numbers = [{"number": number} for number in range(cases)]
    with ExitStack() as stack:
        url = stack.enter_context(database(stack.enter_context(server())))
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        bench = stack.enter_context(TestBench(WorkflowProject("measured", db_path=url, output_dir=Path(folder))))
        spawn = multiprocessing.get_context("spawn")
        pools = {n: stack.enter_context(ProcessPoolExecutor(n, spawn)) for n in (1, 2)}
        ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
        stack.callback(ray.shutdown)

        def batch(executor: Any, workers: int, given: list[dict[str, int]]) -> None:
            result = bench.batch(burning, given, executor=executor, max_concurrency=workers)
            assert {outcome.status for outcome in result} == {"completed"}

        def bare(workers: int) -> None:
            list(pools[workers].map(burn, [number for number in range(cases) for _ in range(NODES)]))

        batch("ray", 2, numbers[:4])  # its workers have started
        for workers in pools:
            list(pools[workers].map(burn, range(4)))
        return [
            _figure("Ray over Postgres", lambda n: batch("ray", n, numbers), rounds, "≥ 1.7 × one worker"),
            _figure("processes over Postgres, their start in it", lambda n: batch("processes", n, numbers), rounds, ""),
            _figure("the bare work in a process pool", bare, rounds, ""),
        ]


def _figure(name: str, run: Callable[[int], None], rounds: int, goal: str) -> Figure:
    taken = interleaved({"1": lambda: seconds(lambda: run(1)), "2": lambda: seconds(lambda: run(2))}, rounds)
    gain = ratio(taken, "1", "2")
    return Figure(
        f"{name}: CPU-bound nodes on one worker and on two",
        "s",
        {f"{workers} worker(s)": median for workers, median in medians(taken).items()},
        {"throughput with two": gain},
        goal,
        gain >= 1.7 if goal else None,
    )
