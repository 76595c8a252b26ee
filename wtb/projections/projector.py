"""Keeps the read models level with the log, and builds them anew.

All read models share one position: the newest event that is in them. It is
written in the transaction that changes them, behind a lock that admits one
writer at a time; so each event is applied once, however many processes catch
up, and a process that dies leaves rows and position as they were.

A rebuild is the same work on a second set of tables. The first set is read and
kept level meanwhile, until the second takes its names in one transaction. What a
rebuild that died has left, the next one drops.
"""

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from sqlalchemy import Connection, Engine, MetaData, Table, text
from sqlalchemy.exc import ProgrammingError

from wtb.domain.errors import StoreTooNew, StoreUnavailable
from wtb.domain.event_log import EventLog, Recorded
from wtb.domain.identifiers import Position
from wtb.projections import (
    batches,
    checkpoints,
    executions,
    positions,
    steps,
    trials,
    variants,
    versions,
    workflows,
)
from wtb.projections.database import writing
from wtb.projections.positions import Progress, SetName

SCHEMA = 3
"""Number of the read models' layout and of how facts change them. Read models with another one are rebuilt."""

BATCH = 1000
"""Events in one transaction."""

NOTHING = Position(0)


class Fold(Protocol):
    """Events on their way into a read model's table.

    However a log is cut into folds, and these into takes, the rows end up the same.
    """

    def __init__(self, table: Table) -> None: ...

    def take(self, connection: Connection, events: Sequence[Recorded]) -> None:
        """Fold the events that follow those taken before, or those in the table. Only reads."""
        ...

    def write(self, connection: Connection) -> None: ...


class Projection(Protocol):
    """What a read model's file holds besides its row and its queries."""

    def define(self, metadata: MetaData, suffix: str = "", generation: int = 0) -> Table:
        """Its table. A second one beside it has a suffix to its name and another generation in its indexes'."""
        ...

    @property
    def Fold(self) -> type[Fold]: ...


PROJECTIONS: tuple[Projection, ...] = (
    executions,
    steps,
    checkpoints,
    workflows,
    versions,
    variants,
    batches,
    trials,
)


class TableSet:
    """A table for each read model: those that are read, or those that a rebuild fills."""

    def __init__(self, name: SetName, generation: int = 0) -> None:
        self.name = name
        self.metadata = MetaData()
        suffix = "" if name == "live" else f"_{name}"
        self.tables = [(each, each.define(self.metadata, suffix, generation)) for each in PROJECTIONS]

    def folds(self) -> list[Fold]:
        return [projection.Fold(table) for projection, table in self.tables]


