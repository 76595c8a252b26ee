"""A process that runs or recovers one execution and tells what it does, until somebody kills it.

It tells in a file that outlives it: each node its start and its end, and each
event that the process was told is durable. One byte down a pipe goes with each
line, so that the killer can count without looking.
"""

import asyncio
import operator
import os
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Annotated, Any

from langgraph.graph import START, StateGraph
from langgraph.types import Send
from typing_extensions import TypedDict

from wtb.domain.event_log import Origin, Recorded
from wtb.domain.identifiers import ExecutionId
from wtb.sdk import TestBench, WorkflowProject, beginnings
from wtb.sdk.claims import Request
from wtb.sdk.running import Progress, adrive, drive

RANKS = {
    "plan": 0,
    "left": 1,
    "middle": 1,
    "right": 1,
    "join": 2,
    "piece 0": 3,
    "piece 1": 3,
    "piece 2": 3,
    "sub/first": 4,
    "sub/a": 5,
    "sub/b": 5,
    "sub/last": 6,
    "tail": 7,
    "end": 8,
}
"""Each node's superstep: what has a higher rank starts when all of a lower one have ended."""


class State(TypedDict, total=False):
    query: str
    notes: Annotated[list[str], operator.add]


Tell = Callable[[str], None]


@dataclass(frozen=True)
class Side:
    """Where it is told: a file that each line is appended to, and a pipe that gets a byte with each."""

    file: Path
    pipe: Connection | None = None

    def tell(self, line: str) -> None:
        opened = os.open(self.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(opened, f"{line}\n".encode())
        os.fsync(opened)
        os.close(opened)
        if self.pipe is not None:
            os.write(self.pipe.fileno(), b".")


def graph(tell: Tell, *, asynchronous: bool) -> Any:
    """A chain, nodes side by side, a fan-out and a nested graph."""

    def node(name: str) -> Any:
        def work(state: Any) -> State:
            told = name.format(state)
            tell(f"start {told}")
            tell(f"end {told}")
            return {"notes": [told]}

        async def awork(state: Any) -> State:
            told = name.format(state)
            tell(f"start {told}")
            await asyncio.sleep(0)
            tell(f"end {told}")
            return {"notes": [told]}

        return awork if asynchronous else work

    inner: Any = StateGraph(State, output_schema=_Notes)
    for name in ("first", "a", "b", "last"):
        inner.add_node(name, node(f"sub/{name}"))
    inner.add_edge(START, "first")
    inner.add_edge("first", "a")
    inner.add_edge("first", "b")
    inner.add_edge(["a", "b"], "last")
    outer: Any = StateGraph(State)
    for name in ("plan", "left", "middle", "right", "join", "tail", "end"):
        outer.add_node(name, node(name))
    outer.add_node("piece", node("piece {}"))
    outer.add_node("sub", inner.compile())
    outer.add_edge(START, "plan")
    for name in ("left", "middle", "right"):
        outer.add_edge("plan", name)
    outer.add_edge(["left", "middle", "right"], "join")
    outer.add_conditional_edges("join", lambda state: [Send("piece", number) for number in range(3)], ["piece"])
    for before, after in (("piece", "sub"), ("sub", "tail"), ("tail", "end")):
        outer.add_edge(before, after)
    return outer.compile(name="crash")


class _Notes(TypedDict):
    notes: Annotated[list[str], operator.add]


@dataclass(frozen=True)
class Stretch:
    """What a process does of an execution: all it can, from its beginning or from where another one died."""

    execution: str
    number: int
    recovering: bool
    asynchronous: bool


def work(project: WorkflowProject, stretch: Stretch, side: Side, leave: Connection) -> None:
    """Run or recover the execution; stay until ``leave`` is closed."""

    def tell(line: str) -> None:
        side.tell(f"{stretch.number} {line}")

    def told(progress: Progress) -> None:
        if isinstance(progress, Recorded):
            tell(f"told {progress.position} {progress.chain}")

    with TestBench(project) as bench:
        made = graph(tell, asynchronous=stretch.asynchronous)
        if stretch.recovering:
            _recover(bench, made, stretch, told)
        elif stretch.asynchronous:
            asyncio.run(_follow(bench, made, stretch.execution, told))
        else:
            for progress in bench.stream(made, {"query": "q"}, execution_id=stretch.execution):
                told(progress)
    assert side.pipe is not None
    side.pipe.close()
    leave.poll(None)


def finish(project: WorkflowProject, stretch: Stretch, file: Path, sent: Connection) -> None:
    """Bring the execution to its end, as anybody would; the states it ended with are sent."""
    made = graph(lambda line: Side(file).tell(f"{stretch.number} {line}"), asynchronous=stretch.asynchronous)
    with TestBench(project) as bench:
        if stretch.recovering:
            sent.send([result.state for result in bench.recover(graph=made)])
        else:
            sent.send([bench.run(made, {"query": "q"}, execution_id=stretch.execution).state])


def _recover(bench: TestBench, made: Any, stretch: Stretch, told: Callable[[Progress], None]) -> None:
    bench.register(made)
    request = Request(bench._workflows.find, Origin("crash"), emit=told)
    run = beginnings.recover(bench.platform, ExecutionId(stretch.execution), request)
    if run is not None and stretch.asynchronous:
        asyncio.run(adrive(run))
    elif run is not None:
        drive(run)


async def _follow(bench: TestBench, made: Any, execution: str, told: Callable[[Progress], None]) -> None:
    async for progress in bench.astream(made, {"query": "q"}, execution_id=execution):
        told(progress)
