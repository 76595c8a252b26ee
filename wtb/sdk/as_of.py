"""The world as it was: every read answered from the log up to a position, and from nothing after it.

Read models are folded from the events by the same code that folds the live
ones, into a database in memory: those of one execution when one is asked about,
those of all when executions are listed.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Connection, Engine

from wtb.domain.errors import CheckpointNotFound, ExecutionNotFound, InvalidRequest
from wtb.domain.event_log import Recorded
from wtb.domain.execution import CheckpointSaved, ExecutionStarted, HeadMove, Status
from wtb.domain.identifiers import (
    CheckpointId,
    ExecutionId,
    Position,
    StreamName,
    execution_stream,
    is_storable,
    known_id,
)
from wtb.infra.event_store.store import EventStore
from wtb.infra.langgraph.graphs import RunnableGraph
from wtb.projections import checkpoints, executions, steps
from wtb.projections.checkpoints import Checkpoint
from wtb.projections.database import engine_in_memory
from wtb.projections.executions import Execution
from wtb.projections.page import Page, check_limit, check_position
from wtb.projections.projector import fold_once
from wtb.projections.steps import Step
from wtb.sdk.files import File, files_of
from wtb.sdk.lineage import Lineage, lineage_in
from wtb.sdk.platform import Platform
from wtb.sdk.results import State
from wtb.sdk.state import started_of, state_of

FindGraph = Callable[[ExecutionStarted | None], RunnableGraph | None]

REMEMBERED = 16
"""Executions whose read models a view keeps."""

EVERYTHING = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Past:
    """A log, or one stream of it, as it was at a position."""

    store: EventStore
    position: Position
    stream: StreamName | None = None

    def log(self, *, after: int = 0, limit: int = 1000, types: tuple[str, ...] = ()) -> list[Recorded]:
        """Events after a position, in order."""
        if after >= self.position:
            return []
        found = self.store.log(after=after, limit=limit, types=types, stream=self.stream)
        while found and found[-1].position > self.position:
            found.pop()
        return found


class View:
    """The reads of a bench, answered as they would have been when ``position`` was the log's last.

    Rows, states and events are of the same types as the bench's. Safe to share
    between threads. It stands on the bench's store, so it is of use as long as
    that is open.
    """

    def __init__(self, platform: Platform, find_graph: FindGraph, position: Position) -> None:
        self.platform = platform
        self.position = position
        self._find_graph = find_graph
        self._lock = threading.RLock()
        self._models: dict[StreamName | None, Engine] = {}

    def __repr__(self) -> str:
        return f"View(position={self.position}, {self.platform.store.name})"

    def executions(
        self,
        *,
        status: Status | None = None,
        workflow: str | None = None,
        batch: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Execution]:
        """Those started by then, newest first, as they stood. The first call folds the whole log up to then."""
        with self._reading(None) as connection:
            return executions.page(
                connection, status=status, workflow=workflow, batch=batch, limit=limit, cursor=cursor
            )

    def execution(self, execution_id: str) -> Execution:
        """Raises `ExecutionNotFound` for one not yet started then."""
        with self._reading(self._require(execution_id)) as connection:
            found = executions.get(connection, execution_id)
        if found is None:
            raise ExecutionNotFound(execution_id)
        return found

    def steps(self, execution_id: str, *, limit: int | None = None, cursor: str | None = None) -> Page[Step]:
        """Every try at every node that had started. Raises `ExecutionNotFound`."""
        with self._reading(self._require(execution_id)) as connection:
            return steps.of(connection, execution_id, limit=limit, cursor=cursor)

    def checkpoints(
        self,
        execution_id: str,
        *,
        namespace: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Page[Checkpoint]:
        """Those that there were, newest first, deleted since or not. Raises `ExecutionNotFound`."""
        with self._reading(self._require(execution_id)) as connection:
            return checkpoints.of(connection, execution_id, namespace=namespace, limit=limit, cursor=cursor)

    def state(self, execution_id: str, at: str | None = None, *, namespace: str = "") -> State:
        """The state at a checkpoint, or where the execution stood then.

        Raises `ExecutionNotFound`, `CheckpointNotFound`, or `ValueMissing` for a
        value that was erased since.
        """
        saved = self._saved(execution_id, at, namespace)
        execution = ExecutionId(execution_id)
        return state_of(self.platform, execution, saved, self._find_graph(started_of(self.platform, execution)))

    def files(self, execution_id: str, at: str | None = None) -> tuple[File, ...]:
        """What was in the output folder at a checkpoint, or where the execution stood then. Raises as `state`."""
        return files_of(self.platform, self._saved(execution_id, at, ""))

    def lineage(self, execution_id: str) -> Lineage:
        """What it descended from and what had been forked from it. Raises `ExecutionNotFound`."""
        self._require(execution_id)
        execution = ExecutionId(execution_id)

        def head() -> CheckpointId | None:
            row = self._checkpoint(connection, execution, None, "")
            return row.id if row else None

        with self._reading(None) as connection:
            return lineage_in(connection, execution, head)

    def events(self, execution_id: str, *, after: int = 0, limit: int | None = None) -> list[Recorded]:
        """One execution's events after a position, oldest first. Raises `ExecutionNotFound`."""
        check_limit(limit)
        check_position(after)
        return self._past(self._require(execution_id)).log(after=after, limit=limit or EVERYTHING)

    def log(self, *, after: int = 0, limit: int = 1000, types: tuple[str, ...] = ()) -> list[Recorded]:
        """All executions' events after a position, in order."""
        check_limit(limit)
        check_position(after)
        return self._past(None).log(after=after, limit=limit, types=types)

    # --- What the answers are made of -----------------------------------------------------------------

    def _past(self, stream: StreamName | None) -> Past:
        return Past(self.platform.store, self.position, stream)

    def _require(self, execution_id: str) -> StreamName:
        """The stream of an execution, or of a bare checkpointer's thread, that there was then."""
        stream = execution_stream(known_id(execution_id))
        if not self._past(stream).log(limit=1):
            raise ExecutionNotFound(execution_id)
        return stream

    def _saved(self, execution_id: str, at: str | None, namespace: str) -> CheckpointSaved:
        stream = self._require(execution_id)
        with self._reading(stream) as connection:
            row = self._checkpoint(connection, ExecutionId(execution_id), at, namespace)
        if row is None:
            raise CheckpointNotFound(execution_id, at)
        [event] = self.platform.store.log(after=row.position - 1, limit=1, stream=stream)
        return cast("CheckpointSaved", event.fact)

    @contextmanager
    def _reading(self, stream: StreamName | None) -> Iterator[Connection]:
        # One at a time: a database in memory has one connection.
        with self._lock:
            engine = self._models.pop(stream, None) or self._folded(stream)
            self._models[stream] = engine
            if len(self._models) > REMEMBERED:
                self._models.pop(next(iter(self._models))).dispose()
            with engine.connect() as connection:
                yield connection

    def _folded(self, stream: StreamName | None) -> Engine:
        engine, past = engine_in_memory(), self._past(stream)
        fold_once(lambda after, limit: past.log(after=after, limit=limit), engine)
        return engine

    def _checkpoint(
        self, connection: Connection, execution: ExecutionId, at: str | None, namespace: str
    ) -> Checkpoint | None:
        """As `History.checkpoint` and `find_checkpoint` have it, of what there was."""
        if not (is_storable(at or "") and is_storable(namespace)):
            return None
        if at is not None:
            named = checkpoints.get(connection, execution, at, namespace)
            every = () if named else checkpoints.of(connection, execution)
            return named or next((row for row in every if row.id == at), None)
        newest = next(iter(checkpoints.of(connection, execution, namespace=namespace, limit=1)), None)
        if namespace:
            return newest
        facts, _ = self.platform.store.lifecycle(execution_stream(execution))
        moves = [e for e in facts if isinstance(e.fact, HeadMove) and e.position <= self.position]
        if moves and (newest is None or newest.position < moves[-1].position):
            return checkpoints.get(connection, execution, cast("Any", moves[-1].fact).head)
        return newest


