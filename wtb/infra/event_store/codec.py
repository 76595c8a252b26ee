"""Events to bytes and back, every version of them, for ever.

A stored event is three lines: the chain digest (64 hexadecimal characters), a
header (time, actor, cause, trace context) and the fact, the last two as JSON
without line breaks. Its topic is ``Type@schema``.

When a fact's shape changes, raise its number in `SCHEMAS` and add an upcaster
from the old shape; a test holds one stored example of each.
"""

import json
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, NamedTuple, get_args

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError, from_json

from wtb.domain.audit import AuditFact
from wtb.domain.batch import BatchLifecycleFact, BatchRecordFact
from wtb.domain.errors import InvalidState, NotAStore, UnknownEvent
from wtb.domain.event_log import AnyFact, Origin, Recorded
from wtb.domain.execution import Fact, LifecycleFact, RecordFact
from wtb.domain.identifiers import Position, StreamName, Version
from wtb.domain.workflow import WorkflowFact

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]

SCHEMAS: dict[str, int] = {
    "CheckpointSaved": 2,
    "ExecutionPaused": 2,
    "ExecutionStarted": 2,
    "RolledBack": 2,
    "StateEdited": 2,
}
"""Current schema number of each fact that has changed since its first shape, 1."""


def _as_it_was(shape: dict[str, Any]) -> dict[str, Any]:
    """Fields were added that have defaults."""
    return shape


UPCASTERS: dict[tuple[str, int], Upcaster] = {
    ("CheckpointSaved", 1): _as_it_was,
    ("ExecutionPaused", 1): _as_it_was,
    ("ExecutionStarted", 1): _as_it_was,
    ("RolledBack", 1): lambda shape: {**shape, "head": shape["to"], "left": shape["to"]},
    ("StateEdited", 1): _as_it_was,
}
"""(type, old schema) → function from that shape to the next."""


def _classes(union: object) -> dict[str, type[AnyFact]]:
    return {cls.__name__: cls for cls in get_args(union)}


_DECIDING = _classes(LifecycleFact) | _classes(WorkflowFact) | _classes(BatchLifecycleFact)

FACTS: dict[str, type[AnyFact]] = _DECIDING | _classes(RecordFact) | _classes(BatchRecordFact) | _classes(AuditFact)
LIFECYCLE = frozenset(_DECIDING)

_ENCODERS = {
    cls: (f"{name}@{SCHEMAS.get(name, 1)}", cls.__pydantic_serializer__.to_json) for name, cls in FACTS.items()
}


class Decoder(NamedTuple):
    name: str
    read: Callable[[bytes], AnyFact]


@lru_cache(maxsize=256)
def origin_header(origin: Origin) -> bytes:
    """The part of the header that all events of one origin share."""
    shared = {"by": origin.actor, "cause": origin.cause, "trace": origin.trace}
    return json.dumps({k: v for k, v in shared.items() if v is not None}, separators=(",", ":")).encode()[1:]


def encode(fact: Fact, time_us: int, origin: bytes) -> tuple[str, bytes]:
    """A fact's topic, and its header and body as stored after the chain line. Raises `InvalidState`."""
    topic, to_json = _ENCODERS[type(fact)]  # type: ignore[index]
    try:
        body = to_json(fact)
    except PydanticSerializationError as refusal:
        raise InvalidState(
            f"a {type(fact).__name__} can't be stored: {refusal}",
            hint="Texts must be valid Unicode, and metadata plain data.",
        ) from refusal
    return topic, b'{"t":%d,%b\n%b' % (time_us, origin, body)


def topics(types: Iterable[str]) -> list[str]:
    """Every stored topic of the named fact types."""
    return [f"{name}@{schema}" for name in types for schema in range(1, SCHEMAS.get(name, 1) + 1)]


_decoders: dict[str, Decoder] = {}


def _decoder(topic: str) -> Decoder:
    name, _, number = topic.partition("@")
    fact = FACTS.get(name)
    current = SCHEMAS.get(name, 1)
    if fact is None or not number.isdigit() or int(number) > current:
        raise UnknownEvent(f"this wtb can't read events of type {topic!r}")
    if int(number) == current:
        return Decoder(name, fact.__pydantic_validator__.validate_json)

    def upcast(body: bytes) -> AnyFact:
        shape = from_json(body)
        for schema in range(int(number), current):
            shape = UPCASTERS[name, schema](shape)
        return fact.model_validate(shape)

    return Decoder(name, upcast)


def decode(position: int, stream: str, version: int, topic: str, state: bytes) -> Recorded:
    """The envelope of a stored event. Raises `UnknownEvent`, or `NotAStore` when the bytes are damaged."""
    decoder = _decoders.get(topic)
    if decoder is None:
        decoder = _decoders[topic] = _decoder(topic)
    try:
        chain, header, body = state.split(b"\n", 2)
        head = from_json(header)
        fact = decoder.read(body)
        return Recorded(
            Position(position),
            StreamName(stream),
            Version(version),
            decoder.name,
            fact,
            head["t"],
            head["by"],
            head.get("cause"),
            head.get("trace"),
            chain.decode(),
        )
    except (ValueError, KeyError, ValidationError) as damage:
        raise NotAStore(f"event {position} ({topic}) can't be read: {damage}") from damage
