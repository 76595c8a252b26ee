"""`resume` and `recover`: who may go on with an execution, from where, and that nothing is lost or done twice."""

import asyncio
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, StateGraph
from langgraph.types import Send, interrupt

from tests.sdk.given import Notes, asks, beside, chain, completed, says, started, types
from tests.sdk.processes import die, dies_resuming, dies_running, lives, race, wait_at_gate
from wtb.domain.errors import (
    Conflict,
    ExecutionNotFound,
    ExecutionTaken,
    InvalidAnswer,
    NotResumable,
    StoreUnavailable,
    UnserializableValue,
    WorkflowNotFound,
    WtbError,
)
from wtb.domain.event_log import EMPTY_STREAM, Append, Origin
from wtb.domain.execution import (
    ExecutionRecovered,
    ExecutionResumed,
    ExecutionStarted,
    LifecycleFact,
    NodeCompleted,
)
from wtb.domain.identifiers import ExecutionId, WorkerId, execution_stream
from wtb.sdk import Recovery, RunResult, TestBench, WorkflowProject, beginnings
from wtb.sdk.claims import Request
from wtb.sdk.running import drive
from wtb.sdk.state import started_of

DEAD = WorkerId("host.0.dead")


def question() -> Any:
    return chain(ask=asks("name?"), after=says("after"))


# --- answers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("asynchronous", [False, True], ids=["resume", "aresume"])
async def test_an_answer_is_what_the_node_gets(bench: TestBench, asynchronous: bool) -> None:
    answer: Any
    for answer in ("Ada", 0, "", False, None, [], {"a": [1]}):
        paused = bench.run(question(), {"query": "q"})
        if asynchronous:
            done = await bench.aresume(paused.execution_id, answer)
        else:
            done = bench.resume(paused.execution_id, answer=answer)
        assert (done.status, done.state["notes"]) == ("completed", [answer, "after"])
        assert done.execution_id == paused.execution_id
        resumed = [e.fact for e in bench.events(done.execution_id) if isinstance(e.fact, ExecutionResumed)]
        assert [list(fact.answers) for fact in resumed] == [[paused.interrupts[0].id]]


def test_several_questions_are_answered_by_their_ids(bench: TestBench) -> None:
    ran: list[str] = []

    def asks_noting(state: Notes) -> Notes:
        ran.append("c")
        return {"notes": ["c"]}

    paused = bench.run(beside(a=asks("a?"), b=asks("b?"), c=asks_noting), {"query": "q"})
    done = bench.resume(paused.execution_id, answers={i.id: f"to {i.value}" for i in paused.interrupts})
    assert sorted(done.state["notes"]) == ["c", "to a?", "to b?"]
    assert ran == ["c"]


def test_several_questions_may_be_answered_one_by_one(bench: TestBench) -> None:
    paused = bench.run(beside(a=asks("a?"), b=asks("b?")), {"query": "q"})
    first, second = paused.interrupts
    still = bench.resume(paused.execution_id, answers={first.id: "one"})
    assert (still.status, [i.id for i in still.interrupts]) == ("paused", [second.id])
    assert bench.execution(paused.execution_id).waiting == (second.id,)
    done = bench.resume(paused.execution_id, "two")
    assert sorted(done.state["notes"]) == ["one", "two"]


def test_a_node_may_ask_again_and_again(bench: TestBench) -> None:
    def insists(state: Notes) -> Notes:
        return {"notes": [interrupt("first?"), interrupt("second?")]}

    paused = bench.run(chain(sub=chain(insists=insists)), {"query": "q"})
    assert [i.value for i in paused.interrupts] == ["first?"]
    again = bench.resume(paused.execution_id, "one")
    assert (again.status, [i.value for i in again.interrupts]) == ("paused", ["second?"])
    done = bench.resume(paused.execution_id, "two")
    assert (done.status, done.state["notes"]) == ("completed", ["one", "two"])


