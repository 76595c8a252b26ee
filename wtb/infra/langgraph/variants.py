"""Other implementations of nodes, by the node's path and a name."""

from collections.abc import Mapping
from typing import Any

from langchain_core.runnables import Runnable
from langgraph.graph import StateGraph

from wtb.domain.errors import InvalidVariant, VariantNotFound
from wtb.domain.workflow import OWN, WHOLE
from wtb.infra.langgraph.internals import Pregel, RunnableCallable, RunnableSeq, as_runnable


class Variants:
    """What can stand in for nodes. Safe to share between threads; what is added later is seen at once."""

    def __init__(self) -> None:
        self._by_node: dict[str, dict[str, Runnable[Any, Any]]] = {}
        self._given: dict[tuple[str, str], object] = {}

    def add(self, node: str, name: str, implementation: object) -> None:
        """Give a node another implementation: a function, a coroutine function, a Runnable or a graph.

        ``node`` is its path, such as ``sub/answer``; for `WHOLE` it is another graph. The same implementation may
        be given again. Raises `InvalidVariant`.
        """
        if not name or name == OWN or name != name.strip() or not name.isprintable():
            raise InvalidVariant(f"{name!r} can't name a variant", hint="Use a short name other than 'default'.")
        if isinstance(implementation, StateGraph):
            try:
                runnable: Runnable[Any, Any] = implementation.compile()
            except ValueError as flaw:
                raise InvalidVariant(f"variant {name!r} of node {node!r} doesn't compile: {flaw}") from flaw
        elif isinstance(implementation, Runnable) or callable(implementation):
            runnable = as_runnable(implementation, node.rpartition("/")[2])
        else:
            raise InvalidVariant(f"{type(implementation).__name__} can't stand in for node {node!r}")
        if node == WHOLE and not isinstance(runnable, Pregel):
            raise InvalidVariant(f"variant {name!r} of the whole graph is no graph", hint="Give another graph.")
        if self._given.setdefault((node, name), implementation) is not implementation:
            raise InvalidVariant(
                f"node {node!r} has another variant {name!r} already", hint="Give the new one another name."
            )
        self._by_node.setdefault(node, {})[name] = runnable

    def find(self, node: str, name: str) -> Runnable[Any, Any]:
        """Raises `VariantNotFound`."""
        found = self._by_node.get(node, {}).get(name)
        if found is None:
            raise VariantNotFound(node, name)
        return found

    def names(self, node: str) -> tuple[str, ...]:
        """The names of a node's variants, in order; without its own implementation."""
        return tuple(sorted(self._by_node.get(node, {})))

    def chosen(self, choices: Mapping[str, object]) -> dict[str, str]:
        """Node path to variant name; implementations given in place of a name are added under their own.

        ``default`` stands for a node's own implementation. Raises `InvalidVariant`
        or `VariantNotFound`.
        """
        names: dict[str, str] = {}
        for node, choice in choices.items():
            if isinstance(choice, str):
                if choice != OWN:
                    self.find(node, choice)
                names[node] = choice
            else:
                names[node] = self._named(node, choice)
        return names

    def _named(self, node: str, implementation: object) -> str:
        own = str(getattr(implementation, "__name__", None) or getattr(implementation, "name", None) or "variant")
        own = own.strip("<>")
        name, number = own, 1
        while self._given.get((node, name), implementation) is not implementation or name == OWN:
            number += 1
            name = f"{own}-{number}"
        self.add(node, name, implementation)
        return name


def is_async_only(runnable: Any) -> bool:
    """Whether something can only be run on an event loop."""
    if isinstance(runnable, RunnableSeq):
        return any(is_async_only(step) for step in runnable.steps)
    if isinstance(runnable, Pregel):
        return any(is_async_only(node.bound) for node in runnable.nodes.values())
    return isinstance(runnable, RunnableCallable) and runnable.func is None
