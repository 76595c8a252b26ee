"""Workflows are known by name, with versions: noted once, asked for, compared, archived."""

import operator
import threading
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict

from tests.sdk.given import Notes, asks, chain, says
from tests.sdk.processes import die, dies_running
from wtb.domain.errors import (
    ArchivedWorkflow,
    ExecutionNotFound,
    GraphNotFound,
    InvalidRequest,
    InvalidState,
    WorkflowNotFound,
)
from wtb.domain.event_log import Origin
from wtb.domain.identifiers import workflow_stream
from wtb.domain.workflow import WorkflowRegistered, WorkflowVersioned
from wtb.sdk import EventSourcedSaver, TestBench, WorkflowProject
from wtb.sdk.registry import Registry


def told(bench: TestBench, workflow: str = "notes") -> list[str]:
    """What was noted of a workflow."""
    return [event.type for event in bench.platform.store.read(workflow_stream(workflow))]


ONCE = ["WorkflowRegistered", "WorkflowVersioned"]


# --- when it is noted ---------------------------------------------------------------------------------


def test_the_first_run_notes_the_workflow_and_its_version_and_the_next_ones_nothing(
    bench: TestBench, project: WorkflowProject
) -> None:
    graph = chain(a=says("x"))
    execution = bench.run(graph, {"query": "q"}).execution_id
    bench.run(graph, {"query": "q"})
    with TestBench(project) as other:
        other.run(chain(a=says("x")), {"query": "q"})
    assert told(bench) == ONCE
    assert bench.version("notes").version == bench.execution(execution).graph
    assert [event.type for event in bench.log()[:3]] == [*ONCE, "ExecutionStarted"]


async def test_a_run_on_an_event_loop_and_a_stream_note_it_too(bench: TestBench) -> None:
    await bench.arun(chain(a=says("x")), {"query": "q"}, workflow="one")
    for _ in bench.stream(chain(a=says("x")), {"query": "q"}, workflow="two"):
        pass
    assert told(bench, "one") == told(bench, "two") == ONCE


def test_another_graph_under_the_name_is_another_version(bench: TestBench) -> None:
    bench.run(chain(a=says("x")), {"query": "q"})
    bench.run(chain(a=says("x"), b=says("y")), {"query": "q"})
    bench.run(chain(a=says("x")), {"query": "q"})
    assert told(bench) == [*ONCE, "WorkflowVersioned"]
    assert [len(version.nodes) for version in bench.versions("notes")] == [2, 1]


def test_registering_notes_what_it_is_for_and_where_it_comes_from(bench: TestBench) -> None:
    graph = chain(a=says("x"))
    assert (
        bench.register(graph, workflow="triage", description="sorts", reference="agents:triage", actor="ada")
        == "triage"
    )
    found = bench.workflow("triage")
    assert (found.description, found.versions, found.archived) == ("sorts", 1, False)
    assert bench.version("triage").reference == "agents:triage"
    assert {event.actor for event in bench.log()} == {"ada"}
    bench.register(graph, workflow="triage")
    bench.register(graph, workflow="triage", description="sorts")
    assert told(bench, "triage") == ONCE
    bench.register(graph, workflow="triage", description="sorts better")
    assert bench.workflow("triage").description == "sorts better"


def test_what_is_refused_notes_nothing(bench: TestBench) -> None:
    with pytest.raises(InvalidState):
        bench.run(chain(a=says("x")), {"nonsense": 1})
    assert bench.log() == []
    paused = bench.run(chain(a=asks("?")), {"query": "q"}).execution_id
    end = bench.platform.store.last_position()
    with pytest.raises(InvalidState):
        bench.fork(paused, state={"nonsense": 1}, graph=chain(a=asks("?"), b=says("y")))
    assert bench.platform.store.last_position() == end


