"""One replay under way: where each graph stands in the record, what differs from it, and what had to be run."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.errors import GraphBubbleUp, GraphInterrupt

from wtb.domain.execution import CheckpointSaved, Completed, Failed, Write
from wtb.domain.identifiers import CheckpointId, Digest, Namespace
from wtb.infra.event_store.values import ValueNamer
from wtb.infra.langgraph.internals import (
    CONF,
    CONFIG_KEY_SCRATCHPAD,
    CONFIG_KEY_SEND,
    CONTROL_WRITES,
    MISSING,
    NO_WRITES,
    START,
    TASKS,
    DeltaChannel,
    DeltaSnapshot,
    Writes,
    is_edge,
    sanitize_untracked_values_in_send,
    task_path_str,
)
from wtb.infra.langgraph.node_shell import SKIPPED
from wtb.infra.langgraph.record import ERROR_HANDLER, PUSHED, Record, RecordedStep, Segment, channels_of, is_given

ROOT = Namespace("")
PLACE = "__wtb_place"
"""Where a config has the place of the graph that runs under it."""
_MADE_UP = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")

Kind = Literal["graph", "reducer", "input", "record"]


@dataclass(frozen=True, slots=True)
class Divergence:
    """Where today's graph, or the record itself, first differs from what was recorded."""

    kind: Kind
    """``graph``: other nodes start. ``reducer``: the same writes make another value. ``input``: a graph begins with
    another value. ``record``: the record isn't as it was written."""
    message: str
    step: int | None = None
    """The superstep's number in its own graph; -1 is the input."""
    node: str | None = None
    """The node's path."""
    channel: str | None = None
    expected: Any = None
    """What the record has."""
    found: Any = None

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True, slots=True)
class ReplayedStep:
    """A node's work at one superstep."""

    node: str
    """The node's path."""
    step: int
    """The superstep's number in its own graph."""


@dataclass(frozen=True, slots=True)
class StepChange:
    """What a node wrote otherwise that ran instead of being served: channel → (as recorded, now).

    None stands where nothing was written, and a list where more than once. For a
    channel that leads on to another node, ``branch:to:…``, it is whether it did.
    """

    node: str
    step: int
    writes: Mapping[str, tuple[Any, Any]]


class Diverged(GraphBubbleUp):
    """A verification ends at what differs."""


class Halted(GraphBubbleUp):
    """The record ends here, or what comes next would have to be run and mayn't be."""


class SegmentEnd(GraphBubbleUp):
    """What follows in the record begins with a state that somebody gave."""


class Departed(GraphBubbleUp):
    """A node left its graph by a Command to the one around it."""


class RecordedFailure(Exception):
    """An error from the record."""

    def __init__(self, type: str, message: str) -> None:
        super().__init__(message)
        self.type = type


@dataclass(slots=True)
class Place:
    """Where one run of a graph stands in the record."""

    replaying: "Replaying"
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

    @property
    def recorded(self) -> CheckpointSaved | None:
        """The recorded checkpoint it stands at; None beyond the record."""
        return self.segment[self.index] if 0 <= self.index < len(self.segment) else None

    @property
    def is_closed(self) -> bool:
        """Whether the record says all that was started at this checkpoint."""
        return self.index < len(self.segment) - 1 or (self.closed and self.recorded is not None)

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


