"""Whatever the serializer can write comes back as it was, under a name that only its content decides."""

import copy
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage

from wtb.domain.errors import NotAStore, ValueMissing
from wtb.domain.event_log import Value
from wtb.domain.identifiers import NULL_DIGEST, Digest
from wtb.infra.event_store.values import CHUNK, ValueWriter, digest_of, packed, read, unpacked
from wtb.infra.langgraph.serializer import strict_serializer

SERDE = strict_serializer()


class Kept:
    """What one writer handed out, kept as a store keeps it."""

    def __init__(self) -> None:
        self.writer = ValueWriter()
        self.values: dict[Digest, Value] = {}
        self.fetches = 0

    def write(self, value: Any) -> tuple[Digest, dict[Digest, Value]]:
        """A value's digest, and what had to be stored for it."""
        into: dict[Digest, Value] = {}
        digest = self.writer.write(value, SERDE, into)
        self.values.update(into)
        return digest, into

    def fetch(self, digests: Sequence[Digest]) -> dict[Digest, Value]:
        self.fetches += 1
        return {digest: self.values[digest] for digest in digests if digest in self.values}

    def read(self, digest: Digest) -> Any:
        return read([digest], self.fetch, SERDE)[digest]


def serialised(value: Any) -> tuple[str, bytes]:
    kind, data = SERDE.dumps_typed(value)
    return kind, bytes(data)


def fresh_digest(value: Any) -> Digest:
    return Kept().write(value)[0]


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text()
    | st.binary()
    | st.datetimes()
    | st.uuids()
    | st.decimals()
)
KEYS = st.text(max_size=5) | st.integers(-5, 5)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(KEYS, inner, max_size=5)
        | st.tuples(inner, inner)
        | st.sets(st.integers(0, 9), max_size=3)
        | st.binary().map(bytearray)
    ),
    max_leaves=10,
)
LONG = st.sampled_from(["x", "long ", "\x00", "é"]).map(lambda text: text * 400)
PIECEWISE = st.lists(LONG | st.fixed_dictionaries({"text": LONG, "more": ANYTHING}), min_size=1, max_size=CHUNK * 2 + 5)
"""Lists whose elements are mostly big enough to be stored on their own."""


# --- Round trips ---------------------------------------------------------------------------------


@settings(deadline=None)
@given(ANYTHING)
def test_any_value_comes_back_as_the_serializer_makes_it(value: Any) -> None:
    kept = Kept()
    digest, _ = kept.write(value)
    assert serialised(kept.read(digest)) == serialised(SERDE.loads_typed(SERDE.dumps_typed(value)))


@settings(max_examples=50, deadline=None)
@given(PIECEWISE)
def test_a_list_that_is_stored_piecewise_comes_back_whole(value: list[Any]) -> None:
    kept = Kept()
    digest, _ = kept.write(value)
    assert serialised(kept.read(digest)) == serialised(SERDE.loads_typed(SERDE.dumps_typed(value)))


@settings(max_examples=50, deadline=None)
@given(st.lists(ANYTHING | PIECEWISE, max_size=8))
def test_a_writers_past_changes_no_name(values: list[Any]) -> None:
    kept = Kept()
    names = [kept.write(value)[0] for value in [*values, *copy.deepcopy(values)]]
    assert names == [fresh_digest(value) for value in values] * 2
    assert all(name in kept.values or name == NULL_DIGEST for name in names)


@settings(deadline=None)
@given(st.sampled_from(["msgpack", "bytes"]), st.binary(max_size=5000) | st.binary(max_size=50).map(lambda b: b * 100))
def test_a_stored_value_is_never_bigger_than_its_bytes_and_unpacks_to_them(kind: str, data: bytes) -> None:
    value = packed(kind, data)
    assert unpacked(value) == (kind, data)
    assert len(value.data) <= len(data)


