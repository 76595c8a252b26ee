"""`pause`, `cancel` and `set_breakpoints`: what others ask, and how whoever runs the execution obeys."""

import asyncio
import operator
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from langgraph.types import RetryPolicy, Send, interrupt
from typing_extensions import TypedDict

from tests.sdk.given import Node, Notes, asks, beside, chain, completed, loop, says, started, types
from tests.sdk.processes import contest, die, dies_resuming, dies_running, frozen, lives, wait_at_gate
from wtb.domain.errors import ExecutionNotFound, NodeNotFound, VersionConflict, WrongStatus
from wtb.domain.event_log import Recorded
from wtb.domain.execution import BreakpointsSet, ExecutionCancelled, ExecutionPaused, NodeInterrupted, PauseRequested
from wtb.sdk import RunResult, TestBench, WorkflowProject
from wtb.sdk.running import drive

Run = Callable[..., RunResult]


def does(act: Callable[[], object], note: str = "does") -> Node:
    """A node during which somebody acts."""

    def node(state: Notes) -> Notes:
        act()
        return {"notes": [note]}

    return node


def asks_while(act: Callable[[], object]) -> Node:
    """A node that asks its question while somebody acts, the first time it runs."""
    acts = [act]

    def node(state: Notes) -> Notes:
        while acts:
            acts.pop()()
        return {"notes": [interrupt("name?")]}

    return node


@pytest.fixture
def other(project: WorkflowProject) -> Any:
    """A bench of its own on the same store, as another process has one."""
    with TestBench(project) as bench:
        yield bench


@pytest.fixture(params=["run", "arun"])
def run(request: pytest.FixtureRequest, bench: TestBench) -> Run:
    """`run`, and the same on an event loop."""
    if request.param == "run":
        return bench.run
    return lambda *args, **options: asyncio.run(bench.arun(*args, **options))


@pytest.fixture
def resume(run: Run, bench: TestBench) -> Run:
    """`resume`, on an event loop where `run` is on one."""
    if run == bench.run:
        return bench.resume
    return lambda *args, **options: asyncio.run(bench.aresume(*args, **options))


def starts_after(events: Sequence[Recorded], request: type) -> list[str]:
    """The nodes started between a request and the end of that stretch."""
    [asked] = [event.version for event in events if isinstance(event.fact, request)]
    ends = (ExecutionPaused, ExecutionCancelled)
    end = next(event.version for event in events if event.version > asked and isinstance(event.fact, ends))
    return started([event for event in events if asked < event.version < end])


# --- pause --------------------------------------------------------------------------------------------


def test_a_pause_stops_before_the_next_node_and_resume_goes_on_there(
    run: Run, resume: Run, other: TestBench, bench: TestBench
) -> None:
    graph = chain(a=says("a"), b=does(lambda: other.pause("x", "lunch", actor="Ada")), c=says("c"))
    paused = run(graph, {"query": "q"}, execution_id="x")
    assert (paused.status, paused.pause_reason, paused.state["notes"]) == ("paused", "request", ["a", "does"])
    asked = next(event for event in bench.events("x") if isinstance(event.fact, PauseRequested))
    assert (asked.fact, asked.actor, asked.cause) == (PauseRequested(reason="lunch"), "Ada", "pause")
    assert starts_after(bench.events("x"), PauseRequested) == []
    assert bench.execution("x").status == "paused"
    done = resume("x")
    assert (done.status, done.state["notes"]) == ("completed", ["a", "does", "c"])
    assert started(bench.events("x")) == completed(bench.events("x")) == ["a", "b", "c"]


def test_a_pause_that_finds_no_node_left_to_start_comes_too_late(run: Run, other: TestBench) -> None:
    assert run(chain(a=does(lambda: other.pause("x"))), {"query": "q"}, execution_id="x").status == "completed"


def test_the_starts_of_a_whole_superstep_are_taken_back(
    run: Run, resume: Run, other: TestBench, bench: TestBench
) -> None:
    builder: Any = StateGraph(Notes)
    builder.add_node("a", does(lambda: other.pause("x")))
    for node in ("b", "c", "d"):
        builder.add_node(node, says(node))
        builder.add_edge("a", node)
    builder.add_edge(START, "a")
    assert run(builder.compile(), {"query": "q"}, execution_id="x").status == "paused"
    assert started(bench.events("x")) == ["a"]
    assert resume("x").state["notes"] == ["does", "b", "c", "d"]
    assert sorted(started(bench.events("x"))) == ["a", "b", "c", "d"]


