"""The read models are a function of the log, however it is cut, whoever dies and however many catch up."""

import itertools
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.projections.given import (
    ReadModels,
    node_completed,
    node_failed,
    node_interrupted,
    node_started,
    rows_of,
    saved,
    started,
)
from tests.projections.history import copies, folded, runs, tell
from tests.projections.processes import busy, killed_at
from wtb.domain.execution import (
    CheckpointsDeleted,
    ExecutionCompleted,
    ExecutionFact,
    ExecutionPaused,
    ExecutionRecovered,
    ExecutionResumed,
)
from wtb.domain.identifiers import CheckpointId, Namespace, WorkerId
from wtb.infra.event_store.store import open_store
from wtb.projections.database import engine_for
from wtb.projections.projector import Projector

# --- Catching up -------------------------------------------------------------------------------------


def test_what_was_acknowledged_is_in_the_read_models_after_catching_up(models: ReadModels) -> None:
    for number in range(3):
        (position,) = models.given(f"e{number}", started())
        assert models.projector.catch_up() == position == models.projector.position
        assert len(rows_of(models.engine)["wtb_executions"]) == number + 1


def test_catching_up_with_nothing_new_changes_nothing(models: ReadModels) -> None:
    assert models.projector.catch_up() == models.projector.position == 0
    models.given("e1", started())
    first = models.projector.catch_up()
    rows = rows_of(models.engine)
    assert models.projector.catch_up() == first
    assert rows_of(models.engine) == rows


def test_how_far_the_read_models_are_behind_can_be_seen(models: ReadModels) -> None:
    assert models.projector.lag() == 0
    models.given("e1", started(), saved("c1"))
    assert models.projector.lag() == 2
    models.given("e1", node_started())
    assert models.projector.lag() == 3
    models.projector.catch_up()
    assert models.projector.lag() == 0


def test_a_projector_goes_on_where_another_one_stopped(models: ReadModels) -> None:
    events = runs()
    for at in range(0, len(events), 20):
        tell(models.log, events[at : at + 20])
        Projector(models.log, models.engine).catch_up()
    assert rows_of(models.engine) == folded(events)


# --- Any cut of the log -------------------------------------------------------------------------------

ENDS = (node_completed, node_failed, node_interrupted)
FACTS: list[ExecutionFact] = [
    started(),
    started("other"),
    *(node_started(task, attempt=attempt) for task in ("t1", "t2") for attempt in (1, 2)),
    *(end(task, attempt=attempt) for end in ENDS for task in ("t1", "t2") for attempt in (1, 2)),
    *(saved(checkpoint, namespace=namespace) for checkpoint in ("c1", "c2") for namespace in ("", "sub:9c")),
    CheckpointsDeleted(reason="thread"),
    CheckpointsDeleted(reason="prune", checkpoints=((Namespace(""), CheckpointId("c1")),)),
    ExecutionPaused(reason="request"),
    ExecutionResumed(worker=WorkerId("bob")),
    ExecutionRecovered(worker=WorkerId("bob"), died=WorkerId("ada")),
    ExecutionCompleted(duration_us=1),
]

PARTS = st.lists(
    st.tuples(
        st.lists(st.tuples(st.sampled_from(["e1", "e2"]), st.sampled_from(FACTS)), min_size=1, max_size=12),
        st.integers(1, 6),
    ),
    max_size=8,
)
"""Parts of a log, as (execution, fact), and how many events go into a transaction when each is caught up with."""


@settings(max_examples=30, deadline=None)
@given(PARTS)
def test_however_a_log_is_cut_it_comes_to_the_same_rows(
    parts: list[tuple[list[tuple[str, ExecutionFact]], int]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        location = f"{folder}/wtb.db"
        engine = engine_for(location)
        with closing(open_store(location)) as store:
            models = ReadModels(store, engine)
            for facts, batch in parts:
                for execution, fact in facts:
                    models.given(execution, fact)
                Projector(store, engine, batch).catch_up()
            events = store.log(limit=10_000)
        assert rows_of(engine) == folded(events)
        engine.dispose()


@settings(max_examples=10, deadline=None)
@given(st.data())
def test_real_runs_that_happen_side_by_side_come_to_the_same_rows_in_any_batches(data: st.DataObject) -> None:
    waiting = [
        list(group) for _, group in itertools.groupby(sorted(runs(), key=lambda e: e.stream), lambda e: e.stream)
    ]
    turns = data.draw(st.permutations([number for number, events in enumerate(waiting) for _ in events]))
    events = [waiting[number].pop(0) for number in turns]
    with tempfile.TemporaryDirectory() as folder:
        location = f"{folder}/wtb.db"
        engine = engine_for(location)
        with closing(open_store(location)) as store:
            tell(store, events)
            Projector(store, engine, data.draw(st.integers(1, 20))).catch_up()
        assert rows_of(engine) == folded(events)
        engine.dispose()


# --- Death and company --------------------------------------------------------------------------------


def test_a_projector_that_is_killed_leaves_rows_and_position_as_one(models: ReadModels, store_location: str) -> None:
    """Before every statement and commit of its work in turn, as far as the work goes on between the deaths."""
    events = copies(2)
    tell(models.log, events)
    reached, died_at = set(), 0
    for moment in itertools.count(1):
        if not killed_at(moment, store_location, "catch_up", batch=40):
            break
        died_at = moment
        position = models.projector.position
        assert rows_of(models.engine) == folded(events[:position])
        reached.add(position)
    assert died_at > 10
    assert len(reached) > 3, "it never died in the middle of the log"
    assert models.projector.position == len(events)
    assert rows_of(models.engine) == folded(events)


def test_processes_that_catch_up_at_once_apply_each_event_once(models: ReadModels, store_location: str) -> None:
    events = copies(8)
    with busy(store_location, "catch_up", "catch_up"):
        for at in range(0, len(events), 10):
            tell(models.log, events[at : at + 10])
    assert models.projector.position == len(events)
    assert rows_of(models.engine) == folded(events)


def test_threads_may_share_a_projector(models: ReadModels) -> None:
    events = copies(4)
    tell(models.log, events)
    shared = Projector(models.log, models.engine, batch=20)
    with ThreadPoolExecutor(4) as pool:
        reached = [each.result() for each in [pool.submit(shared.catch_up) for _ in range(8)]]
    assert set(reached) == {models.log.last_position()}
    assert rows_of(models.engine) == folded(events)


def test_processes_that_open_a_new_store_at_once_make_its_tables_once(store_location: str) -> None:
    with busy(store_location, "catch_up", "catch_up", "catch_up"):
        pass
    engine = engine_for(store_location)
    assert not any(rows_of(engine).values())
    engine.dispose()
