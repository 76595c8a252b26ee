"""Another whole graph stands in for the workflow's, everywhere an execution goes."""

import operator
from typing import Annotated, Any

import pytest
from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict

from tests.sdk.given import Notes, asks, chain, says
from wtb.domain.errors import InvalidState, InvalidVariant, NodeNotFound, VariantNotFound
from wtb.sdk import TestBench

INPUT = {"query": "q"}


class Pages(TypedDict, total=False):
    query: str
    pages: Annotated[list[str], operator.add]


def paging(**nodes: Any) -> Any:
    """A graph with channels of its own."""
    builder: Any = StateGraph(Pages)
    before = START
    for node in nodes:
        builder.add_node(node, lambda state, node=node: {"pages": [node]})
        builder.add_edge(before, node)
        before = node
    return builder.compile()


def own() -> Any:
    return chain(first=says("first"), ask=asks("?"), answer=says("answer"))


def other() -> Any:
    return chain(first=says("other first"), ask=asks("??"), answer=says("other"), last=says("last"))


@pytest.fixture(autouse=True)
def with_another_graph(request: pytest.FixtureRequest) -> None:
    for name in {"bench", "quick_bench"} & {*request.fixturenames}:
        request.getfixturevalue(name).project.workflow_variant("other", other(), description="goes on for longer")


def version(bench: TestBench, graph: Any) -> str:
    execution = bench.run(graph, INPUT, workflow="apart").execution_id
    return bench.execution(execution).graph


def test_it_runs_is_recorded_and_goes_on_in_its_place(bench: TestBench) -> None:
    graph = own()
    result = bench.run(graph, INPUT, variants={"*": "other"})
    execution = bench.execution(result.execution_id)
    assert execution.graph == version(bench, other()) != version(bench, graph)
    assert execution.variants == {"*": "other"}
    assert (execution.workflow, [row.node for row in bench.variants(workflow="notes")]) == ("notes", ["*"])
    assert bench.state(result.execution_id)["notes"] == ["other first"]
    done = bench.resume(result.execution_id, "yes")
    assert done.state["notes"] == ["other first", "yes", "other", "last"]
    assert bench.replay(result.execution_id).identical
    assert bench.replay(result.execution_id, graph=graph).identical
    assert bench.as_of(done.position).state(result.execution_id)["notes"] == done.state["notes"]
    assert bench.run_node(result.execution_id, "last").writes == {"notes": ["last"]}
    assert not bench.diff(result.execution_id, bench.run(graph, INPUT).execution_id).equal


async def test_it_runs_on_a_loop_and_while_it_is_looked_at(quick_bench: TestBench) -> None:
    done = await quick_bench.arun(own(), INPUT, variants={"*": "other"})
    assert done.state["notes"] == ["other first"]
    stream = quick_bench.stream(own(), INPUT, variants={"*": chain(alone=says("alone"))})
    list(stream)
    assert stream.result.state["notes"] == ["alone"]


def test_another_process_resumes_it_with_the_workflows_graph_given(quick_bench: TestBench) -> None:
    paused = quick_bench.run(own(), INPUT, variants={"*": "other"}).execution_id
    with TestBench(quick_bench.project) as bench:
        assert bench.resume(paused, "yes", graph=own()).state["notes"][-1] == "last"


def test_it_is_retried_and_its_nodes_skipped(quick_bench: TestBench) -> None:
    def boom(state: Notes) -> Notes:
        raise RuntimeError("no luck")

    failed = quick_bench.run(own(), INPUT, variants={"*": chain(boom=boom, last=says("last"))}).execution_id
    assert quick_bench.retry(failed).status == "failed"
    assert quick_bench.skip(failed, "boom", {"notes": ["skipped"]}).state["notes"] == ["skipped", "last"]


def test_a_node_of_it_may_have_a_variant_too(quick_bench: TestBench) -> None:
    quick_bench.project.variant("last", "short", says("short"))
    paused = quick_bench.run(own(), INPUT, variants={"*": "other", "last": "short"}).execution_id
    assert quick_bench.resume(paused, "yes").state["notes"][-1] == "short"
    with pytest.raises(NodeNotFound):
        quick_bench.run(own(), INPUT, variants={"last": "short"})