class Projector:
    """Keeps the read models in ``engine``'s database level with ``log``.

    Safe to use from several threads, and beside others in other processes. The
    first one on a database makes the tables; one whose `SCHEMA` isn't theirs
    rebuilds them before it can be used.
    """

    def __init__(self, log: EventLog, engine: Engine, batch: int = BATCH) -> None:
        """``batch``: how many events go into one transaction."""
        self._log = log
        self._engine = engine
        self._batch = batch
        self._live = TableSet("live")
        self._reached = NOTHING  # the live tables are here or farther
        with engine.connect() as connection:
            progress = positions.get(connection, "live") if positions.exist(connection) else None
        if (progress or self._create()).schema != SCHEMA:
            self.rebuild()

    def _create(self) -> Progress:
        with writing(self._engine) as connection:
            positions.create(connection)
            progress = positions.get(connection, "live")
            if progress is None:
                progress = Progress(NOTHING, SCHEMA, generation=0)
                self._live.metadata.create_all(connection)
                positions.put(connection, "live", progress)
            return progress

    @property
    def position(self) -> Position:
        """The newest event that is in the read models."""
        with self._engine.connect() as connection:
            progress = positions.get(connection, "live")
        return progress.position if progress else NOTHING

    def lag(self) -> int:
        """How far the read models are behind the log, in positions: at least as many as events are missing."""
        reached = self.position
        return max(0, self._log.last_position() - reached)

    # --- Catching up --------------------------------------------------------------------------------

    def catch_up(self) -> Position:
        """Apply what is new; the position reached. Costs one look at the log when nothing is.

        What was acknowledged before the call is in the read models after it.
        Raises `StoreTooNew` when another wtb has rebuilt them for itself.
        """
        end = self._log.last_position()
        if end > self._reached:
            self._reached = max(self._reached, self._advance(self._live, end))
        return self._reached

    def _advance(self, tables: TableSet, end: Position) -> Position:
        """Bring tables to a position or beyond it, batch by batch; where they are then, or 0 when they are gone."""
        while True:
            with self._engine.connect() as connection:
                progress = _checked(positions.get(connection, tables.name))
                if progress is None or progress.position >= end:
                    return progress.position if progress else NOTHING
                # Folded before the lock is taken, so that others may write meanwhile.
                folds = tables.folds()
                try:
                    reached = self._fold(connection, folds, progress.position)
                except (StoreUnavailable, ProgrammingError):
                    if positions.get(connection, tables.name) == progress:
                        raise
                    continue  # another process took the tables away between two statements
            with writing(self._engine) as connection:
                # If others have moved on by now, the folds rest on rows that are no more: fold again.
                if positions.get(connection, tables.name, lock=True) == progress:
                    _write(connection, tables, folds, progress._replace(position=reached))

    def _fold(self, connection: Connection, folds: Sequence[Fold], after: Position) -> Position:
        """Fold the log's next batch after a position; where it ends."""
        with _collection_paused():
            events = self._log.log(after=after, limit=self._batch)
            for fold in folds:
                fold.take(connection, events)
            reached = events[-1].position if events else after
            del events  # before collections begin again, which else would walk over them once more
            return reached

    # --- Rebuilding ---------------------------------------------------------------------------------

    def rebuild(self) -> Position:
        """Build the read models anew from the whole log, while the old ones are read and kept level.

        Returns the position they have got to. When several processes rebuild at
        once they share the work. Raises `StoreTooNew` when another wtb
        rebuilds them for itself meanwhile.
        """
        fresh = self._begin()
        swapped = None
        while swapped is None:
            self._advance(fresh, self._log.last_position())
            swapped = self._swap(fresh)
        self._reached = max(self._reached, swapped)
        return swapped

    def _begin(self) -> TableSet:
        """Empty tables for a rebuild, in place of any that another one has left or is filling."""
        with writing(self._engine) as connection:
            live = positions.get(connection, "live", lock=True)
            left = positions.get(connection, "rebuild", lock=True)  # whoever fills the old ones is done with its batch
            # A new number each time: who began a batch for the old ones must see that these are others.
            generation = 1 + max((each.generation for each in (live, left) if each), default=0)
            fresh = TableSet("rebuild", generation)
            fresh.metadata.drop_all(connection)
            fresh.metadata.create_all(connection)
            positions.put(connection, "rebuild", Progress(NOTHING, SCHEMA, generation))
        return fresh

    def _swap(self, fresh: TableSet) -> Position | None:
        """Put the fresh tables in the live ones' place; None when they aren't level with them yet."""
        with writing(self._engine) as connection:
            live = positions.get(connection, "live", lock=True)  # from here on the live tables don't change
            progress = _checked(positions.get(connection, "rebuild", lock=True))
            if progress is None:
                return live.position if live else NOTHING  # another process has finished the rebuild
            folds = fresh.folds()
            progress = progress._replace(position=self._fold(connection, folds, progress.position))
            _write(connection, fresh, folds, progress)
            if live and progress.position < live.position:
                return None
            self._live.metadata.drop_all(connection)
            for (_, table), (_, name) in zip(fresh.tables, self._live.tables, strict=True):
                connection.execute(text(f"ALTER TABLE {table} RENAME TO {name}"))
            positions.put(connection, "live", progress)
            positions.remove(connection, "rebuild")
            return progress.position


def fold_once(read: Callable[[int, int], list[Recorded]], engine: Engine) -> None:
    """Make read models of their own of events that won't change, in an empty database.

    ``read`` gives the events after a position, at most so many.
    """
    tables = TableSet("live")
    with writing(engine) as connection:
        tables.metadata.create_all(connection, checkfirst=False)
    after = 0
    while True:
        folds = tables.folds()
        with writing(engine) as connection, _collection_paused():
            events = read(after, BATCH)
            if not events:
                return
            for fold in folds:
                fold.take(connection, events)
                fold.write(connection)
            after = events[-1].position


def _write(connection: Connection, tables: TableSet, folds: Sequence[Fold], progress: Progress) -> None:
    for fold in folds:
        fold.write(connection)
    positions.put(connection, tables.name, progress)


def _checked(progress: Progress | None) -> Progress | None:
    if progress is not None and progress.schema != SCHEMA:
        raise StoreTooNew(f"another wtb has built read models {progress.schema} in this store; this one has {SCHEMA}")
    return progress


@contextmanager
def _collection_paused() -> Iterator[None]:
    """No garbage collection for some milliseconds.

    A batch of decoded events is many objects that live together and die
    together. Collections would only walk over them, and take a third of the time.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
