"""An execution: its facts, its states, how facts change them, and what may be decided.

The class and field names of the facts are the stored format: changing one takes
a new schema version and an upcaster in the codec.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, assert_never

from pydantic import BaseModel, ConfigDict

from wtb.domain.errors import ExecutionExists, ExecutionNotFound, ExecutionTaken, InvalidAnswer, NotResumable
from wtb.domain.identifiers import CheckpointId, Digest, ExecutionId, Namespace, TaskId, WorkerId

# --- Facts ---------------------------------------------------------------------------------------


class Fact(BaseModel):
    """Something that happened. Past tense, frozen, flat; big data is named by digest."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Write(Fact):
    """A value written to a channel."""

    channel: str
    value: Digest


class Failure(Fact):
    """An error as it was raised: its class, its message, and its traceback's digest."""

    type: str
    message: str
    traceback: Digest | None = None


class Question(Fact):
    """An interrupt that waits for an answer."""

    id: str
    value: Digest


class ForkPoint(Fact):
    """The checkpoint another execution begins at."""

    execution: ExecutionId
    checkpoint: CheckpointId


class ExecutionStarted(Fact):
    workflow: str
    graph: str
    """Digest of the graph's nodes, edges and code: the workflow's version."""
    input: Digest
    worker: WorkerId
    variants: dict[str, str] = {}
    parent: ForkPoint | None = None
    batch_case: str | None = None


class NodeStarted(Fact):
    """Durable before the node runs. Its input is the named checkpoint's channels."""

    node: str
    task: TaskId
    namespace: Namespace
    checkpoint: CheckpointId
    step: int
    attempt: int
    path: str
    """LangGraph's task path; orders the writes of one superstep."""
    variant: str | None = None


class NodeCompleted(Fact):
    node: str
    task: TaskId
    namespace: Namespace
    checkpoint: CheckpointId
    attempt: int
    path: str
    duration_us: int
    writes: tuple[Write, ...]
    left_graph: bool = False
    """The node ended its graph by a Command to the parent graph, which holds the effect."""


class NodeFailed(Fact):
    node: str
    task: TaskId
    namespace: Namespace
    checkpoint: CheckpointId
    attempt: int
    duration_us: int
    error: Failure


class NodeInterrupted(Fact):
    node: str
    task: TaskId
    namespace: Namespace
    checkpoint: CheckpointId
    attempt: int
    path: str
    duration_us: int
    questions: tuple[str, ...]
    """Ids of the interrupts; their values are among the writes."""
    writes: tuple[Write, ...]


class WritesSaved(Fact):
    """Writes that LangGraph hung on a checkpoint apart from a node's own end: commands, resume values, final errors."""

    task: TaskId
    namespace: Namespace
    checkpoint: CheckpointId
    path: str
    writes: tuple[Write, ...]


class CheckpointSaved(Fact):
    checkpoint: CheckpointId
    parent: CheckpointId | None
    namespace: Namespace
    step: int
    source: str
    created: str
    channels: dict[str, tuple[str | int | float, Digest | None]]
    """Channel → (LangGraph's version, digest of the value; None when the channel holds none)."""
    versions_seen: dict[str, dict[str, str | int | float]]
    updated: tuple[str, ...] | None
    metadata: dict[str, Any]
    format: int


class CheckpointsDeleted(Fact):
    """Checkpoints that can no longer be read; ``checkpoints`` None means all of them."""

    reason: Literal["thread", "run", "prune"]
    checkpoints: tuple[tuple[Namespace, CheckpointId], ...] | None = None


class PauseRequested(Fact):
    reason: str = ""


class ExecutionPaused(Fact):
    """The graph stopped and waits: for answers, or to be resumed."""

    reason: Literal["interrupt", "request", "breakpoint"]
    questions: tuple[Question, ...] = ()


class ExecutionResumed(Fact):
    worker: WorkerId
    answers: dict[str, Digest] = {}
    """Interrupt id → answer."""


class ExecutionRecovered(Fact):
    """Another process took over from one that died."""

    worker: WorkerId
    died: WorkerId


class StateEdited(Fact):
    checkpoint: CheckpointId
    as_node: str | None
    writes: tuple[Write, ...]


class RolledBack(Fact):
    to: CheckpointId
    reason: str = ""


class Forked(Fact):
    """Another execution began at one of this one's checkpoints."""

    checkpoint: CheckpointId
    child: ExecutionId


class CancelRequested(Fact):
    reason: str = ""


class ExecutionCancelled(Fact):
    reason: str = ""


class ExecutionCompleted(Fact):
    duration_us: int


class ExecutionFailed(Fact):
    duration_us: int
    error: Failure
    node: str | None = None


