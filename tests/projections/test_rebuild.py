"""A rebuild makes the same rows anew, and nobody notices."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from sqlalchemy import delete, event, inspect, update

from tests.projections.given import ReadModels, rows_of, saved, started
from tests.projections.history import copies, folded, runs, tell
from tests.projections.processes import Work, busy, killed_at
from wtb.domain.errors import StoreTooNew
from wtb.projections import checkpoints, executions, positions, projector, steps
from wtb.projections.database import engine_for, writing
from wtb.projections.projector import SCHEMA, Projector, TableSet


def objects(models: ReadModels) -> set[str]:
    """Names of the read models' tables and indexes, without the number of their generation."""
    found = inspect(models.engine)
    kept = ("wtb_events", "wtb_values", "wtb_index", "wtb_meta", "wtb_projections")
    tables = {name for name in found.get_table_names() if name.startswith("wtb_") and name not in kept}
    indexes = {str(index["name"]).rstrip("0123456789") for table in tables for index in found.get_indexes(table)}
    return tables | indexes


def built_by(models: ReadModels, schema: int) -> None:
    """Make the read models look as if a wtb with this schema number had built them."""
    with writing(models.engine) as connection:
        live = positions.get(connection, "live")
        assert live is not None
        positions.put(connection, "live", live._replace(schema=schema))


def damage(models: ReadModels) -> None:
    with writing(models.engine) as connection:
        for _, table in TableSet("live").tables:
            connection.execute(delete(table).where(table.c.position % 2 == 0))


@contextmanager
def repeated(act: Callable[[], object], threads: int = 2) -> Iterator[None]:
    """Something that is done over and over meanwhile; what it raises is raised."""
    stop, begun = threading.Event(), threading.Semaphore(0)

    def keep_on() -> None:
        try:
            act()
        finally:
            begun.release()
        while not stop.is_set():
            act()

    with ThreadPoolExecutor(threads) as pool:
        working = [pool.submit(keep_on) for _ in range(threads)]
        try:
            for _ in working:
                begun.acquire()
            yield
        finally:
            stop.set()
        for each in working:
            each.result()


# --- The same rows ------------------------------------------------------------------------------------


def test_a_rebuilt_read_model_is_the_same_row_by_row(models: ReadModels) -> None:
    tell(models.log, runs())
    models.projector.catch_up()
    before, names = rows_of(models.engine), objects(models)
    for _ in range(3):
        assert models.projector.rebuild() == models.log.last_position() == models.projector.position
        assert rows_of(models.engine) == before
        assert objects(models) == names


def test_a_rebuild_mends_what_is_damaged(models: ReadModels) -> None:
    tell(models.log, runs())
    models.projector.catch_up()
    damage(models)
    assert rows_of(models.engine) != folded(runs())
    models.projector.rebuild()
    assert rows_of(models.engine) == folded(runs())


def test_after_a_rebuild_read_models_follow_the_log_as_before(models: ReadModels) -> None:
    tell(models.log, runs()[:30])
    Projector(models.log, models.engine).rebuild()
    tell(models.log, runs()[30:])
    models.projector.catch_up()
    assert rows_of(models.engine) == folded(runs())


def test_a_rebuild_of_nothing_is_nothing(models: ReadModels) -> None:
    assert models.projector.rebuild() == 0
    assert rows_of(models.engine) == folded([])


# --- Meanwhile ----------------------------------------------------------------------------------------


def test_those_who_read_meanwhile_see_every_row_at_every_moment(models: ReadModels) -> None:
    events = copies(3)
    tell(models.log, events)
    execution = events[0].stream.removeprefix("execution-")
    slow = Projector(models.log, models.engine, batch=15)
    slow.catch_up()

    def everything() -> object:
        with models.engine.connect() as connection:
            return (
                executions.page(connection),
                executions.get(connection, execution),
                steps.of(connection, execution),
                checkpoints.of(connection, execution),
            )

    before = everything()

    def look() -> None:
        assert everything() == before

    with repeated(look):
        for _ in range(5):
            slow.rebuild()


def test_what_is_written_meanwhile_is_in_the_read_models_at_once_and_stays(models: ReadModels) -> None:
    """The one who writes and reads sees its own writes, in the old tables as in the new ones."""
    written = 0
    events = copies(3)
    tell(models.log, events)

    def write_and_read() -> None:
        nonlocal written
        models.given("written", *([started()] if not written else []), saved(f"c{written:05}"))
        written += 1
        with models.now() as connection:
            assert len(checkpoints.of(connection, "written")) == written

    with repeated(write_and_read, threads=1):
        for _ in range(5):
            Projector(models.log, models.engine, batch=15).rebuild()
    assert written > 5
    assert rows_of(models.engine) == folded(models.log.log(limit=100_000))


