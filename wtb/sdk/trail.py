"""The path an execution took: which nodes it visited on the way to where it stands, or to one of its checkpoints.

What ran after a rollback's target is no part of the path any more, nor is what an
edit made begin anew; what a fork's ancestors did before it is the path's
beginning.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import cast

from wtb.domain.errors import ExecutionNotFound
from wtb.domain.event_log import AnyFact
from wtb.domain.execution import CheckpointSaved, ExecutionStarted, HeadMove, NodeSkipped, StateEdited
from wtb.domain.identifiers import (
    CheckpointId,
    ExecutionId,
    Namespace,
    Position,
    TaskId,
    execution_stream,
    node_path,
)
from wtb.projections import checkpoints, steps
from wtb.projections.steps import Step
from wtb.sdk.platform import Platform
from wtb.sdk.state import find_checkpoint

END = 2**63 - 1
WHOLE = 2**31 - 2
AGAIN = 2**31
"""Calls of a graph by a task after its first one come after all steps of that."""


@dataclass(frozen=True, slots=True)
class Visit:
    """A node's work in one superstep, and every try at it."""

    path: str
    """The node's, with the graphs it is nested in."""
    tries: tuple[Step, ...]
    saved: CheckpointSaved | None
    """The checkpoint it read; None where it wasn't asked for."""

    @property
    def last(self) -> Step:
        return self.tries[-1]


@dataclass(frozen=True, slots=True)
class Trail:
    """An execution up to ``end``, the checkpoint where the path ends, and what began before ``until``."""

    platform: Platform
    execution: ExecutionId
    lifecycle: tuple[AnyFact, ...]
    end: CheckpointSaved | None
    until: int

    @property
    def untouched(self) -> bool:
        """Whether its nodes alone made its states: nobody forked, edited, skipped or rolled back."""
        return not any(
            isinstance(fact, StateEdited | NodeSkipped | HeadMove)
            or (isinstance(fact, ExecutionStarted) and fact.parent is not None)
            for fact in self.lifecycle
        )

    def visits(self, page: int = WHOLE, *, states: bool = True) -> Iterator[Visit]:
        """In the order of the supersteps, and within one in that of the tasks. Reads ``page`` steps at a time.

        Without ``states`` only the first visit tells the checkpoint it read.
        """
        begun = self.lifecycle[0] if self.lifecycle else None
        if isinstance(begun, ExecutionStarted) and begun.parent is not None:
            parent = begun.parent
            yield from trail(self.platform, parent.execution, parent.checkpoint, parent.namespace).visits(page)
        moved = any(isinstance(fact, HeadMove | StateEdited) for fact in self.lifecycle)
        line = self._line() if moved and self.end is not None else None
        saved = _Checkpoints(self.platform, self.execution, page)
        find: FindCheckpoint = saved.get
        for superstep in _supersteps(self._steps(page, line)):
            yield from _visits(superstep, find)
            if not states:
                find = _unasked

    def _line(self) -> dict[CheckpointId, str]:
        """The outermost graph's checkpoints from the end back to the first, and what made the one after each."""
        with self.platform.reading() as connection:
            rows = {row.id: row for row in checkpoints.of(connection, self.execution, namespace="")}
        assert self.end is not None
        place = CheckpointId(self.end.metadata.get("parents", {}).get("", self.end.checkpoint))
        line: dict[CheckpointId, str] = {place: "loop"}
        while (row := rows.get(place)) is not None and row.parent is not None:
            place = row.parent
            line[place] = row.source
        return line

    def _steps(self, page: int, line: dict[CheckpointId, str] | None) -> Iterator[Step]:
        after = 0
        off_line: set[TaskId] = set()
        while True:
            with self.platform.reading() as connection:
                found = steps.of(connection, self.execution, after=after, limit=page)
            for step in found:
                if step.position >= self.until:
                    return
                if line is not None and _left(step, line, off_line):
                    off_line.add(step.task)
                    continue
                yield step
            if found.next_cursor is None:
                return
            after = found.items[-1].position


