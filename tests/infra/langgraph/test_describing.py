"""What is noted of a graph: nodes, edges, channels, schemas; the same wherever it is made."""

import operator
from typing import Annotated, Any, Literal, Optional

import pytest
from langgraph.func import entrypoint
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command, Send
from typing_extensions import TypedDict

from wtb.domain.workflow import WHOLE
from wtb.infra.langgraph.describing import described
from wtb.infra.langgraph.versioning import graph_version, type_text


class State(TypedDict, total=False):
    query: str
    maybe: Optional[dict[str, list[int]]]  # noqa: UP045  # one of the ways to write it
    notes: Annotated[list[str], operator.add]
    merged: Annotated[list[str], lambda old, new: old + new]


def node(state: State) -> State:
    return {}


def jumps(state: State) -> Command[Literal["b", "__end__"]]:
    return Command(goto="b")


def route(state: State) -> str:
    return "b"


def fan(state: State) -> list[Send]:
    return [Send("b", state)]


def describe(builder: Any) -> Any:
    graph = builder.compile()
    return described(graph, graph_version(graph))


def ways(found: Any) -> set[tuple[str, str, bool, str]]:
    return {(edge.source, edge.target, edge.conditional, edge.label) for edge in found.edges}


def test_edges_of_every_kind_are_noted() -> None:
    builder: Any = StateGraph(State)
    for name in ("b", "c", "d", "e"):
        builder.add_node(name, node)
    builder.add_node("a", jumps)
    builder.add_node("f", node, destinations={"c": "again"})
    builder.add_edge(START, "a")
    builder.add_conditional_edges("b", route, {True: "c", "no": END})
    builder.add_conditional_edges("c", fan)
    builder.add_edge(["b", "c"], "d")
    builder.add_edge("d", "e")
    assert ways(describe(builder)) == {
        (START, "a", False, ""),
        ("a", "b", True, ""),
        ("a", END, True, ""),
        ("b", "c", True, "True"),
        ("b", END, True, "no"),
        ("b", "d", False, ""),
        ("c", WHOLE, True, ""),
        ("c", "d", False, ""),
        ("d", "e", False, ""),
        ("e", END, False, ""),
        ("f", "c", True, "again"),
    }


def test_nested_graphs_are_noted_under_their_nodes_paths() -> None:
    inner: Any = StateGraph(State)
    inner.add_node("x", node)
    inner.add_edge(START, "x")
    inner.add_conditional_edges("x", fan)
    builder: Any = StateGraph(State)
    builder.add_node("sub", inner.compile())
    builder.add_edge(START, "sub")
    found = describe(builder)
    assert [(each.path, each.graph) for each in found.nodes] == [("sub", True), ("sub/x", False)]
    assert ("sub/x", "sub/*", True, "") in ways(found)
    assert ("sub/__start__", "sub/x", False, "") in ways(found)
    assert {"query", "sub/query"} <= found.channels.keys()


def test_a_router_at_the_start_is_code_of_the_users() -> None:
    builder: Any = StateGraph(State)
    builder.add_node("b", node)
    builder.add_conditional_edges(START, route, {"b": "b"})
    assert [each.path for each in describe(builder).nodes] == [START, "b"]


def test_channels_are_noted_with_type_and_reducer() -> None:
    builder: Any = StateGraph(State)
    builder.add_node("b", node)
    builder.add_edge(START, "b")
    channels = describe(builder).channels
    assert channels["query"] == "str"
    assert channels["maybe"] == "dict[str, list[int]] | None"
    assert channels["notes"] == "list[str], reduced by operator.add"
    assert channels["merged"].startswith("list[str], reduced by State.<lambda> ")
    assert channels.keys() == {"query", "maybe", "notes", "merged"}


def test_a_node_s_code_is_its_own_and_its_routers() -> None:
    def line(second: Any, router: Any = route, ends: Any = None, more: bool = False) -> dict[str, str]:
        builder: Any = StateGraph(State)
        builder.add_node("a", node)
        builder.add_node("b", second)
        builder.add_node("c", node)
        builder.add_edge(START, "a")
        builder.add_edge("a", "c" if more else "b")
        builder.add_conditional_edges("b", router, ends or {"x": "c"})
        return {each.path: each.code for each in describe(builder).nodes}

    before = line(node)
    assert line(node) == before
    assert line(node, more=True) == before
    assert line(node, ends={"x": "c", "y": END}) == before
    changed = line(lambda state: {"query": "other"})
    assert {path for path in before if before[path] != changed[path]} == {"b"}
    rerouted = line(node, lambda state: "y")
    assert {path for path in before if before[path] != rerouted[path]} == {"b"}


def test_a_function_of_the_functional_api_is_a_graph_of_one_node() -> None:
    @entrypoint()
    def work(query: str) -> str:
        return query

    found = described(work, graph_version(work))
    assert ways(found) == {(START, "work", False, ""), ("work", END, False, "")}
    assert found.input_schema is not None


def test_schemas_are_those_of_the_graph() -> None:
    builder: Any = StateGraph(MessagesState)
    builder.add_node("a", lambda state: {})
    builder.add_edge(START, "a")
    found = describe(builder)
    assert found.input_schema is not None
    assert "messages" in found.input_schema["properties"]
    assert found.output_schema is not None


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (int, "int"),
        (None, "None"),
        (list[dict[str, Any]], "list[dict[str, Any]]"),
        (int | None, "int | None"),
        (Literal["a", 1], "Literal['a', 1]"),
        (tuple[int, ...], "tuple[int, ...]"),
        (Annotated[list[str], operator.add], "list[str]"),
        (State, "State"),
        ("Later", "Later"),
    ],
)
def test_a_type_is_written_as_in_code(kind: Any, text: str) -> None:
    assert type_text(kind) == text
