"""The graphs that are measured: nodes do next to nothing, so that what is measured is the recording."""

import os
import uuid
from typing import Annotated, Any

from langchain_core.messages import HumanMessage
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from typing_extensions import TypedDict

ENDLESS = 10_000_000


class Counting(TypedDict):
    i: int
    blob: str


class Chatting(TypedDict):
    messages: Annotated[list[Any], add_messages]


def loop(steps: int) -> StateGraph[Any]:
    """One node that runs ``steps`` times."""
    return looped(lambda state: {"i": state["i"] + 1}, steps)


def looped(step: Any, steps: int) -> StateGraph[Any]:
    """A node that runs ``steps`` times."""
    graph = StateGraph(Counting)
    graph.add_node("step", step)
    graph.add_edge(START, "step")
    graph.add_conditional_edges("step", lambda state: "step" if state["i"] < steps else END)
    return graph


def async_loop(steps: int) -> StateGraph[Any]:
    """`loop` with coroutines."""

    async def step(state: Counting) -> dict[str, Any]:
        return {"i": state["i"] + 1}

    async def further(state: Counting) -> str:
        return "step" if state["i"] < steps else END

    graph = StateGraph(Counting)
    graph.add_node("step", step)
    graph.add_edge(START, "step")
    graph.add_conditional_edges("step", further, ["step", END])
    return graph


def linear(nodes: int) -> StateGraph[Any]:
    """Node after node, each once."""
    graph = StateGraph(Counting)
    before = START
    for number in range(nodes):
        graph.add_node(f"node_{number}", lambda state: {"i": state["i"] + 1})
        graph.add_edge(before, f"node_{number}")
        before = f"node_{number}"
    return graph


def chat(messages: int) -> StateGraph[Any]:
    """A list that grows by one message of 1 kB a step."""
    graph = StateGraph(Chatting)
    graph.add_node("say", lambda _: {"messages": [HumanMessage(content=os.urandom(512).hex(), id=str(uuid.uuid4()))]})
    graph.add_edge(START, "say")
    graph.add_conditional_edges("say", lambda state: "say" if len(state["messages"]) < messages else END)
    return graph


def counting(size: int) -> dict[str, Any]:
    """An input of about ``size`` bytes that doesn't compress."""
    return {"i": 0, "blob": os.urandom(size // 2).hex()}


def chatting() -> dict[str, Any]:
    return {"messages": [HumanMessage(content="hello", id="first")]}
