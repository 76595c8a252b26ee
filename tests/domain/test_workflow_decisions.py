"""Given a workflow's past, when a command, then facts: what is registered, versioned, archived and restored."""

from collections.abc import Callable

import pytest

from wtb.domain.errors import ArchivedWorkflow, WorkflowNotFound
from wtb.domain.workflow import (
    NodeDescribed,
    Workflow,
    WorkflowArchived,
    WorkflowFact,
    WorkflowRegistered,
    WorkflowRestored,
    WorkflowVersioned,
    fold,
)
from wtb.domain.workflow_decisions import archive, choose, register, restore, version

KNOWN = WorkflowRegistered(description="sorts")
ARCHIVED = WorkflowArchived(reason="old")
RESTORED = WorkflowRestored(reason="wanted")


def versioned(digest: str) -> WorkflowVersioned:
    return WorkflowVersioned(
        version=digest,
        nodes=(NodeDescribed(path="a", code="c"),),
        edges=(),
        channels={},
        input_schema=None,
        output_schema=None,
    )


Command = Callable[[Workflow], list[WorkflowFact]]


@pytest.mark.parametrize(
    ("past", "command", "facts"),
    [
        ([], lambda w: register(w), [WorkflowRegistered()]),
        ([], lambda w: register(w, "sorts"), [KNOWN]),
        ([KNOWN], lambda w: register(w), []),
        ([KNOWN], lambda w: register(w, "sorts"), []),
        ([KNOWN], lambda w: register(w, "sorts better"), [WorkflowRegistered(description="sorts better")]),
        ([KNOWN], lambda w: register(w, ""), [WorkflowRegistered()]),
        ([], lambda w: version(w, versioned("1")), [versioned("1")]),
        ([versioned("1")], lambda w: version(w, versioned("1")), []),
        ([versioned("1")], lambda w: version(w, versioned("2")), [versioned("2")]),
        ([versioned("1"), versioned("2")], lambda w: version(w, versioned("1")), []),
        ([KNOWN, ARCHIVED], lambda w: version(w, versioned("1")), [versioned("1")]),
        ([KNOWN], lambda w: archive("w", w, "old"), [ARCHIVED]),
        ([KNOWN, ARCHIVED], lambda w: archive("w", w, "older"), []),
        ([KNOWN, ARCHIVED], lambda w: restore("w", w, "wanted"), [RESTORED]),
        ([KNOWN], lambda w: restore("w", w, "wanted"), []),
        ([KNOWN, ARCHIVED, RESTORED], lambda w: archive("w", w, "old"), [ARCHIVED]),
    ],
)
def test_a_command_leads_to_what_is_not_so_yet(
    past: list[WorkflowFact], command: Command, facts: list[WorkflowFact]
) -> None:
    assert command(fold(past)) == facts


@pytest.mark.parametrize("command", [lambda w: archive("w", w, ""), lambda w: restore("w", w, "")])
def test_what_nobody_registered_is_not_archived_nor_restored(command: Command) -> None:
    with pytest.raises(WorkflowNotFound, match="'w'"):
        command(fold([]))


def test_an_archived_workflow_is_not_chosen_from_until_it_is_restored() -> None:
    with pytest.raises(ArchivedWorkflow, match="'w'"):
        choose("w", fold([KNOWN, ARCHIVED]), {})
    assert choose("w", fold([KNOWN, ARCHIVED, RESTORED]), {}) == {}
    assert choose("w", fold([]), {}) == {}


def test_versions_stand_in_the_order_they_were_first_seen() -> None:
    state = fold([KNOWN, versioned("2"), versioned("1"), ARCHIVED])
    assert [*state.versions] == ["2", "1"]
    assert (state.registered, state.archived, state.description) == (True, True, "sorts")