class Replaying:
    """The state of one replay. Its graphs' nodes may ask from several threads at once."""

    def __init__(
        self,
        record: Record,
        serde: SerializerProtocol,
        *,
        wanted: Mapping[str, str] | None,
        live: bool,
        at: CheckpointId | None = None,
        version: str = "",
    ) -> None:
        """``wanted``: node path → variant to run instead of the record; None to verify the record.

        ``version`` is today's graph's.
        """
        self.record = record
        self.serde = serde
        self.wanted = wanted or {}
        self.verifies = wanted is None
        self._live = live
        self._at = at
        # The same graph has the same edges: then they needn't be compared.
        self._compares_edges = self.verifies and version != record.started.graph
        self._namer = ValueNamer()
        self.served: list[ReplayedStep] = []
        self.ran: list[ReplayedStep] = []
        self.routers: list[str] = []
        self.changes: list[StepChange] = []
        self.divergences: list[Divergence] = []
        self.stopped_at: ReplayedStep | None = None
        self.failed_at: ReplayedStep | None = None
        self.supersteps: list[int] = []
        self.paused = False
        self.root: Place | None = None

    # --- places --------------------------------------------------------------------------------------

    def places(self) -> Iterator[Place]:
        """Where the outermost graph begins, one segment of the record after the other."""
        segments = self.record.segments.get(ROOT, [[]])
        for segment in segments:
            further = segment is not segments[-1]
            closed = isinstance(self.record.state, Completed) and self._at is None
            stops = further or self._at is not None
            self.root = self._begun(Place(self, "", ROOT, segment, stops=stops, closed=closed))
            yield self.root

    def places_within(self, call: Call) -> Iterator[Place]:
        """Where the graph that a node is begins, for one call of the node; nowhere when nothing is recorded of it."""
        step = call.recorded
        namespace = None if step is None else self.record.nested(step)
        path = f"{call.node}/"
        if step is None or namespace is None:
            if not self.verifies:
                yield Place(self, path, None, [], stops=False, closed=False, around=call.place)
            return
        segments: Sequence[Segment] = self.record.segments[namespace]
        before: CheckpointSaved | None = None
        if ":" not in namespace:
            if sum(other.node == step.node for other in call.place.steps.values()) > 1:
                return  # several calls at once wrote to one memory: which is whose can't be told
            before, segments = _of_this_call(segments, step)
        for segment in segments:
            left = any(each.end == "departed" for each in self.record.at(namespace, segment[-1].checkpoint).values())
            closed = step.end == "completed" and not left
            yield self._begun(
                Place(
                    self,
                    path,
                    namespace,
                    segment,
                    stops=segment is not segments[-1],
                    closed=closed,
                    around=call.place,
                    start=before,
                )
            )
            before = None

    def _begun(self, place: Place) -> Place:
        if place.segment and (is_given(place.segment[0]) or place.start is place.segment[0]):
            place.start = place.segment[0]
            self._stand(place, 0)
        if place.start is not None:
            place.digests = channels_of(place.start)
            place.held = {channel: self.record.values[digest] for channel, digest in place.digests.items()}
            place.versions = {channel: version for channel, (version, _) in place.start.channels.items() if version}
        return place

    def _stand(self, place: Place, index: int) -> None:
        place.index = index
        at = place.recorded
        place.steps = {} if at is None or place.namespace is None else self.record.at(place.namespace, at.checkpoint)

    # --- what a loop tells -----------------------------------------------------------------------------

    def ends_here(self, place: Place) -> bool:
        """Whether the segment is over before anything more is started."""
        return place.stops and place.index == len(place.segment) - 1 and not (place.deviated or place.differs)

    def saved(self, place: Place, loop: Any) -> None:
        """A superstep is over, and its checkpoint takes the name it had. Raises `Diverged` or `Halted`."""
        versions: dict[str, Any] = loop.checkpoint["channel_versions"]
        for channel, version in versions.items():
            if place.versions.get(channel) != version:
                self._name(place, channel, loop)
        place.versions = dict(versions)
        self._stand(place, place.index + 1)
        recorded = place.recorded
        if loop.checkpoint_metadata["source"] == "loop":
            self.supersteps.append(loop.step - 1)
        if recorded is None:
            if place.found:
                self.diverge(place.found[0])
            if self.verifies:
                raise Halted
            return
        loop.checkpoint["id"] = recorded.checkpoint
        expected = channels_of(recorded)
        if expected == place.digests and not place.deltas:
            place.differs.clear()
        else:
            place.differs = {*self._differences(place, loop, expected)} | place.deltas
        if self.verifies and any(not is_edge(channel) for channel in place.differs):
            self._channel_diverged(place, loop, recorded, expected)
        if place.found:
            self.diverge(min(place.found, key=lambda each: each.node or ""))

    def prepared(self, place: Place, loop: Any) -> None:
        """Tasks are about to be started. Raises `Diverged`."""
        if not self.verifies or place.recorded is None:
            return
        today = {task_path_str(task.path): task.name for task in loop.tasks.values()}
        recorded = {p: step.node or today.get(p, p) for p, step in place.steps.items() if step.is_task}
        if today == recorded:
            return
        more = sorted(node for path, node in today.items() if recorded.get(path) != node)
        less = sorted(node for path, node in recorded.items() if today.get(path) != node)
        if less or (more and place.is_closed):
            told = [f"today's graph starts {place.path + node!r}, which the record doesn't have" for node in more]
            told += [f"the record has {place.path + node!r}, which today's graph doesn't start" for node in less]
            self.diverge(
                Divergence(
                    "graph",
                    f"at step {loop.step}{_within(place)}: {'; '.join(told)}",
                    loop.step,
                    place.path + (more or less)[0],
                    expected=sorted(recorded.values()),
                    found=sorted(today.values()),
                )
            )

    def broken(self, place: Place, loop: Any, error: Exception) -> None:
        """LangGraph couldn't go on, with the writes of the record. Raises `Diverged` unless it was so then."""
        beyond = place.index >= len(place.segment) - 1
        state = self.record.state
        if not self.verifies or (beyond and isinstance(state, Failed) and state.error.type == type(error).__name__):
            return
        self.diverge(
            Divergence(
                "reducer",
                f"at step {loop.step}{_within(place)}: the recorded writes can't be applied: "
                f"{type(error).__name__}: {error}",
                loop.step,
                found=f"{type(error).__name__}: {error}",
            )
        )

    def diverge(self, divergence: Divergence) -> None:
        """Raises `Diverged`."""
        self.divergences.append(divergence)
        raise Diverged

    @property
    def first_divergence(self) -> Divergence | None:
        # Graphs beside one another may both have found one: the answer mustn't depend on which was quicker.
        found = self.divergences
        return min(found, key=lambda each: (each.step or 0, each.node or "", each.channel or ""), default=None)

    # --- what channels hold ------------------------------------------------------------------------------

    def name(self, value: Any) -> Digest:
        return self._namer.name(value, self.serde)

    def _name(self, place: Place, channel: str, loop: Any) -> None:
        known = loop.channels.get(channel)
        value: Any = MISSING if known is None or isinstance(known, DeltaChannel) else known.checkpoint()
        if value is MISSING:
            place.digests.pop(channel, None)
            place.held.pop(channel, None)
            return
        if channel == TASKS and loop._has_untracked_channels:
            value = [sanitize_untracked_values_in_send(packet, loop.channels) for packet in value]
        place.held[channel] = value
        place.digests[channel] = self.name(value)

    def _differences(self, place: Place, loop: Any, expected: Mapping[str, Digest]) -> Iterator[str]:
        for channel in sorted({*expected, *place.digests}):
            then, now = expected.get(channel), place.digests.get(channel)
            if then == now:
                continue
            known = loop.channels.get(channel)
            if isinstance(known, DeltaChannel):
                # A checkpoint holds its value only now and then.
                if then is not None and self.name(DeltaSnapshot(known.get())) != then:
                    yield channel
            elif then is None or now is None or not self._is_same(place, channel, then):
                yield channel

    def _is_same(self, place: Place, channel: str, then: Digest) -> bool:
        """Whether a channel holds what was recorded, but for ids made up at random and for sets in another order."""
        value, recorded = place.held[channel], self.record.values.shared(then)
        if adopt_ids(value, recorded) and (named := self.name(value)) == then:
            place.digests[channel] = named
            return True
        if not is_equal(self.serde.loads_typed(self.serde.dumps_typed(value)), recorded):
            return False
        place.digests[channel] = then
        return True

    def _channel_diverged(
        self, place: Place, loop: Any, recorded: CheckpointSaved, expected: Mapping[str, Digest]
    ) -> None:
        channel = min(channel for channel in place.differs if not is_edge(channel))
        tasks: dict[str, Any] = getattr(loop, "tasks", None) or {}
        node = next((task.name for task in tasks.values() if any(c == channel for c, _ in task.writes)), None)
        then = self.record.values[expected[channel]] if channel in expected else None
        now = place.held.get(channel)
        what = f"at step {recorded.step}{_within(place)}: channel {channel!r} "
        if recorded.source == "loop":
            what += "isn't in today's graph" if channel not in loop.channels else "came out otherwise than recorded"
        else:
            what += "began with another value than recorded"
        self.diverge(
            Divergence(
                "reducer" if recorded.source == "loop" else "input",
                what,
                recorded.step,
                None if node is None or node == START else place.path + node,
                channel,
                expected=then,
                found=now,
            )
        )

    # --- what nodes do -----------------------------------------------------------------------------------

    def call(self, node: str, config: RunnableConfig) -> Call:
        """What LangGraph asks a node's shell for."""
        place: Place = config[CONF][PLACE]
        metadata = config["metadata"]
        path = task_path_str(metadata["langgraph_path"])
        return Call(place, node, path, metadata["langgraph_step"], place.steps.get(path))

    def has_same_input(self, call: Call, channels: str | list[str], argument: Any) -> bool:
        """Whether a node is asked what it was asked when it was recorded."""
        place, recorded = call.place, call.place.recorded
        if call.path.startswith(PUSHED) and ERROR_HANDLER not in call.path:
            if TASKS in place.differs and recorded is not None:
                call.recorded = self._asked_alike(place, recorded, call, argument)
                return call.recorded is not None
        elif place.differs.intersection([channels] if isinstance(channels, str) else channels):
            return False
        if call.recorded is None or call.recorded.end == "unfinished":
            # The record ends here: so does a replay in which nothing is different.
            return not self.changes and not place.is_closed and recorded is not None
        return True

    def _asked_alike(self, place: Place, recorded: CheckpointSaved, call: Call, argument: Any) -> RecordedStep | None:
        """The recorded step that was sent the same argument, wherever it stood among its siblings."""
        sends = self.record.values[channels_of(recorded)[TASKS]] if TASKS in channels_of(recorded) else []
        name = self.name(argument)
        steps = [call.recorded] if call.recorded is not None else []
        steps += [step for step in place.steps.values() if step.path.startswith(PUSHED)]
        for step in steps:
            sent = sends[int(step.path.split(", ")[1])]
            if sent.node == call.node.rpartition("/")[2] and self.name(sent.arg) == name:
                return step
        return None

    def may_run(self, call: Call) -> None:
        """Raises `Halted` when a node that isn't wanted live would have to be run."""
        if not self._live and call.node not in self.wanted:
            if self.stopped_at is None:
                self.stopped_at = call.step
            raise Halted

    def serve(self, call: Call, config: RunnableConfig, edges: tuple[set[str], set[str] | None]) -> None:
        """Have a node end as it did in the record, without running it; ``edges`` are today's, as `edges_of` says."""
        recorded = call.recorded
        if recorded is None or recorded.end == "unfinished":
            raise Halted
        is_node = recorded.node != START
        if is_node:
            self.served.append(call.step)
        match recorded.end:
            case "completed":
                values = self.record.values
                if self._compares_edges and recorded.variant != SKIPPED:
                    self._compare_edges(call, recorded, *edges)
                config[CONF][CONFIG_KEY_SEND]([(write.channel, values[write.value]) for write in recorded.writes])
            case "failed":
                assert recorded.error is not None
                self.failed_at = call.step
                raise RecordedFailure(recorded.error.type, recorded.error.message)
            case "interrupted":
                asked = recorded.questions()
                raise GraphInterrupt(() if asked is None else tuple(self.record.values[asked]))
            case "departed":
                raise Departed

    def _compare_edges(self, call: Call, recorded: RecordedStep, always: set[str], possible: set[str] | None) -> None:
        """Whether today's edges from a node lead where the record has it lead; routers aren't asked."""
        then = {write.channel for write in recorded.writes if is_edge(write.channel)}
        more = sorted(always - then)
        less = [] if possible is None else sorted(then - always - possible)
        if more or less:
            told = [
                f"today's graph leads from {call.node!r} to {_target(channel)!r}, the record doesn't"
                for channel in more
            ]
            told += [
                f"the record leads from {call.node!r} to {_target(channel)!r}, today's graph doesn't"
                for channel in less
            ]
            call.place.found.append(
                Divergence(
                    "graph",
                    f"at step {call.number + 1}{_within(call.place)}: {'; '.join(told)}",
                    call.number + 1,
                    call.place.path + _target((more or less)[0]),
                    expected=sorted(map(_target, then)),
                    found=sorted(map(_target, {*always, *(then - {*less})})),
                )
            )

    def answer(self, call: Call, config: RunnableConfig) -> None:
        """Give a node that runs the answers it was given when it was recorded."""
        given = None if call.recorded is None else call.recorded.answers()
        resume: list[Any] = config[CONF][CONFIG_KEY_SCRATCHPAD].resume
        if given is not None and not resume:
            answers = self.record.values[given]
            resume.extend(answers if isinstance(answers, list) else [answers])

    def note_run(self, call: Call, writes: Writes, routers: int, error: BaseException | None, channels: Any) -> None:
        """A node was run."""
        self.ran.append(call.step)
        self.routers.extend([call.node] * routers)
        self.note_outcome(call, writes, error, channels)

    def note_outcome(self, call: Call, writes: Writes, error: BaseException | None, channels: Any) -> None:
        """What was written, or raised, without the record: is it otherwise than recorded?"""
        recorded = call.recorded
        then = _by_channel([] if recorded is None else recorded.writes)
        now: dict[str, list[Any]] = {}
        for channel, value in writes:
            if channel not in CONTROL_WRITES and channel != NO_WRITES:
                now.setdefault(channel, []).append(value)
        end = "completed" if error is None else "interrupted" if isinstance(error, GraphInterrupt) else "failed"
        if end == "failed" and not isinstance(error, GraphBubbleUp):
            self.failed_at = call.step
        changed = {
            c: pair for c in {*then, *now} if (pair := self._change(then.get(c, []), now.get(c, []))) is not None
        }
        if changed or recorded is None or recorded.end != end:
            call.place.deviate()
            call.place.deltas |= {c for c in changed if isinstance(channels.get(c), DeltaChannel)}
            # What leads on to another node holds nothing: it is there or it isn't.
            told = {c: (c in then, c in now) if is_edge(c) else changed[c] for c in sorted(changed)}
            self.changes.append(StepChange(call.node, call.number, told))

    def _change(self, then: Sequence[Digest], now: list[Any]) -> tuple[Any, Any] | None:
        before = [self.record.values[digest] for digest in then]
        if len(before) == len(now):
            for value, recorded in zip(now, before, strict=True):
                adopt_ids(value, recorded)
            if all(self.name(value) == digest for value, digest in zip(now, then, strict=True)):
                return None
        return _one_or_all(before), _one_or_all(now)


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


