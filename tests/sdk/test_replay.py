"""A past execution, gone through from its record: the same state, nothing called; and where it no longer is so."""

from collections.abc import Callable
from typing import Annotated, Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.channels import DeltaChannel
from langgraph.func import entrypoint, task
from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict

from tests.sdk.witnessed import KINDS, Desk, Witness, around, looping, nested, straight
from wtb.domain.errors import CheckpointNotFound, ExecutionNotFound, NodeNotFound, WorkflowNotFound
from wtb.sdk import TestBench

INPUT = {"query": "how?", "messages": [HumanMessage("how?")]}


@pytest.fixture
def witness() -> Witness:
    return Witness()


def went(bench: TestBench, graph: Any) -> str:
    """Run a graph to its end, answering whatever it asks; the execution."""
    result = bench.run(graph, INPUT)
    while result.status == "paused":
        result = bench.resume(result.execution_id, "yes") if result.interrupts else bench.resume(result.execution_id)
    return result.execution_id


@pytest.mark.parametrize("kind", KINDS)
def test_an_execution_comes_out_the_same_and_nothing_is_called(
    quick_bench: TestBench, witness: Witness, kind: str
) -> None:
    """Wherever it stands: at each question, after a failure, at its end."""
    result = quick_bench.run(KINDS[kind](witness), INPUT)
    while True:
        called = len(witness.calls)

        report = quick_bench.replay(result.execution_id)

        assert witness.calls[called:] == []
        assert report.first_divergence is None
        assert report.identical
        assert report.status == result.status
        assert report.state == dict(quick_bench.state(result.execution_id))
        assert (report.nodes_called, report.routers_called) == (0, 0)
        assert report.error is None or result.error is not None
        if result.error is not None:
            assert report.error is not None
            assert (report.error.type, report.error.message) == (result.error.type, result.error.message)
        if result.status != "paused":
            break
        answer = ["yes"] if result.interrupts else []
        result = quick_bench.resume(result.execution_id, *answer)


@pytest.mark.parametrize(
    "kind", ["fanned_out_graphs", "leaving", "retried_graph", "handled", "failing_within", "asking"]
)
async def test_a_replay_on_an_event_loop_finds_the_same(quick_bench: TestBench, witness: Witness, kind: str) -> None:
    execution = went(quick_bench, KINDS[kind](witness))
    called = len(witness.calls)

    report = await quick_bench.areplay(execution)

    assert witness.calls[called:] == []
    other = quick_bench.replay(execution)
    assert (report.identical, report.status, report.state) == (True, other.status, other.state)
    assert (report.steps, report.supersteps) == (other.steps, other.supersteps)


@pytest.mark.parametrize("kind", ["fanned_out", "asking_within", "retried_graph", "chatting"])
def test_both_databases_replay(bench: TestBench, witness: Witness, kind: str) -> None:
    execution = went(bench, KINDS[kind](witness))
    called = len(witness.calls)

    assert bench.replay(execution).identical
    assert witness.calls[called:] == []


def test_coroutines_are_replayed_without_an_event_loop(quick_bench: TestBench) -> None:
    async def answer(state: Any) -> Any:
        return {"notes": ["answered"]}

    execution = went(quick_bench, StateGraph(Desk).add_node("answer", answer).add_edge(START, "answer").compile())

    report = quick_bench.replay(execution)

    assert report.identical
    assert report.steps == 1


def test_delta_channels_are_replayed(quick_bench: TestBench) -> None:
    """Though their checkpoints hold their values only now and then."""

    def put_together(before: list[str], writes: Any) -> list[str]:
        return [*before, *(text for write in writes for text in write)]

    class Log(TypedDict, total=False):
        log: Annotated[list[str], DeltaChannel(put_together)]
        round: int

    builder: Any = StateGraph(Log)
    builder.add_node("turn", lambda state: {"log": [f"turn {state['round']}"], "round": state["round"] + 1})
    builder.add_edge(START, "turn")
    builder.add_conditional_edges("turn", lambda state: "turn" if state["round"] < 4 else END)
    execution = quick_bench.run(builder.compile(), {"log": ["begin"], "round": 0}).execution_id
    fork = quick_bench.fork(execution, step=2).execution_id

    for each in (execution, fork):
        report = quick_bench.replay(each)
        assert report.identical
        assert report.state == dict(quick_bench.state(each))
        assert len(report.state["log"]) == 5