def test_in_a_nested_graph_the_pause_leaves_all_graphs_and_resume_runs_no_node_twice(
    run: Run, resume: Run, other: TestBench, bench: TestBench
) -> None:
    ran: list[str] = []
    inner = chain(i=does(lambda: ran.append("i")), j=does(lambda: other.pause("x")), k=does(lambda: ran.append("k")))
    graph = chain(a=says("a"), sub=chain(deep=inner), c=says("c"))
    assert run(graph, {"query": "q"}, execution_id="x").status == "paused"
    left = [event.fact for event in bench.events("x") if isinstance(event.fact, NodeInterrupted)]
    assert [(fact.node, fact.questions, fact.writes) for fact in left] == [("deep", (), ()), ("sub", (), ())]
    assert starts_after(bench.events("x"), PauseRequested) == []
    assert resume("x").status == "completed"
    assert ran == ["i", "k"]
    assert completed(bench.events("x")) == ["a", "sub/deep/i", "sub/deep/j", "sub/deep/k", "sub/deep", "sub", "c"]


def test_siblings_that_run_finish_and_what_they_wrote_is_kept(
    run: Run, resume: Run, other: TestBench, bench: TestBench
) -> None:
    asked = threading.Event()

    def ask() -> None:
        other.pause("x")
        asked.set()

    inner = chain(i=does(ask), j=says("j"))
    graph = beside(sub=inner, long=does(lambda: asked.wait(20), "long"))
    config = {"max_concurrency": 2}
    if run != bench.run:
        graph = beside(sub=inner, long=_long(asked))
    paused = run(graph, {"query": "q"}, execution_id="x", config=config)
    assert (paused.status, paused.state["notes"]) == ("paused", ["long"])
    assert sorted(resume("x").state["notes"]) == ["does", "j", "long"]
    assert sorted(completed(bench.events("x"))) == ["long", "sub", "sub/i", "sub/j"]


def _long(asked: threading.Event) -> Node:
    async def node(state: Notes) -> Notes:
        assert await asyncio.to_thread(asked.wait, 20)
        return {"notes": ["long"]}

    return node


class Sent(TypedDict, total=False):
    query: str
    number: int
    done: Annotated[list[int], operator.add]


def fan_out(work: Callable[[int], object]) -> Any:
    def worker(state: Sent) -> Sent:
        work(state["number"])
        return {"done": [state["number"]]}

    builder: Any = StateGraph(Sent)
    builder.add_node("plan", lambda state: {})
    builder.add_node("worker", worker)
    builder.add_edge(START, "plan")
    builder.add_conditional_edges("plan", lambda state: [Send("worker", {"number": n}) for n in range(6)], ["worker"])
    return builder.compile()


def test_of_a_fan_out_those_that_have_not_begun_wait_and_each_runs_once(
    run: Run, resume: Run, other: TestBench, bench: TestBench
) -> None:
    ran: list[int] = []

    def work(number: int) -> None:
        ran.append(number)
        if number == 2:
            other.pause("x")

    config = {"max_concurrency": 1}
    graph = fan_out(work)
    assert run(graph, {"query": "q"}, execution_id="x", config=config).status == "paused"
    assert ran == [0, 1, 2]
    assert resume("x", config=config).state["done"] == [0, 1, 2, 3, 4, 5]
    assert ran == [0, 1, 2, 3, 4, 5]
    assert len(started(bench.events("x"))) == len(completed(bench.events("x"))) == 7


def test_a_question_asked_in_the_same_superstep_wins_over_a_pause(
    run: Run, resume: Run, other: TestBench, bench: TestBench
) -> None:
    graph = chain(ask=asks_while(partial(other.pause, "x")), after=says("after"))
    paused = run(graph, {"query": "q"}, execution_id="x")
    assert (paused.status, paused.pause_reason) == ("paused", "interrupt")
    assert [question.value for question in paused.interrupts] == ["name?"]
    assert resume("x", "Ada").status == "completed"


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_an_answer_that_no_node_has_taken_before_the_pause_is_not_asked_for_again(
    bench: TestBench, other: TestBench, asynchronous: bool
) -> None:
    bench.run(chain(ask=asks("name?"), after=says("after")), {"query": "q"}, execution_id="x")
    claimed = bench._resume("x", "Ada", None, None, None, None, None)
    other.pause("x")
    assert drive(claimed).pause_reason == "request"
    done = asyncio.run(bench.aresume("x")) if asynchronous else bench.resume("x")
    assert (done.status, done.state["notes"]) == ("completed", ["Ada", "after"])


