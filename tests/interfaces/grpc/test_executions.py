"""The gRPC service, asked by a real client over a real server, with NATS and the relay behind it."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

import pytest
import pytest_asyncio
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc import StatusCode, aio
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt

from tests.interfaces.rest.given import settings_in
from wtb.domain import errors
from wtb.domain.cloud_event import WireEvent
from wtb.domain.errors import InvalidSettings, WtbError
from wtb.domain.identifiers import Position
from wtb.interfaces.grpc import executions_pb2 as wire
from wtb.interfaces.grpc.executions import MESSAGE_BYTES, messages
from wtb.interfaces.grpc.executions_pb2_grpc import ExecutionsStub
from wtb.interfaces.grpc.server import SERVICE
from wtb.interfaces.grpc.statuses import STATUSES, refusal_of
from wtb.interfaces.serve import Server, serving
from wtb.sdk import TestBench

if TYPE_CHECKING:
    from wtb.interfaces.grpc.executions_pb2_grpc import ExecutionsAsyncStub

pytestmark = pytest.mark.nats

ROOT = Path(__file__).parents[3]


class State(TypedDict, total=False):
    name: str
    said: str


def asking() -> "StateGraph[Any]":
    graph: StateGraph[Any] = StateGraph(State)
    graph.add_node("ask", lambda state: {"said": interrupt(f"May I greet {state['name']}?")})
    graph.add_node("leave", lambda state: {})
    graph.add_edge(START, "ask")
    graph.add_edge("ask", "leave")
    return graph


def failing() -> "StateGraph[Any]":
    graph: StateGraph[Any] = StateGraph(State)
    graph.add_node("fail", lambda state: {"said": state["nothing"]})
    graph.add_edge(START, "fail")
    return graph


class Given(NamedTuple):
    server: Server
    client: "ExecutionsAsyncStub"
    channel: aio.Channel

    @property
    def bench(self) -> TestBench:
        return self.server.bench

    async def paused(self, execution: str) -> None:
        await self.bench.arun(asking(), {"name": "Ada"}, execution_id=execution, workflow="asking")

    async def finished(self, execution: str) -> None:
        await self.paused(execution)
        await self.bench.aresume(execution, "yes")

    async def refused(self, call: Any) -> aio.AioRpcError:
        with pytest.raises(aio.AioRpcError) as refusal:
            async for _ in call:
                pass
        return refusal.value


@pytest_asyncio.fixture
async def given(tmp_path: Path) -> AsyncIterator[Given]:
    async with (
        serving(settings_in(tmp_path)) as server,
        aio.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel,
    ):
        yield Given(server, ExecutionsStub(channel), channel)


def received(batches: Sequence[wire.EventBatch]) -> list[dict[str, Any]]:
    """The CloudEvents of some batches, whose own position and type agree with them."""
    events = [event for batch in batches for event in batch.events]
    told = [json.loads(event.cloud_event) for event in events]
    assert [(event.position, f"wtb.{event.type}") for event in events] == [(e["position"], e["type"]) for e in told]
    return told


def in_log(bench: TestBench, execution: str, after: int = 0) -> list[dict[str, Any]]:
    return [json.loads(WireEvent.of(event).json) for event in bench.events(execution, after=after)]


def metadata(refusal: aio.AioRpcError) -> dict[str, Any]:
    return {key: value for key, value in refusal.trailing_metadata() if key.startswith("wtb-")}


async def test_an_execution_is_what_the_read_model_says(given: Given) -> None:
    await given.paused("one")
    row = given.bench.execution("one")
    got = await given.client.GetExecution(wire.GetExecutionRequest(execution_id="one"))
    assert (got.id, got.workflow, got.graph, got.worker, got.actor) == (
        row.id,
        "asking",
        row.graph,
        row.worker,
        row.actor,
    )
    assert got.status == wire.STATUS_PAUSED
    assert tuple(got.waiting) == row.waiting != ()
    assert (got.started_at.ToMicroseconds(), got.HasField("ended_at")) == (
        round(row.started_at.timestamp() * 1_000_000),
        False,
    )
    assert (got.steps, got.checkpoints, got.version, got.position) == (
        row.steps,
        row.checkpoints,
        row.version,
        row.position,
    )
    assert not got.HasField("error_message")


async def test_a_failed_execution_tells_why(given: Given) -> None:
    await given.bench.arun(failing(), {"name": "Ada"}, execution_id="broken")
    got = await given.client.GetExecution(wire.GetExecutionRequest(execution_id="broken"))
    assert (got.status, got.error_type, got.error_message, got.failed_node) == (
        wire.STATUS_FAILED,
        "KeyError",
        "'nothing'",
        "fail",
    )
    assert got.HasField("ended_at")
    assert got.duration_us > 0


async def test_watching_a_finished_execution_gives_all_its_events_and_ends(given: Given) -> None:
    await given.finished("one")
    batches = [batch async for batch in given.client.WatchExecution(wire.WatchExecutionRequest(execution_id="one"))]
    assert received(batches) == in_log(given.bench, "one")


async def test_watching_goes_on_after_a_position(given: Given) -> None:
    await given.finished("one")
    middle = given.bench.events("one")[3].position
    request = wire.WatchExecutionRequest(execution_id="one", after=middle)
    assert received([batch async for batch in given.client.WatchExecution(request)]) == in_log(
        given.bench, "one", after=middle
    )


async def test_watching_after_the_end_ends_at_once(given: Given) -> None:
    await given.finished("one")
    request = wire.WatchExecutionRequest(execution_id="one", after=given.bench.events("one")[-1].position)
    assert [batch async for batch in given.client.WatchExecution(request)] == []


async def test_watching_while_it_runs_misses_nothing_and_repeats_nothing(given: Given) -> None:
    """The past, the pause, what comes after the answer, and no event of anybody else's."""
    await given.paused("one")
    call = given.client.WatchExecution(wire.WatchExecutionRequest(execution_id="one"))
    batches = [await anext(aiter(call))]
    await given.finished("another")
    await given.bench.aresume("one", "yes")
    batches += [batch async for batch in call]
    assert received(batches) == in_log(given.bench, "one")


