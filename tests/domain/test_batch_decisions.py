"""Batches: given facts, when a command, then facts."""

import pytest

from wtb.domain import batch_decisions as decisions
from wtb.domain.batch import (
    BatchCompleted,
    BatchLifecycleFact,
    BatchResumed,
    BatchStarted,
    BatchStopped,
    BatchStopRequested,
    State,
    fold,
)
from wtb.domain.errors import BatchExists, BatchNotFound, BatchTaken
from wtb.domain.identifiers import BatchId, WorkerId

B = BatchId("b")
ADA, BOB = WorkerId("ada"), WorkerId("bob")
STARTED = BatchStarted(workflow="w", graph="g", worker=ADA, cases=1, combinations=({},))
REQUESTED = BatchStopRequested(reason="enough")
STOPPED = BatchStopped(reason="request", detail="enough")
COMPLETED = BatchCompleted(duration_us=1)


def given(*facts: BatchLifecycleFact) -> State:
    return fold(facts)


def test_a_batch_is_started_once() -> None:
    assert decisions.start(B, given(), STARTED) == [STARTED]
    with pytest.raises(BatchExists):
        decisions.start(B, given(STARTED), STARTED)


def test_a_stopped_batch_is_resumed_and_so_is_one_whose_worker_died() -> None:
    for state in (given(STARTED, STOPPED), given(STARTED), given(STARTED, REQUESTED)):
        assert decisions.resume(B, state, BOB, alive=False) == [BatchResumed(worker=BOB)]


def test_a_batch_whose_worker_lives_is_taken() -> None:
    for state in (given(STARTED), given(STARTED, STOPPED, BatchResumed(worker=BOB))):
        with pytest.raises(BatchTaken):
            decisions.resume(B, state, ADA, alive=True)


def test_a_completed_batch_is_resumed_only_for_what_is_left() -> None:
    assert decisions.resume(B, given(STARTED, COMPLETED), BOB, alive=False) == []
    assert decisions.resume(B, given(STARTED, COMPLETED), BOB, alive=False, left=True) == [BatchResumed(worker=BOB)]


def test_a_batch_is_asked_to_stop_once_and_stopped_at_once_when_nobody_runs_it() -> None:
    assert decisions.request_stop(B, given(STARTED), "enough", alive=True) == [REQUESTED]
    assert decisions.request_stop(B, given(STARTED, REQUESTED), "again", alive=True) == []
    assert decisions.request_stop(B, given(STARTED, REQUESTED), "enough", alive=False) == [STOPPED]
    for ended in (STOPPED, COMPLETED):
        assert decisions.request_stop(B, given(STARTED, ended), "late", alive=False) == []


def test_a_resumed_batch_is_not_asked_to_stop_any_more() -> None:
    state = given(STARTED, REQUESTED, STOPPED, BatchResumed(worker=BOB))
    assert decisions.request_stop(B, state, "enough", alive=True) == [REQUESTED]


def test_only_a_batch_that_runs_comes_to_an_end() -> None:
    for fact in (STOPPED, COMPLETED):
        assert decisions.finish(given(STARTED), fact) == [fact]
        assert decisions.finish(given(STARTED, STOPPED), fact) == []


def test_a_batch_that_is_not_there_is_told() -> None:
    with pytest.raises(BatchNotFound):
        decisions.resume(B, given(), ADA, alive=False)
    with pytest.raises(BatchNotFound):
        decisions.request_stop(B, given(), "", alive=False)
