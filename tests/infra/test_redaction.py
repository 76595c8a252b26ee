"""What `Redaction` makes of values: copies where there is something to hide, the very same objects elsewhere."""

import re
from collections import OrderedDict, defaultdict, deque
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage
from langgraph.types import Command, Interrupt, Send
from pydantic import BaseModel, ConfigDict, SecretStr

from wtb.domain.batch import BatchStopRequested, Case, CaseFinished, CasePreferred, CasesAdded, CaseScored
from wtb.domain.errors import InvalidSettings
from wtb.domain.execution import Failure
from wtb.domain.identifiers import NULL_DIGEST, ExecutionId
from wtb.domain.workflow import WorkflowRegistered, WorkflowVersioned
from wtb.infra.langgraph.serializer import strict_serializer
from wtb.infra.redaction import MASK, Redaction
from wtb.infra.settings import load_settings

WORD = "s3cret"
REDACTION = Redaction(channels=("pin",), patterns=("s3cret",))


class Point(NamedTuple):
    name: str
    at: int


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")
    text: str


@dataclass(frozen=True, slots=True)
class Slotted:
    text: str
    pin: int


HIDING: list[Any] = [
    WORD,
    f"a {WORD} b",
    WORD.encode(),
    bytearray(WORD.encode()),
    [WORD],
    (1, WORD),
    Point(WORD, 1),
    {"a": {"b": WORD}},
    OrderedDict(a=WORD),
    defaultdict(list, a=[WORD]),
    {WORD, "b"},
    frozenset((WORD,)),
    deque([WORD], maxlen=3),
    Frozen(text=WORD),
    Frozen.model_validate({"text": "", "more": WORD}),
    Slotted(WORD, 1),
    SecretStr(WORD),
    Path("/home") / WORD,
    ValueError(WORD),
    Send("node", {"a": WORD}),
    Command(update={"a": WORD}),
    Interrupt(value=WORD, id="1"),
    AIMessage(WORD),
    AIMessage("", additional_kwargs={"a": WORD}),
    AIMessage("", tool_calls=[{"name": "t", "args": {"a": WORD}, "id": "1"}]),
]
CLEAN: list[Any] = [
    None, True, 1, 1.5, "text", b"bytes", b"\xff\xfe", [1, "a"], (1,), Point("a", 1), {"a": 1}, {1, 2}, deque([1]),
    Frozen(text="a"), Path("/a"), ValueError("a"),
    Send("node", {"a": 1}), Command(update={"a": 1}), Interrupt(value=1, id="1"), AIMessage("a"), re.compile("a"),
]  # fmt: skip


@pytest.mark.parametrize("value", HIDING, ids=lambda value: type(value).__name__)
def test_a_match_is_replaced_in_what_is_stored_and_nowhere_else(value: Any) -> None:
    serializer = strict_serializer()
    before = serializer.dumps_typed(value)
    redacted = REDACTION.inside(value)
    kind, stored = serializer.dumps_typed(redacted)
    assert WORD.encode() not in stored
    assert MASK.encode() in stored
    assert serializer.dumps_typed(value) == before
    if not isinstance(value, Exception):
        assert type(redacted) is type(value)
    assert serializer.dumps_typed(REDACTION.inside(redacted)) == (kind, stored)


@pytest.mark.parametrize("value", CLEAN, ids=lambda value: type(value).__name__)
def test_what_has_nothing_to_hide_is_the_same_object(value: Any) -> None:
    assert REDACTION.inside(value) is value


def test_what_has_nothing_to_hide_beside_what_has_is_the_same_object() -> None:
    clean = AIMessage("clean")
    assert REDACTION.inside([clean, AIMessage(WORD)])[0] is clean


def test_a_named_channel_is_replaced_whole_and_so_are_keys_of_its_name() -> None:
    assert REDACTION.names("pin")
    assert not REDACTION.names("a")
    assert REDACTION.inside({"pin": None}) == {"pin": None}
    assert REDACTION.inside([{"pin": 1234, "b": 1}]) == [{"pin": MASK, "b": 1}]
    assert REDACTION.inside(Slotted("a", 1234)) == Slotted("a", MASK)  # type: ignore[arg-type]
    assert REDACTION.inside(Frozen.model_validate({"text": "a", "pin": 1})).pin == MASK


def test_a_message_s_own_fields_are_no_channels() -> None:
    message = AIMessage("text", id="1")
    assert Redaction(channels=("content", "id")).inside(message) is message


def test_what_is_masked_stays_as_it_is() -> None:
    """Also where the pattern would match the mask itself."""
    words = Redaction(patterns=(r"\b[a-z]{8}\b",))
    once = words.text("the password of mine")
    assert once == f"the {MASK} of mine"
    assert words.text(once) == once


