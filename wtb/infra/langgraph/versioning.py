"""A digest of what a graph is: its nodes, its edges and the code behind them."""

import types
from hashlib import sha256
from typing import Any

from wtb.infra.langgraph.internals import Pregel, RunnableCallable, RunnableSeq, walk


def graph_version(graph: Pregel[Any, Any, Any, Any]) -> str:
    """SHA-256, shortened to 16 hexadecimal characters; equal for equal topology and node code.

    Code is compared as compiled by this Python, so another Python version may
    give another digest. What nodes call beyond their own functions isn't seen.
    """
    seen = sha256()
    for path, node in sorted(walk(graph), key=lambda found: found[0]):
        seen.update(f"{path}|{sorted(node.triggers)}|{node.channels}|{len(node.writers)}\n".encode())
        _digest_runnable(node.bound, seen)
        for writer in node.writers:
            _digest_runnable(writer, seen)
    seen.update("|".join(sorted(graph.channels)).encode())
    return seen.hexdigest()[:16]


def _digest_runnable(runnable: Any, seen: Any) -> None:
    if isinstance(runnable, RunnableSeq):
        for step in runnable.steps:
            _digest_runnable(step, seen)
    elif isinstance(runnable, RunnableCallable):
        function = runnable.func or runnable.afunc
        code = getattr(getattr(function, "__func__", function), "__code__", None)
        seen.update(type(function).__qualname__.encode())
        if code is not None:
            _digest_code(code, seen)
    else:
        seen.update(type(runnable).__qualname__.encode())


def _digest_code(code: types.CodeType, seen: Any) -> None:
    seen.update(code.co_code)
    seen.update("|".join(code.co_names).encode())
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            _digest_code(constant, seen)
        else:
            # A set's order changes from process to process.
            shown = sorted(map(repr, constant)) if isinstance(constant, frozenset) else repr(constant)
            seen.update(str(shown).encode())
