"""An execution: its facts, its states, and how facts change them. What may be decided is in `decisions`.

The class and field names of the facts are the stored format: changing one takes
a new schema version and an upcaster in the codec.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, assert_never

from pydantic import BaseModel, ConfigDict

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
    namespace: Namespace = Namespace("")


class Stop(Fact):
    """Where a breakpoint stopped an execution: a node's path, and the checkpoint it was about to read."""

    node: str
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
    files: Digest | None = None
    """The files of the execution's output folder; `NULL_DIGEST` when there were none, None when they aren't kept."""


class CheckpointsDeleted(Fact):
    """Checkpoints that can no longer be read; ``checkpoints`` None means all of them."""

    reason: Literal["thread", "run", "prune"]
    checkpoints: tuple[tuple[Namespace, CheckpointId], ...] | None = None


class Forked(Fact):
    """Another execution began at one of this one's checkpoints."""

    checkpoint: CheckpointId
    child: ExecutionId


class PauseRequested(Fact):
    """Whoever runs the execution stops it before the next node."""

    reason: str = ""


class BreakpointsSet(Fact):
    """Whoever runs the execution stops it before or after these nodes, by path; these instead of any set before."""

    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


class ExecutionPaused(Fact):
    """The graph stopped and waits: for answers, or to be resumed."""

    reason: Literal["interrupt", "request", "breakpoint"]
    questions: tuple[Question, ...] = ()
    stops: tuple[Stop, ...] = ()
    """Where breakpoints stopped it: these nodes run when it is resumed."""


class ExecutionResumed(Fact):
    worker: WorkerId
    answers: dict[str, Digest] = {}
    """Interrupt id → answer."""


class ExecutionRetried(Fact):
    """A failed or cancelled execution goes on: what had not finished runs again."""

    worker: WorkerId
    reason: str = ""


class NodeSkipped(Fact):
    """The execution goes on, and this node's work at these checkpoints counts as done with these writes."""

    worker: WorkerId
    node: str
    """The node's path."""
    checkpoints: tuple[CheckpointId, ...]
    """Several where the graph the node is in runs side by side with itself."""
    writes: tuple[Write, ...]
    reason: str = ""


class ExecutionRecovered(Fact):
    """Another process took over from one that died."""

    worker: WorkerId
    died: WorkerId


class StateEdited(Fact):
    """A person or program changed the state; ``checkpoint`` holds it as it is now."""

    checkpoint: CheckpointId
    as_node: str | None
    writes: tuple[Write, ...]
    reason: str = ""


class RolledBack(Fact):
    """The head moved back: to a copy of an earlier checkpoint, so that what runs from there is a branch of its own."""

    to: CheckpointId
    head: CheckpointId
    """The copy, in the outermost graph."""
    left: CheckpointId
    """The head before; of rollbacks that follow one another, before the first."""
    namespace: Namespace = Namespace("")
    """Of ``to``; a nested graph's checkpoint may be meant."""
    reason: str = ""
    files: Digest | None = None
    """The output folder's files as they were there."""


class RollbackUndone(Fact):
    """The head is again where it was before it was rolled back, however often since."""

    head: CheckpointId
    reason: str = ""


class CancelRequested(Fact):
    """Whoever runs the execution ends it before the next node."""

    reason: str = ""


class ExecutionCancelled(Fact):
    reason: str = ""


class ExecutionCompleted(Fact):
    duration_us: int


class ExecutionFailed(Fact):
    duration_us: int
    error: Failure
    node: str | None = None


Claim = ExecutionStarted | ExecutionResumed | ExecutionRetried | NodeSkipped | ExecutionRecovered
"""Facts by which a worker takes an execution, to run it."""

HeadMove = RolledBack | RollbackUndone
"""Facts after which the head is where they say, until a checkpoint is saved."""

LifecycleFact = (
    Claim
    | HeadMove
    | PauseRequested
    | BreakpointsSet
    | ExecutionPaused
    | StateEdited
    | CancelRequested
    | ExecutionCancelled
    | ExecutionCompleted
    | ExecutionFailed
)
"""Facts that decide what may happen next; few, however long the execution."""

NodeFact = NodeStarted | NodeCompleted | NodeFailed | NodeInterrupted

RecordFact = NodeFact | WritesSaved | CheckpointSaved | CheckpointsDeleted | Forked
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
    questions: tuple[Question, ...] = ()
    rollback: "Rollback | None" = None
    """The rollback it stands at, as long as nothing has run since."""
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


Stopped = Paused | Completed | Failed | Cancelled
State = Unknown | Running | Stopped
Status = Literal["running", "paused", "completed", "failed", "cancelled"]


@dataclass(frozen=True, slots=True)
class Rollback:
    """A rollback that can be undone: the fact, and the state before it."""

    fact: RolledBack
    before: Stopped


def evolve(state: State, fact: LifecycleFact) -> State:
    """The state after one more fact."""
    if isinstance(fact, ExecutionStarted):
        return Running(fact, fact.worker)
    if isinstance(state, Unknown):
        return state  # a bare checkpointer thread has no execution
    started = state.started
    match fact:
        case ExecutionResumed() | ExecutionRetried() | NodeSkipped():
            return Running(started, fact.worker)
        case ExecutionRecovered():
            asked = state if isinstance(state, Running) else Running(started, fact.worker)
            return Running(started, fact.worker, asked.pause_requested, asked.cancel_requested)
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
        case StateEdited():
            return state if isinstance(state, Running) else Paused(started)
        case RolledBack():
            if isinstance(state, Running):
                return state
            rolled = state.rollback if isinstance(state, Paused) else None
            return Paused(started, rollback=Rollback(fact, rolled.before if rolled else state))
        case RollbackUndone():
            return state.rollback.before if isinstance(state, Paused) and state.rollback else state
        case BreakpointsSet():
            return state
        case _:
            assert_never(fact)


def fold(facts: Sequence[LifecycleFact]) -> State:
    """The state that facts add up to."""
    state: State = Unknown()
    for fact in facts:
        state = evolve(state, fact)
    return state


def breakpoints(facts: Sequence[LifecycleFact]) -> BreakpointsSet:
    """The breakpoints that hold now."""
    return next((fact for fact in reversed(facts) if isinstance(fact, BreakpointsSet)), BreakpointsSet())
