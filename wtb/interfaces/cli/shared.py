"""What every command is told, and reading what people type."""

import contextlib
import json
import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from wtb.domain.errors import InvalidRequest
from wtb.sdk import TestBench, View
from wtb.sdk.configured import Settings, configured_bench, load_settings
from wtb.sdk.loading import load_implementation


@dataclass(frozen=True, slots=True)
class Shared:
    """The options that all commands have."""

    db: str | None
    config: Path | None
    json: bool
    variants: tuple[str, ...] = ()
    """What is chosen, or what recorded choices may need: ``node=module:attribute`` or ``node=name``."""

    def settings(self, **overrides: Any) -> Settings:
        """Raises `InvalidSettings`."""
        return load_settings(self.config, **{"db": self.db, **overrides})

    @contextmanager
    def bench(self) -> Iterator[TestBench]:
        """A bench on the store the options and settings name. Raises `InvalidSettings` or `StoreError`."""
        with configured_bench(self.settings()) as bench:
            bench.project.variants.chosen(variants(self.variants))
            yield bench

    @contextmanager
    def world(self, as_of: str | None) -> Iterator[TestBench | View]:
        """What answers questions: a bench, or its view of the past. Raises as `bench`, and `InvalidRequest`."""
        when = None if as_of is None else moment_given(as_of)
        with self.bench() as bench:
            yield bench if when is None else bench.as_of(when)

    def command(self, *words: str) -> str:
        """Another ``wtb`` command on the same store, to be typed as it stands."""
        store = ["--db", self.db] if self.db else []
        config = ["--config", str(self.config)] if self.config else []
        return shlex.join([program(), *words, *store, *config])

    @contextmanager
    def output_for_json(self) -> Iterator[None]:
        """With ``--json`` what the user's code prints goes to stderr: stdout holds the document alone."""
        with contextlib.redirect_stdout(sys.stderr) if self.json else contextlib.nullcontext():
            yield


def variants(given: Sequence[str]) -> dict[str, object]:
    """Node path to what stands in for it: ``node=module:attribute``, or ``node=name`` of one that is known here."""
    chosen: dict[str, object] = {}
    for choice in given:
        node, equals, variant = choice.partition("=")
        if not (node and equals and variant):
            raise InvalidRequest(
                f"{choice!r} chooses no variant", hint="Give it as node=module:attribute or node=name."
            )
        chosen[node] = load_implementation(node, variant) if ":" in variant else variant
    return chosen


def program() -> str:
    """What runs this ``wtb`` again: its name where that is on the PATH, else the path it was called by."""
    called = sys.argv[0]
    found = shutil.which("wtb")
    isolated = Path(called).name == "wtb" and (found is None or not Path(found).samefile(called))
    return called if isolated else "wtb"


def json_input(given: str) -> Any:
    """JSON as typed, or from a file (``@file``), or from stdin (``-``). Raises `InvalidRequest`."""
    if given == "-":
        return _json(sys.stdin.read(), "the input on stdin")
    if given.startswith("@"):
        try:
            return _json(Path(given[1:]).expanduser().read_text(encoding="utf-8"), f"the input in {given[1:]}")
        except OSError as refusal:
            raise InvalidRequest(
                f"the input {given[1:]} can't be read: {refusal.strerror}", hint="Name a JSON file after the @."
            ) from refusal
        except UnicodeDecodeError as damage:
            raise InvalidRequest(
                f"the input {given[1:]} isn't UTF-8 text", hint="Save the JSON file as UTF-8."
            ) from damage
    return _json(given, "the input")


def json_answers(given: str) -> dict[str, Any]:
    """Raises `InvalidRequest`."""
    answers = _json(given, "--answers")
    if not isinstance(answers, dict):
        raise InvalidRequest("--answers must be a JSON object", hint='Give it as {"interrupt id": answer, …}.')
    return answers


def moment_given(given: str) -> int | datetime:
    """A position, or a time as ISO 8601 has it: in the local zone, as tables show times, unless it names one.

    Raises `InvalidRequest`.
    """
    if given.lstrip("-").isdecimal():
        return int(given)
    try:
        time = datetime.fromisoformat(given)
        return time if time.tzinfo else time.astimezone()
    except (ValueError, OverflowError, OSError) as nonsense:
        raise InvalidRequest(
            f"{given!r} is neither a position nor a time",
            hint="Give a position of `wtb events`, or a time such as '2026-01-31 12:00:00' or 2026-01-31T12:00:00Z.",
        ) from nonsense


def json_or_text(given: str) -> Any:
    """What JSON says, if it is JSON; else the text itself."""
    try:
        return json.loads(given)
    except ValueError:
        return given


def _json(given: str, what: str) -> Any:
    try:
        return json.loads(given)
    except ValueError as damage:
        raise InvalidRequest(f"{what} isn't JSON: {damage}", hint="""Write it as '{"key": "value"}'.""") from damage
