"""The tree of errors: as it is drawn, with stable codes and with hints."""

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import wtb
import wtb.domain
from wtb.domain import errors
from wtb.domain.errors import (
    CheckpointNotFound,
    ExecutionExists,
    ExecutionNotFound,
    ExecutionTaken,
    InvalidCursor,
    NotResumable,
    UnserializableValue,
    VersionConflict,
    WorkflowNotFound,
    WtbError,
)

PACKAGE = Path(wtb.__file__).parent

GROUPS = {"WtbError", "InvalidRequest", "NotFound", "Conflict", "StoreError"}
"""What a caller catches. Those that are raised themselves bring the hint along."""

CODES = {
    "WtbError": "error",
    "InvalidRequest": "invalid-request",
    "InvalidState": "invalid-state",
    "UnserializableValue": "unserializable-value",
    "InvalidAnswer": "invalid-answer",
    "InvalidCursor": "invalid-cursor",
    "InvalidSettings": "invalid-settings",
    "InvalidVariant": "invalid-variant",
    "InvalidGraph": "invalid-graph",
    "InvalidBundle": "invalid-bundle",
    "InvalidCase": "invalid-case",
    "ExtraMissing": "extra-missing",
    "NotFound": "not-found",
    "ExecutionNotFound": "execution-not-found",
    "CheckpointNotFound": "checkpoint-not-found",
    "FileNotKept": "file-not-kept",
    "NodeNotFound": "node-not-found",
    "VariantNotFound": "variant-not-found",
    "WorkflowNotFound": "workflow-not-found",
    "GraphNotFound": "graph-not-found",
    "BatchNotFound": "batch-not-found",
    "Conflict": "conflict",
    "VersionConflict": "version-conflict",
    "ExecutionExists": "execution-exists",
    "NotResumable": "not-resumable",
    "WrongStatus": "wrong-status",
    "NothingToUndo": "nothing-to-undo",
    "ExecutionTaken": "execution-taken",
    "RetiredVariant": "variant-retired",
    "ArchivedWorkflow": "workflow-archived",
    "BatchExists": "batch-exists",
    "BatchTaken": "batch-taken",
    "StoreError": "store-error",
    "StoreUnavailable": "store-unavailable",
    "NotAStore": "not-a-store",
    "StoreTooNew": "store-too-new",
    "UnknownEvent": "unknown-event",
    "ValueMissing": "value-missing",
    "LogNotWhole": "log-not-whole",
    "WorkerDied": "worker-died",
    "TrialTimedOut": "trial-timed-out",
    "BatchFailedError": "batch-failed",
    "ExecutionFailedError": "execution-failed",
}
"""What programs on the other side of an interface know each error by. Rows may be added, never changed."""

REFUSALS = [
    UnserializableValue(node="fetch", channel="page", kind="socket", reason="no"),
    ExecutionNotFound("e1"),
    CheckpointNotFound("e1", "c1"),
    CheckpointNotFound("e1", None),
    WorkflowNotFound("w"),
    VersionConflict("execution-e1", 7),
    ExecutionExists("e1"),
    NotResumable("e1", "completed"),
    ExecutionTaken("e1", "worker-2"),
    InvalidCursor("this is not a cursor of this listing"),
]


def tree(root: type[WtbError] = WtbError) -> Iterator[type[WtbError]]:
    """The errors of `wtb.domain.errors`, each after its parent; another room's own errors aren't among them."""
    yield root
    for child in root.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from tree(child)


def drawn() -> Iterator[tuple[str, str]]:
    """(error, its parent) as the module's docstring draws them."""
    above: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        if node := re.match(r"^ +(?:[│ ]*[├└]─ )?(\w+)(?:  .*)?$", line):
            depth = node.start(1)
            above = [(left, name) for left, name in above if left < depth]
            yield node[1], above[-1][1] if above else "WtbError"
            above.append((depth, node[1]))


def test_the_tree_is_as_its_docstring_draws_it() -> None:
    parents = {error.__name__: error.__mro__[1].__name__ for error in tree()}
    assert list(drawn()) == list({**parents, "WtbError": "WtbError"}.items())


def test_every_error_of_the_domain_stands_in_the_tree() -> None:
    for module in pkgutil.iter_modules(wtb.domain.__path__, "wtb.domain."):
        for thing in vars(importlib.import_module(module.name)).values():
            if isinstance(thing, type) and issubclass(thing, BaseException) and thing.__module__.startswith("wtb"):
                assert thing in set(tree())


def test_each_error_has_one_name_that_stays() -> None:
    assert {error.__name__: error.code for error in tree()} == CODES
    assert len(set(CODES.values())) == len(CODES)


@pytest.mark.parametrize("error", [*tree()], ids=lambda error: error.__name__)
def test_every_error_but_a_group_says_in_one_line_what_to_do(error: type[WtbError]) -> None:
    if error.__name__ in GROUPS:
        assert error.__subclasses__()
        assert not error.hint
    else:
        assert re.fullmatch(r"\S.{5,118}\.", error.hint)


def test_an_error_that_is_only_a_group_is_nowhere_made_without_a_hint() -> None:
    without = [
        f"{file.relative_to(PACKAGE)}:{node.lineno}"
        for file in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in GROUPS
        if "hint" not in {keyword.arg for keyword in node.keywords}
    ]
    assert not without


def test_a_hint_given_when_raised_takes_the_place_of_the_general_one() -> None:
    assert InvalidCursor("m", hint="Do this.").hint == "Do this."
    assert InvalidCursor("m").hint == InvalidCursor.hint != "Do this."


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: type(refusal).__name__)
def test_a_refusal_says_in_one_line_what_it_is_about(refusal: WtbError) -> None:
    assert re.fullmatch(r"[^\n]+[^.\n]", str(refusal))
    assert refusal.hint
