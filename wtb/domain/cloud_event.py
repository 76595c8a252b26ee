"""The one form in which events leave WTB: CloudEvents 1.0, structured mode, JSON.

REST, WebSocket, gRPC and NATS all send what `WireEvent.of` makes. The extension
attributes are WTB's own (``position``, ``stream``, ``version``, ``actor``,
``cause``, ``chain``) and two registered ones (``traceparent``, ``dataref``);
those that an event doesn't have are left out.

Source: CloudEvents 1.0.2 specification and its JSON event format.
"""

from datetime import datetime
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from wtb.domain.event_log import Recorded
from wtb.domain.identifiers import Position, subject_of

MEDIA_TYPE = "application/cloudevents+json"

_TYPE_PREFIX = "wtb."


def _absent(value: object) -> bool:
    return value is None


_OptionalText = Annotated[str | None, Field(exclude_if=_absent)]


class CloudEvent(BaseModel):
    """An event as other programs see it."""

    model_config = ConfigDict(frozen=True)

    specversion: Literal["1.0"] = "1.0"
    id: str
    """The event's position, as text: CloudEvents wants text."""
    source: str = "wtb"
    type: str
    """``wtb.`` and the fact's name, such as ``wtb.NodeCompleted``."""
    subject: str
    """Id of the aggregate, such as the execution's."""
    time: datetime
    datacontenttype: Literal["application/json"] = "application/json"
    data: Annotated[dict[str, Any] | None, Field(exclude_if=_absent)] = None
    """The fact. None when it is too big for the transport; ``dataref`` says where it is then."""
    dataref: _OptionalText = None
    position: int
    stream: str
    version: int
    actor: str
    cause: _OptionalText = None
    traceparent: _OptionalText = None
    chain: str

    @classmethod
    def of(cls, event: Recorded) -> "CloudEvent":
        return cls(
            id=str(event.position),
            type=_TYPE_PREFIX + event.type,
            subject=subject_of(event.stream),
            time=event.time,
            data=event.fact.model_dump(mode="json"),
            position=event.position,
            stream=event.stream,
            version=event.version,
            actor=event.actor,
            cause=event.cause,
            traceparent=event.trace,
            chain=event.chain,
        )

    def without_data(self) -> "CloudEvent":
        """The envelope alone, with a reference (RFC 3986, relative to the server) to the whole event."""
        where = f"/api/v1/events?after={self.position - 1}&limit=1"
        return self.model_copy(update={"data": None, "dataref": where})


class WireEvent(NamedTuple):
    """An event encoded once, for as many receivers as there are."""

    position: Position
    type: str
    """The fact's name, without prefix."""
    json: bytes
    """A `CloudEvent`."""

    @classmethod
    def of(cls, event: Recorded) -> "WireEvent":
        return cls(event.position, event.type, CloudEvent.of(event).model_dump_json().encode())
