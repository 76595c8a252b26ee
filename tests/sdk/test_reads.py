"""What a bench answers: its caller's own writes at once, typed refusals, and states as LangGraph itself has them."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import Command, Send

from tests.sdk.given import Notes, asks, chain, completed, says, started, types
from wtb.domain.errors import CheckpointNotFound, ExecutionNotFound, InvalidCursor, InvalidRequest
from wtb.domain.execution import CheckpointSaved, NodeStarted
from wtb.domain.identifiers import node_path
from wtb.sdk import EventSourcedSaver, TestBench, WorkflowProject


def fails(state: Notes) -> Notes:
    raise LookupError("nothing found")


# --- one's own writes ---------------------------------------------------------------------------------


def test_every_question_sees_what_its_caller_just_did(bench: TestBench) -> None:
    graph = chain(a=says("a"), ask=asks("?"))
    for number in range(5):
        paused = bench.run(graph, {"query": str(number)})
        execution = paused.execution_id
        assert bench.execution(execution).status == "paused"
        assert bench.executions().items[0].id == execution
        assert [step.node for step in bench.steps(execution)] == ["a", "ask"]
        assert dict(bench.state(execution)) == {"query": str(number), "notes": ["a"]}
        assert (
            bench.events(execution)[-1].position == paused.position == bench.log(after=paused.position - 1)[0].position
        )
        done = bench.resume(execution, "yes")
        assert bench.execution(execution).status == "completed"
        assert bench.state(execution)["notes"] == ["a", "yes"]
        assert bench.execution(execution).position == done.position


def test_a_node_sees_its_own_execution(bench: TestBench) -> None:
    """While it runs: its start is durable, its end isn't told yet."""

    def looks(state: Notes) -> Notes:
        [running] = bench.executions(status="running")
        events = bench.events(running.id)
        return {"notes": [running.status, *started(events), *completed(events)]}

    result = bench.run(chain(a=says("a"), looks=looks), {"query": "q"})
    assert result.state["notes"] == ["a", "running", "a", "looks", "a"]


def test_another_bench_sees_it_too(bench: TestBench, project: WorkflowProject) -> None:
    with TestBench(project) as other:
        for number in range(3):
            result = bench.run(chain(a=says("a")), {"query": str(number)})
            assert other.execution(result.execution_id) == bench.execution(result.execution_id)
            assert other.state(result.execution_id) == bench.state(result.execution_id)
            assert other.log() == bench.log()


def test_many_threads_see_their_own_writes_at_once(bench: TestBench) -> None:
    graph = chain(a=says("a"))

    def runs_and_looks(number: int) -> tuple[str, int, str]:
        result = bench.run(graph, {"query": str(number)})
        steps = bench.steps(result.execution_id)
        return bench.execution(result.execution_id).status, len(steps), bench.state(result.execution_id)["query"]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(runs_and_looks, range(24))) == [("completed", 1, str(number)) for number in range(24)]
    assert len(bench.executions()) == 24


# --- listings -----------------------------------------------------------------------------------------


def test_executions_are_listed_newest_first_by_status_and_workflow(bench: TestBench) -> None:
    for number in range(4):
        bench.run(chain(name="letters", a=says("a")), {"query": "q"}, execution_id=f"done {number}")
    bench.run(chain(name="letters", a=fails), {"query": "q"}, execution_id="failed")
    bench.run(chain(name="mail", a=asks("?")), {"query": "q"}, execution_id="paused")

    def listed(**filters: Any) -> list[str]:
        return [execution.id for execution in bench.executions(**filters)]

    assert listed() == ["paused", "failed", "done 3", "done 2", "done 1", "done 0"]
    assert listed(limit=2) == ["paused", "failed"]
    assert listed(workflow="mail") == ["paused"]
    assert listed(workflow="unknown") == []
    assert listed(status="failed") == ["failed"]
    assert listed(status="running") == []
    assert listed(status="completed", workflow="letters", limit=3) == ["done 3", "done 2", "done 1"]
    assert listed(status="paused", workflow="letters") == []


def test_pages_lead_on_to_each_other_whatever_is_added_meanwhile(bench: TestBench) -> None:
    graph = chain(a=says("a"))
    for number in range(7):
        bench.run(graph, {"query": "q"}, execution_id=str(number))
    seen, cursor = [], None
    while True:
        page = bench.executions(status="completed", limit=3, cursor=cursor)
        seen.append([execution.id for execution in page])
        bench.run(graph, {"query": "q"})
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == [["6", "5", "4"], ["3", "2", "1"], ["0"]]


