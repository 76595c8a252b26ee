"""What may be decided about an execution, and what facts make of it."""

import itertools
from typing import get_args

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from tests.domain.given import EXECUTION, Command, given
from wtb.domain import execution
from wtb.domain.errors import ExecutionExists, ExecutionNotFound, ExecutionTaken, InvalidAnswer, NotResumable, WtbError
from wtb.domain.execution import (
    Cancelled,
    CancelRequested,
    Completed,
    ExecutionCancelled,
    ExecutionCompleted,
    ExecutionFailed,
    ExecutionPaused,
    ExecutionRecovered,
    ExecutionResumed,
    ExecutionStarted,
    Failed,
    Failure,
    Forked,
    LifecycleFact,
    Paused,
    PauseRequested,
    Question,
    RolledBack,
    Running,
    State,
    StateEdited,
    Unknown,
    evolve,
    fold,
)
from wtb.domain.identifiers import CheckpointId, Digest, ExecutionId, WorkerId

ADA, BOB = WorkerId("ada"), WorkerId("bob")
YES, NO = Digest("yes"), Digest("no")
HERE = CheckpointId("c1")
BROKEN = Failure(type="ValueError", message="broken")

STARTED = ExecutionStarted(workflow="w", graph="g", input=YES, worker=ADA)
PAUSED = ExecutionPaused(reason="request")
ASKED = ExecutionPaused(reason="interrupt", questions=(Question(id="q1", value=YES), Question(id="q2", value=YES)))
RESUMED = ExecutionResumed(worker=BOB)
RECOVERED = ExecutionRecovered(worker=BOB, died=ADA)
COMPLETED = ExecutionCompleted(duration_us=5)
FAILED = ExecutionFailed(duration_us=5, error=BROKEN, node="n")
CANCELLED = ExecutionCancelled()

ENDED = pytest.mark.parametrize("end", [COMPLETED, FAILED, CANCELLED], ids=lambda fact: type(fact).__name__)


def start(fact: ExecutionStarted = STARTED) -> Command:
    return lambda id, state: execution.start(id, state, fact)


def resume(answers: dict[str, Digest] | None = None) -> Command:
    return lambda id, state: execution.resume(id, state, BOB, answers or {})


def recover(*, alive: bool) -> Command:
    return lambda id, state: execution.recover(id, state, BOB, alive=alive)


# --- start -----------------------------------------------------------------------------------------


def test_an_execution_that_never_was_can_start() -> None:
    given().when(start()).then(STARTED)


@pytest.mark.parametrize("facts", [(), (PAUSED,), (COMPLETED,), (FAILED,), (CANCELLED,)])
def test_an_execution_starts_only_once_whatever_became_of_it(facts: tuple[LifecycleFact, ...]) -> None:
    given(STARTED, *facts).when(start()).then_refused(ExecutionExists, EXECUTION)


# --- resume ----------------------------------------------------------------------------------------


def test_what_paused_without_a_question_goes_on_under_the_worker_that_resumes_it() -> None:
    after = given(STARTED, PAUSED).when(resume()).then(ExecutionResumed(worker=BOB))
    after.when(resume()).then_refused(ExecutionTaken, BOB)


@pytest.mark.parametrize("answers", [{"q1": YES}, {"q2": NO}, {"q1": YES, "q2": NO}])
def test_some_or_all_of_the_waiting_questions_may_be_answered(answers: dict[str, Digest]) -> None:
    given(STARTED, ASKED).when(resume(answers)).then(ExecutionResumed(worker=BOB, answers=answers))


def test_a_waiting_question_wants_an_answer() -> None:
    given(STARTED, ASKED).when(resume()).then_refused(InvalidAnswer, "2 answer")


def test_an_answer_to_nothing_that_waits_is_refused_even_beside_a_good_one() -> None:
    given(STARTED, ASKED).when(resume({"q1": YES, "q9": NO})).then_refused(InvalidAnswer, "'q9'")
    given(STARTED, PAUSED).when(resume({"q1": YES})).then_refused(InvalidAnswer, "'q1'")


def test_a_question_that_was_answered_no_longer_waits() -> None:
    again = ExecutionPaused(reason="interrupt", questions=(Question(id="q2", value=YES),))
    given(STARTED, ASKED, RESUMED, again).when(resume({"q1": YES})).then_refused(InvalidAnswer, "'q1'")


def test_only_an_execution_that_was_started_can_be_resumed() -> None:
    given().when(resume()).then_refused(ExecutionNotFound, EXECUTION)


def test_a_running_execution_belongs_to_its_worker() -> None:
    given(STARTED).when(resume()).then_refused(ExecutionTaken, ADA)
    given(STARTED, PAUSED, RESUMED).when(resume()).then_refused(ExecutionTaken, BOB)


@ENDED
def test_what_has_ended_is_not_resumed(end: LifecycleFact) -> None:
    given(STARTED, end).when(resume()).then_refused(NotResumable, fold([STARTED, end]).status)


