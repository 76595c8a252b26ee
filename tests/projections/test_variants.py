"""One row for each variant: given a workflow's facts, then what is promoted, retired and registered anew."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from tests.projections.given import rows_of, second, started, walk
from wtb.domain.event_log import Append, Origin
from wtb.domain.identifiers import execution_stream, workflow_stream
from wtb.domain.workflow import (
    VariantPromoted,
    VariantRegistered,
    VariantRestored,
    VariantRetired,
    WorkflowFact,
    WorkflowRegistered,
)
from wtb.infra.event_store.store import EventStore
from wtb.projections import variants
from wtb.projections.database import engine_for
from wtb.projections.projector import Projector

SHORT = VariantRegistered(node="answer", name="short", code="1", kind="function", reference="a:b")
LONG = VariantRegistered(node="answer", name="long", code="2", kind="graph", description="Long.")
FACTS: list[WorkflowFact] = [
    WorkflowRegistered(),
    SHORT,
    LONG,
    VariantPromoted(node="answer", name="short"),
    VariantPromoted(node="answer", name="long"),
    VariantRetired(node="answer", name="short"),
    SHORT.model_copy(update={"code": "3", "description": "Shorter."}),
    VariantPromoted(node="elsewhere", name="default"),
    VariantRetired(node="answer", name="unheard of"),
]


@pytest.fixture
def engine(store_location: str) -> Iterator[Engine]:
    engine = engine_for(store_location)
    yield engine
    engine.dispose()


def tell(store: EventStore, workflow: str, facts: list[WorkflowFact]) -> None:
    for fact in facts:
        stream = workflow_stream(workflow)
        head = store.head(stream)
        store.append([Append(stream, head, [fact], [(head.version + 1) * 1_000_000], Origin("ada"))])
        other = execution_stream(f"{workflow}-{head.version}")
        store.append([Append(other, store.head(other), [started(workflow)], [1], Origin("bob"))])


@pytest.mark.parametrize("batch", [1, 3, 1000])
def test_rows_are_the_same_however_the_log_is_cut(store: EventStore, engine: Engine, batch: int) -> None:
    tell(store, "w", FACTS)
    tell(store, "v", FACTS[:2])
    Projector(store, engine, batch).catch_up()
    with engine.connect() as connection:
        of_v, long, short = variants.page(connection)
    assert (of_v.workflow, of_v.node, of_v.name) == ("v", "answer", "short")
    assert (long.name, long.promoted, long.retired, long.revisions) == ("long", True, False, 1)
    assert (long.kind, long.description, long.reference) == ("graph", "Long.", None)
    assert (short.promoted, short.retired, short.revisions) == (False, True, 2)
    assert (short.code, short.description, short.reference) == ("3", "Shorter.", "a:b")
    assert (short.registered_at, short.by) == (second(2), "ada")


def test_facts_that_come_later_change_the_rows_that_are_there(store: EventStore, engine: Engine) -> None:
    projector = Projector(store, engine)
    for fact in FACTS:
        tell(store, "w", [fact])
        projector.catch_up()
    one_by_one = rows_of(engine)["wtb_variants"]
    projector.rebuild()
    assert rows_of(engine)["wtb_variants"] == one_by_one
    tell(store, "w", [VariantRestored(node="answer", name="short"), VariantPromoted(node="answer", name="default")])
    projector.catch_up()
    with engine.connect() as connection:
        assert [(row.promoted, row.retired) for row in variants.page(connection)] == [(False, False)] * 2


def test_a_listing_goes_on_where_a_page_ended(store: EventStore, engine: Engine) -> None:
    nodes = ["a", "a/b", "b", "ü"]
    facts = [SHORT.model_copy(update={"node": node, "name": name}) for node in nodes for name in ("x", "y")]
    for workflow in ("w", "v"):
        tell(store, workflow, [*facts])
    Projector(store, engine).catch_up()
    with engine.connect() as connection:
        rows = walk(lambda **turn: variants.page(connection, limit=3, **turn))
        assert variants.get(connection, "w", "a", "z") is None
        assert variants.get(connection, "w", "a/b", "y") in rows
        assert variants.workflows(connection, "a", None) == ("v", "w")
        assert variants.workflows(connection, "a", "z") == ()
    expected = [(workflow, node, name) for workflow in ("v", "w") for node in nodes for name in ("x", "y")]
    assert [(row.workflow, row.node, row.name) for row in rows] == expected
