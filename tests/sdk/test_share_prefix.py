"""What trials have in common runs once, and what they come to is what they would have come to alone."""

from collections import Counter
from typing import Any

from tests.sdk.given import asks, beside, chain, says
from wtb.sdk import TestBench
from wtb.sdk.batches.result import BatchResult

CASES = [{"query": name} for name in ("one", "two", "three")]


class Calls:
    """Nodes that count how often they are called, by name and query."""

    def __init__(self) -> None:
        self.counted: Counter[str] = Counter()

    def node(self, name: str) -> Any:
        def work(state: Any) -> Any:
            self.counted[name] += 1
            return {"notes": [name]}

        return work


def ends(result: BatchResult) -> list[Any]:
    return [(o.trial, o.status, dict(o.state), o.error) for o in result]


def test_what_comes_before_the_first_varied_node_runs_once_for_each_case(bench: TestBench) -> None:
    calls = Calls()
    graph = chain(a=calls.node("a"), b=calls.node("b"), answer=calls.node("answer"), last=calls.node("last"))
    variants = {"answer": ["default", says("short"), says("long")]}
    shared = bench.batch(graph, CASES, variants=variants, share_prefix=True)
    assert calls.counted == {"a": 3, "b": 3, "answer": 3, "last": 9}
    assert ends(shared) == ends(bench.batch(graph, CASES, variants=variants))
    for outcome in shared:
        execution = bench.execution(outcome.execution_id)
        assert execution.parent_execution == f"{shared.id}.{int(outcome.trial.case) - 1}.prefix.0"
        assert execution.batch_case == f"{shared.id}/{outcome.trial.case}"


def test_nodes_side_by_side_with_a_varied_one_run_once_too(bench: TestBench) -> None:
    calls = Calls()
    graph = beside(left=calls.node("left"), answer=calls.node("answer"), right=calls.node("right"))
    variants = {"answer": ["default", says("short")]}
    shared = bench.batch(graph, CASES, variants=variants, share_prefix=True)
    assert calls.counted == {"left": 3, "answer": 3, "right": 3}
    assert ends(shared) == ends(bench.batch(graph, CASES, variants=variants))


def test_a_varied_node_in_a_nested_graph_is_forked_before_in_there(bench: TestBench) -> None:
    calls = Calls()
    graph = chain(a=calls.node("a"), sub=chain(b=calls.node("b"), answer=calls.node("answer")), z=calls.node("z"))
    variants = {"sub/answer": ["default", says("short")]}
    shared = bench.batch(graph, CASES, variants=variants, share_prefix=True)
    assert calls.counted == {"a": 3, "b": 3, "answer": 3, "z": 6}
    assert ends(shared) == ends(bench.batch(graph, CASES, variants=variants))


def test_a_case_that_fails_before_the_first_varied_node_fails_once_and_is_told_of_all(bench: TestBench) -> None:
    calls = Counter[str]()

    def picky(state: Any) -> Any:
        calls[state["query"]] += 1
        if state["query"] == "two":
            raise ValueError("not two")
        return {"notes": ["fine"]}

    graph = chain(picky=picky, answer=says("answer"))
    variants = {"answer": ["default", says("short")]}
    shared = bench.batch(graph, CASES, variants=variants, share_prefix=True, attempts=2)
    assert calls == {"one": 1, "two": 2, "three": 1}
    assert [o.status for o in shared] == ["completed", "completed", "failed", "failed", "completed", "completed"]
    for outcome in shared.failures:
        execution = bench.execution(outcome.execution_id)
        assert (execution.status, execution.failed_node, execution.error_message) == ("failed", "picky", "not two")
    assert ends(shared) == ends(bench.batch(graph, CASES, variants=variants))


def test_a_case_that_never_reaches_a_varied_node_ends_alike_in_all(bench: TestBench) -> None:
    calls = Calls()
    graph = routed(calls)
    variants = {"answer": ["default", says("short")]}
    cases = [{"query": "answer"}, {"query": "skip"}]
    shared = bench.batch(graph, cases, variants=variants, share_prefix=True)
    assert calls.counted == {"route": 2, "answer": 1, "skip": 1}
    assert ends(shared) == ends(bench.batch(graph, cases, variants=variants))


def test_a_case_that_asks_before_the_first_varied_node_waits_in_all(bench: TestBench) -> None:
    graph = chain(ask=asks("really?"), answer=says("answer"))
    shared = bench.batch(graph, CASES[:1], variants={"answer": ["default", says("short")]}, share_prefix=True)
    assert [o.status for o in shared] == ["paused", "paused"]
    results = [bench.resume(outcome.execution_id, "yes") for outcome in shared]
    assert [result.state["notes"] for result in results] == [["yes", "answer"], ["yes", "short"]]


def test_what_was_done_in_a_nested_graph_that_asks_is_shared_too(bench: TestBench) -> None:
    calls = Calls()
    sub = chain(b=calls.node("b"), c=calls.node("c"), ask=asks("really?"))
    graph = chain(a=calls.node("a"), sub=sub, answer=says("answer"))
    variants = {"answer": ["default", says("short")]}
    shared = bench.batch(graph, CASES, variants=variants, share_prefix=True)
    assert calls.counted == {"a": 3, "b": 3, "c": 3}
    assert {outcome.status for outcome in shared} == {"paused"}
    for outcome in shared:
        done = bench.resume(outcome.execution_id, "yes", graph=graph)
        assert done.state["notes"][-1] == ("answer" if outcome.trial.combination == 0 else "short")
    assert calls.counted == {"a": 3, "b": 3, "c": 3}


def test_what_was_done_in_a_nested_graph_that_fails_is_shared_too(bench: TestBench) -> None:
    calls = Calls()
    sub = chain(b=calls.node("b"), broken=broken)
    graph = chain(a=calls.node("a"), sub=sub, answer=says("answer"))
    variants = {"answer": ["default", says("short")]}
    shared = bench.batch(graph, CASES, variants=variants, share_prefix=True)
    assert calls.counted == {"a": 3, "b": 3}
    assert {outcome.status for outcome in shared} == {"failed"}


def broken(state: Any) -> Any:
    raise ValueError("no")


def routed(calls: Calls) -> Any:
    """A graph that leads past ``answer`` when it isn't asked for."""
    from langgraph.graph import START, StateGraph

    from tests.sdk.given import Notes

    builder: Any = StateGraph(Notes)
    for name in ("route", "answer", "skip"):
        builder.add_node(name, calls.node(name))
    builder.add_edge(START, "route")
    builder.add_conditional_edges("route", lambda state: state["query"], ["answer", "skip"])
    return builder.compile()
