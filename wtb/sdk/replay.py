"""Going through a past execution again, from its record: to prove it, or to ask what would have been."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from tempfile import TemporaryDirectory
from time import perf_counter_ns
from typing import Any

from langchain_core.runnables import RunnableConfig

from wtb.domain.execution import Failed
from wtb.domain.identifiers import CheckpointId, ExecutionId
from wtb.domain.workflow import OWN, WHOLE
from wtb.infra.langgraph.graphs import RunnableGraph, is_users
from wtb.infra.langgraph.own_loop import in_a_loop
from wtb.infra.langgraph.replay.divergence import (
    Diverged,
    Divergence,
    Halted,
    RecordedFailure,
    SegmentEnd,
)
from wtb.infra.langgraph.replay.loop import ReplaySaver
from wtb.infra.langgraph.replay.places import PLACE, ROOT, Place
from wtb.infra.langgraph.replay.record import Record, channels_of, load_record
from wtb.infra.langgraph.replay.recorded_values import DamagedRecord, Values
from wtb.infra.langgraph.replay.replaying import Replaying
from wtb.infra.langgraph.replay.serving_shell import ServingShells
from wtb.infra.langgraph.variants import Variants
from wtb.sdk.claims import FindGraph
from wtb.sdk.platform import Platform
from wtb.sdk.replay_report import Ending, ReplayReport
from wtb.sdk.results import RunError

FURTHER_STEPS = 10_000
"""How many supersteps a what-if may go on for beyond the record's number."""


