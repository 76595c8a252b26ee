"""Variants are facts: registered with their graph, promoted, retired; and what runs when they are chosen, or not."""

from pathlib import Path
from typing import Any

import pytest
from langchain_core.runnables import RunnableLambda

from tests.sdk.given import Notes, asks, chain, says
from wtb.domain.errors import (
    ArchivedWorkflow,
    GraphNotFound,
    InvalidCursor,
    InvalidRequest,
    InvalidVariant,
    RetiredVariant,
    VariantNotFound,
    WorkflowNotFound,
)
from wtb.domain.workflow import VariantRegistered, WorkflowArchived
from wtb.sdk import TestBench, Variant, WorkflowProject

INPUT = {"query": "q"}


def short(state: Notes) -> Notes:
    """Answers in a word.

    And that is all.
    """
    return {"notes": ["short"]}


async def slow(state: Notes) -> Notes:
    return {"notes": ["slow"]}


def registered(bench: TestBench) -> list[VariantRegistered]:
    return [event.fact for event in bench.log() if isinstance(event.fact, VariantRegistered)]


def ran(bench: TestBench, execution: str) -> list[tuple[str, str | None]]:
    return [(step.node, step.variant) for step in bench.steps(execution)]


# --- registering --------------------------------------------------------------------------------------


def test_a_variant_is_noted_when_a_graph_with_its_node_is_registered_and_once(bench: TestBench) -> None:
    bench.project.variant("answer", "short", short)
    graph = chain(answer=says("answer"))
    bench.register(graph)
    bench.run(graph, INPUT)
    bench.run(chain(answer=says("answer")), INPUT, variants={"answer": "short"})
    [fact] = registered(bench)
    assert (fact.node, fact.name, fact.kind, fact.description) == ("answer", "short", "function", "Answers in a word.")
    assert fact.reference == "tests.sdk.test_promotion:short"
    assert len(fact.code) == 16


def test_a_process_that_finds_it_noted_writes_nothing(project: WorkflowProject) -> None:
    project.variant("answer", "short", short)
    for _ in range(2):
        with TestBench(project) as bench:
            bench.register(chain(answer=says("answer")))
            assert len(registered(bench)) == 1


def test_other_code_under_the_same_name_is_noted_anew(tmp_path: Path) -> None:
    def revision(text: str) -> Variant:
        project = WorkflowProject("notes", tmp_path / "wtb.db", tmp_path / "out")
        project.variant("answer", "short", says(text))
        with TestBench(project) as bench:
            bench.register(chain(answer=says("answer")))
            return bench.variants()[0]

    first, second, same = map(revision, ("one", "two", "two"))
    assert first.code != second.code
    assert (first.revisions, second.revisions) == (1, 2)
    assert same == second


def test_what_kind_it_is_is_noted(quick_bench: TestBench) -> None:
    kinds = {"function": short, "coroutine": slow, "runnable": RunnableLambda(short), "graph": chain(inner=short)}
    for kind, implementation in kinds.items():
        quick_bench.project.variant("answer", kind, implementation, description=f"a {kind}")
    quick_bench.register(chain(answer=says("answer")))
    assert {fact.name: (fact.kind, fact.description) for fact in registered(quick_bench)} == {
        kind: (kind, f"a {kind}") for kind in kinds
    }


def test_an_implementation_that_is_given_for_one_run_is_noted_too(quick_bench: TestBench) -> None:
    graph = chain(answer=says("answer"))
    quick_bench.run(graph, INPUT, variants={"answer": short})
    quick_bench.run(graph, INPUT, variants={"answer": short})
    parent = quick_bench.run(graph, INPUT, variants={"answer": slow}).execution_id
    quick_bench.fork(parent, step=-1, variants={"answer": says("other")})
    assert [fact.name for fact in registered(quick_bench)] == ["short", "slow", "lambda"]


def test_a_variant_may_be_named_as_text(quick_bench: TestBench) -> None:
    quick_bench.project.variant("answer", "short", "tests.sdk.test_promotion:short")
    result = quick_bench.run(chain(answer=says("answer")), INPUT, variants={"answer": "short"})
    assert result.state["notes"] == ["short"]
    [fact] = registered(quick_bench)
    assert fact.reference == "tests.sdk.test_promotion:short"


