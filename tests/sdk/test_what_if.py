"""What would have been with another implementation: the record as far as it goes, other work only where it must."""

import uuid
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, Send, interrupt

from tests.sdk.test_replay import INPUT, went
from tests.sdk.witnessed import Desk, Witness, around, asking, asking_within, failing, looping, nested, straight
from wtb.infra.langgraph.replay.divergence import ReplayedStep
from wtb.sdk import TestBench


@pytest.fixture
def witness() -> Witness:
    return Witness()


def notes(*texts: str) -> Any:
    return lambda state: {"notes": [*texts]}


def test_a_variant_that_does_the_same_changes_nothing(quick_bench: TestBench, witness: Witness) -> None:
    execution = went(quick_bench, straight(witness, one=None, two=None, three=None))
    called = len(witness.calls)

    report = quick_bench.replay(execution, variants={"two": notes("two")})

    assert witness.calls[called:] == []
    assert report.identical
    assert report.status == "completed"
    assert report.ran == (ReplayedStep("two", 2),)
    assert [step.node for step in report.served] == ["one", "three"]
    assert report.nodes_called == 1
    assert (report.changes, report.state_changes, report.stopped_at) == ((), {}, None)


def test_without_live_it_stops_where_a_node_would_have_to_run(quick_bench: TestBench, witness: Witness) -> None:
    execution = went(quick_bench, straight(witness, one=None, two=None, three=None))
    called = len(witness.calls)

    report = quick_bench.replay(execution, variants={"two": notes("other")})

    assert witness.calls[called:] == []
    assert not report.identical
    assert report.status == "stopped"
    assert report.stopped_at == ReplayedStep("three", 3)
    [change] = report.changes
    assert (change.node, change.step, change.writes) == ("two", 2, {"notes": (["two"], ["other"])})
    assert report.state_changes == {"notes": (["one", "two"], ["one", "other"])}


def test_with_live_it_runs_what_is_asked_otherwise(quick_bench: TestBench, witness: Witness) -> None:
    execution = went(quick_bench, straight(witness, one=None, two=None, three=None))
    called = len(witness.calls)

    report = quick_bench.replay(execution, variants={"two": notes("other")}, live=True)

    assert witness.calls[called:] == ["three"]
    assert report.status == "completed"
    assert [step.node for step in report.served] == ["one"]
    assert [step.node for step in report.ran] == ["two", "three"]
    assert report.state_changes == {"notes": (["one", "two", "three"], ["one", "other", "three"])}
    assert report.state["notes"] == ["one", "other", "three"]


async def test_a_what_if_on_an_event_loop(quick_bench: TestBench, witness: Witness) -> None:
    execution = went(quick_bench, straight(witness, one=None, two=None, three=None))

    async def other(state: Any) -> Any:
        return {"notes": ["other"]}

    report = await quick_bench.areplay(execution, variants={"two": other}, live=True)

    assert report.state["notes"] == ["one", "other", "three"]


def test_a_coroutine_may_be_asked_for_without_an_event_loop(quick_bench: TestBench, witness: Witness) -> None:
    execution = went(quick_bench, straight(witness, one=None, two=None))

    async def other(state: Any) -> Any:
        return {"notes": ["other"]}

    assert quick_bench.replay(execution, variants={"two": other}).state["notes"] == ["one", "other"]


def reading(channel: str) -> Any:
    """What a node is given that reads one channel alone."""
    from typing_extensions import TypedDict

    return TypedDict("Only", {channel: Any}, total=False)  # type: ignore[operator]


def test_nodes_that_dont_read_what_changed_go_on_being_served(quick_bench: TestBench, witness: Witness) -> None:
    builder: Any = StateGraph(Desk)
    builder.add_node("one", witness.node("one"))
    builder.add_node("two", witness.node("two", lambda state: {"round": 1}), input_schema=reading("query"))
    builder.add_node("three", witness.node("three"), input_schema=reading("round"))
    builder.add_edge(START, "one")
    builder.add_edge("one", "two")
    builder.add_edge("two", "three")
    execution = went(quick_bench, builder.compile())
    called = len(witness.calls)

    report = quick_bench.replay(execution, variants={"one": notes("other")})

    assert witness.calls[called:] == []
    assert report.status == "completed"
    assert [step.node for step in report.served] == ["two", "three"]
    assert report.state_changes == {"notes": (["one", "three"], ["other", "three"])}


def test_default_runs_the_nodes_own_implementation_of_today(quick_bench: TestBench, witness: Witness) -> None:
    execution = went(quick_bench, straight(witness, one=None, two=None))
    today = straight(witness, one=notes("fixed"), two=None)

    report = quick_bench.replay(execution, graph=today, variants={"one": "default"})

    assert report.ran == (ReplayedStep("one", 1),)
    assert report.changes[0].writes == {"notes": (["one"], ["fixed"])}


