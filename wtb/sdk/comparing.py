"""Comparing: reads both sides' paths, tells by digests what may differ, and looks at the values of that alone."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest

from wtb.domain.errors import ExecutionNotFound, InvalidRequest
from wtb.domain.execution import CheckpointSaved
from wtb.domain.identifiers import Digest, known_id
from wtb.infra.langgraph.graphs import is_users
from wtb.projections import executions
from wtb.projections.executions import Execution
from wtb.sdk.changes import changed, gaps, unequal, written
from wtb.sdk.comparison import Comparison, Difference, FirstDifference, Side, StepComparison
from wtb.sdk.plain_values import PlainValues, element
from wtb.sdk.platform import Platform
from wtb.sdk.trail import Trail, Visit, trail
from wtb.sdk.versions import known_changes

BATCH = 50
"""Visits whose values are read at once."""
PAGE = 125
"""Steps read at once while the first difference is looked for."""

SEND = "Send"
"""What a node was sent, in place of the graph's state."""
TASKS = "__pregel_tasks"
_TOLD_OTHERWISE = frozenset({"__error__", "__error_source_node__", "__no_writes__", "__scheduled__"})


# --- The verbs ----------------------------------------------------------------------------------------


def diff(platform: Platform, a: str, b: str | None, at_a: str | None, at_b: str | None, exact: bool) -> Comparison:
    """Raises `ExecutionNotFound`, `CheckpointNotFound` or `InvalidRequest`."""
    two = _Two(platform, a, b, at_a, at_b, exact)
    before, after = [*two.trails[0].visits()], [*two.trails[1].visits()]
    pairs = [*_aligned(before, after)]
    steps = tuple(step for batch in _batches(pairs, BATCH * 10) for step in two.compared(batch))
    versions = known_changes(platform, *(side.execution for side in two.sides))
    return Comparison(*two.sides, steps, two.outcome(), versions, two.states, two.values)


def first_difference(
    platform: Platform, a: str, b: str | None, at_a: str | None, at_b: str | None, exact: bool
) -> FirstDifference | None:
    """Reads no further than the difference. Raises what `diff` raises."""
    two = _Two(platform, a, b, at_a, at_b, exact)
    # The same graph makes the same states of the same writes, so the first one tells of all.
    alike = two.sides[0].execution.graph == two.sides[1].execution.graph
    states = not (alike and all(each.untouched for each in two.trails))
    pairs = zip_longest(two.trails[0].visits(PAGE, states=states), two.trails[1].visits(PAGE, states=states))
    for batch in _batches(pairs, BATCH):
        for (before, after), step in zip(batch, two.compared(batch), strict=True):
            if before is None or after is None or before.path != after.path:
                return two.first("path", before, after, step)
            if step.differs:
                return two.first(step.differs[0], before, after, step)
    outcome = two.outcome()
    if not outcome:
        return None
    changes = changed(two.values, *two.states) if outcome[0] == "state" else ()
    return FirstDifference(outcome[0], None, None, None, (None, None), ({}, {}), changes)


Pair = tuple[Visit | None, Visit | None]


class _Two:
    """Both sides of a comparison, and the values they have in common."""

    def __init__(
        self, platform: Platform, a: str, b: str | None, at_a: str | None, at_b: str | None, exact: bool
    ) -> None:
        if b is None and at_a is None and at_b is None:
            raise InvalidRequest(
                f"execution {a!r} has nothing to be compared with",
                hint="Name a second execution, or one checkpoint or two of the first.",
            )
        found = _execution(platform, a), _execution(platform, b if b is not None else a)
        self.values = PlainValues(platform.store, platform.saver.history.serde, exact=exact)
        self.trails: tuple[Trail, Trail] = (trail(platform, found[0].id, at_a), trail(platform, found[1].id, at_b))
        self.sides = _side(found[0], self.trails[0], at_a), _side(found[1], self.trails[1], at_b)
        self.states = _channels(self.trails[0].end), _channels(self.trails[1].end)

    def compared(self, pairs: Sequence[Pair]) -> list[StepComparison]:
        """Visits beside each other; the values of all of them are read at once."""
        told = [_NOTHING if _alike(before, after) else (_told(before), _told(after)) for before, after in pairs]
        self.values.learn(
            digest
            for (before, after), (a, b) in zip(pairs, told, strict=True)
            if before and after and before.path == after.path
            for one, other in zip(a, b, strict=True)
            for digest in _candidates(one, other)
        )
        return [self._compared(*pair, *each) for pair, each in zip(pairs, told, strict=True)]

    def _compared(self, before: Visit | None, after: Visit | None, a: "_Told", b: "_Told") -> StepComparison:
        differs: tuple[Difference, ...] = ("path",)
        if before and after and before.path == after.path:
            differs = () if a is b else tuple(self._differences(before, after, a, b))
        visit = before or after
        assert visit is not None
        return StepComparison(
            visit.path,
            before.last if before else None,
            after.last if after else None,
            (len(before.tries) if before else 0, len(after.tries) if after else 0),
            differs,
            (a.saw, b.saw),
            (a.wrote, b.wrote),
            self.values,
        )

    def _differences(self, before: Visit, after: Visit, a: "_Told", b: "_Told") -> Iterator[Difference]:
        """In the order in which one leads to another."""
        if unequal(self.values, a.saw, b.saw):
            yield "input"
        outcomes_a, outcomes_b = _outcomes(before), _outcomes(after)
        if [*filter(None, outcomes_a)] != [*filter(None, outcomes_b)]:
            yield "error"
        if len(outcomes_a) != len(outcomes_b):
            yield "attempts"
        if a.wrote.keys() != b.wrote.keys() or any(
            not self._same(wrote, b.wrote[channel]) for channel, wrote in a.wrote.items()
        ):
            yield "writes"
        if before.last.status != after.last.status:
            yield "status"

    def _same(self, before: Sequence[Digest], after: Sequence[Digest]) -> bool:
        return len(before) == len(after) and all(map(self.values.same, before, after))

    def outcome(self) -> tuple[Difference, ...]:
        """How the ends differ."""
        a, b = self.sides
        found: list[Difference] = []
        if not (a.named or b.named):
            if a.execution.status != b.execution.status:
                found.append("status")
            if _error(a.execution) != _error(b.execution):
                found.append("error")
        if unequal(self.values, *self.states):
            found.append("state")
        return tuple(found)

    def first(
        self, what: Difference, before: Visit | None, after: Visit | None, step: StepComparison
    ) -> FirstDifference:
        wrote_a, wrote_b = (written(self.values, wrote) for wrote in step._wrote)
        apart = before is None or after is None or before.path != after.path
        return FirstDifference(
            what,
            step.node,
            step.a,
            step.b,
            (step.a.position if step.a else None, step.b.position if step.b else None),
            (wrote_a, wrote_b),
            () if apart else step.saw if what == "input" else step.wrote,
        )


