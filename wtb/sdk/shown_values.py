"""Values as a page shows them: readable, checked against their digests, and never longer than a page can bear."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from pydantic import BaseModel

from wtb.domain.errors import NotAStore
from wtb.domain.event_log import Value
from wtb.domain.identifiers import NULL_DIGEST, Digest
from wtb.infra.event_store.sqlite import translated_errors
from wtb.infra.event_store.values import FILES, digest_of, parts, unpacked
from wtb.sdk.platform import Platform

SHORT = 100
"""Characters that are shown in the line."""
LONGEST = 5_000
"""Characters of one value that are shown at all."""
ALL = 10_000_000
"""Characters of folded values on one page; what comes after is shown by its beginning only."""
ENDS = 5
"""Elements of a long list that are shown at its beginning and at its end."""


@dataclass(frozen=True, slots=True)
class ShownValue:
    """``text`` is folded away under ``brief``; empty when that is all, or when it was shown before (``again``)."""

    name: str
    brief: str
    text: str
    anchor: str
    again: bool
    flaw: str = ""
    """Why it can't be vouched for: gone, or not what was recorded."""


@dataclass(frozen=True, slots=True)
class _Read:
    beginning: str
    length: int
    """Characters of the whole."""
    flaw: str = ""

    def text(self, most: int = LONGEST) -> str:
        if self.length <= most:
            return self.beginning
        return f"{self.beginning[:most]}… (cut: {self.length:,} characters in all)"


def _read(text: str, flaw: str = "") -> _Read:
    return _Read(text[:LONGEST], len(text), flaw)


class Shown:
    """Reads values and makes them readable, each once."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._read: dict[Digest, _Read] = {}
        self._folded: set[Digest] = set()
        self._left = ALL

    def values(self, named: Sequence[tuple[str, Digest]]) -> list[ShownValue]:
        """Values under the names they go by, in order."""
        self._load({digest for _, digest in named} - self._read.keys())
        return [self._shown(name, digest) for name, digest in named]

    def _shown(self, name: str, digest: Digest) -> ShownValue:
        read = self._read[digest]
        whole = read.text()
        brief = " ".join(whole[: 4 * SHORT].split())
        # Small JSON has its line breaks for nothing; a text has them for something.
        if len(brief) <= SHORT and len(whole) <= 2 * SHORT and ("\n" not in whole or whole.startswith(("{", "["))):
            return ShownValue(name, brief, "", "", False, read.flaw)
        brief = brief if len(brief) < SHORT else brief[: SHORT - 1]
        again = digest in self._folded
        text = "" if again else whole
        if len(text) > self._left:
            return ShownValue(name, brief + "… (not shown whole: the page has got too long)", "", "", False, read.flaw)
        self._left -= len(text)
        self._folded.add(digest)
        return ShownValue(name, brief + "…", text, f"v-{digest}", again, read.flaw)

    # --- reading ----------------------------------------------------------------------------------------

    def _load(self, digests: set[Digest]) -> None:
        if NULL_DIGEST in digests:
            self._read[NULL_DIGEST] = _read("null")
            digests = digests - {NULL_DIGEST}
        for digest, value in self._stored(digests).items():
            self._read[digest] = self._read_value(digest, value)

    def _stored(self, digests: Collection[Digest]) -> dict[Digest, Value | None]:
        """What is stored; None for what is gone: a record is shown even where values were erased."""
        if not digests:
            return {}
        store = self._platform.store
        with translated_errors(store.name):
            found = store.recorder.read_values(digests)
        return {digest: found.get(digest) for digest in digests}

    def _read_value(self, digest: Digest, value: Value | None) -> _Read:
        if value is None:
            return _read(f"(value {digest})", "it isn't stored any more")
        try:
            kind, data = unpacked(value)
            flaw = "" if digest_of(kind, data) == digest else "its bytes aren't those that were recorded"
            if kind in ("list", "chunk"):
                return self._read_list(kind, parts(kind, data), flaw)
            if kind == FILES:
                return _read(self.clean(data.decode(errors="replace")), flaw)
            return _read(self.text_of(self._platform.saver.serde.loads_typed((kind, data))), flaw)
        except (NotAStore, ValueError, TypeError) as damage:
            return _read(f"(value {digest})", f"it can't be read: {self.clean(str(damage))}")

    def _read_list(self, kind: str, parts: list[Digest], flaw: str) -> _Read:
        """A list from its elements, of which only the first and the last are read: conversations grow long."""
        chunks = [parts] if kind == "chunk" else self._chunks(parts)
        elements = [element for chunk in chunks for element in chunk]
        shown = elements if len(elements) <= 2 * ENDS else [*elements[:ENDS], *elements[-ENDS:]]
        self._load(set(shown) - self._read.keys())
        each = LONGEST * 4 // 5 // max(1, len(shown))  # what is said beside them has room too
        each = LONGEST * 4 // 5 // max(1, len(shown))  # what is said beside them has room too
        texts = [self._read[element].text(each) for element in shown]
        flaws = [self._read[element].flaw for element in shown]
        count = ""
        if len(elements) > 2 * ENDS:
            texts.insert(ENDS, f"… {len(elements) - 2 * ENDS} more …")
            count = f"{len(elements)} elements: "
        return _read(f"{count}[\n" + "\n,\n".join(texts) + "\n]", flaw or next((f for f in flaws if f), ""))

    def _chunks(self, chunks: list[Digest]) -> Iterable[list[Digest]]:
        stored = self._stored(set(chunks))
        for digest in chunks:
            value = stored[digest]
            yield [digest] if value is None else parts(*unpacked(value))

    # --- making readable -------------------------------------------------------------------------------

    def text_of(self, value: Any) -> str:
        """Text as it is, anything else as indented JSON; what JSON can't say as Python shows it."""
        if isinstance(value, str):
            return self.clean(value)
        try:
            text = msgspec.json.format(msgspec.json.encode(value, enc_hook=_plain), indent=2).decode()
        except (TypeError, ValueError, RecursionError, OverflowError, msgspec.MsgspecError):
            text = repr(value)
        return self.clean(text)

    @staticmethod
    def clean(text: str) -> str:
        """Without what no page may hold: control characters and halves of surrogate pairs."""
        return "".join(c if (c >= " " and not "\ud800" <= c <= "\udfff") or c in "\n\t" else "\ufffd" for c in text)


def _plain(value: Any) -> Any:
    """What msgspec doesn't know; models without their empty fields, of which messages have many."""
    if isinstance(value, BaseModel):
        return {name: held for name, held in value.model_dump().items() if held not in (None, "", [], {}, ())}
    return str(value)