@given(st.recursive(st.text("s3cret ", max_size=12) | st.integers(), lambda inner: st.lists(inner, max_size=3)))
def test_whatever_is_redacted_holds_no_match_and_was_not_changed(value: Any) -> None:
    before = deepcopy(value)
    redacted = REDACTION.inside(value)
    assert value == before
    assert WORD not in repr(redacted)
    assert REDACTION.inside(redacted) == redacted
    assert (redacted is value) == (WORD not in repr(value))


@pytest.mark.parametrize("patterns", [("(",), ("",), ("a*",), "abc", (1,)])
def test_a_pattern_that_is_none_is_refused(patterns: Any) -> None:
    with pytest.raises(InvalidSettings):
        Redaction(patterns=patterns)


def test_a_text_in_the_place_of_channels_is_refused() -> None:
    with pytest.raises(InvalidSettings, match="channels"):
        Redaction(channels="ssn")  # type: ignore[arg-type]


def test_settings_name_channels_and_patterns(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WTB_REDACT_CHANNELS", "ssn, card")
    monkeypatch.setenv("WTB_REDACT_PATTERNS", r"[0-9]{3},\d")
    assert load_settings().redact_channels == ("ssn", "card")
    assert load_settings().redact_patterns == (r"[0-9]{3},\d",)
    monkeypatch.setenv("WTB_REDACT_CHANNELS", '["ssn", "card"]')
    monkeypatch.setenv("WTB_REDACT_PATTERNS", r'["a", "\\d"]')
    assert load_settings().redact_channels == ("ssn", "card")
    assert load_settings().redact_patterns == ("a", r"\d")
    monkeypatch.setenv("WTB_REDACT_PATTERNS", "(")
    with pytest.raises(InvalidSettings, match="WTB_REDACT_PATTERNS"):
        load_settings()


def test_a_settings_file_lists_them(tmp_path: Path) -> None:
    (tmp_path / "wtb.toml").write_text("redact_channels = ['ssn']\nredact_patterns = ['\\d{3}']\n")
    settings = load_settings(tmp_path / "wtb.toml")
    assert (settings.redact_channels, settings.redact_patterns) == (("ssn",), (r"\d{3}",))


def test_facts_about_batches_hide_what_they_must() -> None:
    failure, hidden = (Failure(type="ValueError", message=text) for text in (f"no {WORD}", f"no {MASK}"))
    finished = CaseFinished(
        case="c1", combination=0, repeat=0, execution=ExecutionId("e1"), status="failed", duration_us=1, error=failure
    )
    scored = CaseScored(case="c1", combination=0, repeat=0, scores={"tone": WORD, "n": 1}, errors={"judge": failure})
    preferred = CasePreferred(case="c1", repeat=0, a=0, b=1, preference="judge", preferred=None, error=failure)
    added = CasesAdded(cases=(Case(id="c1", input=NULL_DIGEST, metadata={"pin": 1, "note": WORD}),))
    assert REDACTION.fact(finished) == finished.model_copy(update={"error": hidden})
    assert REDACTION.fact(scored) == scored.model_copy(
        update={"scores": {"tone": MASK, "n": 1}, "errors": {"judge": hidden}}
    )
    assert REDACTION.fact(preferred) == preferred.model_copy(update={"error": hidden})
    assert REDACTION.fact(added) == CasesAdded(
        cases=(Case(id="c1", input=NULL_DIGEST, metadata={"pin": MASK, "note": MASK}),)
    )


def test_a_fact_about_a_batch_that_has_nothing_to_hide_stays_as_it_is() -> None:
    for fact in (
        CaseScored(case="c1", combination=0, repeat=0, scores={"tone": "kind", "n": 1}),
        CasesAdded(cases=(Case(id="c1", input=NULL_DIGEST, metadata={"note": "a"}),)),
        BatchStopRequested(reason="lunch"),
    ):
        assert REDACTION.fact(fact) == fact
    assert REDACTION.fact(BatchStopRequested(reason=WORD)) == BatchStopRequested(reason=MASK)


def test_what_is_noted_of_a_workflow_hides_what_it_must() -> None:
    def schema(pin: Any, note: str) -> dict[str, Any]:
        return {
            "properties": {
                "pin": {"type": "integer", "default": pin, "examples": pin},
                "note": {"type": "string", "default": note, "description": note},
                "nested": {"default": {"pin": pin, "note": note}, "enum": [note]},
            },
            "required": ["pin"],
        }

    versioned = WorkflowVersioned(
        version="v",
        nodes=(),
        edges=(),
        channels={"pin": "int"},
        input_schema=schema(1234, WORD),
        output_schema=None,
    )
    assert REDACTION.fact(versioned) == versioned.model_copy(update={"input_schema": schema(MASK, MASK)})
    assert REDACTION.fact(WorkflowRegistered(description=WORD)) == WorkflowRegistered(description=MASK)
