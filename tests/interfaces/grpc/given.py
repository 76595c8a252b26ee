"""What the tests of gRPC begin with: a server over a real store and real NATS, a client, and graphs to run."""

import asyncio
import json
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

from grpc import aio
from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt

from wtb.domain.cloud_event import WireEvent
from wtb.domain.event_log import Append, Origin
from wtb.domain.execution import PauseRequested
from wtb.domain.identifiers import execution_stream
from wtb.infra.nats.relay import Relay
from wtb.infra.nats.server import EmbeddedNats
from wtb.infra.nats.subscription import LiveEvents
from wtb.interfaces.grpc import executions_pb2 as wire
from wtb.interfaces.grpc.executions_pb2_grpc import ExecutionsStub
from wtb.interfaces.grpc.server import GrpcServer, start_grpc
from wtb.sdk import TestBench, WorkflowProject

if TYPE_CHECKING:
    from wtb.interfaces.grpc.executions_pb2_grpc import ExecutionsAsyncStub

Events = list[dict[str, Any]]


class State(TypedDict, total=False):
    name: str
    said: str
    rounds: int


def asking() -> "StateGraph[Any]":
    graph: StateGraph[Any] = StateGraph(State)
    graph.add_node("ask", lambda state: {"said": interrupt(f"May I greet {state['name']}?")})
    graph.add_node("leave", lambda state: {})
    graph.add_edge(START, "ask")
    graph.add_edge("ask", "leave")
    return graph


def failing(message: str) -> "StateGraph[Any]":
    def fail(state: State) -> State:
        raise ValueError(message)

    graph: StateGraph[Any] = StateGraph(State)
    graph.add_node("fail", fail)
    graph.add_edge(START, "fail")
    return graph


def counting(gate: threading.Event) -> "StateGraph[Any]":
    """A loop of ``rounds`` steps, the last of which waits at a gate."""

    def count(state: State) -> State:
        if state["rounds"] == 1:
            gate.wait()
        return {"rounds": state["rounds"] - 1}

    graph: StateGraph[Any] = StateGraph(State)
    graph.add_node("count", count)
    graph.add_edge(START, "count")
    graph.add_conditional_edges("count", lambda state: "count" if state["rounds"] > 0 else END)
    return graph


class CountedLive:
    """Live events, and how many follow them."""

    def __init__(self, live: LiveEvents) -> None:
        self._live = live
        self.followers = 0

    async def batches(self, execution: str | None = None, after: int = 0) -> AsyncGenerator[Sequence[WireEvent], None]:
        self.followers += 1
        try:
            async with aclosing(self._live.batches(execution, after)) as batches:
                async for batch in batches:
                    yield batch
        finally:
            self.followers -= 1


class Services(NamedTuple):
    relay: "asyncio.Task[None]"
    live: "asyncio.Task[None]"


class Given(NamedTuple):
    bench: TestBench
    live: CountedLive
    server: GrpcServer
    channel: aio.Channel
    client: "ExecutionsAsyncStub"
    services: Services

    async def paused(self, execution: str) -> None:
        await self.bench.arun(asking(), {"name": "Ada"}, execution_id=execution, workflow="asking")

    async def finished(self, execution: str) -> None:
        await self.paused(execution)
        await self.bench.aresume(execution, "yes")

    def append(self, execution: str, events: int, reason: str = "") -> None:
        """Events of an execution, whatever its state is."""
        store, stream = self.bench.platform.store, execution_stream(execution)
        facts = [PauseRequested(reason=reason)] * events
        store.append([Append(stream, store.head(stream), facts, range(events), Origin("tester"))])

    def watch(self, execution: str, after: int = 0) -> "Watch":
        return self.client.WatchExecution(wire.WatchExecutionRequest(execution_id=execution, after=after))

    async def watched(self, execution: str, after: int = 0) -> Events:
        """The events of a watch that ends."""
        return received([batch async for batch in self.watch(execution, after)])

    def in_log(self, execution: str, after: int = 0) -> Events:
        return [json.loads(WireEvent.of(event).json) for event in self.bench.events(execution, after=after)]


Watch = aio.UnaryStreamCall[wire.WatchExecutionRequest, wire.EventBatch]


@asynccontextmanager
async def served(folder: Path, location: str | None = None) -> AsyncIterator[Given]:
    """A server over a store in a folder, or elsewhere."""
    project = WorkflowProject("any", db_path=location or folder / "wtb.db", output_dir=folder / "outputs")
    with TestBench(project) as bench, EmbeddedNats(folder / "nats") as nats:
        store = bench.platform.store
        live = LiveEvents(store, nats.url)
        relay = Relay(store, nats.url, owns_stream=True)
        services = Services(asyncio.create_task(relay.run()), asyncio.create_task(live.run()))
        counted = CountedLive(live)
        server = await start_grpc(bench, counted, "127.0.0.1", 0)
        try:
            async with channel_to(server) as channel:
                await until(lambda: live.listening)
                yield Given(bench, counted, server, channel, ExecutionsStub(channel), services)
        finally:
            await server.stop(0)
            for service in services:
                service.cancel()
            await asyncio.wait(services)
        assert all(service.cancelled() for service in services)


def channel_to(server: GrpcServer, *options: tuple[str, int]) -> aio.Channel:
    return aio.insecure_channel(f"127.0.0.1:{server.port}", options=options)


def received(batches: Sequence[wire.EventBatch]) -> Events:
    """The CloudEvents of some batches, whose own position and type agree with them."""
    events = [event for batch in batches for event in batch.events]
    told = [json.loads(event.cloud_event) for event in events]
    assert [(event.position, f"wtb.{event.type}") for event in events] == [(e["position"], e["type"]) for e in told]
    return told


async def read(watch: Watch) -> wire.EventBatch:
    """The next message of a watch that goes on."""
    message = await watch.read()
    assert isinstance(message, wire.EventBatch)
    return message


async def until_end(watch: Watch) -> AsyncIterator[wire.EventBatch]:
    """The messages that are left of a watch that ends."""
    while (message := await watch.read()) is not aio.EOF:
        assert isinstance(message, wire.EventBatch)
        yield message


async def until_refused(watch: Watch) -> tuple[list[wire.EventBatch], aio.AioRpcError]:
    """The messages that are left of a watch that is broken off, and how it was."""
    batches: list[wire.EventBatch] = []
    try:
        async for batch in until_end(watch):
            batches.append(batch)  # noqa: PERF401 - kept when the next one fails
    except aio.AioRpcError as refusal:
        return batches, refusal
    raise AssertionError("the watch ended by itself")


async def refusal_of_watch(watch: Watch) -> aio.AioRpcError:
    return (await until_refused(watch))[1]


def metadata(refusal: aio.AioRpcError) -> dict[str, Any]:
    return {key: value for key, value in refusal.trailing_metadata() if key.startswith("wtb-")}


async def until(condition: Callable[[], bool]) -> None:
    """Return when a condition has come true; the test's own time limit bounds it."""
    while not condition():  # noqa: ASYNC110 - what is waited for lies in other tasks and threads
        await asyncio.sleep(0.005)
