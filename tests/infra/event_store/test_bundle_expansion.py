"""Few bytes in a bundle can't become very many when its values are put together."""

from collections.abc import Mapping, Sequence

import pytest

from wtb.domain.errors import InvalidBundle
from wtb.domain.identifiers import Digest
from wtb.infra.event_store.bundle_reader import _check_expansion

A, B, C = Digest("a"), Digest("b"), Digest("c")
PIECE = ("msgpack", 1000)

SOUND: dict[str, tuple[Mapping[Digest, tuple[str, int]], Mapping[Digest, Sequence[Digest]]]] = {
    "a list of chunks": ({A: ("list", 32), B: ("chunk", 64), C: PIECE}, {A: [B], B: [C, C]}),
    "a chunk alone": ({B: ("chunk", 32), C: PIECE}, {B: [C]}),
    "a manifest": ({A: ("files", 90), C: ("bytes", 1000)}, {A: [C]}),
}

BOMBS: dict[str, tuple[Mapping[Digest, tuple[str, int]], Mapping[Digest, Sequence[Digest]]]] = {
    "a chunk of chunks": ({A: ("chunk", 64), B: ("chunk", 64), C: PIECE}, {A: [B, B], B: [C, C]}),
    "a list of lists": ({A: ("list", 64), B: ("list", 64), C: PIECE}, {A: [B, B], B: []}),
    "a chunk of itself": ({A: ("chunk", 64)}, {A: [A, A]}),
    "a piece many times over": ({A: ("files", 9000), C: ("bytes", 1000)}, {A: [C] * 200}),
    "a chunk many times over": ({A: ("list", 6400), B: ("chunk", 320), C: PIECE}, {A: [B] * 20, B: [C] * 10}),
}


@pytest.mark.parametrize("values", SOUND.values(), ids=SOUND)
def test_what_wtb_writes_is_taken(
    values: tuple[Mapping[Digest, tuple[str, int]], Mapping[Digest, Sequence[Digest]]],
) -> None:
    _check_expansion(*values, 100_000)


@pytest.mark.parametrize("values", BOMBS.values(), ids=BOMBS)
def test_a_bomb_is_refused(values: tuple[Mapping[Digest, tuple[str, int]], Mapping[Digest, Sequence[Digest]]]) -> None:
    with pytest.raises(InvalidBundle):
        _check_expansion(*values, 100_000)
