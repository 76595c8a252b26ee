"""A gRPC server with the service, its health and its reflection."""

from grpc import aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from wtb.domain.errors import InvalidSettings
from wtb.interfaces.grpc.executions import Executions, Live
from wtb.interfaces.grpc.executions_pb2 import DESCRIPTOR
from wtb.interfaces.grpc.executions_pb2_grpc import add_ExecutionsServicer_to_server
from wtb.sdk import TestBench

SERVICE = DESCRIPTOR.services_by_name["Executions"].full_name

OPTIONS = (
    ("grpc.so_reuseport", 0),  # a second server on the same port is refused, rather than given half of the calls
    ("grpc.max_receive_message_length", 64 * 1024),  # requests are ids and positions
)


class GrpcServer:
    """A gRPC server that listens."""

    def __init__(
        self, server: aio.Server, port: int, executions: Executions, status: health.aio.HealthServicer
    ) -> None:
        self.port = port
        self._server = server
        self._executions = executions
        self._status = status

    async def stop(self, grace: float) -> None:
        """End watches with UNAVAILABLE, give other calls ``grace`` seconds, and stop listening."""
        await self._status.enter_graceful_shutdown()
        await self._executions.stop()
        await self._server.stop(grace)


async def start_grpc(bench: TestBench, live: Live, host: str, port: int) -> GrpcServer:
    """Listen on ``host`` (an IPv6 address in brackets) and ``port`` (0 for a free one). Raises `InvalidSettings`."""
    server = aio.server(options=OPTIONS)
    executions = Executions(bench, live)
    add_ExecutionsServicer_to_server(executions, server)
    status = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(status, server)
    reflection.enable_server_reflection((SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
    try:
        listening = server.add_insecure_port(f"{host}:{port}")
    except RuntimeError as refusal:
        raise InvalidSettings(
            f"setting grpc_port (WTB_GRPC_PORT) can't be {port}: it can't be had on {host}",
            hint="Choose another one, or 0 for any that is free.",
        ) from refusal
    await server.start()
    for name in ("", SERVICE):
        await status.set(name, health_pb2.HealthCheckResponse.SERVING)
    return GrpcServer(server, listening, executions, status)