def test_text_that_leads_nowhere_is_refused_at_once(quick_bench: TestBench) -> None:
    with pytest.raises(GraphNotFound):
        quick_bench.project.variant("answer", "short", "tests.sdk.test_promotion:nothing")
    assert quick_bench.project.variants.names("answer") == ()


def test_a_variant_of_another_workflows_node_is_noted_there_alone(quick_bench: TestBench) -> None:
    quick_bench.project.variant("answer", "short", short)
    quick_bench.project.variant("draft", "brief", short)
    quick_bench.run(chain(answer=says("answer")), INPUT, workflow="answering")
    quick_bench.run(chain(draft=says("draft")), INPUT, workflow="drafting")
    assert [(row.workflow, row.node) for row in quick_bench.variants()] == [
        ("answering", "answer"),
        ("drafting", "draft"),
    ]


def test_a_refused_implementation_leaves_no_trace(quick_bench: TestBench) -> None:
    graph = chain(answer=says("answer"))

    def none_at_all() -> Notes:
        return {}

    with pytest.raises(InvalidVariant):
        quick_bench.run(graph, INPUT, variants={"answer": none_at_all})
    assert registered(quick_bench) == []
    assert quick_bench.run(graph, INPUT).status == "completed"


# --- choosing -----------------------------------------------------------------------------------------


def test_what_was_promoted_runs_where_nothing_is_chosen(bench: TestBench) -> None:
    bench.project.variant("answer", "short", short)
    graph = chain(answer=says("answer"), after=says("after"))
    bench.register(graph)
    assert bench.promote("answer", "short", reason="better").changed
    assert not bench.promote("answer", "short").changed

    execution = bench.run(graph, INPUT).execution_id
    assert ran(bench, execution) == [("answer", "short"), ("after", None)]
    assert bench.execution(execution).variants == {"answer": "short"}

    own = bench.run(graph, INPUT, variants={"answer": "default"}).execution_id
    assert ran(bench, own) == [("answer", None), ("after", None)]
    assert bench.replay(own).identical
    assert bench.replay(execution).identical

    bench.promote("answer", "default")
    assert ran(bench, bench.run(graph, INPUT).execution_id) == [("answer", None), ("after", None)]


def test_another_process_that_lacks_a_promoted_variant_is_told_so(project: WorkflowProject, tmp_path: Path) -> None:
    project.variant("answer", "short", short)
    graph = chain(answer=says("answer"))
    with TestBench(project) as bench:
        bench.register(graph)
        bench.promote("answer", "short")
    with TestBench(WorkflowProject("notes", project.db_path, tmp_path / "out")) as bench:
        with pytest.raises(VariantNotFound) as refusal:
            bench.run(graph, INPUT)
        assert "promoted" in refusal.value.hint
        assert bench.executions().items == ()
        assert bench.run(graph, INPUT, variants={"answer": "default"}).state["notes"] == ["answer"]


def test_a_promotion_for_a_node_that_is_gone_counts_for_nothing(quick_bench: TestBench) -> None:
    quick_bench.project.variant("answer", "short", short)
    quick_bench.register(chain(answer=says("answer")))
    quick_bench.promote("answer", "short")
    result = quick_bench.run(chain(reply=says("reply")), INPUT)
    assert quick_bench.execution(result.execution_id).variants == {}


def test_a_retired_variant_is_refused_and_what_ran_with_it_goes_on(bench: TestBench) -> None:
    bench.project.variant("answer", "short", short)
    bench.project.variant("answer", "slow", slow)
    graph = chain(ask=asks("?"), answer=says("answer"))
    paused = bench.run(graph, INPUT, variants={"answer": "short"}).execution_id
    bench.promote("answer", "short")
    bench.retire("answer", "short", reason="worse")
    before = bench.log()

    with pytest.raises(RetiredVariant):
        bench.run(graph, INPUT, variants={"answer": "short"})
    with pytest.raises(RetiredVariant):
        bench.promote("answer", "short")
    with pytest.raises(RetiredVariant):
        bench.fork(paused, variants={"answer": "short"})
    assert bench.log() == before

    inherits = bench.fork(paused).execution_id
    assert bench.execution(inherits).variants == {"answer": "short"}
    assert bench.resume(paused, "yes").state["notes"] == ["yes", "short"]
    assert bench.resume(inherits, "no").state["notes"] == ["no", "short"]
    assert bench.replay(paused).identical
    assert bench.fork(paused, node="answer", variants={"answer": "slow"}).state["notes"] == ["yes", "slow"]

    assert bench.restore_variant("answer", "short").changed
    assert bench.run(graph, INPUT, variants={"answer": "short"}).status == "paused"
    assert bench.execution(bench.run(graph, INPUT).execution_id).variants == {}  # it isn't promoted thereby


