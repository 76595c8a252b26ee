"""Steps: every try at every node, with the end it really came to."""

from functools import partial

import pytest

from tests.projections.given import (
    HERE,
    NO_CURSORS,
    ONE,
    ROOT,
    ReadModels,
    node_completed,
    node_failed,
    node_interrupted,
    node_started,
    saved,
    second,
    started,
    walk,
)
from wtb.domain.errors import InvalidCursor, InvalidRequest
from wtb.domain.execution import (
    BreakpointsSet,
    CancelRequested,
    CheckpointsDeleted,
    ExecutionCancelled,
    ExecutionCompleted,
    ExecutionFact,
    ExecutionFailed,
    ExecutionPaused,
    ExecutionRecovered,
    ExecutionResumed,
    Failure,
    Forked,
    NodeCompleted,
    NodeStarted,
    PauseRequested,
    RollbackUndone,
    RolledBack,
    StateEdited,
    WritesSaved,
)
from wtb.domain.execution import Write as Written
from wtb.domain.identifiers import CheckpointId, Digest, ExecutionId, Namespace, TaskId, WorkerId
from wtb.projections import steps
from wtb.projections.steps import Step, Write

ADA, BOB = WorkerId("ada"), WorkerId("bob")
PAUSED = ExecutionPaused(reason="interrupt")
RESUMED = ExecutionResumed(worker=BOB)
RECOVERED = ExecutionRecovered(worker=BOB, died=ADA)
COMPLETED = ExecutionCompleted(duration_us=9)
FAILED = ExecutionFailed(duration_us=9, error=Failure(type="ValueError", message="broken"))


def shown(models: ReadModels, execution: str = "e1") -> list[Step]:
    with models.now() as connection:
        return list(steps.of(connection, execution))


# --- Rows -------------------------------------------------------------------------------------------


def test_a_step_is_shown_from_its_start_to_its_end(models: ReadModels) -> None:
    begin = NodeStarted(
        node="draft",
        task=TaskId("t1"),
        namespace=Namespace("sub:9c"),
        checkpoint=CheckpointId("c7"),
        step=4,
        attempt=2,
        path="~pull, draft",
        variant="short",
    )
    _, position = models.given("e1", started(), begin)
    running = Step(
        execution=ExecutionId("e1"),
        position=position,
        task=TaskId("t1"),
        node="draft",
        namespace=Namespace("sub:9c"),
        checkpoint=CheckpointId("c7"),
        step=4,
        attempt=2,
        path="~pull, draft",
        variant="short",
        status="running",
        started_at=second(2),
        ended_at=None,
        duration_us=None,
        error_type=None,
        error_message=None,
        writes=(),
    )
    assert shown(models) == [running]
    fields = begin.model_dump(exclude={"step", "variant"})
    writes = (Written(channel="n", value=ONE), Written(channel="é", value=Digest("two")))
    models.given("e1", NodeCompleted(**fields, duration_us=5, writes=writes))
    (step,) = shown(models)
    assert step == Step(
        **{
            **{name: getattr(running, name) for name in Step.__struct_fields__},
            "status": "completed",
            "ended_at": second(3),
            "duration_us": 5,
            "writes": (Write("n", ONE), Write("é", Digest("two"))),
        }
    )


COPIED = WritesSaved(task=TaskId("t1"), namespace=ROOT, checkpoint=HERE, path="", writes=())
TRIES: list[tuple[str, list[ExecutionFact], list[str]]] = [
    ("one try after another", [node_started(), node_failed(), node_started(attempt=2), node_completed(attempt=2)],
     ["1 failed", "2 completed"]),
    ("every try failed", [node_started(), node_failed(), node_started(attempt=2), node_failed(attempt=2), FAILED],
     ["1 failed", "2 failed"]),
    ("asked, then done after its answer", [node_started(), node_interrupted(), PAUSED, RESUMED, node_started(),
     node_completed()], ["1 interrupted", "1 completed"]),
    ("asked, then failed", [node_started(), node_interrupted(), PAUSED, RESUMED, node_started(), node_failed(), FAILED],
     ["1 interrupted", "1 failed"]),
    ("its process died, and it ran again", [node_started(), RECOVERED, node_started(), node_completed(), COMPLETED],
     ["1 lost", "1 completed"]),
    ("its process died twice", [node_started(), RECOVERED, node_started(), RECOVERED], ["1 lost", "1 lost"]),
    ("it began again and nobody noticed that a process had died", [node_started(), node_started()],
     ["1 lost", "1 running"]),
    ("another try began without an end of the first", [node_started(), node_started(attempt=2), node_completed()],
     ["1 lost", "2 running"]),
    ("the execution paused while it ran", [node_started(), PAUSED], ["1 interrupted"]),
    ("the execution was cancelled while it ran", [node_started(), ExecutionCancelled()], ["1 interrupted"]),
    ("the execution failed while it ran", [node_started(), FAILED], ["1 lost"]),
    ("the execution ended while it ran", [node_started(), COMPLETED], ["1 lost"]),
    ("an end that came too late", [node_started(), ExecutionCancelled(), node_completed()], ["1 interrupted"]),
    ("done before the process died", [node_started(), node_completed(), RECOVERED], ["1 completed"]),
    ("an end without a start, as in a copied thread", [node_completed(), node_failed("t2")], []),
    ("what happens beside it", [node_started(), saved("c2", "c1"), COPIED, CheckpointsDeleted(reason="prune"),
     PauseRequested(), CancelRequested(), RolledBack(to=HERE, head=HERE, left=HERE),
     RollbackUndone(head=HERE), BreakpointsSet(), StateEdited(checkpoint=HERE, as_node=None, writes=()),
     Forked(checkpoint=HERE, child=ExecutionId("e2")), RESUMED], ["1 running"]),
]  # fmt: skip
"""What happened, as facts, and the steps it is shown as: attempt and status."""


