"""``wtb variants …``: every such command's face, as `main` has those of the others."""

from typing import Annotated

import typer

from wtb.interfaces.cli.options import Config, Cursor, Db, Json, Reason

Node = Annotated[
    str, typer.Argument(metavar="NODE", help="The node, by its path; * is the whole graph.", show_default=False)
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The variant.", show_default=False)]
Workflow = Annotated[
    str | None, typer.Option("--workflow", metavar="NAME", help="Whose; else the only one's that has such a variant.")
]

variants_app = typer.Typer(
    name="variants",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    help="Show other implementations of nodes, say which run when nothing is chosen, and retire them.",
)


@variants_app.command("list")
def list_(
    workflow: Annotated[str | None, typer.Option("--workflow", metavar="NAME", help="Only this workflow's.")] = None,
    node: Annotated[str | None, typer.Option("--node", metavar="NODE", help="Only this node's.")] = None,
    retired: Annotated[
        bool | None, typer.Option("--retired/--not-retired", help="Only those that are retired, or aren't.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, metavar="N", help="At most so many.")] = 50,
    cursor: Cursor = None,
    db: Db = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """List variants, by workflow, node and name."""
    from wtb.interfaces.cli import variants
    from wtb.interfaces.cli.shared import Shared

    raise typer.Exit(variants.list_variants(Shared(db, config, json), workflow, node, retired, limit, cursor))


@variants_app.command()
def show(
    node: Node, name: Name, workflow: Workflow = None, db: Db = None, config: Config = None, json: Json = False
) -> None:
    """Show one variant."""
    from wtb.interfaces.cli import variants
    from wtb.interfaces.cli.shared import Shared

    raise typer.Exit(variants.show(Shared(db, config, json), node, name, workflow))


@variants_app.command()
def promote(
    node: Node,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The variant; default is the node's own.", show_default=False)
    ],
    workflow: Workflow = None,
    reason: Reason = "",
    db: Db = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Have a variant run wherever nothing is chosen for its node."""
    from wtb.interfaces.cli import variants
    from wtb.interfaces.cli.shared import Shared

    raise typer.Exit(variants.promote(Shared(db, config, json), node, name, workflow, reason))


@variants_app.command()
def retire(
    node: Node,
    name: Name,
    workflow: Workflow = None,
    reason: Reason = "",
    db: Db = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Have a variant be chosen no more; past executions stay what they are."""
    from wtb.interfaces.cli import variants
    from wtb.interfaces.cli.shared import Shared

    raise typer.Exit(variants.retire(Shared(db, config, json), node, name, workflow, reason))


@variants_app.command()
def restore(
    node: Node,
    name: Name,
    workflow: Workflow = None,
    reason: Reason = "",
    db: Db = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Let a retired variant be chosen again."""
    from wtb.interfaces.cli import variants
    from wtb.interfaces.cli.shared import Shared

    raise typer.Exit(variants.restore(Shared(db, config, json), node, name, workflow, reason))
