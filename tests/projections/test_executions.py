"""Executions: one row each, truthful, and listed newest first."""

import itertools
from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec
import pytest
from langgraph.graph import StateGraph

from tests.projections.given import (
    HERE,
    NO_CURSORS,
    ReadModels,
    node_completed,
    node_failed,
    node_started,
    saved,
    second,
    started,
    walk,
)
from tests.projections.history import State
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
    ExecutionRetried,
    ExecutionStarted,
    Failure,
    Forked,
    ForkPoint,
    NodeSkipped,
    PauseRequested,
    Question,
    RollbackUndone,
    RolledBack,
    StateEdited,
    Status,
)
from wtb.domain.identifiers import NULL_DIGEST, Digest, ExecutionId, Version, WorkerId
from wtb.projections import executions, steps
from wtb.projections.executions import Execution
from wtb.projections.page import Page
from wtb.sdk import TestBench, WorkflowProject

BOB = WorkerId("bob")
ASKED = ExecutionPaused(
    reason="interrupt",
    questions=(Question(id="q1", value=Digest("d")), Question(id="q2", value=Digest("d"))),
)
COMPLETED = ExecutionCompleted(duration_us=7)
BACK = RolledBack(to=HERE, head=HERE, left=HERE)
FAILED = ExecutionFailed(duration_us=7, error=Failure(type="ValueError", message="broken"), node="sub/draft")


def shown(models: ReadModels, execution: str = "e1") -> Execution:
    with models.now() as connection:
        found = executions.get(connection, execution)
    assert found is not None
    return found


def fields(execution: Execution) -> dict[str, Any]:
    return msgspec.structs.asdict(execution)


def ids(page: Page[Execution]) -> list[str]:
    return [execution.id for execution in page]


# --- Rows -------------------------------------------------------------------------------------------


def test_an_execution_is_shown_from_its_start(models: ReadModels) -> None:
    begin = ExecutionStarted(
        workflow="triage",
        graph="digest",
        input=NULL_DIGEST,
        worker=WorkerId("worker-1"),
        variants={"sub/draft": "short"},
        parent=ForkPoint(execution=ExecutionId("e0"), checkpoint=HERE),
    )
    (position,) = models.given("e1", begin)
    assert shown(models) == Execution(
        id=ExecutionId("e1"),
        workflow="triage",
        graph="digest",
        status="running",
        worker=WorkerId("worker-1"),
        actor="ada",
        started_at=second(1),
        updated_at=second(1),
        ended_at=None,
        duration_us=None,
        error_type=None,
        error_message=None,
        failed_node=None,
        waiting=(),
        parent_execution=ExecutionId("e0"),
        parent_checkpoint=HERE,
        variants={"sub/draft": "short"},
        steps=0,
        checkpoints=0,
        version=Version(1),
        position=position,
    )


RUNNING = {"status": "running", "worker": "ada"}
AGAIN = {"status": "running", "worker": "bob"}
BROKEN = {"error_type": "ValueError", "error_message": "broken", "failed_node": "sub/draft"}
ENDED = {"ended_at": second(2), "duration_us": 7}
LATER: list[tuple[list[ExecutionFact], dict[str, Any]]] = [
    ([COMPLETED], {"status": "completed", **ENDED}),
    ([FAILED], {"status": "failed", **ENDED, **BROKEN}),
    ([ExecutionCancelled()], {"status": "cancelled", "ended_at": second(2)}),
    ([ASKED], {"status": "paused", "waiting": ("q1", "q2")}),
    ([ExecutionPaused(reason="request")], {"status": "paused"}),
    ([ASKED, ExecutionPaused(reason="request")], {"status": "paused"}),
    ([ASKED, ExecutionResumed(worker=BOB)], AGAIN),
    ([FAILED, ExecutionResumed(worker=BOB)], AGAIN),
    ([COMPLETED, ExecutionResumed(worker=BOB)], AGAIN),
    ([ExecutionRecovered(worker=BOB, died=WorkerId("ada"))], AGAIN),
    ([FAILED, ExecutionResumed(worker=BOB), ASKED], {**AGAIN, "status": "paused", "waiting": ("q1", "q2")}),
    ([ExecutionCancelled(), FAILED], {"status": "failed", **ENDED, **BROKEN, "ended_at": second(3)}),
    ([FAILED, COMPLETED], {"status": "completed", **ENDED, "ended_at": second(3)}),
    ([PauseRequested(), CancelRequested()], RUNNING),
    ([FAILED, StateEdited(checkpoint=HERE, as_node=None, writes=())], {"status": "paused"}),
    ([FAILED, BACK], {"status": "paused"}),
    ([FAILED, BACK, RollbackUndone(head=HERE)], {"status": "failed", **ENDED, **BROKEN}),
    ([ASKED, BACK, BACK, RollbackUndone(head=HERE)],
     {"status": "paused", "waiting": ("q1", "q2")}),
    ([ASKED, BACK, ExecutionRetried(worker=BOB)], AGAIN),
    ([FAILED, NodeSkipped(worker=BOB, node="n", checkpoints=(HERE,), writes=())], AGAIN),
    ([BreakpointsSet(before=("n",))], RUNNING),
    ([Forked(checkpoint=HERE, child=ExecutionId("e2"))], RUNNING),
    ([node_started(), node_failed()], {**RUNNING, "steps": 1}),
    ([node_started(), node_failed(), node_started(attempt=2), node_completed()], {**RUNNING, "steps": 2}),
    ([saved("c1"), saved("c2", "c1"), CheckpointsDeleted(reason="prune")], {**RUNNING, "checkpoints": 2}),
]  # fmt: skip
"""What follows a start, and what is different then; everything else is as it was at the start."""