def test_an_answer_that_fits_no_question_is_refused_and_changes_nothing(bench: TestBench) -> None:
    two = bench.run(beside(a=asks("a?"), b=asks("b?")), {"query": "q"})
    one = bench.run(question(), {"query": "q"})
    builder: Any = StateGraph(Notes)
    builder.add_node("a", says("a"))
    builder.add_edge(START, "a")
    none = bench.run(builder.compile(interrupt_before=["a"]), {"query": "q"})
    before = bench.log()
    for execution, given in (
        (two, {"answer": "for whom?"}),
        (two, {}),
        (one, {}),
        (one, {"answers": {}}),
        (one, {"answers": {"unknown": 1}}),
        (one, {"answers": {one.interrupts[0].id: 1, "unknown": 1}}),
        (one, {"answers": {two.interrupts[0].id: 1}}),
        (none, {"answer": "unasked"}),
        (none, {"answers": {"unknown": 1}}),
    ):
        with pytest.raises(InvalidAnswer) as refusal:
            bench.resume(execution.execution_id, **given)
        assert refusal.value.hint
    assert bench.log() == before
    assert bench.resume(one.execution_id, "Ada").status == "completed"


def test_an_answer_that_can_t_be_stored_is_refused_and_another_may_follow(bench: TestBench) -> None:
    paused = bench.run(question(), {"query": "q"})
    with pytest.raises(UnserializableValue, match="answer"):
        bench.resume(paused.execution_id, threading.Lock())
    assert bench.execution(paused.execution_id).status == "paused"
    assert bench.resume(paused.execution_id, "Ada").status == "completed"


def test_what_has_ended_can_t_be_resumed(bench: TestBench) -> None:
    def fails(state: Notes) -> Notes:
        raise LookupError

    def breaks_off(state: Notes) -> Notes:
        raise KeyboardInterrupt

    bench.run(chain(a=says("a")), {"query": "q"}, execution_id="completed")
    bench.run(chain(a=fails), {"query": "q"}, execution_id="failed")
    with pytest.raises(KeyboardInterrupt):
        bench.run(chain(a=breaks_off), {"query": "q"}, execution_id="cancelled")
    bench.run(question(), {"query": "q"}, execution_id="answered")
    bench.resume("answered", "Ada")
    before = bench.log()
    for execution in ("completed", "failed", "cancelled", "answered"):
        with pytest.raises(NotResumable) as refusal:
            bench.resume(execution, "again")
        assert refusal.value.status == ("completed" if execution == "answered" else execution)
    assert bench.log() == before


async def test_an_unknown_execution_is_refused(bench: TestBench) -> None:
    for unknown in ("unknown", "", "../x", "a\0b", "a\ud800"):
        with pytest.raises(ExecutionNotFound):
            bench.resume(unknown, "x")
        with pytest.raises(ExecutionNotFound):
            await bench.aresume(unknown, "x")
        with pytest.raises(ExecutionNotFound):
            bench.recover(unknown)
    assert bench.log() == []


def test_a_bench_that_doesn_t_know_the_graph_says_so(project: WorkflowProject) -> None:
    """And goes on once it is told, by `register` or with the call."""
    with TestBench(project) as first:
        paused = [first.run(question(), {"query": "q"}).execution_id for _ in range(2)]
    with TestBench(project) as second:
        before = second.log()
        with pytest.raises(WorkflowNotFound, match="'notes'"):
            second.resume(paused[0], "Ada")
        assert second.log() == before
        assert second.resume(paused[0], "Ada", graph=question()).state["notes"] == ["Ada", "after"]
    with TestBench(project) as third:
        third.register(question())
        assert third.resume(paused[1], "Eve").state["notes"] == ["Eve", "after"]


def test_who_answered_is_recorded(bench: TestBench) -> None:
    paused = bench.run(question(), {"query": "q"})
    bench.resume(paused.execution_id, "Ada", actor="ada")
    origins = [(e.actor, e.cause) for e in bench.events(paused.execution_id)]
    answer = types(bench.events(paused.execution_id)).index("ExecutionResumed")
    assert set(origins[:answer]) == {("tester", "run")}
    assert set(origins[answer:]) == {("ada", "resume")}


