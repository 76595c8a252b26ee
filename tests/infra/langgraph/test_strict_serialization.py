"""What a state may hold: what can't be stored is refused by name, what can be comes back as it was; never a pickle."""

import ast
import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import pytest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage
from langgraph.graph import END, START, StateGraph, add_messages
from langgraph.types import Command, Send, interrupt
from pydantic import BaseModel
from typing_extensions import TypedDict

import wtb
from wtb.domain.errors import UnserializableValue
from wtb.domain.execution import CheckpointSaved, ExecutionFailed, NodeCompleted, NodeFailed, Write
from wtb.infra.langgraph.serializer import strict_serializer
from wtb.sdk import RunResult, TestBench, WorkflowProject


class Anything(TypedDict, total=False):
    thing: Any
    other: Any


class Shape:
    """No serializer knows it, unless one pickles; then it tells."""

    pickled = False

    def __reduce__(self) -> Any:
        type(self).pickled = True
        return (Shape, ())


@pytest.fixture
def bench(store_location: str, tmp_path: Path) -> Iterator[TestBench]:
    with TestBench(WorkflowProject("shapes", db_path=store_location, output_dir=tmp_path / "out")) as bench:
        yield bench


def line(**nodes: Any) -> Any:
    builder: Any = StateGraph(Anything)
    for name, node in nodes.items():
        builder.add_node(name, node)
    for before, after in zip((START, *nodes), (*nodes, END), strict=True):
        builder.add_edge(before, after)
    return builder.compile()


def fine(state: Any) -> dict[str, Any]:
    return {"other": "fine"}


def returning(value: Callable[[], Any]) -> Callable[[Any], dict[str, Any]]:
    return lambda state: {"thing": value()}


def blamed(result: RunResult) -> UnserializableValue:
    """The refusal that a failed run ended with."""
    assert result.status == "failed"
    assert result.error is not None
    assert result.error.type == "UnserializableValue"
    assert isinstance(result.error.exception, UnserializableValue)
    return result.error.exception


UNSTORABLE: dict[str, Callable[[], Any]] = {
    "Shape": Shape,
    "function": lambda: lambda: None,
    "generator": lambda: (letter for letter in "abc"),
    "complex": lambda: 1j,
    "int": lambda: 2**70,
    "dict": lambda: {"deep": [{"inside": Shape()}]},
    "list": lambda: [1, "two", Shape()],
}


@pytest.mark.parametrize("kind", UNSTORABLE)
def test_a_value_that_cannot_be_stored_is_refused_by_node_channel_and_type(bench: TestBench, kind: str) -> None:
    result = bench.run(line(first=fine, shaper=returning(UNSTORABLE[kind]), last=fine), {"thing": 0})

    refusal = blamed(result)
    assert (refusal.node, refusal.channel) == ("shaper", "thing")
    assert f"node 'shaper' wrote a {kind} to channel 'thing'" in str(refusal)
    assert result.error is not None
    assert result.error.node == "shaper"
    assert result.state == {"thing": 0, "other": "fine"}
    recorded = [event.fact for event in bench.events(result.execution_id)]
    failures = [fact for fact in recorded if isinstance(fact, NodeFailed)]
    assert [(fact.node, fact.error.type) for fact in failures] == [("shaper", "UnserializableValue")]
    assert [fact.node for fact in recorded if isinstance(fact, NodeCompleted)] == ["first"]
    assert isinstance(recorded[-1], ExecutionFailed)
    assert (recorded[-1].node, recorded[-1].error.message) == ("shaper", str(refusal))
    assert bench.execution(result.execution_id).status == "failed"
    assert not Shape.pickled


async def test_async_nodes_are_named_as_well(bench: TestBench) -> None:
    async def shaper(state: Any) -> dict[str, Any]:
        return {"thing": Shape()}

    refusal = blamed(await bench.arun(line(first=fine, shaper=shaper), {"thing": 0}))
    assert (refusal.node, refusal.channel) == ("shaper", "thing")


def test_of_parallel_nodes_the_guilty_one_is_named(bench: TestBench) -> None:
    builder: Any = StateGraph(Anything)
    builder.add_node("innocent", fine)
    builder.add_node("guilty", returning(Shape))
    builder.add_edge(START, "innocent")
    builder.add_edge(START, "guilty")

    assert blamed(bench.run(builder.compile(), {"thing": 0})).node == "guilty"


