"""The trail of one graph that has everything, compared with what its nodes themselves saw happen."""

import asyncio
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from time import perf_counter_ns
from typing import Annotated, Any

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.errors import GraphInterrupt
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, RetryPolicy, Send, interrupt
from typing_extensions import TypedDict

from wtb.domain.event_log import AnyFact
from wtb.domain.execution import (
    CheckpointSaved,
    ExecutionCompleted,
    ExecutionFailed,
    ExecutionPaused,
    ExecutionResumed,
    ExecutionStarted,
    NodeCompleted,
    NodeFailed,
    NodeInterrupted,
    NodeStarted,
    WritesSaved,
)
from wtb.domain.identifiers import Digest, TaskId, node_path
from wtb.sdk import RunResult, TestBench, WorkflowProject


class State(TypedDict, total=False):
    plan: str
    verdict: str
    doomed: bool
    notes: Annotated[list[str], operator.add]


class Inner(TypedDict, total=False):
    plan: str
    verdict: str
    drafts: Annotated[list[str], operator.add]


class Verdict(TypedDict):
    verdict: str


FIRST_STRETCH = """
start
    save -1
    note doomed, branch:to:plan
    save 0
start plan
complete plan → notes, plan ⇒ left, right
    save 1
start left
complete left → notes ⇒ gather
start right
complete right → notes ⇒ gather
    save 2
start gather
complete gather → notes ⇒ piece, piece, piece
    save 3
start piece 0
complete piece 0 → notes ⇒ sub
start piece 1
complete piece 1 → notes ⇒ sub
start piece 2
complete piece 2 → notes ⇒ sub
    save 4
start sub
    save sub -1
    note plan, branch:to:first
    save sub 0
start sub/first
complete sub/first → drafts ⇒ a, b
    save sub 1
start sub/a
complete sub/a → drafts ⇒ ask
start sub/b
complete sub/b → drafts ⇒ ask
    save sub 2
start sub/ask
ask sub/ask: publish a, b?
ask sub: publish a, b?
pause: publish a, b?
"""

SECOND_STRETCH = """
resume
start sub
start sub/ask
complete sub/ask → verdict
    save sub 3
complete sub → verdict ⇒ flaky
    save 5
start flaky
fail flaky: OSError: try 1
start flaky #2
fail flaky #2: OSError: try 2
"""

TO_THE_END = """
start flaky #3
complete flaky #3 → notes ⇒ decide
    save 6
start decide
complete decide → notes ⇒ finish
    save 7
start finish
complete finish → verdict
    save 8
end
"""

TO_THE_FAILURE = """
start flaky #3
fail flaky #3: OSError: try 3
    note __error__
failure in flaky: OSError: try 3
"""


class Truth:
    """What the nodes themselves say, and what they find recorded while they run."""

    def __init__(self, outside: TestBench) -> None:
        self.outside = outside
        """Another connection to the same store, which sees only what is durable."""
        self.lines: list[str] = []
        self.writes: dict[str, Mapping[str, Any]] = {}

    def began(self, node: str, config: RunnableConfig) -> str:
        """Tell of a start, as durable or not; the node's name with its attempt."""
        attempt = 1 + sum(line.startswith(f"fail {node}") for line in self.lines)
        name = f"{node} #{attempt}" if attempt > 1 else node
        recorded = [known.line for known in self.trail(config) if known.about == node]
        self.lines.append(f"start {name}" if recorded[-1:] == [f"start {name}"] else f"UNRECORDED start {name}")
        return name

    def ended(self, name: str, output: Any) -> None:
        written: Any = output.update if isinstance(output, Command) else output
        self.writes[name.partition(" #")[0]] = written
        self.lines.append(f"complete {name} → {', '.join(sorted(written))}")

    def stopped(self, name: str, error: BaseException) -> None:
        if isinstance(error, GraphInterrupt):
            self.lines.append(f"ask {name}: {error.args[0][0].value}")
        else:
            self.lines.append(f"fail {name}: {type(error).__name__}: {error}")

    def trail(self, config: RunnableConfig) -> "list[Told]":
        return trail(self.outside, config["configurable"]["thread_id"])

    def wait_for(self, line: str, config: RunnableConfig) -> None:
        """Wait until a line is durable. Raises `TimeoutError`."""
        store = self.outside.platform.store
        for _ in range(20):
            position = store.last_position()
            if any(known.line.startswith(line) for known in self.trail(config)):
                return
            store.wait(position, 0.5)
        raise TimeoutError(line)