def test_a_registered_variant_is_asked_for_by_name(quick_bench: TestBench, witness: Witness) -> None:
    quick_bench.project.variant("one", "terse", notes("1"))
    execution = went(quick_bench, straight(witness, one=None))

    assert quick_bench.replay(execution, variants={"one": "terse"}).state["notes"] == ["1"]


def test_every_turn_of_a_loop_is_run(quick_bench: TestBench, witness: Witness) -> None:
    """And its router with it, since that is the node's."""
    execution = went(quick_bench, looping(witness))
    called = len(witness.calls)

    report = quick_bench.replay(
        execution, variants={"turn": lambda state: {"round": state.get("round", 0) + 1, "notes": ["turn"]}}
    )

    assert report.identical
    assert [step.step for step in report.ran] == [1, 2, 3]
    assert (report.nodes_called, report.routers_called) == (3, 3)
    assert witness.calls[called:] == ["router"] * 3


def test_another_way_is_gone_live(quick_bench: TestBench, witness: Witness) -> None:
    """A variant that takes another turn leads to nodes that the record doesn't have."""
    builder: Any = StateGraph(Desk)
    builder.add_node("judge", witness.node("judge", lambda state: {"round": 1}))
    builder.add_node("approve", witness.node("approve"))
    builder.add_node("refuse", witness.node("refuse"))
    builder.add_edge(START, "judge")
    way = witness.router(lambda state: "approve" if state["round"] else "refuse")
    builder.add_conditional_edges("judge", way, ["approve", "refuse"])
    graph = builder.compile()
    execution = went(quick_bench, graph)

    stopped = quick_bench.replay(execution, variants={"judge": lambda state: {"round": 0}})
    assert stopped.stopped_at == ReplayedStep("refuse", 2)

    report = quick_bench.replay(execution, variants={"judge": lambda state: {"round": 0}}, live=True)
    assert [step.node for step in report.ran] == ["judge", "refuse"]
    assert report.state_changes == {"notes": (["approve"], ["refuse"]), "round": (1, 0)}
    assert report.changes[0].writes == {
        "branch:to:approve": (True, False),
        "branch:to:refuse": (False, True),
        "round": (1, 0),
    }


def test_pieces_of_work_that_were_sent_alike_are_served(quick_bench: TestBench, witness: Witness) -> None:
    """Wherever they stand among their siblings now."""
    builder: Any = StateGraph(Desk)
    builder.add_node("plan", witness.node("plan", lambda _: Command(goto=sends("a", "b"))), destinations=("work",))
    builder.add_node("work", witness.node("work", lambda state: {"notes": [state["query"]]}))
    builder.add_edge(START, "plan")

    def sends(*queries: str) -> list[Send]:
        return [Send("work", {"query": query}) for query in queries]

    execution = went(quick_bench, builder.compile())
    called = len(witness.calls)

    report = quick_bench.replay(execution, variants={"plan": lambda _: Command(goto=sends("new", "a", "b"))}, live=True)

    assert witness.calls[called:] == ["work"]
    assert [step.node for step in report.served] == ["work", "work"]
    assert report.state["notes"] == ["new", "a", "b"]


def test_a_node_of_a_nested_graph(quick_bench: TestBench, witness: Witness) -> None:
    execution = went(quick_bench, nested(witness))
    called = len(witness.calls)

    same = quick_bench.replay(execution, variants={"sub/one": notes("one")})
    assert same.identical
    assert [step.node for step in same.served] == ["first", "sub/two", "sub", "last"]

    stopped = quick_bench.replay(execution, variants={"sub/one": notes("other")})
    assert stopped.stopped_at == ReplayedStep("sub/two", 2)
    assert witness.calls[called:] == []

    report = quick_bench.replay(execution, variants={"sub/one": notes("other")}, live=True)
    assert witness.calls[called:] == ["two", "last"]
    assert [step.node for step in report.ran] == ["sub/one", "sub/two", "last"]
    assert report.state == quick_bench.run(
        around(witness, straight(witness, one=notes("other"), two=None)), INPUT
    ).state | {"messages": report.state["messages"]}


def test_a_nested_graph_as_a_whole(quick_bench: TestBench, witness: Witness) -> None:
    execution = went(quick_bench, nested(witness))
    called = len(witness.calls)

    report = quick_bench.replay(execution, variants={"sub": "default"})

    assert witness.calls[called:] == ["one", "two"]
    assert report.identical
    assert report.ran == (ReplayedStep("sub", 2),)


