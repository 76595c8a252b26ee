"""Rows of workflows and of their versions, from facts; the same however the log is cut."""

from collections.abc import Sequence

import pytest

from tests.projections.given import ReadModels, rows_of, second, started
from wtb.domain.errors import InvalidCursor
from wtb.domain.event_log import Append, Origin
from wtb.domain.execution import ExecutionStarted
from wtb.domain.identifiers import NULL_DIGEST, WorkerId, workflow_stream
from wtb.domain.workflow import (
    NodeDescribed,
    VariantRegistered,
    WorkflowArchived,
    WorkflowFact,
    WorkflowRegistered,
    WorkflowRestored,
    WorkflowVersioned,
)
from wtb.projections import versions, workflows
from wtb.projections.projector import Projector


def noted(models: ReadModels, workflow: str, *facts: WorkflowFact, at: int) -> None:
    """Facts about a workflow, all of them in one second."""
    stream = workflow_stream(workflow)
    models.log.append([Append(stream, models.log.head(stream), facts, [at * 1_000_000] * len(facts), Origin("ada"))])


def versioned(digest: str, *nodes: str) -> WorkflowVersioned:
    return WorkflowVersioned(
        version=digest,
        nodes=tuple(NodeDescribed(path=node, code="c") for node in nodes),
        edges=(),
        channels={"n": "int"},
        input_schema={"type": "object"},
        output_schema=None,
        reference="agents:w",
    )


def variant(name: str) -> VariantRegistered:
    return VariantRegistered(node="a", name=name, code="c", kind="function")


def ran(workflow: str, graph: str) -> ExecutionStarted:
    return ExecutionStarted(workflow=workflow, graph=graph, input=NULL_DIGEST, worker=WorkerId("ada"))


def test_a_workflow_stands_where_its_facts_have_brought_it(models: ReadModels) -> None:
    noted(models, "w", WorkflowRegistered(description="sorts"), versioned("1", "a"), at=10)
    noted(models, "w", versioned("2", "a", "b"), variant("short"), variant("short"), variant("long"), at=20)
    with models.now() as connection:
        found = workflows.get(connection, "w")
    assert found is not None
    assert (found.description, found.archived, found.version) == ("sorts", False, "2")
    assert (found.versions, found.variants) == (2, 2)
    assert (found.first_seen, found.last_seen) == (second(10), second(20))
    assert found.position == models.log.last_position()


def test_a_version_holds_all_that_was_described(models: ReadModels) -> None:
    noted(models, "w", versioned("1", "a"), at=10)
    noted(models, "w", versioned("2", "a", "b"), at=20)
    with models.now() as connection:
        newest, first = versions.get(connection, "w"), versions.get(connection, "w", "1")
        assert versions.get(connection, "w", "3") is None
        assert versions.get(connection, "other") is None
        page = versions.of(connection, "w", limit=1)
        rest = versions.of(connection, "w", limit=1, cursor=page.next_cursor)
    assert newest is not None
    assert [node.path for node in newest.nodes] == ["a", "b"]
    assert (newest.channels, newest.input_schema, newest.output_schema) == ({"n": "int"}, {"type": "object"}, None)
    assert newest.reference == "agents:w"
    assert [*page, *rest] == [newest, first]
    assert rest.next_cursor is None


def test_archived_workflows_are_listed_when_they_are_asked_for(models: ReadModels) -> None:
    noted(models, "a", WorkflowRegistered(), WorkflowArchived(), at=1)
    noted(models, "b", WorkflowRegistered(), at=1)
    noted(models, "c", WorkflowRegistered(), WorkflowArchived(), WorkflowRestored(), at=1)
    with models.now() as connection:
        assert [each.name for each in workflows.page(connection)] == ["b", "c"]
        page = workflows.page(connection, archived=True, limit=2)
        assert [each.name for each in page] == ["a", "b"]
        assert [each.name for each in workflows.page(connection, archived=True, cursor=page.next_cursor)] == ["c"]
        with pytest.raises(InvalidCursor):
            workflows.page(connection, cursor=page.next_cursor)


def test_an_execution_says_when_its_workflow_and_version_were_last_seen(models: ReadModels) -> None:
    models.given("early", ran("w", "1"))
    noted(models, "w", WorkflowRegistered(), versioned("1", "a"), versioned("2", "a"), at=0)
    models.given("e", started("w"), *[ran("w", "1")] * 4)
    models.given("other", ran("elsewhere", "1"))
    with models.now() as connection:
        workflow = workflows.get(connection, "w")
        one, two = versions.get(connection, "w", "1"), versions.get(connection, "w", "2")
        assert workflows.get(connection, "elsewhere") is None
    assert workflow is not None
    assert one is not None
    assert two is not None
    assert (workflow.last_seen, one.last_seen, two.last_seen) == (second(5), second(5), second(0))


def busy(models: ReadModels) -> None:
    models.given("e0", ran("w", "1"))
    noted(models, "w", WorkflowRegistered(), versioned("1", "a"), at=3)
    models.given("e1", ran("w", "1"), ran("v", "9"))
    noted(models, "v", WorkflowRegistered(), versioned("9", "a"), variant("x"), at=2)
    models.given("e2", ran("v", "9"), ran("w", "2"), ran("w", "1"))
    noted(models, "w", versioned("2", "a"), WorkflowArchived(), at=1)
    models.given("e3", *[ran("w", "2")] * 7)
    noted(models, "w", variant("y"), WorkflowRestored(), at=2)


@pytest.mark.parametrize("batch", [1, 2, 3, 1000])
def test_however_the_log_is_cut_the_rows_end_up_the_same(models: ReadModels, batch: int) -> None:
    busy(models)
    models.projector.rebuild()
    whole: dict[str, Sequence[object]] = dict(rows_of(models.engine))
    assert len(whole["wtb_workflows"]) == 2
    assert len(whole["wtb_versions"]) == 3
    Projector(models.log, models.engine, batch=batch).rebuild()
    assert rows_of(models.engine) == whole


def test_a_name_from_a_bundle_that_no_database_holds_stops_nothing(models: ReadModels) -> None:
    noted(models, "w", WorkflowRegistered(), versioned("1", "a"), at=1)
    models.given("odd", ran("a\0b", "1"), ran("w", "1\0"))
    with models.now() as connection:
        assert [each.name for each in workflows.page(connection)] == ["w"]
