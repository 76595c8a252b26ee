"""The values a fact names are found in it, whichever fact it is and wherever they stand."""

import re
from typing import Any, get_args

import pytest

from wtb.domain.audit import AuditFact
from wtb.domain.digests import digests_of, fields_with_digests
from wtb.domain.event_log import AnyFact
from wtb.domain.execution import (
    CheckpointSaved,
    ExecutionFact,
    ExecutionFailed,
    ExecutionPaused,
    ExecutionResumed,
    ExecutionStarted,
    Fact,
    Failure,
    NodeCompleted,
    PauseRequested,
    Question,
    RolledBack,
    Write,
)
from wtb.domain.identifiers import NULL_DIGEST, CheckpointId, Digest, Namespace, TaskId, WorkerId

FACTS: list[type[AnyFact]] = [
    kind for union in (*get_args(ExecutionFact), AuditFact) for kind in (get_args(union) or (union,))
]
A, B, C = (Digest(letter * 43) for letter in "ABC")
ONE = CheckpointId("1")


def names_values(annotation: str) -> bool:
    """Whether a field's type, as written in the source, holds digests."""
    return bool(re.search(r"\b(Digest|Write|Failure|Question)\b", annotation))


@pytest.mark.parametrize("kind", FACTS, ids=lambda kind: kind.__name__)
def test_every_field_of_every_fact_that_can_name_values_is_looked_into(kind: type[Fact]) -> None:
    written = {name for name, field in kind.model_fields.items() if names_values(repr(field.annotation))}
    assert {name for name, _ in fields_with_digests(kind)} == written


@pytest.mark.parametrize(
    ("fact", "digests"),
    [
        (ExecutionStarted(workflow="w", graph="g", input=A, worker=WorkerId("x")), [A]),
        (ExecutionPaused(reason="interrupt", questions=(Question(id="q", value=A), Question(id="r", value=B))), [A, B]),
        (ExecutionResumed(worker=WorkerId("x"), answers={"q": B, "r": NULL_DIGEST}), [B]),
        (ExecutionFailed(duration_us=1, error=Failure(type="E", message="m", traceback=C)), [C]),
        (ExecutionFailed(duration_us=1, error=Failure(type="E", message="m")), []),
        (RolledBack(to=ONE, head=ONE, left=ONE, files=A), [A]),
        (PauseRequested(reason=A), []),
        (
            NodeCompleted(
                node="n",
                task=TaskId("t"),
                namespace=Namespace(""),
                checkpoint=ONE,
                attempt=1,
                path="",
                duration_us=1,
                writes=(Write(channel="c", value=A), Write(channel="branch:to:n", value=NULL_DIGEST)),
            ),
            [A],
        ),
        (
            CheckpointSaved(
                checkpoint=ONE,
                parent=None,
                namespace=Namespace(""),
                step=0,
                source="loop",
                created="2026-01-01T00:00:00+00:00",
                channels={"a": ("1", A), "b": (2, None), "c": (3.5, B), "d": ("4", NULL_DIGEST)},
                versions_seen={},
                updated=None,
                metadata={"looks": "like", "one": A},
                format=4,
                files=C,
            ),
            [A, B, C],
        ),
    ],
    ids=lambda it: type(it).__name__,
)
def test_a_fact_names_these_values(fact: Fact, digests: list[Digest]) -> None:
    assert list(digests_of(fact)) == digests


def test_a_field_whose_type_is_not_understood_is_no_silent_gap() -> None:
    class Odd(PauseRequested):
        pairs: dict[Digest, str]

    with pytest.raises(TypeError, match="digests can't be found in"):
        fields_with_digests(Odd)


def test_a_new_field_of_a_new_fact_is_found_without_a_word_about_it() -> None:
    class Deep(PauseRequested):
        parts: tuple[tuple[str, dict[str, Write | None]], ...] = ()
        other: Any = None

    write = Write(channel="c", value=A)
    assert list(digests_of(Deep(parts=(("x", {"y": write, "z": None}),)))) == [A]
