"""``wtb serve``: the one process that starts everything, and stops it again."""

import asyncio
import errno
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

import uvicorn
from litestar import Litestar

from wtb.domain.errors import InvalidSettings
from wtb.infra.langgraph.graphs import compiled
from wtb.infra.nats.relay import Relay
from wtb.infra.nats.server import EmbeddedNats
from wtb.infra.nats.subscription import LiveEvents
from wtb.infra.settings import Settings
from wtb.interfaces.grpc.server import start_grpc
from wtb.interfaces.rest.app import http_app
from wtb.interfaces.rest.background import Background
from wtb.interfaces.rest.served import Served
from wtb.interfaces.websocket.feed import feed
from wtb.interfaces.websocket.protocol import ClosingProtocol
from wtb.sdk import TestBench
from wtb.sdk.configured import configured_bench
from wtb.sdk.loading import Graphs

THREADS = 32
"""For reads of the store; the relay and the live events hold one each."""

ANSWER_SECONDS = 3
"""How long requests under way have when the server stops."""

RUN_SECONDS = 5.0
"""How long executions under way have then; those that need longer are left to `recover`."""

ASKED_AGAIN_SECONDS = 1.0
"""After how long a part that hasn't ended is asked to again."""


logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Server:
    """A server that listens."""

    bench: TestBench
    background: Background
    nats: EmbeddedNats | None
    """None when another one is used."""
    host: str
    """The address, in brackets if it is one of IPv6."""
    port: int
    grpc_port: int
    services: tuple["asyncio.Task[None]", ...]

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def ready_line(self) -> str:
        """Where everything listens."""
        return f"wtb serves {self.url} grpc {self.host}:{self.grpc_port}"

    async def failure(self) -> None:
        """Returns when a part of the server has stopped by itself, or raises why."""
        done, _ = await asyncio.wait(self.services, return_when=asyncio.FIRST_COMPLETED)
        for service in done:
            service.result()


def serve(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; the exit code.

    One line on stdout tells when everything listens, and where. Executions that
    are still under way some seconds after the signal are left as they are, for
    `recover`. Raises `InvalidSettings`, `GraphNotFound`, `InvalidGraph`,
    `StoreError` or `MessagingError` when it can't serve, or no longer.
    """
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    left = asyncio.run(_until_stopped(settings))
    if left:
        logger.warning("executions left for `wtb recover`: %d", left)
        logging.shutdown()
        sys.stdout.flush()
        os._exit(0)  # Python would wait for their threads
    return 0


async def _until_stopped(settings: Settings) -> int:
    """How many executions were left running."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with serving(settings) as server:
        sys.stdout.write(server.ready_line + "\n")
        sys.stdout.flush()
        stopped, failed = asyncio.create_task(stop.wait()), asyncio.create_task(server.failure())
        await asyncio.wait({stopped, failed}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not failed.cancel():
            failed.result()
    return server.background.running


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[Server]:
    """A server that listens within the block. Raises as `serve` does."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS, "wtb-read"))
    background = Background()
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(_listener(settings.host, settings.port))
        host, port = listener.getsockname()[:2]
        bench = stack.enter_context(_bench(settings, background))
        graphs = _graphs(settings, bench)
        nats = None if settings.nats_url else stack.enter_context(EmbeddedNats(settings.nats_folder))
        url = settings.nats_url or (nats.url if nats else "")
        relay = Relay(bench.platform.store, url, owns_stream=nats is not None)
        live = LiveEvents(bench.platform.store, url)
        parts = [relay.run(), live.run(), *([nats.keep_running()] if nats else [])]
        services = await stack.enter_async_context(_running(*parts))
        stack.push_async_callback(_let_end, background)
        app = http_app(Served(bench, graphs, background, relay, live), [feed])
        http = await stack.enter_async_context(_http(app, listener))
        shown = f"[{host}]" if ":" in host else host
        grpc = await start_grpc(bench, live, shown, settings.grpc_port)
        stack.push_async_callback(grpc.stop, ANSWER_SECONDS)
        yield Server(bench, background, nats, shown, port, grpc.port, (*services, http))


def _listener(host: str, port: int) -> socket.socket:
    """A socket that listens on loopback. Raises `InvalidSettings`."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as unknown:
        raise InvalidSettings(f"setting host (WTB_HOST) can't be {host!r}: {unknown}") from unknown
    if not ip_address(address[0]).is_loopback:
        raise InvalidSettings(
            f"setting host (WTB_HOST) can't be {host!r}: nobody logs in yet, so only this machine is served",
            hint="Use 127.0.0.1, and a tunnel or an authenticating proxy on this machine for others.",
        )
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen()
    except OSError as refusal:
        listener.close()
        reason = "is taken" if refusal.errno == errno.EADDRINUSE else f"can't be had: {refusal.strerror}"
        raise InvalidSettings(
            f"setting port (WTB_PORT) can't be {port}: it {reason} on {address[0]}",
            hint="Choose another one, or 0 for any that is free.",
        ) from refusal
    return listener


@contextmanager
def _bench(settings: Settings, background: Background) -> Iterator[TestBench]:
    """A bench, which stays open if executions are still under way in the end."""
    bench = configured_bench(settings)
    try:
        yield bench
    finally:
        if not background.running:
            bench.close()


def _graphs(settings: Settings, bench: TestBench) -> dict[str, object]:
    """Every graph that the settings name, loaded and registered.

    Raises `GraphNotFound`, `InvalidGraph` or `InvalidSettings`.
    """
    configured = Graphs(settings, here=False)
    references = configured.references
    if not references:
        logger.warning("no workflow can be started here: neither a langgraph.json nor [workflows] names one")
    graphs: dict[str, object] = {name: compiled(configured.of_workflow(name)) for name in references}
    for name, graph in graphs.items():
        bench.register(graph, workflow=name, reference=references[name])
    return graphs


async def _let_end(background: Background) -> None:
    if background.running:
        logger.info("executions under way: %d; they get %g seconds to end", background.running, RUN_SECONDS)
        await asyncio.to_thread(background.wait, RUN_SECONDS)


@asynccontextmanager
async def _running(*parts: Coroutine[Any, Any, None]) -> AsyncIterator[tuple["asyncio.Task[None]", ...]]:
    """Tasks that run meanwhile."""
    tasks = tuple(asyncio.ensure_future(part) for part in parts)
    try:
        yield tasks
    finally:
        left = set(tasks)
        while left:
            for task in left:
                task.cancel()
            # nats-py swallows a cancellation now and then, as while it connects: it is asked again.
            left = (await asyncio.wait(left, timeout=ASKED_AGAIN_SECONDS))[1]


@asynccontextmanager
async def _http(app: Litestar, listener: socket.socket) -> AsyncIterator["asyncio.Task[None]"]:
    """REST and WebSocket. In the end sockets are closed with 1012, and requests under way get some seconds."""
    config = uvicorn.Config(
        app,
        ws=ClosingProtocol,
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=ANSWER_SECONDS,
    )
    server = HttpServer(config)
    task = asyncio.create_task(server.serve([listener]))
    try:
        await server.listening.wait()
        yield task
    finally:
        server.should_exit = True
        await task


class HttpServer(uvicorn.Server):
    """uvicorn, which leaves the signals alone and says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
