"""The faces of the commands that control an execution from outside: ``pause``, ``cancel``, ``break``."""

from typing import Annotated

import typer

from wtb.interfaces.cli.options import Config, Db, ExecutionId, Graph, IfVersion, Json, Reason

control = typer.Typer()


@control.command()
def pause(
    execution_id: ExecutionId,
    reason: Reason = "",
    if_version: IfVersion = None,
    db: Db = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Have an execution stop before its next node, whichever process runs it."""
    from wtb.interfaces.cli import controlling
    from wtb.interfaces.cli.shared import Shared

    raise typer.Exit(controlling.pause(Shared(db, config, json), execution_id, reason, if_version))


@control.command()
def cancel(
    execution_id: ExecutionId,
    reason: Reason = "",
    if_version: IfVersion = None,
    db: Db = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """End an execution before its next node, or at once when nobody runs it."""
    from wtb.interfaces.cli import controlling
    from wtb.interfaces.cli.shared import Shared

    raise typer.Exit(controlling.cancel(Shared(db, config, json), execution_id, reason, if_version))


@control.command("break")
def set_breakpoints(
    execution_id: ExecutionId,
    before: Annotated[
        list[str] | None, typer.Option("--before", metavar="NODE", help="Stop before this node; may be repeated.")
    ] = None,
    after: Annotated[
        list[str] | None, typer.Option("--after", metavar="NODE", help="Stop after this node; may be repeated.")
    ] = None,
    if_version: IfVersion = None,
    graph: Graph = None,
    db: Db = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Have an execution stop before and after these nodes, and at no others."""
    from wtb.interfaces.cli import controlling
    from wtb.interfaces.cli.shared import Shared

    shared = Shared(db, config, json)
    raise typer.Exit(controlling.set_breakpoints(shared, execution_id, before or (), after or (), graph, if_version))
