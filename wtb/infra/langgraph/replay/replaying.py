"""One replay under way: where each graph stands in the record, what differs from it, and what had to be run."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.errors import GraphBubbleUp, GraphInterrupt

from wtb.domain.execution import CheckpointSaved, Failed, Write
from wtb.domain.identifiers import Digest
from wtb.infra.langgraph.internals import (
    CONF,
    CONFIG_KEY_SCRATCHPAD,
    CONFIG_KEY_SEND,
    CONTROL_WRITES,
    NO_WRITES,
    START,
    TASKS,
    DeltaChannel,
    Writes,
    is_edge,
    task_path_str,
)
from wtb.infra.langgraph.node_shell import SKIPPED
from wtb.infra.langgraph.replay.channels import Channels, adopt_ids
from wtb.infra.langgraph.replay.divergence import (
    Departed,
    Diverged,
    Divergence,
    Halted,
    RecordedFailure,
    ReplayedStep,
    StepChange,
)
from wtb.infra.langgraph.replay.places import PLACE, Call, Place, outermost_places, places_within
from wtb.infra.langgraph.replay.record import ERROR_HANDLER, PUSHED, Record, RecordedStep, channels_of


class Replaying:
    """The state of one replay. Its graphs' nodes may ask from several threads at once."""

    def __init__(
        self,
        record: Record,
        serde: SerializerProtocol,
        *,
        wanted: Mapping[str, str] | None,
        live: bool,
        partly: bool = False,
        version: str = "",
    ) -> None:
        """``wanted``: node path → variant to run instead of the record; None to verify the record.

        ``partly``: the record was loaded up to a checkpoint only. ``version`` is today's graph's.
        """
        self.record = record
        self.serde = serde
        self.wanted = wanted or {}
        self.verifies = wanted is None
        self._live = live
        self._partly = partly
        # The same graph has the same edges: then they needn't be compared.
        self._compares_edges = self.verifies and version != record.started.graph
        self.channels = Channels(record.values, serde)
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

    def places(self) -> Iterator[Place]:
        """Where the outermost graph begins, one segment of the record after the other."""
        for place in outermost_places(self.record, partly=self._partly):
            place.replaying = self
            self.root = place
            yield place

    def places_within(self, call: Call) -> Iterator[Place]:
        """Where the graph that a node is begins, for one call of the node."""
        for place in places_within(self.record, call, anew=not self.verifies):
            place.replaying = self
            yield place

    # --- what a loop tells -----------------------------------------------------------------------------

    def ends_here(self, place: Place) -> bool:
        """Whether the segment is over before anything more is started."""
        return place.stops and place.index == len(place.segment) - 1 and not (place.deviated or place.differs)

    def saved(self, place: Place, loop: Any) -> None:
        """A superstep is over, and its checkpoint takes the name it had. Raises `Diverged` or `Halted`."""
        versions: dict[str, Any] = loop.checkpoint["channel_versions"]
        for channel, version in versions.items():
            if place.versions.get(channel) != version:
                self.channels.note(place, channel, loop)
        place.versions = dict(versions)
        place.stand(self.record, place.index + 1)
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
            place.differs = {*self.channels.differences(place, loop, expected)} | place.deltas
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
        name = self.channels.name(argument)
        steps = [call.recorded] if call.recorded is not None else []
        steps += [step for step in place.steps.values() if step.path.startswith(PUSHED)]
        for step in steps:
            sent = sends[int(step.path.split(", ")[1])]
            if sent.node == call.node.rpartition("/")[2] and self.channels.name(sent.arg) == name:
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
            if all(self.channels.name(value) == digest for value, digest in zip(now, then, strict=True)):
                return None
        return _one_or_all(before), _one_or_all(now)


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