def test_the_answers_of_several_pauses_come_together(bench: TestBench, other: TestBench) -> None:
    paused = bench.run(beside(a=asks("a?"), b=asks("b?")), {"query": "q"}, execution_id="x")
    ids = {question.value: question.id for question in paused.interrupts}
    claimed = bench._resume("x", None, {ids["a?"]: "A"}, None, None, None, None)
    other.pause("x")
    assert drive(claimed).pause_reason == "request"
    asked = bench.resume("x")
    assert [question.value for question in asked.interrupts] == ["b?"]
    assert bench.resume("x", "B").state["notes"] == ["A", "B"]


def test_a_node_that_is_tried_again_is_stopped_between_its_tries(
    run: Run, resume: Run, other: TestBench, bench: TestBench
) -> None:
    tries: list[int] = []

    def flaky(state: Notes) -> Notes:
        tries.append(1)
        if len(tries) == 1:
            other.pause("x")
            raise ValueError("once")
        return {"notes": ["flaky"]}

    builder: Any = StateGraph(Notes)
    builder.add_node("flaky", flaky, retry_policy=RetryPolicy(initial_interval=0.001, retry_on=ValueError))
    builder.add_edge(START, "flaky")
    assert run(builder.compile(), {"query": "q"}, execution_id="x").status == "paused"
    assert len(tries) == 1
    assert resume("x").state["notes"] == ["flaky"]
    assert [step.status for step in bench.steps("x")] == ["failed", "completed"]


def test_another_process_is_paused(project: WorkflowProject, bench: TestBench, tmp_path: Any) -> None:
    with lives(project, waiting, "x", tmp_path / "gate"):
        asked = bench.pause("x", "from outside")
        assert (asked.status, asked.changed) == ("running", True)
        assert not bench.pause("x").changed
    assert bench.execution("x").status == "paused"
    assert bench.resume("x", graph=waiting()).state["notes"] == ["waited", "after"]


def waiting() -> Any:
    return chain(wait=wait_at_gate, after=says("after"))


def test_those_who_watch_a_run_see_what_others_ask(bench: TestBench, other: TestBench) -> None:
    stream = bench.stream(chain(a=does(lambda: other.pause("x")), b=says("b")), {"query": "q"}, execution_id="x")
    assert types([*stream]) == [event.type for event in bench.events("x")]
    assert "PauseRequested" in types(bench.events("x"))


# --- cancel -------------------------------------------------------------------------------------------


def test_a_cancelled_execution_starts_no_further_node(
    run: Run, resume: Run, other: TestBench, bench: TestBench
) -> None:
    graph = chain(a=does(lambda: other.cancel("x", "wrong customer")), b=says("b"))
    cancelled = run(graph, {"query": "q"}, execution_id="x")
    assert (cancelled.status, cancelled.state["notes"]) == ("cancelled", ["does"])
    assert bench.events("x")[-1].fact == ExecutionCancelled(reason="wrong customer")
    assert (started(bench.events("x")), bench.execution("x").status) == (["a"], "cancelled")


def test_a_cancel_wins_over_a_pause_and_over_a_question(run: Run, other: TestBench, bench: TestBench) -> None:
    def both(execution: str) -> None:
        other.pause(execution)
        other.cancel(execution)

    cancelled = run(chain(ask=asks_while(partial(both, "x"))), {"query": "q"}, execution_id="x")
    assert (cancelled.status, cancelled.interrupts) == ("cancelled", ())
    assert "ExecutionPaused" not in types(bench.events("x"))
    assert run(chain(a=does(partial(both, "y")), b=says("b")), {"query": "q"}, execution_id="y").status == "cancelled"


def test_a_cancel_that_finds_no_node_left_to_start_comes_too_late(run: Run, other: TestBench) -> None:
    assert run(chain(a=does(lambda: other.cancel("x"))), {"query": "q"}, execution_id="x").status == "completed"


