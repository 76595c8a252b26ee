"""Variants: another implementation stands in for a node, its edges stay, and the record says which one ran."""

from typing import Any

import pytest
from langchain_core.runnables import RunnableLambda
from langgraph.graph import START, StateGraph

from tests.sdk.given import Notes, asks, chain, says
from wtb.domain.errors import InvalidVariant, NodeNotFound, VariantNotFound
from wtb.sdk import TestBench


async def slowly(state: Notes) -> Notes:
    return {"notes": ["slowly"]}


def builder() -> Any:
    made: Any = StateGraph(Notes)
    made.add_node("inner", says("inside"))
    made.add_edge(START, "inner")
    return made


IMPLEMENTATIONS: dict[str, tuple[object, list[str]]] = {
    "function": (says("short"), ["short"]),
    "coroutine": (slowly, ["slowly"]),
    "runnable": (RunnableLambda(says("lambda")), ["lambda"]),
    "graph": (chain(inner=says("inside")), ["inside"]),
    "builder": (builder(), ["inside"]),
}


@pytest.mark.parametrize("kind", IMPLEMENTATIONS)
@pytest.mark.parametrize("asynchronous", [False, True], ids=["run", "arun"])
async def test_whatever_a_node_can_be_may_stand_in_for_it(bench: TestBench, kind: str, asynchronous: bool) -> None:
    implementation, wrote = IMPLEMENTATIONS[kind]
    bench.project.variant("answer", kind, implementation)
    graph = chain(answer=says("answer"), after=says("after"))
    if asynchronous:
        result = await bench.arun(graph, {"query": "q"}, variants={"answer": kind})
    else:
        result = bench.run(graph, {"query": "q"}, variants={"answer": kind})
    assert result.state["notes"] == [*wrote, "after"]
    shown = [(s.node, s.variant) for s in bench.steps(result.execution_id)]
    inside = [("inner", None)] if wrote == ["inside"] else []
    assert shown == [("answer", kind), *inside, ("after", None)]
    assert bench.execution(result.execution_id).variants == {"answer": kind}


def test_without_a_choice_a_node_is_itself(bench: TestBench) -> None:
    bench.project.variant("answer", "short", says("short"))
    graph = chain(answer=says("answer"))
    for variants in (None, {}, {"answer": "default"}):
        assert bench.run(graph, {"query": "q"}, variants=variants).state["notes"] == ["answer"]


def test_an_implementation_may_be_given_in_place_of_a_name(bench: TestBench) -> None:
    graph, first, second = chain(answer=says("answer")), says("first"), says("second")
    names = []
    for implementation in (first, second, first):
        result = bench.run(graph, {"query": "q"}, variants={"answer": implementation})
        names.append(bench.execution(result.execution_id).variants["answer"])
        assert result.state["notes"] == ["second" if implementation is second else "first"]
    assert names[0] == names[2] != names[1]


def test_a_node_of_a_nested_graph_goes_by_its_path(bench: TestBench) -> None:
    bench.project.variant("sub/answer", "short", says("short"))
    graph = chain(sub=chain(answer=says("answer")), answer=says("outer"))
    assert bench.run(graph, {"query": "q"}, variants={"sub/answer": "short"}).state["notes"] == ["short", "outer"]


def test_the_variant_an_execution_began_with_goes_on_after_a_pause(bench: TestBench) -> None:
    bench.project.variant("answer", "short", says("short"))
    paused = bench.run(chain(ask=asks("?"), answer=says("answer")), {"query": "q"}, variants={"answer": "short"})
    assert bench.resume(paused.execution_id, "yes").state["notes"] == ["yes", "short"]


def test_what_is_not_there_is_refused_and_nothing_is_recorded(quick_bench: TestBench) -> None:
    graph = chain(answer=says("answer"))
    quick_bench.project.variant("nowhere", "short", says("short"))
    for variants, refusal in (
        ({"answer": "short"}, VariantNotFound),
        ({"nowhere": "short"}, NodeNotFound),
        ({"nowhere": "default"}, NodeNotFound),
        ({"answer": 7}, InvalidVariant),
    ):
        with pytest.raises(refusal):
            quick_bench.run(graph, {"query": "q"}, variants=variants)
    assert quick_bench.log() == []


def test_a_name_stands_for_one_implementation(quick_bench: TestBench) -> None:
    short = says("short")
    quick_bench.project.variant("answer", "short", short)
    quick_bench.project.variant("answer", "short", short)
    for name, implementation in (
        ("short", says("other")),
        ("default", short),
        ("", short),
        ("x", "text"),
        ("builtin", dict),
    ):
        with pytest.raises(InvalidVariant):
            quick_bench.project.variant("answer", name, implementation)
    assert quick_bench.project.variants.names("answer") == ("short",)


@pytest.mark.parametrize(
    ("node", "name", "description"),
    [
        ("", "short", ""),
        (3, "short", ""),
        ("answer", 3, ""),
        ("answer", "n" * 501, ""),
        ("answer", "short", 3),
    ],
)
def test_what_can_not_be_noted_of_a_variant_is_refused_at_once(
    bench: TestBench, node: Any, name: Any, description: Any
) -> None:
    """Else no graph that has the node could be run any more."""
    with pytest.raises(InvalidVariant):
        bench.project.variant(node, name, says("short"), description=description)
    assert bench.run(chain(answer=says("answer")), {"query": "q"}).status == "completed"
