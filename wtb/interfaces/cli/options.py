"""The arguments and options that several commands have."""

from pathlib import Path
from typing import Annotated, Literal

import typer

Db = Annotated[str | None, typer.Option("--db", metavar="PATH|URL", help="The store; else WTB_DB, or ./data/wtb.db.")]
Config = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="A TOML file of settings.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ExecutionId = Annotated[str, typer.Argument(metavar="ID", help="The execution.", show_default=False)]
GraphName = Annotated[
    str,
    typer.Argument(
        metavar="GRAPH",
        help="module:attribute, path/to/file.py:attribute, or an id of langgraph.json.",
        show_default=False,
    ),
]
Graph = Annotated[
    str | None,
    typer.Option("--graph", metavar="GRAPH", help="Its graph, as for run; else the workflow's in langgraph.json."),
]
Limit = Annotated[int | None, typer.Option("--limit", min=1, metavar="N", help="At most so many.")]
Cursor = Annotated[
    str | None, typer.Option("--cursor", metavar="CURSOR", help="Go on after the page that gave this cursor.")
]
AsOf = Annotated[
    str | None,
    typer.Option("--as-of", metavar="POSITION|TIME", help="As the world was at a position of the log, or at a time."),
]
ExecutorName = Literal["auto", "threads", "asyncio", "processes", "ray"]
Status = Literal["running", "paused", "completed", "failed", "cancelled"]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is recorded.")]
IfVersion = Annotated[
    int | None,
    typer.Option(
        "--if-version", min=0, metavar="N", help="Only while the execution is at this version (see show --json)."
    ),
]
Variants = Annotated[
    list[str] | None,
    typer.Option(
        "--variant",
        metavar="NODE=VARIANT",
        help="Another implementation of a node: module:attribute, or a name of [variants] in wtb.toml.",
    ),
]