def test_config_and_context_are_handed_on_after_an_answer_too(bench: TestBench) -> None:
    def ask(state: Notes, config: RunnableConfig) -> Notes:
        return {"notes": [interrupt("?"), config["configurable"]["region"]]}

    paused = bench.run(chain(ask=ask), {"query": "q"}, config={"configurable": {"region": "eu"}})
    done = bench.resume(paused.execution_id, "yes", config={"configurable": {"region": "us"}})
    assert done.state["notes"] == ["yes", "us"]


# --- two at once --------------------------------------------------------------------------------------


def test_of_two_threads_with_an_answer_one_is_heard(project: WorkflowProject) -> None:
    """On one bench or two: the other is refused, and told why; its answer is nowhere."""
    with TestBench(project) as one, TestBench(project) as other, ThreadPoolExecutor(2) as pool:
        for bench in (one, other):
            bench.register(question())
        for benches in [(one, one), (one, other)] * 5:
            paused = one.run(question(), {"query": "q"}).execution_id
            gate = threading.Barrier(2)

            def attempt(
                bench: TestBench, answer: str, paused: str = paused, gate: threading.Barrier = gate
            ) -> RunResult | WtbError:
                gate.wait()
                try:
                    return bench.resume(paused, answer)
                except WtbError as refusal:
                    return refusal

            outcomes = list(pool.map(attempt, benches, ("Ada", "Eve")))
            assert_one_was_heard(one, paused, outcomes)


def assert_one_was_heard(bench: TestBench, execution: str, outcomes: list[RunResult | WtbError]) -> None:
    won = [outcome for outcome in outcomes if isinstance(outcome, RunResult)]
    lost = [outcome for outcome in outcomes if not isinstance(outcome, RunResult)]
    assert len(won) == 1
    assert all(isinstance(refusal, ExecutionTaken | NotResumable) for refusal in lost), lost
    assert won[0].state["notes"] == ["Ada" if isinstance(outcomes[0], RunResult) else "Eve", "after"]
    assert dict(bench.state(execution)) == won[0].state
    events = bench.events(execution)
    assert types(events).count("ExecutionResumed") == types(events).count("ExecutionCompleted") == 1
    assert completed(events) == ["ask", "after"]


def test_an_answer_that_comes_between_another_s_look_and_its_claim_wins(bench: TestBench) -> None:
    """The other looks again and finds that there is nothing to answer any more."""
    paused = bench.run(question(), {"query": "q"}).execution_id
    heard: list[RunResult] = []
    runnable = bench._workflows.get(started_of(bench.platform, ExecutionId(paused)))

    def find_graph(started: ExecutionStarted) -> Any:
        if not heard:
            heard.append(bench.resume(paused, "Ada"))
        return runnable

    with pytest.raises(NotResumable):
        beginnings.resume(bench.platform, ExecutionId(paused), Request(find_graph, Origin("eve")), "Eve", None)
    assert_one_was_heard(bench, paused, [heard[0], NotResumable(paused, "completed")])
    assert not bench.platform.saver.queues(paused)


def test_a_recovery_that_comes_between_another_s_look_and_its_claim_wins(bench: TestBench) -> None:
    done = bench.run(chain(a=says("a"), b=says("b")), {"query": "q"}).execution_id
    left = cut(bench, done, 5, "cut")
    runnable = bench._workflows.get(started_of(bench.platform, ExecutionId(left)))
    recovered: list[RunResult] = []

    def find_graph(started: ExecutionStarted) -> Any:
        recovered.extend(bench.recover())
        return runnable

    run = beginnings.recover(bench.platform, ExecutionId(left), Request(find_graph, Origin("late")))
    assert run is None
    assert [result.status for result in recovered] == ["completed"]
    assert types(bench.events(left)).count("ExecutionRecovered") == 1


