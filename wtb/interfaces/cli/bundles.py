"""The commands around bundles: ``audit export``, ``audit import``, ``audit archive``, ``audit erase``."""

import re
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from wtb.domain.errors import InvalidRequest
from wtb.interfaces.cli.output import console, print_json, status, table, text
from wtb.interfaces.cli.shared import Shared
from wtb.sdk.bundles import MOST_BYTES
from wtb.sdk.retention import erasable

_UNITS = {"d": timedelta(days=1), "h": timedelta(hours=1), "m": timedelta(minutes=1), "s": timedelta(seconds=1)}


def export(shared: Shared, execution_id: str, output: Path) -> int:
    with shared.bench() as bench:
        file = bench.export(execution_id, output)
    if shared.json:
        print_json({"execution_id": execution_id, "file": str(file)})
    else:
        console().print(text(f"Execution {execution_id} is in {file}."))
    return 0


def import_bundle(shared: Shared, file: Path, most_bytes: int | None) -> int:
    with shared.bench() as bench:
        execution = bench.import_bundle(file, most_bytes=most_bytes or MOST_BYTES)
    if shared.json:
        print_json(execution)
    else:
        out = console()
        out.print(text(f"Execution {execution.id} is here, {execution.status}."))
        out.print(text(f"See it: {shared.command('show', execution.id)}"))
    return 0


def archive(
    shared: Shared, ids: Sequence[str] | None, older_than: str | None, to: Path, reason: str, *, alone: bool
) -> int:
    age = None if older_than is None else _age(older_than)
    with shared.bench() as bench:
        archived = bench.archive(ids or None, to=to, older_than=age, reason=reason, alone=alone)
    if shared.json:
        print_json({"archived": archived})
        return 0
    out = console()
    if not archived:
        out.print("There is nothing to archive.")
        return 0
    rows = [(each.execution, str(each.file), each.values) for each in archived]
    out.print(table(("execution", "bundle", "values gone from here"), rows))
    return 0


def erase(shared: Shared, ids: Sequence[str], reason: str, *, yes: bool, alone: bool) -> int:
    with shared.bench() as bench:
        doomed = erasable(bench.platform, ids)
        if not yes:
            if shared.json:
                raise InvalidRequest("--json asks nothing", hint="Say --yes to erase without being asked.")
            errors = console(stderr=True)
            rows = [(each.id, each.workflow, status(each.status), each.parent_execution) for each in doomed]
            errors.print(table(("execution", "workflow", "status", "forked from"), rows))
            errors.print("All they read and wrote goes for ever, and their output folders. Erase them? [y/N] ", end="")
            if sys.stdin.readline().strip().lower() not in ("y", "yes"):
                errors.print("Nothing was erased.")
                return 1
        erasure = bench.erase(ids, reason=reason, alone=alone)
    if shared.json:
        print_json(erasure)
        return 0
    out = console()
    out.print(f"{len(erasure.executions)} executions are erased: {erasure.values} values are gone, their events stay.")
    if not erasure.wiped:
        out.print("The database's files may still hold their bytes: docs/bundles.md says what is left to do.")
    return 0


def _age(text: str) -> timedelta:
    """Raises `InvalidRequest`."""
    found = re.fullmatch(r"(\d{1,6})([dhms])", text)
    if found is None:
        raise InvalidRequest(f"{text!r} isn't an age", hint="Give days, hours, minutes or seconds: 90d, 12h, 30m, 0s.")
    return int(found[1]) * _UNITS[found[2]]