def test_a_node_of_a_nested_graph_is_named_with_its_path(bench: TestBench) -> None:
    result = bench.run(line(first=fine, inner=line(shaper=returning(Shape))), {"thing": 0})

    assert blamed(result).node == "shaper"
    assert result.error is not None
    assert result.error.node == "inner/shaper"


def test_what_a_node_sends_or_commands_is_refused_under_its_name(bench: TestBench) -> None:
    sending: Any = StateGraph(Anything)
    sending.add_node("sender", fine)
    sending.add_node("taker", fine)
    sending.add_edge(START, "sender")
    sending.add_conditional_edges("sender", lambda state: [Send("taker", {"thing": Shape()})], ["taker"])
    assert blamed(bench.run(sending.compile(), {"thing": 0})).node == "sender"

    commanding = line(commander=lambda state: Command(update={"other": Shape()}))
    refusal = blamed(bench.run(commanding, {"thing": 0}))
    assert (refusal.node, refusal.channel) == ("commander", "other")


def test_a_question_that_cannot_be_stored_is_refused_under_its_node(bench: TestBench) -> None:
    result = bench.run(line(asker=lambda state: {"thing": interrupt(Shape())}), {"thing": 0})

    assert blamed(result).node == "asker"
    assert bench.execution(result.execution_id).status == "failed"


def test_what_a_reducer_makes_is_refused_by_its_channel(bench: TestBench) -> None:
    class Reduced(TypedDict):
        count: Annotated[Any, lambda old, new: Shape() if new == 2 else new]

    builder: Any = StateGraph(Reduced)
    builder.add_node("first", lambda state: {"count": 1})
    builder.add_node("second", lambda state: {"count": 2})
    builder.add_edge(START, "first")
    builder.add_edge("first", "second")
    result = bench.run(builder.compile(), {"count": 0})

    refusal = blamed(result)
    assert refusal.channel == "count"
    assert "a Shape" in str(refusal)
    assert bench.execution(result.execution_id).status == "failed"
    assert dict(bench.state(result.execution_id)) == {"count": 1}


def test_an_input_that_cannot_be_stored_starts_nothing(bench: TestBench) -> None:
    with pytest.raises(UnserializableValue, match=r"a dict to channel '\(input\)'"):
        bench.run(line(first=fine), {"thing": Shape()})

    assert bench.executions().items == ()
    assert bench.log() == []


def test_an_answer_that_cannot_be_stored_leaves_the_question_open(bench: TestBench) -> None:
    graph = line(asker=lambda state: {"thing": interrupt("what?")})
    paused = bench.run(graph, {"thing": 0})

    with pytest.raises(UnserializableValue, match="a Shape"):
        bench.resume(paused.execution_id, answer=Shape())

    assert bench.execution(paused.execution_id).status == "paused"
    assert bench.resume(paused.execution_id, answer="that").state == {"thing": "that"}


# --- pickle -----------------------------------------------------------------------------------------


def test_no_module_of_wtb_knows_pickle() -> None:
    banned = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "marshal", "shelve"}
    package = Path(wtb.__file__).parent
    found = [
        (module.name, node.lineno)
        for module in package.rglob("*.py")
        for node in ast.walk(ast.parse(module.read_text()))
        if (isinstance(node, ast.Import) and any(alias.name.partition(".")[0] in banned for alias in node.names))
        or (isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in banned)
        or (isinstance(node, ast.keyword) and node.arg == "pickle_fallback" and not _is_false(node.value))
    ]
    assert found == []


