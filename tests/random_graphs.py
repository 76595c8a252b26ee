"""Random graphs that do the same each time: branches, loops, fan-outs, nested graphs and questions in a row."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from hypothesis import strategies as st
from langgraph.graph import START, StateGraph
from langgraph.types import Send, interrupt
from typing_extensions import TypedDict

from wtb.sdk import RunResult


def _merged(have: list[str], new: list[str]) -> list[str]:
    """A reducer that is the same however often a nested graph gives back what it was given."""
    return [*have, *(each for each in new if each not in have)]


class Log(TypedDict, total=False):
    log: Annotated[list[str], _merged]
    asked: str


@dataclass(frozen=True)
class Plain:
    """A node."""


@dataclass(frozen=True)
class Ask:
    """A node that logs the answer to its question."""


@dataclass(frozen=True)
class Beside:
    """Nodes that run side by side, then one that waits for all."""

    width: int


@dataclass(frozen=True)
class Fan:
    """A node that sends pieces to another."""

    width: int


@dataclass(frozen=True)
class Choose:
    """A node that leads to one of two by what has been logged."""


@dataclass(frozen=True)
class Loop:
    """A node that leads back to itself some times."""

    times: int


@dataclass(frozen=True)
class Nested:
    """A graph as a node."""

    parts: "tuple[Part, ...]"


Part = Plain | Ask | Beside | Fan | Choose | Loop | Nested

_leaves: st.SearchStrategy[Part] = st.one_of(
    st.just(Plain()),
    st.just(Ask()),
    st.builds(Beside, st.integers(2, 3)),
    st.builds(Fan, st.integers(1, 3)),
    st.just(Choose()),
    st.builds(Loop, st.integers(1, 3)),
)

parts: st.SearchStrategy[tuple[Part, ...]] = st.recursive(
    st.lists(_leaves, min_size=1, max_size=4).map(tuple),
    lambda inner: st.lists(st.one_of(_leaves, st.builds(Nested, inner)), min_size=1, max_size=3).map(tuple),
    max_leaves=8,
)
"""What a graph is made of, in order."""


def logs(name: str) -> Any:
    return lambda state: {"log": [name]}


def build(made_of: Sequence[Part], prefix: str = "n") -> Any:
    """The compiled graph."""
    graph: Any = StateGraph(Log)
    before: list[str] = [START]
    for number, part in enumerate(made_of):
        name = f"{prefix}{number}"
        before = _add(graph, part, name, before)
    return graph.compile()


def _follow(graph: Any, before: list[str], node: str) -> None:
    for each in before:
        graph.add_edge(each, node)


def _add(graph: Any, part: Part, name: str, before: list[str]) -> list[str]:
    """Add a part; the nodes that what follows comes after."""
    match part:
        case Plain():
            graph.add_node(name, logs(name))
        case Ask():
            graph.add_node(name, lambda state: {"log": [f"{name}: {interrupt(f'{name}?')}"], "asked": name})
        case Nested(inner):
            graph.add_node(name, build(inner, f"{name}_"))
        case Loop(times):
            graph.add_node(
                name, lambda state: {"log": [f"{name} {sum(each.startswith(f'{name} ') for each in state['log'])}"]}
            )
            graph.add_node(f"{name}_out", logs(f"{name}_out"))
            graph.add_conditional_edges(
                name, lambda state: name if f"{name} {times - 1}" not in state["log"] else f"{name}_out"
            )
            _follow(graph, before, name)
            return [f"{name}_out"]
        case Choose():
            graph.add_node(name, logs(name))
            for side in ("left", "right"):
                graph.add_node(f"{name}_{side}", logs(f"{name}_{side}"))
            graph.add_conditional_edges(
                name,
                lambda state: f"{name}_{'left' if len(state['log']) % 2 else 'right'}",
                [f"{name}_left", f"{name}_right"],
            )
            graph.add_node(f"{name}_out", logs(f"{name}_out"))
            _follow(graph, [f"{name}_left", f"{name}_right"], f"{name}_out")
            _follow(graph, before, name)
            return [f"{name}_out"]
        case Beside(width):
            graph.add_node(name, logs(name))
            sides = [f"{name}_{number}" for number in range(width)]
            for side in sides:
                graph.add_node(side, logs(side))
                graph.add_edge(name, side)
            graph.add_node(f"{name}_out", logs(f"{name}_out"))
            graph.add_edge(sides, f"{name}_out")
            _follow(graph, before, name)
            return [f"{name}_out"]
        case Fan(width):
            graph.add_node(name, logs(name))
            graph.add_node(f"{name}_piece", lambda piece: {"log": [f"{name}_piece {piece}"]})
            graph.add_conditional_edges(
                name, lambda state: [Send(f"{name}_piece", number) for number in range(width)], [f"{name}_piece"]
            )
            graph.add_node(f"{name}_out", logs(f"{name}_out"))
            graph.add_edge(f"{name}_piece", f"{name}_out")
            _follow(graph, before, name)
            return [f"{name}_out"]
    _follow(graph, before, name)
    return [name]


def answers(result: RunResult) -> dict[str, Any]:
    """The same answer to the same question each time."""
    return {each.id: f"yes, {each.value}" for each in result.interrupts}
