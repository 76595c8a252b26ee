"""Medians of interleaved runs, and how they are told."""

import gc
import json
import platform
import resource
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(slots=True)
class Figure:
    """One measured figure: contenders' medians, and what is claimed of them."""

    name: str
    unit: str
    medians: dict[str, float]
    ratios: dict[str, float] = field(default_factory=dict)
    goal: str = ""
    met: bool | None = None
    note: str = ""


def seconds(work: Callable[[], object]) -> float:
    """How long one call takes, garbage collected before and not during."""
    gc.collect()
    gc.disable()
    try:
        began = time.perf_counter()
        work()
        return time.perf_counter() - began
    finally:
        gc.enable()


async def aseconds(work: Callable[[], Awaitable[object]]) -> float:
    gc.collect()
    gc.disable()
    try:
        began = time.perf_counter()
        await work()
        return time.perf_counter() - began
    finally:
        gc.enable()


def interleaved(contenders: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Each contender once a round, so that a machine that drifts drifts for all of them."""
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, measure in contenders.items():
            taken[name].append(measure())
    return taken


def medians(taken: Mapping[str, list[float]], scale: float = 1.0) -> dict[str, float]:
    return {name: statistics.median(values) * scale for name, values in taken.items()}


def ratio(taken: Mapping[str, list[float]], name: str, to: str) -> float:
    """The median of the round-by-round ratios."""
    return statistics.median(a / b for a, b in zip(taken[name], taken[to], strict=True))


def megabytes(database: Path) -> float:
    """A closed SQLite database's size on disk."""
    return sum(p.stat().st_size for p in database.parent.glob(database.name + "*") if p.is_file()) / 1e6


def peak_megabytes() -> float:
    """The most memory this process has had so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)


def tell(figures: list[Figure], into: Path | None) -> None:
    """Print a table, and write it as JSON when asked."""
    table = Table(title=f"{platform.machine()}, Python {platform.python_version()}: medians")
    for column in ("figure", "medians", "ratios", "goal", "met"):
        table.add_column(column)
    for figure in figures:
        table.add_row(
            figure.name + (f"\n[dim]{figure.note}[/dim]" if figure.note else ""),
            "\n".join(f"{name} {value:,.3g} {figure.unit}" for name, value in figure.medians.items()),
            "\n".join(f"{name} {value:.2f}" for name, value in figure.ratios.items()),
            figure.goal,
            {True: "yes", False: "no", None: ""}[figure.met],
        )
    Console(width=150).print(table)
    if into is not None:
        into.parent.mkdir(parents=True, exist_ok=True)
        into.write_text(json.dumps([asdict(figure) for figure in figures], indent=2) + "\n")
