"""Driving LangGraph through one stretch of an execution, and telling how it ended."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from time import perf_counter_ns, time_ns
from typing import Any, Literal, TypeVar

from langchain_core.runnables import RunnableConfig

from wtb.domain.errors import ValueMissing
from wtb.domain.event_log import Recorded
from wtb.domain.execution import (
    ExecutionCancelled,
    ExecutionCompleted,
    ExecutionFailed,
    ExecutionPaused,
    Question,
)
from wtb.domain.identifiers import ExecutionId, Namespace, Position, node_path
from wtb.infra.langgraph.graphs import RunnableGraph
from wtb.infra.langgraph.own_loop import in_a_loop
from wtb.infra.langgraph.recording import RECORDING, Recording
from wtb.sdk.platform import Platform
from wtb.sdk.results import CustomStreamed, Interrupt, PauseReason, RunError, RunResult, Status, TokenStreamed
from wtb.sdk.state import state_at

Progress = Recorded | TokenStreamed | CustomStreamed
"""What shows while an execution runs: facts once they are durable, and what is streamed past the record."""

Emit = Callable[[Progress], None]
T = TypeVar("T")

INTERRUPTS = "__interrupt__"
"""LangGraph's key for interrupts in a graph's output."""

STREAM_MODES: list[Literal["values", "messages", "custom"]] = ["values", "messages", "custom"]


@dataclass(frozen=True, slots=True)
class Options:
    """What a run may be told beyond its graph and its input."""

    config: RunnableConfig | None = None
    """LangGraph's own: recursion_limit, callbacks, tags, max_concurrency, further configurable keys."""
    context: Any = None
    """LangGraph's runtime context."""


@dataclass(slots=True)
class Run:
    """One stretch of an execution, from where it begins to where it next stops."""

    platform: Platform
    execution: ExecutionId
    workflow: str
    graph: RunnableGraph
    recording: Recording
    input: Any
    options: Options
    emit: Emit | None = None
    began_ns: int = 0


def config_of(run: Run) -> RunnableConfig:
    """LangGraph's config of the run; the execution's own folder stands in it, and exists."""
    given: RunnableConfig = run.options.config or {}
    folder = run.platform.output_dir / run.execution
    folder.mkdir(parents=True, exist_ok=True)
    configurable = {**given.get("configurable", {}), "thread_id": run.execution, "output_dir": str(folder)}
    configurable[RECORDING] = run.recording
    return {**given, "configurable": configurable}


def drive(run: Run) -> RunResult:
    """Run until the graph completes, pauses or fails.

    A node's error is a result, not an exception; raises `StoreError` or
    `Conflict` when the run can't be recorded any more.
    """
    if run.graph.runs_on_a_loop(run.recording.variants):
        return in_a_loop(lambda: adrive(run))
    run.began_ns = perf_counter_ns()
    try:
        result = _outcome(run)
        run.recording.commit()
        result = _recorded(run, result)
    except BaseException as stop:
        _abandoned(run, stop)
        raise
    finally:
        run.platform.saver.end(run.execution, run.recording)
    _seal_when_due(run)
    return result


async def adrive(run: Run) -> RunResult:
    """`drive` on the running event loop."""
    run.began_ns = perf_counter_ns()
    try:
        result = await _aoutcome(run)
        await run.recording.acommit()
        result = _recorded(run, result)
    except BaseException as stop:
        _abandoned(run, stop)
        raise
    finally:
        run.platform.saver.end(run.execution, run.recording)
    if run.platform.sealer.is_due(run.recording.journal.position):
        await asyncio.to_thread(_seal_when_due, run)
    return result


