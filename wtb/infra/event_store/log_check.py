"""The whole log, event by event in order of position: chains, versions, positions and seals."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import NamedTuple

from wtb.domain.audit import AUDIT_STREAM, LogSealed
from wtb.domain.errors import NotAStore
from wtb.domain.event_log import GENESIS
from wtb.domain.identifiers import Position, StreamName, Version
from wtb.infra.event_store.absence import Absence, Gap, Hole
from wtb.infra.event_store.chain import link
from wtb.infra.event_store.compaction import expand
from wtb.infra.event_store.finding import Finding, Kind
from wtb.infra.event_store.recorder import RawRow
from wtb.infra.event_store.seal import CHAIN_BYTES, covered, opening

MOST = 1_000
"""Findings of one sort that are kept: what comes after the first few says little."""

UNFOLLOWED = "the seal before it isn't the one that it follows"

Ranked = tuple[float, Finding]
"""A finding and the position by which it is put in order."""


class Head(NamedTuple):
    """How far a stream has been followed: its last event's version, chain digest (None: unknown) and position."""

    version: int
    chain: str | None
    position: int


BEGINNING = Head(0, GENESIS, 0)


class StoredSeal(NamedTuple):
    position: int
    version: int
    fact: LogSealed


class Opened(NamedTuple):
    """An event without its wrapping: its chain digest, and what that is over."""

    chain: bytes
    content: bytes


class _Misfit(NamedTuple):
    """An event that didn't follow the one before it, and its place among what was found."""

    place: int
    version: int
    topic: str
    event: Opened
    before: Head


def opened(stored: object) -> Opened | None:
    """None for bytes that never were an event."""
    if not isinstance(stored, bytes):
        return None
    try:
        state = expand(stored)
    except NotAStore:
        return None
    if state[CHAIN_BYTES : CHAIN_BYTES + 1] != b"\n":
        return None
    return Opened(state[:CHAIN_BYTES], state[CHAIN_BYTES + 1 :])


def type_of(topic: str) -> str:
    return str(topic).partition("@")[0]