def test_of_several_processes_with_an_answer_one_is_heard(bench: TestBench, project: WorkflowProject) -> None:
    bench.register(question())
    paused = [bench.run(question(), {"query": "q"}).execution_id for _ in range(12)]
    given = {"answers": ["Ada", "Eve", "Ida"]}
    by_process = race(project, question, [(execution, given) for execution in paused])
    for execution, outcomes in zip(paused, zip(*by_process, strict=True), strict=True):
        heard = [outcome for outcome in outcomes if outcome in given["answers"]]
        assert len(heard) == 1, outcomes
        assert set(outcomes) - set(heard) <= {"ExecutionTaken", "NotResumable"}
        assert bench.state(execution)["notes"] == [heard[0], "after"]
        assert completed(bench.events(execution)) == ["ask", "after"]
        assert types(bench.events(execution)).count("ExecutionResumed") == 1


def test_an_execution_under_way_can_t_be_resumed(bench: TestBench) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def waits(state: Notes) -> Notes:
        inside.set()
        go_on.wait(30)
        return {"notes": ["waited"]}

    stream = bench.stream(chain(waits=waits), {"query": "q"})
    inside.wait(30)
    with pytest.raises(ExecutionTaken):
        bench.resume(stream.execution_id, "x")
    with pytest.raises(ExecutionTaken):
        bench.recover(stream.execution_id)
    assert bench.recover() == Recovery((), ())
    go_on.set()
    assert stream.result.status == "completed"
    assert types(bench.events(stream.execution_id)) == types(
        bench.events(bench.run(chain(a=says("a")), {"query": "q"}).execution_id)
    )


# --- recovery -----------------------------------------------------------------------------------------


def waits_at_gate() -> Any:
    return chain(a=says("a"), waits=wait_at_gate)


def dies_in_b() -> Any:
    return chain(a=says("a"), b=die, c=says("c"))


def lives_in_b() -> Any:
    return chain(a=says("a"), b=says("b"), c=says("c"))


def dies_in_a_nested_graph() -> Any:
    return chain(a=says("a"), sub=chain(b=says("b"), c=die), d=says("d"))


def lives_in_a_nested_graph() -> Any:
    return chain(a=says("a"), sub=chain(b=says("b"), c=says("c")), d=says("d"))


def asks_then_dies() -> Any:
    def ask(state: Notes) -> Notes:
        return {"notes": [interrupt("name?"), die(state)]}

    return chain(a=says("a"), ask=ask, b=says("b"))


def asks_then_lives() -> Any:
    return chain(a=says("a"), ask=asks("name?"), b=says("b"))


def test_with_nothing_to_do_recover_does_nothing(bench: TestBench) -> None:
    bench.run(chain(a=says("a")), {"query": "q"}, execution_id="done")
    bench.run(question(), {"query": "q"}, execution_id="paused")
    before = bench.log()
    for recovery in (bench.recover(), bench.recover("done"), bench.recover("paused")):
        assert (recovery.results, recovery.left, len(recovery), list(recovery)) == ((), (), 0, [])
    assert bench.log() == before


def test_an_execution_whose_process_was_killed_is_finished(project: WorkflowProject) -> None:
    dies_running(project, dies_in_b, "killed")
    with TestBench(project) as bench:
        events = bench.events("killed")
        assert bench.execution("killed").status == "running"
        assert (started(events), completed(events)) == (["a", "b"], ["a"])

        recovery = bench.recover(graph=lives_in_b())

        assert [result.execution_id for result in recovery] == ["killed"]
        assert recovery.results[0].state == {"query": "q", "notes": ["a", "b", "c"]}
        assert recovery.left == ()
        events = bench.events("killed")
        assert (started(events), completed(events)) == (["a", "b", "b", "c"], ["a", "b", "c"])
        died = events[0].fact
        assert isinstance(died, ExecutionStarted)
        recovered = next(e.fact for e in events if isinstance(e.fact, ExecutionRecovered))
        assert (recovered.died, recovered.worker) == (died.worker, bench.execution("killed").worker)
        assert len(bench.recover()) == 0


def test_a_graph_recovers_the_executions_of_its_own_workflow_alone(project: WorkflowProject) -> None:
    dies_running(project, dies_in_b, "killed")
    with TestBench(project) as bench:
        recovery = bench.recover(graph=chain(name="another", a=says("a")))
        assert (recovery.results, [each.execution_id for each in recovery.left]) == ((), ["killed"])
        assert bench.recover("killed", graph=lives_in_b()).results[0].status == "completed"


