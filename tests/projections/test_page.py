"""Cursors lead back to the row they came from, in their own listing only; pages show themselves."""

from base64 import urlsafe_b64encode

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.projections.given import NO_CURSORS
from wtb.domain.errors import InvalidCursor
from wtb.projections.page import CELL_WIDTH, Page, Place, cursor_after, key_of

FILTERS = ("executions", "running", None)


@given(st.integers(0, 2**63 - 1))
def test_a_cursor_leads_back_to_a_position(position: int) -> None:
    assert key_of(cursor_after(position, FILTERS), FILTERS, Place) == position


@given(st.tuples(st.text(), st.text()))
def test_a_cursor_leads_back_to_a_key_of_texts_and_fits_into_a_url(key: tuple[str, str]) -> None:
    cursor = cursor_after(key, FILTERS)
    assert key_of(cursor, FILTERS, tuple[str, str]) == key
    assert set(cursor) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@given(st.text() | st.binary().map(lambda some: urlsafe_b64encode(some).decode()) | st.sampled_from(NO_CURSORS))
def test_nonsense_is_no_cursor(nonsense: str) -> None:
    with pytest.raises(InvalidCursor):
        key_of(nonsense, FILTERS, Place)


@pytest.mark.parametrize("key", [-1, 2**63, 2**64, 1.5, "1", None, [1], True])
def test_a_number_that_is_no_position_is_no_cursor(key: object) -> None:
    with pytest.raises(InvalidCursor, match="not a cursor"):
        key_of(cursor_after(key, FILTERS), FILTERS, Place)


@pytest.mark.parametrize(
    "other", [("executions", "running"), ("executions", "paused", None), ("steps", "running", None), ()]
)
def test_a_cursor_of_another_listing_is_refused(other: tuple[object, ...]) -> None:
    with pytest.raises(InvalidCursor, match="other filters"):
        key_of(cursor_after(7, FILTERS), other, Place)


class Fruit(msgspec.Struct, frozen=True):
    name: str
    color: str | None


def test_a_page_prints_as_a_table_without_empty_cells_content_and_overlong_texts() -> None:
    page = Page(items=(Fruit("apple", None), Fruit("a\n" * 50, "green")), next_cursor="x")
    long = ("a " * 50)[: CELL_WIDTH - 1] + "…"
    assert repr(page) == f"<Page of 2, more to come>\nname{' ' * 34}color\napple\n{long}  green"


def test_a_page_in_a_notebook_shows_what_rows_hold_as_text() -> None:
    html = Page(items=(Fruit("<b>apple</b>", "red"),))._repr_html_()
    assert "&lt;b&gt;apple&lt;/b&gt;" in html
    assert "<b>" not in html


def test_an_empty_page_says_so() -> None:
    page: Page[Fruit] = Page(items=())
    assert repr(page) == "<Page of 0>"
    assert "<table>" in page._repr_html_()
