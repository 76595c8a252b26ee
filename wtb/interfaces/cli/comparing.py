"""``wtb diff``: two executions beside each other, or one at two checkpoints."""

from rich.text import Text

from wtb.interfaces.cli.output import console, print_json, table, text
from wtb.interfaces.cli.shared import Shared
from wtb.sdk.comparison_shown import HEADS, changes_of, first_in_words, rows_of, side_of, verdict, versions_of

DIFFERENT = 1
"""The exit code when the two differ, as diff(1) has it."""

SIGN_STYLES = {"+": "green", "-": "red", "~": "yellow", "=": "dim", "…": "dim"}


def diff(shared: Shared, a: str, b: str | None, at_a: str | None, at_b: str | None, exact: bool) -> int:
    with shared.bench() as bench:
        found = bench.diff(a, b, at_a=at_a, at_b=at_b, exact=exact)
        first = bench.first_difference(a, b, at_a=at_a, at_b=at_b, exact=exact) if not found.equal else None
        if shared.json:
            print_json({**found.data(), "first_difference": first.data() if first else None})
            return DIFFERENT if first else 0
        out = console()
        for name, side in (("a", found.a), ("b", found.b)):
            out.print(text(f"{name}  {side_of(side)}"), soft_wrap=True)
        for line in versions_of(found):
            out.print(text(line), soft_wrap=True)
        out.print(text(verdict(found), "green" if found.equal else "yellow"), soft_wrap=True)
        if first is None:
            return 0
        out.print()
        out.print(text(f"first difference: {first_in_words(first)}", "bold"), soft_wrap=True)
        for line in changes_of(first.changes):
            out.print(coloured(f"  {line}", line), soft_wrap=True)
        out.print()
        styled = [[text(cell, SIGN_STYLES.get(row[0], "")) for cell in row] for row in rows_of(found)]
        out.print(table(HEADS, styled))
        if found.state:
            out.print()
            out.print(text("state at the end", "bold"))
            for line in changes_of(found.state, None):
                out.print(coloured(f"  {line}", line), soft_wrap=True)
    return DIFFERENT


def coloured(shown: str, line: str) -> Text:
    """A line of changes, in the colour of the sign that it begins with."""
    return text(shown, SIGN_STYLES.get(line.strip()[:1], ""))