def everything(truth: Truth, *, asynchronous: bool) -> Any:
    """Sequential and parallel nodes, a join, a fan-out, a graph that asks, retries and a command."""

    def left(state: State, config: RunnableConfig) -> State:
        truth.wait_for("complete right", config)  # recorded, though its superstep is still under way
        return {"notes": ["left"]}

    def flaky(state: State, config: RunnableConfig) -> State:
        tries = 1 + sum(line.startswith("fail flaky") for line in truth.lines)
        if tries < 3 or state["doomed"]:
            raise OSError(f"try {tries}")
        return {"notes": ["flaky"]}

    def says(**update: Any) -> Callable[[Any, RunnableConfig], Any]:
        return lambda state, config: update

    def ask(state: Inner, config: RunnableConfig) -> Inner:
        return {"verdict": interrupt(f"publish {', '.join(sorted(state['drafts'])[:2])}?")}

    def node(name: str, work: Callable[[Any, RunnableConfig], Any]) -> Any:
        def told(state: Any, config: RunnableConfig) -> Any:
            known = truth.began(f"{name} {state}" if name == "piece" else name, config)
            try:
                output = work(state, config)
            except BaseException as error:
                truth.stopped(known, error)
                raise
            truth.ended(known, output)
            return output

        async def atold(state: Any, config: RunnableConfig) -> Any:
            return await asyncio.to_thread(told, state, config)

        return atold if asynchronous else told

    inner: Any = StateGraph(Inner, output_schema=Verdict)
    inner.add_node("first", node("sub/first", says(drafts=["first"])))
    inner.add_node("a", node("sub/a", says(drafts=["a"])))
    inner.add_node("b", node("sub/b", says(drafts=["b"])))
    inner.add_node("ask", node("sub/ask", ask))
    for before, after in ((START, "first"), ("first", "a"), ("first", "b"), ("a", "ask"), ("b", "ask")):
        inner.add_edge(before, after)

    outer: Any = StateGraph(State)
    outer.add_node("plan", node("plan", says(plan="three pieces", notes=["plan"])))
    outer.add_node("left", node("left", left))
    outer.add_node("right", node("right", says(notes=["right"])))
    outer.add_node("gather", node("gather", says(notes=["gather"])))
    outer.add_node("piece", node("piece", lambda number, config: {"notes": [f"piece {number}"]}))
    outer.add_node("sub", inner.compile())
    patient = RetryPolicy(initial_interval=0.001, backoff_factor=1, jitter=False, max_attempts=3, retry_on=OSError)
    outer.add_node("flaky", node("flaky", flaky), retry_policy=patient)
    outer.add_node("decide", node("decide", lambda state, config: Command(goto="finish", update={"notes": ["decide"]})))
    outer.add_node("finish", node("finish", says(verdict="published")))
    outer.add_edge(START, "plan")
    outer.add_edge("plan", "left")
    outer.add_edge("plan", "right")
    outer.add_edge(["left", "right"], "gather")
    outer.add_conditional_edges("gather", lambda state: [Send("piece", number) for number in range(3)], ["piece"])
    for before, after in (("piece", "sub"), ("sub", "flaky"), ("flaky", "decide"), ("finish", END)):
        outer.add_edge(before, after)
    return outer.compile(name="everything")


# --- the trail as short lines -----------------------------------------------------------------------


@dataclass(frozen=True)
class Told:
    """An event as a line, with what it is about."""

    fact: AnyFact
    about: str
    """The node's path, a fan-out's piece numbered; empty for what isn't about a node."""
    line: str
    writes: dict[str, Any] = field(default_factory=dict)


def trail(bench: TestBench, execution: str) -> list[Told]:
    """An execution's events in order; of nodes that ran side by side one after the other, by name."""
    facts = [event.fact for event in bench.events(execution)]
    paths = {fact.task: fact.path for fact in facts if isinstance(fact, NodeStarted)}
    named = {w.value for fact in facts if isinstance(fact, NodeCompleted | NodeInterrupted) for w in fact.writes}
    named |= {question.value for fact in facts if isinstance(fact, ExecutionPaused) for question in fact.questions}
    values = bench.platform.saver.history.load(named)
    told = [told_of(fact, paths, values) for fact in facts]
    return [
        known
        for _, beside in groupby(told, lambda known: getattr(known.fact, "namespace", "") if known.about else None)
        for known in sorted(beside, key=lambda known: known.about)
    ]


