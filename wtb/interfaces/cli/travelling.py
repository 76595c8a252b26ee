"""The commands that travel: ``fork``, ``rollback``, ``undo``, ``edit``, ``retry``, ``skip``, ``run-node``, …"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.tree import Tree

from wtb.domain.errors import InvalidRequest
from wtb.domain.identifiers import ExecutionId
from wtb.interfaces.cli.output import brief, console, duration, plain, print_json, properties, status, table, text
from wtb.interfaces.cli.running import CHANNEL_LENGTH, Choice, attended, show_questions, tell
from wtb.interfaces.cli.shared import Shared, json_input, variants
from wtb.projections.executions import Execution
from wtb.sdk import TestBench
from wtb.sdk.lineage import Lineage
from wtb.sdk.platform import new_execution_id
from wtb.sdk.questions import waiting
from wtb.sdk.time_travel import Place


@dataclass(frozen=True, slots=True)
class Changes:
    """A state to write, as typed."""

    state: str | None
    as_node: str | None
    reason: str

    def values(self) -> dict[str, Any] | None:
        """Raises `InvalidRequest`."""
        return None if self.state is None else channels(self.state, "--state")


def channels(given: str, option: str) -> dict[str, Any]:
    """Channel to value, as typed. Raises `InvalidRequest`."""
    values = json_input(given)
    if not isinstance(values, dict):
        raise InvalidRequest(f"{option} must be a JSON object", hint='Give it as {"channel": value, …}.')
    return values


def fork(
    shared: Shared,
    execution_id: str,
    place: Place,
    changes: Changes,
    chosen: Sequence[str],
    new_id: str | None,
    wait: bool,
    reference: str | None,
) -> int:
    state = changes.values()
    with shared.output_for_json(), shared.bench() as bench:
        graph = _graph(shared, bench, execution_id, reference)
        child = new_id or new_execution_id()
        with attended(bench, child, shared):
            result = bench.fork(
                execution_id,
                at=place.at,
                node=place.node,
                step=place.step,
                state=state,
                as_node=changes.as_node,
                variants=variants(chosen),
                run=not wait,
                new_id=child,
                graph=graph,
                reason=changes.reason,
            )
    return tell(shared, result, reference)


def rollback(shared: Shared, execution_id: str, place: Place, reference: str | None, reason: str) -> int:
    with shared.bench() as bench:
        with shared.output_for_json():
            graph = _graph(shared, bench, execution_id, reference)
            bench.rollback(execution_id, place.at, node=place.node, step=place.step, graph=graph, reason=reason)
        return _moved(shared, bench, execution_id)


def undo(shared: Shared, execution_id: str, reason: str) -> int:
    with shared.bench() as bench:
        bench.undo_rollback(execution_id, reason=reason)
        return _moved(shared, bench, execution_id)


def edit(shared: Shared, execution_id: str, changes: Changes, reference: str | None) -> int:
    state = changes.values()
    if state is None:
        raise InvalidRequest("there is nothing to change", hint="Give it with --state.")
    with shared.bench() as bench:
        with shared.output_for_json():
            graph = _graph(shared, bench, execution_id, reference)
            bench.edit(execution_id, state, as_node=changes.as_node, graph=graph, reason=changes.reason)
        return _moved(shared, bench, execution_id)


def retry(shared: Shared, execution_id: str, reference: str | None, reason: str) -> int:
    with shared.output_for_json(), shared.bench() as bench:
        graph = _graph(shared, bench, execution_id, reference)
        with attended(bench, execution_id, shared):
            result = bench.retry(execution_id, graph=graph, reason=reason)
    return tell(shared, result, reference)


def skip(shared: Shared, execution_id: str, node: str, writes: str, reference: str | None, reason: str) -> int:
    given = channels(writes, "--writes")
    with shared.output_for_json(), shared.bench() as bench:
        graph = _graph(shared, bench, execution_id, reference)
        with attended(bench, execution_id, shared):
            result = bench.skip(execution_id, node, given, graph=graph, reason=reason)
    return tell(shared, result, reference)


def run_node(
    shared: Shared,
    execution_id: str,
    node: str,
    at: str | None,
    state: str | None,
    variant: str | None,
    reference: str | None,
) -> int:
    given = None if state is None else channels(state, "--state")
    with shared.output_for_json(), shared.bench() as bench:
        graph = _graph(shared, bench, execution_id, reference)
        instead = None if variant is None else variants([f"{node}={variant}"])[node]
        ran = bench.run_node(execution_id, node, at=at, variant=instead, state=given, graph=graph)
    error = ran.error
    if shared.json:
        print_json(
            {
                "execution_id": ran.execution_id,
                "checkpoint": ran.checkpoint,
                "node": ran.node,
                "variant": ran.variant,
                "writes": plain(ran.writes),
                "interrupts": [plain(each) for each in ran.interrupts],
                "error": {"type": error.type, "message": error.message} if error else None,
                "duration_us": plain(ran.duration),
            }
        )
    else:
        rows: list[tuple[str, object]] = [("node", ran.node), ("variant", ran.variant), ("checkpoint", ran.checkpoint)]
        rows += [("duration", duration(plain(ran.duration))), ("error", str(error or ""))]
        rows += [(f"asks ({each.id})", brief(each.value, CHANNEL_LENGTH)) for each in ran.interrupts]
        rows += [(name, brief(value, CHANNEL_LENGTH)) for name, value in ran.writes.items()]
        console().print(properties(rows))
    return 1 if error else 0


def lineage(shared: Shared, execution_id: str) -> int:
    with shared.bench() as bench:
        found = bench.lineage(execution_id)
    if shared.json:
        print_json(found)
        return 0
    out = console()
    out.print(_tree(found))
    if len(found.branches) > 1:
        out.print()
        rows = [(b.id, b.step, b.source, "stands here" if b.id == found.head else "") for b in found.branches]
        out.print(table(("branch ends at", "step", "source", ""), rows))
    return 0


def _tree(found: Lineage) -> Tree:
    line = [*reversed(found.ancestors), found.execution]
    top = tree = Tree(_named(line[0]))
    for execution in line[1:]:
        tree = tree.add(_named(execution))
    _grow(tree, found, found.execution.id)
    return top


def _grow(tree: Tree, found: Lineage, parent: ExecutionId) -> None:
    for child in found.forks_of(parent):
        _grow(tree.add(_named(child)), found, child.id)


def _named(execution: Execution) -> Any:
    at = f"  from {execution.parent_checkpoint}" if execution.parent_checkpoint else ""
    return text(execution.id) + text("  ") + status(execution.status) + text(at, "dim")


def _graph(shared: Shared, bench: TestBench, execution_id: str, reference: str | None) -> object:
    return Choice(shared, reference).for_execution(bench.execution(execution_id).workflow)


def _moved(shared: Shared, bench: TestBench, execution_id: str) -> int:
    """Tell where an execution stands now."""
    execution, state = bench.execution(execution_id), bench.state(execution_id)
    if shared.json:
        print_json({**plain(execution), "checkpoint": state.checkpoint, "state": plain(state.channels)})
        return 0
    rows: list[tuple[str, object]] = [
        ("execution", execution.id),
        ("status", status(execution.status)),
        ("stands at", f"{state.checkpoint}, step {state.step}"),
        *((name, brief(value, CHANNEL_LENGTH)) for name, value in state.channels.items()),
    ]
    console().print(properties(rows))
    if execution.status == "paused":
        console().print()
        show_questions(shared, execution.id, waiting(bench, execution.id))
    return 0