def _left(step: Step, line: dict[CheckpointId, str], off_line: set[TaskId]) -> bool:
    """Whether a step led nowhere."""
    if step.namespace:
        return not off_line.isdisjoint(_tasks(step.namespace))
    match line.get(step.checkpoint):
        case None | "fork":
            return True
        case "update":
            return step.status != "completed"
        case _:
            return False


def trail(platform: Platform, execution: ExecutionId, at: str | None, namespace: str = "") -> Trail:
    """The path to a checkpoint, or to where the execution stands. Raises `CheckpointNotFound`."""
    stream = execution_stream(execution)
    lifecycle = tuple(event.fact for event in platform.store.lifecycle(stream)[0])
    if at is None:
        return Trail(platform, execution, lifecycle, platform.saver.history.head(stream, Namespace("")), END)
    end = find_checkpoint(platform, execution, at, namespace)
    return Trail(platform, execution, lifecycle, end, _position(platform, execution, end))


def _position(platform: Platform, execution: ExecutionId, saved: CheckpointSaved) -> Position:
    with platform.reading() as connection:
        row = checkpoints.get(connection, execution, saved.checkpoint, saved.namespace)
    if row is None:
        raise ExecutionNotFound(execution)
    return row.position


FindCheckpoint = Callable[[str, str], CheckpointSaved | None]


def _unasked(namespace: str, checkpoint: str) -> None:
    return None


class _Checkpoints:
    """An execution's checkpoints, read as far as they are asked for."""

    def __init__(self, platform: Platform, execution: ExecutionId, page: int) -> None:
        self._platform = platform
        self._stream = execution_stream(execution)
        self._page = page
        self._after = 0
        self._found: dict[tuple[str, str], CheckpointSaved] = {}

    def get(self, namespace: str, checkpoint: str) -> CheckpointSaved | None:
        key = (namespace, checkpoint)
        while key not in self._found and self._after < END:
            events = self._platform.store.log(
                after=self._after, limit=self._page, types=("CheckpointSaved",), stream=self._stream
            )
            for event in events:
                fact = cast("CheckpointSaved", event.fact)
                self._found[fact.namespace, fact.checkpoint] = fact
            self._after = events[-1].position if len(events) == self._page else END
        return self._found.get(key)


def _supersteps(found: Iterator[Step]) -> Iterator[list[Step]]:
    """Steps by the outermost graph's superstep, with those of the graphs nested in it."""
    group: list[Step] = []
    number: int | None = None
    for step in found:
        if not step.namespace and step.step != number:
            if group:
                yield group
            group, number = [], step.step
        group.append(step)
    if group:
        yield group


Place = tuple[tuple[int, str], ...]
"""Superstep and task path from the outermost graph to the step's own: alike in other executions."""


def _visits(superstep: Sequence[Step], saved: FindCheckpoint) -> Iterator[Visit]:
    if len(superstep) == 1:
        [step] = superstep
        yield Visit(_path(step), (step,), saved(step.namespace, step.checkpoint))
        return
    begun: dict[str, Step] = {step.task: step for step in superstep}
    ordered = sorted(superstep, key=lambda step: (_place(step, begun), step.task))
    for _, group in groupby(ordered, key=lambda step: (step.namespace, step.task)):
        tries = tuple(sorted(group, key=lambda step: step.position))
        last = tries[-1]
        yield Visit(_path(last), tries, saved(last.namespace, last.checkpoint))


def _path(step: Step) -> str:
    return node_path(step.namespace, step.node) if step.namespace else step.node


def _place(step: Step, begun: dict[str, Step]) -> Place:
    place: list[tuple[int, str]] = []
    for part in step.namespace.split("|") if step.namespace else ():
        if part.isdigit():
            place.append((AGAIN + int(part), ""))
            continue
        name, _, task = part.partition(":")
        above = begun.get(task)
        place.append((above.step, above.path) if above else (0, name))
    return (*place, (step.step, step.path))


def _tasks(namespace: str) -> set[TaskId]:
    return {TaskId(part.partition(":")[2]) for part in namespace.split("|")}