def told_of(fact: AnyFact, paths: Mapping[TaskId, str], values: Mapping[Digest, Any]) -> Told:
    match fact:
        case ExecutionStarted():
            return Told(fact, "", "start")
        case ExecutionResumed():
            return Told(fact, "", "resume")
        case ExecutionPaused():
            return Told(fact, "", f"pause: {', '.join(values[question.value] for question in fact.questions)}")
        case ExecutionCompleted():
            return Told(fact, "", "end")
        case ExecutionFailed():
            return Told(fact, "", f"failure in {fact.node}: {fact.error.type}: {fact.error.message}")
        case CheckpointSaved():
            return Told(fact, "", f"    save {node_path(fact.namespace, str(fact.step)).replace('/', ' ')}")
        case NodeStarted() | NodeCompleted() | NodeFailed() | NodeInterrupted():
            about = node_path(fact.namespace, fact.node)
            kind, place, *_ = paths[fact.task].split(", ")
            if kind == "~__pregel_push":
                about += f" {int(place)}"
            name = f"{about} #{fact.attempt}" if fact.attempt > 1 else about
        case WritesSaved():
            return Told(fact, "", f"    note {', '.join(write.channel for write in fact.writes)}")
        case _:
            return Told(fact, "", type(fact).__name__)
    match fact:
        case NodeStarted():
            return Told(fact, about, f"start {name}")
        case NodeFailed():
            return Told(fact, about, f"fail {name}: {fact.error.type}: {fact.error.message}")
        case NodeInterrupted():
            asked = [values[write.value][0].value for write in fact.writes if write.channel == "__interrupt__"]
            return Told(fact, about, f"ask {name}: {', '.join(asked)}")
        case NodeCompleted():
            writes = {write.channel: values[write.value] for write in fact.writes if is_users(write.channel)}
            leads = sorted(lead for write in fact.writes for lead in leads_to(write.channel, values[write.value]))
            line = f"complete {name} → {', '.join(sorted(writes))}"
            return Told(fact, about, f"{line} ⇒ {', '.join(leads)}" if leads else line, writes)


def is_users(channel: str) -> bool:
    return not channel.startswith(("__", "branch:", "join:"))


def leads_to(channel: str, value: Any) -> list[str]:
    """The nodes that a write leads to."""
    if channel == "__pregel_tasks":
        return [value.node]
    return [channel.rpartition(":")[2]] if channel.startswith(("branch:", "join:")) else []


# --- running it -------------------------------------------------------------------------------------

WAYS = {
    "sync nodes by run": (False, False),
    "sync nodes by arun": (False, True),
    "async nodes by run": (True, False),
    "async nodes by arun": (True, True),
}


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> tuple[bool, bool]:
    """Whether the nodes are async, and whether the run is."""
    chosen: tuple[bool, bool] = WAYS[request.param]
    return chosen


@pytest.fixture
def project(store_location: str, tmp_path: Path) -> WorkflowProject:
    return WorkflowProject("trail", db_path=store_location, output_dir=tmp_path / "out")


async def run_and_resume(
    bench: TestBench, graph: Any, initial: State, answer: str, *, asynchronous: bool
) -> tuple[RunResult, RunResult]:
    if asynchronous:
        paused = await bench.arun(graph, initial)
        return paused, await bench.aresume(paused.execution_id, answer)
    paused = await asyncio.to_thread(bench.run, graph, initial)
    return paused, await asyncio.to_thread(bench.resume, paused.execution_id, answer)


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line]


def by_node(told: Iterable[str]) -> list[str]:
    """Lines of nodes, each node's in order."""
    return sorted(told, key=lambda line: re.sub(r" #.*|:.*| →.*", "", line.partition(" ")[2]))


def assert_told_truly(told: Sequence[Told], truth: Truth) -> None:
    """The trail and the nodes agree: on starts, which were durable first, on ends, failures, questions and writes."""
    recorded = [known.line.partition(" ⇒ ")[0] for known in told if known.about not in ("", "sub")]
    assert by_node(recorded) == by_node(truth.lines)
    written = {known.about: known.writes for known in told if isinstance(known.fact, NodeCompleted)}
    written.pop("sub", None)
    assert written == truth.writes


