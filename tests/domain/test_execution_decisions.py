"""What may be decided about an execution, and what facts make of it."""

import itertools
from typing import get_args

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from tests.domain.given import EXECUTION, Command, given
from wtb.domain import decisions
from wtb.domain.errors import (
    ExecutionExists,
    ExecutionNotFound,
    ExecutionTaken,
    InvalidAnswer,
    NothingToUndo,
    NotResumable,
    WrongStatus,
    WtbError,
)
from wtb.domain.execution import (
    BreakpointsSet,
    Cancelled,
    CancelRequested,
    Completed,
    ExecutionCancelled,
    ExecutionCompleted,
    ExecutionFailed,
    ExecutionPaused,
    ExecutionRecovered,
    ExecutionResumed,
    ExecutionRetried,
    ExecutionStarted,
    Failed,
    Failure,
    LifecycleFact,
    NodeSkipped,
    Paused,
    PauseRequested,
    Question,
    Rollback,
    RollbackUndone,
    RolledBack,
    Running,
    State,
    StateEdited,
    Unknown,
    evolve,
    fold,
)
from wtb.domain.identifiers import CheckpointId, Digest, WorkerId

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
RETRIED = ExecutionRetried(worker=BOB, reason="mended")
SKIPPED = NodeSkipped(worker=BOB, node="n", checkpoints=(HERE,), writes=())
EDITED = StateEdited(checkpoint=HERE, as_node=None, writes=())
BACK = RolledBack(to=HERE, head=CheckpointId("c8"), left=CheckpointId("c7"))
FURTHER_BACK = RolledBack(to=CheckpointId("c0"), head=CheckpointId("c9"), left=BACK.head)
BROKEN_OFF = BreakpointsSet(before=("n",))

ENDED = pytest.mark.parametrize("end", [COMPLETED, FAILED, CANCELLED], ids=lambda fact: type(fact).__name__)


def start(fact: ExecutionStarted = STARTED) -> Command:
    return lambda id, state: decisions.start(id, state, fact)


def resume(answers: dict[str, Digest] | None = None) -> Command:
    return lambda id, state: decisions.resume(id, state, BOB, answers or {})


def recover(*, alive: bool) -> Command:
    return lambda id, state: decisions.recover(id, state, BOB, alive=alive)


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


# --- pause, cancel, breakpoints --------------------------------------------------------------------


def pause(reason: str = "lunch") -> Command:
    return lambda id, state: decisions.pause(id, state, reason)


def cancel(*, alive: bool = True) -> Command:
    return lambda id, state: decisions.cancel(id, state, "dear", alive=alive)


def test_whoever_runs_an_execution_is_asked_once_to_pause_it() -> None:
    after = given(STARTED).when(pause()).then(PauseRequested(reason="lunch"))
    after.when(pause("again")).then_already_so()
    given(STARTED, PAUSED).when(pause()).then_already_so()


def test_whoever_runs_an_execution_is_asked_once_to_cancel_it() -> None:
    after = given(STARTED, PauseRequested()).when(cancel()).then(CancelRequested(reason="dear"))
    after.when(cancel()).then_already_so()


@pytest.mark.parametrize("facts", [(STARTED, PAUSED), (STARTED, ASKED), (STARTED, CancelRequested())], ids=str)
def test_what_nobody_runs_is_cancelled_at_once(facts: tuple[LifecycleFact, ...]) -> None:
    after = given(*facts).when(cancel(alive=False)).then(ExecutionCancelled(reason="dear"))
    after.when(cancel(alive=False)).then_already_so()


@pytest.mark.parametrize("end", [COMPLETED, FAILED])
def test_what_came_to_its_end_is_neither_paused_nor_cancelled(end: LifecycleFact) -> None:
    given(STARTED, end).when(pause()).then_refused(WrongStatus, "be paused")
    given(STARTED, end).when(cancel()).then_refused(WrongStatus, "be cancelled")


def test_breakpoints_replace_those_before() -> None:
    def wanted(*before: str) -> Command:
        return lambda id, state: decisions.set_breakpoints(
            id, state, BreakpointsSet(before=("a",)), BreakpointsSet(before=before)
        )

    given(STARTED).when(wanted("a")).then_already_so()
    given(STARTED).when(wanted()).then(BreakpointsSet())
    given(STARTED, COMPLETED).when(wanted("b")).then(BreakpointsSet(before=("b",)))


# --- retry, skip -----------------------------------------------------------------------------------


def retry() -> Command:
    return lambda id, state: decisions.retry(id, state, BOB, "mended")


def skip() -> Command:
    return lambda id, state: decisions.skip(id, state, SKIPPED)


