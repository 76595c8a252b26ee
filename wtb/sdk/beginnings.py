"""The ways a stretch of an execution begins: started, resumed, retried, a node skipped, recovered after a crash."""

from collections.abc import Mapping, Sequence
from enum import Enum
from types import MappingProxyType
from typing import Any

from langgraph.types import Command

from wtb.domain import decisions
from wtb.domain.errors import (
    ExecutionExists,
    InvalidAnswer,
    NodeNotFound,
    VersionConflict,
    WtbError,
)
from wtb.domain.event_log import EMPTY_STREAM, Origin
from wtb.domain.execution import (
    BreakpointsSet,
    Claim,
    ExecutionPaused,
    ExecutionRecovered,
    ExecutionResumed,
    ExecutionStarted,
    LifecycleFact,
    NodeSkipped,
    Paused,
    Running,
    Unknown,
    Write,
)
from wtb.domain.identifiers import Digest, ExecutionId, Namespace, execution_stream
from wtb.infra.langgraph.control import Control
from wtb.infra.langgraph.graphs import RunnableGraph
from wtb.infra.langgraph.history import config_at
from wtb.infra.langgraph.recording import Skip
from wtb.sdk.claims import Request, Standing, claim, giving_up, is_run, recording_of, standing
from wtb.sdk.platform import Platform
from wtb.sdk.running import Emit, Options, Run, config_of


class Unanswered(Enum):
    """What stands where no answer was given, since None is one."""

    UNANSWERED = "unanswered"


UNANSWERED = Unanswered.UNANSWERED


# --- the beginnings -----------------------------------------------------------------------------------


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
    held: BreakpointsSet | None = None,
    batch_case: str | None = None,
) -> Run:
    """A new execution, noted but not durable yet: its first node's start makes both so.

    ``new`` says that the id was just made, so nobody can have used it; ``held`` are
    its breakpoints; ``batch_case`` the case it is of, as ``batch/case``. Raises
    `InvalidState`, `NodeNotFound`, `VariantNotFound` or `ExecutionExists`.
    """
    held = held or BreakpointsSet()
    graph.check_input(state)
    graph.check_variants(variants)
    graph.check_nodes((*held.before, *held.after), variants)
    head = EMPTY_STREAM if new else platform.store.head(execution_stream(execution))
    if head != EMPTY_STREAM:
        raise ExecutionExists(execution)
    recording = recording_of(platform, execution, head, origin, variants, emit, Control(held))
    started = ExecutionStarted(
        workflow=workflow,
        graph=graph.version,
        input=recording.name_value("(input)", "(input)", state, graph.saver.serde),
        worker=platform.presence.announce(),
        variants=dict(variants),
        batch_case=batch_case,
    )
    facts = decisions.start(execution, Unknown(), started)
    if held != BreakpointsSet():
        facts.append(held)
    run = Run(platform, execution, workflow, graph, recording, state, options, emit)
    claim(run, facts, durable=False)
    return run


def resume(
    platform: Platform, execution: ExecutionId, request: Request, answer: Any, answers: Mapping[str, Any] | None
) -> Run:
    """An execution goes on after a pause; the claim on it is durable before anything runs.

    ``answers`` go by interrupt id; ``answer`` is for the one that waits. Raises
    `ExecutionNotFound`, `ExecutionTaken`, `NotResumable`, `InvalidAnswer` or
    `WorkflowNotFound`.
    """
    while True:
        try:
            return _resume(platform, execution, request, answer, answers)
        except VersionConflict:
            pass  # it is no longer as it was when looked at: look again


def _resume(
    platform: Platform, execution: ExecutionId, request: Request, answer: Any, answers: Mapping[str, Any] | None
) -> Run:
    now = standing(platform, execution)
    if isinstance(now.state, Paused) and answers is None:
        answers = _by_interrupt(execution, now.state, answer)
    # Refused before the graph is looked for and any answer is stored.
    worker = platform.presence.announce()
    decisions.resume(execution, now.state, worker, dict.fromkeys(answers or {}, Digest("")))
    run = _claimed(platform, now, request)
    named = {
        interrupt: run.recording.name_value("(answer)", interrupt, value, run.graph.saver.serde)
        for interrupt, value in (answers or {}).items()
    }
    claim(run, decisions.resume(execution, now.state, worker, named))
    with giving_up(run):
        run.input = _what_was_left(run, now, answers or {})
    return run


def retry(platform: Platform, execution: ExecutionId, request: Request, reason: str) -> Run:
    """A failed or cancelled execution goes on from where it stopped; nodes that had finished don't run again.

    Raises `ExecutionNotFound`, `ExecutionTaken`, `WrongStatus`, `WorkflowNotFound`,
    or `VersionConflict` when another was first.
    """
    now = standing(platform, execution)
    facts = decisions.retry(execution, now.state, platform.presence.announce(), reason)
    return _going_on(platform, now, request, facts)