async def test_of_many_on_one_loop_only_those_that_were_asked_to_stop_do(bench: TestBench, other: TestBench) -> None:
    def graph(execution: str, act: Callable[[str], object]) -> Any:
        return chain(a=says("a"), b=does(partial(act, execution)), c=says("c"))

    acts: list[Callable[[str], object]] = [other.pause, other.cancel, lambda execution: None] * 4
    runs = [bench.arun(graph(f"x{n}", act), {"query": "q"}, execution_id=f"x{n}") for n, act in enumerate(acts)]
    results = await asyncio.gather(*runs)
    assert [result.status for result in results] == ["paused", "cancelled", "completed"] * 4
    for result in results:
        assert started(bench.events(result.execution_id)) == ["a", "b", "c"][: len(result.state["notes"])]


def test_a_cancelled_execution_is_retried_from_where_it_stopped(run: Run, other: TestBench, bench: TestBench) -> None:
    acts = [partial(other.cancel, "x")]
    graph = chain(a=says("a"), b=does(lambda: acts and acts.pop()()), c=says("c"))
    assert run(graph, {"query": "q"}, execution_id="x").status == "cancelled"
    assert bench.retry("x").state["notes"] == ["a", "does", "c"]
    assert started(bench.events("x")) == ["a", "b", "c"]


def test_an_error_handler_is_kept_back_and_runs_when_resumed(run: Run, resume: Run, other: TestBench) -> None:
    def fails(state: Notes) -> Notes:
        other.pause("x")
        raise ValueError("no")

    builder: Any = StateGraph(Notes)
    builder.add_node("fails", fails, error_handler=lambda state: {"notes": ["handled"]})
    builder.add_edge(START, "fails")
    assert run(builder.compile(), {"query": "q"}, execution_id="x").status == "paused"
    done = resume("x")
    assert (done.status, done.state["notes"]) == ("completed", ["handled"])


def test_what_is_paused_or_left_by_a_dead_process_is_cancelled_at_once(
    project: WorkflowProject, bench: TestBench
) -> None:
    bench.run(chain(ask=asks("name?")), {"query": "q"}, execution_id="paused")
    dies_running(project, doomed, "dead")
    for execution in ("paused", "dead"):
        assert bench.cancel(execution).status == "cancelled"
        assert not bench.cancel(execution).changed
        assert bench.execution(execution).status == "cancelled"
    assert bench.orphans() == []


def doomed() -> Any:
    return chain(a=says("a"), b=die, c=says("c"))


def mended() -> Any:
    return chain(a=says("a"), b=says("b"), c=says("c"))


def test_a_recovered_execution_obeys_what_was_asked_of_the_dead_process(
    project: WorkflowProject, bench: TestBench
) -> None:
    dies_running(project, doomed, "x")
    bench.pause("x")
    [paused] = bench.recover("x", graph=mended())
    assert (paused.status, paused.pause_reason) == ("paused", "request")
    assert started(bench.events("x")) == ["a", "b"]
    assert bench.resume("x").state["notes"] == ["a", "b", "c"]


# --- breakpoints --------------------------------------------------------------------------------------


def stops(resume: Run, result: RunResult, most: int = 20) -> list[list[str]]:
    """Where an execution stops, resumed each time until it ends."""
    found: list[list[str]] = []
    while result.status == "paused" and len(found) < most:
        assert result.pause_reason == "breakpoint"
        found.append([stop.node for stop in result.stops])
        result = resume(result.execution_id)
    assert result.status == "completed"
    return found


def test_breakpoints_stop_before_and_after_nodes_and_no_node_runs_twice(
    run: Run, resume: Run, bench: TestBench
) -> None:
    paused = run(mended(), {"query": "q"}, execution_id="x", break_before=["a", "b"], break_after=["b"])
    assert stops(resume, paused) == [["a"], ["b"], []]
    assert started(bench.events("x")) == completed(bench.events("x")) == ["a", "b", "c"]
    assert isinstance(bench.events("x")[1].fact, BreakpointsSet)


def test_breakpoints_stop_in_nested_graphs(run: Run, resume: Run, bench: TestBench) -> None:
    graph = chain(a=says("a"), sub=chain(deep=chain(i=says("i"), j=says("j"))), c=says("c"))
    before = ["sub", "sub/deep", "sub/deep/i", "sub/deep/j", "c"]
    paused = run(graph, {"query": "q"}, execution_id="x", break_before=before, break_after=["sub/deep/i", "sub/deep/j"])
    # After i nothing starts, and the next to start is j, where it stops too: that is one stop.
    assert stops(resume, paused) == [["sub"], ["sub/deep"], ["sub/deep/i"], ["sub/deep/j"], ["c"]]
    assert completed(bench.events("x")) == ["a", "sub/deep/i", "sub/deep/j", "sub/deep", "sub", "c"]