# --- What is compared ---------------------------------------------------------------------------------


def _execution(platform: Platform, named: str) -> Execution:
    with platform.reading() as connection:
        found = executions.get(connection, known_id(named))
    if found is None:
        raise ExecutionNotFound(named)
    return found


def _side(execution: Execution, path: Trail, at: str | None) -> Side:
    end = path.end
    return Side(execution, end.checkpoint if end else None, end.step if end else None, at is not None)


def _error(execution: Execution) -> tuple[str | None, ...]:
    return execution.error_type, execution.error_message, execution.failed_node


def _outcomes(visit: Visit) -> list[tuple[str | None, str | None] | None]:
    """Each try's error, None where it had none; without those that died with their process, in which it had no part."""
    return [
        (each.error_type, each.error_message) if each.error_type else None
        for each in visit.tries
        if each.status != "lost"
    ]


def _channels(saved: CheckpointSaved | None) -> dict[str, Digest]:
    """The user's channels that hold a value."""
    if saved is None:
        return {}
    return {
        channel: digest for channel, (_, digest) in saved.channels.items() if digest is not None and is_users(channel)
    }


@dataclass(frozen=True, slots=True)
class _Told:
    """What a visit saw and wrote, by digest."""

    saw: Mapping[str, Digest]
    wrote: Mapping[str, Sequence[Digest]]

    def __iter__(self) -> Iterator[Mapping[str, Sequence[Digest]]]:
        yield {channel: (digest,) for channel, digest in self.saw.items()}
        yield self.wrote


_NOTHING = (nothing := _Told({}, {}), nothing)


def _alike(before: Visit | None, after: Visit | None) -> bool:
    """A quick look: whether two visits are the same by digest, which spares most a closer look."""
    if before is None or after is None or len(before.tries) > 1 or len(after.tries) > 1 or before.path != after.path:
        return False
    a, b = before.last, after.last
    return (
        a.writes == b.writes
        and (a.status, a.error_type, a.error_message) == (b.status, b.error_type, b.error_message)
        and _seen(before) == _seen(after)
    )


def _told(visit: Visit | None) -> _Told:
    if visit is None:
        return _Told({}, {})
    wrote: dict[str, list[Digest]] = {}
    for write in visit.last.writes:
        if write.channel not in _TOLD_OTHERWISE:
            wrote.setdefault(write.channel, []).append(write.value)
    return _Told(_seen(visit), wrote)


def _seen(visit: Visit) -> dict[str, Digest]:
    seen = _channels(visit.saved)
    kind, _, place = visit.last.path.partition(", ")
    if kind == "~__pregel_push" and visit.saved is not None:
        sent = visit.saved.channels.get(TASKS, (0, None))[1]
        number = place.partition(",")[0]
        if sent is not None and number.isdigit():
            return {SEND: element(sent, int(number))}
    return seen


def _candidates(a: Mapping[str, Sequence[Digest]], b: Mapping[str, Sequence[Digest]]) -> Iterator[Digest]:
    """The values that must be known to tell whether two sides differ: those not equal by digest."""
    for channel, before in a.items():
        after = b.get(channel, ())
        if len(before) == len(after):
            for one, other in zip(before, after, strict=True):
                if one != other:
                    yield one
                    yield other


# --- Side by side -------------------------------------------------------------------------------------


def _aligned(before: Sequence[Visit], after: Sequence[Visit]) -> Iterator[Pair]:
    place_a = place_b = 0
    for begin, end, start, stop in gaps([visit.path for visit in before], [visit.path for visit in after]):
        yield from zip(before[place_a:begin], after[place_b:start], strict=True)
        yield from ((visit, None) for visit in before[begin:end])
        yield from ((None, visit) for visit in after[start:stop])
        place_a, place_b = end, stop
    yield from zip(before[place_a:], after[place_b:], strict=True)


def _batches(pairs: Iterable[Pair], size: int) -> Iterator[list[Pair]]:
    each = iter(pairs)
    while batch := [*islice(each, size)]:
        yield batch
