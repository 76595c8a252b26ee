"""What commands print: tables for people on stdout, or one JSON document."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
from pydantic import BaseModel
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

UNLIMITED = 10_000
"""Columns where the output isn't a terminal: whoever reads a pipe wants whole values."""

STATUS_STYLES = {
    "completed": "green",
    "running": "cyan",
    "paused": "yellow",
    "stopped": "yellow",
    "timed_out": "red",
    "interrupted": "yellow",
    "failed": "red",
    "lost": "magenta",
    "cancelled": "dim",
}


class _Console(Console):
    def on_broken_pipe(self) -> None:
        raise BrokenPipeError  # the group of commands ends it


def console(*, stderr: bool = False) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    return _Console(stderr=stderr, highlight=False, width=None if stream.isatty() else UNLIMITED)


# --- for programs -------------------------------------------------------------------------------------


def print_json(document: object) -> None:
    """One JSON document, indented."""
    sys.stdout.write(msgspec.json.format(json_of(document), indent=2).decode() + "\n")


def json_of(value: object) -> bytes:
    return msgspec.json.encode(plain(value), enc_hook=str)


def plain(value: Any) -> Any:
    """A value as JSON can say it: rows and models as objects; what has no form of its own as text."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case Mapping():
            return {str(key): plain(part) for key, part in value.items()}
        case list() | tuple() | set() | frozenset():
            return [plain(part) for part in value]
        case timedelta():
            return value // timedelta(microseconds=1)
        case BaseModel():
            return plain(value.model_dump())
        case msgspec.Struct():
            return plain(msgspec.structs.asdict(value))
        case _ if is_dataclass(value) and not isinstance(value, type):
            return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
        case _:
            return value


# --- for people ---------------------------------------------------------------------------------------


def text(value: object, style: str = "") -> Text:
    """A value as it may stand in a terminal: no markup of ours in it, and no control characters of its own."""
    shown = "" if value is None else str(value)
    return Text("".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in shown), style=style)


def brief(value: object, length: int = 100) -> str:
    """A value in one line."""
    line = value if isinstance(value, str) else json_of(value).decode()
    line = " ".join(line.split())
    return line if len(line) <= length else line[: length - 1] + "…"


def full(value: object) -> str:
    """A value as it is: texts as text, anything else as indented JSON."""
    return value if isinstance(value, str) else msgspec.json.format(json_of(value), indent=2).decode()


def status(value: str) -> Text:
    return text(value, STATUS_STYLES.get(value, ""))


def moment(time: datetime | None) -> str:
    """In the local zone, to the second."""
    return "" if time is None else time.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def duration(microseconds: int | None) -> str:
    if microseconds is None:
        return ""
    return f"{microseconds / 1000:.1f} ms" if microseconds < 1_000_000 else f"{microseconds / 1_000_000:.1f} s"


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """Columns under heads; cells that aren't `Text` are shown as `text`. The first column is never cut."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for place, head in enumerate(heads):
        made.add_column(head, no_wrap=place == 0, overflow="fold")
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else text(cell) for cell in row))
    return made


def properties(rows: Iterable[tuple[str, object]]) -> Table:
    """Names and values; those without a value are left out."""
    made = Table(box=None, show_header=False, pad_edge=False)
    made.add_column(style="bold", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in rows:
        if value not in (None, ""):
            made.add_row(name, value if isinstance(value, Text) else text(value))
    return made