def _is_false(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is False


def test_a_pickle_that_someone_put_into_the_store_is_not_opened() -> None:
    with pytest.raises(NotImplementedError, match="pickle"):
        strict_serializer().loads_typed(("pickle", pickle.dumps({"a": 1})))


# --- what survives ----------------------------------------------------------------------------------


class Mood(Enum):
    CALM = "calm"


@dataclass
class Parcel:
    weight: Decimal
    sent: datetime


class Customer(BaseModel):
    name: str
    parcels: list[Parcel]
    mood: Mood


class Everything(TypedDict, total=False):
    customer: Customer
    parcel: Parcel
    mood: Mood
    messages: Annotated[list[AnyMessage], add_messages]
    plain: dict[str, Any]


PARCEL = Parcel(Decimal("1.20"), datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC))
CUSTOMER = Customer(name="Ada", parcels=[PARCEL], mood=Mood.CALM)
MESSAGES: list[AnyMessage] = [
    HumanMessage("hello", id="1"),
    AIMessage("", id="2", tool_calls=[{"name": "find", "args": {"what": ["x"]}, "id": "call"}]),
    ToolMessage("found " + "it " * 400, id="3", tool_call_id="call"),
]
PLAIN = {
    "set": {1, 2},
    "bytes": b"\x00\xff",
    "uuid": UUID(int=7),
    "delta": timedelta(days=1, microseconds=3),
    "keys": {1: "one", "two": 2},
    "none": None,
    "float": 0.1,
    "text": "naïve 🜂",
    "big": 2**64 - 1,
}
VALUES: Everything = {
    "customer": CUSTOMER,
    "parcel": PARCEL,
    "mood": Mood.CALM,
    "messages": [*MESSAGES],
    "plain": PLAIN,
}


def everything() -> Any:
    builder: Any = StateGraph(Everything)
    builder.add_node("say", lambda state: VALUES)
    builder.add_node("look", lambda state: {"plain": {**state["plain"], "seen": state["customer"].parcels[0].weight}})
    builder.add_edge(START, "say")
    builder.add_edge("say", "look")
    return builder.compile()


def test_the_types_of_a_graphs_schema_come_back_as_they_were(store_location: str, tmp_path: Path) -> None:
    project = WorkflowProject("types", db_path=store_location, output_dir=tmp_path / "out")
    with TestBench(project) as bench:
        result = bench.run(everything(), VALUES)
        assert result.status == "completed", result.error
    expected = {**VALUES, "plain": {**PLAIN, "seen": PARCEL.weight}}

    with TestBench(project) as bench:
        bench.register(everything())
        state = bench.state(result.execution_id)

        assert dict(state) == expected
        assert {name: type(value) for name, value in state.items()} == {
            name: type(value) for name, value in expected.items()
        }
        assert [type(message) for message in state["messages"]] == [HumanMessage, AIMessage, ToolMessage]


class Inside(TypedDict, total=False):
    thing: str
    parcel: Parcel


def sending() -> Any:
    """A graph whose inner graph alone knows what a parcel is, and asks before it looks at one."""

    def look(state: Inside) -> Inside:
        interrupt("go on?")
        return {"thing": type(state["parcel"]).__name__}

    inner: Any = StateGraph(Inside)
    inner.add_node("pack", lambda state: {"parcel": PARCEL})
    inner.add_node("look", look)
    inner.add_edge(START, "pack")
    inner.add_edge("pack", "look")
    return line(inner=inner.compile())


def test_types_that_only_a_nested_graph_knows_come_back_too(store_location: str, tmp_path: Path) -> None:
    project = WorkflowProject("types", db_path=store_location, output_dir=tmp_path / "out")
    with TestBench(project) as bench:
        paused = bench.run(sending(), {"thing": "?"})
    with TestBench(project) as bench:
        assert bench.resume(paused.execution_id, answer=True, graph=sending()).state == {"thing": "Parcel"}


def test_to_who_does_not_know_the_graph_its_types_are_plain_data(store_location: str, tmp_path: Path) -> None:
    project = WorkflowProject("types", db_path=store_location, output_dir=tmp_path / "out")
    with TestBench(project) as bench:
        result = bench.run(everything(), VALUES)
    with TestBench(project) as bench:
        state = bench.state(result.execution_id)

        assert state["customer"] == {
            "name": "Ada",
            "parcels": [{"weight": PARCEL.weight, "sent": PARCEL.sent}],
            "mood": "calm",
        }
        assert state["messages"] == MESSAGES


def test_everything_stored_is_msgpack_or_bytes(bench: TestBench) -> None:
    result = bench.run(everything(), VALUES)

    facts = [event.fact for event in bench.events(result.execution_id)]
    saved = [digest for fact in facts if isinstance(fact, CheckpointSaved) for _, digest in fact.channels.values()]
    writes: list[Write] = [write for fact in facts if isinstance(fact, NodeCompleted) for write in fact.writes]
    digests = {*saved, *(write.value for write in writes)}
    stored = bench.platform.store.values([digest for digest in digests if digest not in (None, "null")])
    assert {value.kind.partition("+")[0] for value in stored.values()} <= {"msgpack", "bytes", "null", "list", "chunk"}
    assert len(stored) > 6