@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "one by one"])
def test_an_execution_stands_where_its_facts_have_brought_it(models: ReadModels, at_once: bool) -> None:
    for number, (facts, difference) in enumerate(LATER):
        id = f"e{number}"
        models.given(id, started())
        before = shown(models, id)
        for part in [facts] if at_once else [[fact] for fact in facts]:
            models.given(id, *part)
            models.projector.catch_up()
        last = {
            "updated_at": second(1 + len(facts)),
            "version": 1 + len(facts),
            "position": models.log.last_position(),
        }
        assert fields(shown(models, id)) == fields(before) | last | difference, facts


def test_a_checkpointers_own_thread_is_no_execution_until_it_is_started(models: ReadModels) -> None:
    models.given("e1", saved("c1"), node_started(), node_completed())
    with models.now() as connection:
        assert executions.get(connection, "e1") is None
        assert not executions.page(connection)
    (position,) = models.given("e1", started())
    execution = shown(models)
    assert (execution.version, execution.position, execution.steps, execution.checkpoints) == (4, position, 0, 0)


def test_what_never_was_is_not_found(models: ReadModels) -> None:
    models.given("e1", started())
    with models.now() as connection:
        assert executions.get(connection, "e2") is None
        assert executions.get(connection, "E1") is None


def test_an_execution_may_have_any_name(models: ReadModels) -> None:
    for id in ["Ünïcode ✓", "it's %s :id", "execution-e1", "a" * 500, " "]:
        models.given(id, started(workflow=id), node_started(), FAILED)
        with models.now() as connection:
            assert ids(executions.page(connection, workflow=id, status="failed")) == [id]
            assert len(steps.of(connection, id)) == 1


def test_an_error_is_shown_even_when_its_message_holds_what_a_database_can_not(models: ReadModels) -> None:
    models.given("e1", started(), node_started(), node_failed(message="zero \0 here"))
    models.given("e1", ExecutionFailed(duration_us=7, error=Failure(type="ValueError", message="zero \0 here")))
    with models.now() as connection:
        (step,) = steps.of(connection, "e1")
    assert {shown(models).error_message, step.error_message} <= {"zero \0 here", "zero \ufffd here"}


def test_a_run_whose_error_quotes_half_an_emoji_is_shown_as_failed(store_location: str) -> None:
    def quote(state: State) -> State:
        raise ValueError("said \ud83d")

    graph = StateGraph(State).add_node("quote", quote).set_entry_point("quote")
    with TestBench(WorkflowProject("w", store_location)) as bench:
        execution = bench.run(graph, {"seen": []}).execution_id
        assert bench.execution(execution).status == "failed"
        assert bench.execution(execution).error_message == "said \\ud83d"


# --- Listings ---------------------------------------------------------------------------------------


