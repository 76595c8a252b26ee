"""An execution's record, loaded whole to be replayed: its checkpoints, what each step wrote, and the values.

What is loaded is proved on the way: every event by the chain of its stream, every
value by its digest.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from wtb.domain.errors import CheckpointNotFound, ExecutionNotFound, NotAStore, UnknownEvent
from wtb.domain.event_log import GENESIS
from wtb.domain.execution import (
    CheckpointSaved,
    ExecutionStarted,
    Failure,
    HeadMove,
    LifecycleFact,
    NodeCompleted,
    NodeFact,
    NodeFailed,
    NodeInterrupted,
    NodeStarted,
    State,
    Status,
    Unknown,
    Write,
    WritesSaved,
    evolve,
)
from wtb.domain.identifiers import (
    CheckpointId,
    Digest,
    ExecutionId,
    Namespace,
    TaskId,
    execution_stream,
    node_path,
)
from wtb.infra.event_store import chain, codec
from wtb.infra.event_store.recorder import Row
from wtb.infra.event_store.store import EventStore
from wtb.infra.langgraph.internals import CONTROL_WRITES, INTERRUPT, RESUME
from wtb.infra.langgraph.replay.recorded_values import DamagedRecord, Values

End = Literal["unfinished", "completed", "failed", "interrupted", "departed"]

PUSHED = "~__pregel_push, "
"""How the path of a task begins that a `Send` asked for."""
CALLED = "~__pregel_push, ~"
"""How the path of a functional task begins: with that of the one that called it."""
ERROR_HANDLER = "node_error_handler"
"""What the path of a task has in it that deals with another one's failure."""

_LIFECYCLE = get_args(LifecycleFact)


@dataclass(slots=True)
class RecordedStep:
    """What one node did at one checkpoint, after all its tries."""

    node: str
    """Its name; empty when only its writes are known."""
    namespace: Namespace
    checkpoint: CheckpointId
    path: str
    task: TaskId | None = None
    variant: str | None = None
    end: End = "unfinished"
    writes: tuple[Write, ...] = ()
    error: Failure | None = None

    @property
    def is_task(self) -> bool:
        """Whether the graph starts it: handlers of errors are started by failures, functional tasks by code."""
        return ERROR_HANDLER not in self.path and not self.path.startswith(CALLED)

    def answers(self) -> Digest | None:
        """The answers the node was given, when it asked."""
        return next((write.value for write in reversed(self.writes) if write.channel == RESUME), None)

    def questions(self) -> Digest | None:
        return next((write.value for write in self.writes if write.channel == INTERRUPT), None)


Segment = list[CheckpointSaved]
"""Checkpoints of one graph, each the next one's parent; the first came from an input, or was given by a person."""


