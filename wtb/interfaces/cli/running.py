"""The commands that run something: ``run``, ``resume``, ``recover``."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from wtb.domain.errors import Conflict, InvalidAnswer, InvalidGraph, InvalidRequest, NotFound, WtbError
from wtb.interfaces.cli.output import (
    brief,
    console,
    duration,
    full,
    plain,
    print_json,
    properties,
    status,
    text,
)
from wtb.interfaces.cli.progress import progress
from wtb.interfaces.cli.refusals import INTERRUPTED, exit_code
from wtb.interfaces.cli.shared import Shared, json_answers, json_input, json_or_text, variants
from wtb.projections.executions import Execution
from wtb.sdk import Interrupt, RunResult, TestBench
from wtb.sdk.loading import Graphs
from wtb.sdk.platform import new_execution_id

CHANNEL_LENGTH = 400
"""How much of a channel's value a run's end shows; `wtb state` shows all."""


def run(
    shared: Shared,
    reference: str,
    given: str,
    workflow: str | None,
    execution_id: str | None,
    break_before: Sequence[str],
    break_after: Sequence[str],
) -> int:
    state = json_input(given)
    with shared.output_for_json():
        name, graph = Graphs(shared.settings()).named(reference)
        with shared.bench() as bench:
            execution = execution_id or new_execution_id()
            with attended(bench, execution, shared):
                result = bench.run(
                    graph,
                    state,
                    workflow=workflow or name,
                    execution_id=execution,
                    break_before=break_before,
                    break_after=break_after,
                    variants=variants(shared.variants),
                )
    return tell(shared, result, reference if ":" in reference else None)


def resume(shared: Shared, execution_id: str, answer: str | None, answers: str | None, reference: str | None) -> int:
    if answer is not None and answers is not None:
        raise InvalidRequest("--answer and --answers can't both be given", hint="Give one of them.")
    by_id = None if answers is None else json_answers(answers)
    with shared.output_for_json(), shared.bench() as bench:
        execution = bench.execution(execution_id)
        graph = None
        if execution.status == "paused":
            if execution.waiting and answer is None and answers is None:
                raise InvalidAnswer(
                    f"execution {execution_id!r} waits for {len(execution.waiting)} answer(s) and got none",
                    hint=f"Give it with --answer; `{shared.command('show', execution_id)}` shows the question.",
                )
            graph = Choice(shared, reference).for_execution(execution.workflow)
        with attended(bench, execution_id, shared):
            one = None if answer is None else json_or_text(answer)
            result = bench.resume(execution_id, one, answers=by_id, graph=graph)
    return tell(shared, result, reference)


@dataclass(frozen=True, slots=True)
class Left:
    """An execution that couldn't be recovered, and why."""

    execution_id: str
    refusal: WtbError


def recover(
    shared: Shared, execution_id: str | None, reference: str | None, workflow: str | None, take_over: bool
) -> int:
    if take_over and execution_id is None:
        raise InvalidRequest("--take-over needs an execution", hint="Name the one whose process is gone.")
    results: list[RunResult] = []
    left: list[Left] = []
    with shared.output_for_json(), shared.bench() as bench:
        choice = Choice(shared, reference)
        if execution_id is not None:
            results.extend(_recover_one(bench, execution_id, choice, shared, take_over))
        else:
            for orphan in bench.orphans():
                try:
                    results.extend(_recover_orphan(bench, orphan, choice, workflow, shared))
                except (Conflict, NotFound, InvalidGraph) as refusal:
                    left.append(Left(orphan.id, refusal))
    _tell_recovery(shared, results, left, reference)
    if any(result.error for result in results):
        return 1
    return exit_code(left[0].refusal) if left else 0


def _recover_one(
    bench: TestBench, execution_id: str, choice: "Choice", shared: Shared, take_over: bool
) -> Iterator[RunResult]:
    execution = bench.execution(execution_id)
    alive = not take_over and bench.platform.presence.is_alive(execution.worker)
    # Refused, or found to need nothing, without a graph.
    graph = choice.for_execution(execution.workflow) if execution.status == "running" and not alive else None
    with attended(bench, execution_id, shared):
        yield from bench.recover(execution_id, graph=graph, take_over=take_over)


def _recover_orphan(
    bench: TestBench, orphan: Execution, choice: "Choice", workflow: str | None, shared: Shared
) -> Iterator[RunResult]:
    graph = choice.for_workflow(orphan.workflow, workflow)
    with attended(bench, orphan.id, shared):
        yield from bench.recover(orphan.id, graph=graph)


