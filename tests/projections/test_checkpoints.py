"""Checkpoints: what can be read back, newest first."""

from functools import partial

import pytest

from tests.projections.given import NO_CURSORS, ReadModels, saved, second, started, walk
from wtb.domain.errors import InvalidCursor, InvalidRequest
from wtb.domain.execution import CheckpointsDeleted, ExecutionFact
from wtb.domain.identifiers import CheckpointId, ExecutionId, Namespace
from wtb.projections import checkpoints
from wtb.projections.checkpoints import Checkpoint

EVERYTHING = CheckpointsDeleted(reason="thread")


def deleted(*ids: str, namespace: str = "") -> CheckpointsDeleted:
    return CheckpointsDeleted(
        reason="prune", checkpoints=tuple((Namespace(namespace), CheckpointId(each)) for each in ids)
    )


def shown(models: ReadModels, execution: str = "e1", namespace: str | None = None) -> list[str]:
    with models.now() as connection:
        return [each.id for each in checkpoints.of(connection, execution, namespace=namespace)]


# --- Rows -------------------------------------------------------------------------------------------


def test_a_checkpoint_is_shown_as_it_was_saved(models: ReadModels) -> None:
    *_, position = models.given("e1", started(), saved("c1"), saved("c2", "c1", namespace="sub:9c", step=-1))
    expected = Checkpoint(
        execution=ExecutionId("e1"),
        id=CheckpointId("c2"),
        parent=CheckpointId("c1"),
        namespace=Namespace("sub:9c"),
        step=-1,
        source="loop",
        created_at=second(3),
        position=position,
    )
    with models.now() as connection:
        assert checkpoints.get(connection, "e1", "c2", "sub:9c") == expected
        assert checkpoints.of(connection, "e1")[0] == expected


def test_a_checkpoint_is_found_by_execution_id_and_namespace_together(models: ReadModels) -> None:
    models.given("e1", saved("c1"))
    with models.now() as connection:
        assert checkpoints.get(connection, "e1", "c1") is not None
        assert checkpoints.get(connection, "e1", "c1", "sub:9c") is None
        assert checkpoints.get(connection, "e1", "c2") is None
        assert checkpoints.get(connection, "e2", "c1") is None


def test_a_checkpoint_saved_again_is_shown_as_it_was_saved_last(models: ReadModels) -> None:
    models.given("e1", saved("c1", "c0"), saved("c2", "c1"))
    models.given("e1", saved("c1", None, step=3))
    with models.now() as connection:
        again = checkpoints.get(connection, "e1", "c1")
    assert again is not None
    assert (again.parent, again.step, again.created_at) == (None, 3, second(3))
    assert shown(models) == ["c2", "c1"]


# --- Deletion ---------------------------------------------------------------------------------------

DELETIONS: list[tuple[list[ExecutionFact], list[str]]] = [
    ([saved("c1"), saved("c2"), EVERYTHING], []),
    ([saved("c1"), EVERYTHING, saved("c2")], ["c2"]),
    ([saved("c1"), EVERYTHING, saved("c1")], ["c1"]),
    ([saved("c1"), saved("c2"), saved("c3"), deleted("c1", "c3")], ["c2"]),
    ([saved("c1"), deleted("c1"), saved("c1")], ["c1"]),
    ([saved("c1"), deleted("c1"), saved("c1"), deleted("c1")], []),
    ([saved("c1"), saved("c2"), deleted("c1"), EVERYTHING, saved("c1")], ["c1"]),
    ([saved("c1"), EVERYTHING, saved("c2"), deleted("c2")], []),
    ([saved("c1"), deleted("c9")], ["c1"]),
    ([saved("c1"), deleted("c1", namespace="sub:9c")], ["c1"]),
    ([saved("c1"), deleted()], ["c1"]),
    ([EVERYTHING], []),
]
"""What was saved and deleted, and what is left."""


