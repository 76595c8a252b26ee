"""The log as CloudEvents, in batches (CloudEvents 1.0.2, JSON event format, "JSON Batch Format")."""

from collections.abc import Iterable

from litestar import Controller, Response, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec

from wtb.domain.cloud_event import CloudEvent, WireEvent
from wtb.domain.event_log import Recorded
from wtb.interfaces.rest.parameters import After, Id, Limit
from wtb.interfaces.rest.served import Served

BATCH_MEDIA_TYPE = "application/cloudevents-batch+json"

_BATCH = {
    200: ResponseSpec(
        list[CloudEvent], description="Oldest first", media_type=BATCH_MEDIA_TYPE, generate_examples=False
    )
}


class Events(Controller):
    tags = ("events",)

    @get("/events", sync_to_thread=True, summary="All events after a position", responses=_BATCH)
    def log(self, served: NamedDependency[Served], after: After = 0, limit: Limit = 100) -> Response[bytes]:
        return _batch(served.bench.log(after=after, limit=limit))

    @get(
        "/executions/{execution:str}/events",
        sync_to_thread=True,
        summary="An execution's events after a position",
        responses=_BATCH,
    )
    def of_execution(
        self, served: NamedDependency[Served], execution: Id, after: After = 0, limit: Limit = 100
    ) -> Response[bytes]:
        return _batch(served.bench.events(execution, after=after, limit=limit))


def _batch(events: Iterable[Recorded]) -> Response[bytes]:
    content = b"[" + b",".join(WireEvent.of(event).json for event in events) + b"]"
    return Response(content, media_type=BATCH_MEDIA_TYPE)