def skip(
    platform: Platform, execution: ExecutionId, request: Request, node: str, writes: Mapping[str, Any], reason: str
) -> Run:
    """An execution goes on as if a node that waits to run had written this.

    Raises as `retry`, `NodeNotFound` when the node doesn't wait to run, or
    `InvalidState` when the graph has no such channels.
    """
    now = standing(platform, execution)
    worker = platform.presence.announce()
    nowhere = NodeSkipped(worker=worker, node=node, checkpoints=(), writes=())
    decisions.skip(execution, now.state, nowhere)  # refused before the graph is looked for
    run = _claimed(platform, now, request)
    run.graph.check_update(writes, node)
    waiting = run.graph.waiting(config_of(run))
    places = [task for task in waiting if task.path == node]
    if not places:
        raise NodeNotFound(
            f"node {node!r} of execution {execution!r} doesn't wait to run; "
            f"{', '.join(sorted({task.path for task in waiting})) or 'none'} does"
        )
    for place in places:
        run.graph.rehearse(config_at(execution, place.namespace, place.checkpoint), writes, node.rpartition("/")[2])
    fact = nowhere.model_copy(
        update={
            "checkpoints": tuple(dict.fromkeys(place.checkpoint for place in places)),
            "writes": tuple(
                Write(channel=c, value=run.recording.name_value(node, c, v, run.graph.saver.serde))
                for c, v in writes.items()
            ),
            "reason": reason,
        }
    )
    return _going_on(platform, now, request, decisions.skip(execution, now.state, fact), run)


def recover(platform: Platform, execution: ExecutionId, request: Request, *, take_over: bool = False) -> Run | None:
    """Take over an execution whose process died; None when there is nothing to recover.

    ``take_over``: somebody who knows says that its process is dead, though it looks
    alive. Raises `ExecutionNotFound`, `ExecutionTaken` or `WorkflowNotFound`.
    """
    while True:
        try:
            now = standing(platform, execution)
            alive = not take_over and isinstance(now.state, Running) and is_run(platform, execution, now.state.worker)
            facts = decisions.recover(execution, now.state, platform.presence.announce(), alive=alive)
            return _going_on(platform, now, request, facts) if facts else None
        except VersionConflict:
            pass  # as above


# --- what they share ----------------------------------------------------------------------------------


def _claimed(platform: Platform, now: Standing, request: Request) -> Run:
    """The run of an execution that is about to be claimed. Raises `ValueMissing` when what it goes on from is gone."""
    head = platform.saver.history.head(execution_stream(now.execution), Namespace(""))
    platform.saver.history.check_values([] if head is None else [head])
    graph = request.find_graph(now.started)
    graph.check_variants(now.started.variants)
    control = Control.left_by(now.facts)
    recording = recording_of(
        platform, now.execution, now.head, request.origin, now.started.variants, request.emit, control
    )
    return Run(platform, now.execution, now.started.workflow, graph, recording, None, request.options, request.emit)


def _going_on(
    platform: Platform, now: Standing, request: Request, facts: Sequence[LifecycleFact], run: Run | None = None
) -> Run:
    """Claim an execution, and find what makes LangGraph go on where it stopped."""
    run = run or _claimed(platform, now, request)
    claim(run, facts)
    with giving_up(run):
        run.recording.skip = _skip(run, [*now.facts, *facts])
        run.input = _what_was_left(run, now)
    return run


def _input_unseen(run: Run, started: ExecutionStarted) -> Any:
    """The input, if LangGraph has saved no checkpoint yet."""
    if run.graph.saver.get_tuple(config_of(run)) is not None:
        return None
    return run.graph.saver.history.load({started.input})[started.input]


def _what_was_left(run: Run, now: Standing, given: Mapping[str, Any] = MappingProxyType({})) -> Any:
    """The input LangGraph never saw, answers that are given now or that no node had taken yet, or nothing."""
    unseen = _input_unseen(run, now.started)
    if unseen is not None:
        return unseen
    answers = {**_untaken_answers(run, now), **given}
    return Command(resume=answers) if answers else None


def _untaken_answers(run: Run, now: Standing) -> dict[str, Any]:
    """Answers that were given, and whose nodes haven't run since: it broke off, or was paused again, before."""
    answers: dict[str, Digest] = {}
    for fact in now.facts:
        if isinstance(fact, ExecutionPaused):
            for question in fact.questions:
                answers.pop(question.id, None)
        elif isinstance(fact, ExecutionResumed):
            answers.update(fact.answers)
    if not answers:
        return {}
    try:
        waiting = {interrupt.id for interrupt in run.graph.graph.get_state(config_of(run)).interrupts}
    except WtbError:
        raise
    except Exception:  # noqa: BLE001  # what nodes wrote can't be put together, and running on will tell so
        return {}
    untaken = waiting & answers.keys()
    stored = run.graph.saver.history.load({answers[interrupt] for interrupt in untaken})
    return {interrupt: stored[answers[interrupt]] for interrupt in untaken}


def _skip(run: Run, facts: Sequence[LifecycleFact]) -> Skip | None:
    """The skip that this stretch began with, also when its first process died."""
    claims = [fact for fact in facts if isinstance(fact, Claim) and not isinstance(fact, ExecutionRecovered)]
    fact = claims[-1]
    if not isinstance(fact, NodeSkipped):
        return None
    given = run.graph.saver.history.load({write.value for write in fact.writes})
    return Skip(fact.node, fact.checkpoints, {write.channel: given[write.value] for write in fact.writes})


def _by_interrupt(execution: ExecutionId, state: Paused, answer: Any) -> dict[str, Any]:
    waiting = [question.id for question in state.questions]
    if len(waiting) > 1:
        raise InvalidAnswer(f"execution {execution!r} waits for {len(waiting)} answers: {', '.join(waiting)}")
    if not waiting and answer is not None and answer is not UNANSWERED:
        raise InvalidAnswer(f"execution {execution!r} waits for no answer", hint="Resume it without one.")
    if waiting and answer is UNANSWERED:
        raise InvalidAnswer(f"execution {execution!r} waits for an answer and got none")
    return dict.fromkeys(waiting, answer)