class Choice:
    """The graph to go on with: the one that ``--graph`` names, or the one configured for the workflow."""

    def __init__(self, shared: Shared, reference: str | None) -> None:
        self._graphs = Graphs(shared.settings())
        self._named = None if reference is None else self._graphs.named(reference)

    def for_execution(self, workflow: str) -> object:
        """For an execution that was named beside ``--graph``: it is that one's. Raises `WorkflowNotFound`."""
        return self._named[1] if self._named is not None else self._graphs.of_workflow(workflow)

    def for_workflow(self, workflow: str, called: str | None) -> object:
        """For any execution of a workflow: ``--graph`` counts only if it, or ``--workflow``, has the same name."""
        if self._named is not None and workflow == (called or self._named[0]):
            return self._named[1]
        return self._graphs.of_workflow(workflow)


@contextmanager
def attended(bench: TestBench, execution_id: str, shared: Shared) -> Iterator[None]:
    """Progress while an execution runs in this thread; Ctrl-C reaches its node and says what became of it."""
    try:
        with progress(bench, execution_id, shown=not shared.json):
            yield
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt(f"interrupted; execution {execution_id} is cancelled") from stop


# --- telling how it ended -----------------------------------------------------------------------------


def document(result: RunResult) -> dict[str, Any]:
    """A result as JSON has it."""
    error = result.error
    return {
        "execution_id": result.execution_id,
        "workflow": result.workflow,
        "status": result.status,
        "duration_us": plain(result.duration),
        "position": result.position,
        "state": plain(result.state),
        "interrupts": [plain(interrupt) for interrupt in result.interrupts],
        "error": {"type": error.type, "message": error.message, "node": error.node} if error else None,
        "pause_reason": result.pause_reason,
        "stops": [plain(stop) for stop in result.stops],
    }


def tell(shared: Shared, result: RunResult, reference: str | None) -> int:
    """Print a result; the exit code. Raises `ExecutionFailedError` after that when it is a failure."""
    if shared.json:
        print_json(document(result))
    else:
        show_result(shared, result, reference)
    result.raise_for_status()
    return INTERRUPTED if result.status == "cancelled" else 0


def show_result(shared: Shared, result: RunResult, reference: str | None) -> None:
    out = console()
    out.print(
        properties(
            [
                ("execution", result.execution_id),
                ("workflow", result.workflow),
                ("status", status(result.status)),
                ("stopped before", ", ".join(stop.node for stop in result.stops)),
                ("duration", duration(plain(result.duration))),
                *((name, brief(value, CHANNEL_LENGTH)) for name, value in result.state.items()),
            ]
        )
    )
    if result.status == "paused":
        out.print()
        show_questions(shared, result.execution_id, result.interrupts, reference)


def show_questions(
    shared: Shared, execution_id: str, interrupts: tuple[Interrupt, ...], reference: str | None = None
) -> None:
    """What a paused execution asks, and the command that answers."""
    out = console()
    for interrupt in interrupts:
        out.print(text(f"It asks ({interrupt.id}):", "bold"))
        out.print(text(full(interrupt.value)))
    graph = ["--graph", reference] if reference else []
    match interrupts:
        case ():
            words = ["resume", execution_id, *graph]
        case (_,):
            words = ["resume", execution_id, "--answer", "ANSWER", *graph]
        case _:
            words = ["resume", execution_id, "--answers", '{"ID": ANSWER, …}', *graph]
    out.print(text(f"Go on with: {shared.command(*words)}"), soft_wrap=True)  # a wrapped command can't be copied


def _tell_recovery(shared: Shared, results: list[RunResult], left: list[Left], reference: str | None) -> None:
    if shared.json:
        refused = [
            {"execution_id": each.execution_id, "code": each.refusal.code, "message": str(each.refusal)}
            for each in left
        ]
        print_json({"results": [document(result) for result in results], "left": refused})
        return
    out = console()
    if not results and not left:
        out.print("nothing to recover")
    for result in results:
        show_result(shared, result, reference)
    for each in left:
        error = console(stderr=True)
        error.print(text(f"error: execution {each.execution_id} is left as it was: {each.refusal}"))
        if each.refusal.hint:
            error.print(text(f"hint: {each.refusal.hint}"))
