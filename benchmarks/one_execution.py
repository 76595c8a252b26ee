"""Figure 2: one execution of a 10-node graph, against SqliteSaver and against the package wtb 0.3.1."""

import json
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks import contenders, graphs
from benchmarks.contenders import Synchronous
from benchmarks.measure import Figure, interleaved, medians, ratio

PEER = ("wtb==0.3.1", "langgraph-checkpoint-sqlite")
FOLDER = Path(__file__).parent.parent / ".venv-peer"


def linear(rounds: int, *, peer: bool) -> list[Figure]:
    """With each ``synchronous``; the peer package runs in an environment of its own, right between our rounds."""
    figures = [_against_sqlite(synchronous, rounds) for synchronous in ("NORMAL", "FULL")]
    if peer:
        figures.append(_against_peer(rounds))
    return figures


def _against_sqlite(synchronous: Synchronous, rounds: int) -> Figure:
    builder, state = graphs.linear(10), graphs.counting(1000)
    taken = interleaved(
        {
            "no checkpointer": lambda: contenders.bare(builder, state),
            "SqliteSaver": lambda: contenders.with_sqlite_saver(builder, state, synchronous),
            "wtb": lambda: contenders.with_wtb(builder, state, synchronous),
        },
        rounds,
    )
    found = ratio(taken, "wtb", "SqliteSaver")
    return Figure(
        f"10-node graph, one execution, {synchronous}",
        "ms",
        medians(taken, 1000),
        {"wtb / SqliteSaver": found},
        "≤ 0.9 × SqliteSaver",
        found <= 0.9,
    )


def peer_python() -> Path:
    python = FOLDER / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(FOLDER)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", *PEER], check=True)
    return python


def _against_peer(rounds: int) -> Figure:
    """Both in their default durability; each peer round is a process that warms up and times several executions."""
    python = peer_python()
    builder, state = graphs.linear(10), graphs.counting(1000)

    def peer() -> float:
        child = subprocess.run(
            [str(python), str(Path(__file__).with_name("peer_wtb_031.py"))],
            check=True,
            capture_output=True,
            text=True,
        )
        return float(statistics.median(json.loads(child.stdout.splitlines()[-1])))

    taken = interleaved({"wtb 0.3.1": peer, "wtb": lambda: contenders.with_wtb(builder, state, "NORMAL")}, rounds // 5)
    found = ratio(taken, "wtb", "wtb 0.3.1")
    return Figure(
        "10-node graph, one execution, against wtb 0.3.1",
        "ms",
        medians(taken, 1000),
        {"wtb / wtb 0.3.1": found},
        "≤ 0.45 × wtb 0.3.1",
        found <= 0.45,
    )