def test_a_breakpoint_in_a_loop_stops_each_time_round(run: Run, resume: Run, bench: TestBench) -> None:
    builder: Any = StateGraph(Notes)
    builder.add_node("turn", says("turn"))
    builder.add_edge(START, "turn")
    builder.add_conditional_edges("turn", lambda state: "turn" if len(state["notes"]) < 3 else END, ["turn", END])
    paused = run(builder.compile(), {"query": "q"}, execution_id="x", break_before=["turn"])
    assert stops(resume, paused) == [["turn"]] * 3


def test_the_siblings_of_a_node_with_a_breakpoint_run(run: Run, resume: Run, bench: TestBench) -> None:
    paused = run(beside(a=says("a"), b=says("b")), {"query": "q"}, execution_id="x", break_before=["a"])
    assert ([stop.node for stop in paused.stops], paused.state["notes"]) == (["a"], ["b"])
    assert resume("x").state["notes"] == ["a", "b"]
    assert started(bench.events("x")) == ["b", "a"]


def test_a_breakpoint_before_a_fan_out_stops_all_of_it_once(run: Run, resume: Run, bench: TestBench) -> None:
    paused = run(fan_out(lambda number: None), {"query": "q"}, execution_id="x", break_before=["worker"])
    assert (stops(resume, paused), len(started(bench.events("x")))) == ([["worker"]], 7)


def test_breakpoints_set_while_it_runs_are_obeyed_and_replace_those_before(
    run: Run, resume: Run, other: TestBench
) -> None:
    graph = chain(a=does(lambda: other.set_breakpoints("x", before=["c"])), b=says("b"), c=says("c"))
    paused = run(graph, {"query": "q"}, execution_id="x", break_before=["b"])
    assert [stop.node for stop in paused.stops] == ["c"]
    assert completed(other.events("x")) == ["a", "b"]
    assert other.set_breakpoints("x").changed
    assert not other.set_breakpoints("x").changed
    assert resume("x").status == "completed"


def test_a_breakpoint_set_after_the_node_that_runs_is_obeyed_and_one_taken_away_is_not(
    run: Run, resume: Run, other: TestBench
) -> None:
    graph = chain(a=does(lambda: other.set_breakpoints("x", after=["a"])), b=says("b"))
    assert run(graph, {"query": "q"}, execution_id="x").pause_reason == "breakpoint"
    assert completed(other.events("x")) == ["a"]
    assert resume("x").status == "completed"
    graph = chain(a=does(lambda: other.set_breakpoints("y")), b=says("b"))
    assert run(graph, {"query": "q"}, execution_id="y", break_after=["a"]).status == "completed"


def test_what_a_breakpoint_has_let_pass_passes_again_after_a_crash(project: WorkflowProject, bench: TestBench) -> None:
    assert bench.run(mended(), {"query": "q"}, execution_id="x", break_before=["b", "c"]).status == "paused"
    dies_resuming(project, doomed, "x", None)
    [paused] = bench.recover("x", graph=mended())
    assert [stop.node for stop in paused.stops] == ["c"]
    assert bench.resume("x").state["notes"] == ["a", "b", "c"]


def test_breakpoints_that_a_graph_was_compiled_with_go_on_working(run: Run, resume: Run, other: TestBench) -> None:
    builder: Any = StateGraph(Notes)
    for before, node in ((START, "a"), ("a", "b"), ("b", "c")):
        builder.add_node(node, does(partial(other.pause, "x")) if node == "b" else says(node))
        builder.add_edge(before, node)
    paused = run(builder.compile(interrupt_before=["b"]), {"query": "q"}, execution_id="x")
    assert (paused.pause_reason, paused.stops) == ("breakpoint", ())
    assert resume("x").pause_reason == "request"
    assert resume("x").status == "completed"


def test_a_node_that_the_graph_lacks_can_have_no_breakpoint(quick_bench: TestBench) -> None:
    graph = chain(a=says("a"), sub=chain(i=says("i")))
    with pytest.raises(NodeNotFound):
        quick_bench.run(graph, {"query": "q"}, execution_id="x", break_before=["i"])
    quick_bench.run(graph, {"query": "q"}, execution_id="x", break_after=["sub/i"])
    with pytest.raises(NodeNotFound):
        quick_bench.set_breakpoints("x", after=["sub/j"])


