"""What differs between two values, as a list a person can read.

Values are plain data, as `PlainValues` has them. Equal data have no changes, and
data that aren't equal have at least one.
"""

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from wtb.domain.identifiers import Digest
from wtb.sdk.plain_values import CLASS, Mark, PlainValues, mark

CONTEXT_LINES = 2
LONGEST_ALIGNMENT = 40_000
"""Where aligning takes more comparisons than this, what stands at the same place is compared."""
LONGEST_TEXT = 4_000_000
"""Lines times lines beyond which texts aren't aligned."""
BRIEF = 72


@dataclass(frozen=True, slots=True)
class Change:
    """One place where two values differ."""

    path: str
    """Such as ``messages[3].content``: a channel, then keys, fields and places. Places are those in ``after``, or in
    ``before`` for what was removed."""
    kind: Literal["added", "removed", "changed"]
    before: Any = None
    after: Any = None
    text: str | None = None
    """A unified diff, where both are texts and one has several lines."""

    def __str__(self) -> str:
        match self.kind:
            case "added":
                return f"+ {self.path}: {brief(self.after)}"
            case "removed":
                return f"- {self.path}: {brief(self.before)}"
            case "changed":
                before, after = _around(self.before, self.after)
                return f"~ {self.path}: {before} → {after}"


def changes(path: str, before: Any, after: Any) -> Iterator[Change]:
    """Where two values differ, in the order of the values."""
    if type(before) is dict and type(after) is dict and before.get(CLASS) == after.get(CLASS):
        yield from _of_mappings(path, before, after)
    elif type(before) is list and type(after) is list:
        yield from _of_lists(path, before, after)
    elif mark(before) != mark(after):
        yield Change(path, "changed", before, after, _lines(before, after))


def between(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    """Where channels' values differ; a channel that only one side has was added or removed."""
    for channel in dict.fromkeys((*before, *after)):
        if channel not in after:
            yield Change(channel, "removed", before=before[channel])
        elif channel not in before:
            yield Change(channel, "added", after=after[channel])
        else:
            yield from changes(channel, before[channel], after[channel])


def _of_mappings(path: str, before: dict[Any, Any], after: dict[Any, Any]) -> Iterator[Change]:
    for key in dict.fromkeys((*before, *after)):
        place = f"{path}.{key}" if isinstance(key, str) and key.isidentifier() else f"{path}[{key!r}]"
        if key not in after:
            yield Change(place, "removed", before=before[key])
        elif key not in before:
            yield Change(place, "added", after=after[key])
        else:
            yield from changes(place, before[key], after[key])


def _of_lists(path: str, before: list[Any], after: list[Any]) -> Iterator[Change]:
    for begin, end, start, stop in gaps([*map(mark, before)], [*map(mark, after)]):
        paired = min(end - begin, stop - start)
        for offset in range(paired):
            yield from changes(f"{path}[{start + offset}]", before[begin + offset], after[start + offset])
        for place in range(begin + paired, end):
            yield Change(f"{path}[{place}]", "removed", before=before[place])
        for place in range(start + paired, stop):
            yield Change(f"{path}[{place}]", "added", after=after[place])


def gaps(before: Sequence[Mark | str], after: Sequence[Mark | str]) -> list[tuple[int, int, int, int]]:
    """Where two sequences part: (begin, end) in the one and (start, stop) in the other, in order.

    Linear where they differ in one place, and where what differs is long.
    """
    first = 0
    shorter = min(len(before), len(after))
    while first < shorter and before[first] == after[first]:
        first += 1
    last = 0
    while last < shorter - first and before[-1 - last] == after[-1 - last]:
        last += 1
    end, stop = len(before) - last, len(after) - last
    if first == end and first == stop:
        return []
    if (end - first) * (stop - first) > LONGEST_ALIGNMENT:
        return _same_places(before, after, first, end, stop)
    matcher = difflib.SequenceMatcher(None, before[first:end], after[first:stop], autojunk=False)
    return [(first + i, first + j, first + k, first + m) for tag, i, j, k, m in matcher.get_opcodes() if tag != "equal"]


def _same_places(
    before: Sequence[Mark | str], after: Sequence[Mark | str], first: int, end: int, stop: int
) -> list[tuple[int, int, int, int]]:
    """Gaps of two long stretches: each place at which they differ, and what the longer one has more."""
    found: list[tuple[int, int, int, int]] = []
    both = min(end, stop)
    place = first
    while place < both:
        begin = place
        while place < both and before[place] != after[place]:
            place += 1
        if begin < place:
            found.append((begin, place, begin, place))
        else:
            place += 1
    if end != stop:
        found.append((both, end, both, stop))
    return found


# --- of values that are named by digest --------------------------------------------------------------


def unequal(values: PlainValues, a: Mapping[str, Digest], b: Mapping[str, Digest]) -> tuple[str, ...]:
    """The channels whose values differ."""
    return tuple(
        channel
        for channel in dict.fromkeys((*a, *b))
        if channel not in a or channel not in b or not values.same(a[channel], b[channel])
    )


def changed(values: PlainValues, a: Mapping[str, Digest], b: Mapping[str, Digest]) -> tuple[Change, ...]:
    differ = unequal(values, a, b)
    before, after = ({c: values.plain(side[c]) for c in differ if c in side} for side in (a, b))
    return tuple(between(before, after))


def written(values: PlainValues, wrote: Mapping[str, Sequence[Digest]]) -> dict[str, Any]:
    """A channel written to more than once holds a list of what was written."""
    return {
        channel: values.plain(digests[0]) if len(digests) == 1 else [values.plain(digest) for digest in digests]
        for channel, digests in wrote.items()
    }


# --- for people ---------------------------------------------------------------------------------------


def brief(value: Any, length: int = BRIEF) -> str:
    """A value in one line."""
    if isinstance(value, dict) and CLASS in value:
        fields = ", ".join(f"{key}={brief(part, length)}" for key, part in value.items() if key != CLASS and part)
        line = f"{value[CLASS]}({fields})"
    else:
        line = json.dumps(value, ensure_ascii=False, default=str)
    return line if len(line) <= length else line[: length - 1] + "…"


def _around(before: Any, after: Any) -> tuple[str, str]:
    """Both in one line each; of long texts that begin alike, the part where they don't."""
    if not (isinstance(before, str) and isinstance(after, str)):
        return brief(before), brief(after)
    shorter = min(len(before), len(after))
    alike = next((place for place in range(shorter) if before[place] != after[place]), shorter)
    skipped = alike - BRIEF // 3 if max(len(before), len(after)) > BRIEF and alike > BRIEF // 2 else 0
    lead = "…" if skipped else ""
    return brief(lead + before[skipped:]), brief(lead + after[skipped:])


def _lines(before: Any, after: Any) -> str | None:
    if not (isinstance(before, str) and isinstance(after, str) and ("\n" in before or "\n" in after)):
        return None
    old, new = before.splitlines(), after.splitlines()
    if len(old) * len(new) > LONGEST_TEXT:
        return None
    return "\n".join(difflib.unified_diff(old, new, "before", "after", n=CONTEXT_LINES, lineterm=""))
