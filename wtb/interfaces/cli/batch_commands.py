"""``wtb batch …``: every batch command's face, as `main` has those of the others."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from wtb.interfaces.cli.options import Config, Cursor, Db, ExecutorName, Graph, GraphName, Json, Reason, Variants

BatchId = Annotated[str, typer.Argument(metavar="ID", help="The batch.", show_default=False)]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
Scores = Annotated[
    list[str] | None,
    typer.Option(
        "--score",
        metavar="SCORE",
        help="exact_match[:CHANNEL], contains:CHANNEL, label:CHANNEL, latency, attempts, tokens, cost, or "
        "module:attribute; may be repeated.",
    ),
]
Preferences = Annotated[
    list[str] | None,
    typer.Option("--preference", metavar="module:attribute", help="Says which of two is better; may be repeated."),
]
Executor = Annotated[
    ExecutorName | None,
    typer.Option(
        "--executor", help="Who runs the trials; else auto: threads, or an event loop for graphs that need it."
    ),
]
Concurrency = Annotated[
    int | None, typer.Option("--concurrency", min=1, metavar="N", help="At most so many trials at once.")
]

batch_app = typer.Typer(
    name="batch",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    help="Run many cases under many combinations of variants, and compare them.",
)


@batch_app.callback()
def batch() -> None:
    pass


@batch_app.command("run")
def run(
    graph: GraphName,
    cases: Annotated[
        Path | None,
        typer.Argument(metavar="[CASES]", help="A .jsonl or .csv file of cases.", show_default=False),
    ] = None,
    from_executions: Annotated[
        list[str] | None,
        typer.Option(
            "--from-executions",
            metavar="STATUS|ID",
            help="Instead of a file: the inputs of the workflow's past executions, such as failed; or ids, repeated.",
        ),
    ] = None,
    from_batch: Annotated[
        str | None, typer.Option("--from-batch", metavar="ID", help="Instead of a file: the cases of another batch.")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, metavar="N", help="At most so many past executions, the newest.")
    ] = 50,
    variant: Annotated[
        list[str] | None,
        typer.Option(
            "--variant",
            metavar="NODE=A,B",
            help="Variants of a node: names, default, or module:attribute. Several nodes make all combinations.",
        ),
    ] = None,
    combination: Annotated[
        list[str] | None,
        typer.Option(
            "--combination", metavar="NODE=A,OTHER=B", help="One combination, instead of --variant; may be repeated."
        ),
    ] = None,
    score: Scores = None,
    preference: Preferences = None,
    repeats: Annotated[int, typer.Option("--repeats", min=1, metavar="N", help="Every trial so often.")] = 1,
    concurrency: Concurrency = None,
    executor: Executor = None,
    timeout: Annotated[
        float | None, typer.Option("--timeout", metavar="SECONDS", help="For one attempt at one trial.")
    ] = None,
    attempts: Annotated[int, typer.Option("--attempts", min=1, metavar="N", help="How often a trial is tried.")] = 1,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Stop when a trial fails.")] = False,
    budget_seconds: Annotated[
        float | None, typer.Option("--budget-seconds", metavar="N", help="Start no trial after so long.")
    ] = None,
    budget_tokens: Annotated[
        int | None, typer.Option("--budget-tokens", metavar="N", help="Start no trial after so many tokens.")
    ] = None,
    budget_cost: Annotated[
        float | None, typer.Option("--budget-cost", metavar="N", help="Start no trial once they cost so much.")
    ] = None,
    price: Annotated[
        list[str] | None,
        typer.Option(
            "--price",
            metavar="MODEL=IN,OUT",
            help="What a model's million tokens cost, read and written; may be repeated.",
        ),
    ] = None,
    share_prefix: Annotated[
        bool, typer.Option("--share-prefix", help="Run what comes before the first varied node once for each case.")
    ] = False,
    workflow: Annotated[
        str | None, typer.Option("--workflow", metavar="NAME", help="The workflow's name; else the graph's own.")
    ] = None,
    id: Annotated[str | None, typer.Option("--id", metavar="ID", help="The batch's id; else a new one.")] = None,
    description: Annotated[
        str, typer.Option("--description", metavar="TEXT", help="What it is for; it is recorded.")
    ] = "",
    quiet: Quiet = False,
    db: Db = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Run every case under every combination, and compare."""
    from wtb.interfaces.cli import batch_running
    from wtb.interfaces.cli.shared import Shared

    wish = batch_running.Wish(
        graph=graph,
        cases=cases,
        from_executions=tuple(from_executions or ()),
        from_batch=from_batch,
        limit=limit,
        variants=tuple(variant or ()),
        combinations=tuple(combination or ()),
        scores=tuple(score or ()),
        preferences=tuple(preference or ()),
        repeats=repeats,
        max_concurrency=concurrency,
        executor=executor or "auto",
        timeout=timeout,
        attempts=attempts,
        fail_fast=fail_fast,
        budget_seconds=budget_seconds,
        budget_tokens=budget_tokens,
        budget_cost=budget_cost,
        prices=tuple(price or ()),
        share_prefix=share_prefix,
        workflow=workflow,
        id=id,
        description=description,
    )
    raise typer.Exit(batch_running.run(Shared(db, config, json), wish, quiet))


