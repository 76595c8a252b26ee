"""What differs between two values: something exactly when they differ, and so that a person finds the place."""

import dataclasses
import random
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from langchain_core.messages import HumanMessage
from langgraph.types import Interrupt, Send

from wtb.domain.event_log import EMPTY_STREAM, Append, Origin, Value
from wtb.domain.execution import ExecutionStarted
from wtb.domain.identifiers import NULL_DIGEST, Digest, StreamName, WorkerId
from wtb.infra.event_store.store import EventStore
from wtb.infra.event_store.values import ValueWriter
from wtb.infra.langgraph.serializer import strict_serializer
from wtb.sdk.changes import LONGEST_ALIGNMENT, Change, changes, gaps
from wtb.sdk.plain_values import PlainValues, element, mark

plain = some.recursive(
    some.none() | some.booleans() | some.integers(-3, 3) | some.floats(0, 1) | some.text("ab\n", max_size=4),
    lambda parts: some.lists(parts, max_size=4) | some.dictionaries(some.sampled_from(["a", "b", "c d", 1]), parts),
    max_leaves=12,
)


@given(plain, plain)
@settings(max_examples=300, deadline=None)
def test_two_values_have_changes_exactly_when_they_differ(before: Any, after: Any) -> None:
    assert [*changes("x", before, before)] == []
    assert bool([*changes("x", before, after)]) == (mark(before) != mark(after))
    for change in changes("x", before, after):
        assert change.path.startswith("x")
        assert str(change)


@given(some.lists(some.integers(0, 3), max_size=30), some.lists(some.integers(0, 3), max_size=30))
@settings(max_examples=300, deadline=None)
def test_between_its_gaps_two_sequences_are_the_same(before: list[int], after: list[int]) -> None:
    rebuilt, place = [], 0
    for begin, end, start, stop in gaps([*map(str, before)], [*map(str, after)]):
        rebuilt += before[place:begin] + after[start:stop]
        place = end
    assert rebuilt + before[place:] == after


def test_long_sequences_that_differ_everywhere_are_compared_place_by_place() -> None:
    """What would take a product of comparisons takes a sum."""
    chance = random.Random(1)
    before = [str(chance.random()) for _ in range(3000)]
    after = [str(chance.random()) if place % 3 else text for place, text in enumerate(before)] + ["more", "and more"]
    assert len(before) ** 2 > LONGEST_ALIGNMENT
    found = gaps(before, after)
    assert found[0] == (1, 3, 1, 3)
    assert found[-1] == (3000, 3000, 3000, 3002)
    assert len(found) == 1001


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [
        ({"a": 1}, {"a": 2}, ["~ x.a: 1 → 2"]),
        ({"a": 1}, {"b c": 1}, ["- x.a: 1", "+ x['b c']: 1"]),
        ({1: "a"}, {"1": "a"}, ['- x[1]: "a"', "+ x['1']: \"a\""]),
        ([1, 2, 3], [1, 3], ["- x[1]: 2"]),
        ([1, 3], [1, 2, 3, 4], ["+ x[1]: 2", "+ x[3]: 4"]),
        ([{"n": 1}, {"n": 2}], [{"n": 1}, {"n": 5}], ["~ x[1].n: 2 → 5"]),
        (1, 1.0, ["~ x: 1 → 1.0"]),
        (True, 1, ["~ x: true → 1"]),
        ({"__class__": "A", "n": 1}, {"__class__": "B", "n": 1}, ["~ x: A(n=1) → B(n=1)"]),
        ("a" * 100 + "b", "a" * 100 + "c", [f'~ x: "…{"a" * 24}b" → "…{"a" * 24}c"']),
    ],
)
def test_a_change_names_its_place(before: Any, after: Any, shown: list[str]) -> None:
    assert [str(change) for change in changes("x", before, after)] == shown


def test_a_text_of_several_lines_has_a_unified_diff() -> None:
    [change] = changes("x", "one\ntwo", "one\nthree")
    assert change == Change("x", "changed", "one\ntwo", "one\nthree", change.text)
    assert change.text == "--- before\n+++ after\n@@ -1,2 +1,2 @@\n one\n-two\n+three"


# --- values as they are stored ------------------------------------------------------------------------


@dataclasses.dataclass
class Point:
    x: int
    y: int


def stored(store: EventStore, *values: Any) -> list[Digest]:
    into: dict[Digest, Value] = {}
    digests = [ValueWriter().write(value, strict_serializer(), into) for value in values]
    started = ExecutionStarted(workflow="w", graph="g", input=NULL_DIGEST, worker=WorkerId("w"))
    store.append([Append(StreamName("s"), EMPTY_STREAM, [started], [1], Origin("ada"), into)])
    return digests


def test_stored_values_are_told_as_plain_data(store: EventStore) -> None:
    values = [
        None, b"x", [1, (2, 3)], {1: "a"}, Point(1, 2), {"b", "a"}, Decimal("1.5"), datetime(2026, 1, 1, tzinfo=UTC),
        Send("node", {"n": 1}), Interrupt("?", id="i"), HumanMessage("hi", id="m"),
    ]  # fmt: skip
    known = PlainValues(store, strict_serializer(), exact=False)
    told = [known.plain(digest) for digest in stored(store, *values)]
    assert told[:4] == [None, b"x", [1, [2, 3]], {1: "a"}]
    assert told[4] == {"__class__": "Point", "x": 1, "y": 2}
    assert sorted(told[5]["values"]) == ["a", "b"]
    assert told[6:9] == [
        {"__class__": "Decimal", "value": "1.5"},
        {"__class__": "datetime", "value": "2026-01-01T00:00:00+00:00"},
        {"__class__": "Send", "node": "node", "arg": {"n": 1}},
    ]
    assert told[9] == {"__class__": "Interrupt", "value": "?", "response_schema": None}
    assert (told[10]["__class__"], told[10]["content"], "id" in told[10]) == ("HumanMessage", "hi", False)


def test_a_list_is_the_same_however_it_was_cut(store: EventStore) -> None:
    """Stored whole, in one chunk, or in many; ids that count neither way."""
    texts = [f"{number} " + "x" * 500 for number in range(150)]
    lists = [[HumanMessage(text, id=f"{prefix}{n}") for n, text in enumerate(texts)] for prefix in ("a", "b" * 300)]
    first, second, shorter = stored(store, *lists, lists[1][:149])
    for exact in (False, True):
        values = PlainValues(store, strict_serializer(), exact=exact)
        values.learn([first, second, shorter])
        assert values.same(first, second) != exact
        assert not values.same(second, shorter)
        assert values.plain(element(first, 100)) == values.plain(first)[100]
        assert values.mark(first) == mark(values.plain(first))
