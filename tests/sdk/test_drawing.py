"""Graphs are drawn from what was noted of them, whatever their nodes are called."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langgraph.graph import END, START, StateGraph

from tests.sdk.given import Notes, chain, says
from wtb.domain.errors import InvalidGraph, InvalidRequest
from wtb.domain.workflow import EdgeDescribed, NodeDescribed, WorkflowVersioned
from wtb.sdk import TestBench
from wtb.sdk.drawing import mermaid, text


def described(*edges: tuple[str, str], nodes: tuple[str, ...] = (), graphs: tuple[str, ...] = ()) -> WorkflowVersioned:
    names = dict.fromkeys((*nodes, *graphs))
    return WorkflowVersioned(
        version="v",
        nodes=tuple(NodeDescribed(path=name, code="c", graph=name in graphs) for name in names),
        edges=tuple(EdgeDescribed(source=a, target=b, conditional=b == END, label="") for a, b in edges),
        channels={},
        input_schema=None,
        output_schema=None,
    )


def nesting() -> Any:
    inner: Any = StateGraph(Notes)
    inner.add_node("find", says("x"))
    inner.add_edge(START, "find")
    builder: Any = StateGraph(Notes)
    builder.add_node("sort", says("x"))
    builder.add_node("search", inner.compile())
    builder.add_edge(START, "sort")
    builder.add_conditional_edges("sort", lambda state: END, {"yes": "search", "no": END})
    builder.add_conditional_edges("search", lambda state: "sort")
    return builder


def test_a_graph_as_text_has_a_line_for_each_node(quick_bench: TestBench) -> None:
    quick_bench.register(nesting(), workflow="w")
    assert quick_bench.draw("w", format="text").splitlines() == [
        "start    → sort",
        "sort     ⇢ search (yes), ⇢ end (no)",
        "search   ⇢ any",
        "  start  → find",
        "  find   → end",
        "",
        "→ always  ⇢ sometimes",
    ]


def test_a_graph_as_mermaid_has_nested_graphs_as_subgraphs(quick_bench: TestBench) -> None:
    assert quick_bench.draw(nesting()).splitlines() == [
        "flowchart TD",
        '    n0(["start"])',
        '    n1["sort"]',
        '    subgraph n2["search"]',
        '        n5(["start"])',
        '        n6["find"]',
        '        n7(["end"])',
        "    end",
        '    n3(["end"])',
        '    n4{{"any"}}',
        "    n0 --> n1",
        '    n1 -.->|"yes"| n2',
        '    n1 -.->|"no"| n3',
        "    n2 -.-> n4",
        "    n5 --> n6",
        "    n6 --> n7",
    ]


def test_a_version_that_is_gone_is_drawn_too(quick_bench: TestBench) -> None:
    quick_bench.register(chain(old=says("x")), workflow="w")
    gone = quick_bench.version("w").version
    quick_bench.register(chain(new=says("x")), workflow="w")
    assert "new" in quick_bench.draw("w")
    assert '"old"' in quick_bench.draw("w", version=gone)
    assert quick_bench.draw(chain(old=says("x"))) == quick_bench.draw("w", version=gone)


def test_what_can_t_be_drawn_is_refused(quick_bench: TestBench) -> None:
    with pytest.raises(InvalidGraph):
        quick_bench.draw(object())
    with pytest.raises(InvalidRequest):
        quick_bench.draw(chain(a=says("x")), format="svg")  # type: ignore[arg-type]


@given(st.text(min_size=1).filter(lambda name: "/" not in name))
def test_a_label_can_t_end_its_quotes_or_its_line(name: str) -> None:
    drawing = mermaid(described((START, name), (name, END), nodes=(name,)))
    lines = drawing.splitlines()
    assert name in (START, END) or len(lines) == 6
    for line in lines[1:4]:
        assert line.count('"') == 2
    assert len(text(described((START, name), (name, END), nodes=(name,))).splitlines()) <= 5


def test_a_node_without_edges_and_a_graph_without_nodes_are_drawn() -> None:
    assert mermaid(described(nodes=("alone",))) == 'flowchart TD\n    n0["alone"]\n'
    assert text(described(nodes=("alone",))) == "alone\n"
    assert mermaid(described()) == "flowchart TD\n"
    assert text(described()) == "\n"
