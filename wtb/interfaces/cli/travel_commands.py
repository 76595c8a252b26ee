"""The faces of the commands that travel: ``fork``, ``rollback``, ``undo``, ``edit``, ``retry``, ``skip``, …"""

from typing import Annotated

import typer

from wtb.interfaces.cli.options import Config, Db, ExecutionId, Graph, Json, Reason, Variants

travel = typer.Typer()

Node = Annotated[str, typer.Argument(metavar="NODE", help="The node's path, such as sub/answer.", show_default=False)]
ByNode = Annotated[
    str | None, typer.Option("--node", metavar="NODE", help="The checkpoint this node read when it last started.")
]
ByStep = Annotated[int | None, typer.Option("--step", metavar="N", help="The checkpoint after N supersteps.")]
State = Annotated[
    str | None, typer.Option("--state", metavar="JSON|@FILE|-", help="Channels to change; - reads stdin.")
]
AsNode = Annotated[
    str | None, typer.Option("--as-node", metavar="NODE", help="The node that counts as having written the state.")
]


@travel.command()
def fork(
    execution_id: ExecutionId,
    at: Annotated[
        str | None, typer.Option("--at", metavar="CHECKPOINT", help="The checkpoint; else where it stands.")
    ] = None,
    node: ByNode = None,
    step: ByStep = None,
    state: State = None,
    as_node: AsNode = None,
    variant: Variants = None,
    new_id: Annotated[str | None, typer.Option("--new-id", metavar="ID", help="The fork's id; else a new one.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Don't run it: let it wait to be resumed.")] = False,
    graph: Graph = None,
    reason: Reason = "",
    db: Db = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Start a new execution from any checkpoint of another, and run on."""
    from wtb.interfaces.cli import travelling
    from wtb.interfaces.cli.shared import Shared
    from wtb.sdk.time_travel import Place

    place = Place(at, node, step)
    changes = travelling.Changes(state, as_node, reason)
    shared = Shared(db, config, json)
    raise typer.Exit(travelling.fork(shared, execution_id, place, changes, variant or [], new_id, wait, graph))


@travel.command()
def rollback(
    execution_id: ExecutionId,
    to: Annotated[str | None, typer.Option("--to", metavar="CHECKPOINT", help="The checkpoint.")] = None,
    node: ByNode = None,
    step: ByStep = None,
    graph: Graph = None,
    reason: Reason = "",
    db: Db = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Move an execution's head to an earlier checkpoint; nothing is erased."""
    from wtb.interfaces.cli import travelling
    from wtb.interfaces.cli.shared import Shared
    from wtb.sdk.time_travel import Place

    place = Place(to, node, step)
    raise typer.Exit(travelling.rollback(Shared(db, config, json), execution_id, place, graph, reason))


@travel.command()
def undo(
    execution_id: ExecutionId, reason: Reason = "", db: Db = None, config: Config = None, json: Json = False
) -> None:
    """Put an execution's head back to where it was before its last rollback."""
    from wtb.interfaces.cli import travelling
    from wtb.interfaces.cli.shared import Shared

    raise typer.Exit(travelling.undo(Shared(db, config, json), execution_id, reason))


@travel.command()
def edit(
    execution_id: ExecutionId,
    state: State = None,
    as_node: AsNode = None,
    graph: Graph = None,
    reason: Reason = "",
    db: Db = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Change the state of an execution that isn't running."""
    from wtb.interfaces.cli import travelling
    from wtb.interfaces.cli.shared import Shared

    changes = travelling.Changes(state, as_node, reason)
    raise typer.Exit(travelling.edit(Shared(db, config, json), execution_id, changes, graph))


@travel.command()
def retry(
    execution_id: ExecutionId,
    variant: Variants = None,
    graph: Graph = None,
    reason: Reason = "",
    db: Db = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Go on with a failed or cancelled execution; what had finished doesn't run again."""
    from wtb.interfaces.cli import travelling
    from wtb.interfaces.cli.shared import Shared

    raise typer.Exit(travelling.retry(Shared(db, config, json, tuple(variant or ())), execution_id, graph, reason))


@travel.command()
def skip(
    execution_id: ExecutionId,
    node: Node,
    writes: Annotated[
        str, typer.Option("--writes", metavar="JSON|@FILE|-", help="What the node counts as having returned.")
    ] = "{}",
    variant: Variants = None,
    graph: Graph = None,
    reason: Reason = "",
    db: Db = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Go on past a node that failed or waits to run."""
    from wtb.interfaces.cli import travelling
    from wtb.interfaces.cli.shared import Shared

    raise typer.Exit(
        travelling.skip(Shared(db, config, json, tuple(variant or ())), execution_id, node, writes, graph, reason)
    )


@travel.command("run-node")
def run_node(
    execution_id: ExecutionId,
    node: Node,
    at: Annotated[
        str | None, typer.Option("--at", metavar="CHECKPOINT", help="The checkpoint; else the one it last read.")
    ] = None,
    state: State = None,
    variant: Annotated[
        str | None, typer.Option("--variant", metavar="VARIANT", help="Another implementation: module:attribute.")
    ] = None,
    graph: Graph = None,
    db: Db = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Run one node on a recorded state; nothing of it is recorded."""
    from wtb.interfaces.cli import travelling
    from wtb.interfaces.cli.shared import Shared

    raise typer.Exit(travelling.run_node(Shared(db, config, json), execution_id, node, at, state, variant, graph))


@travel.command()
def lineage(execution_id: ExecutionId, db: Db = None, config: Config = None, json: Json = False) -> None:
    """Show what an execution was forked from, what was forked from it, and its own branches."""
    from wtb.interfaces.cli import travelling
    from wtb.interfaces.cli.shared import Shared

    raise typer.Exit(travelling.lineage(Shared(db, config, json), execution_id))
