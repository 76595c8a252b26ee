"""A real server in this process: its own event loop in a thread, free ports, graphs of a ``langgraph.json``."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from wtb.infra.settings import Settings
from wtb.interfaces.serve import Server, serving

GRAPHS = """
import operator
import time
from pathlib import Path
from typing import Annotated, Any, TypedDict

from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt
from pydantic import BaseModel


class State(TypedDict, total=False):
    name: Any
    gate: str
    rounds: int
    trail: Annotated[list[Any], operator.add]


class Point(BaseModel):
    x: int


def linear(*nodes):
    graph = StateGraph(State)
    for node in nodes:
        graph.add_node(node)
    for before, after in zip((START, *(n.__name__ for n in nodes)), (*(n.__name__ for n in nodes), END)):
        graph.add_edge(before, after)
    return graph.compile()


def greet(state: State) -> State:
    return {"trail": [f"hello {state.get('name')}"]}

def leave(state: State) -> State:
    return {"trail": ["bye"]}

def ask(state: State) -> State:
    return {"trail": [interrupt({"question": "go on?"})]}

def ask_first(state: State) -> State:
    return {"trail": [interrupt("first?")]}

def ask_second(state: State) -> State:
    return {"trail": [interrupt("second?")]}

def fail(state: State) -> State:
    raise RuntimeError("the node broke")

def wait(state: State) -> State:
    while not Path(state["gate"]).exists():
        time.sleep(0.005)
    return {"trail": ["open"]}

def tell(state: State, config: RunnableConfig) -> State:
    return {"trail": [config["configurable"]["colour"]]}

def enrich(state: State) -> State:
    return {"trail": [Point(x=1), AIMessage("hi", id="m"), b"\\x00\\xff", float("nan"), {2}, Path("/p"), None]}

def count(state: State) -> State:
    return {"rounds": state["rounds"] - 1}


greeter = linear(greet, leave)
asker = linear(greet, ask, leave)
failing = linear(greet, fail)
gated = linear(greet, wait, leave)
telling = linear(tell)
rich = linear(enrich)

both = StateGraph(State)
for node in (ask_first, ask_second):
    both.add_node(node)
    both.add_edge(START, node.__name__)

counting = StateGraph(State)
counting.add_node(count)
counting.add_edge(START, "count")
counting.add_conditional_edges("count", lambda state: "count" if state["rounds"] > 0 else END)

spinning = StateGraph(State)
spinning.add_node(leave)
spinning.add_edge(START, "leave")
spinning.add_conditional_edges("leave", lambda state: END if Path(state["gate"]).exists() else "leave")
"""

NAMES = ("greeter", "asker", "failing", "gated", "telling", "rich", "both", "counting", "spinning")


def settings_in(folder: Path, **more: Any) -> Settings:
    """Settings of a server whose data and graphs are in a folder."""
    (folder / "graphs.py").write_text(GRAPHS)
    graphs = {name: f"./graphs.py:{name}" for name in NAMES}
    (folder / "langgraph.json").write_text(json.dumps({"dependencies": ["."], "graphs": graphs}))
    places: dict[str, Any] = {
        "db": str(folder / "wtb.db"),
        "output_dir": folder / "outputs",
        "langgraph_json": folder / "langgraph.json",
        "port": 0,
        "grpc_port": 0,
    }
    return Settings(**{**places, **more})


class Client(httpx.Client):
    """Talks to the API; paths are relative to it."""

    def start(self, workflow: str, input: object = None, **more: object) -> httpx.Response:
        body = {"workflow": workflow, "input": {"name": "Ada"} if input is None else input, **more}
        return self.post("executions", json=body)

    def ended(self, execution: str) -> dict[str, Any]:
        """An execution once it has stopped running."""
        found: dict[str, Any] = {}

        def stopped() -> bool:
            found.update(self.get(f"executions/{execution}").raise_for_status().json())
            return bool(found["status"] != "running")

        until(stopped)
        return found


def until(condition: Callable[[], bool]) -> None:
    """Return when a condition has come true; the test's own time limit bounds it."""
    while not condition():
        time.sleep(0.005)


@contextmanager
def server_in_thread(settings: Settings) -> Iterator[Server]:
    """A server that listens meanwhile; what stops it stops the test."""
    started, stop, loops = threading.Event(), asyncio.Event(), []
    servers: list[Server] = []
    failures: list[BaseException] = []

    async def work() -> None:
        loops.append(asyncio.get_running_loop())
        async with serving(settings) as server:
            servers.append(server)
            started.set()
            await stop.wait()

    def thread() -> None:
        try:
            asyncio.run(work())
        except BaseException as failure:  # noqa: BLE001  # raised again below
            failures.append(failure)
        finally:
            started.set()

    running = threading.Thread(target=thread)
    running.start()
    started.wait()
    try:
        if servers:
            yield servers[0]
    finally:
        if servers:
            loops[0].call_soon_threadsafe(stop.set)
        running.join()
    if failures:
        raise failures[0]


def client_of(server: Server) -> Client:
    return Client(base_url=f"{server.url}/api/v1/", timeout=30)
