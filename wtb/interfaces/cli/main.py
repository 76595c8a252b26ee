"""``wtb``: every command's face. What a command does is imported when it is called."""

from pathlib import Path
from typing import Annotated

import typer

from wtb.interfaces.cli.audit_commands import audit_app
from wtb.interfaces.cli.batch_commands import batch_app
from wtb.interfaces.cli.control_commands import control
from wtb.interfaces.cli.options import (
    AsOf,
    Config,
    Cursor,
    Db,
    ExecutionId,
    Graph,
    GraphName,
    Json,
    Limit,
    Status,
    Variants,
)
from wtb.interfaces.cli.refusals import Commands
from wtb.interfaces.cli.travel_commands import travel
from wtb.interfaces.cli.variant_commands import variants_app
from wtb.interfaces.cli.workflow_commands import workflows_app

app = typer.Typer(
    name="wtb",
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    help="Runs LangGraph workflows, keeps everything that happens as events, and shows it.",
)
app.add_typer(audit_app)
app.add_typer(variants_app)
app.add_typer(workflows_app)
app.add_typer(batch_app)


def _version(asked: bool) -> None:
    if asked:
        from wtb import __version__

        typer.echo(f"wtb {__version__}")
        raise typer.Exit


@app.callback()
def wtb(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


@app.command()
def demo(
    ticket: Annotated[
        str, typer.Option("--ticket", metavar="NAME", help="A file of examples/support_triage/tickets.")
    ] = "double_charge",
    answer: Annotated[
        str, typer.Option("--answer", metavar="ANSWER", help="approve, reject, or the example's answer as JSON.")
    ] = "approve",
    db: Annotated[str, typer.Option("--db", metavar="PATH|URL", help="The store.")] = "./data/demo.db",
    config: Config = None,
    json: Json = False,
) -> None:
    """Run a support agent that is killed in the middle, recovered, and answered."""
    from wtb.interfaces.cli.demo import demo
    from wtb.interfaces.cli.shared import Shared

    raise typer.Exit(demo(Shared(db, config, json), ticket, answer))


@app.command()
def run(
    graph: GraphName,
    input: Annotated[
        str, typer.Option("--input", "-i", metavar="JSON|@FILE|-", help="The initial state; - reads stdin.")
    ] = "{}",
    workflow: Annotated[
        str | None, typer.Option("--workflow", metavar="NAME", help="The workflow's name; else the graph's own.")
    ] = None,
    execution_id: Annotated[
        str | None, typer.Option("--execution-id", metavar="ID", help="The execution's id; else a new one.")
    ] = None,
    break_before: Annotated[
        list[str] | None,
        typer.Option("--break-before", metavar="NODE", help="Pause before this node; may be repeated."),
    ] = None,
    break_after: Annotated[
        list[str] | None, typer.Option("--break-after", metavar="NODE", help="Pause after this node; may be repeated.")
    ] = None,
    variant: Variants = None,
    db: Db = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Run a graph to its end, its first interrupt or its failure."""
    from wtb.interfaces.cli import running
    from wtb.interfaces.cli.shared import Shared

    shared = Shared(db, config, json, tuple(variant or ()))
    raise typer.Exit(running.run(shared, graph, input, workflow, execution_id, break_before or (), break_after or ()))


@app.command()
def resume(
    execution_id: ExecutionId,
    answer: Annotated[
        str | None, typer.Option("--answer", "-a", metavar="JSON|TEXT", help="The answer to the one question.")
    ] = None,
    answers: Annotated[
        str | None, typer.Option("--answers", metavar="JSON", help="Answers by interrupt id, when several wait.")
    ] = None,
    graph: Graph = None,
    variant: Variants = None,
    db: Db = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Go on with an execution that waits for an answer or was paused."""
    from wtb.interfaces.cli import running
    from wtb.interfaces.cli.shared import Shared

    shared = Shared(db, config, json, tuple(variant or ()))
    raise typer.Exit(running.resume(shared, execution_id, answer, answers, graph))


@app.command()
def recover(
    execution_id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="The execution; else all of them.", show_default=False)
    ] = None,
    graph: Graph = None,
    workflow: Annotated[
        str | None, typer.Option("--workflow", metavar="NAME", help="The workflow that --graph is; else its own name.")
    ] = None,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="Recover the one named though its process looks alive.")
    ] = False,
    variant: Variants = None,
    db: Db = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Finish executions whose process died, without running a finished node again."""
    from wtb.interfaces.cli import running
    from wtb.interfaces.cli.shared import Shared

    shared = Shared(db, config, json, tuple(variant or ()))
    raise typer.Exit(running.recover(shared, execution_id, graph, workflow, take_over))


@app.command()
def replay(
    execution_id: ExecutionId,
    variant: Variants = None,
    live: Annotated[
        bool, typer.Option("--live", help="Let nodes run that are asked what they weren't asked then.")
    ] = False,
    at: Annotated[
        str | None, typer.Option("--at", metavar="CHECKPOINT", help="Where to end; else where it stands.")
    ] = None,
    graph: Graph = None,
    db: Db = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Go through a past execution from its record, with today's graph; or ask what a variant would have done."""
    from wtb.interfaces.cli import replaying
    from wtb.interfaces.cli.shared import Shared

    raise typer.Exit(replaying.replay(Shared(db, config, json), execution_id, variant or [], live, at, graph))