def as_of(platform: Platform, find_graph: FindGraph, when: int | datetime) -> View:
    """The view at a position, or at a time. Raises `InvalidRequest`."""
    end = platform.store.last_position()
    if isinstance(when, datetime):
        return View(platform, find_graph, _position_at(platform.store, when, end))
    if when < 0:
        raise InvalidRequest(
            f"{when} can't be a position", hint="Give the position of an event, or 0 for the beginning."
        )
    return View(platform, find_graph, Position(min(when, end)))


def _position_at(store: EventStore, when: datetime, end: Position) -> Position:
    """The last event's that had happened by then, by bisection.

    Times rise with positions but for moments: an event that another process
    was slower to append may have a greater position and an earlier time.
    """
    if when.tzinfo is None or when.utcoffset() is None:
        raise InvalidRequest(
            f"{when.isoformat(' ')} says no time zone",
            hint="Give an aware datetime, such as datetime.now(UTC) or one read from 2026-01-31T12:00:00+00:00.",
        )
    low, high = 0, int(end)  # what is at low had happened, what is after high hadn't
    while low < high:
        middle = (low + high + 1) // 2
        # Positions may have gaps: the first event at the middle or after it.
        found = store.log(after=middle - 1, limit=1)
        if found and found[0].position <= high and found[0].time <= when:
            low = found[0].position
        else:
            high = middle - 1
    return Position(low)
