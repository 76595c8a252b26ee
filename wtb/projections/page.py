"""A page of rows, and the cursor that leads to the next one."""

from base64 import b64decode, urlsafe_b64encode
from collections.abc import Iterator, Sequence
from datetime import datetime
from html import escape
from typing import Annotated, Generic, TypeVar
from zlib import crc32

import msgspec

from wtb.domain.errors import InvalidCursor, InvalidRequest

T = TypeVar("T", bound=msgspec.Struct)
K = TypeVar("K")

Place = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""A position as a cursor holds it: no number that a database can't take."""

CELL_WIDTH = 36


class Page(msgspec.Struct, Generic[T], frozen=True, kw_only=True, repr_omit_defaults=True):
    """Rows in order. ``next_cursor`` leads to those after them; None when there are none."""

    items: tuple[T, ...]
    next_cursor: str | None = None

    def __iter__(self) -> Iterator[T]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, place: int) -> T:
        return self.items[place]

    def __repr__(self) -> str:
        more = ", more to come" if self.next_cursor else ""
        heads, rows = self._table()
        widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (heads, *rows)
        ]
        return "\n".join([f"<Page of {len(self)}{more}>", *(line.rstrip() for line in lines if line.strip())])

    def _repr_html_(self) -> str:
        heads, rows = self._table()
        head = "".join(f"<th>{escape(name)}</th>" for name in heads)
        body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
        more = "<p>more to come</p>" if self.next_cursor else ""
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"

    def _table(self) -> tuple[Sequence[str], list[Sequence[str]]]:
        """Heads and cells; a row type may name the fields worth showing in ``shown``."""
        if not self.items:
            return (), []
        kind = type(self.items[0])
        heads: Sequence[str] = getattr(kind, "shown", kind.__struct_fields__)
        return heads, [[_cell(getattr(item, name)) for name in heads] for item in self.items]


def _cell(value: object) -> str:
    match value:
        case None | ():
            return ""
        case {} if not value:  # the pattern alone is any mapping
            return ""
        case datetime():
            return value.isoformat(" ", "milliseconds")
        case _:
            text = " ".join(str(value).split())
            return text if len(text) <= CELL_WIDTH else text[: CELL_WIDTH - 1] + "…"


def check_limit(limit: int | None) -> None:
    """Raise `InvalidRequest` when a page of this many rows can't be."""
    if limit is not None and not 1 <= limit < 2**31:
        raise InvalidRequest(f"a page can't hold {limit} rows", hint="Ask for one row or more.")


def check_position(after: int) -> None:
    """Raise `InvalidRequest` for what no position in the log can be."""
    if not 0 <= after < 2**63:
        raise InvalidRequest(
            f"{after} can't be a position", hint="Give the position of an event, or 0 for the beginning."
        )


def cursor_after(key: object, filters: Sequence[object]) -> str:
    """The cursor that goes on after the row with this key, in the listing with these filters."""
    return urlsafe_b64encode(msgspec.json.encode((_mark(filters), key))).decode().rstrip("=")


def key_of(cursor: str, filters: Sequence[object], kind: type[K]) -> K:
    """The key a cursor goes on after. Raises `InvalidCursor` when it is none, or one of another listing."""
    try:
        text = b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        mark, key = msgspec.json.decode(text, type=tuple[int, kind])  # type: ignore[valid-type]
    except (ValueError, msgspec.MsgspecError) as nonsense:
        raise InvalidCursor("this is not a cursor of this listing") from nonsense
    if mark != _mark(filters):
        raise InvalidCursor("this cursor belongs to a listing with other filters")
    found: K = key
    return found


def _mark(filters: Sequence[object]) -> int:
    return crc32(msgspec.json.encode(filters))
