"""A gRPC server with the service, its health and its reflection."""

from ipaddress import ip_address

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
        """Stop listening and end watches with UNAVAILABLE; calls that then still go on end after ``grace`` seconds."""
        await self._status.enter_graceful_shutdown()
        self._executions.go_down()
        await self._server.stop(grace)


async def start_grpc(bench: TestBench, live: Live, host: str, port: int) -> GrpcServer:
    """Listen on ``host``, a loopback address or ``localhost``, and ``port`` (0 for a free one).

    Raises `InvalidSettings`.
    """
    address = loopback(host)
    server = aio.server(options=OPTIONS)
    executions = Executions(bench, live)
    add_ExecutionsServicer_to_server(executions, server)
    status = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(status, server)
    reflection.enable_server_reflection((SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
    try:
        listening = server.add_insecure_port(f"{address}:{port}")
    except RuntimeError as refusal:
        raise InvalidSettings(
            f"setting grpc_port (WTB_GRPC_PORT) can't be {port}: it can't be had on {host}",
            hint="Choose another one, or 0 for any that is free.",
        ) from refusal
    await server.start()
    for name in ("", SERVICE):
        await status.set(name, health_pb2.HealthCheckResponse.SERVING)
    return GrpcServer(server, listening, executions, status)


def loopback(host: str) -> str:
    """A host as gRPC wants it: an IPv6 address in brackets. Raises `InvalidSettings` for one that others can reach."""
    if host == "localhost":
        return host
    try:
        address = ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        address = None
    if address is None or not address.is_loopback:
        raise InvalidSettings(
            f"setting host (WTB_HOST) can't be {host!r}: nobody logs in yet, so only this machine is served",
            hint="Use 127.0.0.1, and a tunnel or an authenticating proxy on this machine for others.",
        )
    return f"[{address}]" if address.version == 6 else str(address)
