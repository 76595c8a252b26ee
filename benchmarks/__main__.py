"""``python -m benchmarks [FIGURE…] [--quick] [--json FILE]``: measure, print a table, write JSON."""

import argparse
from collections.abc import Callable
from pathlib import Path

from benchmarks import (
    audit,
    batches,
    commands,
    comparison,
    history,
    on_postgres,
    one_execution,
    ray_batches,
    rebuild,
    recording,
    replay,
    travel,
    variants,
)
from benchmarks.measure import Figure, tell


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="WTB's figures beside its peers'.")
    parser.add_argument("figures", nargs="*", help="which figures (all of them by default)")
    parser.add_argument("--quick", action="store_true", help="fewer rounds and smaller sizes, to see that all runs")
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results.json"), help="where to write them too")
    chosen = parser.parse_args()
    rounds, steps = (1, 100) if chosen.quick else (5, 1000)
    messages = 50 if chosen.quick else 500
    known: dict[str, Callable[[], list[Figure]]] = {
        "loop": lambda: [recording.loop("NORMAL", rounds, steps), recording.loop("FULL", rounds, steps)],
        "async": lambda: recording.async_loops(rounds, steps),
        "linear": lambda: one_execution.linear(rounds * 6, peer=not chosen.quick),
        "growing": lambda: [recording.growing(max(1, rounds // 2), messages)],
        "unchanging": lambda: [recording.unchanging(max(1, rounds // 2), steps)],
        "listing": lambda: history.listing(rounds * 2, steps),
        "many": lambda: [recording.many_at_once(rounds, 50, 20)],
        "length": lambda: history.length(rounds * 2),
        "travel": lambda: travel.branching(rounds, 1_000 if chosen.quick else 100_000),
        "replay": lambda: replay.replay(rounds * 2, steps, messages),
        "commands": lambda: commands.commands(rounds * 3, 5_000 if chosen.quick else 100_000),
        "rebuild": lambda: [rebuild.rebuild(5_000 if chosen.quick else 200_000)],
        "comparison": lambda: comparison.comparison(rounds * 2, steps),
        "audit": lambda: [*audit.verifying(5_000 if chosen.quick else 200_000), audit.chained(rounds * 2, steps)],
        "variants": lambda: variants.variants(rounds, steps),
        "batches": lambda: batches.batches(rounds, 100 if chosen.quick else 1000, peer=not chosen.quick),
        "executors": lambda: ray_batches.executors(rounds, 6 if chosen.quick else 24),
        "postgres": lambda: on_postgres.table(max(1, rounds // 2), steps, messages),
    }
    unknown = set(chosen.figures) - known.keys()
    if unknown:
        parser.error(f"no figure {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    figures = [figure for name in known if not chosen.figures or name in chosen.figures for figure in known[name]()]
    tell(figures, chosen.json)


if __name__ == "__main__":
    main()
