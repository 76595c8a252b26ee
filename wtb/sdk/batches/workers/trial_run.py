"""Running a trial in this process, from wherever its execution stands."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from langchain_core.callbacks import UsageMetadataCallbackHandler

from wtb.domain.errors import ExecutionTaken
from wtb.domain.event_log import Origin
from wtb.domain.execution import (
    BreakpointsSet,
    Cancelled,
    Completed,
    ExecutionCompleted,
    ExecutionFailed,
    ExecutionPaused,
    Failed,
    Paused,
    Running,
)
from wtb.domain.identifiers import ExecutionId
from wtb.infra.langgraph.graphs import RunnableGraph
from wtb.sdk import beginnings, time_travel
from wtb.sdk.batches.workers.assignment import Assignment, Ended, Trouble
from wtb.sdk.claims import Request, Standing, giving_up, standing
from wtb.sdk.control import shut_out
from wtb.sdk.platform import Platform
from wtb.sdk.results import RunResult
from wtb.sdk.running import Options, Run, adrive, drive
from wtb.sdk.time_travel import Place

FindGraph = Callable[[Mapping[str, str]], RunnableGraph]
"""A combination of variants to the graph that runs under it; raises `VariantNotFound`."""

MOST_TOKENS = 2**40
"""Of one trial: those of a million trials together still fit into a read model."""


RELEASE_SECONDS = 10.0
"""How long a worker of a process that was killed may take to notice."""
BETWEEN_LOOKS = 0.05
"""Seconds."""


class UsedTokens(UsageMetadataCallbackHandler):
    """Hears of nothing but models, and of those at once: to call it a loop need not ask a thread."""

    run_inline = True
    ignore_chain = True
    ignore_agent = True
    ignore_retriever = True
    ignore_retry = True
    ignore_custom_event = True


@dataclass(frozen=True, slots=True)
class TrialRunner:
    """Brings trials of one workflow to their ends. Safe to share between threads."""

    platform: Platform
    find_graph: FindGraph
    origin: Origin
    options: Options = Options()  # noqa: RUF009  # frozen
    given: Mapping[str, Any] = field(default_factory=dict)
    """By case, inputs as they were given, where the store hides something of them: what runs is never changed."""

    def run(self, assignment: Assignment) -> Ended:
        """Raises `ExecutionTaken`, `StoreError`, or what keeps it from being begun; a node's error is told."""
        usage = UsedTokens()
        until = time.monotonic() + RELEASE_SECONDS
        while (begun := self._begin_unless_taken(assignment, usage, until)) is None:
            time.sleep(BETWEEN_LOOKS)
        if not isinstance(begun, Run):
            return begun
        try:
            return _ended(drive(begun), usage)
        except SystemExit as leaving:  # a node's, which is not to end whoever runs the batch
            return _left(begun, usage, leaving)

    def give_up(self, assignment: Assignment) -> bool:
        """End a trial that this process runs or that nobody does any more, and shut out who ran it; see `shut_out`."""
        return shut_out(self.platform, assignment.execution, "given up by its batch", self.origin)

    async def arun(self, assignment: Assignment) -> Ended:
        """`run` on the running event loop."""
        usage = UsedTokens()
        until = time.monotonic() + RELEASE_SECONDS
        while (begun := self._begin_unless_taken(assignment, usage, until)) is None:  # noqa: ASYNC110  # no news comes
            await asyncio.sleep(BETWEEN_LOOKS)
        if not isinstance(begun, Run):
            return begun
        try:
            return _ended(await adrive(begun), usage)
        except SystemExit as leaving:  # as above
            return _left(begun, usage, leaving)

    def _begin_unless_taken(self, assignment: Assignment, usage: UsedTokens, until: float) -> Run | Ended | None:
        """`_begin`; None while somebody else runs it, as a worker does for a moment whose batch was killed."""
        try:
            return self._begin(assignment, usage)
        except ExecutionTaken:
            if time.monotonic() > until:
                raise
            return None

    def _begin(self, assignment: Assignment, usage: UsedTokens) -> Run | Ended:
        """The run of what is left to be done; how it ended, when nothing is."""
        execution = assignment.execution
        request = Request(lambda started: self.find_graph(started.variants), self.origin, _with(self.options, usage))
        now = standing(self.platform, execution)
        failures = [fact for fact in now.facts if isinstance(fact, ExecutionFailed)]
        match now.state:
            case Failed() if len(failures) >= assignment.attempts:
                return told(now)
            case Running():
                run = beginnings.recover(self.platform, execution, request)
                assert run is not None  # else it would have been told to be taken
                return run
            case Failed() | Cancelled():
                return beginnings.retry(self.platform, execution, request, "tried again by its batch")
            case Completed() | Paused():
                return told(now)
            case _:
                return self._start(assignment, request)

    def _start(self, assignment: Assignment, request: Request) -> Run | Ended:
        case = f"{assignment.batch}/{assignment.trial.case}"
        if assignment.fork is not None:
            shared = assignment.fork
            run = time_travel.fork(
                self.platform,
                shared.execution,
                assignment.execution,
                request,
                Place(at=shared.checkpoint),
                None,
                assignment.variants,
                batch_case=case,
                as_it_stands=True,
            )
            return self._ended_alike(run, shared.execution) if shared.failed else run
        graph = self.find_graph(assignment.variants)
        return beginnings.start(
            self.platform,
            assignment.execution,
            assignment.workflow,
            graph,
            self._input(assignment, graph),
            assignment.variants,
            request.origin,
            request.options,
            new=False,
            held=BreakpointsSet(before=assignment.break_before),
            batch_case=case,
        )

    def _input(self, assignment: Assignment, graph: RunnableGraph) -> Any:
        if assignment.trial.case in self.given:
            return self.given[assignment.trial.case]
        return graph.saver.history.load({assignment.input})[assignment.input]

    def _ended_alike(self, run: Run, failed: ExecutionId) -> Ended:
        """Have a fork end with the failure of what it was forked from."""
        of_parent = [fact for fact in standing(self.platform, failed).facts if isinstance(fact, ExecutionFailed)]
        with giving_up(run):
            run.recording.journal.note(of_parent[-1])
            run.recording.commit()
        self.platform.saver.end(run.execution, run.recording)
        return told(standing(self.platform, run.execution))