def test_it_may_be_promoted(quick_bench: TestBench) -> None:
    graph = own()
    quick_bench.project.variant("answer", "short", says("short"))
    quick_bench.register(graph)
    quick_bench.promote("*", "other")
    quick_bench.promote("answer", "short")
    result = quick_bench.run(graph, INPUT)
    assert quick_bench.execution(result.execution_id).variants == {"*": "other", "answer": "short"}
    assert quick_bench.resume(result.execution_id, "yes").state["notes"] == ["other first", "yes", "short", "last"]
    assert quick_bench.run(graph, INPUT, variants={"*": "default"}).state["notes"] == ["first"]


def test_a_fork_goes_on_in_another_graph_from_the_channels_of_the_checkpoint(bench: TestBench) -> None:
    parent = bench.run(own(), INPUT)
    fork = bench.fork(parent.execution_id, variants={"*": "other"}).execution_id
    assert bench.resume(fork, "yes").state["notes"] == ["first", "yes", "other", "last"]
    back = bench.fork(fork, node="answer", variants={"*": "default"})
    assert back.state["notes"] == ["first", "yes", "answer"]
    again = bench.fork(parent.execution_id, step=-1, variants={"*": "other"})
    assert again.state["notes"] == ["other first"]


def test_a_fork_leaves_behind_choices_for_nodes_that_the_other_graph_lacks(quick_bench: TestBench) -> None:
    quick_bench.project.variant("answer", "short", says("short"))
    parent = quick_bench.run(own(), INPUT, variants={"answer": "short"}).execution_id
    quick_bench.project.workflow_variant("no answer", chain(first=says("first"), ask=asks("?")))
    fork = quick_bench.fork(parent, variants={"*": "no answer"}, run=False).execution_id
    assert quick_bench.execution(fork).variants == {"*": "no answer"}


def test_a_graph_that_has_no_place_for_what_a_checkpoint_holds_is_refused(quick_bench: TestBench) -> None:
    parent = quick_bench.run(own(), INPUT).execution_id
    before = quick_bench.log()
    quick_bench.project.workflow_variant("pages", paging(ask=None))
    quick_bench.project.workflow_variant("elsewhere", chain(elsewhere=says("elsewhere")))
    with pytest.raises(InvalidState, match="'notes'"):
        quick_bench.fork(parent, variants={"*": "pages"})
    with pytest.raises(InvalidState, match="'ask'"):
        quick_bench.fork(parent, variants={"*": "elsewhere"})
    assert quick_bench.log() == before
    assert quick_bench.fork(parent, step=-1, variants={"*": "pages"}).state["pages"] == ["ask"]


def test_a_checkpoint_of_a_nested_graph_is_nowhere_in_another_graph(quick_bench: TestBench) -> None:
    parent = quick_bench.run(chain(sub=chain(ask=asks("?"))), INPUT).execution_id
    [inner] = [c.id for c in quick_bench.checkpoints(parent) if c.namespace][:1]
    with pytest.raises(InvalidState, match="nested"):
        quick_bench.fork(parent, at=inner, variants={"*": "other"})


def test_what_if_the_other_graph_had_run(quick_bench: TestBench) -> None:
    graph = chain(first=says("first"), answer=says("answer"), after=says("after"))
    quick_bench.project.workflow_variant(
        "longer", chain(first=says("first"), answer=says("other"), after=says("after"), last=says("last"))
    )
    execution = quick_bench.run(graph, INPUT).execution_id
    before = quick_bench.log()
    report = quick_bench.replay(execution, variants={"*": "longer"})
    assert [step.node for step in report.served] == ["first"]
    assert [step.node for step in report.ran] == ["answer", "after", "last"]
    assert report.state["notes"] == ["first", "other", "after", "last"]
    assert report.state_changes["notes"] == (["first", "answer", "after"], ["first", "other", "after", "last"])
    assert quick_bench.log() == before


def test_only_a_graph_that_is_known_stands_in(quick_bench: TestBench) -> None:
    with pytest.raises(InvalidVariant):
        quick_bench.project.variant("*", "short", says("short"))
    with pytest.raises(VariantNotFound):
        quick_bench.run(own(), INPUT, variants={"*": "nothing"})
