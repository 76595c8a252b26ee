"""A graph as it is noted among its workflow's versions: what a person asks of it when it is long gone."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from langgraph.channels import BinaryOperatorAggregate, LastValue
from langgraph.constants import END

from wtb.domain.workflow import WHOLE, EdgeDescribed, NodeDescribed, WorkflowVersioned
from wtb.infra.langgraph.internals import START, is_edge, routers_of, subgraph_of, ways_of
from wtb.infra.langgraph.versioning import Graph, own_code, reducer_of, reducer_text, type_text


def described(graph: Graph, version: str, reference: str | None = None) -> WorkflowVersioned:
    """The description of a graph, by a user, whose version this is."""
    return WorkflowVersioned(
        version=version,
        nodes=tuple(_nodes(graph)),
        edges=tuple(dict.fromkeys(_edges(graph))),
        channels=dict(_channels(graph)),
        input_schema=_schema(graph.get_input_jsonschema),
        output_schema=_schema(graph.get_output_jsonschema),
        reference=reference,
    )


def _nodes(graph: Graph, path: str = "") -> Iterator[NodeDescribed]:
    for name, node in graph.nodes.items():
        subgraph = subgraph_of(node)
        # Where a graph begins is no node, unless code of the user's decides where to go from there.
        if name != START or routers_of(node):
            yield NodeDescribed(path=path + name, code=own_code(node, graph), graph=subgraph is not None)
        if subgraph is not None:
            yield from _nodes(subgraph, f"{path}{name}/")


def _edges(graph: Graph, path: str = "") -> Iterator[EdgeDescribed]:
    if START not in graph.nodes:  # a function of LangGraph's functional API
        inputs = {graph.input_channels} if isinstance(graph.input_channels, str) else {*graph.input_channels}
        for name, node in graph.nodes.items():
            if inputs & {*node.triggers}:
                yield EdgeDescribed(source=path + START, target=path + name)
    for name, node in graph.nodes.items():
        ways = [*ways_of(node)] or [(END, False, "")]
        for target, conditional, label in ways:
            yield EdgeDescribed(
                source=path + name, target=path + (target or WHOLE), conditional=conditional, label=label
            )
        subgraph = subgraph_of(node)
        if subgraph is not None:
            yield from _edges(subgraph, f"{path}{name}/")


def _channels(graph: Graph, path: str = "") -> Iterator[tuple[str, str]]:
    for name, channel in graph.channels.items():
        if not is_edge(name) and not name.startswith("__"):
            yield path + name, _channel_text(channel)
    for name, node in graph.nodes.items():
        subgraph = subgraph_of(node)
        if subgraph is not None:
            yield from _channels(subgraph, f"{path}{name}/")


def _channel_text(channel: Any) -> str:
    kind = type_text(getattr(channel, "typ", None))
    if not isinstance(channel, LastValue | BinaryOperatorAggregate):
        kind = f"{type(channel).__qualname__} of {kind}"
    reducer = reducer_of(channel)
    return kind if reducer is None else f"{kind}, reduced by {reducer_text(reducer)}"


def _schema(make: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
    """A JSON schema as it can be stored; None where the types have none."""
    try:
        schema = make()
        json.dumps(schema, ensure_ascii=False, allow_nan=False).encode()
    except Exception:  # noqa: BLE001  # whatever pydantic, or a type of the user's, makes of being asked
        return None
    return schema