def told(now: Standing) -> Ended:
    """How an execution ended, as its record tells; which tokens it used isn't in it."""
    assert isinstance(now.state, Completed | Paused | Failed)
    ends = [fact for fact in now.facts if isinstance(fact, ExecutionCompleted | ExecutionFailed | ExecutionPaused)]
    last, failures = ends[-1], sum(isinstance(fact, ExecutionFailed) for fact in ends)
    return Ended(
        execution=now.execution,
        status=now.state.status,
        duration_us=last.duration_us if isinstance(last, ExecutionCompleted | ExecutionFailed) else 0,
        attempts=failures + (now.state.status != "failed"),
        error=Trouble(last.error.type, last.error.message, last.node) if isinstance(last, ExecutionFailed) else None,
    )


def _with(options: Options, usage: UsedTokens) -> Options:
    """Options whose callbacks count tokens too."""
    config = dict(options.config or {})
    callbacks: Any = config.get("callbacks")
    if callbacks is None or isinstance(callbacks, list):
        config["callbacks"] = [*(callbacks or []), usage]
    else:
        callbacks = callbacks.copy()
        callbacks.add_handler(usage, inherit=True)
        config["callbacks"] = callbacks
    return replace(options, config=config)  # type: ignore[arg-type]


def _left(run: Run, usage: UsedTokens, leaving: SystemExit) -> Ended:
    """How a trial ended whose node would have the process exit."""
    return Ended(
        execution=run.execution,
        status="failed",
        duration_us=(time.perf_counter_ns() - run.began_ns) // 1000,
        error=Trouble(type(leaving).__name__, f"a node would have the process exit with {leaving.code!r}"),
        usage=_used(usage),
    )


def _used(usage: UsedTokens) -> list[tuple[str, int, int]]:
    return [
        (_storable(model), _tokens(used.get("input_tokens")), _tokens(used.get("output_tokens")))
        for model, used in usage.usage_metadata.items()
    ]


def _ended(result: RunResult, usage: UsedTokens) -> Ended:
    assert result.status != "running"
    error = result.error
    return Ended(
        execution=result.execution_id,
        status=result.status,
        duration_us=result.duration // timedelta(microseconds=1),
        error=None if error is None else Trouble(error.type, error.message, error.node),
        usage=_used(usage),
    )


def _tokens(told: object) -> int:
    """A model tells what it likes; what can't be a number of tokens counts as none."""
    return told if isinstance(told, int) and 0 <= told <= MOST_TOKENS else 0


def _storable(model: str) -> str:
    """A name without halves of surrogate pairs."""
    return model.encode("utf-8", "replace").decode()
