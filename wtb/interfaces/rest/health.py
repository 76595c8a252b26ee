"""Whether the server lives, and whether all of it works."""

from typing import Literal

import msgspec
from litestar import Controller, Response, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec

from wtb.interfaces.rest.served import Served


class Alive(msgspec.Struct, frozen=True):
    status: Literal["alive"] = "alive"


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """Not ready means that events are told late, at the start or while NATS is away; they are recorded all the same."""

    status: Literal["ready", "not-ready"]
    position: int
    """Of the store's newest event."""
    read_model_lag: int
    """Positions that the read models are behind; the next query makes up for it."""
    relay_lag: int
    """Positions that NATS is behind."""
    listening: bool
    """Whether events arrive from NATS."""
    running: int
    """Executions under way in this process."""


class Health(Controller):
    path = "/health"
    tags = ("health",)

    @get(sync_to_thread=False, summary="The process answers")
    def alive(self) -> Alive:
        return Alive()

    @get(
        "/ready",
        sync_to_thread=True,
        summary="The store can be read and events arrive",
        responses={503: ResponseSpec(Readiness, description="Not now", generate_examples=False)},
    )
    def ready(self, served: NamedDependency[Served]) -> Response[Readiness]:
        platform = served.bench.platform
        listening = served.live.listening
        position = platform.store.last_position()
        readiness = Readiness(
            status="ready" if listening else "not-ready",
            position=position,
            read_model_lag=platform.projector.lag(),
            relay_lag=max(0, position - served.relay.position),
            listening=listening,
            running=served.background.running,
        )
        return Response(readiness, status_code=200 if listening else 503)
