"""What must not be stored: named channels, and texts that match a pattern.

What runs is never changed: whatever has something to hide is copied, and all
else stays the very object it was.
"""

import re
from collections import deque
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field, fields, is_dataclass
from functools import lru_cache
from pathlib import PurePath
from typing import Any

from langchain_core.messages import BaseMessage
from langgraph.types import Send
from pydantic import BaseModel, SecretStr

from wtb.domain.batch import CaseFinished, CasePreferred, CasesAdded, CaseScored
from wtb.domain.errors import InvalidSettings
from wtb.domain.event_log import AnyFact
from wtb.domain.execution import CheckpointSaved, ExecutionFailed, Failure, NodeFailed
from wtb.domain.workflow import VariantRegistered, WorkflowRegistered, WorkflowVersioned

MASK = "[redacted]"

VALUES_IN_SCHEMAS = frozenset(("const", "default", "enum", "examples"))
"""Keywords of JSON schema under which there are values."""

LANGGRAPHS = frozenset(("source", "step", "parents", "run_id", "thread_id", "checkpoint_ns", "checkpoint_id"))
"""Keys of a checkpoint's metadata that LangGraph goes by: they hold no one's data."""


@dataclass(frozen=True, slots=True)
class Redaction:
    """What is replaced by ``[redacted]`` before anything is stored.

    ``channels``: channels whose values are replaced whole, and keys of that name
    in any mapping, model or dataclass. ``patterns``: regular expressions, whose
    matches are replaced in every text. Raises `InvalidSettings` for a pattern
    that is none, or that matches the empty text.
    """

    channels: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    _compiled: tuple[re.Pattern[str], ...] = field(init=False, repr=False, compare=False)
    _named: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        named: tuple[tuple[str, object], ...] = (("channels", self.channels), ("patterns", self.patterns))
        for name, given in named:
            if not isinstance(given, tuple | list) or not all(isinstance(each, str) and each for each in given):
                raise InvalidSettings(f"redacted {name} can't be {given!r}", hint="Give a tuple of texts.")
        try:
            compiled = tuple(compiled_pattern(pattern) for pattern in self.patterns)
        except ValueError as flaw:
            raise InvalidSettings(str(flaw), hint="Patterns are Python's regular expressions.") from flaw
        object.__setattr__(self, "_compiled", compiled)
        object.__setattr__(self, "_named", frozenset(self.channels))

    def __bool__(self) -> bool:
        return bool(self.channels or self.patterns)

    def text(self, text: str) -> str:
        """The text itself when nothing in it matches."""
        for pattern in self._compiled:
            if pattern.search(text):
                # What is masked already stays as it is, so that redacting again changes nothing.
                text = MASK.join(pattern.sub(MASK, part) for part in text.split(MASK))
        return text

    def content(self, data: bytes) -> bytes:
        """Bytes that are UTF-8 text, as `text`; others as they are."""
        if not self._compiled:
            return data
        try:
            text = data.decode()
        except UnicodeDecodeError:
            return data
        redacted = self.text(text)
        return data if redacted is text else redacted.encode()

    def path(self, path: str) -> str:
        """A path with each name in it as `text`."""
        return "/".join(map(self.text, path.split("/")))

    def names(self, channel: str) -> bool:
        """Whether the channel's values are replaced whole."""
        return channel in self._named

    def fact(self, fact: AnyFact) -> AnyFact:
        """A fact whose reason, error message and metadata hide what they must."""
        update: dict[str, Any] = {}
        if _has_reason(type(fact)):
            update["reason"] = self.text(fact.reason)  # type: ignore[union-attr]
        if isinstance(fact, CheckpointSaved):
            update["metadata"] = self._items(fact.metadata, but=LANGGRAPHS)
        elif isinstance(fact, NodeFailed | ExecutionFailed):
            update["error"] = self._failure(fact.error)
        elif isinstance(fact, CaseFinished | CasePreferred):
            update["error"] = None if fact.error is None else self._failure(fact.error)
        elif isinstance(fact, CaseScored):
            update["scores"] = {name: self.inside(score) for name, score in fact.scores.items()}
            update["errors"] = {name: self._failure(error) for name, error in fact.errors.items()}
        elif isinstance(fact, WorkflowRegistered | VariantRegistered):
            update["description"] = self.text(fact.description)
        elif isinstance(fact, WorkflowVersioned):
            update["input_schema"] = self._schema(fact.input_schema)
            update["output_schema"] = self._schema(fact.output_schema)
        elif isinstance(fact, CasesAdded):
            update["cases"] = tuple(
                case.model_copy(update={"metadata": self._items(case.metadata)}) for case in fact.cases
            )
        changed = {name: value for name, value in update.items() if value is not getattr(fact, name)}
        return fact.model_copy(update=changed) if changed else fact

    def _schema(self, schema: Any, *, hidden: bool = False) -> Any:
        """A JSON schema whose defaults and examples hide what they must; what is ``hidden`` may tell its type alone."""
        if isinstance(schema, list):
            return [self._schema(part, hidden=hidden) for part in schema]
        if not isinstance(schema, dict):
            return self.inside(schema)
        made = {}
        for key, part in schema.items():
            if key in VALUES_IN_SCHEMAS:
                made[key] = MASK if hidden else self.inside(part)
            elif key == "properties" and isinstance(part, dict):
                made[key] = {
                    name: self._schema(each, hidden=hidden or name in self._named) for name, each in part.items()
                }
            else:
                made[key] = self._schema(part, hidden=hidden)
        return made

    def _failure(self, failure: Failure) -> Failure:
        message = self.text(failure.message)
        return failure if message is failure.message else failure.model_copy(update={"message": message})

    # --- values -----------------------------------------------------------------------------------

    def inside(self, value: Any) -> Any:
        """What is stored of a value; the value itself when there is nothing to hide in it."""
        match value:
            case None | bool() | int() | float() | complex():
                return value
            case str():
                return self.text(value)
            case bytes():
                return self.content(value)
            case bytearray():
                redacted = self.content(bytes(value))
                return value if redacted == value else bytearray(redacted)
            case Mapping():
                return self._items(value)
            case tuple() | list() | set() | frozenset() | deque():
                return self._elements(value)
            case Send():
                return self._attributes(value, ("arg",), named=False)
            case SecretStr():
                secret = value.get_secret_value()
                return value if (shown := self.text(secret)) == secret else SecretStr(shown)
            case BaseModel():
                return self._model(value)
            case PurePath():
                return value if (path := self.path(str(value))) == str(value) else type(value)(path)
            case BaseException():
                told = repr(value)  # as the serializer stores an error
                return value if (text := self.text(told)) == told else text
            case _ if is_dataclass(value) and not isinstance(value, type):
                return self._attributes(value, tuple(each.name for each in fields(value)), named=True)
            case _:
                return value

    def _named_or_inside(self, name: object, value: Any) -> Any:
        return MASK if name in self._named and value is not None else self.inside(value)

    def _items(self, items: Mapping[Any, Any], but: frozenset[str] = frozenset()) -> Any:
        changed = {
            key: redacted
            for key, value in items.items()
            if key not in but and (redacted := self._named_or_inside(key, value)) is not value
        }
        if not changed:
            return items
        if not isinstance(items, dict):
            return {**items, **changed}
        copied = copy(items)
        copied.update(changed)
        return copied

    def _elements(self, elements: Any) -> Any:
        redacted = [self.inside(element) for element in elements]
        if all(new is old for new, old in zip(redacted, elements, strict=True)):
            return elements
        if isinstance(elements, tuple):
            return type(elements)._make(redacted) if hasattr(elements, "_make") else tuple(redacted)
        if isinstance(elements, set | frozenset):
            return type(elements)(redacted)
        copied = copy(elements)
        copied.clear()
        copied.extend(redacted)
        return copied

    def _attributes(self, value: Any, names: tuple[str, ...], *, named: bool) -> Any:
        copied = None
        for name in names:
            held = getattr(value, name, None)
            redacted = self._named_or_inside(name, held) if named else self.inside(held)
            if redacted is not held:
                copied = copy(value) if copied is None else copied
                object.__setattr__(copied, name, redacted)
        return value if copied is None else copied

    def _model(self, model: BaseModel) -> BaseModel:
        is_message = isinstance(model, BaseMessage)  # whose fields' names are LangChain's, no channels'
        held = {**model.__dict__, **(model.__pydantic_extra__ or {})}
        changed = {
            name: redacted
            for name, value in held.items()
            if (redacted := self.inside(value) if is_message else self._named_or_inside(name, value)) is not value
        }
        return model.model_copy(update=changed) if changed else model


def compiled_pattern(pattern: str) -> re.Pattern[str]:
    """Raises `ValueError`, whose message is one line that names the pattern."""
    try:
        compiled = re.compile(pattern)
    except re.error as flaw:
        raise ValueError(f"redaction pattern {pattern!r} isn't a regular expression: {flaw}") from flaw
    if compiled.search(""):
        raise ValueError(f"redaction pattern {pattern!r} matches the empty text")
    return compiled


@lru_cache(maxsize=128)
def _has_reason(kind: type[AnyFact]) -> bool:
    """Whether facts of this class have a reason in free text."""
    reason = kind.model_fields.get("reason")
    return reason is not None and reason.annotation is str