@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "one by one"])
def test_every_try_is_shown_with_the_end_it_came_to(models: ReadModels, at_once: bool) -> None:
    for what, facts, expected in TRIES:
        models.given(what, started())
        for part in [facts] if at_once else [[fact] for fact in facts]:
            models.given(what, *part)
            models.projector.catch_up()
        found = shown(models, what)
        assert [f"{step.attempt} {step.status}" for step in found] == expected, what
        assert all((step.ended_at is None) == (step.status == "running") for step in found), what
        assert all((step.error_type is not None) == (step.status == "failed") for step in found), what
        # Only an end that was recorded has a duration: of the others nobody knows how long they worked.
        reported = {"completed": 5, "failed": 5}
        assert all(step.duration_us == reported[step.status] for step in found if step.status in reported), what
        assert all(step.duration_us is None for step in found if step.status in ("lost", "running")), what


def test_a_lost_step_ended_when_that_was_found_out(models: ReadModels) -> None:
    models.given("e1", started(), node_started(), RECOVERED, node_started(), node_completed())
    assert [(step.started_at, step.ended_at) for step in shown(models)] == [
        (second(2), second(3)),
        (second(4), second(5)),
    ]


def test_a_failed_try_shows_its_error_and_the_next_one_does_not(models: ReadModels) -> None:
    models.given("e1", started(), node_started(), node_failed(message="no\nluck"), node_started(attempt=2))
    first, next = shown(models)
    assert (first.error_type, first.error_message, first.writes) == ("ValueError", "no\nluck", ())
    assert (next.error_type, next.error_message) == (None, None)


def test_an_interrupted_step_shows_what_it_wrote(models: ReadModels) -> None:
    models.given("e1", started(), node_started(), node_interrupted())
    (step,) = shown(models)
    assert (step.status, step.writes, step.duration_us) == ("interrupted", (Write("n", ONE),), 5)


def test_steps_that_run_side_by_side_end_each_on_its_own(models: ReadModels) -> None:
    models.given("e1", started(), *(node_started(f"t{n}", f"n{n}") for n in range(4)))
    models.given("e1", node_completed("t2"))
    models.given("e1", node_failed("t0"))
    assert [step.status for step in shown(models)] == ["failed", "running", "completed", "running"]
    models.given("e1", node_completed("t3"), FAILED)
    assert [step.status for step in shown(models)] == ["failed", "lost", "completed", "completed"]


def test_executions_keep_their_steps_apart_even_when_tasks_have_the_same_id(models: ReadModels) -> None:
    models.given("e1", started(), node_started())
    models.given("e2", started(), node_started(), node_failed(), FAILED)
    assert [step.status for step in shown(models, "e1")] == ["running"]
    assert [step.status for step in shown(models, "e2")] == ["failed"]


def test_a_bare_checkpointers_thread_has_steps_too(models: ReadModels) -> None:
    models.given("thread", node_started(), node_completed())
    assert [step.status for step in shown(models, "thread")] == ["completed"]


# --- Listings ---------------------------------------------------------------------------------------


def a_long_run(models: ReadModels, number: int = 10) -> None:
    models.given("e1", started())
    for n in range(number):
        models.given("e1", node_started(f"t{n}", f"n{n}"))
        models.given("e2", node_started(f"t{n}", "other"))
        models.given("e1", node_completed(f"t{n}", f"n{n}"))


def test_pages_lead_through_all_steps_in_the_order_they_started(models: ReadModels) -> None:
    a_long_run(models)
    with models.now() as connection:
        for limit in (1, 3, 10, None):
            found = walk(partial(steps.of, connection, "e1", limit=limit))
            assert [step.node for step in found] == [f"n{n}" for n in range(10)]


def test_pages_show_each_step_once_while_new_ones_start_and_old_ones_end(models: ReadModels) -> None:
    models.given("e1", started(), *(node_started(f"t{n}", f"n{n}") for n in range(6)))
    later = iter(range(6, 9))

    def more() -> None:
        n = next(later, None)
        if n is not None:
            models.given("e1", node_completed(f"t{n - 6}"), node_started(f"t{n}", f"n{n}"))
            models.projector.catch_up()

    with models.now() as connection:
        found = walk(partial(steps.of, connection, "e1", limit=2), more)
    assert [step.node for step in found] == [f"n{n}" for n in range(9)]


def test_steps_after_a_position_are_those_that_started_later(models: ReadModels) -> None:
    a_long_run(models)
    with models.now() as connection:
        everything = list(steps.of(connection, "e1"))
        third = everything[2].position
        assert list(steps.of(connection, "e1", after=third)) == everything[3:]
        assert walk(partial(steps.of, connection, "e1", after=third, limit=2)) == everything[3:]
        assert list(steps.of(connection, "e1", after=everything[-1].position)) == []


def test_a_cursor_belongs_to_its_execution(models: ReadModels) -> None:
    a_long_run(models)
    with models.now() as connection:
        cursor = steps.of(connection, "e1", limit=2).next_cursor
        with pytest.raises(InvalidCursor, match="other filters"):
            steps.of(connection, "e2", cursor=cursor)
        for nonsense in NO_CURSORS:
            with pytest.raises(InvalidCursor):
                steps.of(connection, "e1", cursor=nonsense)
        for limit in (0, -1, 2**31):
            with pytest.raises(InvalidRequest):
                steps.of(connection, "e1", limit=limit)


def test_an_execution_that_never_was_has_no_steps(models: ReadModels) -> None:
    with models.now() as connection:
        page = steps.of(connection, "e1", limit=5)
    assert (list(page), page.next_cursor) == ([], None)
