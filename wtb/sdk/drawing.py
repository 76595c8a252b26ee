"""A workflow's graph drawn from its description alone, so that versions which are long gone can be drawn too."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, Protocol

from wtb.domain.errors import InvalidRequest
from wtb.domain.workflow import WHOLE, EdgeDescribed, NodeDescribed

START = "__start__"
END = "__end__"

Format = Literal["mermaid", "text"]

WORDS = {START: "start", END: "end", WHOLE: "any"}
"""What stands in a drawing for what isn't a node."""

_SHAPES = {START: ("([", "])"), END: ("([", "])"), WHOLE: ("{{", "}}")}

_ESCAPES = str.maketrans(
    {"#": "#35;", '"': "#quot;", "<": "#lt;", ">": "#gt;", "&": "#amp;", "`": "#96;", "\\": "#92;"}
)
"""Mermaid's own: https://mermaid.js.org/syntax/flowchart.html#entity-codes-to-escape-characters."""


class Described(Protocol):
    """What a drawing is made of."""

    @property
    def nodes(self) -> tuple[NodeDescribed, ...]: ...

    @property
    def edges(self) -> tuple[EdgeDescribed, ...]: ...


def drawn(graph: Described, form: Format) -> str:
    """A graph as a Mermaid flowchart or as text. Raises `InvalidRequest` for any other form."""
    match form:
        case "mermaid":
            return mermaid(graph)
        case "text":
            return text(graph)
        case _:
            raise InvalidRequest(f"a graph can't be drawn as {form!r}", hint="Say mermaid or text.")


# --- Mermaid ------------------------------------------------------------------------------------------


def mermaid(graph: Described) -> str:
    """A flowchart: nested graphs are subgraphs, ways that are taken sometimes are dotted."""
    by_graph = _by_graph(graph)
    ids = {path: f"n{place}" for place, path in enumerate(path for paths in by_graph.values() for path in paths)}
    nested = {node.path for node in graph.nodes if node.graph}
    lines = ["flowchart TD", *_shapes("", by_graph, ids, nested, 1)]
    for edge in graph.edges:
        arrow = "-.->" if edge.conditional else "-->"
        label = f'|"{_escaped(edge.label)}"|' if edge.label else ""
        lines.append(f"    {ids[edge.source]} {arrow}{label} {ids[edge.target]}")
    return "\n".join(lines) + "\n"


def _shapes(
    graph: str, by_graph: Mapping[str, Sequence[str]], ids: Mapping[str, str], nested: set[str], depth: int
) -> Iterator[str]:
    indent = "    " * depth
    for path in by_graph[graph]:
        name = _name(path)
        if path in nested and path in by_graph:
            yield f'{indent}subgraph {ids[path]}["{_escaped(name)}"]'
            yield from _shapes(path, by_graph, ids, nested, depth + 1)
            yield f"{indent}end"
        else:
            before, after = _SHAPES.get(name, ("[", "]"))
            yield f'{indent}{ids[path]}{before}"{_escaped(WORDS.get(name, name))}"{after}'


def _escaped(label: str) -> str:
    return _printable(label).translate(_ESCAPES)


# --- text ---------------------------------------------------------------------------------------------


def text(graph: Described) -> str:
    """A line for each node with where it leads; the nodes of nested graphs are indented below the graph's."""
    by_graph = _by_graph(graph)
    ways: dict[str, list[str]] = {}
    for edge in graph.edges:
        name = _name(edge.target)
        way = f"{'⇢' if edge.conditional else '→'} {WORDS.get(name, _printable(name))}"
        ways.setdefault(edge.source, []).append(f"{way} ({_printable(edge.label)})" if edge.label else way)
    rows = [(indent + _shown(path), ", ".join(ways.get(path, ()))) for indent, path in _rows("", by_graph, "")]
    width = max((len(name) for name, _ in rows), default=0)
    lines = [f"{name.ljust(width)}  {led}".rstrip() for name, led in rows]
    if any(edge.conditional for edge in graph.edges):
        lines += ["", "→ always  ⇢ sometimes"]
    return "\n".join(lines) + "\n"


def _rows(graph: str, by_graph: Mapping[str, Sequence[str]], indent: str) -> Iterator[tuple[str, str]]:
    for path in by_graph[graph]:
        if _name(path) not in (END, WHOLE):
            yield indent, path
            if path in by_graph:
                yield from _rows(path, by_graph, indent + "  ")


def _shown(path: str) -> str:
    name = _name(path)
    return WORDS.get(name, _printable(name))


# --- both ---------------------------------------------------------------------------------------------


def _by_graph(graph: Described) -> dict[str, list[str]]:
    """The paths of a graph's nodes by the graph that they are in: where it starts, its nodes, where it ends."""
    ends = {path: None for edge in graph.edges for path in (edge.source, edge.target)}
    found: dict[str, dict[str, None]] = {"": {}}
    for path in (
        *(path for path in ends if _name(path) == START),
        *(node.path for node in graph.nodes if _name(node.path) != START),
        *ends,
    ):
        found.setdefault(path.rpartition("/")[0], {}).setdefault(path)
    return {nested: [*paths] for nested, paths in found.items()}


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _printable(label: str) -> str:
    """In one line, without what isn't to be seen."""
    return "".join(c if c.isprintable() else "\ufffd" for c in " ".join(label.split()))