def a_busy_day(models: ReadModels) -> None:
    for number in range(12):
        models.given(f"e{number:02}", started(workflow="ab"[number % 2]))
    for number in range(0, 12, 3):
        models.given(f"e{number:02}", COMPLETED)


ASKED_FOR: list[tuple[Status | None, str | None, Sequence[int]]] = [
    (None, None, range(12)),
    (None, "a", range(0, 12, 2)),
    ("completed", None, range(0, 12, 3)),
    ("completed", "b", range(3, 12, 6)),
    ("running", None, [1, 2, 4, 5, 7, 8, 10, 11]),
    ("failed", None, []),
    (None, "c", []),
]
"""Status, workflow, and the executions that have them."""


def test_pages_lead_through_what_was_asked_for_those_started_last_first(models: ReadModels) -> None:
    a_busy_day(models)
    with models.now() as connection:
        for (status, workflow, expected), limit in itertools.product(ASKED_FOR, (1, 3, 50)):
            turn = partial(executions.page, connection, status=status, workflow=workflow, limit=limit)
            found = walk(turn)
            assert [execution.id for execution in found] == [f"e{number:02}" for number in reversed(expected)]


def test_a_page_that_holds_the_last_row_leads_nowhere(models: ReadModels) -> None:
    a_busy_day(models)
    with models.now() as connection:
        assert executions.page(connection, limit=12).next_cursor is None
        assert executions.page(connection, limit=11).next_cursor is not None


def test_pages_show_each_execution_once_while_new_ones_start_and_old_ones_change(models: ReadModels) -> None:
    a_busy_day(models)

    def more() -> None:
        number = models.log.last_position()
        models.given(f"new-{number}", started(workflow="a"))
        models.given("e00", node_started(f"t{number}"))
        models.given("e11", COMPLETED)
        models.projector.catch_up()

    with models.now() as connection:
        found = walk(partial(executions.page, connection, limit=2), more)
        assert [execution.id for execution in found] == [f"e{number:02}" for number in range(11, -1, -1)]
        assert ids(executions.page(connection))[:5] == [f"new-{number}" for number in range(28, 15, -3)]


def test_a_cursor_belongs_to_its_filters(models: ReadModels) -> None:
    a_busy_day(models)
    with models.now() as connection:
        cursor = executions.page(connection, status="running", limit=2).next_cursor
        assert executions.page(
            connection, status="running", cursor=cursor, limit=1
        )  # another limit is no other listing
        for filters in ({}, {"status": "completed"}, {"workflow": "a"}, {"status": "running", "workflow": "a"}):
            with pytest.raises(InvalidCursor, match="other filters"):
                executions.page(connection, cursor=cursor, **filters)  # type: ignore[arg-type]


def test_nonsense_is_no_cursor(models: ReadModels) -> None:
    a_busy_day(models)
    with models.now() as connection:
        for nonsense in NO_CURSORS:
            with pytest.raises(InvalidCursor):
                executions.page(connection, cursor=nonsense)


def test_a_page_has_room_for_one_row_or_more(models: ReadModels) -> None:
    with models.now() as connection:
        for limit in (0, -1, 2**31, 2**63):
            with pytest.raises(InvalidRequest, match="rows"):
                executions.page(connection, limit=limit)


def test_those_that_run_are_found_oldest_first(models: ReadModels) -> None:
    a_busy_day(models)
    models.given("e05", ASKED)
    models.given("e03", ExecutionResumed(worker=BOB))
    with models.now() as connection:
        found = [execution.id for execution in executions.running(connection)]
    assert found == ["e01", "e02", "e03", "e04", "e07", "e08", "e10", "e11"]


def test_a_batch_s_executions_can_be_listed_alone(models: ReadModels) -> None:
    for number, case in enumerate(("b1/c0", None, "b1/c/1", "b12/c0")):
        models.given(f"e{number}", started().model_copy(update={"batch_case": case}))
    with models.now() as connection:
        found = walk(partial(executions.page, connection, batch="b1", limit=1))
        assert [(row.id, row.batch_case) for row in found] == [("e2", "b1/c/1"), ("e0", "b1/c0")]
        assert executions.page(connection, batch="c0").items == ()
        with pytest.raises(InvalidCursor):
            executions.page(connection, cursor=executions.page(connection, batch="b1", limit=1).next_cursor)
