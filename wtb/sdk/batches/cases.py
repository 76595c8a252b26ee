"""Cases: where they come from, what makes one, and what is checked before any of them runs."""

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from langgraph.checkpoint.serde.base import SerializerProtocol
from pydantic_core import PydanticSerializationError, to_json

from wtb.domain import batch as facts
from wtb.domain.errors import InvalidCase, InvalidState, WtbError
from wtb.domain.identifiers import LONGEST_NAME, is_name
from wtb.infra.event_store.journal import Journal
from wtb.infra.langgraph.graphs import RunnableGraph
from wtb.sdk.batches.outcome import Case

Cases = Iterable[object] | str | Path
"""Cases, mappings that tell of one, or states to begin with; or a file of them, JSON Lines or CSV."""

KEYS = frozenset(("id", "input", "expected", "metadata"))
"""What a mapping may have that tells of a case; it must have an ``input``."""

AT_A_TIME = 500
"""Cases in one event."""


class Found(NamedTuple):
    """A case, and where it was found, for messages."""

    case: Case
    where: str


def read_cases(given: Cases) -> list[Found]:
    """The cases in order; those without an id get their number, from 1.

    A mapping with an ``input`` and nothing but ``id``, ``expected`` and
    ``metadata`` beside it tells of a case; whatever else is no `Case` is a state.
    Raises `InvalidCase` with the file and line.
    """
    if isinstance(given, str | Path):
        return _of_file(Path(given))
    if isinstance(given, Mapping):
        raise InvalidCase("cases must be a sequence, not one mapping", hint="Put it into a list.")
    if not isinstance(given, Iterable):
        raise InvalidCase(
            f"cases must be a sequence, not {type(given).__name__}", hint="Give a list, or a file's path."
        )
    return [_found(each, number, f"case number {number}") for number, each in enumerate(given, start=1)]


def _of_file(path: Path) -> list[Found]:
    readers: dict[str, Callable[[Path], list[Found]]] = {".jsonl": _json_lines, ".ndjson": _json_lines, ".csv": _rows}
    read = readers.get(path.suffix.lower())
    if read is None:
        raise InvalidCase(f"{path} is no file of cases", hint="Give a .jsonl or a .csv file.")
    try:
        return read(path)
    except OSError as refusal:
        raise InvalidCase(f"{path} can't be read: {refusal.strerror}", hint="Name a file that is there.") from refusal
    except UnicodeDecodeError as flaw:
        raise InvalidCase(f"{path} isn't UTF-8: {flaw.reason}", hint="Save it as UTF-8.") from flaw


def _json_lines(path: Path) -> list[Found]:
    found: list[Found] = []
    with path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            where = f"{path}, line {number}"
            try:
                content = json.loads(line)
            except ValueError as flaw:
                raise InvalidCase(f"{where} isn't JSON: {flaw}", hint="Put one JSON object in each line.") from flaw
            found.append(_found(content, len(found) + 1, where))
    return found


def _rows(path: Path) -> list[Found]:
    """Columns ``id``, ``expected``, ``metadata.<key>``; ``input.<channel>`` or simply ``<channel>``."""
    found: list[Found] = []
    with path.open(encoding="utf-8-sig", newline="") as lines:
        rows = csv.DictReader(lines)
        _check_header(rows.fieldnames or (), path)
        for row in rows:
            where = f"{path}, line {rows.line_num}"
            if None in row:
                raise InvalidCase(f"{where} has more cells than the header", hint="Put texts with commas into quotes.")
            told: dict[str, Any] = {"input": {}, "metadata": {}}
            for column, text in row.items():
                if text is None or text == "":
                    continue
                part, dot, key = column.partition(".")
                if column == "id":
                    told["id"] = text
                elif column == "expected":
                    told["expected"] = _cell(text)
                elif dot and part in ("input", "metadata"):
                    told[part][key] = _cell(text)
                else:
                    told["input"][column] = _cell(text)
            found.append(_found(told, len(found) + 1, where))
    return found


def _check_header(columns: Sequence[str], path: Path) -> None:
    """Two columns of one meaning would have the last one win."""
    twice = [name for name, times in Counter(c.removeprefix("input.") for c in columns).items() if times > 1]
    if twice:
        raise InvalidCase(f"{path} has more than one column {twice[0]!r}", hint="Give each column a name of its own.")


def _cell(text: str) -> Any:
    """A cell that is JSON (a number, true, a list, a text in quotes) means that; any other is a text."""
    try:
        return json.loads(text, parse_constant=lambda _: text)
    except ValueError:
        return text


def _found(told: object, number: int, where: str) -> Found:
    if isinstance(told, Case):
        return Found(told, f"case {told.id!r}")
    if not (isinstance(told, Mapping) and "input" in told and told.keys() <= KEYS):
        return Found(Case(str(number), told), where)
    id, metadata = told.get("id"), told.get("metadata")
    if metadata is not None and not isinstance(metadata, Mapping):
        raise InvalidCase(f"{where}: its metadata must be a mapping, not a {type(metadata).__name__}")
    return Found(
        Case(str(number) if id is None else str(id), told["input"], told.get("expected"), dict(metadata or {})), where
    )


def check_cases(found: Sequence[Found], graphs: Iterable[RunnableGraph]) -> None:
    """Raise `InvalidCase` for the first one that isn't usable: by its id, or by its input to any of the graphs."""
    if not found:
        raise InvalidCase("there are no cases", hint="Give at least one.")
    places: dict[str, str] = {}
    graphs = [*graphs]
    for case, where in found:
        if not is_name(case.id):
            raise InvalidCase(
                f"{where[:200]}: {str(case.id)[:50]!r} can't be a case's id",
                hint=f"Use a text of up to {LONGEST_NAME} bytes.",
            )
        if case.id in places:
            raise InvalidCase(f"{where}: id {case.id!r} is {places[case.id]}'s already")
        places[case.id] = where
        for graph in graphs:
            try:
                graph.check_input(case.input)
            except InvalidState as misfit:
                raise InvalidCase(f"{_named(case, where)}: {misfit}") from misfit


def kept(found: Iterable[Found], journal: Journal, serde: SerializerProtocol) -> Iterator[facts.Case]:
    """The cases as the store keeps them; what they name is queued in the journal.

    Raises `InvalidCase` for one that can't be stored.
    """
    for case, where in found:
        try:
            to_json(case.metadata)
            yield facts.Case(
                id=case.id,
                input=journal.value(case.input, serde, "(input)"),
                expected=None if case.expected is None else journal.value(case.expected, serde, "(expected)"),
                metadata=dict(case.metadata),
                source=case.source,
            )
        except WtbError:
            raise
        except PydanticSerializationError as reason:
            raise InvalidCase(f"{_named(case, where)}: its metadata isn't plain data: {reason}") from reason
        except Exception as reason:  # whatever a serializer raises: which case it is is what helps
            raise InvalidCase(f"{_named(case, where)} can't be stored: {reason}") from reason


def _named(case: Case, where: str) -> str:
    named = f"case {case.id!r}"
    return named if where == named else f"{named} ({where})"
