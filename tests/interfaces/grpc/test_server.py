"""The server itself: where it listens, its health and its reflection, and how it goes down."""

import asyncio
import logging
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc import StatusCode, aio
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from tests.interfaces.grpc.given import Given, metadata, read, refusal_of_watch, served
from wtb.domain.errors import InvalidSettings
from wtb.interfaces.grpc import executions_pb2 as wire
from wtb.interfaces.grpc.server import SERVICE, loopback, start_grpc

pytestmark = pytest.mark.nats


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
    asked = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICE),
    ]
    listed, found = [answer async for answer in reflect(iter(asked))]
    assert {service.name for service in listed.list_services_response.service} == {
        "wtb.v1.Executions",
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }
    described = FileDescriptorProto.FromString(found.file_descriptor_response.file_descriptor_proto[0])
    assert [method.name for method in described.service[0].method] == ["GetExecution", "WatchExecution"]


async def test_whoever_watches_its_health_is_told_when_it_goes_down(given: Given) -> None:
    watch = given.channel.unary_stream(
        "/grpc.health.v1.Health/Watch",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )(health_pb2.HealthCheckRequest(service=SERVICE))
    serving = health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVING)
    not_serving = health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.NOT_SERVING)
    assert await watch.read() == serving
    stopping = asyncio.create_task(given.server.stop(30))
    assert await watch.read() == not_serving
    watch.cancel()
    await stopping


async def test_a_server_that_goes_down_tells_its_watchers(
    given: Given, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await given.paused("one")
    watch = given.watch("one")
    seen = (await read(watch)).events[-1].position
    await given.server.stop(30)
    refusal = await refusal_of_watch(watch)
    assert (refusal.code(), refusal.details()) == (StatusCode.UNAVAILABLE, "the server goes down")
    assert metadata(refusal) == {"wtb-code": "going-down", "wtb-hint": "Call again with the last position received."}
    assert given.live.followers == 0
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []

    await given.bench.aresume("one", "yes")
    (tmp_path / "next").mkdir()
    async with served(tmp_path / "next", str(tmp_path / "wtb.db")) as following:
        assert await following.watched("one", seen) == given.in_log("one", seen) != []


async def test_live_events_that_end_take_their_watchers_along(given: Given) -> None:
    """The client comes back; it doesn't wait for ever."""
    await given.paused("one")
    watch = given.watch("one")
    await read(watch)
    given.services.live.cancel()
    refusal = await refusal_of_watch(watch)
    assert (refusal.code(), metadata(refusal)["wtb-code"]) == (StatusCode.UNAVAILABLE, "going-down")


async def test_a_port_that_is_taken_is_refused(given: Given) -> None:
    with pytest.raises(InvalidSettings, match="WTB_GRPC_PORT"):
        await start_grpc(given.bench, given.live, "127.0.0.1", given.server.port)


async def test_other_machines_are_not_served(given: Given) -> None:
    reachable = ("0.0.0.0", "::", "[::]", "0", "192.0.2.1", "example.org", "127.0.0.1.example.org")
    for host in (*reachable, "", "unix:/tmp/wtb"):
        with pytest.raises(InvalidSettings, match="nobody logs in yet"):
            await start_grpc(given.bench, given.live, host, 0)


async def test_this_machine_is_served_by_each_of_its_names(given: Given) -> None:
    await given.paused("one")
    for host in ("localhost", "127.0.0.1"):
        server = await start_grpc(given.bench, given.live, host, 0)
        try:
            async with aio.insecure_channel(f"{host}:{server.port}") as channel:
                get = channel.unary_unary(
                    f"/{SERVICE}/GetExecution",
                    request_serializer=wire.GetExecutionRequest.SerializeToString,
                    response_deserializer=wire.Execution.FromString,
                )
                assert (await get(wire.GetExecutionRequest(execution_id="one"))).id == "one"
        finally:
            await server.stop(0)


@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_an_ipv6_address_may_come_in_brackets_or_without(host: str) -> None:
    assert loopback(host) == "[::1]"