@dataclass(slots=True)
class _Replay:
    """A replay from its beginning to its report."""

    graph: RunnableGraph
    record: Record
    replaying: Replaying
    serving: Any
    at: CheckpointId | None
    began_ns: int
    ended: bool = False
    error: RunError | None = None

    def config(self, place: Place, folder: str) -> RunnableConfig:
        root = self.record.segments.get(ROOT, [])
        return {
            "configurable": {"thread_id": self.record.execution, PLACE: place, "output_dir": folder},
            "recursion_limit": sum(map(len, root)) + FURTHER_STEPS,
        }

    def input(self, place: Place) -> Any:
        return None if place.start is not None else self.record.values[self.record.started.input]

    def options(self) -> dict[str, Any]:
        return {"stream_mode": [], "output_keys": self.serving.output_channels, "durability": "exit"}

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Turns how a run ended into what the report says of it."""
        try:
            yield
        except SegmentEnd:
            return
        except Diverged:
            pass
        except Halted:
            self._check_end()
        except DamagedRecord as damage:
            self.replaying.divergences.append(_damage(self.record, damage))
        except RecordedFailure as failure:
            self.error = RunError(failure.type, str(failure), self._failed_node())
        except Exception as error:  # noqa: BLE001 - whatever a live node raises is the outcome, as in a run
            self.error = RunError(type(error).__name__, str(error), self._failed_node(), error)
            then = self.record.state
            if self.replaying.verifies and not (isinstance(then, Failed) and then.error.type == self.error.type):
                told = f"today's graph can't be gone through: {self.error.type}: {error}"
                self.replaying.divergences.append(Divergence("graph", told, found=self.error.type))
        self.ended = True

    def _check_end(self) -> None:
        """A replay may break off where the record does, and nowhere else."""
        place = self.replaying.root
        if not self.replaying.verifies or place is None or not place.segment:
            return
        at_end = place.segment is self.record.segments[ROOT][-1] and place.index >= len(place.segment) - 1
        if not at_end or place.closed:
            step = place.segment[min(place.index, len(place.segment) - 1)].step
            told = f"the replay came no further than step {step}, and the record goes on"
            self.replaying.divergences.append(Divergence("record", told, step))

    def _failed_node(self) -> str | None:
        at = self.replaying.failed_at
        return None if at is None else at.node


def replay(
    platform: Platform,
    execution: ExecutionId,
    find_graph: FindGraph,
    variants: Variants,
    wanted: Mapping[str, str] | None,
    *,
    live: bool,
    at: str | None,
) -> ReplayReport:
    """Go through an execution from its record; ``wanted``: the nodes to run instead, by path, and their variants.

    Raises `ExecutionNotFound`, `CheckpointNotFound`, `WorkflowNotFound`,
    `NodeNotFound` or `VariantNotFound`.
    """
    begun = _begin(platform, execution, find_graph, variants, wanted, live=live, at=at)
    if isinstance(begun, ReplayReport):
        return begun
    if wanted is not None and begun.graph.runs_on_a_loop(wanted):
        return in_a_loop(lambda: _aplay(begun))
    with TemporaryDirectory() as folder:
        for place in begun.replaying.places():
            with begun.watched():
                for _ in begun.serving.stream(begun.input(place), begun.config(place, folder), **begun.options()):
                    pass
            if begun.ended:
                break
    return _report(begun)


async def areplay(
    platform: Platform,
    execution: ExecutionId,
    find_graph: FindGraph,
    variants: Variants,
    wanted: Mapping[str, str] | None,
    *,
    live: bool,
    at: str | None,
) -> ReplayReport:
    """`replay` on the running event loop."""
    begun = _begin(platform, execution, find_graph, variants, wanted, live=live, at=at)
    return begun if isinstance(begun, ReplayReport) else await _aplay(begun)


async def _aplay(begun: _Replay) -> ReplayReport:
    with TemporaryDirectory() as folder:
        for place in begun.replaying.places():
            with begun.watched():
                config = begun.config(place, folder)
                async for _ in begun.serving.astream(begun.input(place), config, **begun.options()):
                    pass
            if begun.ended:
                break
    return _report(begun)


def _begin(
    platform: Platform,
    execution: ExecutionId,
    find_graph: FindGraph,
    variants: Variants,
    wanted: Mapping[str, str] | None,
    *,
    live: bool,
    at: str | None,
) -> _Replay | ReplayReport:
    """All that a replay needs; its report at once when the record is damaged."""
    began = perf_counter_ns()
    checkpoint = None if at is None else CheckpointId(at)
    try:
        record = load_record(platform.store, execution, checkpoint)
    except DamagedRecord as damage:
        return _unreadable(execution, "", Divergence("record", str(damage), damage.step, damage.node), began)
    graph = find_graph(record.started)
    then = record.started.variants if live and wanted is not None else {}
    if wanted is not None and wanted.get(WHOLE) not in (None, record.started.variants.get(WHOLE, OWN)):
        another = find_graph(record.started.model_copy(update={"variants": wanted}))
        # Its own nodes run, and what is the same in both graphs is served.
        wanted = {**dict.fromkeys(another.differing(graph), OWN), **wanted}
        then = {node: name for node, name in then.items() if node in another.nodes}
        graph = another
    # Where other nodes may run, what stood in for them then must be known too.
    graph.check_variants({**then, **(wanted or {})})
    serde = graph.saver.serde
    record.values = Values(platform.store, serde)
    try:
        record.values.read(record.digests())
    except DamagedRecord as damage:
        return _unreadable(execution, record.started.workflow, _damage(record, damage), began)
    replaying = Replaying(record, serde, wanted=wanted, live=live, partly=checkpoint is not None, version=graph.version)
    saver = ReplaySaver(replaying, platform.saver.history, serde)
    serving = ServingShells(replaying, variants).on(graph.source, saver)
    return _Replay(graph, record, replaying, serving, checkpoint, began)


def _damage(record: Record, damage: DamagedRecord) -> Divergence:
    """A damaged value as a divergence: where it was written, or held."""
    number, node, channel = record.writer(damage.digest)
    return Divergence("record", str(damage), number, node, channel, expected=damage.digest)


def _unreadable(execution: ExecutionId, workflow: str, divergence: Divergence, began_ns: int) -> ReplayReport:
    return ReplayReport(
        execution_id=execution,
        workflow=workflow,
        identical=False,
        status="diverged",
        steps=0,
        supersteps=0,
        nodes_called=0,
        routers_called=0,
        state={},
        first_divergence=divergence,
        duration=_since(began_ns),
    )


def _report(begun: _Replay) -> ReplayReport:
    replaying, record = begun.replaying, begun.record
    divergence = replaying.first_divergence
    state_changes = _state_changes(replaying, ended=begun.error is None and replaying.stopped_at is None)
    error = begun.error
    if error is None and divergence is None and replaying.verifies and isinstance(record.state, Failed):
        error = RunError(record.state.error.type, record.state.error.message, None)
    status: Ending = "completed"
    if divergence is not None:
        status = "diverged"
    elif replaying.stopped_at is not None or (begun.at is not None and not begun.ended):
        status = "stopped"
    elif replaying.verifies or not replaying.changes:
        status = record.status
    elif begun.error is not None:
        status = "failed"
    elif replaying.paused:
        status = "paused"
    root = replaying.root
    held = {} if root is None else {c: value for c, value in root.held.items() if is_users(c)}
    initial = {c: v for c, v in begun.graph.initial_values("").items() if is_users(c) and c not in held}
    return ReplayReport(
        execution_id=record.execution,
        workflow=record.started.workflow,
        identical=divergence is None and replaying.stopped_at is None and not replaying.changes and not state_changes,
        status=status,
        steps=len(replaying.served),
        supersteps=len(replaying.supersteps),
        nodes_called=len(replaying.ran),
        routers_called=len(replaying.routers),
        state={**initial, **held},
        first_divergence=divergence,
        served=tuple(replaying.served),
        ran=tuple(replaying.ran),
        stopped_at=replaying.stopped_at,
        changes=tuple(replaying.changes),
        state_changes=state_changes,
        error=error,
        duration=_since(begun.began_ns),
    )


def _state_changes(replaying: Replaying, *, ended: bool) -> dict[str, tuple[Any, Any]]:
    """What a what-if's state differs in from the recorded one: at the end, or at the step where it broke off."""
    place = replaying.root
    if place is None or replaying.verifies or not place.segment:
        return {}
    then = channels_of((None if ended else place.recorded) or place.segment[-1])
    return {
        channel: (
            replaying.record.values[then[channel]] if channel in then else None,
            place.held.get(channel),
        )
        for channel in sorted({*then, *place.digests})
        if is_users(channel) and then.get(channel) != place.digests.get(channel)
    }


def _since(began_ns: int) -> timedelta:
    return timedelta(microseconds=(perf_counter_ns() - began_ns) // 1000)
