"""A network between a store and its Postgres that breaks at the worst moment."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Literal, Self

from wtb.infra.event_store.postgres import CHANNEL

_APPEND = CHANNEL.encode()
"""What is in the message that calls the append, also when its statement is known to the server by another name."""

_READY = b"Z\x00\x00\x00\x05I"
"""ReadyForQuery, idle: what was asked is committed. Source: PostgreSQL's frontend/backend protocol 3.0."""


class LossyProxy:
    """Passes a Postgres server's connections on over TCP, and cuts the one whose append it was told to lose."""

    def __init__(self, server_socket: str) -> None:
        self._server_socket = server_socket
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.lose: Literal["request", "answer"] | None = None
        """Lose the next append before the server gets it, or the server's answer to it."""
        self.meanwhile: Callable[[], object] = lambda: None
        """Called when an append was lost: the server knows, the client doesn't yet."""
        self.lost: list[str] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client, _ = self._listening.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._server_socket)
                _Link(self, client, server)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listening.close()


class _Link:
    """One connection."""

    def __init__(self, proxy: LossyProxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy, self._client, self._server = proxy, client, server
        self._losing_answer = False
        self._lost = False
        for pump in (self._requests, self._answers):
            threading.Thread(target=pump, daemon=True).start()

    def _requests(self) -> None:
        with suppress(OSError):
            while data := self._client.recv(65536):
                if _APPEND in data and self._proxy.lose is not None:
                    if self._proxy.lose == "request":
                        self._lose("request")
                        return
                    self._proxy.lose, self._losing_answer = None, True
                self._server.sendall(data)
        self._cut()

    def _answers(self) -> None:
        held = b""
        with suppress(OSError):
            while data := self._server.recv(65536):
                if not self._losing_answer:
                    self._client.sendall(data)
                    continue
                held += data
                if _READY in held:  # the server's word that it is durable
                    self._lose("answer")
                    return
        self._cut()

    def _lose(self, what: str) -> None:
        self._proxy.lose, self._lost = None, True
        self._proxy.lost.append(what)
        _close(self._server)
        try:
            self._proxy.meanwhile()
        finally:
            _close(self._client)

    def _cut(self) -> None:
        _close(self._server)
        if not self._lost:
            _close(self._client)


def _close(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
