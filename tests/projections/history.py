"""What real runs of small graphs left in a log, to be told again in other logs."""

import itertools
import operator
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.types import RetryPolicy, interrupt

from tests.projections.given import batch_started, case_finished, case_scored, rows_of
from wtb.domain.batch import (
    BatchCompleted,
    BatchFact,
    BatchResumed,
    BatchStopped,
    BatchStopRequested,
    Case,
    CasesAdded,
)
from wtb.domain.event_log import EMPTY_STREAM, Append, EventLog, Origin, Recorded
from wtb.domain.identifiers import NULL_DIGEST, StreamName, WorkerId, batch_stream
from wtb.infra.event_store.store import open_store
from wtb.projections.database import Columns, engine_for
from wtb.projections.projector import Projector
from wtb.sdk import TestBench, WorkflowProject

BATCH: list[BatchFact] = [
    batch_started(cases=2, combinations=({}, {"answer": "short"}), scores=("exact",)),
    CasesAdded(cases=(Case(id="c0", input=NULL_DIGEST), Case(id="c1", input=NULL_DIGEST))),
    case_finished("c0", 0),
    case_scored("c0", 0, exact=True),
    case_finished("c0", 1, status="failed", error="broken"),
    BatchStopRequested(reason="lunch"),
    case_finished("c1", 0, tokens=7),
    BatchStopped(reason="request", detail="lunch"),
    BatchResumed(worker=WorkerId("bob")),
    case_scored("c1", 0, exact=False),
    case_finished("c0", 1),
    case_scored("c0", 1, exact=True),
    case_finished("c1", 1),
    case_scored("c1", 1, exact=True),
    BatchCompleted(duration_us=5),
]
"""A batch that was stopped and resumed, with a trial that failed and was tried again."""


class State(TypedDict):
    seen: Annotated[list[str], operator.add]


class Doubt(Exception):
    """What a node may raise."""


def _fetch(state: State) -> State:
    return {"seen": ["fetch"]}


def _fail(state: State) -> State:
    raise Doubt("no luck")


def _ask(state: State) -> State:
    return {"seen": [interrupt("go on?")]}


def _graph(*names: str, **nodes: object) -> StateGraph[State]:
    """START → each of ``names``, side by side → END."""
    graph = StateGraph(State)
    for name in names:
        graph.add_node(name, nodes.get(name, _fetch), retry_policy=RetryPolicy(0.001, max_attempts=2, retry_on=Doubt))  # type: ignore[call-overload]
        graph.add_edge(START, name)
        graph.add_edge(name, END)
    return graph


@cache
def runs() -> tuple[Recorded, ...]:
    """Events of executions that went well, side by side and nested, failed twice, paused, resumed, and were deleted;
    and of a batch."""
    with tempfile.TemporaryDirectory() as folder, TestBench(WorkflowProject("w", Path(folder) / "w.db")) as bench:
        begin: State = {"seen": []}
        bench.run(_graph("a", "b", "c"), begin, workflow="wide")
        bench.run(_graph("sub", sub=_graph("a", "b").compile()), begin, workflow="nested")
        bench.run(_graph("a", "b", b=_fail), begin, workflow="failing")
        asking = _graph("a", "b", a=_ask)
        paused = bench.run(asking, begin, workflow="asking").execution_id
        bench.run(asking, begin, workflow="asking")
        bench.resume(paused, "yes")
        gone = bench.run(_graph("a"), begin, workflow="deleted").execution_id
        bench.platform.saver.delete_thread(gone)
        origin, stream = Origin("ada"), batch_stream("b1")
        times = [second * 1_000_000 for second in range(len(BATCH))]
        bench.platform.store.append([Append(stream, EMPTY_STREAM, BATCH, times, origin)])
        return tuple(bench.log(limit=10_000))


def copies(number: int) -> list[Recorded]:
    """The same runs, that many times over, as executions of their own."""
    return [_renamed(event, copy) for copy in range(number) for event in runs()]


def _renamed(event: Recorded, copy: int) -> Recorded:
    return Recorded(
        event.position,
        StreamName(f"{event.stream}-{copy}"),
        event.version,
        event.type,
        event.fact,
        event.time_us,
        event.actor,
        event.cause,
        event.trace,
        event.chain,
    )


def tell(log: EventLog, events: Sequence[Recorded]) -> None:
    """Let the same things happen in another log, in this order."""
    for stream, group in itertools.groupby(events, lambda event: event.stream):
        part = list(group)
        facts, times = [event.fact for event in part], [event.time_us for event in part]
        log.append([Append(stream, log.head(stream), facts, times, Origin(part[0].actor))])


def folded(events: Sequence[Recorded]) -> dict[str, list[Columns]]:
    """The rows that events come to when nothing disturbs: a new log, and one projector that takes them at once."""
    with tempfile.TemporaryDirectory() as folder:
        location = f"{folder}/wtb.db"
        store, engine = open_store(location), engine_for(location)
        tell(store, events)
        Projector(store, engine, batch=1_000_000).catch_up()
        rows = rows_of(engine)
        engine.dispose()
        store.close()
    return rows