def test_resuming_with_another_graph_and_forking_note_its_version(bench: TestBench, project: WorkflowProject) -> None:
    paused = bench.run(chain(a=asks("?")), {"query": "q"}).execution_id
    bench.resume(paused, "yes", graph=chain(a=asks("?"), b=says("y")))
    assert len(bench.versions("notes")) == 2
    bench.fork(paused, graph=chain(a=asks("?"), b=says("y"), c=says("z")), run=False)
    assert len(bench.versions("notes")) == 3


def crashing() -> Any:
    return chain(a=says("x"), b=die)


def mended() -> Any:
    return chain(a=says("x"), b=says("y"))


def test_recovering_with_another_graph_notes_its_version(bench: TestBench, project: WorkflowProject) -> None:
    dies_running(project, crashing, "e")
    bench.recover("e", graph=mended())
    assert [event.type for event in bench.log() if event.type.startswith("Workflow")] == [*ONCE, "WorkflowVersioned"]
    assert len(bench.versions("notes")) == 2


def test_replaying_and_running_one_node_with_another_graph_note_nothing(bench: TestBench) -> None:
    execution = bench.run(chain(a=says("x")), {"query": "q"}).execution_id
    end = bench.platform.store.last_position()
    bench.replay(execution, graph=chain(a=says("other")))
    bench.run_node(execution, "a", graph=chain(a=says("other")))
    assert bench.platform.store.last_position() == end


def test_another_whole_graph_that_stands_in_is_a_version_of_the_workflow(
    bench: TestBench, project: WorkflowProject
) -> None:
    project.variant("*", "longer", chain(a=says("x"), b=says("y")))
    execution = bench.run(chain(a=says("x")), {"query": "q"}, variants={"*": "longer"}).execution_id
    assert bench.version("notes", bench.execution(execution).graph).nodes[1].path == "b"


def test_a_checkpointer_used_alone_notes_no_workflow(bench: TestBench, store_location: str) -> None:
    with EventSourcedSaver.from_conn_string(store_location) as saver:
        builder: Any = StateGraph(Notes)
        builder.add_node("a", says("x"))
        builder.add_edge(START, "a")
        builder.compile(checkpointer=saver).invoke({"query": "q"}, {"configurable": {"thread_id": "t"}})
    assert len(bench.workflows()) == 0
    assert {event.stream for event in bench.log()} == {"execution-t"}


def test_processes_that_note_a_version_at_once_note_it_once(bench: TestBench) -> None:
    graph = bench._workflows.prepared(chain(a=says("x")))
    registries = [Registry(bench.platform.store) for _ in range(6)]
    ready = threading.Barrier(len(registries))

    def note(registry: Registry) -> None:
        ready.wait()
        registry.note("raced", graph, Origin("ada"))

    threads = [threading.Thread(target=note, args=(registry,)) for registry in registries]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told(bench, "raced") == ONCE


@pytest.mark.parametrize("name", ["", "a\0b", "half \ud83d"])
def test_a_name_that_no_database_holds_is_refused_and_leaves_nothing(bench: TestBench, name: str) -> None:
    with pytest.raises(InvalidRequest):
        bench.platform.registry.note(name, bench._workflows.prepared(chain(a=says("x"))), Origin("ada"))
    assert bench.log() == []


class Odd:
    """Pydantic knows no schema of it."""


class Oddly(TypedDict, total=False):
    odd: Odd
    notes: Annotated[list[str], operator.add]


def test_what_has_no_schema_is_noted_without_one(bench: TestBench) -> None:
    builder: Any = StateGraph(Oddly)
    builder.add_node("a", says("x"))
    builder.add_edge(START, "a")
    assert bench.run(builder, {"notes": []}, workflow="odd").status == "completed"
    found = bench.version("odd")
    assert found.input_schema is None
    assert found.output_schema is None
    assert found.channels["odd"].endswith("Odd")


def test_a_graph_with_a_huge_description_is_noted_whole(bench: TestBench) -> None:
    builder: Any = StateGraph(Notes)
    for number in range(700):
        builder.add_node(f"{number}{'n' * 500}", says("x"))
        builder.add_edge(START, f"{number}{'n' * 500}")
    bench.register(builder, workflow="huge")
    assert len(bench.version("huge").nodes) == 700
    assert len(bench.version("huge").edges) == 1400