class LogCheck:
    """Follows the log page by page; holds a few words for each stream and nothing for an event."""

    def __init__(self, seals: Sequence[StoredSeal], *, dense: bool) -> None:
        """``dense``: positions have no gaps, so each hole is a removed event or a changed position."""
        self.events = 0
        self.position = 0
        self.heads: dict[str, Head] = {}
        self.absence = Absence(dense=dense)
        self._dense = dense
        self._found: list[Ranked] = []
        self._suspects: dict[str, _Misfit] = {}
        """Each stream's last misfit."""
        self._seals = iter(seals)
        self._judged: list[tuple[StoredSeal, str]] = []
        self._seal: StoredSeal | None = None
        self._until = 0
        self._next_seal()

    def follow(self, rows: Iterable[RawRow]) -> list[bytes]:
        """Look at the next events, in order of position. Returns what each says, nothing for one that can't be read."""
        heads = self.heads
        contents: list[bytes] = []
        for position, stream, version, topic, stored in rows:
            if self._dense and position != self.position + 1:
                self.absence.hole(Hole(self.position + 1, position - 1))
            while self._seal is not None and position > self._until:
                self._judge()
            self.position = position
            self.events += 1
            if not (type(stream) is type(topic) is str and type(version) is int):
                # SQLite takes anything in any column.
                self._changed(position, str(stream), None, str(topic), "its stream, version or type can't be read")
                contents.append(b"")
                continue
            event = opened(stored)
            before = heads.get(stream, BEGINNING)
            if event is None:
                self._changed(position, stream, version, topic, "its bytes can't be read")
                heads[stream] = Head(max(version, before.version), None, position)
                chain, content = b"", b""
            else:
                chain, content = event
                told = str(chain, "latin-1")
                if version != before.version + 1:
                    self._out_of_order(position, stream, version, topic, before, told)
                else:
                    if before.chain is not None and link(before.chain, stream, version, topic, content) != told:
                        self._misfit(position, stream, version, topic, event, before)
                    heads[stream] = Head(version, told, position)
            contents.append(content)
            if self._seal is not None:
                self._covered.append(covered(position, stream, version, chain))
        self._digest_covered()
        return contents

    # --- one event that isn't what should follow ---------------------------------------------------

    def _out_of_order(self, position: int, stream: str, version: int, topic: str, before: Head, chain: str) -> None:
        if version > before.version:
            self.absence.gap(
                Gap(stream, before.version + 1, version - 1, before.position, position, version, type_of(topic))
            )
            # The chain can't be followed across what is missing: this event is taken as it is.
            self.heads[stream] = Head(version, chain, position)
        elif (ahead := self.absence.filled(stream, version)) is not None:
            self._note(
                "reordered",
                ahead.high,
                stream,
                ahead.next_version,
                ahead.next_type,
                f"it stands before version {version}, which is at position {position}",
            )
        else:
            self._note("inserted", position, stream, version, type_of(topic), "its version isn't one of this stream's")

    def _misfit(self, position: int, stream: str, version: int, topic: str, event: Opened, before: Head) -> None:
        """An event that doesn't follow the one before it; it may tell what the misfit before it was."""
        told = str(event.chain, "latin-1")
        earlier = self._suspects.pop(stream, None)
        if (
            earlier is not None
            and earlier.version + 1 == version
            and earlier.before.chain is not None
            and link(earlier.before.chain, stream, version - 1, topic, event.content) == told
        ):
            # This one follows what stood before the misfit.
            after_this = link(told, stream, version, earlier.topic, earlier.event.content)
            if after_this == str(earlier.event.chain, "latin-1"):
                self._is_rather(earlier, "reordered", "it and the next event of its stream were swapped")
            else:
                self._is_rather(earlier, "inserted", "the next event of its stream follows the one before it")
        self._suspects[stream] = _Misfit(len(self._found), version, topic, event, before)
        self._changed(position, stream, version, topic, "what it says doesn't match its chain digest")

    def _is_rather(self, misfit: "_Misfit", kind: Kind, detail: str) -> None:
        if misfit.place < len(self._found):
            rank, finding = self._found[misfit.place]
            self._found[misfit.place] = (rank, replace(finding, kind=kind, detail=detail))

    def _changed(self, position: int, stream: str, version: int | None, topic: str, detail: str) -> None:
        self._note("changed", position, stream, version, type_of(topic), detail)

    def _note(self, kind: Kind, position: int, stream: str, version: int | None, type: str, detail: str) -> None:
        if len(self._found) < MOST:
            known = None if version is None else Version(version)
            self._found.append((position, Finding(kind, Position(position), StreamName(stream), known, type, detail)))

    # --- seals ----------------------------------------------------------------------------------------

    def _next_seal(self) -> None:
        previous = self._seal
        self._seal = next(self._seals, None)
        self._sealed = 0
        self._covered: list[bytes] = []
        if self._seal is None:
            return
        self._follows = self._seal.fact.previous == (previous.fact.digest if previous is not None else "")
        if not self._follows:
            self._judged.append((self._seal, UNFOLLOWED))
        self._digest = sha256(opening(self._seal.fact.previous))
        self._begins = self._until + 1
        self._until = self._seal.fact.through

    def _judge(self) -> None:
        """Compare a seal with what was found up to where it goes."""
        assert self._seal is not None
        self._digest_covered()
        fact = self._seal.fact
        # Where the seal before is gone it can't be known what this one covers.
        if self._follows and (self._digest.hexdigest() != fact.digest or self._sealed != fact.events):
            counted = "" if self._sealed == fact.events else f" ({self._sealed} events, {fact.events} were sealed)"
            self._judged.append(
                (self._seal, f"positions {self._begins} to {fact.through} don't hold what was sealed{counted}")
            )
        self._next_seal()

    def _digest_covered(self) -> None:
        """Events are digested many at a time."""
        if self._covered:
            self._sealed += len(self._covered)
            self._digest.update(b"".join(self._covered))
            self._covered = []

    def finish(self) -> list[Ranked]:
        """What was found, once all events have been followed."""
        while self._seal is not None and self._until <= self.position:
            self._judge()
        while self._seal is not None:
            what = f"the log ends at position {self.position}, and was sealed through {self._seal.fact.through}"
            self._judged.append((self._seal, what))
            self._next_seal()
        # A seal that was itself tampered with is told as that, not by what it says of others.
        untrue = {(finding.stream, finding.version) for _, finding in self._found}
        for seal, what in self._judged:
            if (AUDIT_STREAM, seal.version) not in untrue:
                rank = seal.position if what is UNFOLLOWED else seal.fact.through
                self._found.append((rank, _of_seal(seal, what)))
        return self._found


def _of_seal(seal: StoredSeal, what: str) -> Finding:
    return Finding("seal", Position(seal.position), AUDIT_STREAM, Version(seal.version), LogSealed.__name__, what)
