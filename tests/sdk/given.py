"""Small graphs that take notes."""

import operator
from collections.abc import Callable, Sequence
from typing import Annotated, Any

from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt
from typing_extensions import TypedDict

from wtb.domain.event_log import Recorded
from wtb.domain.execution import NodeCompleted, NodeStarted
from wtb.domain.identifiers import node_path


class Notes(TypedDict, total=False):
    query: str
    notes: Annotated[list[str], operator.add]


Node = Callable[..., Any]


def chain(*, name: str | None = None, **nodes: Node) -> Any:
    """A compiled graph whose nodes run one after the other."""
    builder: Any = StateGraph(Notes)
    before = START
    for node, work in nodes.items():
        builder.add_node(node, work)
        builder.add_edge(before, node)
        before = node
    return builder.compile(name=name)


def beside(**nodes: Node) -> Any:
    """A compiled graph whose nodes run side by side."""
    builder: Any = StateGraph(Notes)
    for node, work in nodes.items():
        builder.add_node(node, work)
        builder.add_edge(START, node)
    return builder.compile()


def loop() -> Any:
    """A compiled graph that never ends."""
    builder: Any = StateGraph(Notes)
    builder.add_node("again", says("again"))
    builder.add_edge(START, "again")
    builder.add_edge("again", "again")
    return builder.compile()


def says(text: str) -> Node:
    return lambda state: {"notes": [text]}


def asks(question: str) -> Node:
    """A node that notes the answer to its question."""
    return lambda state: {"notes": [interrupt(question)]}


def speaks(answer: str) -> Node:
    """A node that has a chat model answer, which it does word by word."""

    def node(state: Notes) -> Notes:
        model = GenericFakeChatModel(messages=iter([AIMessage(answer)]))
        return {"notes": [model.invoke(state["query"]).text]}

    return node


def types(events: Sequence[object]) -> list[str]:
    """The events' types; whatever else was streamed is left out."""
    return [event.type for event in events if isinstance(event, Recorded)]


def started(events: Sequence[Recorded]) -> list[str]:
    """The paths of the nodes that were started, in order."""
    return [node_path(e.fact.namespace, e.fact.node) for e in events if isinstance(e.fact, NodeStarted)]


def completed(events: Sequence[Recorded]) -> list[str]:
    """The paths of the nodes that completed, in order."""
    return [node_path(e.fact.namespace, e.fact.node) for e in events if isinstance(e.fact, NodeCompleted)]
