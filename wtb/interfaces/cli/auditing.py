"""The commands that vouch for the log, prove it, and show one execution's record: ``audit seal|verify|report``."""

import sys
from pathlib import Path

from wtb.domain.errors import InvalidRequest, LogNotWhole
from wtb.interfaces.cli.output import console, plain, print_json, properties, table, text
from wtb.interfaces.cli.refusals import exit_code
from wtb.interfaces.cli.shared import Shared


def seal(shared: Shared) -> int:
    with shared.bench() as bench:
        made = bench.seal()
    if shared.json:
        print_json(made)
        return 0
    console().print(
        properties([("sealed through position", made.through), ("events", made.events), ("digest", made.digest)])
    )
    return 0


def verify(shared: Shared, seal: str | None) -> int:
    with shared.bench() as bench:
        found = bench.verify(seal)
    code = 0 if found.whole else exit_code(LogNotWhole(""))
    if shared.json:
        print_json({"whole": found.whole, "first": plain(found.first), **plain(found)})
        return code
    out = console()
    looked_at = [
        ("events", found.events),
        ("streams", found.streams),
        ("values", found.values),
        ("seals", found.seals),
        ("last position", found.through),
        ("sealed through", found.sealed),
        ("last seal", found.seal),
    ]
    out.print(text("The log is whole.", "green") if found.whole else text("The log is not whole.", "red"))
    out.print(properties(looked_at))
    if found.first is not None:
        out.print()
        out.print(text(f"First: {found.first}", "red"), soft_wrap=True)
        rows = [(f.kind, f.position, f.stream, f.version, f.type, f.detail) for f in found.findings]
        out.print(table(("found", "position", "stream", "version", "type", "what is wrong"), rows))
    return code


def report(shared: Shared, execution_id: str, output: Path | None) -> int:
    with shared.bench() as bench:
        try:
            page = bench.report(execution_id, output)
        except OSError as refusal:
            raise InvalidRequest(
                f"{output} can't be written: {refusal.strerror}", hint="Name a file in a folder that is there."
            ) from refusal
    if shared.json:
        written = {"html": page} if output is None else {"path": str(output)}
        print_json({"execution_id": execution_id, **written})
    elif output is None:
        sys.stdout.write(page)
    else:
        console().print(text(f"Written to {output}"), soft_wrap=True)
    return 0