# --- asking -------------------------------------------------------------------------------------------


def test_workflows_are_listed_by_name_page_by_page(bench: TestBench) -> None:
    for name in ("b", "a", "c"):
        bench.register(chain(a=says("x")), workflow=name)
    first = bench.workflows(limit=2)
    assert [each.name for each in first] == ["a", "b"]
    rest = bench.workflows(limit=2, cursor=first.next_cursor)
    assert ([each.name for each in rest], rest.next_cursor) == (["c"], None)


def test_a_workflow_and_its_version_were_last_seen_when_an_execution_started(bench: TestBench) -> None:
    bench.register(chain(a=says("x")))
    before = bench.workflow("notes")
    execution = bench.run(chain(a=says("x")), {"query": "q"}).execution_id
    started = bench.execution(execution).started_at
    assert before.first_seen == before.last_seen == bench.workflow("notes").first_seen < started
    assert bench.workflow("notes").last_seen == bench.version("notes").last_seen == started


def test_what_is_not_there_is_told_with_what_to_do(bench: TestBench) -> None:
    bench.register(chain(a=says("x")))
    asked: list[Callable[[], object]] = [
        lambda: bench.workflow("nobody"),
        lambda: bench.workflow("a\0b"),
        lambda: bench.versions("nobody"),
        lambda: bench.draw("nobody"),
        lambda: bench.archive_workflow("nobody", ""),
    ]
    for ask in asked:
        with pytest.raises(WorkflowNotFound) as unknown:
            ask()
        assert unknown.value.hint
    for digest in ("0" * 16, "a\0b"):
        with pytest.raises(GraphNotFound, match="has no version"):
            bench.version("notes", digest)
    with pytest.raises(ExecutionNotFound):
        bench.workflow_changes("nobody", "nothing")


# --- what changed -------------------------------------------------------------------------------------


class Counted(TypedDict, total=False):
    query: str
    count: int
    notes: Annotated[list[str], operator.add]


def branching(limit: int = 1, *, ends: dict[str, str] | None = None, schema: Any = Notes, **more: Any) -> Any:
    """start → sort ⇢ more or the end."""
    builder: Any = StateGraph(schema)
    builder.add_node("sort", lambda state: {"notes": [str(limit)]})
    builder.add_node("more", says("more"))
    for name, node in more.items():
        builder.add_node(name, node)
        builder.add_edge("more", name)
    builder.add_edge(START, "sort")
    builder.add_conditional_edges("sort", lambda state: END, ends or {"yes": "more", "no": END})
    return builder


def test_what_changed_between_two_runs_is_told_node_by_node(bench: TestBench) -> None:
    first = bench.run(branching(), {"query": "q"}).execution_id
    second = bench.run(branching(2, last=says("last"), schema=Counted), {"query": "q"}).execution_id
    found = bench.workflow_changes(first, second)
    assert not found.equal
    assert (found.added, found.removed, found.changed) == (("last",), (), ("sort",))
    assert [(edge.source, edge.target) for edge in found.edges_added] == [("more", "last"), ("last", END)]
    assert [(edge.source, edge.target) for edge in found.edges_removed] == [("more", END)]
    assert [str(change) for change in found.channels] == ['+ count: "int"']
    assert "input.properties.count" in {change.path for change in found.schemas}
    back = bench.version_changes("notes", found.b.version, found.a.version)
    assert (back.added, back.removed, back.changed) == ((), ("last",), ("sort",))


def test_a_type_that_changed_makes_another_version(bench: TestBench) -> None:
    class Texts(TypedDict, total=False):
        query: str
        count: str
        notes: Annotated[list[str], operator.add]

    bench.register(branching(schema=Counted))
    before = bench.version("notes").version
    bench.register(branching(schema=Texts))
    found = bench.version_changes("notes", before)
    assert [str(change) for change in found.channels] == ['~ count: "int" → "str"']
    assert found.changed == ()


