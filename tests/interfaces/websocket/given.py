"""A subscriber, as any WebSocket client is one."""

import asyncio
import json
from typing import Any

from websockets.sync.client import ClientConnection, connect

from wtb.interfaces.serve import Server


def subscribed(server: Server, query: str = "", **options: Any) -> ClientConnection:
    """A connection to ``/ws``, to be used in a ``with``."""
    connection: ClientConnection = connect(f"ws://{server.host}:{server.port}/ws{query}", proxy=None, **options)
    return connection


def events_until(connection: ClientConnection, kind: str) -> list[dict[str, Any]]:
    """All events that come, to the first of a type."""
    events: list[dict[str, Any]] = []
    while not any(event["type"] == f"wtb.{kind}" for event in events):
        events += json.loads(connection.recv())
    return events


def positions(events: list[dict[str, Any]]) -> list[int]:
    return [event["position"] for event in events]


def subscribers(server: Server) -> int:
    """How many sockets the server has a task for."""
    tasks = asyncio.all_tasks(server.services[0].get_loop())
    return sum("WebSocketsSansIOProtocol.run_asgi" in repr(task.get_coro()) for task in tasks)
