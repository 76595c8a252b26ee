"""Where each graph's loop stands in a record, and what its nodes are asked there."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from wtb.domain.execution import CheckpointSaved, Completed
from wtb.domain.identifiers import Digest, Namespace
from wtb.infra.langgraph.replay.divergence import Divergence, ReplayedStep
from wtb.infra.langgraph.replay.record import Record, RecordedStep, Segment, channels_of, is_given

if TYPE_CHECKING:
    from wtb.infra.langgraph.replay.replaying import Replaying

ROOT = Namespace("")
PLACE = "__wtb_place"
"""Where a config has the place of the graph that runs under it."""


@dataclass(slots=True)
class Place:
    """Where one run of a graph stands in the record."""

    path: str
    """The path of the node that the graph is, with a slash after it; empty for the outermost."""
    namespace: Namespace | None
    segment: Segment
    stops: bool
    """Whether the replay of this segment ends at its last checkpoint, before anything more is started."""
    closed: bool
    """Whether nothing may be started after the last checkpoint."""
    around: "Place | None" = None
    start: CheckpointSaved | None = None
    """The checkpoint it begins at; it begins with nothing when None."""
    index: int = -1
    versions: dict[str, Any] = field(default_factory=dict)
    digests: dict[str, Digest] = field(default_factory=dict)
    held: dict[str, Any] = field(default_factory=dict)
    differs: set[str] = field(default_factory=set)
    """Channels that hold something else than in the record."""
    deltas: set[str] = field(default_factory=set)
    """Delta channels that something else was written to; no checkpoint tells what they hold."""
    steps: Mapping[str, RecordedStep] = field(default_factory=dict)
    found: list[Divergence] = field(default_factory=list)
    """What shows once the superstep under way is over."""
    deviated: bool = False
    """Whether a node of the graph did something else than recorded."""
    output: Any = None
    replaying: "Replaying" = field(init=False)

    @property
    def recorded(self) -> CheckpointSaved | None:
        """The recorded checkpoint it stands at; None beyond the record."""
        return self.segment[self.index] if 0 <= self.index < len(self.segment) else None

    @property
    def is_closed(self) -> bool:
        """Whether the record says all that was started at this checkpoint."""
        return self.index < len(self.segment) - 1 or (self.closed and self.recorded is not None)

    def stand(self, record: Record, index: int) -> None:
        """Stand at a checkpoint of the segment, or beyond it."""
        self.index = index
        at = self.recorded
        self.steps = {} if at is None or self.namespace is None else record.at(self.namespace, at.checkpoint)

    def deviate(self) -> None:
        place: Place | None = self
        while place is not None:
            place.deviated = True
            place = place.around


@dataclass(slots=True)
class Call:
    """LangGraph asks for a node's work."""

    place: Place
    node: str
    """The node's path."""
    path: str
    """LangGraph's task path."""
    number: int
    recorded: RecordedStep | None

    @property
    def step(self) -> ReplayedStep:
        return ReplayedStep(self.node, self.number)


def outermost_places(record: Record, *, partly: bool) -> Iterator[Place]:
    """Where the outermost graph begins, one segment of the record after the other.

    ``partly``: the replay ends at the last checkpoint, whatever follows.
    """
    segments = record.segments.get(ROOT, [[]])
    for segment in segments:
        further = segment is not segments[-1]
        closed = isinstance(record.state, Completed) and not partly
        stops = further or partly
        yield _begun(record, Place("", ROOT, segment, stops=stops, closed=closed))


def places_within(record: Record, call: Call, *, anew: bool) -> Iterator[Place]:
    """Where the graph that a node is begins, for one call of the node.

    Nowhere when nothing is recorded of it, unless it may begin ``anew``.
    """
    step = call.recorded
    namespace = None if step is None else record.nested(step)
    path = f"{call.node}/"
    if step is None or namespace is None:
        if anew:
            yield Place(path, None, [], stops=False, closed=False, around=call.place)
        return
    segments: Sequence[Segment] = record.segments[namespace]
    before: CheckpointSaved | None = None
    if ":" not in namespace:
        if namespace in record.shared or sum(other.node == step.node for other in call.place.steps.values()) > 1:
            return
        before, segments = _of_this_call(segments, step)
    for segment in segments:
        left = any(each.end == "departed" for each in record.at(namespace, segment[-1].checkpoint).values())
        closed = step.end == "completed" and not left
        yield _begun(
            record,
            Place(
                path,
                namespace,
                segment,
                stops=segment is not segments[-1],
                closed=closed,
                around=call.place,
                start=before,
            ),
        )
        before = None


def _begun(record: Record, place: Place) -> Place:
    if place.segment and (is_given(place.segment[0]) or place.start is place.segment[0]):
        place.start = place.segment[0]
        place.stand(record, 0)
    if place.start is not None:
        place.digests = channels_of(place.start)
        place.held = {channel: record.values[digest] for channel, digest in place.digests.items()}
        place.versions = {channel: version for channel, (version, _) in place.start.channels.items() if version}
    return place


def _of_this_call(segments: Sequence[Segment], step: RecordedStep) -> tuple[CheckpointSaved | None, Sequence[Segment]]:
    """One call's part of what a graph with a memory of its own has saved, and the checkpoint it began with."""
    whole = [checkpoint for segment in segments for checkpoint in segment]
    mine = [each for each in whole if each.metadata.get("parents", {}).get(step.namespace) == step.checkpoint]
    if not mine:
        return None, []
    first = whole.index(mine[0])
    before = whole[first - 1] if first else None
    if before is not None and mine[0].source != "input":
        mine = [before, *mine]  # it went on where it had stopped
    return before, [mine]
