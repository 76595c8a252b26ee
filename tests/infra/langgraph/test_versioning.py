"""A graph's version: equal for equal graphs wherever they are compiled, another one when nodes or edges change."""

import functools
import operator
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pytest
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command
from typing_extensions import TypedDict

from wtb.infra.langgraph.versioning import graph_version

Node = Callable[..., Any]


class Numbers(TypedDict):
    n: int
    log: Annotated[list[str], operator.add]


class Latest(TypedDict):
    n: int
    log: list[str]


def one(state: Any) -> dict[str, Any]:
    return {"n": 1} if state["n"] in {"a", "b", "c", "d"} else {"n": 2}


def two(state: Any) -> dict[str, Any]:
    return {"n": 2}


def three(state: Any) -> dict[str, Any]:
    return {"n": 3}


async def atwo(state: Any) -> dict[str, Any]:
    return {"n": 20}


def to_b(state: Any) -> str:
    return "b"


def to_c(state: Any) -> str:
    return "c"


def jump(state: Any) -> Command[Any]:
    return Command(goto="b")


def logged(function: Node) -> Node:
    @functools.wraps(function)
    def around(state: Any) -> Any:
        return function(state)

    return around


def adding(amount: int, notes: list[str]) -> Node:
    def node(state: Any) -> dict[str, Any]:
        notes.append("called")
        return {"n": state["n"] + amount}

    return node


class Adder:
    def __call__(self, state: Any) -> dict[str, Any]:
        return {"n": state["n"] + 1}


class Subtracter:
    def __call__(self, state: Any) -> dict[str, Any]:
        return {"n": state["n"] - 1}


class Desk:
    def answer(self, state: Any) -> dict[str, Any]:
        return {"n": 7}

    def ask(self, state: Any) -> dict[str, Any]:
        return {"n": 8}


def version(
    a: Node = one,
    b: Node = two,
    c: Node = three,
    *,
    edges: tuple[tuple[str | list[str], str], ...] = ((START, "a"), ("a", "b"), ("b", "c"), ("c", END)),
    branch: Node | None = None,
    ends: dict[str, str] | None = None,
    schema: type[Any] = Numbers,
    destinations: tuple[str, ...] = (),
) -> str:
    """The version of a graph of three nodes."""
    return graph_version(compiled(a, b, c, edges, branch, ends, schema, destinations))


def compiled(
    a: Node,
    b: Node,
    c: Node,
    edges: tuple[tuple[str | list[str], str], ...],
    branch: Node | None = None,
    ends: dict[str, str] | None = None,
    schema: type[Any] = Numbers,
    destinations: tuple[str, ...] = (),
) -> Any:
    builder: Any = StateGraph(schema)
    builder.add_node("a", a, destinations=destinations or None)
    builder.add_node("b", b)
    builder.add_node("c", c)
    for start, end in edges:
        builder.add_edge(start, end)
    if branch is not None:
        builder.add_conditional_edges("a", branch, ends)
    return builder.compile()


LINE = version()
FORKING = ((START, "a"), ("b", END), ("c", END))
JOINING = ((START, "a"), (START, "b"), (["a", "b"], "c"), ("c", END))


def nested(inner: Node = two) -> str:
    """The version of a graph whose node is a graph."""
    line = ((START, "a"), ("a", "b"), ("b", "c"), ("c", END))
    return version(b=compiled(one, inner, three, line))


def test_a_version_is_sixteen_hexadecimal_characters() -> None:
    assert len(LINE) == 16
    assert int(LINE, 16) >= 0


@pytest.mark.parametrize("seed", ["0", "1", "4711"])
def test_other_processes_with_other_hash_seeds_find_the_same_version(seed: str) -> None:
    program = (
        "import importlib.util, sys\n"
        f"spec = importlib.util.spec_from_file_location('elsewhere', {str(Path(__file__))!r})\n"
        "m = importlib.util.module_from_spec(spec); spec.loader.exec_module(m)\n"
        "print(m.LINE, m.nested(), m.version(edges=m.FORKING, branch=m.to_b))\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONHASHSEED": seed},
        check=True,
        capture_output=True,
        text=True,
    )

    assert found.stdout.split() == [LINE, nested(), version(edges=FORKING, branch=to_b)]


def test_the_order_in_which_nodes_are_added_makes_no_difference() -> None:
    builder: Any = StateGraph(Numbers)
    for name, node in (("c", three), ("b", two), ("a", one)):
        builder.add_node(name, node)
    for start, end in (("c", END), ("b", "c"), ("a", "b"), (START, "a")):
        builder.add_edge(start, end)

    assert graph_version(builder.compile()) == LINE


def test_what_a_node_has_collected_makes_no_difference() -> None:
    assert version(b=adding(1, [])) == version(b=adding(1, ["called"]))


CHANGES = {
    "a node's code": version(b=three),
    "a node that became async": version(b=atwo),
    "a constant in a lambda": version(b=lambda state: {"n": 21}),
    "two nodes changed places": version(edges=((START, "a"), ("a", "c"), ("c", "b"), ("b", END))),
    "an edge more": version(edges=((START, "a"), ("a", "b"), ("b", "c"), ("a", "c"), ("c", END))),
    "an edge less": version(edges=((START, "a"), ("a", "b"), ("a", "c"))),
    "an edge that waits for two": version(edges=JOINING),
    "a conditional edge": version(edges=FORKING, branch=to_b),
    "a conditional edge's code": version(edges=FORKING, branch=to_c),
    "a conditional edge's ends": version(edges=FORKING, branch=to_b, ends={"b": "b", "c": "c"}),
    "other ends": version(edges=FORKING, branch=to_b, ends={"b": "c", "c": "b"}),
    "where a command may lead": version(edges=FORKING, a=jump, destinations=("b",)),
    "where else a command may lead": version(edges=FORKING, a=jump, destinations=("b", "c")),
    "a channel's reducer": version(schema=Latest),
    "a decorated node": version(b=logged(two)),
    "what is decorated": version(b=logged(three)),
    "a constant in a closure": version(b=adding(1, [])),
    "another constant in a closure": version(b=adding(2, [])),
    "a callable object": version(b=Adder()),
    "another callable object": version(b=Subtracter()),
    "a method": version(b=Desk().answer),
    "another method": version(b=Desk().ask),
    "part of a function": version(b=functools.partial(two)),
    "part of another function": version(b=functools.partial(three)),
    "a graph inside": nested(),
    "the code of a graph inside": nested(three),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_gives_another_version(change: str) -> None:
    others = [LINE, *(found for name, found in CHANGES.items() if name != change)]

    assert CHANGES[change] not in others