def test_new_tables_are_not_shown_before_they_are_level_with_the_old_ones(
    models: ReadModels, store_location: str
) -> None:
    """Here the log outruns the rebuild: whenever it turns to the database, four of its batches come in."""
    events = copies(4)
    parts = iter([events[at : at + 20] for at in range(0, len(events), 20)])
    tell(models.log, next(parts))
    models.projector.catch_up()
    reached = [models.projector.position]

    def outrun(*_: object) -> None:
        if part := next(parts, None):
            tell(models.log, part)
            models.projector.catch_up()
        reached.append(models.projector.position)

    engine = engine_for(store_location)
    slow = Projector(models.log, engine, batch=5)
    event.listen(engine, "checkout", outrun)
    slow.rebuild()
    engine.dispose()
    assert [*reached, models.projector.position] == sorted([*reached, len(events)])
    assert rows_of(models.engine) == folded(events)


COMPANY: list[tuple[Work, ...]] = [("rebuild", "rebuild"), ("rebuild", "catch_up"), ("rebuild", "rebuild", "catch_up")]


@pytest.mark.parametrize("works", COMPANY, ids="+".join)
def test_processes_that_rebuild_at_once_come_to_the_same_rows(
    models: ReadModels, store_location: str, works: tuple[Work, ...]
) -> None:
    events = copies(4)
    tell(models.log, events[:100])
    with busy(store_location, *works):
        for at in range(100, len(events), 20):
            tell(models.log, events[at : at + 20])
            models.projector.catch_up()
    assert models.projector.position == models.log.last_position()
    assert rows_of(models.engine) == folded(events)
    assert not [name for name in objects(models) if "rebuild" in name]


# --- Death --------------------------------------------------------------------------------------------


def test_a_rebuild_that_is_killed_leaves_the_read_models_whole_and_the_next_one_clears_up(
    models: ReadModels, store_location: str
) -> None:
    """Before every fourth statement or commit of it in turn."""
    events = list(runs())
    tell(models.log, events)
    models.projector.catch_up()
    expected, names = rows_of(models.engine), objects(models)
    moment, left_behind = 1, 0
    while killed_at(moment, store_location, "rebuild", batch=30):
        assert rows_of(models.engine) == expected
        left_behind += bool(objects(models) - names)
        moment += 4
    assert left_behind > 3, "it never died while it was filling its tables"
    assert rows_of(models.engine) == expected
    assert objects(models) == names


def test_a_dead_rebuild_keeps_nobody_from_catching_up_and_nothing_it_left_is_used(
    models: ReadModels, store_location: str
) -> None:
    events = list(runs())
    tell(models.log, events[:40])
    models.projector.catch_up()
    moment = 1
    while not mislaid(models):
        assert killed_at(moment, store_location, "rebuild", batch=10)
        moment += 3
    tell(models.log, events[40:])
    assert models.projector.catch_up() == len(events)
    assert rows_of(models.engine) == folded(events)
    Projector(models.log, models.engine).rebuild()
    assert rows_of(models.engine) == folded(events)


def mislaid(models: ReadModels) -> bool:
    """Change the rows that a dead rebuild has left; False when there are none."""
    left = dict(TableSet("rebuild").tables)[checkpoints]
    if not inspect(models.engine).has_table(left.name):
        return False
    with writing(models.engine) as connection:
        return connection.execute(update(left).values(execution="mislaid")).rowcount > 0


# --- Other versions of wtb ----------------------------------------------------------------------------


@pytest.mark.parametrize("other", [SCHEMA - 1, SCHEMA + 1], ids=["older", "later"])
def test_read_models_of_another_wtb_are_rebuilt_when_they_are_opened(models: ReadModels, other: int) -> None:
    tell(models.log, runs())
    models.projector.catch_up()
    damage(models)
    built_by(models, other)
    opened = Projector(models.log, models.engine)
    assert opened.position == models.log.last_position()
    assert rows_of(models.engine) == folded(runs())
    with models.engine.connect() as connection:
        live = positions.get(connection, "live")
    assert live is not None
    assert live.schema == SCHEMA


def test_read_models_that_are_ones_own_are_not_rebuilt_when_they_are_opened(models: ReadModels) -> None:
    tell(models.log, runs())
    models.projector.catch_up()
    damage(models)
    damaged = rows_of(models.engine)
    Projector(models.log, models.engine).catch_up()
    assert rows_of(models.engine) == damaged


def test_an_older_wtb_doesnt_touch_read_models_that_a_later_one_rebuilt_for_itself(models: ReadModels) -> None:
    tell(models.log, runs()[:30])
    models.projector.catch_up()
    built_by(models, SCHEMA + 1)
    tell(models.log, runs()[30:])
    rows = rows_of(models.engine)
    with pytest.raises(StoreTooNew, match=f"{SCHEMA + 1}.*this one has {SCHEMA}"):
        models.projector.catch_up()
    assert rows_of(models.engine) == rows


def test_a_later_wtb_rebuilds_while_the_older_one_goes_on_until_then(
    models: ReadModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell(models.log, runs()[:30])
    models.projector.catch_up()
    monkeypatch.setattr(projector, "SCHEMA", SCHEMA + 1)
    later = Projector(models.log, models.engine)
    assert later.position == 30
    tell(models.log, runs()[30:])
    assert later.catch_up() == len(runs())
    monkeypatch.undo()
    with pytest.raises(StoreTooNew):
        models.projector.catch_up()
