"""What may be decided about an execution: command and state to facts; an empty list means "already so".

Every decision refuses an execution that isn't there with `ExecutionNotFound`.
"""

from collections.abc import Mapping
from typing import assert_never

from wtb.domain.errors import (
    ExecutionExists,
    ExecutionNotFound,
    ExecutionTaken,
    InvalidAnswer,
    NothingToUndo,
    NotResumable,
    WrongStatus,
)
from wtb.domain.execution import (
    BreakpointsSet,
    Cancelled,
    CancelRequested,
    Completed,
    ExecutionCancelled,
    ExecutionRecovered,
    ExecutionResumed,
    ExecutionRetried,
    ExecutionStarted,
    Failed,
    LifecycleFact,
    NodeSkipped,
    Paused,
    PauseRequested,
    RollbackUndone,
    RolledBack,
    Running,
    State,
    StateEdited,
    Stopped,
    Unknown,
)
from wtb.domain.identifiers import Digest, ExecutionId, WorkerId


def start(execution: ExecutionId, state: State, fact: ExecutionStarted) -> list[LifecycleFact]:
    """Begin an execution. Refuses with `ExecutionExists` when the id is taken."""
    if not isinstance(state, Unknown):
        raise ExecutionExists(execution)
    return [fact]


def resume(
    execution: ExecutionId, state: State, worker: WorkerId, answers: Mapping[str, Digest]
) -> list[LifecycleFact]:
    """Go on after a pause; each waiting question may get an answer.

    Refuses with `ExecutionTaken`, `NotResumable`, or `InvalidAnswer` when an
    answer fits no waiting question or none is given.
    """
    match _stopped(execution, state):
        case Paused(questions=questions):
            waiting = {question.id for question in questions}
            if unknown := sorted(answers.keys() - waiting):
                raise InvalidAnswer(f"execution {execution!r} has no interrupt {unknown[0]!r} waiting")
            if waiting and not answers:
                raise InvalidAnswer(f"execution {execution!r} waits for {len(waiting)} answer(s) and got none")
            return [ExecutionResumed(worker=worker, answers=dict(answers))]
        case Completed() | Failed() | Cancelled() as ended:
            raise NotResumable(execution, ended.status)
        case never:
            assert_never(never)


def retry(execution: ExecutionId, state: State, worker: WorkerId, reason: str) -> list[LifecycleFact]:
    """Go on from where an execution failed or was cancelled. Refuses with `ExecutionTaken` or `WrongStatus`."""
    match _stopped(execution, state):
        case Failed() | Cancelled():
            return [ExecutionRetried(worker=worker, reason=reason)]
        case Paused() | Completed() as other:
            raise WrongStatus(execution, other.status, "be retried")
        case never:
            assert_never(never)


def skip(execution: ExecutionId, state: State, fact: NodeSkipped) -> list[LifecycleFact]:
    """Go on as if a node were done. Refuses with `ExecutionTaken`, or `WrongStatus` when nothing waits to be run."""
    match _stopped(execution, state):
        case Failed() | Cancelled() | Paused():
            return [fact]
        case Completed() as other:
            raise WrongStatus(execution, other.status, "skip a node")
        case never:
            assert_never(never)


def recover(execution: ExecutionId, state: State, worker: WorkerId, *, alive: bool) -> list[LifecycleFact]:
    """Take over an execution whose worker died; ``alive`` says whether that worker still lives.

    Refuses with `ExecutionTaken`; an empty list when there is nothing to recover.
    """
    match _known(execution, state):
        case Running() as running:
            if alive:
                raise ExecutionTaken(execution, running.worker)
            return [ExecutionRecovered(worker=worker, died=running.worker)]
        case Paused() | Completed() | Failed() | Cancelled():
            return []
        case never:
            assert_never(never)


def pause(execution: ExecutionId, state: State, reason: str) -> list[LifecycleFact]:
    """Ask whoever runs it to stop before the next node. Refuses with `WrongStatus` when it has ended."""
    match _known(execution, state):
        case Running() as running:
            return [] if running.pause_requested else [PauseRequested(reason=reason)]
        case Paused():
            return []
        case Completed() | Failed() | Cancelled() as ended:
            raise WrongStatus(execution, ended.status, "be paused")
        case never:
            assert_never(never)


def cancel(execution: ExecutionId, state: State, reason: str, *, alive: bool) -> list[LifecycleFact]:
    """End it: by asking whoever runs it, or at once when nobody does; ``alive`` says whether its worker still lives.

    Refuses with `WrongStatus` when it has completed or failed.
    """
    match _known(execution, state):
        case Running() as running if alive:
            return [] if running.cancel_requested else [CancelRequested(reason=reason)]
        case Running() | Paused():
            return [ExecutionCancelled(reason=reason)]
        case Cancelled():
            return []
        case Completed() | Failed() as ended:
            raise WrongStatus(execution, ended.status, "be cancelled")
        case never:
            assert_never(never)


def set_breakpoints(
    execution: ExecutionId, state: State, held: BreakpointsSet, wanted: BreakpointsSet
) -> list[LifecycleFact]:
    """Have it stop before or after other nodes than those where it is held to now."""
    _known(execution, state)
    return [] if wanted == held else [wanted]


def edit(execution: ExecutionId, state: State, fact: StateEdited) -> list[LifecycleFact]:
    """Change the state of an execution that isn't running. Refuses with `ExecutionTaken`."""
    _stopped(execution, state)
    return [fact]


def roll_back(execution: ExecutionId, state: State, fact: RolledBack) -> list[LifecycleFact]:
    """Move the head of an execution that isn't running. Refuses with `ExecutionTaken`.

    Of rollbacks that follow one another each can be undone to where it all began.
    """
    stopped = _stopped(execution, state)
    before = stopped.rollback.fact if isinstance(stopped, Paused) and stopped.rollback else None
    if before is None:
        return [fact]
    return [] if before.to == fact.to else [fact.model_copy(update={"left": before.left, "files": before.files})]


def undo_rollback(execution: ExecutionId, state: State, reason: str) -> list[LifecycleFact]:
    """Move the head back to where it was before it was rolled back.

    Refuses with `ExecutionTaken`, or `NothingToUndo` when there was none or
    something has run since.
    """
    stopped = _stopped(execution, state)
    if not isinstance(stopped, Paused) or stopped.rollback is None:
        raise NothingToUndo(execution)
    return [RollbackUndone(head=stopped.rollback.fact.left, reason=reason)]


def _known(execution: ExecutionId, state: State) -> Running | Stopped:
    if isinstance(state, Unknown):
        raise ExecutionNotFound(execution)
    return state


def _stopped(execution: ExecutionId, state: State) -> Stopped:
    known = _known(execution, state)
    if isinstance(known, Running):
        raise ExecutionTaken(execution, known.worker)
    return known
