"""The commands around bundles: ``audit export``, ``audit import``."""

from pathlib import Path

from wtb.interfaces.cli.output import console, print_json, text
from wtb.interfaces.cli.shared import Shared
from wtb.sdk.bundles import MOST_BYTES


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
