"""The three ways a stretch of an execution begins: started, resumed after a pause, recovered after a crash."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from langgraph.types import Command

from wtb.domain import execution as domain
from wtb.domain.errors import ExecutionExists, ExecutionTaken, InvalidAnswer, WtbError
from wtb.domain.event_log import EMPTY_STREAM, Origin, Recorded, StreamHead
from wtb.domain.execution import (
    ExecutionPaused,
    ExecutionRecovered,
    ExecutionResumed,
    ExecutionStarted,
    LifecycleFact,
    Paused,
)
from wtb.domain.identifiers import Digest, ExecutionId, WorkerId, execution_stream
from wtb.infra.event_store.journal import Journal
from wtb.infra.langgraph.graphs import RunnableGraph
from wtb.infra.langgraph.recording import Recording
from wtb.sdk.platform import Platform
from wtb.sdk.running import Emit, Options, Run, config_of

FindGraph = Callable[[str], RunnableGraph]
"""Workflow name to its graph; raises `WorkflowNotFound`."""


def start(
    platform: Platform,
    execution: ExecutionId,
    workflow: str,
    graph: RunnableGraph,
    state: Any,
    origin: Origin,
    options: Options,
    emit: Emit | None = None,
    *,
    new: bool,
) -> Run:
    """A new execution, noted but not durable yet: its first node's start makes both so.

    ``new`` says that the id was just made, so nobody can have used it. Raises
    `InvalidState` or `ExecutionExists`.
    """
    graph.check_input(state)
    head = EMPTY_STREAM if new else platform.store.head(execution_stream(execution))
    if head != EMPTY_STREAM:
        raise ExecutionExists(execution)
    recording = _recording(platform, execution, head, origin, emit)
    started = ExecutionStarted(
        workflow=workflow,
        graph=graph.version,
        input=recording.name_value("(input)", "(input)", state, graph.saver.serde),
        worker=platform.presence.announce(),
    )
    _begin(platform, execution, recording, domain.start(execution, domain.Unknown(), started), durable=False)
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
    events, head = platform.store.lifecycle(execution_stream(execution))
    state = _fold(events)
    if isinstance(state, Paused) and answers is None:
        answers = _by_interrupt(execution, state, answer)
    # Refused before the graph is looked for and any answer is stored.
    worker = platform.presence.announce()
    domain.resume(execution, state, worker, dict.fromkeys(answers or {}, Digest("")))
    assert isinstance(state, Paused)
    graph = find_graph(state.started.workflow)
    recording = _recording(platform, execution, head, origin, emit)
    named = {
        interrupt: recording.name_value("(answer)", interrupt, value, graph.saver.serde)
        for interrupt, value in (answers or {}).items()
    }
    _begin(platform, execution, recording, domain.resume(execution, state, worker, named))
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
    events, head = platform.store.lifecycle(execution_stream(execution))
    state = _fold(events)
    alive = isinstance(state, domain.Running) and platform.presence.is_alive(state.worker)
    facts = domain.recover(execution, state, platform.presence.announce(), alive=alive)
    if not facts:
        return None
    assert isinstance(state, domain.Running)
    graph = find_graph(state.started.workflow)
    recording = _recording(platform, execution, head, origin, emit)
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
    if not waiting and answer is not None:
        raise InvalidAnswer(f"execution {execution!r} waits for no answer", hint="Resume it without one.")
    return dict.fromkeys(waiting, answer)


def _fold(events: Sequence[Recorded]) -> domain.State:
    return domain.fold([cast("LifecycleFact", event.fact) for event in events])


def _recording(
    platform: Platform, execution: ExecutionId, head: StreamHead, origin: Origin, emit: Emit | None
) -> Recording:
    claim = _Claim(execution, platform.presence.announce())
    journal = Journal(
        execution_stream(execution), head, origin, admit=claim.admit, told=None if emit is None else _each(emit)
    )
    return Recording(journal, platform.saver.committer, engine=True, fresh=head == EMPTY_STREAM)


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


class _Claim:
    """This process runs the execution; what others may add to its stream meanwhile is limited to requests."""

    def __init__(self, execution: ExecutionId, worker: WorkerId) -> None:
        self._execution = execution
        self._worker = worker

    def admit(self, added: Sequence[Recorded]) -> None:
        """Raise `ExecutionTaken` when another process has taken the execution over."""
        for event in added:
            fact = event.fact
            if isinstance(fact, ExecutionStarted):
                raise ExecutionExists(self._execution)
            if isinstance(fact, ExecutionResumed | ExecutionRecovered) and fact.worker != self._worker:
                raise ExecutionTaken(self._execution, fact.worker)