def test_an_execution_killed_in_a_nested_graph_goes_on_in_it(project: WorkflowProject) -> None:
    dies_running(project, dies_in_a_nested_graph, "killed")
    with TestBench(project) as bench:
        assert started(bench.events("killed")) == ["a", "sub", "sub/b", "sub/c"]
        result = bench.recover("killed", graph=lives_in_a_nested_graph()).results[0]
        assert result.state == bench.run(lives_in_a_nested_graph(), {"query": "q"}).state
        assert completed(bench.events("killed")) == ["a", "sub/b", "sub/c", "sub", "d"]
        assert started(bench.events("killed")) == ["a", "sub", "sub/b", "sub/c", "sub", "sub/c", "d"]


def test_an_answer_outlives_the_process_that_took_it(project: WorkflowProject) -> None:
    with TestBench(project) as bench:
        bench.run(asks_then_lives(), {"query": "q"}, execution_id="answered")
    dies_resuming(project, asks_then_dies, "answered", "Ada")
    with TestBench(project) as bench:
        assert bench.execution("answered").status == "running"
        result = bench.recover(graph=asks_then_lives()).results[0]
        assert (result.status, result.state["notes"]) == ("completed", ["a", "Ada", "b"])


def test_a_recovered_execution_may_pause_again(project: WorkflowProject) -> None:
    dies_running(project, dies_in_b, "killed")
    with TestBench(project) as bench:
        paused = bench.recover(graph=chain(a=says("a"), b=asks("b?"), c=says("c"))).results[0]
        assert (paused.status, [i.value for i in paused.interrupts]) == ("paused", ["b?"])
        assert bench.resume("killed", "Ada").state["notes"] == ["a", "Ada", "c"]


def test_what_can_t_be_recovered_is_left_and_told_why(project: WorkflowProject) -> None:
    dies_running(project, dies_in_b, "killed")
    with TestBench(project) as bench:
        before = bench.log()
        recovery = bench.recover()
        assert (len(recovery), [left.execution_id for left in recovery.left]) == (0, ["killed"])
        assert recovery.left[0].reason == "no graph is known for workflow 'notes'"
        with pytest.raises(WorkflowNotFound):
            bench.recover("killed")
        assert bench.log() == before
        bench.register(lives_in_b())
        assert [result.status for result in bench.recover()] == ["completed"]


def test_an_execution_that_fails_in_its_recovery_has_failed(project: WorkflowProject) -> None:
    def fails(state: Notes) -> Notes:
        raise LookupError("no b")

    dies_running(project, dies_in_b, "killed")
    with TestBench(project) as bench:
        result = bench.recover(graph=chain(a=says("a"), b=fails, c=says("c"))).results[0]
        assert (result.status, str(result.error)) == ("failed", "LookupError in node 'b': no b")
        assert len(bench.recover()) == 0


def test_a_living_process_s_execution_isn_t_touched(project: WorkflowProject, tmp_path: Path) -> None:
    with TestBench(project) as bench:
        bench.register(waits_at_gate())
        with lives(project, waits_at_gate, "alive", tmp_path / "gate"):
            before = bench.events("alive")
            assert started(before) == ["a", "waits"]
            recovery = bench.recover()
            assert (recovery.results, recovery.left) == ((), ())
            with pytest.raises(ExecutionTaken, match=bench.execution("alive").worker):
                bench.recover("alive")
            with pytest.raises(ExecutionTaken):
                bench.resume("alive", "x")
            assert bench.events("alive") == before
        assert bench.execution("alive").status == "completed"
        assert bench.state("alive")["notes"] == ["a", "waited"]
        assert "ExecutionRecovered" not in types(bench.events("alive"))