@dataclass(slots=True)
class Record:
    """What is recorded of an execution, as far as it leads to where it stands, or to one of its checkpoints."""

    execution: ExecutionId
    started: ExecutionStarted
    state: State
    segments: dict[Namespace, list[Segment]] = field(default_factory=dict)
    """By namespace; the outermost graph's lead to where it stands."""
    steps: dict[tuple[Namespace, CheckpointId], dict[str, RecordedStep]] = field(default_factory=dict)
    """What was done at a checkpoint, by LangGraph's task path."""
    shared: frozenset[Namespace] = frozenset()
    """Memories that several calls wrote to at once: which checkpoint is whose can't be told."""
    newest: dict[Namespace, int] = field(default_factory=dict)
    """Where in the stream a namespace's last checkpoint is."""
    values: Values = field(init=False)

    @property
    def status(self) -> Status:
        assert not isinstance(self.state, Unknown)
        return self.state.status

    def at(self, namespace: Namespace, checkpoint: CheckpointId) -> Mapping[str, RecordedStep]:
        return self.steps.get((namespace, checkpoint), {})

    def nested(self, step: RecordedStep) -> Namespace | None:
        """Where the graph that a step's node is was last at work for it; None when nothing was recorded of it."""
        first = f"{step.namespace}|{step.node}:{step.task}" if step.namespace else f"{step.node}:{step.task}"
        tries = [each for each in self.newest if each == first or _is_another_try(each, first)]
        if tries:
            return max(tries, key=lambda each: self.newest[each])
        # A graph with a memory of its own has a namespace without tasks.
        lasting = Namespace("|".join(part.partition(":")[0] for part in first.split("|")))
        return lasting if lasting in self.newest else None

    def writer(self, digest: Digest | None) -> tuple[int | None, str | None, str | None]:
        """The number of the superstep, the node and the channel that a value is first recorded for."""
        for (namespace, checkpoint), steps in self.steps.items():
            for step in steps.values():
                for write in step.writes:
                    if write.value == digest:
                        return self._number(namespace, checkpoint), node_path(namespace, step.node), write.channel
        for segments in self.segments.values():
            for saved in (saved for segment in segments for saved in segment):
                for channel, (_, held) in saved.channels.items():
                    if held == digest:
                        return saved.step, None, channel
        return None, None, None

    def _number(self, namespace: Namespace, checkpoint: CheckpointId) -> int | None:
        saved = (saved for segment in self.segments.get(namespace, []) for saved in segment)
        return next((each.step + 1 for each in saved if each.checkpoint == checkpoint), None)

    def digests(self) -> set[Digest]:
        """The values that a replay needs: what is written on the way, what was given from outside, how it ends."""
        root = self.segments.get(Namespace(""), [])
        way = {(each.namespace, each.checkpoint) for segments in self.segments.values() for s in segments for each in s}
        wanted = {
            write.value
            for place, steps in self.steps.items()
            if place in way
            for step in steps.values()
            for write in step.writes
        }
        given = [segment[0] for segments in self.segments.values() for segment in segments if is_given(segment[0])]
        for checkpoint in [*given, *(segment[-1] for segment in root[-1:])]:
            wanted |= {digest for _, digest in checkpoint.channels.values() if digest is not None}
        return wanted | {self.started.input}


def is_given(checkpoint: CheckpointSaved) -> bool:
    """Whether a checkpoint is no graph's work: a copy to begin from, or a person's edit."""
    return checkpoint.source in ("update", "fork")


def load_record(store: EventStore, execution: ExecutionId, at: CheckpointId | None = None) -> Record:
    """An execution's record, up to where it stands or to ``at``, without its values.

    Raises `ExecutionNotFound`, `CheckpointNotFound` or `DamagedRecord`.
    """
    state: State = Unknown()
    started: ExecutionStarted | None = None
    saved: dict[Namespace, dict[CheckpointId, CheckpointSaved]] = defaultdict(dict)
    newest: dict[Namespace, int] = {}
    heads: dict[Namespace, CheckpointId] = {}
    steps: dict[tuple[Namespace, CheckpointId], dict[str, RecordedStep]] = defaultdict(dict)
    fact: Any
    for place, fact in enumerate(_facts(store, execution, saved)):
        match fact:
            case NodeStarted():
                step = _step(steps, fact.namespace, fact.checkpoint, fact.path, fact.node)
                step.task, step.variant, step.end = fact.task, fact.variant, "unfinished"
            case NodeCompleted():
                step = _step(steps, fact.namespace, fact.checkpoint, fact.path, fact.node)
                step.end, step.writes = ("departed" if fact.left_graph else "completed"), fact.writes
            case NodeInterrupted():
                step = _step(steps, fact.namespace, fact.checkpoint, fact.path, fact.node)
                step.end, step.writes = "interrupted", fact.writes
            case NodeFailed():
                for step in steps[fact.namespace, fact.checkpoint].values():
                    if step.task == fact.task:
                        step.end, step.error = "failed", fact.error
            case WritesSaved() if fact.path and any(write.channel not in CONTROL_WRITES for write in fact.writes):
                # What a graph's entry wrote, what a Command did that came from within, or what a branch began with.
                node = "" if fact.path.startswith(PUSHED) else fact.path.rpartition(", ")[2]
                step = _step(steps, fact.namespace, fact.checkpoint, fact.path, node)
                step.task, step.end, step.writes = fact.task, "completed", fact.writes
            case CheckpointSaved():
                saved[fact.namespace][fact.checkpoint] = fact
                newest[fact.namespace] = place
                heads[fact.namespace] = fact.checkpoint
            case _ if isinstance(fact, _LIFECYCLE):
                state = evolve(state, fact)
                if isinstance(fact, ExecutionStarted):
                    started = fact
                elif isinstance(fact, HeadMove):
                    heads[Namespace("")] = fact.head
            case _:
                pass
    if started is None:
        raise ExecutionNotFound(execution)
    if at is not None:
        if at not in saved[Namespace("")]:
            raise CheckpointNotFound(execution, at)
        heads[Namespace("")] = at
    segments = {namespace: _segments(saved[namespace], heads[namespace]) for namespace in saved if namespace in heads}
    shared = {
        namespace
        for namespace, lineage in segments.items()
        if namespace and ":" not in namespace and sum(map(len, lineage)) < len(saved[namespace])
    }
    return Record(execution, started, state, segments, dict(steps), frozenset(shared), newest)


