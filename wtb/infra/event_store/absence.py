"""Events that aren't there: which ones they were, as far as what is left can tell."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from wtb.domain.identifiers import Position, StreamName, Version
from wtb.infra.event_store.finding import Finding

MOST = 1_000
"""Holes and gaps that are kept."""
ENDLESS = 2**63 - 1


class Hole(NamedTuple):
    """Positions from one to another that no event has."""

    first: int
    last: int


@dataclass(slots=True)
class Gap:
    """Versions of a stream that are missing, somewhere between two positions."""

    stream: str
    first: int
    last: int
    low: int
    """The position of the stream's event before them; 0 when there is none."""
    high: int
    """The position of the one after them; `ENDLESS` when there is none."""
    next_version: int = 0
    next_type: str = ""
    """Of the event after them."""
    turned_up: bool = False
    """Some of them stand further on."""
    in_a_hole: bool = False


class Absence:
    """Collects holes between positions and gaps between versions, and puts them together."""

    def __init__(self, *, dense: bool) -> None:
        self._dense = dense
        self._holes: list[Hole] = []
        self._gaps: dict[str, list[Gap]] = {}
        self._kept = 0

    def hole(self, hole: Hole) -> None:
        if len(self._holes) < MOST:
            self._holes.append(hole)

    def gap(self, gap: Gap) -> None:
        if self._kept < MOST:
            self._kept += 1
            self._gaps.setdefault(gap.stream, []).append(gap)

    def filled(self, stream: str, version: int) -> Gap | None:
        """Hear that a version turned up late; the gap it was missing from, when it is the first to do so."""
        for gap in self._gaps.get(stream, ()):
            if gap.first <= version <= gap.last:
                gap.turned_up = True
                return gap
        return None

    def indexed(self, dangling: Iterable[tuple[str, int]], heads: Mapping[str, tuple[int, object, int]]) -> None:
        """Hear of index entries that lead to no event: they tell of streams whose ends are gone."""
        for stream, version in dangling:
            last, _, position = heads.get(stream, (0, None, 0))
            gaps = self._gaps.setdefault(stream, [])
            if version <= last:
                if not any(gap.first <= version <= gap.last for gap in gaps):
                    gaps.append(Gap(stream, version, version, 0, ENDLESS))
            elif gaps and gaps[-1].high == ENDLESS and gaps[-1].first == last + 1:
                gaps[-1].last = version
            else:
                gaps.append(Gap(stream, last + 1, version, position, ENDLESS))

    def findings(self, given: int | None, last: int) -> list[tuple[float, Finding]]:
        """``given``: the last position that was ever given, where positions are dense; ``last``: that there is."""
        holes = list(self._holes)
        if given is not None and given > last:
            holes.append(Hole(last + 1, given))
        renumbered = given is not None and given < last
        gaps = [gap for of_stream in self._gaps.values() for gap in of_stream if not gap.turned_up]
        found: list[tuple[float, Finding]] = [(hole.first, _of_hole(hole, gaps, renumbered)) for hole in holes]
        if renumbered and not holes:
            what = f"the log ends at position {last}, but none beyond {given} was ever given"
            found.append((last, Finding("reordered", Position(last), None, None, None, what)))
        found.extend((gap.high, _of_gap(gap)) for gap in gaps if not gap.in_a_hole)
        return found


def _of_hole(hole: Hole, gaps: Sequence[Gap], renumbered: bool) -> Finding:
    fitting = [gap for gap in gaps if gap.low < hole.first < gap.high]
    for gap in fitting:
        gap.in_a_hole = True
    many = "" if hole.first == hole.last else f", nor any up to {hole.last}"
    if len(fitting) == 1:
        [gap] = fitting
        version = gap.first
        gap.first = min(gap.last, gap.first + hole.last - hole.first + 1)  # the next hole has the next of them
        what = f"no event has this position{many}, and its stream lacks this version"
        return Finding("removed", Position(hole.first), StreamName(gap.stream), Version(version), None, what)
    if renumbered:
        what = f"no event has this position{many}: those after it were renumbered"
        return Finding("reordered", Position(hole.first), None, None, None, what)
    if fitting:
        streams = ", ".join(f"{gap.stream} version {gap.first}" for gap in fitting[:5])
        what = f"no event has this position{many}; missing are {streams}"
    else:
        what = f"no event has this position{many}: removed, or those after it were renumbered"
    return Finding("removed", Position(hole.first), None, None, None, what)


def _of_gap(gap: Gap) -> Finding:
    where = f"after position {gap.low}" + ("" if gap.high == ENDLESS else f" and before {gap.high}")
    return Finding("removed", None, StreamName(gap.stream), Version(gap.first), None, f"it was {where}")