async def test_the_trail_says_what_the_nodes_saw(project: WorkflowProject, way: tuple[bool, bool]) -> None:
    with TestBench(project) as bench, TestBench(project) as outside:
        truth = Truth(outside)
        graph = everything(truth, asynchronous=way[0])
        paused, done = await run_and_resume(bench, graph, {"doomed": False}, "yes", asynchronous=way[1])

        told = trail(bench, done.execution_id)

        assert (paused.status, done.status) == ("paused", "completed")
        assert [known.line for known in told] == lines(FIRST_STRETCH + SECOND_STRETCH + TO_THE_END)
        assert_told_truly(told, truth)
        assert done.state == dict(bench.state(done.execution_id))
        assert done.state["verdict"] == "published"
        assert done.state["notes"] == [note for update in told_notes(told) for note in update]


def told_notes(told: Sequence[Told]) -> Iterator[list[str]]:
    for known in told:
        if "notes" in known.writes:
            yield known.writes["notes"]


async def test_a_node_that_fails_for_good_ends_the_trail(project: WorkflowProject, way: tuple[bool, bool]) -> None:
    with TestBench(project) as bench, TestBench(project) as outside:
        truth = Truth(outside)
        graph = everything(truth, asynchronous=way[0])
        _, failed = await run_and_resume(bench, graph, {"doomed": True}, "yes", asynchronous=way[1])

        told = trail(bench, failed.execution_id)

        assert failed.status == "failed"
        assert str(failed.error) == "OSError in node 'flaky': try 3"
        assert [known.line for known in told] == lines(FIRST_STRETCH + SECOND_STRETCH + TO_THE_FAILURE)
        assert_told_truly(told, truth)
        traceback = next(known.fact.error.traceback for known in told if isinstance(known.fact, NodeFailed))
        assert traceback is not None
        assert 'raise OSError(f"try {tries}")' in bench.platform.saver.history.load({traceback})[traceback]


def test_every_node_names_the_checkpoint_it_saw_and_every_checkpoint_its_parent(project: WorkflowProject) -> None:
    with TestBench(project) as bench, TestBench(project) as outside:
        graph = everything(Truth(outside), asynchronous=False)
        paused = bench.run(graph, {"doomed": False})
        bench.resume(paused.execution_id, "yes")

        newest: dict[str, CheckpointSaved] = {}
        for known in trail(bench, paused.execution_id):
            fact = known.fact
            if isinstance(fact, CheckpointSaved):
                before = newest.get(fact.namespace)
                assert fact.parent == (before.checkpoint if before else None)
                assert before is None or fact.step == before.step + 1
                newest[fact.namespace] = fact
            elif isinstance(fact, NodeStarted | NodeCompleted | NodeFailed | NodeInterrupted):
                assert fact.checkpoint == newest[fact.namespace].checkpoint
                if isinstance(fact, NodeStarted):
                    assert fact.step == newest[fact.namespace].step + 1
        assert len(newest) == 2


def test_durations_fit_into_each_other_and_into_the_run(project: WorkflowProject) -> None:
    with TestBench(project) as bench, TestBench(project) as outside:
        began = perf_counter_ns()
        graph = everything(Truth(outside), asynchronous=False)
        paused = bench.run(graph, {"doomed": False})
        done = bench.resume(paused.execution_id, "yes")
        elapsed_us = (perf_counter_ns() - began) // 1000

        told = trail(bench, done.execution_id)
        ends = [known for known in told if isinstance(known.fact, NodeCompleted | NodeFailed | NodeInterrupted)]
        durations = {known.line: known.fact.duration_us for known in ends if hasattr(known.fact, "duration_us")}
        whole = next(known.fact.duration_us for known in told if isinstance(known.fact, ExecutionCompleted))

        assert len(durations) == len(ends) == 19
        assert all(0 <= duration <= elapsed_us for duration in durations.values())
        first_stretch = ("complete sub/first → drafts ⇒ a, b", "ask sub/ask: publish a, b?")
        assert sum(durations[line] for line in first_stretch) <= durations["ask sub: publish a, b?"]
        assert durations["complete sub/ask → verdict"] <= durations["complete sub → verdict ⇒ flaky"]
        # The run's own count is of the stretch since the answer.
        assert durations["complete sub → verdict ⇒ flaky"] <= whole <= elapsed_us
        steps = [step for step in bench.steps(done.execution_id).items if step.duration_us is not None]
        assert sorted(step.duration_us or 0 for step in steps) == sorted(durations.values())