def test_a_nested_graph_that_is_asked_otherwise_runs_within(quick_bench: TestBench, witness: Witness) -> None:
    execution = went(quick_bench, nested(witness))

    report = quick_bench.replay(execution, variants={"first": notes("other")}, live=True)

    assert [step.node for step in report.ran] == ["first", "sub/one", "sub/two", "last"]


def test_a_node_that_asks_is_given_the_recorded_answers(quick_bench: TestBench, witness: Witness) -> None:
    execution = went(quick_bench, asking(witness))

    def asks(state: Any) -> Any:
        return {"notes": [interrupt("one?").upper(), interrupt("two?")]}

    report = quick_bench.replay(execution, variants={"two": asks}, live=True)

    assert report.status == "completed"
    assert report.changes[0].writes == {"notes": (["yes", "yes"], ["YES", "yes"])}


def test_a_node_that_asks_further_pauses_the_what_if(quick_bench: TestBench, witness: Witness) -> None:
    execution = went(quick_bench, asking(witness))

    def asks(state: Any) -> Any:
        return {"notes": [interrupt("one?"), interrupt("two?"), interrupt("three?")]}

    report = quick_bench.replay(execution, variants={"two": asks}, live=True)

    assert report.status == "paused"
    assert report.ran == (ReplayedStep("two", 2),)


def test_a_nested_node_that_asks_is_given_its_answers(quick_bench: TestBench, witness: Witness) -> None:
    execution = went(quick_bench, asking_within(witness))

    report = quick_bench.replay(execution, variants={"sub/two": lambda _: {"notes": [interrupt("one?")]}})

    assert report.identical


def test_a_fix_for_what_failed_goes_on_beyond_the_record(quick_bench: TestBench, witness: Witness) -> None:
    execution = went(quick_bench, failing(witness))

    report = quick_bench.replay(execution, variants={"two": notes("fixed")})

    assert report.status == "completed"
    assert report.state["notes"] == ["one", "fixed"]
    assert not report.identical


def test_a_variant_that_fails_is_told(quick_bench: TestBench, witness: Witness) -> None:
    execution = went(quick_bench, straight(witness, one=None, two=None))

    def fails(state: Any) -> Any:
        raise ValueError("no")

    report = quick_bench.replay(execution, variants={"two": fails})

    assert report.status == "failed"
    assert report.error is not None
    assert (report.error.type, report.error.message, report.error.node) == ("ValueError", "no", "two")


def test_recorded_failures_of_others_are_served(quick_bench: TestBench, witness: Witness) -> None:
    execution = went(quick_bench, failing(witness))

    report = quick_bench.replay(execution, variants={"one": notes("one")})

    assert report.status == "failed"
    assert report.identical
    assert report.error is not None
    assert report.error.type == "ConnectionError"


def test_a_variant_goes_where_the_node_never_ended(quick_bench: TestBench, witness: Witness) -> None:
    """What is still paused is replayed to where it waits."""
    result = quick_bench.run(straight(witness, one=None, two=lambda _: {"notes": [interrupt("?")]}), INPUT)

    report = quick_bench.replay(result.execution_id, variants={"one": notes("one")})

    assert (report.status, report.identical) == ("paused", True)


def test_the_folder_of_a_what_if_is_its_own(quick_bench: TestBench, witness: Witness) -> None:
    execution = went(quick_bench, straight(witness, one=None))
    folders: list[str] = []

    def writes(state: Any, config: RunnableConfig) -> Any:
        folders.append(config["configurable"]["output_dir"])
        return {"notes": ["one"]}

    assert quick_bench.replay(execution, variants={"one": writes}).identical
    assert str(quick_bench.platform.output_dir) not in folders[0]


def test_a_chat_models_chance_ids_do_not_count(quick_bench: TestBench) -> None:
    """A model gives each of its answers an id at random, with a number behind it."""

    def answers(state: MessagesState) -> Any:
        return {"messages": [AIMessage("hello", id=f"lc_run--{uuid.uuid4()}-0")]}

    def counts(state: MessagesState) -> Any:
        return {"messages": [AIMessage(str(len(state["messages"])), id="counted")]}

    builder: Any = StateGraph(MessagesState)
    builder.add_node("answers", answers)
    builder.add_node("counts", counts)
    builder.add_edge(START, "answers")
    builder.add_edge("answers", "counts")
    whole = quick_bench.run(builder.compile(), {"messages": [HumanMessage("hi")]})
    report = quick_bench.replay(whole.execution_id, variants={"answers": "default"})
    assert (report.identical, report.nodes_called, report.stopped_at) == (True, 1, None)
