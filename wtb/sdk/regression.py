"""Executions kept beside tests: recorded once into a bundle, replayed against today's code ever after."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langchain_core.runnables import RunnableConfig

from wtb.domain.errors import ExecutionFailedError, InvalidAnswer
from wtb.domain.execution import ExecutionStarted
from wtb.infra.event_store.values import ValueWriter
from wtb.sdk.changes import Change, between, changes
from wtb.sdk.plain_values import plain_data
from wtb.sdk.replay_report import ReplayReport
from wtb.sdk.results import Interrupt, RunResult
from wtb.sdk.test_bench import TestBench

Answers = Sequence[Any] | Callable[[Interrupt], Any]
"""What is answered to the questions that nodes ask: one after the other, or made for each."""

EXECUTION = "recorded"
"""The id of executions that are kept beside tests: the same each time, so that a bundle's changes can be read."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether today's code still does what was recorded."""

    report: ReplayReport
    input_changes: tuple[Change, ...] = ()
    """How the input of today differs from the recorded one; nothing else counts then."""

    @property
    def same(self) -> bool:
        return self.report.identical and not self.input_changes

    def lines(self) -> Iterator[str]:
        """What differs, for people."""
        report = self.report
        if self.input_changes:
            yield "the input isn't the one that was recorded; record again if that is meant"
            yield from map(str, self.input_changes)
            return
        found = report.first_divergence
        if found is not None:
            at = f" (step {found.step})" if found.step is not None else ""
            yield f"{found.message}{at}"
            if found.channel is not None:
                yield from _told(changes(found.channel, plain_data(found.expected), plain_data(found.found)))
        for change in report.changes:
            yield f"node {change.node!r} (step {change.step}) wrote otherwise than recorded"
            before = {c: was for c, (was, _) in change.writes.items()}
            after = {c: now for c, (_, now) in change.writes.items()}
            yield from _told(between(plain_data(before), plain_data(after)))
        if report.stopped_at is not None:
            yield f"node {report.stopped_at.node!r} (step {report.stopped_at.step}) would now be asked something else"
        if report.error is not None and not report.identical:
            yield f"it ended with {report.error}"
        before = {c: was for c, (was, _) in report.state_changes.items()}
        after = {c: now for c, (_, now) in report.state_changes.items()}
        if before != after:
            yield "the state at the end differs"
            yield from _told(between(plain_data(before), plain_data(after)))


def record(
    bench: TestBench,
    bundle: Path,
    graph: object,
    initial_state: Any,
    *,
    answers: Answers = (),
    variants: Mapping[str, object] | None = None,
    config: RunnableConfig | None = None,
    context: Any = None,
    may_fail: bool = False,
) -> RunResult:
    """Run a graph for good, answer what it asks, and keep the execution in a bundle.

    Raises `ExecutionFailedError` when it failed and may not, `InvalidAnswer` when
    it asks more than there are answers, and as `TestBench.run`.
    """
    left = iter(()) if callable(answers) else iter(answers)
    result = bench.run(graph, initial_state, execution_id=EXECUTION, variants=variants, config=config, context=context)
    while result.status == "paused" and result.interrupts:
        given = {}
        for asked in result.interrupts:
            given[asked.id] = answers(asked) if callable(answers) else _next(left, asked)
        result = bench.resume(EXECUTION, answers=given, graph=graph, config=config, context=context)
    if result.status == "failed" and not may_fail:
        result.raise_for_status()
        raise ExecutionFailedError(f"execution {EXECUTION} failed")
    bundle.parent.mkdir(parents=True, exist_ok=True)
    bench.export(EXECUTION, bundle)
    return result


def _next(answers: Iterator[Any], asked: Interrupt) -> Any:
    for answer in answers:
        return answer
    raise InvalidAnswer(f"the agent asks {asked.value!r}, and no answer is left", hint="Give one more in answers=….")


def check(
    bench: TestBench,
    bundle: Path,
    graph: object,
    initial_state: Any,
    *,
    live: Sequence[str] = (),
    variants: Mapping[str, object] | None = None,
) -> Verdict:
    """Replay a bundle's execution with today's graph.

    ``live`` names nodes whose code of today runs on what they were given then;
    ``variants`` puts other implementations in their place. All other nodes are
    served from the record. Raises `InvalidBundle` and as `TestBench.replay`.
    """
    execution = bench.import_bundle(bundle)
    changed = _input_changes(bench, execution.id, initial_state)
    wanted = {**dict.fromkeys(live, "default"), **(variants or {})}
    report = bench.replay(execution.id, graph=graph, variants=wanted or None)
    return Verdict(report, changed)


def _input_changes(bench: TestBench, execution: str, initial_state: Any) -> tuple[Change, ...]:
    saver = bench.platform.saver
    (started,) = bench.events(execution, limit=1)
    assert isinstance(started.fact, ExecutionStarted)
    recorded = started.fact.input
    if ValueWriter().write(initial_state, saver.serde, {}) == recorded:
        return ()
    return tuple(changes("input", plain_data(saver.history.load({recorded})[recorded]), plain_data(initial_state)))


def _told(found: Iterator[Change]) -> Iterator[str]:
    for change in found:
        yield f"  {change}"
        if change.text:
            yield from (f"      {line}" for line in change.text.splitlines())