async def test_many_watch_alike(given: Given) -> None:
    await given.paused("one")

    async def watch() -> list[dict[str, Any]]:
        request = wire.WatchExecutionRequest(execution_id="one")
        return received([batch async for batch in given.client.WatchExecution(request)])

    watchers = [asyncio.create_task(watch()) for _ in range(10)]
    await given.bench.aresume("one", "yes")
    assert await asyncio.gather(*watchers) == [in_log(given.bench, "one")] * 10


@pytest.mark.parametrize("execution", ["nobody", "", "zero\0"])
async def test_an_unknown_execution_is_refused(given: Given, execution: str) -> None:
    expected = StatusCode.NOT_FOUND if execution == "nobody" else StatusCode.INVALID_ARGUMENT
    with pytest.raises(aio.AioRpcError) as refusal:
        await given.client.GetExecution(wire.GetExecutionRequest(execution_id=execution))
    watch = await given.refused(given.client.WatchExecution(wire.WatchExecutionRequest(execution_id=execution)))
    assert refusal.value.code() == watch.code() == expected
    assert metadata(refusal.value) == metadata(watch)
    assert set(metadata(watch)) == {"wtb-code", "wtb-hint"}


@pytest.mark.parametrize("after", [-1, 10_000])
async def test_a_position_that_can_not_be_is_refused(given: Given, after: int) -> None:
    await given.paused("one")
    refusal = await given.refused(
        given.client.WatchExecution(wire.WatchExecutionRequest(execution_id="one", after=after))
    )
    assert (refusal.code(), metadata(refusal)["wtb-code"]) == (StatusCode.INVALID_ARGUMENT, "invalid-request")


async def test_a_server_that_goes_down_tells_its_watchers(tmp_path: Path) -> None:
    async with serving(settings_in(tmp_path)) as server:
        channel = aio.insecure_channel(f"127.0.0.1:{server.grpc_port}")
        given = Given(server, ExecutionsStub(channel), channel)
        await given.paused("one")
        call = given.client.WatchExecution(wire.WatchExecutionRequest(execution_id="one"))
        await anext(aiter(call))
    refusal = await given.refused(call)
    await channel.close()
    assert refusal.code() == StatusCode.UNAVAILABLE
    assert "call again with the last position" in (refusal.details() or "")


async def test_health_and_reflection_are_served(given: Given) -> None:
    check = given.channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    for service in ("", SERVICE):
        answer = await check(health_pb2.HealthCheckRequest(service=service))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    reflect = given.channel.stream_stream(
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    asked = reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICE)
    answers = [answer async for answer in reflect(iter([asked]))]
    described = FileDescriptorProto.FromString(answers[0].file_descriptor_response.file_descriptor_proto[0])
    assert [method.name for method in described.service[0].method] == ["GetExecution", "WatchExecution"]


async def test_a_port_that_is_taken_is_refused(given: Given, tmp_path: Path) -> None:
    (tmp_path / "second").mkdir()
    with pytest.raises(InvalidSettings, match="WTB_GRPC_PORT"):
        async with serving(settings_in(tmp_path / "second", grpc_port=given.server.grpc_port)):
            pass


def test_every_error_has_a_status() -> None:
    def below(kind: type[WtbError]) -> set[type[WtbError]]:
        return {
            kind,
            *(each for sub in kind.__subclasses__() if sub.__module__ == errors.__name__ for each in below(sub)),
        }

    assert set(STATUSES) == below(WtbError)


def test_an_unforeseen_error_keeps_its_message_to_the_log() -> None:
    refusal = refusal_of(RuntimeError("password=secret"))
    assert refusal.status == StatusCode.INTERNAL
    assert "secret" not in "".join(refusal[1:])


def test_a_hint_that_is_not_ascii_can_be_sent() -> None:
    refusal = refusal_of(WtbError("é", hint="✓ ask again"))
    assert refusal.metadata == (("wtb-code", "error"), ("wtb-hint", "\\u2713 ask again"))


def test_events_share_messages_up_to_a_size() -> None:
    small = [WireEvent(Position(n), "NodeStarted", b"x" * (MESSAGE_BYTES // 4)) for n in range(1, 10)]
    big = WireEvent(Position(10), "NodeStarted", b"x" * (2 * MESSAGE_BYTES))
    sent = [[event.position for event in message.events] for message in messages([*small, big, small[0]])]
    assert sent == [[1, 2, 3, 4], [5, 6, 7, 8], [9], [10], [1]]


def test_the_generated_code_is_that_of_the_proto_file(tmp_path: Path) -> None:
    """Mends by ``make protos``."""
    room = "wtb/interfaces/grpc"
    (tmp_path / room).mkdir(parents=True)
    command = [sys.executable, "-m", "grpc_tools.protoc", "-I", ".", f"--python_out={tmp_path}"]
    subprocess.run([*command, f"--grpc_python_out={tmp_path}", f"{room}/executions.proto"], cwd=ROOT, check=True)
    for name in ("executions_pb2.py", "executions_pb2_grpc.py"):
        assert (tmp_path / room / name).read_text() == (ROOT / room / name).read_text()
