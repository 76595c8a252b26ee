"""Ways to run a graph once on a fresh database: without a checkpointer, with LangGraph's savers, with WTB."""

import sqlite3
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import StateGraph

from benchmarks.graphs import ENDLESS
from benchmarks.measure import aseconds, megabytes, seconds
from wtb.sdk import TestBench, WorkflowProject

Synchronous = Literal["NORMAL", "FULL"]


def config() -> RunnableConfig:
    return {"configurable": {"thread_id": str(uuid.uuid4())}, "recursion_limit": ENDLESS}


def bare(builder: StateGraph[Any], state: Any) -> float:
    graph = builder.compile()
    return seconds(lambda: graph.invoke(state, config()))


def in_memory(builder: StateGraph[Any], state: Any) -> float:
    return _with_saver(builder, state, InMemorySaver())


def _with_saver(builder: StateGraph[Any], state: Any, saver: BaseCheckpointSaver[Any]) -> float:
    graph = builder.compile(checkpointer=saver)
    return seconds(lambda: graph.invoke(state, config(), durability="sync"))


@contextmanager
def sqlite_saver(path: Path, synchronous: Synchronous) -> Iterator[SqliteSaver]:
    connection = sqlite3.connect(path, check_same_thread=False)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute(f"PRAGMA synchronous={synchronous}")
    saver = SqliteSaver(connection)
    saver.setup()
    yield saver
    connection.close()


def with_sqlite_saver(
    builder: StateGraph[Any], state: Any, synchronous: Synchronous, sizes: list[float] | None = None
) -> float:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "peer.db"
        with sqlite_saver(path, synchronous) as saver:
            took = _with_saver(builder, state, saver)
        if sizes is not None:
            sizes.append(megabytes(path))
    return took


@contextmanager
def bench(location: str | None, synchronous: Synchronous) -> Iterator[tuple[TestBench, Path]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "wtb.db"
        project = WorkflowProject(
            name="measured", db_path=location or path, output_dir=Path(folder) / "out", synchronous=synchronous
        )
        with TestBench(project) as opened:
            yield opened, path


def with_wtb(
    builder: StateGraph[Any],
    state: Any,
    synchronous: Synchronous,
    sizes: list[float] | None = None,
    location: str | None = None,
) -> float:
    """Everything recorded: starts, ends, writes, checkpoints."""
    graph = builder.compile()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "wtb.db"
        project = WorkflowProject(
            name="measured", db_path=location or path, output_dir=Path(folder) / "out", synchronous=synchronous
        )
        with TestBench(project) as opened:
            # As compiling is for the peer, making the graph ready is done once, before.
            opened.register(graph)
            opened.platform.presence.announce()

            def run() -> None:
                assert opened.run(graph, state, config={"recursion_limit": ENDLESS}).status == "completed"

            took = seconds(run)
        if sizes is not None:
            sizes.append(megabytes(path))
    return took


async def with_async_sqlite_saver(
    builder: StateGraph[Any],
    synchronous: Synchronous,
    work: Callable[[Any], Any],
) -> float:
    with tempfile.TemporaryDirectory() as folder:
        async with AsyncSqliteSaver.from_conn_string(str(Path(folder) / "peer.db")) as saver:
            await saver.setup()
            await saver.conn.execute(f"PRAGMA synchronous={synchronous}")
            graph = builder.compile(checkpointer=saver)
            return await aseconds(lambda: work(graph))


async def with_async_wtb(
    builder: StateGraph[Any], synchronous: Synchronous, work: Callable[[TestBench, Any], Any]
) -> float:
    graph = builder.compile()
    with bench(None, synchronous) as (opened, _):
        opened.register(graph)
        opened.platform.presence.announce()
        return await aseconds(lambda: work(opened, graph))