def test_a_failed_execution_is_retried_with_its_retired_variant(quick_bench: TestBench) -> None:
    luck: list[str] = []

    def fragile(state: Notes) -> Notes:
        luck.append("tried")
        if len(luck) == 1:
            raise RuntimeError("no luck")
        return {"notes": ["fragile"]}

    failed = quick_bench.run(chain(answer=says("answer")), INPUT, variants={"answer": fragile}).execution_id
    quick_bench.retire("answer", "fragile")
    assert quick_bench.retry(failed).state["notes"] == ["fragile"]


def test_a_fork_keeps_its_parents_choices_and_takes_no_promotions(quick_bench: TestBench) -> None:
    quick_bench.project.variant("answer", "short", short)
    graph = chain(first=says("first"), answer=says("answer"))
    parent = quick_bench.run(graph, INPUT).execution_id
    quick_bench.promote("answer", "short")
    assert quick_bench.fork(parent, node="answer").state["notes"] == ["first", "answer"]
    assert quick_bench.fork(parent, node="answer", variants={"answer": "short"}).state["notes"] == ["first", "short"]


def test_an_archived_workflow_is_not_run_and_its_executions_go_on(quick_bench: TestBench) -> None:
    graph = chain(ask=asks("?"))
    parent = quick_bench.run(graph, INPUT).execution_id
    platform = quick_bench.platform
    platform.registry.decide("notes", lambda now: [] if now.archived else [WorkflowArchived()], platform.origin())
    with pytest.raises(ArchivedWorkflow):
        quick_bench.run(graph, INPUT)
    assert quick_bench.fork(parent).status == "paused"
    assert quick_bench.resume(parent, "yes").status == "completed"


# --- commands and the listing -------------------------------------------------------------------------


def test_a_command_means_the_projects_workflow_or_the_only_one_that_has_the_variant(quick_bench: TestBench) -> None:
    quick_bench.project.variant("answer", "short", short)
    graph = chain(answer=says("answer"))
    with pytest.raises(VariantNotFound):
        quick_bench.promote("answer", "short")
    quick_bench.register(graph, workflow="one")
    assert quick_bench.promote("answer", "short").workflow == "one"
    quick_bench.register(graph, workflow="two")
    with pytest.raises(InvalidRequest, match="one, two"):
        quick_bench.retire("answer", "short")
    assert quick_bench.retire("answer", "short", workflow="two").workflow == "two"
    quick_bench.register(graph, workflow="notes")
    assert quick_bench.retire("answer", "short").workflow == "notes"
    with pytest.raises(WorkflowNotFound):
        quick_bench.promote("answer", "short", workflow="three")
    with pytest.raises(VariantNotFound):
        quick_bench.promote("answer", "long", workflow="one")


def test_variants_are_listed_as_they_stand(bench: TestBench) -> None:
    bench.project.variant("answer", "short", short)
    bench.project.variant("answer", "slow", slow)
    bench.project.variant("after", "short", short)
    bench.register(chain(answer=says("answer"), after=says("after")))
    bench.promote("answer", "short")
    bench.promote("answer", "slow")
    bench.retire("after", "short")

    def shown(**filters: Any) -> list[tuple[str, str, bool, bool]]:
        return [(row.node, row.name, row.promoted, row.retired) for row in bench.variants(**filters)]

    everything = [("after", "short", False, True), ("answer", "short", False, False), ("answer", "slow", True, False)]
    assert shown() == everything
    assert shown(node="answer") == everything[1:]
    assert shown(retired=True) == everything[:1]
    assert shown(retired=False, workflow="notes") == everything[1:]
    assert shown(workflow="other") == []
    first = bench.variants(limit=2)
    assert first.next_cursor is not None
    assert [row.name for row in bench.variants(limit=2, cursor=first.next_cursor)] == ["slow"]
    with pytest.raises(InvalidCursor):
        bench.variants(node="answer", cursor=first.next_cursor)
    assert first[0].by == "tester"
    assert bench.rebuild()
    assert shown() == everything