def test_the_same_version_has_no_changes(bench: TestBench) -> None:
    one, two = (bench.run(branching(), {"query": "q"}).execution_id for _ in range(2))
    found = bench.workflow_changes(one, two)
    assert found.equal
    assert not found
    assert found.lines() == []
    assert bench.diff(one, two).versions is None


def test_changes_read_well_in_a_repl_and_in_jupyter_and_as_data(quick_bench: TestBench) -> None:
    quick_bench.register(branching())
    a = quick_bench.version("notes").version
    quick_bench.register(branching(2, ends={"<yes>": "more", "no": END}))
    found = quick_bench.version_changes("notes", a)
    assert repr(found).splitlines() == [
        f"<VersionChanges: notes {a} → notes {found.b.version}: nodes 1 changed>",
        "  ~ node sort",
        "  + edge sort ⇢ more (<yes>)",
        "  - edge sort ⇢ more (yes)",
    ]
    assert "&lt;yes&gt;" in found._repr_html_()
    assert list(found.data()["changed"]) == ["sort"]
    assert found.data()["edges_added"][0]["label"] == "<yes>"


def test_a_diff_names_the_nodes_that_changed_between_the_versions(bench: TestBench) -> None:
    first = bench.run(branching(), {"query": "q"}).execution_id
    second = bench.run(branching(2), {"query": "q"}).execution_id
    found = bench.diff(first, second)
    assert found.versions is not None
    assert found.versions.changed == ("sort",)
    assert "they ran different versions: changed sort" in repr(found)
    assert "they ran different versions: changed sort" in found._repr_html_()
    assert list(found.data()["versions"]["changed"]) == ["sort"]


# --- archived -----------------------------------------------------------------------------------------


def test_an_archived_workflow_is_not_started_but_all_else_goes_on(bench: TestBench) -> None:
    graph = chain(a=asks("?"), b=says("y"))
    paused = bench.run(graph, {"query": "q"}).execution_id
    assert bench.archive_workflow("notes", "old", actor="ada").archived
    end = bench.platform.store.last_position()
    with pytest.raises(ArchivedWorkflow):
        bench.run(graph, {"query": "q"})
    assert bench.platform.store.last_position() == end
    assert len(bench.workflows()) == 0
    assert [each.name for each in bench.workflows(archived=True)] == ["notes"]
    assert bench.fork(paused).status == "paused"
    assert bench.resume(paused, "yes").status == "completed"
    assert bench.replay(paused).identical
    assert bench.state(paused)["notes"] == ["yes", "y"]
    assert not bench.restore_workflow("notes", "wanted").archived
    assert bench.run(graph, {"query": "q"}).status == "paused"


def test_archiving_twice_is_noted_once_with_its_reason(bench: TestBench) -> None:
    bench.register(chain(a=says("x")))
    bench.archive_workflow("notes", "old", actor="ada")
    bench.archive_workflow("notes", "older")
    bench.restore_workflow("notes")
    bench.restore_workflow("notes")
    assert told(bench) == [*ONCE, "WorkflowArchived", "WorkflowRestored"]
    archived = bench.platform.store.read(workflow_stream("notes"))[2]
    assert (archived.fact.reason, archived.actor, archived.cause) == ("old", "ada", "archive_workflow")  # type: ignore[union-attr]


# --- with the rest ------------------------------------------------------------------------------------


def test_the_facts_read_models_and_proof_hold_together(bench: TestBench) -> None:
    bench.run(branching(), {"query": "q"})
    bench.run(branching(2), {"query": "q"})
    bench.archive_workflow("notes", "old")
    shown = (bench.workflow("notes"), list(bench.versions("notes")))
    bench.rebuild()
    assert (bench.workflow("notes"), list(bench.versions("notes"))) == shown
    assert bench.verify().whole
    facts = [event.fact for event in bench.log() if isinstance(event.fact, WorkflowRegistered | WorkflowVersioned)]
    assert len(facts) == 3
