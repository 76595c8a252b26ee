"""The commands that ask: ``list``, ``show``, ``steps``, ``checkpoints``, ``state``."""

from wtb.domain.execution import Status
from wtb.domain.identifiers import node_path
from wtb.interfaces.cli.output import (
    brief,
    console,
    duration,
    full,
    moment,
    plain,
    print_json,
    properties,
    status,
    table,
    text,
)
from wtb.interfaces.cli.running import show_questions
from wtb.interfaces.cli.shared import Shared
from wtb.projections.steps import Step
from wtb.sdk.questions import waiting


def list_executions(
    shared: Shared,
    of_status: Status | None,
    workflow: str | None,
    batch: str | None,
    limit: int,
    cursor: str | None,
    as_of: str | None = None,
) -> int:
    with shared.world(as_of) as bench:
        page = bench.executions(status=of_status, workflow=workflow, batch=batch, limit=limit, cursor=cursor)
    if shared.json:
        print_json(page)
        return 0
    out = console()
    if not page.items:
        out.print("no executions")
        return 0
    rows = [(e.id, e.workflow, status(e.status), moment(e.started_at), duration(e.duration_us), e.steps) for e in page]
    out.print(table(("execution", "workflow", "status", "started", "duration", "steps"), rows))
    more(page.next_cursor)
    return 0


def show(shared: Shared, execution_id: str, as_of: str | None = None) -> int:
    with shared.world(as_of) as bench:
        execution = bench.execution(execution_id)
        interrupts = waiting(bench, execution_id) if execution.status == "paused" else ()
        # Who lived in the past is not known: that is no event.
        asked = execution.status == "running" and as_of is None
        alive = bench.platform.presence.is_alive(execution.worker) if asked else None
    if shared.json:
        print_json({**plain(execution), "alive": alive, "interrupts": plain(interrupts)})
        return 0
    out = console()
    fork = f"{execution.parent_execution} at {execution.parent_checkpoint}" if execution.parent_execution else ""
    error = f"{execution.error_type}: {execution.error_message}" if execution.error_type else ""
    out.print(
        properties(
            [
                ("execution", execution.id),
                ("workflow", execution.workflow),
                ("graph", execution.graph),
                ("status", status(execution.status)),
                ("started", f"{moment(execution.started_at)} by {execution.actor}"),
                ("updated", moment(execution.updated_at)),
                ("ended", moment(execution.ended_at)),
                ("duration", duration(execution.duration_us)),
                ("worker", execution.worker),
                ("forked from", fork),
                ("variants", brief(execution.variants) if execution.variants else ""),
                ("case of a batch", execution.batch_case),
                ("steps", execution.steps),
                ("checkpoints", execution.checkpoints),
                ("failed node", execution.failed_node),
                ("error", error),
                ("position", execution.position),
            ]
        )
    )
    if execution.status == "paused" and as_of is None:
        out.print()
        show_questions(shared, execution_id, interrupts)
    elif alive is False:
        out.print()
        out.print(
            text(f"Its process is gone. Finish it with: {shared.command('recover', execution_id)}"), soft_wrap=True
        )
    return 0


def steps(
    shared: Shared, execution_id: str, limit: int | None, cursor: str | None = None, as_of: str | None = None
) -> int:
    with shared.world(as_of) as bench:
        page = bench.steps(execution_id, limit=limit, cursor=cursor)
    if shared.json:
        print_json(page)
    else:
        show_steps(page.items)
        more(page.next_cursor)
    return 0


def more(cursor: str | None) -> None:
    if cursor is not None:
        console().print(text(f"More with: --cursor {cursor}"), soft_wrap=True)


def show_steps(rows: tuple[Step, ...]) -> None:
    console().print(
        table(
            ("node", "step", "attempt", "status", "duration", "wrote", "error"),
            [
                (
                    node_path(step.namespace, step.node),
                    step.step,
                    step.attempt,
                    status(step.status),
                    duration(step.duration_us),
                    ", ".join(dict.fromkeys(w.channel for w in step.writes if _is_users(w.channel))),
                    brief(f"{step.error_type}: {step.error_message}") if step.error_type else "",
                )
                for step in rows
            ],
        )
    )


def _is_users(channel: str) -> bool:
    """Whether a channel is the graph's own, not LangGraph's machinery."""
    return not channel.startswith(("__", "branch:to:", "join:"))


def checkpoints(
    shared: Shared, execution_id: str, limit: int | None, cursor: str | None = None, as_of: str | None = None
) -> int:
    with shared.world(as_of) as bench:
        page = bench.checkpoints(execution_id, limit=limit, cursor=cursor)
    if shared.json:
        print_json(page)
        return 0
    out = console()
    rows = [(c.id, c.step, c.source, node_path(c.namespace, ""), moment(c.created_at), c.parent) for c in page]
    out.print(table(("checkpoint", "step", "source", "graph", "saved", "parent"), rows))
    more(page.next_cursor)
    return 0


def state(shared: Shared, execution_id: str, at: str | None, as_of: str | None = None) -> int:
    with shared.world(as_of) as bench:
        found = bench.state(execution_id, at)
    if shared.json:
        print_json(
            {
                "execution_id": found.execution_id,
                "checkpoint": found.checkpoint,
                "step": found.step,
                "created": found.created,
                "channels": plain(found.channels),
            }
        )
        return 0
    out = console()
    out.print(text(f"checkpoint {found.checkpoint}, step {found.step}, {moment(found.created)}", "dim"))
    for channel, value in found.items():
        out.print()
        out.print(text(channel, "bold"))
        out.print(text(full(value)))
    return 0