def test_a_functional_workflow_is_served_as_one_node(quick_bench: TestBench) -> None:
    calls: list[str] = []

    @task
    def double(number: int) -> int:
        calls.append("double")
        return number * 2

    @entrypoint()
    def flow(number: int) -> int:
        calls.append("flow")
        return double(number).result() + 1

    execution = quick_bench.run(flow, 3).execution_id

    report = quick_bench.replay(execution)

    assert calls == ["flow", "double"]
    assert report.identical
    assert report.steps == 1


def test_a_replay_tells_how_much_was_served(quick_bench: TestBench, witness: Witness) -> None:
    report = quick_bench.replay(went(quick_bench, nested(witness)))

    assert [step.node for step in report.served] == ["first", "sub/one", "sub/two", "sub", "last"]
    assert [step.step for step in report.served] == [1, 1, 2, 2, 3]
    assert report.steps == 5
    assert report.workflow == "notes"
    assert report.duration.total_seconds() > 0


def test_a_replay_stores_nothing(quick_bench: TestBench, witness: Witness) -> None:
    execution = went(quick_bench, nested(witness))
    position = quick_bench.platform.store.last_position()

    quick_bench.replay(execution)
    quick_bench.replay(execution, variants={"sub/one": lambda state: {"notes": ["other"]}}, live=True)

    assert quick_bench.platform.store.last_position() == position


def test_a_replay_can_end_at_a_checkpoint(quick_bench: TestBench, witness: Witness) -> None:
    execution = went(quick_bench, straight(witness, one=None, two=None, three=None))
    middle = next(c for c in quick_bench.checkpoints(execution) if c.step == 2)

    report = quick_bench.replay(execution, at=middle.id)

    assert report.identical
    assert report.status == "stopped"
    assert report.state == dict(quick_bench.state(execution, at=middle.id))
    assert [step.node for step in report.served] == ["one", "two"]


def test_another_process_replays_with_its_own_graph(quick_bench: TestBench, witness: Witness) -> None:
    execution = went(quick_bench, looping(witness))
    with TestBench(quick_bench.project) as other:
        with pytest.raises(WorkflowNotFound):
            other.replay(execution)
        assert other.replay(execution, graph=looping(Witness())).identical


def test_what_isnt_there_cant_be_replayed(quick_bench: TestBench, witness: Witness) -> None:
    graph = straight(witness, one=None)
    execution = went(quick_bench, graph)
    with pytest.raises(ExecutionNotFound):
        quick_bench.replay("nobody")
    with pytest.raises(CheckpointNotFound):
        quick_bench.replay(execution, at="nowhere")
    with pytest.raises(NodeNotFound):
        quick_bench.replay(execution, variants={"nowhere": lambda state: {}})


def test_variants_that_were_chosen_then_are_part_of_the_record(quick_bench: TestBench, witness: Witness) -> None:
    """A graph that stood in for a node is gone through as a nested graph is."""
    quick_bench.project.variant("two", "graph", straight(witness, within=None))
    execution = quick_bench.run(straight(witness, one=None, two=None), INPUT, variants={"two": "graph"}).execution_id
    called = len(witness.calls)

    report = quick_bench.replay(execution)

    assert witness.calls[called:] == []
    assert report.identical
    assert [step.node for step in report.served] == ["one", "two/within", "two"]


def test_the_graph_a_replay_is_made_with_doesnt_become_the_workflows(quick_bench: TestBench, witness: Witness) -> None:
    execution = went(quick_bench, straight(witness, one=None, two=None))

    assert not quick_bench.replay(execution, graph=straight(witness, one=None)).identical
    assert quick_bench.replay(execution).identical


# --- what is found ------------------------------------------------------------------------------------


def idle(state: Any) -> Any:
    return {}


def other_notes(before: list[str], more: list[str]) -> list[str]:
    return [*before, *(text.upper() for text in more)]


