"""How this process takes an execution, and keeps it from others for as long as it has it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

from wtb.domain.errors import (
    ExecutionExists,
    ExecutionNotFound,
    ExecutionTaken,
    VersionConflict,
    WrongStatus,
    WtbError,
)
from wtb.domain.event_log import EMPTY_STREAM, Origin, Recorded, StreamHead
from wtb.domain.execution import (
    BreakpointsSet,
    CancelRequested,
    Claim,
    ExecutionCancelled,
    ExecutionStarted,
    LifecycleFact,
    PauseRequested,
    State,
    Unknown,
    fold,
)
from wtb.domain.identifiers import ExecutionId, WorkerId, execution_stream
from wtb.infra.event_store.journal import Amend, Journal
from wtb.infra.langgraph.control import Control
from wtb.infra.langgraph.graphs import RunnableGraph
from wtb.infra.langgraph.recording import Recording
from wtb.sdk.platform import Platform
from wtb.sdk.running import Emit, Options, Run

FindGraph = Callable[[ExecutionStarted], RunnableGraph]
"""An execution's start to the graph it runs; raises `WorkflowNotFound`, or `VariantNotFound` where another graph
was chosen for it."""


@dataclass(frozen=True, slots=True)
class Request:
    """What every beginning is told: whose graph, on whose behalf, how to run it and who looks on."""

    find_graph: FindGraph
    origin: Origin
    options: Options = Options()  # noqa: RUF009  # frozen
    emit: Emit | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """An execution as it stands: what decisions rest on."""

    execution: ExecutionId
    facts: Sequence[LifecycleFact]
    state: State
    head: StreamHead

    @property
    def started(self) -> ExecutionStarted:
        """Raises `ExecutionNotFound`."""
        if isinstance(self.state, Unknown):
            raise ExecutionNotFound(self.execution)
        return self.state.started


def standing(platform: Platform, execution: ExecutionId) -> Standing:
    """Reads what decisions rest on; a few events, however long the execution."""
    events, head = platform.store.lifecycle(execution_stream(execution))
    facts = [cast("LifecycleFact", event.fact) for event in events]
    return Standing(execution, facts, fold(facts), head)


def is_run(platform: Platform, execution: ExecutionId, worker: WorkerId) -> bool:
    """Whether the worker that an execution is recorded as running in still runs it.

    This process knows what it runs: what it had to give up, because it could no
    longer be recorded, it doesn't run any more.
    """
    if worker == platform.presence.announce():
        return platform.saver.queues(execution)
    return platform.presence.is_alive(worker)


@contextmanager
def giving_up(run: Run) -> Iterator[None]:
    """Let go of a claimed execution when it can't be run after all; recovering it finds it where it stood."""
    try:
        yield
    except BaseException:
        run.platform.saver.end(run.execution, run.recording)
        raise


def recording_of(
    platform: Platform,
    execution: ExecutionId,
    head: StreamHead,
    origin: Origin,
    variants: Mapping[str, str],
    emit: Emit | None = None,
    control: Control | None = None,
) -> Recording:
    """A recording that goes on after ``head``."""
    worker = platform.presence.announce()
    journal = Journal(
        execution_stream(execution),
        head,
        origin,
        admit=lambda added: _admit(execution, worker, added, recording, held=journal.position > 0),
        told=None if emit is None else _each(emit),
    )
    recording = Recording(
        journal,
        platform.saver.committer,
        engine=True,
        fresh=head == EMPTY_STREAM,
        variants=variants,
        files=platform.output_folder(execution),
        control=control,
    )
    return recording


def _each(emit: Emit) -> Callable[[Sequence[Recorded]], None]:
    def told(events: Sequence[Recorded]) -> None:
        for event in events:
            emit(event)

    return told


def begin(
    platform: Platform,
    execution: ExecutionId,
    recording: Recording,
    facts: Sequence[LifecycleFact],
    *,
    durable: bool = True,
) -> None:
    """Take the execution in this process and note why; ``durable`` before anything else happens."""
    platform.saver.begin(execution, recording)
    for fact in facts:
        recording.journal.note(fact)
    if durable:
        try:
            recording.commit()
        except WtbError:
            platform.saver.end(execution, recording)
            raise


def claim(run: Run, facts: Sequence[LifecycleFact], *, durable: bool = True) -> None:
    """`begin`, after its graph is known as a version of its workflow: nothing that is refused comes this far."""
    run.platform.registry.note(run.workflow, run.graph, run.recording.journal.origin)
    begin(run.platform, run.execution, run.recording, facts, durable=durable)


def _admit(
    execution: ExecutionId, worker: WorkerId, added: Sequence[Recorded], recording: Recording, *, held: bool
) -> Amend:
    """Judge what others added to the stream: while this process holds the execution they may only ask for something.

    Raises `ExecutionExists`, `VersionConflict` when the claim to hold it rests on
    what is no longer so; `ExecutionTaken` or `WrongStatus` when others, who took
    this process for dead, run it now or have ended it.
    """
    for event in added:
        fact = event.fact
        if isinstance(fact, ExecutionStarted):
            raise ExecutionExists(execution)
        if isinstance(fact, PauseRequested | CancelRequested | BreakpointsSet):
            recording.hear(fact)
        elif not held and isinstance(fact, LifecycleFact):
            raise VersionConflict(event.stream, event.version - 1)
        elif isinstance(fact, Claim) and fact.worker != worker:
            raise ExecutionTaken(execution, fact.worker)
        elif isinstance(fact, ExecutionCancelled):
            raise WrongStatus(execution, "cancelled", "go on")
    return recording.control.amended
