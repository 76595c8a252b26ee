"""Other implementations of nodes, by the node's path and a name."""

import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from langchain_core.runnables import Runnable
from langgraph.graph import StateGraph

from wtb.domain.errors import InvalidVariant, VariantNotFound
from wtb.domain.identifiers import is_name
from wtb.domain.workflow import OWN, WHOLE, VariantKind, VariantRegistered
from wtb.infra.langgraph.internals import Pregel, RunnableCallable, RunnableSeq, as_runnable
from wtb.infra.langgraph.versioning import code_digest

Load = Callable[[], object]
"""Finds an implementation that a person or the process's own configuration has named."""


@dataclass
class Implementation:
    """What stands in for a node under a name."""

    node: str
    name: str
    given: object
    """As it was given."""
    runnable: Runnable[Any, Any]
    description: str
    reference: str | None
    """Where it was loaded from, or can be, as ``module:attribute``."""

    @property
    def kind(self) -> VariantKind:
        match self.runnable:
            case Pregel():
                return "graph"
            case RunnableCallable() if self.given is not self.runnable:
                return "coroutine" if self.runnable.func is None else "function"
            case _:
                return "runnable"

    @cached_property
    def fact(self) -> VariantRegistered:
        """What is noted of it in the streams of its workflows."""
        return VariantRegistered(
            node=self.node,
            name=self.name,
            code=code_digest(self.runnable),
            kind=self.kind,
            description=self.description,
            reference=self.reference,
        )


class Variants:
    """What can stand in for nodes. Safe to share between threads; what is added later is seen at once."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], Implementation] = {}
        self._named: dict[tuple[str, str], tuple[str, Load, str]] = {}
        self._passing: set[tuple[str, str]] = set()

    def add(
        self, node: str, name: str, implementation: object, description: str = "", reference: str | None = None
    ) -> None:
        """Give a node another implementation: a function, a coroutine function, a Runnable or a graph.

        ``node`` is its path, such as ``sub/answer``; for `WHOLE` it is another graph.
        Without a description it is the first line of the docstring. The same
        implementation may be given again. Raises `InvalidVariant`.
        """
        _check_told(node, name, description)
        runnable = _runnable(node, name, implementation)
        made = Implementation(
            node,
            name,
            implementation,
            runnable,
            description or _first_line(implementation),
            reference or _reference_of(implementation),
        )
        if self._known.setdefault((node, name), made).given is not implementation:
            raise InvalidVariant(
                f"node {node!r} has another variant {name!r} already", hint="Give the new one another name."
            )
        self._passing.discard((node, name))

    def name(self, node: str, name: str, reference: str, load: Load, description: str = "") -> None:
        """Give a node an implementation that is loaded when it is needed first. Raises `InvalidVariant`."""
        _check_told(node, name, description)
        self._named[node, name] = (reference, load, description)

    def knows(self, node: str, name: str) -> bool:
        """Whether a node has such a variant here."""
        return (node, name) in self._known or (node, name) in self._named

    def find(self, node: str, name: str) -> Runnable[Any, Any]:
        """Raises `VariantNotFound`, or `GraphNotFound` and `InvalidVariant` for one that can't be loaded."""
        return self.implementation(node, name).runnable

    def implementation(self, node: str, name: str) -> Implementation:
        """Raises as `find` does."""
        found = self._known.get((node, name))
        if found is None and (node, name) in self._named:
            reference, load, description = self._named[node, name]
            self.add(node, name, load(), description, reference)
            found = self._known[node, name]
        if found is None:
            raise VariantNotFound(node, name)
        return found

    def given(self, node: str, name: str) -> object:
        """The implementation as it was given, or loaded. Raises as `find` does."""
        return self.implementation(node, name).given

    def names(self, node: str) -> tuple[str, ...]:
        """The names of a node's variants, in order; without its own implementation."""
        return tuple(sorted(name for path, name in {**self._known, **self._named} if path == node))

    def registered(self) -> list[tuple[str, str]]:
        """Node and name of those that were given a name, not only used once."""
        return [key for key in dict.fromkeys([*self._known, *self._named]) if key not in self._passing]

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
                names[node] = self._name_of(node, choice)
        return names

    def _name_of(self, node: str, implementation: object) -> str:
        own = str(getattr(implementation, "__name__", None) or getattr(implementation, "name", None) or "variant")
        own = own.strip("<>")
        name, number = own, 1
        while name == OWN or (self.knows(node, name) and self.implementation(node, name).given is not implementation):
            number += 1
            name = f"{own}-{number}"
        if not self.knows(node, name):
            self.add(node, name, implementation)
            self._passing.add((node, name))
        return name


def is_async_only(runnable: Any) -> bool:
    """Whether something can only be run on an event loop."""
    if isinstance(runnable, RunnableSeq):
        return any(is_async_only(step) for step in runnable.steps)
    if isinstance(runnable, Pregel):
        return any(is_async_only(node.bound) for node in runnable.nodes.values())
    return isinstance(runnable, RunnableCallable) and runnable.func is None


def _check_told(node: object, name: object, description: object) -> None:
    """What is found wrong only when it is written would keep the project's every graph from running."""
    if not isinstance(node, str) or not node:
        raise InvalidVariant(f"{node!r} is no node's path", hint="Name a node as answer or sub/answer, or '*'.")
    if not isinstance(description, str):
        raise InvalidVariant(f"variant {name!r} can't be described by {description!r}", hint="Give a text.")
    if not isinstance(name, str) or not is_name(name) or name == OWN or name != name.strip() or not name.isprintable():
        raise InvalidVariant(f"{str(name)[:50]!r} can't name a variant", hint="Use a short name other than 'default'.")


def _runnable(node: str, name: str, implementation: object) -> Runnable[Any, Any]:
    if isinstance(implementation, StateGraph):
        try:
            runnable: Runnable[Any, Any] = implementation.compile()
        except ValueError as flaw:
            raise InvalidVariant(f"variant {name!r} of node {node!r} doesn't compile: {flaw}") from flaw
    elif isinstance(implementation, Runnable) or callable(implementation):
        try:
            runnable = as_runnable(implementation, node.rpartition("/")[2])
        except ValueError as flaw:  # a builtin that doesn't tell what it takes
            raise InvalidVariant(f"variant {name!r} of node {node!r} is of no use to LangGraph: {flaw}") from flaw
    else:
        raise InvalidVariant(f"{type(implementation).__name__} can't stand in for node {node!r}")
    if node == WHOLE and not isinstance(runnable, Pregel):
        raise InvalidVariant(f"variant {name!r} of the whole graph is no graph", hint="Give another graph.")
    return runnable


def _first_line(implementation: object) -> str:
    """Of the implementation's own docstring; an object's class has one of its own, which tells something else."""
    documented = inspect.isroutine(implementation) or inspect.isclass(implementation)
    lines = (inspect.getdoc(implementation) or "").strip().splitlines() if documented else []
    return lines[0].strip() if lines else ""


def _reference_of(implementation: object) -> str | None:
    """``module:attribute`` where that leads back to the same object, in other processes too."""
    module = sys.modules.get(getattr(implementation, "__module__", None) or "")
    attribute = getattr(implementation, "__qualname__", "")
    if module is None or module.__name__ == "__main__" or vars(module).get(attribute) is not implementation:
        return None
    return f"{module.__name__}:{attribute}"
