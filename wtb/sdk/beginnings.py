"""The three ways a stretch of an execution begins: started, resumed after a pause, recovered after a crash."""

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any, cast

from langgraph.types import Command

from wtb.domain import decisions
from wtb.domain.errors import ExecutionExists, ExecutionTaken, InvalidAnswer, VersionConflict, WtbError
from wtb.domain.event_log import EMPTY_STREAM, Origin, Recorded, StreamHead
from wtb.domain.execution import (
    CancelRequested,
    ExecutionPaused,
    ExecutionRecovered,
    ExecutionResumed,
    ExecutionStarted,
    LifecycleFact,
    Paused,
    PauseRequested,
    Running,
    State,
    Unknown,
    fold,
)
from wtb.domain.identifiers import Digest, ExecutionId, WorkerId, execution_stream
from wtb.infra.event_store.journal import Journal
from wtb.infra.langgraph.graphs import RunnableGraph
from wtb.infra.langgraph.recording import Recording
from wtb.sdk.platform import Platform
from wtb.sdk.running import Emit, Options, Run, config_of


class Unanswered(Enum):
    """What stands where no answer was given, since None is one."""

    UNANSWERED = "unanswered"


UNANSWERED = Unanswered.UNANSWERED

FindGraph = Callable[[str], RunnableGraph]
"""Workflow name to its graph; raises `WorkflowNotFound`."""


def start(
    platform: Platform,
    execution: ExecutionId,
    workflow: str,
    graph: RunnableGraph,
    state: Any,
    variants: Mapping[str, str],
    origin: Origin,
    options: Options,
    emit: Emit | None = None,
    *,
    new: bool,
) -> Run:
    """A new execution, noted but not durable yet: its first node's start makes both so.

    ``new`` says that the id was just made, so nobody can have used it. Raises
    `InvalidState`, `NodeNotFound`, `VariantNotFound` or `ExecutionExists`.
    """
    graph.check_input(state)
    graph.check_variants(variants)
    head = EMPTY_STREAM if new else platform.store.head(execution_stream(execution))
    if head != EMPTY_STREAM:
        raise ExecutionExists(execution)
    recording = _recording(platform, execution, head, origin, emit, variants)
    started = ExecutionStarted(
        workflow=workflow,
        graph=graph.version,
        input=recording.name_value("(input)", "(input)", state, graph.saver.serde),
        worker=platform.presence.announce(),
        variants=dict(variants),
    )
    _begin(platform, execution, recording, decisions.start(execution, Unknown(), started), durable=False)
    return Run(platform, execution, workflow, graph, recording, state, options, emit)


def resume(
    platform: Platform,
    execution: ExecutionId,
    find_graph: FindGraph,
    answer: Any,
    answers: Mapping[str, Any] | None,
    origin: Origin,
    options: Options,
    emit: Emit | None = None,
) -> Run:
    """An execution goes on after a pause; the claim on it is durable before anything runs.

    ``answers`` go by interrupt id; ``answer`` is for the one that waits. Raises
    `ExecutionNotFound`, `ExecutionTaken`, `NotResumable`, `InvalidAnswer` or
    `WorkflowNotFound`.
    """
    while True:
        try:
            return _resume(platform, execution, find_graph, answer, answers, origin, options, emit)
        except VersionConflict:
            pass  # it is no longer as it was when looked at: look again


def _resume(
    platform: Platform,
    execution: ExecutionId,
    find_graph: FindGraph,
    answer: Any,
    answers: Mapping[str, Any] | None,
    origin: Origin,
    options: Options,
    emit: Emit | None,
) -> Run:
    events, head = platform.store.lifecycle(execution_stream(execution))
    state = _fold(events)
    if isinstance(state, Paused) and answers is None:
        answers = _by_interrupt(execution, state, answer)
    # Refused before the graph is looked for and any answer is stored.
    worker = platform.presence.announce()
    decisions.resume(execution, state, worker, dict.fromkeys(answers or {}, Digest("")))
    assert isinstance(state, Paused)
    graph = find_graph(state.started.workflow)
    graph.check_variants(state.started.variants)
    recording = _recording(platform, execution, head, origin, emit, state.started.variants)
    named = {
        interrupt: recording.name_value("(answer)", interrupt, value, graph.saver.serde)
        for interrupt, value in (answers or {}).items()
    }
    _begin(platform, execution, recording, decisions.resume(execution, state, worker, named))
    command: Command[Any] | None = Command(resume=dict(answers)) if answers else None
    return Run(platform, execution, state.started.workflow, graph, recording, command, options, emit)


def recover(
    platform: Platform,
    execution: ExecutionId,
    find_graph: FindGraph,
    origin: Origin,
    options: Options,
    emit: Emit | None = None,
) -> Run | None:
    """Take over an execution whose process died; None when there is nothing to recover.

    Raises `ExecutionNotFound`, `ExecutionTaken` or `WorkflowNotFound`.
    """
    while True:
        try:
            return _recover(platform, execution, find_graph, origin, options, emit)
        except VersionConflict:
            pass  # as above


