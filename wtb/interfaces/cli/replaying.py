"""The command ``replay``."""

from collections.abc import Sequence
from typing import Any

from wtb.interfaces.cli.output import brief, console, duration, full, plain, print_json, properties, table, text
from wtb.interfaces.cli.running import CHANNEL_LENGTH, Choice
from wtb.interfaces.cli.shared import Shared, variants
from wtb.sdk.replay_report import ReplayReport


def replay(
    shared: Shared,
    execution_id: str,
    chosen: Sequence[str],
    live: bool,
    at: str | None,
    reference: str | None,
) -> int:
    """Exit code 0 when all came out as recorded, 1 when it didn't."""
    with shared.output_for_json(), shared.bench() as bench:
        graph = Choice(shared, reference).for_execution(bench.execution(execution_id).workflow)
        instead = variants(chosen) if chosen else None
        report = bench.replay(execution_id, graph=graph, variants=instead, live=live, at=at)
    if shared.json:
        print_json(document(report))
    else:
        show(report)
    return 0 if report.identical else 1


def document(report: ReplayReport) -> dict[str, Any]:
    """A report as JSON has it."""
    error = report.error
    return {
        "execution_id": report.execution_id,
        "workflow": report.workflow,
        "identical": report.identical,
        "status": report.status,
        "steps": report.steps,
        "supersteps": report.supersteps,
        "nodes_called": report.nodes_called,
        "routers_called": report.routers_called,
        "duration_us": plain(report.duration),
        "state": plain(report.state),
        "first_divergence": plain(report.first_divergence),
        "ran": plain(report.ran),
        "stopped_at": plain(report.stopped_at),
        "changes": plain(report.changes),
        "state_changes": plain(report.state_changes),
        "error": {"type": error.type, "message": error.message, "node": error.node} if error else None,
    }


def show(report: ReplayReport) -> None:
    found, stopped = report.first_divergence, report.stopped_at
    out = console()
    out.print(
        properties(
            [
                ("execution", report.execution_id),
                ("workflow", report.workflow),
                ("identical", text("yes", "green") if report.identical else text("no", "red")),
                ("status", report.status),
                ("served", f"{report.steps} steps in {report.supersteps} supersteps"),
                ("called", f"{report.nodes_called} nodes, {report.routers_called} routers"),
                ("duration", duration(plain(report.duration))),
                ("stopped at", f"{stopped.node}, step {stopped.step}, which may run with --live" if stopped else None),
                ("error", report.error),
            ]
        )
    )
    if found is not None:
        out.print()
        out.print(text(f"First divergence: {found}", "bold"))
        if found.channel is not None:
            out.print(properties([("expected", full(found.expected)), ("found", full(found.found))]))
    if report.changes:
        rows = [
            (change.node, change.step, channel, brief(was, CHANNEL_LENGTH), brief(now, CHANNEL_LENGTH))
            for change in report.changes
            for channel, (was, now) in (change.writes or {"": ("", "")}).items()
        ]
        out.print()
        out.print(table(["node", "step", "wrote to", "recorded", "now"], rows))
    if report.state_changes:
        state = [
            (channel, brief(was, CHANNEL_LENGTH), brief(now, CHANNEL_LENGTH))
            for channel, (was, now) in report.state_changes.items()
        ]
        out.print()
        out.print(table(["state", "recorded", "now"], state))