@batch_app.command("resume")
def resume(
    batch_id: BatchId,
    graph: Graph = None,
    variant: Variants = None,
    score: Scores = None,
    preference: Preferences = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Try trials that failed again, too.")] = False,
    concurrency: Concurrency = None,
    executor: Executor = None,
    quiet: Quiet = False,
    db: Db = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Go on with a batch that was stopped or whose process died: what isn't finished runs."""
    from wtb.interfaces.cli import batch_running
    from wtb.interfaces.cli.shared import Shared

    shared = Shared(db, config, json, tuple(variant or ()))
    raise typer.Exit(
        batch_running.resume(
            shared, batch_id, graph, score or (), preference or (), retry_failed, concurrency, executor, quiet
        )
    )


@batch_app.command("stop")
def stop(batch_id: BatchId, reason: Reason = "", db: Db = None, config: Config = None, json: Json = False) -> None:
    """Have a batch start no further trial, whichever process runs it; resume goes on."""
    from wtb.interfaces.cli import batch_asking
    from wtb.interfaces.cli.shared import Shared

    raise typer.Exit(batch_asking.stop(Shared(db, config, json), batch_id, reason))


@batch_app.command("list")
def list_batches(
    status: Annotated[
        Literal["running", "stopped", "completed"] | None, typer.Option("--status", help="Only those with this status.")
    ] = None,
    workflow: Annotated[str | None, typer.Option("--workflow", metavar="NAME", help="Only this workflow's.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, metavar="N", help="At most so many.")] = 50,
    cursor: Cursor = None,
    db: Db = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """List batches, newest first."""
    from wtb.interfaces.cli import batch_asking
    from wtb.interfaces.cli.shared import Shared

    raise typer.Exit(batch_asking.list_batches(Shared(db, config, json), status, workflow, limit, cursor))


@batch_app.command("show")
def show(batch_id: BatchId, db: Db = None, config: Config = None, json: Json = False) -> None:
    """Show what a batch has come to so far, what failed, and how to go on."""
    from wtb.interfaces.cli import batch_asking
    from wtb.interfaces.cli.shared import Shared

    raise typer.Exit(batch_asking.show(Shared(db, config, json), batch_id))


@batch_app.command("trials")
def trials(
    batch_id: BatchId,
    status: Annotated[
        Literal["completed", "failed", "cancelled", "paused", "timed_out", "lost"] | None,
        typer.Option("--status", help="Only those that ended so."),
    ] = None,
    combination: Annotated[
        int | None, typer.Option("--combination", min=0, metavar="N", help="Only those of one combination, from 0.")
    ] = None,
    case: Annotated[str | None, typer.Option("--case", metavar="ID", help="Only those of one case.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, metavar="N", help="At most so many.")] = 100,
    cursor: Cursor = None,
    db: Db = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """List a batch's trials that have ended, case by case."""
    from wtb.interfaces.cli import batch_asking
    from wtb.interfaces.cli.shared import Shared

    shared = Shared(db, config, json)
    raise typer.Exit(batch_asking.trials(shared, batch_id, status, combination, case, limit, cursor))


@batch_app.command("report")
def report(
    batch_id: BatchId,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a page with plots.")] = None,
    junit: Annotated[Path | None, typer.Option("--junit", metavar="FILE", help="Write JUnit XML.")] = None,
    csv: Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Write a row for each trial.")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
    db: Db = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Write what a batch has come to as a page, as JUnit XML, as CSV, or print it as Markdown or JSON."""
    from wtb.interfaces.cli import batch_asking
    from wtb.interfaces.cli.shared import Shared

    raise typer.Exit(batch_asking.report(Shared(db, config, json), batch_id, html, junit, csv, markdown=markdown))