# --- recover ---------------------------------------------------------------------------------------


def test_an_execution_whose_worker_died_is_taken_over() -> None:
    after = given(STARTED).when(recover(alive=False)).then(ExecutionRecovered(worker=BOB, died=ADA))
    after.when(recover(alive=True)).then_refused(ExecutionTaken, BOB)


def test_who_took_an_execution_over_may_die_in_turn() -> None:
    given(STARTED, RECOVERED).when(recover(alive=False)).then(ExecutionRecovered(worker=BOB, died=BOB))


def test_an_execution_is_not_taken_from_a_worker_that_lives() -> None:
    given(STARTED).when(recover(alive=True)).then_refused(ExecutionTaken, ADA)


def test_only_an_execution_that_was_started_can_be_recovered() -> None:
    given().when(recover(alive=False)).then_refused(ExecutionNotFound, EXECUTION)


@pytest.mark.parametrize("alive", [True, False])
@pytest.mark.parametrize("stop", [PAUSED, ASKED, COMPLETED, FAILED, CANCELLED], ids=lambda fact: type(fact).__name__)
def test_an_execution_that_does_not_run_needs_no_recovery(stop: LifecycleFact, alive: bool) -> None:
    given(STARTED, stop).when(recover(alive=alive)).then_already_so()


# --- facts make states -----------------------------------------------------------------------------

FACTS: list[LifecycleFact] = [
    STARTED,
    PAUSED,
    RESUMED,
    RECOVERED,
    COMPLETED,
    FAILED,
    CANCELLED,
    PauseRequested(),
    CancelRequested(),
    StateEdited(checkpoint=HERE, as_node=None, writes=()),
    RolledBack(to=HERE),
    Forked(checkpoint=HERE, child=ExecutionId("e2")),
]
RUNNING = Running(STARTED, ADA)
STATES: list[State] = [
    Unknown(),
    RUNNING,
    Paused(STARTED, ASKED.questions),
    Completed(STARTED),
    Failed(STARTED, BROKEN),
    Cancelled(STARTED),
]

MAKES: dict[type[LifecycleFact], State] = {
    ExecutionPaused: Paused(STARTED, ()),
    ExecutionResumed: Running(STARTED, BOB),
    ExecutionRecovered: Running(STARTED, BOB),
    ExecutionCompleted: Completed(STARTED),
    ExecutionFailed: Failed(STARTED, BROKEN),
    ExecutionCancelled: Cancelled(STARTED),
}
"""What these make of any execution; the other facts leave it as it is."""


def test_every_kind_of_fact_and_every_state_is_tried_here() -> None:
    assert {type(fact) for fact in FACTS} == set(get_args(LifecycleFact))
    assert {type(state) for state in STATES} == set(get_args(State))


@pytest.mark.parametrize(("state", "fact"), [*itertools.product(STATES, FACTS)], ids=lambda each: type(each).__name__)
def test_a_fact_makes_of_any_state_what_it_says(state: State, fact: LifecycleFact) -> None:
    after = evolve(state, fact)
    match state, fact:
        case _, ExecutionStarted():
            assert after == RUNNING
        case Unknown(), _:
            assert after == Unknown()
        case Running(), PauseRequested():
            assert after == Running(STARTED, ADA, pause_requested=True)
        case Running(), CancelRequested():
            assert after == Running(STARTED, ADA, cancel_requested=True)
        case _:
            assert after == MAKES.get(type(fact), state)


def test_requests_to_pause_and_to_cancel_are_both_remembered_until_the_execution_stops() -> None:
    asked: list[LifecycleFact] = [STARTED, PauseRequested(), CancelRequested()]
    assert fold(asked) == fold([STARTED, CancelRequested(), PauseRequested()]) == Running(STARTED, ADA, True, True)
    assert fold([*asked, PAUSED, RESUMED]) == Running(STARTED, BOB)


@for_all(st.lists(st.sampled_from(FACTS)), st.lists(st.sampled_from(FACTS)))
def test_a_past_folds_to_one_state_wherever_it_is_cut(first: list[LifecycleFact], rest: list[LifecycleFact]) -> None:
    state = fold(first)
    for fact in rest:
        state = evolve(state, fact)
    assert state == fold([*first, *rest])


@for_all(st.lists(st.sampled_from(FACTS)))
def test_whatever_the_past_a_command_that_went_through_changes_nothing_when_it_comes_again(
    facts: list[LifecycleFact],
) -> None:
    for command, again in [
        (start(), start()),
        (resume(), resume()),
        (resume({"q1": YES}), resume({"q1": YES})),
        (recover(alive=False), recover(alive=True)),
    ]:
        outcome = given(*facts).when(command)
        if isinstance(outcome.came_to, list) and outcome.came_to:
            repeated = outcome.then(*outcome.came_to).when(again)
            assert repeated.came_to == [] or isinstance(repeated.came_to, WtbError)