def test_what_compresses_well_is_compressed_and_what_does_not_is_left_alone() -> None:
    assert packed("msgpack", b"a" * 1023).kind == "msgpack"
    assert packed("msgpack", b"a" * 1024).kind == "msgpack+zstd"
    noise = b"".join(digest_of("noise", bytes([n])).encode() for n in range(100))
    assert len(packed("bytes", noise).data) < len(noise)
    assert packed("bytes", bytes(range(256)) * 4).kind == "bytes+zstd"


def test_messages_come_back_as_messages() -> None:
    kept = Kept()
    messages = [HumanMessage("why? " * 100, id="1"), AIMessage("because " * 100, id="2")]
    digest, into = kept.write(messages)
    assert len(into) == 3
    assert kept.read(digest) == messages


def test_none_needs_no_storing_and_reads_as_none() -> None:
    kept = Kept()
    assert kept.write(None) == (NULL_DIGEST, {})
    assert read([NULL_DIGEST], kept.fetch, SERDE)[NULL_DIGEST] is None
    assert kept.fetches == 0


# --- Names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "digest"),
    [
        ("hello", "fYO7MP4lovC2rdB1y-uB1qw7nRdncJ3bd2uv2tE7Az0"),
        (b"hello", "iNaMD3Tub0SheMqRQJFkfoQx9Hj685R5lCMsSWpEtBw"),
        ({"a": [1, 2.5, None, True]}, "T_9eo0EkptP1G4xnxfFqjQ4MVLjeMxZgVkldur5rPTk"),
        ([], "ZcrK3bcrn6ATnmQ1pPh7E6_avJsAkN0h2-JCyhCboVE"),
        (["one", "two"], "sCzUCS1Bw8J2SaXNEYbInfqEAM2Ps6Ne1BbWs2WGUj4"),
        (["long " * 100, "words " * 100], "3OfsOrCwmFZCy5pda1MSWVMYuz57k6bW1LAv9R7b0TM"),
        (["long " * 100] * 100, "C8vUMxs7kxueVnZ-OuMV2fUr2ngt6R77uVxWzJAWhFQ"),
    ],
    ids=["text", "bytes", "dict", "empty", "short", "piecewise", "deep"],
)
def test_a_values_name_stays_what_it_has_always_been(value: Any, digest: str) -> None:
    """Stored events name their values by these digests: a change would make forks store everything anew."""
    assert fresh_digest(value) == digest


@settings(deadline=None)
@given(ANYTHING, ANYTHING)
def test_values_have_one_name_only_if_they_are_serialised_alike(one: Any, other: Any) -> None:
    assert (fresh_digest(one) == fresh_digest(other)) == (serialised(one) == serialised(other))


def test_text_and_bytes_of_the_same_letters_have_names_of_their_own() -> None:
    assert digest_of("bytes", b"\xa1a") != digest_of("msgpack", b"\xa1a")


# --- Growing lists -------------------------------------------------------------------------------


def message(number: int) -> dict[str, Any]:
    return {"id": number, "text": f"message {number} " * 50, "extra": {"seen": [number]}}


def test_a_growing_list_stores_each_message_once() -> None:
    kept = Kept()
    messages: list[dict[str, Any]] = []
    for number in range(CHUNK * 3):
        messages = [*messages, message(number)]
        digest, into = kept.write(messages)
        # The message, the chunk it stands in, and the list of chunks as soon as there are several.
        assert len(into) == (2 if number < CHUNK else 3)
        assert sum(len(unpacked(value)[1]) for value in into.values()) < 6000
        assert kept.read(digest) == messages


def test_a_list_is_read_in_as_few_fetches_as_it_is_deep() -> None:
    kept = Kept()
    digest, _ = kept.write([message(number) for number in range(CHUNK * 3)])
    kept.read(digest)
    assert kept.fetches == 3


