"""Facts are frozen, and what is stored of them reads back as it was."""

import json
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from wtb.domain.audit import AuditFact
from wtb.domain.batch import (
    BatchLifecycleFact,
    BatchRecordFact,
    BatchStarted,
    Budget,
    Case,
    CasesAdded,
    CaseScored,
    Price,
)
from wtb.domain.event_log import EMPTY_STREAM, AnyFact, Append, Appended, OfOthers, Origin, StreamHead, recorded
from wtb.domain.execution import (
    CheckpointSaved,
    ExecutionFact,
    ExecutionStarted,
    Fact,
    LifecycleFact,
    NodeFact,
    PauseRequested,
    RecordFact,
)
from wtb.domain.identifiers import NULL_DIGEST, Position, Version, WorkerId, execution_stream
from wtb.domain.workflow import WorkflowFact, WorkflowVersioned

FACTS: list[type[AnyFact]] = [
    kind
    for union in (LifecycleFact, RecordFact, WorkflowFact, BatchLifecycleFact, BatchRecordFact, AuditFact)
    for kind in get_args(union)
]

NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
VERSIONS = NUMBERS | st.text()
CHECKPOINT = {
    "metadata": st.dictionaries(st.text(), JSON, max_size=3),
    "channels": st.dictionaries(st.text(), st.tuples(VERSIONS, st.none() | st.text()), max_size=3),
    "versions_seen": st.dictionaries(st.text(), st.dictionaries(st.text(), VERSIONS, max_size=2), max_size=2),
}
"""Fields whose numbers are finite, as LangGraph's are; JSON has no others."""

MAPPING = st.dictionaries(st.text(), JSON, max_size=3)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
FIELDS: dict[type[Any], dict[str, st.SearchStrategy[Any]]] = {
    CheckpointSaved: CHECKPOINT,
    WorkflowVersioned: {"input_schema": st.none() | MAPPING, "output_schema": st.none() | MAPPING},
    CasesAdded: {"cases": st.lists(st.builds(Case, metadata=MAPPING), max_size=3).map(tuple)},
    BatchStarted: {
        "budget": st.none() | st.builds(Budget, seconds=st.none() | FINITE, cost=st.none() | FINITE),
        "prices": st.dictionaries(st.text(), st.builds(Price, input=FINITE, output=FINITE), max_size=2),
    },
    CaseScored: {"scores": st.dictionaries(st.text(), st.booleans() | NUMBERS | st.text(), max_size=3)},
}
"""What fields may hold where their types alone would say too much."""

EACH = pytest.mark.parametrize("kind", FACTS, ids=lambda kind: kind.__name__)


def facts(kind: type[AnyFact]) -> st.SearchStrategy[Fact]:
    return st.builds(kind, **FIELDS.get(kind, {}))


@EACH
@settings(max_examples=25)
@given(data=st.data())
def test_a_fact_reads_back_from_json_as_it_was(kind: type[AnyFact], data: st.DataObject) -> None:
    fact = data.draw(facts(kind))
    assert kind.model_validate_json(fact.model_dump_json()) == fact
    assert kind.model_validate(json.loads(fact.model_dump_json())) == fact


@EACH
@settings(max_examples=3)
@given(data=st.data())
def test_a_fact_can_not_be_changed_nor_given_fields_it_does_not_have(kind: type[AnyFact], data: st.DataObject) -> None:
    fact = data.draw(facts(kind))
    for field in kind.model_fields:
        with pytest.raises(ValidationError, match="frozen"):
            setattr(fact, field, getattr(fact, field))
    with pytest.raises(ValidationError, match="Extra inputs"):
        kind.model_validate({**fact.model_dump(), "unheard_of": 1})


def test_every_kind_of_fact_belongs_to_one_side() -> None:
    """Those that decisions rest on, and those that record the work."""
    lifecycle, record = set(get_args(LifecycleFact)), set(get_args(RecordFact))
    assert not lifecycle & record
    assert set(get_args(NodeFact)) < record
    assert lifecycle | record == set(get_args(ExecutionFact))
    assert not set(get_args(OfOthers)) & set(get_args(ExecutionFact))
    nested = {"Write", "Failure", "Question", "ForkPoint", "Stop"}
    nested |= {"NodeDescribed", "EdgeDescribed", "Case", "Budget", "Price", "Usage"}
    assert {kind.__name__ for kind in Fact.__subclasses__()} == nested | {kind.__name__ for kind in FACTS}


def test_what_was_appended_is_what_stands_in_the_log() -> None:
    started = ExecutionStarted(workflow="w", graph="g", input=NULL_DIGEST, worker=WorkerId("w"))
    origin = Origin("ada", "run", "00-trace")
    append = Append(
        execution_stream("e1"), StreamHead(Version(4), "d"), [started, PauseRequested()], [1_000_000, 2_000_001], origin
    )
    first, second = recorded(append, Appended(EMPTY_STREAM, [Position(8), Position(11)], ["e", "f"]))
    assert (first.position, first.version, first.type, first.fact, first.chain) == (
        8,
        5,
        "ExecutionStarted",
        started,
        "e",
    )
    assert (second.position, second.version, second.type, second.chain) == (11, 6, "PauseRequested", "f")
    assert {(each.stream, each.actor, each.cause, each.trace) for each in (first, second)} == {
        ("execution-e1", "ada", "run", "00-trace")
    }
    assert second.time.isoformat() == "1970-01-01T00:00:02.000001+00:00"