def test_of_several_who_recover_one_does(project: WorkflowProject) -> None:
    for number in range(3):
        dies_running(project, dies_in_b, f"killed {number}")
    with TestBench(project) as one, TestBench(project) as other, ThreadPoolExecutor(4) as pool:
        for bench in (one, other):
            bench.register(lives_in_b())
        gate = threading.Barrier(4)

        def recovers(bench: TestBench) -> list[RunResult]:
            gate.wait()
            return list(bench.recover())

        results = [result for found in pool.map(recovers, (one, one, other, other)) for result in found]
        assert sorted(result.execution_id for result in results) == ["killed 0", "killed 1", "killed 2"]
        for result in results:
            assert result.state["notes"] == ["a", "b", "c"]
            assert types(one.events(result.execution_id)).count("ExecutionRecovered") == 1
            assert completed(one.events(result.execution_id)) == ["a", "b", "c"]


def test_an_execution_that_its_own_process_had_to_give_up_is_recovered_there(
    project: WorkflowProject, store_location: str
) -> None:
    """When the store fails under a run, its process lives on and counts as alive, but doesn't run it any more."""

    def b(state: Notes) -> Notes:
        if not gone:
            gone.append(True)
            change(store_location, "ALTER TABLE wtb_index RENAME TO wtb_index_away")
        return {"notes": ["b"]}

    gone: list[bool] = []
    graph = chain(a=says("a"), b=b, c=says("c"))
    with TestBench(project) as bench:
        with pytest.raises(StoreUnavailable):
            bench.run(graph, {"query": "q"}, execution_id="given up")
        change(store_location, "ALTER TABLE wtb_index_away RENAME TO wtb_index")
        assert bench.execution("given up").status == "running"
        assert completed(bench.events("given up")) == ["a"]
        recovery = bench.recover()
        assert [result.state["notes"] for result in recovery] == [["a", "b", "c"]]


def change(location: str, statement: str) -> None:
    if location.startswith("postgresql"):
        with psycopg.connect(location) as connection:
            connection.execute(statement.encode())
    else:
        with sqlite3.connect(location) as database:
            database.execute(statement)


# --- cut anywhere -------------------------------------------------------------------------------------


def everything(ran: list[str]) -> Any:
    """A chain, nodes side by side, a fan-out, a nested graph, a question in it and one outside."""

    def node(text: str) -> Any:
        def work(state: Any) -> Notes:
            ran.append(text)
            return {"notes": [text]}

        return work

    inner: Any = StateGraph(Notes)
    inner.add_node("b", node("sub/b"))
    inner.add_node("ask", asks("inside?"))
    inner.add_edge(START, "b")
    inner.add_edge("b", "ask")
    builder: Any = StateGraph(Notes)
    for name in ("plan", "left", "right", "join"):
        builder.add_node(name, node(name))
    builder.add_node("piece", lambda number: node(f"piece {number}")(number))
    builder.add_node("sub", inner.compile())
    builder.add_node("ask", asks("outside?"))
    builder.add_edge(START, "plan")
    builder.add_edge("plan", "left")
    builder.add_edge("plan", "right")
    builder.add_edge(["left", "right"], "join")
    builder.add_conditional_edges("join", lambda state: [Send("piece", number) for number in range(3)], ["piece"])
    builder.add_edge("piece", "sub")
    builder.add_edge("piece", "ask")
    return builder.compile()


def cut(bench: TestBench, whole: str, events: int, name: str) -> str:
    """An execution as another would have stood had its process died after so many events."""
    facts: list[Any] = []
    for event in bench.events(whole)[:events]:
        fact = event.fact
        if isinstance(fact, ExecutionStarted | ExecutionResumed):
            fact = fact.model_copy(update={"worker": DEAD})
        facts.append(fact)
    stream = execution_stream(name)
    bench.platform.store.append([Append(stream, EMPTY_STREAM, facts, [0] * len(facts), Origin("before"))])
    return name


def answers_to(result: RunResult) -> dict[str, Any]:
    return {i.id: f"answer to {i.value}" for i in result.interrupts}


