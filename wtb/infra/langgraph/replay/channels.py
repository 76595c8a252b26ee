"""What channels hold in a replay, beside what they held when it was recorded."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from langchain_core.messages import BaseMessage
from langgraph.checkpoint.serde.base import SerializerProtocol

from wtb.domain.identifiers import Digest
from wtb.infra.event_store.values import ValueNamer
from wtb.infra.langgraph.internals import (
    MISSING,
    TASKS,
    DeltaChannel,
    DeltaSnapshot,
    sanitize_untracked_values_in_send,
)
from wtb.infra.langgraph.replay.places import Place
from wtb.infra.langgraph.replay.recorded_values import Values

_MADE_UP = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(-\d+)?$")
"""A UUID, as a reducer makes one, or with a number after it, as a chat model does."""


class Channels:
    """Names what channels hold, and compares it."""

    def __init__(self, values: Values, serde: SerializerProtocol) -> None:
        self._values = values
        self._serde = serde
        self._namer = ValueNamer()

    def name(self, value: Any) -> Digest:
        return self._namer.name(value, self._serde)

    def note(self, place: Place, channel: str, loop: Any) -> None:
        known = loop.channels.get(channel)
        if isinstance(known, DeltaChannel):
            return
        value: Any = MISSING if known is None else known.checkpoint()
        if value is MISSING:
            place.digests.pop(channel, None)
            place.held.pop(channel, None)
            return
        if channel == TASKS and loop._has_untracked_channels:
            value = [sanitize_untracked_values_in_send(packet, loop.channels) for packet in value]
        place.held[channel] = value
        place.digests[channel] = self.name(value)

    def look(self, place: Place, loop: Any) -> None:
        """Hold on to what no checkpoint tells: the values of delta channels."""
        for channel in loop._delta_channel_names:
            if loop.channels[channel].is_available():
                place.held[channel] = loop.channels[channel].get()

    def differences(self, place: Place, loop: Any, expected: Mapping[str, Digest]) -> Iterator[str]:
        for channel in sorted({*expected, *place.digests}):
            then, now = expected.get(channel), place.digests.get(channel)
            if then == now:
                continue
            known = loop.channels.get(channel)
            if isinstance(known, DeltaChannel):
                # A checkpoint holds its value only now and then.
                if then is not None and self.name(DeltaSnapshot(known.get())) != then:
                    yield channel
            elif then is None or now is None or not self._is_same(place, channel, then):
                yield channel

    def _is_same(self, place: Place, channel: str, then: Digest) -> bool:
        """Whether a channel holds what was recorded, but for ids made up at random and for sets in another order."""
        value, recorded = place.held[channel], self._values.shared(then)
        if adopt_ids(value, recorded) and (named := self.name(value)) == then:
            place.digests[channel] = named
            return True
        if not is_equal(self._serde.loads_typed(self._serde.dumps_typed(value)), recorded):
            return False
        place.digests[channel] = then
        return True


def adopt_ids(value: Any, recorded: Any) -> bool:
    """Give messages whose ids were made up at random the ids they had then; True when any was given one."""
    if isinstance(value, BaseMessage):
        same = type(value) is type(recorded) and value.id != recorded.id and value.content == recorded.content
        if not same or (value.id is not None and not _MADE_UP.search(value.id)):
            return False
        value.id = recorded.id
        return True
    if isinstance(value, list) and isinstance(recorded, list):
        return sum(adopt_ids(one, other) for one, other in zip(value, recorded, strict=False)) > 0
    if isinstance(value, dict) and isinstance(recorded, dict):
        return sum(adopt_ids(one, recorded.get(key)) for key, one in value.items()) > 0
    return False


def is_equal(value: Any, other: Any) -> bool:
    """Whether two values are equal; what can't be told to be equal (an array) isn't."""
    try:
        return bool(value == other)
    except ValueError:
        return False
