"""A digest of what a graph is: its nodes, its edges, its reducers and the code behind them."""

import functools
import types
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Annotated, Any, ForwardRef, Literal, Union, get_args, get_origin

from langchain_core.runnables import Runnable

from wtb.infra.langgraph.internals import (
    BranchSpec,
    ChannelWrite,
    Pregel,
    PregelNode,
    RunnableSeq,
    is_edge,
    routers_of,
    subgraph_of,
    walk,
)

Graph = Pregel[Any, Any, Any, Any]

PLAIN = (str, bytes, int, float, complex, type(None), type(...))


def graph_version(graph: Graph) -> str:
    """SHA-256, shortened to 16 hexadecimal characters; equal for equal topology, channels, reducers and code.

    Code is compared as compiled by this Python, so another Python version may
    give another digest. Functions and constants that a function wraps, closes
    over or takes as defaults are seen; what it calls by a global name, or finds
    in lists and other objects, isn't. Of a type its name is seen, not what is in it.
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


def own_code(node: PregelNode, graph: Graph) -> str:
    """The digest of what a node of a graph does, of what its routers do and what it waits for, not of where it leads.

    Code is seen as by `graph_version`. Of a node that is a graph, what is in the graph isn't.
    """
    whole = {name for name in graph.channels if not (name.startswith("__") or is_edge(name))}
    reads = "all" if {*node.channels} == whole else node.channels  # or a new channel would change every node
    waits = sorted(trigger for trigger in node.triggers if trigger.startswith("join:"))
    writers = (_shown(writer, set()) for writer in node.writers if not isinstance(writer, ChannelWrite))
    routers = [_shown(router.path, set()) for router in routers_of(node)]
    return _digest([f"{waits}|{reads}|{_shown(node.bound, set())}", *sorted(routers or writers)])


def code_digest(runnable: Runnable[Any, Any]) -> str:
    """The digest of what may stand in for a node; a graph's is its version. As `graph_version` has it."""
    return graph_version(runnable) if isinstance(runnable, Pregel) else _digest([_shown(runnable, set())])


def reducer_of(channel: Any) -> Any:
    """What puts a channel's writes together; None where the last one counts."""
    return getattr(channel, "operator", None) or getattr(channel, "reducer", None)


def reducer_text(reducer: Any) -> str:
    """A reducer's name, and the digest of its code where it is no builtin; the same in every process."""
    name = getattr(reducer, "__qualname__", type(reducer).__qualname__)
    if isinstance(reducer, types.BuiltinFunctionType):
        return f"{str(reducer.__module__).lstrip('_')}.{name}"
    return f"{name} {_digest([_shown(reducer, set())])}"


def type_text(kind: Any) -> str:
    """A type as it is written, the same in every process."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return type_text(arguments[0])
    if origin in (Union, types.UnionType):
        return " | ".join(map(type_text, arguments))
    if origin is Literal:
        return f"Literal[{', '.join(map(repr, arguments))}]"
    if origin is not None:
        return f"{type_text(origin)}[{', '.join(map(type_text, arguments))}]"
    match kind:
        case None | types.NoneType:
            return "None"
        case types.EllipsisType():
            return "..."
        case list():
            return f"[{', '.join(map(type_text, kind))}]"
        case type():
            return kind.__qualname__  # without its module, which has another name where it is the program itself
        case str():
            return kind
        case ForwardRef():
            return kind.__forward_arg__
        case _:
            return str(getattr(kind, "__name__", None) or type(kind).__qualname__)


def _lines(node: PregelNode) -> Iterator[str]:
    yield f"{sorted(node.triggers)}|{node.channels}|{_shown(node.bound, set())}"
    yield from (_shown(writer, set()) for writer in node.writers)


def _digest(lines: Iterable[str]) -> str:
    return sha256("\n".join(lines).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _channels(path: str, graph: Graph) -> Iterator[str]:
    for name, channel in graph.channels.items():
        kind = f"{type(channel).__qualname__} {type_text(getattr(channel, 'typ', None))}"
        yield f"{path}|{name}|{kind}|{_shown(reducer_of(channel), set())}"


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
