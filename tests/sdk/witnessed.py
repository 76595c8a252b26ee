"""Graphs whose nodes and routers can be seen to be called, for tests of what calls none."""

import operator
from collections.abc import Callable
from typing import Annotated, Any

from langchain_core.messages import AIMessage
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command, RetryPolicy, Send, interrupt
from typing_extensions import TypedDict

Work = Callable[[Any], Any]


class Desk(TypedDict, total=False):
    query: str
    round: int
    notes: Annotated[list[str], operator.add]
    messages: Annotated[list[Any], add_messages]


class Witness:
    """Makes nodes and routers, and sees each call of them."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def node(self, name: str, work: Work | None = None) -> Work:
        def node(state: Any) -> Any:
            self.calls.append(name)
            return {"notes": [name]} if work is None else work(state)

        return node

    def router(self, way: Work) -> Work:
        def router(state: Any) -> Any:
            self.calls.append("router")
            return way(state)

        return router


def straight(witness: Witness, **nodes: Work | None) -> Any:
    """A compiled graph of witnessed nodes, one after the other."""
    builder: Any = StateGraph(Desk)
    before = START
    for name, work in nodes.items():
        builder.add_node(name, witness.node(name, work))
        builder.add_edge(before, name)
        before = name
    return builder.compile()


def looping(witness: Witness) -> Any:
    """Goes round three times, as a router says."""
    builder: Any = StateGraph(Desk)
    builder.add_node(
        "turn", witness.node("turn", lambda state: {"round": state.get("round", 0) + 1, "notes": ["turn"]})
    )
    builder.add_edge(START, "turn")
    builder.add_conditional_edges("turn", witness.router(lambda state: "turn" if state["round"] < 3 else END))
    return builder.compile()


def fanned_out(witness: Witness) -> Any:
    """Three pieces of work at once, sent by a router, and what comes together after them."""
    builder: Any = StateGraph(Desk)
    builder.add_node("plan", witness.node("plan"))
    builder.add_node("work", witness.node("work", lambda state: {"notes": [f"piece {state['round']}"]}))
    builder.add_node("join", witness.node("join"))
    builder.add_edge(START, "plan")
    pieces = witness.router(lambda state: [Send("work", {"round": number}) for number in range(3)])
    builder.add_conditional_edges("plan", pieces, ["work"])
    builder.add_edge("work", "join")
    return builder.compile()


def around(witness: Witness, inner: Any, **options: Any) -> Any:
    """A graph with another one as its node ``sub``, between two nodes."""
    builder: Any = StateGraph(Desk)
    builder.add_node("first", witness.node("first"))
    builder.add_node("sub", inner, **options)
    builder.add_node("last", witness.node("last"))
    builder.add_edge(START, "first")
    builder.add_edge("first", "sub")
    builder.add_edge("sub", "last")
    return builder.compile()


def nested(witness: Witness) -> Any:
    return around(witness, straight(witness, one=None, two=None))


def fanned_out_graphs(witness: Witness) -> Any:
    """The same graph three times at once."""
    builder: Any = StateGraph(Desk)
    builder.add_node("sub", straight(witness, one=None))
    builder.add_conditional_edges(
        START, witness.router(lambda state: [Send("sub", {"notes": [str(number)]}) for number in range(3)]), ["sub"]
    )
    return builder.compile()


def leaving(witness: Witness) -> Any:
    """A node of a nested graph goes on in the graph around it."""
    leaves = {"notes": ["left"]}
    inner = straight(witness, one=lambda _: Command(graph=Command.PARENT, goto="last", update=leaves), two=None)
    return around(witness, inner, destinations=("last",))


def commanding(witness: Witness) -> Any:
    """A node says by a Command where to go and what to note."""
    builder: Any = StateGraph(Desk)
    goes = lambda _: Command(goto=["left", "right"], update={"notes": ["go"]})  # noqa: E731
    builder.add_node("go", witness.node("go", goes), destinations=("left", "right"))
    builder.add_node("left", witness.node("left"))
    builder.add_node("right", witness.node("right"))
    builder.add_edge(START, "go")
    return builder.compile()


def _failing(times: int) -> Work:
    failures = iter(range(times))

    def work(_: Any) -> Any:
        if next(failures, None) is not None:
            raise ConnectionError("no answer")
        return {"notes": ["at last"]}

    return work


QUICK_RETRIES = RetryPolicy(initial_interval=0.001, jitter=False, max_attempts=3)


def retried(witness: Witness) -> Any:
    """A node that fails twice before it ends."""
    builder: Any = StateGraph(Desk)
    builder.add_node("try", witness.node("try", _failing(2)), retry_policy=QUICK_RETRIES)
    builder.add_edge(START, "try")
    return builder.compile()


def retried_graph(witness: Witness) -> Any:
    """A nested graph that is tried again as a whole."""
    return around(witness, straight(witness, one=None, two=_failing(1)), retry_policy=QUICK_RETRIES)


def failing(witness: Witness) -> Any:
    return straight(witness, one=None, two=_failing(9))


def failing_within(witness: Witness) -> Any:
    return around(witness, straight(witness, one=None, two=_failing(9)))


def handled(witness: Witness) -> Any:
    """A failure that another node deals with."""
    builder: Any = StateGraph(Desk)
    builder.add_node("try", witness.node("try", _failing(9)), error_handler=witness.node("handle"))
    builder.add_node("last", witness.node("last"))
    builder.add_edge(START, "try")
    builder.add_edge("try", "last")
    return builder.compile()


def asking(witness: Witness) -> Any:
    """A node that asks twice."""
    asks = lambda _: {"notes": [interrupt("one?"), interrupt("two?")]}  # noqa: E731
    return straight(witness, one=None, two=asks, three=None)


def asking_within(witness: Witness) -> Any:
    """A nested graph that asks while another node has ended beside it."""
    builder: Any = StateGraph(Desk)
    builder.add_node("sub", straight(witness, one=None, two=lambda _: {"notes": [interrupt("one?")]}))
    builder.add_node("beside", witness.node("beside"))
    builder.add_edge(START, "sub")
    builder.add_edge(START, "beside")
    return builder.compile()


def routed_at_once(witness: Witness) -> Any:
    """A router decides where the graph begins."""
    builder: Any = StateGraph(Desk)
    builder.add_node("left", witness.node("left"))
    builder.add_node("right", witness.node("right"))
    builder.add_conditional_edges(START, witness.router(lambda state: "right"), ["left", "right"])
    return builder.compile()


def remembering(witness: Witness) -> Any:
    """A nested graph with a memory of its own, called twice."""
    inner: Any = StateGraph(Desk)
    inner.add_node("one", witness.node("one"))
    inner.add_edge(START, "one")
    builder: Any = StateGraph(Desk)
    builder.add_node("sub", inner.compile(checkpointer=True))
    builder.add_node("turn", witness.node("turn", lambda state: {"round": state.get("round", 0) + 1}))
    builder.add_edge(START, "sub")
    builder.add_edge("sub", "turn")
    builder.add_conditional_edges("turn", witness.router(lambda state: "sub" if state["round"] < 2 else END))
    return builder.compile()


def chatting(witness: Witness) -> Any:
    """Messages whose ids are made up when they are added."""
    return straight(
        witness,
        one=lambda _: {"messages": [AIMessage("hello " * 100)]},
        two=lambda _: {"messages": [AIMessage("again " * 100), AIMessage("and again")]},
    )


def halted(witness: Witness) -> Any:
    """A breakpoint before its second node."""
    return straight(witness, one=None, two=None).copy({"interrupt_before_nodes": ["two"]})


KINDS: dict[str, Callable[[Witness], Any]] = {
    make.__name__: make
    for make in (
        looping,
        fanned_out,
        nested,
        fanned_out_graphs,
        leaving,
        commanding,
        retried,
        retried_graph,
        failing,
        failing_within,
        handled,
        asking,
        asking_within,
        routed_at_once,
        remembering,
        chatting,
        halted,
    )
}
"""Graphs of every kind, by name."""
