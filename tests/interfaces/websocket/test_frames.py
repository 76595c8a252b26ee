"""How events are put into frames."""

import json

from hypothesis import given
from hypothesis import strategies as st

from wtb.domain.cloud_event import WireEvent
from wtb.domain.identifiers import Position
from wtb.interfaces.websocket.feed import FRAME_BYTES, frames


def wire(*sizes: int) -> list[WireEvent]:
    """Events whose JSON has these sizes, at least 12 bytes each."""
    return [
        WireEvent(Position(place), "Any", json.dumps({"p": place}).encode().ljust(size))
        for place, size in enumerate(sizes, 1)
    ]


def places(frame: bytes) -> list[int]:
    return [event["p"] for event in json.loads(frame)]


def test_what_came_together_goes_out_together() -> None:
    (frame,) = frames(wire(20, 20, 20))
    assert places(frame) == [1, 2, 3]


def test_no_events_make_no_frame() -> None:
    assert list(frames([])) == []


def test_an_event_bigger_than_a_frame_has_one_of_its_own() -> None:
    assert [places(frame) for frame in frames(wire(20, FRAME_BYTES + 1, 20))] == [[1], [2], [3]]


@given(st.lists(st.integers(12, FRAME_BYTES), max_size=12))
def test_frames_hold_all_events_in_order_and_no_more_than_fits(sizes: list[int]) -> None:
    made = list(frames(wire(*sizes)))
    assert [place for frame in made for place in places(frame)] == list(range(1, len(sizes) + 1))
    commas_and_brackets = len(sizes) + 2
    assert all(len(frame) <= FRAME_BYTES + commas_and_brackets for frame in made)