def _seal_when_due(run: Run) -> None:
    """Seal the log when it has grown far beyond the last seal, as a run ends that is durable."""
    position = run.recording.journal.position
    if run.platform.sealer.is_due(position):
        run.platform.sealer.seal(position, time_ns() // 1000)


def _outcome(run: Run) -> RunResult:
    try:
        return _concluded(run, _invoke(run))
    except Exception as error:  # noqa: BLE001  # whatever a node raises is the execution's outcome
        return _failed(run, error)


async def _aoutcome(run: Run) -> RunResult:
    try:
        return _concluded(run, await _ainvoke(run))
    except Exception as error:  # noqa: BLE001  # as above
        return _failed(run, error)


def _invoke(run: Run) -> Any:
    graph, config, context = run.graph.graph, config_of(run), run.options.context
    if run.emit is None:
        return graph.invoke(run.input, config, context=context, durability="sync")
    output: Any = None
    for part in graph.stream(
        run.input, config, context=context, durability="sync", stream_mode=STREAM_MODES, subgraphs=True
    ):
        output = _streamed(run, run.emit, part, output)
    return output


async def _ainvoke(run: Run) -> Any:
    graph, config, context = run.graph.graph, config_of(run), run.options.context
    if run.emit is None:
        return await graph.ainvoke(run.input, config, context=context, durability="sync")
    output: Any = None
    async for part in graph.astream(
        run.input, config, context=context, durability="sync", stream_mode=STREAM_MODES, subgraphs=True
    ):
        output = _streamed(run, run.emit, part, output)
    return output


def _streamed(run: Run, emit: Emit, part: Any, output: Any) -> Any:
    """Pass on a part of LangGraph's stream; returns the graph's output as far as it is known."""
    namespace, mode, chunk = part
    if mode == "values":
        return output if namespace else chunk
    if mode == "messages":
        message, metadata = chunk
        emit(TokenStreamed(run.execution, metadata["langgraph_node"], message.text, message))
    else:
        emit(CustomStreamed(run.execution, chunk))
    return output


# --- how it ended: each notes the fact and gives the result, without its position yet ----------------


def _concluded(run: Run, output: Any) -> RunResult:
    interrupts, control = run.recording.interrupts, run.recording.control
    stops = tuple(control.stops)
    status: Status = "paused"
    reason: PauseReason | None = None
    if interrupts:
        reason = "interrupt"
    elif control.kept_back:
        reason = "request" if control.pause else "breakpoint"
    elif run.graph.has_breakpoints and run.graph.graph.get_state(config_of(run)).next:
        reason = "breakpoint"
    if reason is None:
        # A request that found no node left to start came too late.
        status = "completed"
        run.recording.journal.note(ExecutionCompleted(duration_us=_elapsed_us(run)))
    elif control.cancel is not None:
        status, reason, interrupts, stops = "cancelled", None, [], ()
        run.recording.journal.note(ExecutionCancelled(reason=control.cancel.reason))
    else:
        questions = tuple(
            Question(id=i.id, value=run.recording.name_value("(interrupt)", i.id, i.value, run.graph.saver.serde))
            for i in interrupts
        )
        run.recording.journal.note(ExecutionPaused(reason=reason, questions=questions, stops=stops))
    state = dict(output) if isinstance(output, Mapping) else {"output": output}
    state.pop(INTERRUPTS, None)
    return RunResult(
        execution_id=run.execution,
        workflow=run.workflow,
        status=status,
        state=state,
        interrupts=tuple(Interrupt(i.id, i.value) for i in interrupts),
        error=None,
        duration=timedelta(microseconds=_elapsed_us(run)),
        position=Position(0),
        pause_reason=reason,
        stops=stops,
    )


def _failed(run: Run, error: Exception) -> RunResult:
    if run.recording.journal.failure is not None:
        # The record is what failed, whatever LangGraph made of it.
        raise run.recording.journal.failure from error
    at = run.recording.failed_attempt(error)
    node = node_path(at.namespace, at.node) if at is not None else None
    failure = run.recording.failure(error, run.graph.saver.serde)
    run.recording.journal.note(ExecutionFailed(duration_us=_elapsed_us(run), error=failure, node=node))
    last = _last_state(run)
    return RunResult(
        execution_id=run.execution,
        workflow=run.workflow,
        status="failed",
        state=dict(last) if isinstance(last, Mapping) else {"output": last},
        interrupts=(),
        error=RunError(failure.type, failure.message, node, error),
        duration=timedelta(microseconds=_elapsed_us(run)),
        position=Position(0),
    )


def _last_state(run: Run) -> Any:
    """The state as last recorded, with what nodes side by side had written before one of them failed."""
    config = config_of(run)
    try:
        return run.graph.graph.get_state(config).values
    except Exception:  # noqa: BLE001  # a reducer that can't take what was written may be the very failure: without it
        saved = run.graph.saver.history.head(run.recording.journal.stream, Namespace(""))
        if saved is None:
            return {}
        try:
            return dict(state_at(run.platform, run.execution, saved.checkpoint, "", run.graph))
        except ValueMissing:  # as when it was erased
            return {}


def _recorded(run: Run, result: RunResult) -> RunResult:
    """The result, now that its last fact is durable."""
    if run.recording.control.cut_short:
        result = replace(result, status="cancelled", interrupts=(), pause_reason=None, stops=())
    return replace(result, position=run.recording.journal.position)


def _abandoned(run: Run, stop: BaseException) -> None:
    """Ctrl-C, or the task was cancelled: nobody waits for the execution any more."""
    if not isinstance(stop, Exception) and run.recording.journal.failure is None:
        run.recording.journal.note(ExecutionCancelled(reason=type(stop).__name__))
        run.recording.commit()


def _elapsed_us(run: Run) -> int:
    return (perf_counter_ns() - run.began_ns) // 1000