def test_a_graph_that_stands_in_for_a_node_has_its_own_nodes(quick_bench: TestBench) -> None:
    variants = {"a": chain(name="nested", i=says("i"), j=says("j"))}
    paused = quick_bench.run(mended(), {"query": "q"}, execution_id="x", variants=variants, break_before=["a/j"])
    assert stops(quick_bench.resume, paused) == [["a/j"]]


# --- who may ask --------------------------------------------------------------------------------------


def test_an_execution_that_is_not_there_or_has_ended_is_refused(bench: TestBench) -> None:
    for ask in (bench.pause, bench.cancel, bench.set_breakpoints):
        with pytest.raises(ExecutionNotFound):
            ask("nobody")
    done = bench.run(mended(), {"query": "q"}).execution_id
    for ask in (bench.pause, bench.cancel):
        with pytest.raises(WrongStatus):
            ask(done)


def test_with_a_version_only_what_was_looked_at_is_changed(bench: TestBench) -> None:
    bench.run(chain(ask=asks("name?")), {"query": "q"}, execution_id="x")
    seen = bench.execution("x").version
    assert bench.set_breakpoints("x", before=["ask"], if_version=seen).version == seen + 1
    for ask in (bench.pause, bench.cancel, bench.set_breakpoints):
        with pytest.raises(VersionConflict):
            ask("x", if_version=seen)
    assert bench.cancel("x", if_version=seen + 1).version == seen + 2


def test_of_resume_and_cancel_in_two_processes_one_wins_and_the_other_is_told(
    project: WorkflowProject, bench: TestBench
) -> None:
    names = [f"x{number}" for number in range(6)]
    for name in names:
        bench.run(question(), {"query": "q"}, execution_id=name)
    resumed, cancelled = contest(project, question, names, [("resume", ("Ada",)), ("cancel", ())])
    for name, went_on, ended in zip(names, resumed, cancelled, strict=True):
        # The cancel comes first, or finds it running and is obeyed or too late, or finds it ended.
        assert (went_on, ended) in {
            ("NotResumable", "cancelled"),
            ("cancelled", "running"),
            ("completed", "running"),
            ("completed", "WrongStatus"),
        }
        assert bench.execution(name).status == ("completed" if went_on == "completed" else "cancelled")


def question() -> Any:
    return chain(ask=asks("name?"), after=says("after"))


def test_a_process_that_was_taken_for_dead_and_comes_back_writes_nothing_more(
    project: WorkflowProject, bench: TestBench, tmp_path: Any
) -> None:
    free = chain(wait=says("taken over"), after=says("after"))
    with frozen(project, waiting, "x", tmp_path / "gate") as outcome:
        [done] = bench.recover("x", graph=free, take_over=True)
        before = bench.events("x")
    assert (done.status, done.state["notes"]) == ("completed", ["taken over", "after"])
    assert outcome == ["ExecutionTaken"]
    assert bench.events("x") == before


def test_a_process_whose_execution_was_taken_over_and_cancelled_writes_nothing_more(
    project: WorkflowProject, bench: TestBench, tmp_path: Any
) -> None:
    with frozen(project, waiting, "x", tmp_path / "gate") as outcome:
        [paused] = bench.recover("x", graph=question_first(), take_over=True)
        assert paused.status == "paused"
        bench.cancel("x")
        before = bench.events("x")
    assert (outcome, bench.events("x")) == (["ExecutionTaken"], before)


def question_first() -> Any:
    return chain(wait=asks("taken over?"), after=says("after"))


def test_no_node_starts_after_a_pause_was_asked_for_however_fast_it_runs(bench: TestBench, other: TestBench) -> None:
    config: RunnableConfig = {"recursion_limit": 100_000}
    stream = bench.stream(loop(), {"query": "q"}, execution_id="x", config=config)
    for count, _ in enumerate(stream):
        if count == 20:
            other.pause("x")
    assert stream.result.status == "paused"
    for _ in range(10):
        stream = bench.stream_resume("x", config=config)
        for count, _ in enumerate(stream):
            if count == 20:
                other.pause("x")
    events = bench.events("x")
    asked = False
    for event in events:
        asked = isinstance(event.fact, PauseRequested) or (asked and not isinstance(event.fact, ExecutionPaused))
        assert not (asked and event.type == "NodeStarted")
    assert started(events) == completed(events)
