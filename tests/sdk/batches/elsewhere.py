"""Graphs that other processes can find, and trials of them."""

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from tests.sdk.given import chain, says
from wtb.domain.batch import Trial
from wtb.domain.execution import ExecutionStarted
from wtb.domain.identifiers import BatchId, ExecutionId
from wtb.sdk import TestBench
from wtb.sdk.batches.workers.assignment import Assignment
from wtb.sdk.batches.workers.bench_spec import BenchSpec
from wtb.sdk.batches.workers.trial_run import TrialRunner
from wtb.sdk.running import Options

NO_OPTIONS = Options()


def does_as_told(state: Any) -> Any:
    """Does what its query says, and notes its process. What has a file is done once, and the file says by whom."""
    told: list[str] = state["query"].split(" ")
    match told:
        case ["exit", file] if _is_first(file):
            os._exit(3)
        case ["die", file] if _is_first(file):
            os.kill(os.getpid(), signal.SIGKILL)
        case ["hang", file] if _is_first(file):
            _hang()
        case ["hang-outside", file] if _is_first(file):
            subprocess.run(["sh", "-c", "while :; do sleep 60; done"], check=True)
        case ["wait", fifo]:
            Path(fifo).read_text()
        case ["raise"]:
            raise ValueError("as told")
        case _:
            pass
    return {"notes": [str(os.getpid())]}


def _hang() -> None:
    while True:
        time.sleep(60)


def _is_first(file: str) -> bool:
    try:
        with Path(file).open("x") as told:
            told.write(str(os.getpid()))
    except FileExistsError:
        return False
    return True


def begun(file: Path) -> int:
    """Wait until somebody does what is done once; the process that does."""
    while not (file.exists() and file.read_text()):
        time.sleep(0.01)
    return int(file.read_text())


async def awaits(state: Any) -> Any:
    return {"notes": ["awaited"]}


def other(state: Any) -> Any:
    return {"notes": ["other"]}


obedient = chain(before=says("before"), told=does_as_told)
awaiting = chain(awaits=awaits)


def runner(bench: TestBench, graph: object = obedient, options: Options = NO_OPTIONS) -> TrialRunner:
    """Runs trials of a graph in this process."""
    runnable = bench._workflows.register(graph, "notes")[1]
    return TrialRunner(bench.platform, lambda chosen: runnable, bench.platform.origin(cause="batch"), options)


def spec(bench: TestBench, graph: object = obedient, options: Options = NO_OPTIONS, **variants: object) -> BenchSpec:
    chosen = bench.project.variants.chosen(variants)
    return BenchSpec.of(bench.project, runner(bench, graph, options), "notes", graph, [chosen])


def assigned(bench: TestBench, *queries: str, **variants: str) -> list[Assignment]:
    """Trials with these queries; each is one of the case of its number."""
    found = []
    for place, query in enumerate(queries):
        told = bench.run(chain(name="inputs", says=says("")), {"query": query}).execution_id
        started = bench.events(told)[0].fact
        assert isinstance(started, ExecutionStarted)
        found.append(
            Assignment(
                batch=BatchId("b"),
                trial=Trial(str(place), 0, 0),
                execution=ExecutionId(f"b.{place}.0.0"),
                workflow="notes",
                variants=variants,
                input=started.input,
            )
        )
    return found