LifecycleFact = (
    ExecutionStarted
    | PauseRequested
    | ExecutionPaused
    | ExecutionResumed
    | ExecutionRecovered
    | StateEdited
    | RolledBack
    | Forked
    | CancelRequested
    | ExecutionCancelled
    | ExecutionCompleted
    | ExecutionFailed
)
"""Facts that decide what may happen next; few, however long the execution."""

NodeFact = NodeStarted | NodeCompleted | NodeFailed | NodeInterrupted

RecordFact = NodeFact | WritesSaved | CheckpointSaved | CheckpointsDeleted
"""Facts that record the work; many, and no decision reads them."""

ExecutionFact = LifecycleFact | RecordFact

# --- States --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Unknown:
    status: Literal["unknown"] = "unknown"


@dataclass(frozen=True, slots=True)
class Running:
    started: ExecutionStarted
    worker: WorkerId
    pause_requested: bool = False
    cancel_requested: bool = False
    status: Literal["running"] = "running"


@dataclass(frozen=True, slots=True)
class Paused:
    started: ExecutionStarted
    questions: tuple[Question, ...]
    status: Literal["paused"] = "paused"


@dataclass(frozen=True, slots=True)
class Completed:
    started: ExecutionStarted
    status: Literal["completed"] = "completed"


@dataclass(frozen=True, slots=True)
class Failed:
    started: ExecutionStarted
    error: Failure
    status: Literal["failed"] = "failed"


@dataclass(frozen=True, slots=True)
class Cancelled:
    started: ExecutionStarted
    status: Literal["cancelled"] = "cancelled"


State = Unknown | Running | Paused | Completed | Failed | Cancelled
Status = Literal["running", "paused", "completed", "failed", "cancelled"]


def evolve(state: State, fact: LifecycleFact) -> State:
    """The state after one more fact."""
    if isinstance(fact, ExecutionStarted):
        return Running(fact, fact.worker)
    if isinstance(state, Unknown):
        return state  # a bare checkpointer thread has no execution
    started = state.started
    match fact:
        case ExecutionResumed() | ExecutionRecovered():
            return Running(started, fact.worker)
        case ExecutionPaused():
            return Paused(started, fact.questions)
        case ExecutionCompleted():
            return Completed(started)
        case ExecutionFailed():
            return Failed(started, fact.error)
        case ExecutionCancelled():
            return Cancelled(started)
        case PauseRequested():
            return Running(started, state.worker, True, state.cancel_requested) if isinstance(state, Running) else state
        case CancelRequested():
            return Running(started, state.worker, state.pause_requested, True) if isinstance(state, Running) else state
        case StateEdited() | RolledBack() | Forked():
            return state
        case _:
            assert_never(fact)


def fold(facts: Sequence[LifecycleFact]) -> State:
    """The state that facts add up to."""
    state: State = Unknown()
    for fact in facts:
        state = evolve(state, fact)
    return state


# --- Decisions: command and state to facts; an empty list means "already so" ----------------------


def start(execution: ExecutionId, state: State, fact: ExecutionStarted) -> list[LifecycleFact]:
    """Begin an execution. Refuses with `ExecutionExists` when the id is taken."""
    if not isinstance(state, Unknown):
        raise ExecutionExists(execution)
    return [fact]


def resume(
    execution: ExecutionId, state: State, worker: WorkerId, answers: Mapping[str, Digest]
) -> list[LifecycleFact]:
    """Go on after a pause; each waiting question may get an answer.

    Refuses with `ExecutionNotFound`, `ExecutionTaken`, `NotResumable`, or
    `InvalidAnswer` when an answer fits no waiting question or none is given.
    """
    match state:
        case Unknown():
            raise ExecutionNotFound(execution)
        case Running():
            raise ExecutionTaken(execution, state.worker)
        case Paused():
            waiting = {question.id for question in state.questions}
            if unknown := sorted(answers.keys() - waiting):
                raise InvalidAnswer(f"execution {execution!r} has no interrupt {unknown[0]!r} waiting")
            if waiting and not answers:
                raise InvalidAnswer(f"execution {execution!r} waits for {len(waiting)} answer(s) and got none")
            return [ExecutionResumed(worker=worker, answers=dict(answers))]
        case Completed() | Failed() | Cancelled():
            raise NotResumable(execution, state.status)
        case _:
            assert_never(state)


def recover(execution: ExecutionId, state: State, worker: WorkerId, *, alive: bool) -> list[LifecycleFact]:
    """Take over an execution whose worker died; ``alive`` says whether that worker still lives.

    Refuses with `ExecutionNotFound` or `ExecutionTaken`; an empty list when
    there is nothing to recover.
    """
    match state:
        case Unknown():
            raise ExecutionNotFound(execution)
        case Running():
            if alive:
                raise ExecutionTaken(execution, state.worker)
            return [ExecutionRecovered(worker=worker, died=state.worker)]
        case Paused() | Completed() | Failed() | Cancelled():
            return []
        case _:
            assert_never(state)