def test_an_execution_cut_after_any_event_comes_to_the_same_end(bench: TestBench) -> None:
    """Between the input and the first node, in a nested graph, between an answer and who takes it: anywhere.

    And no node that had completed before runs again.
    """
    ran: list[str] = []
    graph = everything(ran)
    paused = bench.run(graph, {"query": "q"}, execution_id="whole")
    done = bench.resume("whole", answers=answers_to(paused))
    assert done.status == "completed"
    events = bench.events("whole")
    assert len(events) > 35
    recovered = 0
    for number in range(1, len(events)):
        before = events[:number]
        name = cut(bench, "whole", number, f"cut {number}")
        ran.clear()
        recovery = bench.recover(name)
        recovered += len(recovery)
        if len(recovery) == 0:
            # A cut where it waits for answers leaves nothing to recover.
            assert before[-1].type == "ExecutionPaused"
            result = bench.resume(name, answers=answers_to(paused))
        else:
            result = recovery.results[0]
            if result.status == "paused":
                assert [i.value for i in result.interrupts] == [i.value for i in paused.interrupts]
                result = bench.resume(name, answers=answers_to(result))
        assert (result.status, result.state) == ("completed", done.state), f"cut after {number}: {before[-1].type}"
        finished = [e.fact.task for e in bench.events(name) if isinstance(e.fact, NodeCompleted)]
        assert len(finished) == len(set(finished)), f"cut after {number}: {before[-1].type}"
        assert len(ran) == 8 - len([p for p in completed(before) if p not in ("sub", "sub/ask", "ask")])
    assert recovered == len(events) - 2


def test_the_dead_stay_dead_however_many_ask(bench: TestBench) -> None:
    """Who asks doesn't hold what others take for a sign of life."""
    with ThreadPoolExecutor(8) as pool:
        assert not any(pool.map(bench.platform.presence.is_alive, [DEAD] * 80))


async def test_cut_executions_are_found_and_recovered_all_at_once(bench: TestBench) -> None:
    graph = chain(a=says("a"), b=says("b"))
    whole = (await bench.arun(graph, {"query": "q"})).execution_id
    length = len(bench.events(whole))
    for number in range(1, length):
        cut(bench, whole, number, f"cut {number}")
    recovery = await asyncio.to_thread(bench.recover)
    assert recovery.left == ()
    assert sorted(result.execution_id for result in recovery) == sorted(f"cut {n}" for n in range(1, length))
    assert {tuple(result.state["notes"]) for result in recovery} == {("a", "b")}


def test_lifecycle_facts_alone_decide_whether_there_is_something_to_recover(bench: TestBench) -> None:
    whole = bench.run(question(), {"query": "q"}).execution_id
    bench.resume(whole, "Ada")
    events = bench.events(whole)
    lifecycle = [e.type for e in events if isinstance(e.fact, LifecycleFact)]
    assert lifecycle == ["ExecutionStarted", "ExecutionPaused", "ExecutionResumed", "ExecutionCompleted"]
    resumed = types(events).index("ExecutionResumed") + 1
    with pytest.raises(Conflict):
        bench.resume(cut(bench, whole, resumed, "answered"), "Eve")
    result = drive_recovery(bench, "answered")
    assert result.state["notes"] == ["Ada", "after"]


def drive_recovery(bench: TestBench, execution: str) -> RunResult:
    request = Request(bench._workflows.find, Origin("recoverer"))
    run = beginnings.recover(bench.platform, ExecutionId(execution), request)
    assert run is not None
    return drive(run)


def test_a_failures_handler_that_has_ended_is_neither_run_again_nor_applied_twice_on_resume(
    quick_bench: TestBench,
) -> None:
    handled: list[str] = []

    def fails(state: Notes) -> Notes:
        raise ConnectionError("no answer")

    def handles(state: Notes) -> Notes:
        handled.append("handled")
        return {"notes": ["handled"]}

    builder: Any = StateGraph(Notes)
    builder.add_node("fails", fails, error_handler=handles)
    builder.add_node("asks", asks("?"))
    builder.add_edge(START, "fails")
    builder.add_edge(START, "asks")
    result = quick_bench.run(builder.compile(), {"query": "q"})
    assert (result.status, handled) == ("paused", ["handled"])

    result = quick_bench.resume(result.execution_id, "yes")

    assert handled == ["handled"]
    assert sorted(result.state["notes"]) == ["handled", "yes"]
    assert quick_bench.replay(result.execution_id).identical
