"""``files``: what was in an execution's output folder."""

from pathlib import Path

from wtb.interfaces.cli.output import console, print_json, table, text
from wtb.interfaces.cli.shared import Shared


def files(shared: Shared, execution_id: str, at: str | None, output: Path | None) -> int:
    with shared.bench() as bench:
        found = bench.files(execution_id, at)
        restored = None if output is None else bench.copy_files(execution_id, output, at)
    if shared.json:
        print_json({"files": found, "left_out": restored.left_out if restored is not None else ()})
        return 0
    out = console()
    if not found:
        out.print("no files")
        return 0
    rows = [
        (
            file.path,
            file.kind,
            file.size if file.kind == "file" else "",
            f"{file.mode:o}" if file.mode else "",
            file.note,
        )
        for file in found
    ]
    out.print(table(("path", "kind", "bytes", "mode", "note"), rows))
    if restored is not None:
        out.print(text(f"put into {output}"), soft_wrap=True)
        for path in restored.left_out:
            out.print(text(f"left out: {path}"), soft_wrap=True)
    return 0