def _by_channel(writes: Sequence[Write]) -> dict[str, list[Digest]]:
    """The digests of what was written, control writes left out."""
    found: dict[str, list[Digest]] = {}
    for write in writes:
        if write.channel not in CONTROL_WRITES and write.channel != NO_WRITES:
            found.setdefault(write.channel, []).append(write.value)
    return found


def _one_or_all(values: list[Any]) -> Any:
    return (values[0] if values else None) if len(values) < 2 else values


def _target(channel: str) -> str:
    """The node that an edge's channel leads to."""
    return channel.rpartition(":")[2]


def _within(place: Place) -> str:
    return f" of {place.path.rstrip('/')!r}" if place.path else ""


def adopt_ids(value: Any, recorded: Any) -> bool:
    """Give messages whose ids were made up at random the ids they had then; True when any was given one."""
    if isinstance(value, BaseMessage):
        same = type(value) is type(recorded) and value.id != recorded.id and value.content == recorded.content
        if not same or (value.id is not None and not _MADE_UP.search(value.id)):
            return False
        value.id = recorded.id
        return True
    if isinstance(value, list) and isinstance(recorded, list):
        return sum(adopt_ids(one, other) for one, other in zip(value, recorded, strict=False)) > 0
    if isinstance(value, dict) and isinstance(recorded, dict):
        return sum(adopt_ids(one, recorded.get(key)) for key, one in value.items()) > 0
    return False


def is_equal(value: Any, other: Any) -> bool:
    """Whether two values are equal; what can't be told to be equal (an array) isn't."""
    try:
        return bool(value == other)
    except ValueError:
        return False