def test_a_cursor_of_another_listing_or_of_none_is_refused(bench: TestBench) -> None:
    for _ in range(3):
        bench.run(chain(a=says("a")), {"query": "q"})
    cursor = bench.executions(limit=1).next_cursor
    assert cursor is not None
    for nonsense in ({"cursor": cursor, "status": "completed"}, {"cursor": "nonsense"}, {"cursor": ""}):
        with pytest.raises(InvalidCursor):
            bench.executions(limit=1, **nonsense)  # type: ignore[arg-type]


def test_a_page_of_no_rows_is_refused(bench: TestBench) -> None:
    execution = bench.run(chain(a=says("a")), {"query": "q"}).execution_id
    for limit in (0, -1, 2**31):
        for read in (bench.executions, bench.log):
            with pytest.raises(InvalidRequest):
                read(limit=limit)
        for read_one in (bench.steps, bench.checkpoints, bench.events):
            with pytest.raises(InvalidRequest):
                read_one(execution, limit=limit)


def test_what_can_be_no_position_is_refused(bench: TestBench) -> None:
    execution = bench.run(chain(a=says("a")), {"query": "q"}).execution_id
    for after in (-1, 2**63):
        with pytest.raises(InvalidRequest, match="position"):
            bench.log(after=after)
        with pytest.raises(InvalidRequest, match="position"):
            bench.events(execution, after=after)
    assert bench.log(after=2**63 - 1) == []


def test_steps_tell_every_try_at_every_node(bench: TestBench) -> None:
    result = bench.run(chain(a=says("a"), sub=chain(b=says("b")), broken=fails), {"query": "q"})
    steps = bench.steps(result.execution_id)
    assert [(node_path(step.namespace, step.node), step.status) for step in steps] == [
        ("a", "completed"),
        ("sub", "completed"),
        ("sub/b", "completed"),
        ("broken", "failed"),
    ]
    assert [step.node for step in bench.steps(result.execution_id, limit=2)] == ["a", "sub"]


# --- events and the log -------------------------------------------------------------------------------


def test_the_log_holds_every_execution_s_events_in_order(bench: TestBench) -> None:
    executions = [bench.run(chain(a=says("a")), {"query": str(n)}).execution_id for n in range(3)]
    log = bench.log()
    assert [event.position for event in log] == sorted({event.position for event in log})
    for execution in executions:
        assert [e for e in log if e.stream == f"execution-{execution}"] == bench.events(execution)
        assert [e.version for e in bench.events(execution)] == list(range(1, len(bench.events(execution)) + 1))
    middle = log[len(log) // 2].position
    assert bench.log(after=middle) == [event for event in log if event.position > middle]
    assert bench.log(after=middle, limit=2) == bench.log(after=middle)[:2]
    assert bench.log(after=log[-1].position) == []
    assert bench.events(executions[1], after=middle) == [e for e in bench.events(executions[1]) if e.position > middle]
    assert bench.events(executions[0], limit=3) == bench.events(executions[0])[:3]


def test_the_log_can_be_read_by_types(bench: TestBench) -> None:
    bench.run(chain(a=says("a"), b=says("b")), {"query": "q"})
    log = bench.log(types=("NodeStarted", "ExecutionCompleted"))
    assert types(log) == ["NodeStarted", "NodeStarted", "ExecutionCompleted"]
    assert all(isinstance(event.fact, NodeStarted) for event in log[:2])
    assert bench.log(types=("Nonsense",)) == []


def test_an_empty_store_answers_with_nothing(bench: TestBench) -> None:
    assert (list(bench.executions()), bench.executions().next_cursor, bench.log()) == ([], None, [])
    assert len(bench.recover()) == 0


# --- states -------------------------------------------------------------------------------------------


def everything() -> Any:
    """Nodes side by side, a fan-out, a nested graph, a command, a question."""
    builder: Any = StateGraph(Notes)
    builder.add_node("plan", says("plan"))
    builder.add_node("left", says("left"))
    builder.add_node("right", lambda state: Command(update={"query": "changed"}))
    builder.add_node("join", says("join"))
    builder.add_node("piece", lambda number: {"notes": [f"piece {number}"]})
    builder.add_node("sub", chain(b=says("b"), ask=asks("inside?"), c=says("c")))
    builder.add_edge(START, "plan")
    builder.add_edge("plan", "left")
    builder.add_edge("plan", "right")
    builder.add_edge(["left", "right"], "join")
    builder.add_conditional_edges("join", lambda state: [Send("piece", number) for number in range(3)], ["piece"])
    builder.add_edge("piece", "sub")
    return builder


def test_every_checkpoint_s_state_is_what_langgraph_s_own_checkpointer_has(bench: TestBench) -> None:
    """For the same run of the same graph: step by step, the nested graph's too."""
    own = everything().compile(checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "t"}}
    own.invoke({"query": "q"}, config)
    asking = own.get_state(config, subgraphs=True).tasks[0].state.config["configurable"]
    inside: Any = {"configurable": {"thread_id": "t", "checkpoint_ns": asking["checkpoint_ns"]}}
    own.invoke(Command(resume="yes"), config)
    history = [(s.metadata["step"], s.metadata["source"], s.values) for s in own.get_state_history(config)]
    nested = [(s.metadata["step"], s.metadata["source"], s.values) for s in own.get_state_history(inside)]

    execution = bench.run(everything(), {"query": "q"}).execution_id
    bench.resume(execution, "yes")

    def states(namespace: str) -> list[tuple[int, str, dict[str, Any]]]:
        return [
            (saved.step, saved.source, dict(bench.state(execution, at=saved.id)))
            for saved in bench.checkpoints(execution, namespace=namespace)
        ]

    [below] = {saved.namespace for saved in bench.checkpoints(execution)} - {""}
    assert len(history) == 7
    assert len(nested) == 5
    assert states("") == history
    assert states(below) == nested
    assert dict(bench.state(execution)) == history[0][2]
    assert dict(bench.state(execution, namespace=below)) == nested[0][2]


