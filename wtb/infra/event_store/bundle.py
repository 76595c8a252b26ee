"""One execution as a file: its events, the values they name, and a manifest that vouches for both.

`docs/bundles.md` is the format's description; `bundle_writer` and `bundle_reader` do the work.
"""

from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from wtb.domain.errors import NotAStore
from wtb.domain.event_log import Origin, Recorded
from wtb.domain.identifiers import execution_of
from wtb.infra.event_store import codec
from wtb.infra.event_store.recorder import Row

FORMAT = "wtb-bundle"
FORMAT_VERSION = 1

MANIFEST = "manifest.json"
EVENTS = "events.ndjson"
VALUES = "values.ndjson"
MEMBERS = (EVENTS, VALUES, MANIFEST)

_TYPE_PREFIX = "wtb."
SCHEMA_PREFIX = "urn:wtb:fact:"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Member(Struct, frozen=True, forbid_unknown_fields=True):
    """A file in the bundle, uncompressed."""

    sha256: str
    bytes: int


class Manifest(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is in a bundle."""

    format: Literal["wtb-bundle"] = "wtb-bundle"
    format_version: Literal[1] = 1
    execution: str
    workflow: str
    graph: str
    """The digest of the workflow's graph."""
    events: int
    version: int
    """The stream's head: its last event's version."""
    chain: str
    """The last event's chain digest, which covers all of them."""
    values: int
    members: dict[str, Member]
    wtb: str
    """The version of WTB that wrote it."""


class BundledEvent(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A line of events.ndjson: a CloudEvent whose ``data`` is the fact as stored.

    It has no position: that is a matter of the store it is in.
    """

    specversion: Literal["1.0"] = "1.0"
    id: str
    """Stream and version: ``execution-<id>/<version>``."""
    source: Literal["wtb"] = "wtb"
    type: str
    subject: str
    time: str
    datacontenttype: Literal["application/json"] = "application/json"
    dataschema: str
    """``urn:wtb:fact:`` and the stored topic, such as ``NodeCompleted@1``."""
    stream: str
    version: int
    actor: str
    cause: str | UnsetType = UNSET
    traceparent: str | UnsetType = UNSET
    chain: str
    data: Raw


class BundledValue(Struct, frozen=True, forbid_unknown_fields=True):
    """A line of values.ndjson: a value before compression, its bytes in base64."""

    digest: str
    kind: str
    data: bytes


def line_of(row: Row, event: Recorded) -> bytes:
    """The line of an event, given as stored and decoded. Raises `NotAStore` when it couldn't be rebuilt from that."""
    line = BundledEvent(
        id=_id(event.stream, event.version),
        type=_TYPE_PREFIX + event.type,
        subject=execution_of(event.stream),
        time=_time_text(event.time_us),
        dataschema=SCHEMA_PREFIX + row.topic,
        stream=event.stream,
        version=event.version,
        actor=event.actor,
        cause=UNSET if event.cause is None else event.cause,
        traceparent=UNSET if event.trace is None else event.trace,
        chain=event.chain,
        data=Raw(row.state.split(b"\n", 2)[2]),
    )
    if state_of(line) != row.state:
        raise NotAStore(f"event {event.position} isn't stored as WTB stores events")
    return msgspec.json.encode(line)


def _id(stream: str, version: int) -> str:
    return f"{stream}/{version}"


def _time_text(time_us: int) -> str:
    return (_EPOCH + timedelta(microseconds=time_us)).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _time_us(text: str) -> int:
    time_us = (datetime.fromisoformat(text) - _EPOCH) // timedelta(microseconds=1)
    if _time_text(time_us) != text:
        raise ValueError(f"{text!r} isn't a time in UTC to the microsecond")
    return time_us


def state_of(line: BundledEvent) -> bytes:
    """The event as it was stored."""
    origin = Origin(
        line.actor,
        None if line.cause is UNSET else line.cause,
        None if line.traceparent is UNSET else line.traceparent,
    )
    header = b'{"t":%d,%b' % (_time_us(line.time), codec.origin_header(origin))
    return b"%b\n%b\n%b" % (line.chain.encode(), header, bytes(line.data))
