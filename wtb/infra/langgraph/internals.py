"""All that WTB uses of LangGraph's private parts, in one place (langgraph 1.2).

An upgrade of LangGraph is checked here first; golden tests hold what it means.
"""

from collections.abc import Iterator, MutableSequence
from typing import Any

from langchain_core.runnables import Runnable
from langgraph._internal._constants import (
    CONF,
    CONFIG_KEY_RESUMING,
    CONFIG_KEY_RUNTIME,
    CONFIG_KEY_SCRATCHPAD,
    CONFIG_KEY_SEND,
    CONFIG_KEY_TASK_ID,
    ERROR,
    ERROR_SOURCE_NODE,
    INTERRUPT,
    NO_WRITES,
    NULL_TASK_ID,
    RESUME,
    TASKS,
)
from langgraph._internal._runnable import RunnableCallable, RunnableSeq, coerce_to_runnable
from langgraph._internal._serde import build_serde_allowlist
from langgraph._internal._typing import MISSING
from langgraph.channels import DeltaChannel
from langgraph.checkpoint.serde.types import _DeltaSnapshot as DeltaSnapshot
from langgraph.constants import START
from langgraph.graph._branch import BranchSpec
from langgraph.pregel import Pregel
from langgraph.pregel._algo import sanitize_untracked_values_in_send, task_path_str
from langgraph.pregel._loop import AsyncPregelLoop, SyncPregelLoop
from langgraph.pregel._messages import ensure_message_ids
from langgraph.pregel._read import PregelNode
from langgraph.pregel._retry import _should_retry_on as should_retry_on
from langgraph.pregel._write import PASSTHROUGH, ChannelWrite, ChannelWriteEntry, ChannelWriteTupleEntry

__all__ = [
    "CONF",
    "CONFIG_KEY_RESUMING",
    "CONFIG_KEY_RUNTIME",
    "CONFIG_KEY_SCRATCHPAD",
    "CONFIG_KEY_SEND",
    "CONFIG_KEY_TASK_ID",
    "CONTROL_WRITES",
    "ERROR",
    "ERROR_SOURCE_NODE",
    "INTERRUPT",
    "MISSING",
    "NO_WRITES",
    "NULL_TASK_ID",
    "RESUME",
    "START",
    "TASKS",
    "AsyncPregelLoop",
    "BranchSpec",
    "ChannelWrite",
    "DeltaChannel",
    "DeltaSnapshot",
    "Pregel",
    "PregelNode",
    "RunnableCallable",
    "RunnableSeq",
    "SyncPregelLoop",
    "allowlist",
    "as_runnable",
    "edges_of",
    "ensure_message_ids",
    "is_edge",
    "routers_of",
    "sanitize_untracked_values_in_send",
    "should_retry_on",
    "subgraph_of",
    "task_path_str",
    "walk",
    "ways_of",
]

CONTROL_WRITES = frozenset((ERROR, ERROR_SOURCE_NODE, INTERRUPT, RESUME))
"""Channels that tell what happened to a task rather than what it produced."""

Writes = MutableSequence[tuple[str, Any]]


def as_runnable(implementation: Any, name: str) -> Runnable[Any, Any]:
    """What a node's implementation becomes when it is added to a graph."""
    return coerce_to_runnable(implementation, name=name, trace=True)


def subgraph_of(node: PregelNode) -> Pregel[Any, Any, Any, Any] | None:
    """The graph a node is, if it is one."""
    return node.bound if isinstance(node.bound, Pregel) else None


def routers_of(node: PregelNode) -> list[BranchSpec]:
    """The functions that decide where to go from a node."""
    functions = [getattr(writer, "func", None) or getattr(writer, "afunc", None) for writer in node.writers]
    owners = [getattr(function, "__self__", None) for function in functions]
    return [owner for owner in owners if isinstance(owner, BranchSpec)]


def is_edge(channel: str) -> bool:
    """Whether a channel only says which node is next."""
    return channel.startswith(("branch:to:", "join:"))


def edges_of(node: PregelNode) -> tuple[set[str], set[str] | None]:
    """The channels by which a node always leads on, and those by which it may; any, when None."""
    always: set[str] = set()
    possible: set[str] = set()
    for writer in node.writers:
        for entry in writer.writes if isinstance(writer, ChannelWrite) else ():
            if isinstance(entry, ChannelWriteEntry) and entry.value is not PASSTHROUGH and is_edge(entry.channel):
                always.add(entry.channel)
            elif isinstance(entry, ChannelWriteTupleEntry):
                possible.update(channel for channel, *_ in entry.static or ())
    for router in routers_of(node):
        if router.ends is None:
            return always, None
        possible.update(f"branch:to:{end}" for end in router.ends.values())
    return always, possible


def ways_of(node: PregelNode) -> Iterator[tuple[str | None, bool, str]]:
    """Where a node leads: the next node's name (None for any of its graph), whether only sometimes, and its label.

    ``__end__`` among them where that was said. A node that leads nowhere ends its graph.
    """
    for writer in node.writers:
        for entry in writer.writes if isinstance(writer, ChannelWrite) else ():
            if isinstance(entry, ChannelWriteEntry) and entry.value is not PASSTHROUGH and is_edge(entry.channel):
                yield entry.channel.rpartition(":")[2], False, ""
            elif isinstance(entry, ChannelWriteTupleEntry):
                for channel, *_, label in entry.static or ():
                    yield channel.rpartition(":")[2], True, label or ""
    for router in routers_of(node):
        if router.ends is None:
            yield None, True, ""
        for answer, end in (router.ends or {}).items():
            yield end, True, "" if str(answer) == end else str(answer)


def walk(graph: Pregel[Any, Any, Any, Any], path: str = "") -> Iterator[tuple[str, PregelNode]]:
    """Every node of a graph and of the graphs that are its nodes, under its path such as ``sub/node``."""
    for name, node in graph.nodes.items():
        yield path + name, node
        subgraph = subgraph_of(node)
        if subgraph is not None:
            yield from walk(subgraph, f"{path}{name}/")


def allowlist(graph: Pregel[Any, Any, Any, Any]) -> set[tuple[str, ...]]:
    """The types that a graph's own schemas say its state may hold; nothing else is built when state is read."""
    types = build_serde_allowlist(schemas=_schemas(graph), channels=dict(graph.channels))
    for node in graph.nodes.values():
        subgraph = subgraph_of(node)
        if subgraph is not None:
            types |= allowlist(subgraph)
    return types


def _schemas(graph: Pregel[Any, Any, Any, Any]) -> list[type[Any]]:
    builder = getattr(graph, "builder", None)
    if builder is None:
        return []
    schemas = [builder.state_schema, builder.input_schema, builder.output_schema, builder.context_schema]
    schemas += [node.input_schema for node in builder.nodes.values()]
    schemas += [branch.input_schema for branches in builder.branches.values() for branch in branches.values()]
    return [schema for schema in schemas if schema is not None]
