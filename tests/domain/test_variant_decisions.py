"""Which variants run: given a workflow's facts, when one is registered, promoted, retired or chosen."""

import pytest

from wtb.domain.errors import ArchivedWorkflow, RetiredVariant, VariantNotFound, WorkflowNotFound
from wtb.domain.workflow import (
    VariantPromoted,
    VariantRegistered,
    VariantRestored,
    VariantRetired,
    WorkflowArchived,
    WorkflowFact,
    WorkflowRegistered,
    fold,
)
from wtb.domain.workflow_decisions import (
    check_choices,
    choose,
    promote,
    register_variant,
    restore_variant,
    retire,
)

KNOWN = WorkflowRegistered()
SHORT = VariantRegistered(node="answer", name="short", code="1", kind="function")
LONG = VariantRegistered(node="answer", name="long", code="2", kind="function")
PROMOTED = VariantPromoted(node="answer", name="short", reason="better")
RETIRED = VariantRetired(node="answer", name="short", reason="worse")


def test_a_variant_is_registered_once_and_again_when_it_is_another() -> None:
    assert register_variant(fold([KNOWN]), SHORT) == [SHORT]
    assert register_variant(fold([KNOWN, SHORT]), SHORT) == []
    changed = SHORT.model_copy(update={"code": "3"})
    assert register_variant(fold([KNOWN, SHORT]), changed) == [changed]


def test_another_revision_of_a_variant_stays_promoted_and_stays_retired() -> None:
    changed = SHORT.model_copy(update={"code": "3"})
    assert fold([KNOWN, SHORT, PROMOTED, changed]).promoted == {"answer": "short"}
    assert fold([KNOWN, SHORT, RETIRED, changed]).variants["answer", "short"].retired


def test_a_variant_is_promoted_once() -> None:
    assert promote("w", fold([KNOWN, SHORT]), "answer", "short", "better") == [PROMOTED]
    assert promote("w", fold([KNOWN, SHORT, PROMOTED]), "answer", "short", "again") == []


def test_one_variant_of_a_node_is_promoted_at_a_time() -> None:
    facts: list[WorkflowFact] = [KNOWN, SHORT, LONG, PROMOTED]
    facts += promote("w", fold(facts), "answer", "long", "")
    assert fold(facts).promoted == {"answer": "long"}


def test_the_nodes_own_is_promoted_back_and_is_so_to_begin_with() -> None:
    back = [VariantPromoted(node="answer", name="default")]
    assert promote("w", fold([KNOWN, SHORT, PROMOTED]), "answer", "default", "") == back
    assert fold([KNOWN, SHORT, PROMOTED, *back]).promoted == {}
    assert promote("w", fold([KNOWN, SHORT]), "answer", "default", "") == []


def test_what_is_retired_or_unknown_is_not_promoted() -> None:
    with pytest.raises(RetiredVariant):
        promote("w", fold([KNOWN, SHORT, RETIRED]), "answer", "short", "")
    with pytest.raises(VariantNotFound):
        promote("w", fold([KNOWN]), "answer", "short", "")
    with pytest.raises(WorkflowNotFound):
        promote("w", fold([]), "answer", "short", "")


def test_a_promoted_variant_that_is_retired_gives_way_to_the_nodes_own() -> None:
    facts = retire("w", fold([KNOWN, SHORT, PROMOTED]), "answer", "short", "worse")
    assert facts == [VariantPromoted(node="answer", name="default", reason="worse"), RETIRED]
    assert choose("w", fold([KNOWN, SHORT, PROMOTED, *facts]), {}) == {}


def test_a_variant_is_retired_and_restored_once() -> None:
    assert retire("w", fold([KNOWN, SHORT]), "answer", "short", "worse") == [RETIRED]
    assert retire("w", fold([KNOWN, SHORT, RETIRED]), "answer", "short", "") == []
    restored = VariantRestored(node="answer", name="short", reason="sorry")
    assert restore_variant("w", fold([KNOWN, SHORT, RETIRED]), "answer", "short", "sorry") == [restored]
    assert restore_variant("w", fold([KNOWN, SHORT, RETIRED, restored]), "answer", "short", "") == []
    for command in (retire, restore_variant):
        with pytest.raises(VariantNotFound):
            command("w", fold([KNOWN]), "answer", "short", "")


def test_what_is_chosen_comes_before_what_was_promoted() -> None:
    state = fold([KNOWN, SHORT, LONG, PROMOTED])
    assert choose("w", state, {}) == {"answer": "short"}
    assert choose("w", state, {"answer": "long"}) == {"answer": "long"}
    assert choose("w", state, {"answer": "default"}) == {"answer": "default"}
    assert choose("w", state, {"other": "x"}) == {"answer": "short", "other": "x"}


def test_retired_variants_are_not_chosen() -> None:
    state = fold([KNOWN, SHORT, LONG, RETIRED])
    with pytest.raises(RetiredVariant):
        choose("w", state, {"answer": "short"})
    with pytest.raises(RetiredVariant):
        check_choices(state, {"answer": "short"})
    for fine in ({"answer": "long"}, {"other": "short"}):
        assert choose("w", state, fine) == fine
        check_choices(state, fine)


def test_an_archived_workflow_is_not_run() -> None:
    with pytest.raises(ArchivedWorkflow):
        choose("w", fold([KNOWN, WorkflowArchived()]), {})