def _facts(
    store: EventStore, execution: ExecutionId, saved: Mapping[Namespace, Mapping[CheckpointId, CheckpointSaved]]
) -> Iterator[Any]:
    """An execution's facts, oldest first, each proved by the chain. Raises `DamagedRecord`.

    ``saved`` are the checkpoints among them so far, which number the supersteps.
    """
    stream = execution_stream(execution)
    before = GENESIS
    try:
        rows = store.stored(stream)
    except NotAStore as damage:
        raise DamagedRecord(str(damage)) from damage
    for expected, row in enumerate(rows, start=1):
        link, _, content = row.state.partition(b"\n")
        if row.version != expected:
            raise DamagedRecord(f"event {expected} of execution {execution!r} is missing")
        before = chain.link(before, stream, row.version, row.topic, content)
        if before.encode() != link:
            flaw = f"event {expected} of execution {execution!r} ({row.topic}) isn't as it was written"
            raise _damaged_event(flaw, row, saved)
        try:
            yield codec.decode(*row).fact
        except (NotAStore, UnknownEvent) as damage:
            raise DamagedRecord(str(damage)) from damage


def _damaged_event(
    flaw: str, row: Row, saved: Mapping[Namespace, Mapping[CheckpointId, CheckpointSaved]]
) -> DamagedRecord:
    """What an event says now may still tell whose it is."""
    damage = DamagedRecord(flaw)
    try:
        fact = codec.decode(*row).fact
    except (NotAStore, UnknownEvent):
        return damage
    if isinstance(fact, CheckpointSaved):
        damage.step = fact.step
    elif isinstance(fact, NodeFact):
        damage.node = node_path(fact.namespace, fact.node)
        before = saved.get(fact.namespace, {}).get(fact.checkpoint)
        damage.step = None if before is None else before.step + 1
    return damage


def _step(
    steps: dict[tuple[Namespace, CheckpointId], dict[str, RecordedStep]],
    namespace: Namespace,
    checkpoint: CheckpointId,
    path: str,
    node: str,
) -> RecordedStep:
    at = steps[namespace, checkpoint]
    if path not in at:
        at[path] = RecordedStep(node, namespace, checkpoint, path)
    return at[path]


def _segments(saved: Mapping[CheckpointId, CheckpointSaved], head: CheckpointId) -> list[Segment]:
    """The lineage of a checkpoint in its namespace, oldest first, cut where somebody gave a state."""
    lineage: list[CheckpointSaved] = []
    here = saved.get(head)
    while here is not None:
        lineage.append(here)
        here = saved.get(here.parent) if here.parent is not None else None
    segments: list[Segment] = []
    for checkpoint in reversed(lineage):
        if not segments or is_given(checkpoint):
            segments.append([])
        segments[-1].append(checkpoint)
    return segments


def _is_another_try(namespace: str, first: str) -> bool:
    return namespace.startswith(first) and namespace[len(first) :].lstrip("|").isdigit()


def channels_of(checkpoint: CheckpointSaved) -> dict[str, Digest]:
    """The digests of what the channels hold that hold something."""
    return {channel: digest for channel, (_, digest) in checkpoint.channels.items() if digest is not None}
