"""``wtb audit …``: every audit command's face, as `main` has those of the others."""

from pathlib import Path
from typing import Annotated

import typer

from wtb.interfaces.cli.options import Config, Db, ExecutionId, Json

Alone = Annotated[
    bool, typer.Option("--alone", help="No program uses the checkpointer alone on this store now; you have seen to it.")
]

audit_app = typer.Typer(
    name="audit",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    help="Prove the log whole, show one execution's record, move, archive and erase executions.",
)


@audit_app.callback()
def audit() -> None:
    pass


@audit_app.command("seal")
def seal(db: Db = None, config: Config = None, json: Json = False) -> None:
    """Vouch for everything that is in the log now, by one digest to be noted elsewhere."""
    from wtb.interfaces.cli import auditing
    from wtb.interfaces.cli.shared import Shared

    raise typer.Exit(auditing.seal(Shared(db, config, json)))


@audit_app.command("verify")
def verify(
    seal: Annotated[
        str | None, typer.Option("--seal", metavar="DIGEST", help="A seal noted elsewhere, which the log must hold.")
    ] = None,
    db: Db = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Prove the log whole, or name the first event that was changed, removed, inserted or reordered."""
    from wtb.interfaces.cli import auditing
    from wtb.interfaces.cli.shared import Shared

    raise typer.Exit(auditing.verify(Shared(db, config, json), seal))


@audit_app.command("report")
def report(
    execution_id: ExecutionId,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write the page there; else to stdout.")
    ] = None,
    db: Db = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Write one readable HTML page: who, what, when, and which node saw and wrote what."""
    from wtb.interfaces.cli import auditing
    from wtb.interfaces.cli.shared import Shared

    raise typer.Exit(auditing.report(Shared(db, config, json), execution_id, output))


@audit_app.command("export")
def export_bundle(
    execution_id: ExecutionId,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The file, or a folder for it; else the working one.")
    ] = Path(),
    db: Db = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Write an execution to a file, with everything it names."""
    from wtb.interfaces.cli import bundles
    from wtb.interfaces.cli.shared import Shared

    raise typer.Exit(bundles.export(Shared(db, config, json), execution_id, output))


@audit_app.command("import")
def import_bundle(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What export wrote.", show_default=False)],
    most_bytes: Annotated[
        int | None,
        typer.Option("--most-bytes", min=1, metavar="N", help="How much it may hold, uncompressed; else 1 GiB."),
    ] = None,
    db: Db = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Restore an execution from a file, identical."""
    from wtb.interfaces.cli import bundles
    from wtb.interfaces.cli.shared import Shared

    raise typer.Exit(bundles.import_bundle(Shared(db, config, json), file, most_bytes))


@audit_app.command()
def archive(
    execution_ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="The executions.", show_default=False)
    ] = None,
    older_than: Annotated[
        str | None, typer.Option("--older-than", metavar="AGE", help="Those that ended so long ago: 90d, 12h, 30m.")
    ] = None,
    to: Annotated[Path, typer.Option("--to", metavar="FOLDER", help="Where the files go; else ./archive.")] = Path(
        "archive"
    ),
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is recorded.")] = "",
    alone: Alone = False,
    db: Db = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Move ended executions to files; their events stay."""
    from wtb.interfaces.cli import bundles
    from wtb.interfaces.cli.shared import Shared

    raise typer.Exit(bundles.archive(Shared(db, config, json), execution_ids, older_than, to, reason, alone=alone))


@audit_app.command()
def erase(
    execution_ids: Annotated[list[str], typer.Argument(metavar="ID...", help="The executions.", show_default=False)],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is recorded.", show_default=False)],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    alone: Alone = False,
    db: Db = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Erase executions and their forks for ever; the log stays whole."""
    from wtb.interfaces.cli import bundles
    from wtb.interfaces.cli.shared import Shared

    raise typer.Exit(bundles.erase(Shared(db, config, json), execution_ids, reason, yes=yes, alone=alone))