def test_a_state_says_where_it_is_from(bench: TestBench) -> None:
    execution = bench.run(chain(a=says("a"), b=says("b")), {"query": "q"}).execution_id
    newest, middle, *_ = bench.checkpoints(execution)
    state = bench.state(execution)
    assert (state.execution_id, state.checkpoint, state.step) == (execution, newest.id, 2)
    assert bench.state(execution, at=middle.id).step == 1
    assert bench.state(execution, middle.id)["notes"] == ["a"]
    assert (len(state), list(state), "query" in state, state.get("unknown")) == (2, ["query", "notes"], True, None)
    saved = [e for e in bench.events(execution) if isinstance(e.fact, CheckpointSaved)]
    assert abs((saved[-1].time - state.created).total_seconds()) < 5


def test_a_state_handed_out_is_the_caller_s_own(bench: TestBench) -> None:
    execution = bench.run(chain(a=says("a")), {"query": "q"}).execution_id
    bench.state(execution)["notes"].append("meddled with")
    assert bench.state(execution)["notes"] == ["a"]


def test_a_state_can_be_read_where_its_graph_isn_t_known(bench: TestBench, project: WorkflowProject) -> None:
    execution = bench.run(chain(a=says("a")), {"query": "q"}).execution_id
    with TestBench(project) as other:
        assert dict(other.state(execution)) == {"query": "q", "notes": ["a"]}


def test_a_failed_execution_s_state_is_the_last_one_saved(bench: TestBench) -> None:
    result = bench.run(chain(a=says("a"), broken=fails), {"query": "q"})
    assert dict(bench.state(result.execution_id)) == result.state == {"query": "q", "notes": ["a"]}


# --- what isn't there ---------------------------------------------------------------------------------


def test_an_unknown_execution_is_refused_by_every_question(bench: TestBench) -> None:
    bench.run(chain(a=says("a")), {"query": "q"}, execution_id="known")
    for unknown in ("unknown", "", "../x", "execution-known", "a\0b", "a\ud800"):
        for read in (bench.execution, bench.steps, bench.checkpoints, bench.state, bench.events):
            with pytest.raises(ExecutionNotFound) as refusal:
                read(unknown)
            assert refusal.value.hint


def test_an_unknown_checkpoint_is_refused(bench: TestBench) -> None:
    graph = chain(a=says("a"))
    execution = bench.run(graph, {"query": "q"}).execution_id
    other = bench.run(graph, {"query": "q"}).execution_id
    for checkpoint in ("unknown", "", "a\0b", "a\ud800", bench.checkpoints(other).items[0].id):
        with pytest.raises(CheckpointNotFound):
            bench.state(execution, at=checkpoint)
    with pytest.raises(CheckpointNotFound):
        bench.state(execution, namespace="unknown:1")


def test_a_bare_checkpointer_s_thread_can_be_asked_about(bench: TestBench, store_location: str) -> None:
    """It has checkpoints and states, but is no execution."""
    with EventSourcedSaver.from_conn_string(store_location) as saver:
        builder: Any = StateGraph(Notes)
        builder.add_node("a", says("a"))
        builder.add_edge(START, "a")
        builder.compile(checkpointer=saver).invoke({"query": "q"}, {"configurable": {"thread_id": "bare/thread"}})
    assert dict(bench.state("bare/thread")) == {"query": "q", "notes": ["a"]}
    assert len(bench.checkpoints("bare/thread")) == 3
    assert set(types(bench.events("bare/thread"))) == {"CheckpointSaved", "WritesSaved"}
    with pytest.raises(ExecutionNotFound):
        bench.execution("bare/thread")
    assert list(bench.executions()) == []