class Shouting(TypedDict, total=False):
    query: str
    round: int
    notes: Annotated[list[str], other_notes]
    messages: list[Any]


def shouting(**nodes: Callable[[Any], Any]) -> Any:
    """A chain whose notes are put together by another reducer."""
    builder: Any = StateGraph(Shouting)
    before = START
    for name, work in nodes.items():
        builder.add_node(name, work)
        builder.add_edge(before, name)
        before = name
    return builder.compile()


def test_a_changed_reducer_is_found_by_step_node_and_channel(quick_bench: TestBench, witness: Witness) -> None:
    execution = went(quick_bench, straight(witness, one=lambda _: {"round": 1}, two=None, three=None))

    report = quick_bench.replay(execution, graph=shouting(one=idle, two=idle, three=idle))

    assert not report.identical
    assert report.status == "diverged"
    found = report.first_divergence
    assert found is not None
    assert (found.kind, found.step, found.node, found.channel) == ("reducer", 2, "two", "notes")
    assert (found.expected, found.found) == (["two"], ["TWO"])
    assert "step 2" in str(found)
    assert "'notes'" in str(found)


def test_a_changed_reducer_within_a_nested_graph_is_found(quick_bench: TestBench, witness: Witness) -> None:
    execution = went(quick_bench, nested(witness))

    report = quick_bench.replay(execution, graph=around(witness, shouting(one=idle, two=idle)))

    found = report.first_divergence
    assert found is not None
    assert (found.kind, found.step, found.node, found.channel) == ("reducer", 0, None, "notes")


def test_a_reducer_that_refuses_what_was_written_is_found(quick_bench: TestBench, witness: Witness) -> None:
    def refuses(before: list[str], more: list[str]) -> list[str]:
        if before:
            raise TypeError("one is enough")
        return more

    class Strict(TypedDict, total=False):
        query: str
        notes: Annotated[list[str], refuses]
        messages: list[Any]

    strict: Any = StateGraph(Strict)
    strict.add_node("one", idle).add_node("two", idle).add_edge(START, "one").add_edge("one", "two")
    execution = went(quick_bench, straight(witness, one=None, two=None))

    found = quick_bench.replay(execution, graph=strict.compile()).first_divergence

    assert found is not None
    assert (found.kind, found.step) == ("reducer", 2)
    assert "one is enough" in str(found)


def test_a_channel_that_is_gone_is_found(quick_bench: TestBench, witness: Witness) -> None:
    class Less(TypedDict, total=False):
        query: str
        messages: list[Any]

    less: Any = StateGraph(Less)
    less.add_node("one", idle).add_edge(START, "one")
    execution = went(quick_bench, straight(witness, one=None))

    found = quick_bench.replay(execution, graph=less.compile()).first_divergence

    assert found is not None
    assert found.channel == "notes"
    assert "isn't in today's graph" in str(found)


@pytest.mark.parametrize(
    ("today", "step", "node", "told"),
    [
        (["one", "two", "new", "three"], 3, "new", "today's graph leads from 'two' to 'new', the record doesn't"),
        (["one", "three"], 2, "three", "the record leads from 'one' to 'two', today's graph doesn't"),
        (["one", "two"], 3, "three", "the record leads from 'two' to 'three', today's graph doesn't"),
        (["one", "two", "three", "four"], 4, "four", "today's graph leads from 'three' to 'four'"),
        (["new", "one", "two", "three"], 1, "new", "today's graph leads from '__start__' to 'new'"),
    ],
)
def test_changed_edges_are_found_by_step_and_node(
    quick_bench: TestBench, witness: Witness, today: list[str], step: int, node: str, told: str
) -> None:
    execution = went(quick_bench, straight(witness, one=None, two=None, three=None))
    called = len(witness.calls)

    report = quick_bench.replay(execution, graph=straight(witness, **dict.fromkeys(today)))

    assert witness.calls[called:] == []
    assert not report.identical
    found = report.first_divergence
    assert found is not None
    assert (found.kind, found.step, found.node) == ("graph", step, node)
    assert told in str(found)
