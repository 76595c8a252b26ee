"""The commands that control an execution from outside: ``pause``, ``cancel``, ``break``."""

import contextlib
from collections.abc import Sequence

from wtb.domain.errors import WorkflowNotFound
from wtb.interfaces.cli.output import console, print_json, text
from wtb.interfaces.cli.running import Choice
from wtb.interfaces.cli.shared import Shared
from wtb.sdk.results import Commanded


def pause(shared: Shared, execution_id: str, reason: str, if_version: int | None) -> int:
    with shared.bench() as bench:
        done = bench.pause(execution_id, reason, if_version=if_version)
    return _tell(shared, done, "is paused" if done.status == "paused" else "pauses before its next node")


def cancel(shared: Shared, execution_id: str, reason: str, if_version: int | None) -> int:
    with shared.bench() as bench:
        done = bench.cancel(execution_id, reason, if_version=if_version)
    return _tell(shared, done, "is cancelled" if done.status == "cancelled" else "is cancelled before its next node")


def set_breakpoints(
    shared: Shared,
    execution_id: str,
    before: Sequence[str],
    after: Sequence[str],
    reference: str | None,
    if_version: int | None,
) -> int:
    with shared.output_for_json(), shared.bench() as bench:
        if before or after:
            workflow = bench.execution(execution_id).workflow
            # Only to check the nodes' names; whoever runs the execution may know a graph that isn't known here.
            with contextlib.suppress(WorkflowNotFound):
                bench.register(Choice(shared, reference).for_execution(workflow), workflow=workflow)
        done = bench.set_breakpoints(execution_id, before=before, after=after, if_version=if_version)
    where = [f"before {node}" for node in before] + [f"after {node}" for node in after]
    return _tell(shared, done, f"stops {', '.join(where)}" if where else "stops at no breakpoint")


def _tell(shared: Shared, done: Commanded, what: str) -> int:
    if shared.json:
        print_json(done)
    else:
        console().print(text(f"execution {done.execution_id} {what}" + ("" if done.changed else "; so it was already")))
    return 0
