"""``wtb workflows …``: every such command's face, as `main` has those of the others."""

from typing import Annotated, Literal

import typer

from wtb.interfaces.cli.options import Config, Cursor, Db, Json, Limit, Reason

Name = Annotated[str, typer.Argument(metavar="WORKFLOW", help="The workflow.", show_default=False)]

workflows_app = typer.Typer(
    name="workflows",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    help="Show workflows, their versions and what changed between them; draw, register and archive them.",
)


@workflows_app.command("list")
def list_(
    archived: Annotated[bool, typer.Option("--archived", help="Archived ones too.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, metavar="N", help="At most so many.")] = 50,
    cursor: Cursor = None,
    db: Db = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """List workflows by name."""
    from wtb.interfaces.cli import workflows
    from wtb.interfaces.cli.shared import Shared

    raise typer.Exit(workflows.list_workflows(Shared(db, config, json), archived, limit, cursor))


@workflows_app.command()
def show(
    workflow: Name,
    version: Annotated[
        str | None, typer.Option("--version", metavar="DIGEST", help="One of its versions; else the newest.")
    ] = None,
    db: Db = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Show a workflow and one of its versions: nodes, channels, schemas."""
    from wtb.interfaces.cli import workflows
    from wtb.interfaces.cli.shared import Shared

    raise typer.Exit(workflows.show(Shared(db, config, json), workflow, version))


@workflows_app.command()
def versions(
    workflow: Name,
    limit: Limit = None,
    cursor: Cursor = None,
    db: Db = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """List a workflow's versions, the newest first."""
    from wtb.interfaces.cli import workflows
    from wtb.interfaces.cli.shared import Shared

    raise typer.Exit(workflows.versions(Shared(db, config, json), workflow, limit, cursor))


@workflows_app.command()
def diff(
    workflow: Name,
    a: Annotated[str, typer.Argument(metavar="A", help="The version to begin with.", show_default=False)],
    b: Annotated[
        str | None, typer.Argument(metavar="[B]", help="The version to end with; else the newest.", show_default=False)
    ] = None,
    db: Db = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Tell what changed between two versions; exits with 1 when they differ."""
    from wtb.interfaces.cli import workflows
    from wtb.interfaces.cli.shared import Shared

    raise typer.Exit(workflows.diff(Shared(db, config, json), workflow, a, b))


@workflows_app.command()
def draw(
    workflow: Name,
    version: Annotated[
        str | None, typer.Option("--version", metavar="DIGEST", help="One of its versions; else the newest.")
    ] = None,
    format: Annotated[
        Literal["mermaid", "text"], typer.Option("--format", help="A Mermaid flowchart, or text.")
    ] = "text",
    db: Db = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Draw a workflow's graph."""
    from wtb.interfaces.cli import workflows
    from wtb.interfaces.cli.shared import Shared

    raise typer.Exit(workflows.draw(Shared(db, config, json), workflow, version, format))


@workflows_app.command()
def register(
    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ID...]", help="The workflows; else all that are configured.", show_default=False),
    ] = None,
    description: Annotated[str | None, typer.Option("--description", metavar="TEXT", help="What they are for.")] = None,
    db: Db = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Make workflows of wtb.toml and langgraph.json known to the store, as they are now."""
    from wtb.interfaces.cli import workflows
    from wtb.interfaces.cli.shared import Shared

    raise typer.Exit(workflows.register(Shared(db, config, json), ids or (), description))


@workflows_app.command()
def archive(workflow: Name, reason: Reason = "", db: Db = None, config: Config = None, json: Json = False) -> None:
    """Have a workflow be started no more; its executions stay what they are."""
    from wtb.interfaces.cli import workflows
    from wtb.interfaces.cli.shared import Shared

    raise typer.Exit(workflows.archive(Shared(db, config, json), workflow, reason))


@workflows_app.command()
def restore(workflow: Name, reason: Reason = "", db: Db = None, config: Config = None, json: Json = False) -> None:
    """Let an archived workflow be started again."""
    from wtb.interfaces.cli import workflows
    from wtb.interfaces.cli.shared import Shared

    raise typer.Exit(workflows.restore(Shared(db, config, json), workflow, reason))
