"""A digest of what a graph is: its nodes, its edges, its reducers and the code behind them."""

import functools
import types
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Any

from langchain_core.runnables import Runnable

from wtb.infra.langgraph.internals import BranchSpec, ChannelWrite, Pregel, PregelNode, RunnableSeq, subgraph_of, walk

Graph = Pregel[Any, Any, Any, Any]

PLAIN = (str, bytes, int, float, complex, type(None), type(...))


def graph_version(graph: Graph) -> str:
    """SHA-256, shortened to 16 hexadecimal characters; equal for equal topology, reducers and code.

    Code is compared as compiled by this Python, so another Python version may
    give another digest. Functions and constants that a function wraps, closes
    over or takes as defaults are seen; what it calls by a global name, or finds
    in lists and other objects, isn't.
    """
    lines = [*_channels("", graph)]
    for path, node in walk(graph):
        lines += (f"{path}|{line}" for line in _lines(node))
        subgraph = subgraph_of(node)
        if subgraph is not None:
            lines += _channels(f"{path}/", subgraph)
    # LangGraph keeps edges in sets, so equal graphs may hold them in any order.
    return _digest(sorted(lines))


def node_code(node: PregelNode) -> str:
    """The digest of a node's own implementation, its triggers and its writers; not of the nodes of a graph that it is.

    As `graph_version` has it.
    """
    return _digest(sorted(_lines(node)))


def code_digest(runnable: Runnable[Any, Any]) -> str:
    """The digest of what may stand in for a node; a graph's is its version. As `graph_version` has it."""
    return graph_version(runnable) if isinstance(runnable, Pregel) else _digest([_shown(runnable, set())])


def _lines(node: PregelNode) -> Iterator[str]:
    yield f"{sorted(node.triggers)}|{node.channels}|{_shown(node.bound, set())}"
    yield from (_shown(writer, set()) for writer in node.writers)


def _digest(lines: Iterable[str]) -> str:
    return sha256("\n".join(lines).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _channels(path: str, graph: Graph) -> Iterator[str]:
    for name, channel in graph.channels.items():
        reducer = getattr(channel, "operator", None) or getattr(channel, "reducer", None)
        yield f"{path}|{name}|{type(channel).__qualname__}|{_shown(reducer, set())}"


def _shown(part: Any, seen: set[int]) -> str:
    """A part of a graph as text that is the same in every process."""
    match part:
        case BranchSpec():
            ends = None if part.ends is None else sorted(f"{key!r}: {end}" for key, end in part.ends.items())
            return f"branch {_shown(part.path, seen)} {ends}"
        case tuple():
            return _all(part, seen)
        case ChannelWrite():
            # An entry has its channel, or the channels a Command may lead to.
            return _all(
                [getattr(w, "channel", None) or tuple(getattr(w, "static", None) or ()) for w in part.writes], seen
            )
        case RunnableSeq():
            return _all(part.steps, seen)
        case functools.partial():
            return f"partial {_all([part.func, part.args, *sorted(part.keywords.items())], seen)}"
        case types.MethodType():
            owner = part.__self__
            whose = _shown(owner, seen) if isinstance(owner, BranchSpec) else type(owner).__qualname__
            return f"{whose}.{_shown(part.__func__, seen)}"
        case types.BuiltinFunctionType() | type():
            return f"{part.__module__}.{part.__qualname__}"
        case _ if isinstance(part, PLAIN):
            return repr(part)
        case _ if id(part) in seen:
            return "seen"
        case types.FunctionType():
            seen.add(id(part))
            defaults = [*(part.__defaults__ or ()), *sorted((part.__kwdefaults__ or {}).items())]
            held = [getattr(part, "__wrapped__", None), *_closure(part), *defaults]
            return f"{_code(part.__code__)} {_all(held, seen)}"
        case _:
            seen.add(id(part))
            function = vars(type(part)).get("__call__")
            if isinstance(part, Runnable):
                function = getattr(part, "func", None) or getattr(part, "afunc", None) or function
            return f"{type(part).__qualname__} {_shown(function, seen)}"


def _all(parts: Iterable[Any], seen: set[int]) -> str:
    return f"({', '.join(_shown(part, seen) for part in parts)})"


def _closure(function: types.FunctionType) -> Iterator[Any]:
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not filled yet
            yield None


def _code(code: types.CodeType) -> str:
    return f"{code.co_code.hex()} {code.co_names} {[_constant(constant) for constant in code.co_consts]}"


def _constant(constant: Any) -> str:
    match constant:
        case types.CodeType():
            return _code(constant)
        case frozenset():
            # A set's order changes from process to process.
            return str(sorted(map(_constant, constant)))
        case tuple():
            return str([*map(_constant, constant)])
        case _:
            return repr(constant)
