"""The stored values: whether each one's bytes are those it is named by, and whether events name none that is gone."""

import re
from collections.abc import Iterable, Iterator

from wtb.domain.digests import digests_of
from wtb.domain.errors import NotAStore, UnknownEvent
from wtb.domain.event_log import Value
from wtb.domain.identifiers import Digest, Position, StreamName, Version, is_batch
from wtb.infra.event_store import codec
from wtb.infra.event_store.compaction import expand
from wtb.infra.event_store.finding import Finding
from wtb.infra.event_store.recorder import RawRow, Recorder
from wtb.infra.event_store.values import FILES, digest_of, unpacked
from wtb.infra.event_store.values import parts as parts_of

PAGE = 500
REMEMBERED = 100_000
"""Digests known to be stored that are remembered, some 10 MB."""
MOST = 1_000

MADE_OF_OTHERS = {"list", "chunk", FILES}
"""Kinds of values."""

_QUOTED = re.compile(rb'"([\w-]{43})"')
"""What may be a digest in an event's JSON."""


class ValueCheck:
    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self.count = 0
        self.bad: dict[Digest, str] = {}
        """What is wrong with a value, or with one of those that it is made of."""
        self._stored: set[Digest] = set()
        self._told: dict[str, tuple[int, Finding]] = {}
        """Stream to the first event that names a value which is bad or gone."""
        self._named: set[Digest] = set()
        self._gone: dict[str, set[Digest]] = {}
        """Stream to the values that its events name and that aren't stored."""
        self._of_batches: list[tuple[int, Digest, Finding]] = []
        """What is gone of what batches name: position, value and finding."""

    # --- the values themselves ------------------------------------------------------------------------

    def look_at_all(self) -> None:
        """Compare each value with its name. Those made of bad ones are bad too."""
        for page in self._pages():
            made_of: dict[Digest, list[Digest]] = {}
            for digest, kind, data in page:
                self.count += 1
                flaw, parts = _judged(digest, kind, data)
                if flaw:
                    self._blame(digest, flaw)
                elif parts:
                    made_of[digest] = parts
            stored = self._known(part for parts in made_of.values() for part in parts)
            for digest, parts in made_of.items():
                gone = next((part for part in parts if part not in stored), None)
                if gone is not None:
                    self._blame(digest, f"its part {gone} isn't stored")
        self.bad = {digest: flaw for digest, flaw in self.bad.items() if self._is_still_bad(digest)}
        for _ in range(2) if self.bad else ():  # a list is made of chunks, and those of elements
            for page in self._pages():
                for digest, kind, data in page:
                    if digest not in self.bad and kind.removesuffix("+zstd") in MADE_OF_OTHERS:
                        part = next((part for part in _judged(digest, kind, data)[1] if part in self.bad), None)
                        if part is not None:
                            self._blame(digest, f"of its part {part}: {self.bad[part]}")

    def _pages(self) -> Iterator[Iterable[tuple[Digest, str, bytes]]]:
        after = ""
        while True:
            page = _Page(self._recorder.raw_values(after, PAGE))
            yield page
            if page.last is None:
                return
            after = page.last

    def _blame(self, digest: Digest, flaw: str) -> None:
        if len(self.bad) < MOST:
            self.bad[digest] = flaw

    def _is_still_bad(self, digest: Digest) -> bool:
        """A value may have been erased, with those it was made of, while it was looked at."""
        found = self._recorder.read_values([digest]).get(digest)
        if found is None:
            return False
        flaw, parts = _judged(digest, *found)
        return bool(flaw) or len(self._recorder.known(parts)) < len(set(parts))

    # --- the events that name them -------------------------------------------------------------------

    def look_for(self, rows: Iterable[RawRow], contents: Iterable[bytes]) -> None:
        """Look for the values that events name; ``contents`` are the events' headers and facts."""
        named = [
            (row, {Digest(found.decode()) for found in _QUOTED.findall(content)})
            for row, content in zip(rows, contents, strict=True)
        ]
        stored = self._known(digest for _, digests in named for digest in digests)
        for row, digests in named:
            if not (stored >= digests) or not self.bad.keys().isdisjoint(digests):
                self._look_closer(row, stored)

    def _known(self, digests: Iterable[Digest]) -> set[Digest]:
        """Which of these are stored; as of now, or of a moment ago."""
        wanted = set(digests)
        asked = wanted - self._stored
        found = self._recorder.known(asked) if asked else set()
        if len(self._stored) > REMEMBERED:
            self._stored = set()
        known = wanted & self._stored | found
        self._stored |= found
        return known

    def _look_closer(self, row: RawRow, stored: set[Digest]) -> None:
        """Whatever is quoted and isn't stored may be something else, such as a node's name."""
        position, stream, version, topic, state = row
        try:
            fact = codec.decode(position, stream, version, topic, expand(state)).fact
        except (NotAStore, UnknownEvent):
            return  # told as changed, or written by a later WTB
        for digest in digests_of(fact):
            flaw = self.bad.get(digest) or (None if digest in stored else "it isn't stored")
            if flaw is None:
                continue
            self._named.add(digest)
            what = f"value {digest}: {flaw}"
            finding = Finding(
                "value", Position(position), StreamName(stream), Version(version), type(fact).__name__, what
            )
            if digest not in stored and digest not in self.bad:
                self._gone.setdefault(stream, set()).add(digest)
                if is_batch(stream):
                    self._of_batches.append((position, digest, finding))
                    continue
            self._told.setdefault(stream, (position, finding))

    def finish(self, accounted: set[StreamName]) -> list[tuple[float, Finding]]:
        """What was found. ``accounted`` are the streams of executions whose values were taken away on purpose.

        A batch names what its executions name; what was taken from those is gone from it on purpose, too.
        """
        taken = {digest for stream in accounted for digest in self._gone.get(stream, ())}
        for position, digest, finding in self._of_batches:
            if digest not in taken:
                self._told.setdefault(finding.stream or "", (position, finding))
        found: list[tuple[float, Finding]] = [
            told
            for stream, told in self._told.items()
            if stream not in accounted or "isn't stored" not in told[1].detail
        ]
        for digest, flaw in self.bad.items():
            if digest not in self._named and "of its part" not in flaw:
                what = f"value {digest}: {flaw}; no event names it"
                found.append((float("inf"), Finding("value", None, None, None, None, what)))
        return found


class _Page:
    """Values one at a time; then ``last`` is the last one's digest."""

    def __init__(self, rows: Iterator[tuple[str, str, bytes]]) -> None:
        self._rows = rows
        self.last: str | None = None

    def __iter__(self) -> Iterator[tuple[Digest, str, bytes]]:
        for digest, kind, data in self._rows:
            self.last = digest
            yield Digest(digest), kind, data


def _judged(digest: Digest, kind: str, data: bytes) -> tuple[str, list[Digest]]:
    """What is wrong with a value by itself, and the values it is made of."""
    try:
        kind, data = unpacked(Value(kind, data))
        if digest_of(kind, data) != digest:
            return "its bytes aren't those that it is named by", []
        return "", parts_of(kind, data)
    except NotAStore:
        return "its bytes can't be read", []
