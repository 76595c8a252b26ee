"""What may be decided about a batch: command and state to facts; an empty list means "already so"."""

from wtb.domain.batch import (
    BatchCompleted,
    BatchLifecycleFact,
    BatchResumed,
    BatchStarted,
    BatchStopped,
    BatchStopRequested,
    Completed,
    Running,
    State,
    Stopped,
    Unknown,
)
from wtb.domain.errors import BatchExists, BatchNotFound, BatchTaken
from wtb.domain.identifiers import BatchId, WorkerId


def start(batch: BatchId, state: State, fact: BatchStarted) -> list[BatchLifecycleFact]:
    """Begin a batch. Refuses with `BatchExists` when the id is taken."""
    if not isinstance(state, Unknown):
        raise BatchExists(batch)
    return [fact]


def resume(
    batch: BatchId, state: State, worker: WorkerId, *, alive: bool, left: bool = False
) -> list[BatchLifecycleFact]:
    """Run what isn't finished. ``alive``: its recorded worker still runs it; ``left``: there is more to do, though it
    has completed, as when failed trials are to be tried again.

    Refuses with `BatchNotFound` or `BatchTaken`.
    """
    match state:
        case Unknown():
            raise BatchNotFound(batch)
        case Running(worker=other) if alive:
            raise BatchTaken(batch, other)
        case Running() | Stopped():
            return [BatchResumed(worker=worker)]
        case Completed():
            return [BatchResumed(worker=worker)] if left else []


def request_stop(batch: BatchId, state: State, reason: str, *, alive: bool) -> list[BatchLifecycleFact]:
    """Have no further trial start; one whose worker is dead is stopped at once. Refuses with `BatchNotFound`."""
    match state:
        case Unknown():
            raise BatchNotFound(batch)
        case Running() if not alive:
            return [BatchStopped(reason="request", detail=reason)]
        case Running(stop_requested=False):
            return [BatchStopRequested(reason=reason)]
        case Running() | Stopped() | Completed():
            return []


def finish(state: State, fact: BatchStopped | BatchCompleted) -> list[BatchLifecycleFact]:
    """Note that no trial is under way any more."""
    return [fact] if isinstance(state, Running) else []
