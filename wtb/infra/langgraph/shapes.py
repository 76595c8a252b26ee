"""What an implementation says of itself: what it takes, what it writes, where it leads on to.

Only what is written down is believed: a function's parameters and annotations, a
graph's output channels, a Runnable's output schema. What says nothing fits.
"""

import inspect
import types
from collections.abc import Collection, Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from langchain_core.runnables import Runnable, RunnableAssign, RunnableSequence
from langgraph.types import Command
from pydantic import BaseModel, RootModel
from typing_extensions import is_typeddict

from wtb.infra.langgraph.internals import Pregel, RunnableCallable

ROOT = "__root__"
"""The one channel of a graph whose state has no keys: it takes anything."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an implementation is put into."""

    channels: Collection[str]
    """Those of the graph that the node is in."""
    targets: Collection[str]
    """The names that may be gone to from there: nodes of that graph, and of those around it."""

    def misfit(self, runnable: Runnable[Any, Any]) -> str | None:
        """Why an implementation can't work here; None when nothing tells so."""
        if isinstance(runnable, Pregel):
            return self._misfit_of_graph(runnable)
        if isinstance(runnable, RunnableCallable):
            hint = _returned(runnable.func or runnable.afunc)
            return _misfit_of_parameters(runnable) or self._misfit_of_type(hint)
        return self._misfit_of_type(_output_of(runnable))

    def _misfit_of_type(self, hint: Any) -> str | None:
        for kind in _alternatives(hint):
            for target in _goto(kind):
                if target not in self.targets:
                    return f"leads on to {target!r}, and there is no such node"
            unknown = self._unknown(_keys(kind))
            if unknown is not None:
                return unknown
        return None

    def _misfit_of_graph(self, graph: Pregel[Any, Any, Any, Any]) -> str | None:
        keys = graph.output_channels
        builder = getattr(graph, "builder", None)
        if isinstance(keys, str) or builder is None:
            return None
        if builder.output_schema is builder.state_schema and any(key in self.channels for key in keys):
            return (
                None  # nobody said that all of its state is to be written: what the other has no channel for is its own
            )
        return self._unknown(keys)

    def _unknown(self, keys: Collection[str]) -> str | None:
        if ROOT in self.channels or ROOT in keys:
            return None
        unknown = sorted(key for key in keys if key not in self.channels)
        if not unknown:
            return None
        return f"writes {unknown[0]!r}, which is no channel there; there are {', '.join(sorted(self.channels))}"


def _misfit_of_parameters(runnable: RunnableCallable) -> str | None:
    function = runnable.func or runnable.afunc
    assert function is not None
    try:
        inspect.signature(function).bind(None, **dict.fromkeys(runnable.func_accepts))
    except TypeError as misfit:
        return f"can't be called with a state: {misfit}"
    return None


# --- annotations --------------------------------------------------------------------------------------


def _returned(function: Any) -> Any:
    """A function's return annotation; None when it has none, or one that can't be made out."""
    if not inspect.isroutine(function):
        function = getattr(function, "func", None) or type(function).__call__
    try:
        return get_type_hints(function, include_extras=True).get("return")
    except Exception:  # noqa: BLE001  # names that are there for type checkers only, or whatever stands there
        return None


def _output_of(runnable: Runnable[Any, Any]) -> Any:
    if isinstance(runnable, RunnableSequence):
        return _output_of(runnable.last)
    if isinstance(runnable, RunnableAssign):
        return _output_of(runnable.mapper)  # what it is given is passed on with it
    try:
        schema = runnable.get_output_schema()
    except Exception:  # noqa: BLE001  # whatever pydantic makes of the types it finds
        return None
    return schema.model_fields["root"].annotation if issubclass(schema, RootModel) else schema


def _alternatives(hint: Any) -> Iterator[Any]:
    origin = get_origin(hint)
    if origin is Annotated:
        yield from _alternatives(get_args(hint)[0])
    elif origin in (Union, types.UnionType):
        for each in get_args(hint):
            yield from _alternatives(each)
    else:
        yield hint


def _goto(kind: Any) -> Iterator[str]:
    """The targets of ``Command[Literal["a", "b"]]``."""
    if get_origin(kind) is Command:
        for each in get_args(kind):
            if get_origin(each) is Literal:
                yield from (target for target in get_args(each) if isinstance(target, str))


def _keys(kind: Any) -> list[str]:
    """The keys of what a type describes, where it has a fixed set of them."""
    kind = get_origin(kind) or kind
    if is_typeddict(kind):
        return [*kind.__annotations__]
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return [*kind.model_fields]
    if isinstance(kind, type) and is_dataclass(kind) and not issubclass(kind, Command):
        return [field.name for field in fields(kind)]
    return []
