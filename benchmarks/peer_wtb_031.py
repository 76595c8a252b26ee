"""Runs in an environment of its own where the package wtb 0.3.1 is installed; prints seconds per execution as JSON."""

import contextlib
import json
import os
import sys
import tempfile
import time
from typing import Any, TypedDict

from langgraph.graph import START, StateGraph

from wtb.sdk import WorkflowProject, WTBTestBench  # type: ignore[attr-defined]  # that package's, not this one's

EXECUTIONS = 10
WARM_UP = 2


class Counting(TypedDict):
    i: int
    blob: str


def linear() -> StateGraph[Any]:
    graph = StateGraph(Counting)
    before = START
    for number in range(10):
        graph.add_node(f"node_{number}", lambda state: {"i": state["i"] + 1})
        graph.add_edge(before, f"node_{number}")
        before = f"node_{number}"
    return graph


def main() -> None:
    state = {"i": 0, "blob": os.urandom(500).hex()}
    taken: list[float] = []
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        bench = WTBTestBench.create(mode="development", data_dir=folder)
        bench.register_project(WorkflowProject(name="measured", graph_factory=linear))  # type: ignore[call-arg]
        for number in range(WARM_UP + EXECUTIONS):
            began = time.perf_counter()
            execution = bench.run("measured", dict(state))
            if number >= WARM_UP:
                taken.append(time.perf_counter() - began)
            assert execution.status.value == "completed", execution.status
    sys.stdout.write(json.dumps(taken) + "\n")


if __name__ == "__main__":
    main()
