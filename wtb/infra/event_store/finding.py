"""What a check of the log found, and what it found wrong."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from wtb.domain.errors import LogNotWhole
from wtb.domain.identifiers import Position, StreamName, Version

Kind = Literal["changed", "removed", "inserted", "reordered", "value", "seal"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that isn't as it was recorded, and the event it is about, as far as that can still be told.

    An event that was removed has no type any more, and where positions have gaps
    no position. ``kind`` is ``value`` when a value that the event names is damaged
    or gone, and ``seal`` when what was sealed is not what is there.
    """

    kind: Kind
    position: Position | None
    stream: StreamName | None
    version: Version | None
    type: str | None
    detail: str

    def __str__(self) -> str:
        parts = [
            "" if self.position is None else f"position {self.position}",
            "" if self.stream is None else f"stream {self.stream}",
            "" if self.version is None else f"version {self.version}",
            self.type or "",
        ]
        where = ", ".join(part for part in parts if part)
        return f"{self.kind}: {where}: {self.detail}" if where else f"{self.kind}: {self.detail}"


@dataclass(frozen=True, slots=True)
class Verification:
    """What was checked, and what is wrong with it: in order of position, the first few only."""

    events: int
    through: Position
    """The position of the last event looked at."""
    streams: int
    values: int
    seals: int
    sealed: Position
    """The last position that a seal vouches for; what comes after can still be rewritten unseen."""
    seal: str
    """The digest of the last seal; empty when there is none."""
    findings: Sequence[Finding]

    @property
    def whole(self) -> bool:
        """Whether nothing was found to be changed, removed, inserted or reordered."""
        return not self.findings

    @property
    def first(self) -> Finding | None:
        return self.findings[0] if self.findings else None

    def raise_for_damage(self) -> "Verification":
        """Itself; raises `LogNotWhole` when something was found."""
        if self.findings:
            raise LogNotWhole(str(self.findings[0]))
        return self