def is_run(platform: Platform, execution: ExecutionId, worker: WorkerId) -> bool:
    """Whether the worker that an execution is recorded as running in still runs it.

    This process knows what it runs: what it had to give up, because it could no
    longer be recorded, it doesn't run any more.
    """
    if worker == platform.presence.announce():
        return platform.saver.queues(execution)
    return platform.presence.is_alive(worker)


def _recover(
    platform: Platform,
    execution: ExecutionId,
    find_graph: FindGraph,
    origin: Origin,
    options: Options,
    emit: Emit | None,
) -> Run | None:
    events, head = platform.store.lifecycle(execution_stream(execution))
    state = _fold(events)
    alive = isinstance(state, Running) and is_run(platform, execution, state.worker)
    facts = decisions.recover(execution, state, platform.presence.announce(), alive=alive)
    if not facts:
        return None
    assert isinstance(state, Running)
    graph = find_graph(state.started.workflow)
    graph.check_variants(state.started.variants)
    recording = _recording(platform, execution, head, origin, emit, state.started.variants)
    _begin(platform, execution, recording, facts)
    run = Run(platform, execution, state.started.workflow, graph, recording, None, options, emit)
    try:
        run.input = _what_was_left(run, state.started, events)
    except BaseException:
        platform.saver.end(execution)
        raise
    return run


def _what_was_left(run: Run, started: ExecutionStarted, events: Sequence[Recorded]) -> Any:
    """What makes LangGraph go on: the input it never saw, answers it hadn't taken yet, or nothing."""
    saver, config = run.graph.saver, config_of(run)
    if saver.get_tuple(config) is None:
        return saver.history.load({started.input})[started.input]
    answers: dict[str, Digest] = {}
    for event in events:
        if isinstance(event.fact, ExecutionPaused):
            answers = {}
        elif isinstance(event.fact, ExecutionResumed):
            answers = event.fact.answers
    waiting = {interrupt.id for interrupt in run.graph.graph.get_state(config).interrupts}
    untaken = waiting & answers.keys()
    if not untaken:
        return None
    given = saver.history.load({answers[interrupt] for interrupt in untaken})
    return Command(resume={interrupt: given[answers[interrupt]] for interrupt in untaken})


def _by_interrupt(execution: ExecutionId, state: Paused, answer: Any) -> dict[str, Any]:
    waiting = [question.id for question in state.questions]
    if len(waiting) > 1:
        raise InvalidAnswer(f"execution {execution!r} waits for {len(waiting)} answers: {', '.join(waiting)}")
    if not waiting and answer is not None and answer is not UNANSWERED:
        raise InvalidAnswer(f"execution {execution!r} waits for no answer", hint="Resume it without one.")
    if waiting and answer is UNANSWERED:
        raise InvalidAnswer(f"execution {execution!r} waits for an answer and got none")
    return dict.fromkeys(waiting, answer)


def _fold(events: Sequence[Recorded]) -> State:
    return fold([cast("LifecycleFact", event.fact) for event in events])


def _recording(
    platform: Platform,
    execution: ExecutionId,
    head: StreamHead,
    origin: Origin,
    emit: Emit | None,
    variants: Mapping[str, str],
) -> Recording:
    worker = platform.presence.announce()
    journal = Journal(
        execution_stream(execution),
        head,
        origin,
        admit=lambda added: _admit(execution, worker, added, held=journal.position > 0),
        told=None if emit is None else _each(emit),
    )
    return Recording(journal, platform.saver.committer, engine=True, fresh=head == EMPTY_STREAM, variants=variants)


def _each(emit: Emit) -> Callable[[Sequence[Recorded]], None]:
    def told(events: Sequence[Recorded]) -> None:
        for event in events:
            emit(event)

    return told


def _begin(
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
            platform.saver.end(execution)
            raise


def _admit(execution: ExecutionId, worker: WorkerId, added: Sequence[Recorded], *, held: bool) -> None:
    """Judge what others added to the stream: while this process holds the execution they may only ask for something.

    Raises `ExecutionExists`, `ExecutionTaken`, or `VersionConflict` when the
    claim to hold it rests on what is no longer so.
    """
    for event in added:
        fact = event.fact
        if isinstance(fact, ExecutionStarted):
            raise ExecutionExists(execution)
        if not held and isinstance(fact, LifecycleFact) and not isinstance(fact, PauseRequested | CancelRequested):
            raise VersionConflict(event.stream, event.version - 1)
        if isinstance(fact, ExecutionResumed | ExecutionRecovered) and fact.worker != worker:
            raise ExecutionTaken(execution, fact.worker)