@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "one by one"])
def test_deleted_checkpoints_are_gone_unless_they_were_saved_again(models: ReadModels, at_once: bool) -> None:
    models.given("other", saved("c1"), saved("c2"), saved("c3"))
    for number, (facts, left) in enumerate(DELETIONS):
        for part in [facts] if at_once else [[fact] for fact in facts]:
            models.given(f"e{number}", *part)
            models.projector.catch_up()
        assert sorted(shown(models, f"e{number}")) == left, facts
    assert shown(models, "other") == ["c3", "c2", "c1"]


def test_more_checkpoints_can_be_deleted_at_once_than_a_statement_can_name(models: ReadModels) -> None:
    """SQLite takes 32,766 parameters in a statement."""
    many = [f"c{number:05}" for number in range(33_000)]
    models.given("e1", saved("c00001"), saved("c32999"), saved("d"))
    models.given("e1", deleted(*many))
    assert shown(models) == ["d"]


# --- Listings ---------------------------------------------------------------------------------------


def a_tree(models: ReadModels) -> list[str]:
    """Checkpoints saved out of order, as forks and side graphs do it; their ids, newest first."""
    ids = ["c05", "c01", "c09", "C02", "c10", "c03", "é", "c07"]
    models.given("e1", started(), *(saved(each) for each in ids), saved("c05", namespace="sub:9c"))
    models.given("e2", saved("c04"), saved("c06", namespace="sub:9c"))
    return ["é", "c10", "c09", "c07", "c05", "c05", "c03", "c01", "C02"]


def test_checkpoints_are_listed_by_id_newest_first_whenever_they_were_saved(models: ReadModels) -> None:
    """By code point on every database, as LangGraph compares ids."""
    expected = a_tree(models)
    assert shown(models) == expected
    assert expected == sorted(expected, reverse=True)


def test_a_namespace_may_be_asked_for_alone(models: ReadModels) -> None:
    a_tree(models)
    assert shown(models, namespace="sub:9c") == ["c05"]
    assert shown(models, namespace="sub") == []
    assert len(shown(models, namespace="")) == 8


def test_pages_lead_through_all_checkpoints_of_all_namespaces(models: ReadModels) -> None:
    expected = a_tree(models)
    with models.now() as connection:
        for limit in (1, 2, 5, 9, None):
            found = walk(partial(checkpoints.of, connection, "e1", limit=limit))
            root = walk(partial(checkpoints.of, connection, "e1", namespace="", limit=limit))
            assert [each.id for each in found] == expected
            assert len({(each.id, each.namespace) for each in found}) == len(found)
            assert [each.id for each in root] == list(dict.fromkeys(expected))


def test_pages_show_each_checkpoint_once_while_new_ones_are_saved(models: ReadModels) -> None:
    expected = a_tree(models)

    def more() -> None:
        models.given("e1", saved(f"new-{models.log.last_position()}"))
        models.projector.catch_up()

    with models.now() as connection:
        found = walk(partial(checkpoints.of, connection, "e1", limit=2), more)
    assert [each.id for each in found] == expected


def test_those_before_a_checkpoint_are_the_older_ones(models: ReadModels) -> None:
    a_tree(models)
    with models.now() as connection:
        found = walk(partial(checkpoints.of, connection, "e1", before="c05", limit=2))
        assert [each.id for each in found] == ["c03", "c01", "C02"]
        assert [each.id for each in checkpoints.of(connection, "e1", before="c08", limit=1)] == ["c07"]


def test_a_cursor_belongs_to_its_execution_and_namespace(models: ReadModels) -> None:
    a_tree(models)
    with models.now() as connection:
        cursor = checkpoints.of(connection, "e1", limit=2).next_cursor
        with pytest.raises(InvalidCursor, match="other filters"):
            checkpoints.of(connection, "e2", cursor=cursor)
        with pytest.raises(InvalidCursor, match="other filters"):
            checkpoints.of(connection, "e1", namespace="", cursor=cursor)
        for nonsense in NO_CURSORS:
            with pytest.raises(InvalidCursor):
                checkpoints.of(connection, "e1", cursor=nonsense)
        for limit in (0, -1, 2**31):
            with pytest.raises(InvalidRequest):
                checkpoints.of(connection, "e1", limit=limit)
