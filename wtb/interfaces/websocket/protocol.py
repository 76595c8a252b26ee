"""uvicorn's WebSocket protocol, except that a subscriber who doesn't read can be told so and is cut off.

uvicorn's own holds a close frame back, as any other, until the subscriber has
read what came before; and a connection that is closed with unread data stays
until the subscriber reads it.
"""

import asyncio
import socket
import struct
from typing import TYPE_CHECKING

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

if TYPE_CHECKING:
    from uvicorn._types import ASGISendEvent

CUT_OFF_SECONDS = 10.0
"""How long a subscriber who didn't read may take to read the rest and the close frame behind it."""

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: closing throws away what is unsent, also the kernel's part of it."""


class ClosingProtocol(WebSocketsSansIOProtocol):
    """A close frame goes behind what waits already; who doesn't take it in time is cut off."""

    cut_off_timer: asyncio.TimerHandle | None = None

    async def send(self, message: "ASGISendEvent") -> None:
        if message["type"] == "websocket.close" and not self.writable.is_set():
            self.writable.set()
            self.cut_off_timer = self.loop.call_later(CUT_OFF_SECONDS, self._cut_off)
        await super().send(message)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.cut_off_timer is not None:
            self.cut_off_timer.cancel()
        super().connection_lost(exc)

    def _cut_off(self) -> None:
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.transport.abort()
