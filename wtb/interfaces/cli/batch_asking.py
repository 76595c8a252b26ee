"""The commands that ask about batches, and the one that stops them: ``batch list|show|trials|report|stop``."""

import sys
from collections.abc import Callable
from pathlib import Path

from wtb.domain.batch import BatchStatus, TrialStatus
from wtb.domain.errors import InvalidRequest
from wtb.interfaces.cli.asking import more
from wtb.interfaces.cli.batch_display import outlook, show_result
from wtb.interfaces.cli.output import console, duration, moment, print_json, status, table, text
from wtb.interfaces.cli.shared import Shared
from wtb.sdk.batches.reports.comparison_matrix import value_text
from wtb.sdk.batches.reports.document import document


def list_batches(
    shared: Shared, of_status: BatchStatus | None, workflow: str | None, limit: int, cursor: str | None
) -> int:
    with shared.bench() as bench:
        page = bench.batches(status=of_status, workflow=workflow, limit=limit, cursor=cursor)
    if shared.json:
        print_json(page)
        return 0
    if not page.items:
        console().print("no batches")
        return 0
    rows = [
        (
            b.id,
            b.workflow,
            status(b.status),
            moment(b.started_at),
            f"{b.finished}/{b.trials}",
            b.failed or "",
            b.description,
        )
        for b in page
    ]
    console().print(table(("batch", "workflow", "status", "started", "trials", "failed", "description"), rows))
    more(page.next_cursor)
    return 0


def show(shared: Shared, batch_id: str) -> int:
    with shared.bench() as bench:
        result = bench.batch_result(batch_id)
        row = bench.batch_info(batch_id)
        alive = bench.platform.presence.is_alive(row.worker) if row.status == "running" else None
    if shared.json:
        stop = {"stop_requested": row.stop_requested, "worker": row.worker, "alive": alive}
        print_json({**document(result, outcomes=False), **stop})
        return 0
    show_result(result)
    outlook(shared, result, alive=alive, stop_requested=row.stop_requested)
    return 0


def trials(
    shared: Shared,
    batch_id: str,
    of_status: TrialStatus | None,
    combination: int | None,
    case: str | None,
    limit: int,
    cursor: str | None,
) -> int:
    with shared.bench() as bench:
        batch = bench.batch_info(batch_id)
        page = bench.trials(batch_id, status=of_status, combination=combination, case=case, limit=limit, cursor=cursor)
    if shared.json:
        print_json(page)
        return 0
    rows = [
        (
            trial.case,
            trial.combination,
            trial.repeat,
            status(trial.status),
            duration(trial.duration_us),
            trial.attempts,
            *(value_text(trial.scores[name]) if name in trial.scores else "" for name in batch.scores),
            f"{trial.error_type}: {trial.error_message}"
            if trial.error_type
            else "; ".join(trial.score_errors.values()),
            trial.execution,
        )
        for trial in page
    ]
    heads = ("case", "combination", "repeat", "status", "duration", "attempts", *batch.scores, "error", "execution")
    console().print(table(heads, rows))
    more(page.next_cursor)
    return 0


def stop(shared: Shared, batch_id: str, reason: str) -> int:
    with shared.bench() as bench:
        row = bench.stop_batch(batch_id, reason)
    if shared.json:
        print_json(row)
        return 0
    told = "stops once its trials have ended" if row.status == "running" else f"is {row.status}"
    console().print(text(f"batch {batch_id} {told}"), soft_wrap=True)
    return 0


def report(
    shared: Shared, batch_id: str, html: Path | None, junit: Path | None, csv: Path | None, *, markdown: bool
) -> int:
    with shared.bench() as bench:
        result = bench.batch_result(batch_id)
        written: list[Path] = []
        files: list[tuple[Path | None, Callable[[Path], object]]] = [
            (html, result.to_html),
            (junit, result.to_junit),
            (csv, result.to_csv),
        ]
        for path, write in files:
            if path is not None:
                _write(path, write)
                written.append(path)
    if shared.json:
        print_json({**document(result), "written": [str(path) for path in written]})
        return 0
    if markdown:
        sys.stdout.write(result.to_markdown())
    elif not written:
        show_result(result)
    for path in written:
        console(stderr=markdown).print(text(f"Written to {path}"), soft_wrap=True)
    return 0


def _write(path: Path, write: Callable[[Path], object]) -> None:
    try:
        write(path)
    except OSError as refusal:
        raise InvalidRequest(
            f"{path} can't be written: {refusal.strerror}", hint="Name a file in a folder that is there."
        ) from refusal