@pytest.mark.parametrize("end", [FAILED, CANCELLED])
def test_what_failed_or_was_cancelled_may_be_tried_again(end: LifecycleFact) -> None:
    after = given(STARTED, end).when(retry()).then(RETRIED)
    after.when(retry()).then_refused(ExecutionTaken, BOB)


@pytest.mark.parametrize("stop", [PAUSED, COMPLETED])
def test_only_what_failed_or_was_cancelled_is_tried_again(stop: LifecycleFact) -> None:
    given(STARTED, stop).when(retry()).then_refused(WrongStatus, "be retried")


@pytest.mark.parametrize("stop", [FAILED, CANCELLED, PAUSED, ASKED])
def test_a_node_that_waits_to_run_may_be_skipped(stop: LifecycleFact) -> None:
    after = given(STARTED, stop).when(skip()).then(SKIPPED)
    after.when(skip()).then_refused(ExecutionTaken, BOB)


def test_when_all_is_done_there_is_nothing_to_skip() -> None:
    given(STARTED, COMPLETED).when(skip()).then_refused(WrongStatus, "skip")


# --- edit, roll back, undo -------------------------------------------------------------------------


def edit() -> Command:
    return lambda id, state: decisions.edit(id, state, EDITED)


def roll_back(fact: RolledBack = BACK) -> Command:
    return lambda id, state: decisions.roll_back(id, state, fact)


def undo() -> Command:
    return lambda id, state: decisions.undo_rollback(id, state, "")


@pytest.mark.parametrize("command", [edit(), roll_back(), undo(), retry(), skip()])
def test_nothing_is_changed_behind_the_back_of_who_runs_an_execution(command: Command) -> None:
    given(STARTED).when(command).then_refused(ExecutionTaken, ADA)
    given().when(command).then_refused(ExecutionNotFound, EXECUTION)


@pytest.mark.parametrize("stop", [PAUSED, ASKED, COMPLETED, FAILED, CANCELLED], ids=lambda fact: type(fact).__name__)
def test_a_rollback_is_undone_to_exactly_what_was_before(stop: LifecycleFact) -> None:
    once = given(STARTED, stop).when(roll_back()).then(BACK)
    once.when(roll_back()).then_already_so()
    twice = once.when(roll_back(FURTHER_BACK)).then(FURTHER_BACK.model_copy(update={"left": BACK.left}))
    for rolled_back in (once, twice):
        undone = rolled_back.when(undo()).then(RollbackUndone(head=BACK.left))
        assert fold(undone.facts) == fold([STARTED, stop])
        undone.when(undo()).then_refused(NothingToUndo, EXECUTION)


def test_a_rollback_after_which_something_ran_is_not_undone() -> None:
    given(STARTED, FAILED, BACK, RESUMED, PAUSED).when(undo()).then_refused(NothingToUndo, EXECUTION)
    given(STARTED, FAILED, BACK, EDITED).when(undo()).then_refused(NothingToUndo, EXECUTION)


def test_what_was_rolled_back_or_edited_can_be_resumed() -> None:
    given(STARTED, COMPLETED, BACK).when(resume()).then(ExecutionResumed(worker=BOB))
    given(STARTED, ASKED, EDITED).when(resume()).then(ExecutionResumed(worker=BOB))


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
    RETRIED,
    SKIPPED,
    BROKEN_OFF,
    EDITED,
    BACK,
    RollbackUndone(head=BACK.left),
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
    ExecutionRetried: Running(STARTED, BOB),
    NodeSkipped: Running(STARTED, BOB),
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
        case (Running(), StateEdited() | RolledBack()):
            assert after == state
        case _, StateEdited():
            assert after == Paused(STARTED)
        case ((Paused() | Completed() | Failed() | Cancelled()), RolledBack()):
            assert after == Paused(STARTED, rollback=Rollback(fact, state))
        case _:
            assert after == MAKES.get(type(fact), state)


def test_requests_to_pause_and_to_cancel_are_both_remembered_until_the_execution_stops() -> None:
    asked: list[LifecycleFact] = [STARTED, PauseRequested(), CancelRequested()]
    assert fold(asked) == fold([STARTED, CancelRequested(), PauseRequested()]) == Running(STARTED, ADA, True, True)
    assert fold([*asked, RECOVERED]) == Running(STARTED, BOB, True, True)
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
        (retry(), retry()),
        (skip(), skip()),
        (pause(), pause()),
        (cancel(alive=True), cancel(alive=True)),
        (cancel(alive=False), cancel(alive=False)),
        (roll_back(), roll_back()),
    ]:
        outcome = given(*facts).when(command)
        if isinstance(outcome.came_to, list) and outcome.came_to:
            repeated = outcome.then(*outcome.came_to).when(again)
            assert repeated.came_to == [] or isinstance(repeated.came_to, WtbError)
