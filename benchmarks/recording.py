"""What recording costs: loops, one execution, growing and unchanging state, many executions at once."""

import asyncio
from typing import Any

from langgraph.graph import StateGraph

from benchmarks import contenders, graphs
from benchmarks.contenders import Synchronous
from benchmarks.measure import Figure, interleaved, medians, ratio, seconds


def loop(synchronous: Synchronous, rounds: int, steps: int) -> Figure:
    """Figure 1, sync API."""
    builder, state = graphs.loop(steps), graphs.counting(1000)
    taken = interleaved(
        {
            "no checkpointer": lambda: contenders.bare(builder, state),
            "InMemorySaver": lambda: contenders.in_memory(builder, state),
            "SqliteSaver": lambda: contenders.with_sqlite_saver(builder, state, synchronous),
            "wtb": lambda: contenders.with_wtb(builder, state, synchronous),
        },
        rounds,
    )
    found = ratio(taken, "wtb", "SqliteSaver")
    goal = 1.0 if synchronous == "NORMAL" else 0.9
    return Figure(
        f"loop of {steps} steps, 1 kB, {synchronous}",
        "ms/step",
        medians(taken, 1000 / steps),
        {"wtb / SqliteSaver": found, "wtb / InMemorySaver": ratio(taken, "wtb", "InMemorySaver")},
        f"≤ {goal} × SqliteSaver",
        found <= goal,
    )


def async_loops(rounds: int, steps: int) -> list[Figure]:
    """Figure 1, async API: nodes that are coroutines, and plain functions, which it runs in threads."""
    return [
        _async_loop(graphs.async_loop(steps), "coroutines", rounds, steps),
        _async_loop(graphs.loop(steps), "plain functions", rounds, steps),
    ]


def _async_loop(builder: StateGraph[Any], nodes: str, rounds: int, steps: int) -> Figure:
    state = graphs.counting(1000)

    async def bare() -> None:
        await builder.compile().ainvoke(state, contenders.config())

    def peer() -> float:
        return asyncio.run(
            contenders.with_async_sqlite_saver(builder, "NORMAL", lambda g: g.ainvoke(state, contenders.config()))
        )

    def ours() -> float:
        return asyncio.run(
            contenders.with_async_wtb(
                builder, "NORMAL", lambda b, g: b.arun(g, state, config={"recursion_limit": graphs.ENDLESS})
            )
        )

    taken = interleaved(
        {"no checkpointer": lambda: seconds(lambda: asyncio.run(bare())), "AsyncSqliteSaver": peer, "wtb": ours},
        rounds,
    )
    found = ratio(taken, "wtb", "AsyncSqliteSaver")
    return Figure(
        f"loop of {steps} steps, 1 kB, NORMAL, async API, {nodes}",
        "ms/step",
        medians(taken, 1000 / steps),
        {
            "wtb / AsyncSqliteSaver": found,
            "none / AsyncSqliteSaver": ratio(taken, "no checkpointer", "AsyncSqliteSaver"),
        },
        "≤ 0.5 × AsyncSqliteSaver",
        found <= 0.5,
        "LangGraph's default durability on the peer's side; ours makes each step durable before the next begins",
    )


def growing(rounds: int, messages: int) -> Figure:
    """Figure 3."""
    builder, state = graphs.chat(messages), graphs.chatting()
    peer_sizes: list[float] = []
    our_sizes: list[float] = []
    taken = interleaved(
        {
            "SqliteSaver": lambda: contenders.with_sqlite_saver(builder, state, "NORMAL", peer_sizes),
            "wtb": lambda: contenders.with_wtb(builder, state, "NORMAL", our_sizes),
        },
        rounds,
    )
    found = ratio(taken, "wtb", "SqliteSaver")
    return Figure(
        f"{messages} messages of 1 kB in a growing list",
        "ms/step",
        medians(taken, 1000 / messages),
        {"wtb / SqliteSaver": found, "MB SqliteSaver": peer_sizes[-1], "MB wtb": our_sizes[-1]},
        "≤ 0.4 × its time, ≤ 9 MB",
        found <= 0.4 and our_sizes[-1] <= 9,
    )


def unchanging(rounds: int, steps: int) -> Figure:
    """Figure 4."""
    builder, state = graphs.loop(steps), graphs.counting(100_000)
    peer_sizes: list[float] = []
    our_sizes: list[float] = []
    taken = interleaved(
        {
            "SqliteSaver": lambda: contenders.with_sqlite_saver(builder, state, "NORMAL", peer_sizes),
            "wtb": lambda: contenders.with_wtb(builder, state, "NORMAL", our_sizes),
        },
        rounds,
    )
    found = ratio(taken, "wtb", "SqliteSaver")
    return Figure(
        f"100 kB of unchanging state, {steps} steps",
        "ms/step",
        medians(taken, 1000 / steps),
        {"wtb / SqliteSaver": found, "MB SqliteSaver": peer_sizes[-1], "MB wtb": our_sizes[-1]},
        "≤ 0.7 × its time, ≤ 2 MB",
        found <= 0.7 and our_sizes[-1] <= 2,
    )


def many_at_once(rounds: int, executions: int, steps: int) -> Figure:
    """Figure 6."""
    builder, state = graphs.loop(steps), graphs.counting(1000)

    async def peers(graph: Any) -> None:
        await asyncio.gather(*(graph.ainvoke(state, contenders.config(), durability="sync") for _ in range(executions)))

    async def ours(bench: Any, graph: Any) -> None:
        await asyncio.gather(*(bench.arun(graph, state) for _ in range(executions)))

    taken = interleaved(
        {
            "AsyncSqliteSaver": lambda: asyncio.run(contenders.with_async_sqlite_saver(builder, "FULL", peers)),
            "wtb": lambda: asyncio.run(contenders.with_async_wtb(builder, "FULL", ours)),
        },
        rounds,
    )
    found = ratio(taken, "wtb", "AsyncSqliteSaver")
    return Figure(
        f"{executions} executions × {steps} steps at once, async API, FULL",
        "ms/step",
        medians(taken, 1000 / steps / executions),
        {"wtb / AsyncSqliteSaver": found},
        "≤ 0.4 × AsyncSqliteSaver",
        found <= 0.4,
    )