def test_a_list_that_is_the_same_again_stores_nothing() -> None:
    kept = Kept()
    messages = [message(number) for number in range(10)]
    digest, into = kept.write(messages)
    assert into
    assert kept.write(messages) == (digest, {})
    assert kept.write(copy.deepcopy(messages)) == (digest, {})


def test_a_writer_that_forgot_hands_everything_out_again() -> None:
    kept = Kept()
    messages = [message(number) for number in range(3)]
    digest, into = kept.write(messages)
    kept.writer.forget()
    assert kept.write(messages) == (digest, into)


CHANGES = st.sampled_from(
    ["append", "replace", "insert", "delete", "truncate", "text", "deep", "new key", "key order", "equal key"]
)


def changed(messages: list[dict[Any, Any]], change: str, at: int, number: int) -> list[dict[Any, Any]]:
    """A list as the next step sees it: a new one, or the same with something in it changed in place."""
    at %= len(messages)
    match change:
        case "append":
            return [*messages, message(number)]
        case "replace":
            return [*messages[:at], message(number), *messages[at + 1 :]]
        case "insert":
            messages.insert(at, message(number))
        case "delete":
            return [*messages[:at], *messages[at + 1 :]] or [message(number)]
        case "truncate":
            return messages[: at + 1]
        case "text":
            messages[at]["text"] = f"other {number} " * 50
        case "deep":
            messages[at]["extra"]["seen"].append(number)
        case "new key":
            messages[at][f"key {number}"] = number
        case "key order":
            messages[at]["id"] = messages[at].pop("id")
        case "equal key":
            # 1 and 1.0 are equal and are serialised differently.
            extra = messages[at]["extra"]
            now = next((key for key in extra if key == 1), 1.0)
            extra[1 if type(now) is float else 1.0] = extra.pop(now, "one")
        case _:
            raise ValueError(change)
    return messages


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(CHANGES, st.integers(0, 10**6)), min_size=1, max_size=20))
def test_whatever_a_node_changes_in_place_is_seen(changes: list[tuple[str, int]]) -> None:
    kept = Kept()
    messages: list[dict[Any, Any]] = [message(-1), message(-2)]
    kept.write(messages)
    for number, (change, at) in enumerate(changes):
        messages = changed(messages, change, at, number)
        digest, _ = kept.write(messages)
        assert digest == fresh_digest(copy.deepcopy(messages))
        assert kept.read(digest) == messages


def test_a_message_that_was_changed_in_place_is_stored_anew() -> None:
    kept = Kept()
    messages = [AIMessage("first " * 100, id="1"), AIMessage("second " * 100, id="2")]
    before, _ = kept.write(messages)
    messages[0].additional_kwargs["note"] = "added later"
    after, _ = kept.write(messages)
    assert after != before
    assert kept.read(after) == messages
    assert kept.read(before)[0].additional_kwargs == {}


# --- Reading -------------------------------------------------------------------------------------


def test_each_who_asks_for_a_value_is_given_one_of_its_own() -> None:
    kept = Kept()
    digest, _ = kept.write([message(1), message(2)])
    values = read([digest], kept.fetch, SERDE)
    values[digest][0]["extra"]["seen"].append("changed")
    assert values[digest] == [message(1), message(2)]
    assert list(values) == [digest]
    assert len(values) == 1


def test_a_missing_piece_of_a_list_is_missed() -> None:
    kept = Kept()
    digest, into = kept.write([message(number) for number in range(CHUNK + 1)])
    for piece in into:
        del kept.values[piece]
        with pytest.raises(ValueMissing, match=piece):
            read([digest], kept.fetch, SERDE)
        kept.values[piece] = into[piece]
    assert len(kept.read(digest)) == CHUNK + 1


def test_a_damaged_value_is_told_as_damage() -> None:
    kept = Kept()
    digest, _ = kept.write("long " * 1000)
    kind, data = kept.values[digest]
    kept.values[digest] = Value(kind, data[:-3])
    with pytest.raises(NotAStore, match="damaged"):
        kept.read(digest)
