"""What an outcome answered and what its case expected, in the form in which scores compare them.

A channel's last message stands for a list of messages, and its text for a
message; pydantic models and dataclasses are mappings, and tuples are lists, as
in JSON.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import msgspec
from langchain_core.messages import BaseMessage
from pydantic import BaseModel

from wtb.sdk.batches.outcome import Case, Outcome


def answered(outcome: Outcome, channel: str) -> Any:
    """What the channel holds. Raises `LookupError` when it holds nothing."""
    if channel not in outcome.state:
        there = ", ".join(map(repr, outcome.state)) or "none"
        raise LookupError(f"the outcome has no channel {channel!r}; there are: {there}")
    return plain(outcome.state[channel])


def expected(case: Case, key: str) -> Any:
    """What the case expects under a key; what it expects is the value itself when it isn't a mapping.

    Raises `LookupError` when it expects nothing.
    """
    if case.expected is None:
        raise LookupError(f"case {case.id!r} has nothing expected to compare with")
    wanted = plain(case.expected)
    if not isinstance(wanted, dict):
        return wanted
    if key not in wanted:
        raise LookupError(f"case {case.id!r} expects nothing of {key!r}; it does of: {', '.join(map(repr, wanted))}")
    return wanted[key]


def text_of(value: Any, what: str) -> str:
    """The value, which has to be text; raises `TypeError` when it isn't."""
    if not isinstance(value, str):
        raise TypeError(f"{what} is no text but of {type(value)}")
    return value


def plain(value: Any) -> Any:
    """A value as plain data."""
    match value:
        case BaseMessage():
            return str(value.text)
        case [*_, BaseMessage() as last]:
            return str(last.text)
        case BaseModel():
            return plain(value.model_dump())
        case Mapping():
            return {name: plain(held) for name, held in value.items()}
        case list() | tuple():
            return [plain(held) for held in value]
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
        case _:
            return value


def shown(value: Any) -> str:
    """A value as a judge reads it: text as it is, a conversation line by line, anything else as JSON."""
    match value:
        case str():
            return value
        case BaseMessage():
            return str(value.text)
        case [BaseMessage(), *_] if all(isinstance(one, BaseMessage) for one in value):
            return "\n".join(f"{one.type}: {one.text}" for one in value)
        case Mapping():
            return "\n".join(f"{name}: {shown(held)}" for name, held in value.items())
        case _:
            return msgspec.json.encode(plain(value), enc_hook=str).decode()
