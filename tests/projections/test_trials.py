"""What became of each trial of a batch, as rows."""

from functools import partial

import pytest

from tests.projections.given import (
    NO_CURSORS,
    ReadModels,
    batch_started,
    case_finished,
    case_scored,
    second,
    walk,
)
from wtb.domain.batch import CaseScored, Scored
from wtb.domain.errors import InvalidCursor, InvalidRequest
from wtb.domain.execution import Failure
from wtb.domain.identifiers import BatchId, ExecutionId
from wtb.projections import trials
from wtb.projections.trials import TrialRow, Usage

TWO: tuple[dict[str, str], ...] = ({}, {"answer": "short"})


def rows(models: ReadModels, batch: str = "b1") -> tuple[TrialRow, ...]:
    with models.now() as connection:
        return trials.of(connection, batch).items


def test_a_trial_is_shown_once_it_has_ended(models: ReadModels) -> None:
    models.given_batch("b1", batch_started(8, TWO))
    assert rows(models) == ()
    failed = case_finished("c7", 1, 2, status="failed", error="br\0ken", tokens=3)
    (position,) = models.given_batch("b1", failed)
    [row] = rows(models)
    assert row == TrialRow(
        batch=BatchId("b1"),
        case="c7",
        place=7,
        combination=1,
        repeat=2,
        execution=ExecutionId("b1.7.1.2"),
        status="failed",
        finished_at=second(2),
        duration_us=5,
        attempts=1,
        error_type="ValueError",
        error_message=row.error_message,
        usage=(Usage("small", 3, 1),),
        scores={},
        score_errors={},
        position=position,
    )
    assert str(row.error_message).replace("\0", "\ufffd") == "br\ufffdken"


def test_scores_are_shown_as_they_were_told(models: ReadModels) -> None:
    told: dict[str, Scored] = {"exact": True, "length": 7, "share": 1.0, "tone": "kind"}
    errors = {"judge": Failure(type="TimeoutError", message="no answer")}
    models.given_batch("b1", batch_started(), case_finished("c0"))
    rows(models)  # in the tables before it is scored
    scored = CaseScored(case="c0", combination=0, repeat=0, scores=told, errors=errors)
    (position,) = models.given_batch("b1", scored)
    [row] = rows(models)
    assert {name: (type(value), value) for name, value in row.scores.items()} == {
        name: (type(value), value) for name, value in told.items()
    }
    assert row.score_errors == {"judge": "TimeoutError: no answer"}
    assert row.position == position


def test_a_trial_that_is_tried_again_is_shown_anew_without_its_old_scores(models: ReadModels) -> None:
    models.given_batch("b1", batch_started(), case_finished("c0", status="failed"), case_scored("c0", exact=False))
    models.given_batch("b1", case_finished("c0"))
    [row] = rows(models)
    assert (row.status, row.scores) == ("completed", {})
    models.given_batch("b1", case_scored("c0", exact=True))
    assert rows(models)[0].scores == {"exact": True}


def test_scores_of_a_trial_that_there_is_not_show_nothing(models: ReadModels) -> None:
    models.given_batch("b1", batch_started(), case_scored("c0", exact=True))
    assert rows(models) == ()


def test_two_batches_with_the_same_cases_are_kept_apart(models: ReadModels) -> None:
    for batch, status in (("b1", "failed"), ("b2", "completed")):
        models.given_batch(batch, batch_started(), case_finished("c0", status=status))  # type: ignore[arg-type]
    assert [row.status for batch in ("b1", "b2") for row in rows(models, batch)] == ["failed", "completed"]


def test_pages_lead_through_what_was_asked_for_in_order_of_cases(models: ReadModels) -> None:
    """Not of their names, nor of when they ended."""
    ends = [
        case_finished(case, combination, repeat, status="failed" if case == "c9" else "completed")
        for repeat in (1, 0)
        for combination in (1, 0)
        for case in ("c10", "c9", "c0")
    ]
    models.given_batch("b1", batch_started(11, TWO, repeats=2), *ends)
    every = [(case, combination, repeat) for case in ("c0", "c9", "c10") for combination in (0, 1) for repeat in (0, 1)]
    with models.now() as connection:
        for wanted, expected in (
            ({}, every),
            ({"status": "failed"}, [trial for trial in every if trial[0] == "c9"]),
            ({"combination": 1}, [trial for trial in every if trial[1] == 1]),
            ({"case": "c10"}, [trial for trial in every if trial[0] == "c10"]),
        ):
            found = walk(partial(trials.of, connection, "b1", limit=3, **wanted))
            assert [(row.case, row.combination, row.repeat) for row in found] == expected


@pytest.mark.parametrize("cursor", NO_CURSORS)
def test_what_is_no_cursor_is_refused(models: ReadModels, cursor: str) -> None:
    with models.now() as connection, pytest.raises(InvalidCursor):
        trials.of(connection, "b1", cursor=cursor)


def test_a_page_has_room_for_one_row_or_more(models: ReadModels) -> None:
    with models.now() as connection, pytest.raises(InvalidRequest):
        trials.of(connection, "b1", limit=0)
