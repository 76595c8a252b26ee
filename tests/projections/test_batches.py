"""What a batch's facts come to as its row, and how batches are listed."""

from functools import partial
from typing import Any

import pytest

from tests.projections.given import (
    NO_CURSORS,
    ReadModels,
    batch_started,
    case_finished,
    case_scored,
    second,
    started,
    walk,
)
from wtb.domain.batch import BatchCompleted, BatchFact, BatchResumed, BatchStopped, BatchStopRequested
from wtb.domain.errors import InvalidCursor, InvalidRequest
from wtb.domain.identifiers import BatchId, Version, WorkerId
from wtb.projections import batches
from wtb.projections.batches import Batch

TWO = ({"answer": "default"}, {"answer": "short"})
STOPPED = BatchStopped(reason="budget", detail="9 tokens")
RESUMED = BatchResumed(worker=WorkerId("bob"))


def shown(models: ReadModels, batch: str = "b1") -> Batch:
    with models.now() as connection:
        found = batches.get(connection, batch)
    assert found is not None
    return found


def test_a_batch_is_shown_from_its_start(models: ReadModels) -> None:
    begin = batch_started(
        3, TWO, repeats=2, scores=("exact",), preferences=("judge",), description="is short better", workflow="triage"
    )
    (position,) = models.given_batch("b1", begin)
    assert shown(models) == Batch(
        id=BatchId("b1"),
        workflow="triage",
        graph="g",
        status="running",
        stop_requested=False,
        stop_reason=None,
        stop_detail="",
        worker=WorkerId("ada"),
        actor="ada",
        description="is short better",
        cases=3,
        combinations=TWO,
        repeats=2,
        trials=12,
        finished=0,
        failed=0,
        scores=("exact",),
        preferences=("judge",),
        input_tokens=0,
        output_tokens=0,
        started_at=second(1),
        updated_at=second(1),
        ended_at=None,
        version=Version(1),
        position=position,
    )


LATER: list[tuple[list[BatchFact], dict[str, Any]]] = [
    ([BatchCompleted(duration_us=1)], {"status": "completed", "ended_at": second(2)}),
    (
        [STOPPED],
        {"status": "stopped", "stop_reason": "budget", "stop_detail": "9 tokens", "ended_at": second(2)},
    ),
    ([BatchStopRequested()], {"status": "running", "stop_requested": True}),
    ([BatchStopRequested(), STOPPED], {"status": "stopped", "stop_requested": False}),
    ([STOPPED, BatchStopRequested()], {"status": "stopped", "stop_requested": False}),
    ([STOPPED, RESUMED], {"status": "running", "worker": "bob", "stop_reason": None, "ended_at": None}),
    ([STOPPED, RESUMED, BatchCompleted(duration_us=1)], {"status": "completed", "stop_reason": None}),
]


@pytest.mark.parametrize(("facts", "row"), LATER)
def test_a_batch_is_shown_as_it_stands(models: ReadModels, facts: list[BatchFact], row: dict[str, Any]) -> None:
    positions = models.given_batch("b1", batch_started(), *facts)
    found = shown(models)
    assert {name: getattr(found, name) for name in row} == row
    assert (found.position, found.version) == (positions[-1], 1 + len(facts))


def test_a_batch_counts_its_trials_as_they_ended_last(models: ReadModels) -> None:
    models.given_batch(
        "b1",
        batch_started(2, TWO),
        case_finished("c0", status="failed", tokens=3),
        case_finished("c1", status="timed_out"),
        case_finished("c0", 1, status="lost"),
        case_finished("c1", 1, status="paused"),
    )
    models.given_batch("b2", batch_started(), case_finished("c0", status="failed"))
    assert (shown(models).finished, shown(models).failed) == (4, 3)
    models.given_batch("b1", case_finished("c0", tokens=5))
    found = shown(models)
    assert (found.finished, found.failed, found.input_tokens, found.output_tokens) == (4, 2, 5, 1)


def test_an_execution_whose_id_looks_like_a_batch_s_stream_is_none_of_its(models: ReadModels) -> None:
    models.given("batch-b1", started())
    models.given_batch("b1", batch_started(), case_finished("c0"), case_scored("c0", exact=True))
    models.given("batch-b1", started("other"))
    assert shown(models).workflow == "w"


def test_there_is_no_batch_of_another_id(models: ReadModels) -> None:
    models.given_batch("b1", batch_started())
    with models.now() as connection:
        assert batches.get(connection, "b2") is None


def test_pages_lead_through_what_was_asked_for_those_started_last_first(models: ReadModels) -> None:
    for number in range(5):
        end = [BatchCompleted(duration_us=1)] if number % 2 else []
        models.given_batch(f"b{number}", batch_started(workflow=f"w{number // 3}"), case_finished("c0"), *end)
    with models.now() as connection:
        asked: list[tuple[dict[str, Any], str]] = [
            ({}, "43210"),
            ({"status": "completed"}, "31"),
            ({"workflow": "w0"}, "210"),
            ({"status": "running", "workflow": "w1"}, "4"),
        ]
        for wanted, ids in asked:
            found = walk(partial(batches.page, connection, limit=2, **wanted))
            assert [row.id for row in found] == [f"b{number}" for number in ids]
            assert all(row.finished == 1 for row in found)


@pytest.mark.parametrize("cursor", NO_CURSORS)
def test_what_is_no_cursor_is_refused(models: ReadModels, cursor: str) -> None:
    with models.now() as connection, pytest.raises(InvalidCursor):
        batches.page(connection, cursor=cursor)


def test_a_page_has_room_for_one_row_or_more(models: ReadModels) -> None:
    with models.now() as connection, pytest.raises(InvalidRequest):
        batches.page(connection, limit=0)
