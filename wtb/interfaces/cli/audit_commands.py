"""``wtb audit …``: every audit command's face, as `main` has those of the others."""

import typer

audit_app = typer.Typer(
    name="audit",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    help="Prove the log whole, show one execution's record, move, archive and erase executions.",
)


@audit_app.callback()
def audit() -> None:
    pass