@app.command("list")
def list_executions(
    status: Annotated[Status | None, typer.Option("--status", help="Only those with this status.")] = None,
    workflow: Annotated[str | None, typer.Option("--workflow", metavar="NAME", help="Only this workflow's.")] = None,
    batch: Annotated[str | None, typer.Option("--batch", metavar="ID", help="Only the trials of this batch.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, metavar="N", help="At most so many.")] = 50,
    cursor: Cursor = None,
    as_of: AsOf = None,
    db: Db = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """List executions, newest first."""
    from wtb.interfaces.cli import asking
    from wtb.interfaces.cli.shared import Shared

    raise typer.Exit(asking.list_executions(Shared(db, config, json), status, workflow, batch, limit, cursor, as_of))


@app.command()
def show(
    execution_id: ExecutionId, as_of: AsOf = None, db: Db = None, config: Config = None, json: Json = False
) -> None:
    """Show one execution, and what it asks when it is paused."""
    from wtb.interfaces.cli import asking
    from wtb.interfaces.cli.shared import Shared

    raise typer.Exit(asking.show(Shared(db, config, json), execution_id, as_of))


@app.command()
def steps(
    execution_id: ExecutionId,
    limit: Limit = None,
    cursor: Cursor = None,
    as_of: AsOf = None,
    db: Db = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Show every try at every node, in the order they started."""
    from wtb.interfaces.cli import asking
    from wtb.interfaces.cli.shared import Shared

    raise typer.Exit(asking.steps(Shared(db, config, json), execution_id, limit, cursor, as_of))


@app.command()
def checkpoints(
    execution_id: ExecutionId,
    limit: Limit = None,
    cursor: Cursor = None,
    as_of: AsOf = None,
    db: Db = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """List an execution's checkpoints, newest first."""
    from wtb.interfaces.cli import asking
    from wtb.interfaces.cli.shared import Shared

    raise typer.Exit(asking.checkpoints(Shared(db, config, json), execution_id, limit, cursor, as_of))


@app.command()
def state(
    execution_id: ExecutionId,
    at: Annotated[
        str | None, typer.Option("--at", metavar="CHECKPOINT", help="The checkpoint; else the newest one.")
    ] = None,
    as_of: AsOf = None,
    db: Db = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Show an execution's state as a checkpoint holds it."""
    from wtb.interfaces.cli import asking
    from wtb.interfaces.cli.shared import Shared

    raise typer.Exit(asking.state(Shared(db, config, json), execution_id, at, as_of))


@app.command()
def files(
    execution_id: ExecutionId,
    at: Annotated[
        str | None, typer.Option("--at", metavar="CHECKPOINT", help="The checkpoint; else the newest one.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FOLDER", help="Put the files there, into an empty folder.")
    ] = None,
    db: Db = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Show what was in an execution's output folder at a checkpoint."""
    from wtb.interfaces.cli import files
    from wtb.interfaces.cli.shared import Shared

    raise typer.Exit(files.files(Shared(db, config, json), execution_id, at, output))


@app.command()
def events(
    execution_id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="The execution; else all of them.", show_default=False)
    ] = None,
    after: Annotated[int, typer.Option("--after", min=0, metavar="N", help="Only those after this position.")] = 0,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on as they come: until the execution has ended, or Ctrl-C.")
    ] = False,
    as_of: AsOf = None,
    db: Db = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Show events as they stand in the log; with --json a CloudEvent a line."""
    from wtb.interfaces.cli import events
    from wtb.interfaces.cli.shared import Shared

    raise typer.Exit(events.events(Shared(db, config, json), execution_id, after, follow, as_of))


@app.command()
def diff(
    a: Annotated[str, typer.Argument(metavar="A", help="The execution.", show_default=False)],
    b: Annotated[
        str | None, typer.Argument(metavar="[B]", help="The other one; else the same again.", show_default=False)
    ] = None,
    at_a: Annotated[
        str | None, typer.Option("--at-a", metavar="CHECKPOINT", help="Where to look at A; else where it stands.")
    ] = None,
    at_b: Annotated[
        str | None, typer.Option("--at-b", metavar="CHECKPOINT", help="Where to look at B; else where it stands.")
    ] = None,
    exact: Annotated[bool, typer.Option("--exact", help="Messages' ids count too.")] = False,
    db: Db = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Compare two executions step by step, or one at two checkpoints; exits with 1 when they differ."""
    from wtb.interfaces.cli import comparing
    from wtb.interfaces.cli.shared import Shared

    raise typer.Exit(comparing.diff(Shared(db, config, json), a, b, at_a, at_b, exact))


@app.command()
def rebuild(db: Db = None, config: Config = None, json: Json = False) -> None:
    """Make the read models anew from the events, while they are being read."""
    from wtb.interfaces.cli import upkeep
    from wtb.interfaces.cli.shared import Shared

    raise typer.Exit(upkeep.rebuild(Shared(db, config, json)))


@app.command()
def doctor(db: Db = None, config: Config = None, json: Json = False) -> None:
    """Check the installation, the settings and the store."""
    from wtb.interfaces.cli import upkeep
    from wtb.interfaces.cli.shared import Shared

    raise typer.Exit(upkeep.doctor(Shared(db, config, json)))


@app.command()
def serve(
    host: Annotated[str | None, typer.Option("--host", metavar="ADDRESS", help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option("--port", metavar="N", help="Port for REST and WebSocket.")] = None,
    grpc_port: Annotated[int | None, typer.Option("--grpc-port", metavar="N", help="Port for gRPC.")] = None,
    db: Db = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Serve REST, WebSocket and gRPC until stopped."""
    from wtb.interfaces.cli import upkeep
    from wtb.interfaces.cli.shared import Shared

    raise typer.Exit(upkeep.serve(Shared(db, config, json), host=host, port=port, grpc_port=grpc_port))


app.add_typer(travel)
app.add_typer(control)
