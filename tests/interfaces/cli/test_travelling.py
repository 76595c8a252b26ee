"""`wtb fork`, `rollback`, `undo`, `edit`, `retry`, `skip`, `run-node` and `lineage`."""

from typing import Any

import pytest

from tests.interfaces.cli.support import Folder, Outcome
from tests.interfaces.cli.test_commands import EXECUTION_KEYS, RESULT_KEYS, document, run

MOVED_KEYS = {*EXECUTION_KEYS, "checkpoint", "state"}
HELD = ("--graph", "agent:held")


@pytest.fixture
def done(folder: Folder) -> str:
    assert run(folder, "agent:held", "done").code == 0
    return "done"


@pytest.fixture
def failed(folder: Folder) -> str:
    assert run(folder, "agent:failing", "failed").code == 1
    return "failed"


def checkpoint(folder: Folder, execution: str, step: int) -> str:
    items = document(folder.wtb("checkpoints", execution, "--json"))["items"]
    return str(next(item["id"] for item in items if item["step"] == step))


@pytest.mark.parametrize("place", ["--at", "--node", "--step"])
def test_a_fork_runs_on_from_a_checkpoint(folder: Folder, done: str, place: str) -> None:
    value = {"--at": checkpoint(folder, done, 1), "--node": "hold", "--step": "1"}[place]
    outcome = folder.wtb("fork", done, place, value, "--new-id", "child", *HELD, "--json")
    result = document(outcome)
    assert result.keys() == RESULT_KEYS
    assert (result["execution_id"], result["state"]["notes"]) == ("child", ["first", "hold"])
    assert folder.ran() == ["first", "hold", "hold"]
    tree = folder.wtb("lineage", "child").out
    assert tree.index("done") < tree.index("child")
    family = document(folder.wtb("lineage", "done", "--json"))
    assert family.keys() == {"execution", "ancestors", "descendants", "branches", "head"}
    assert [each["id"] for each in family["descendants"]] == ["child"]


def test_a_fork_may_have_another_state_another_variant_and_wait(folder: Folder, done: str) -> None:
    words = ("--node", "hold", "--state", '{"notes": ["new"]}', "--variant", "hold=agent:boom", "--reason", "to see")
    waiting = document(folder.wtb("fork", done, *words, "--wait", "--new-id", "child", *HELD, "--json"))
    assert (waiting["status"], waiting["state"]["notes"]) == ("paused", ["first", "new"])
    row = document(folder.wtb("show", "child", "--json"))
    assert row["variants"] == {"hold": "boom"}


def test_the_head_moves_back_and_forth(folder: Folder, done: str) -> None:
    moved = document(folder.wtb("rollback", done, "--node", "hold", *HELD, "--reason", "again", "--json"))
    assert moved.keys() == MOVED_KEYS
    assert (moved["status"], moved["state"]["notes"]) == ("paused", ["first"])
    back = document(folder.wtb("undo", done, "--json"))
    assert (back["status"], back["state"]["notes"]) == ("completed", ["first", "hold"])
    shown = folder.wtb("rollback", done, "--to", checkpoint(folder, done, 0), *HELD)
    assert (shown.code, "Go on with: wtb resume done" in shown.out) == (0, True)
    assert folder.wtb("resume", done, *HELD).code == 0
    assert folder.ran() == ["first", "hold", "first", "hold"]


def test_a_state_is_edited(folder: Folder, done: str) -> None:
    moved = document(folder.wtb("edit", done, "--state", '{"notes": ["x"]}', "--as-node", "first", *HELD, "--json"))
    assert moved["state"]["notes"] == ["first", "hold", "x"]
    assert document(folder.wtb("resume", done, *HELD, "--json"))["state"]["notes"][-1] == "hold"


def test_what_failed_is_retried_or_passed_by(folder: Folder, failed: str) -> None:
    again = folder.wtb("retry", failed, "--graph", "agent:failing", "--json")
    assert (again.code, again.json["status"]) == (1, "failed")
    passed = document(
        folder.wtb("skip", failed, "boom", "--writes", '{"notes": ["x"]}', "--graph", "agent:failing", "--json")
    )
    assert (passed["status"], passed["state"]["notes"]) == ("completed", ["first", "x"])
    assert "(skipped)" in folder.wtb("steps", failed, "--json").out


def test_one_node_runs_and_nothing_is_recorded(folder: Folder, done: str, failed: str) -> None:
    before = folder.wtb("events").out
    ran = document(folder.wtb("run-node", done, "hold", "--state", '{"notes": []}', *HELD, "--json"))
    assert (ran["writes"], ran["error"], ran["interrupts"]) == ({"notes": ["hold"]}, None, [])
    broken = folder.wtb("run-node", failed, "boom", "--graph", "agent:failing")
    assert (broken.code, "ValueError" in broken.out) == (1, True)
    other = document(folder.wtb("run-node", done, "hold", "--variant", "agent:first", *HELD, "--json"))
    assert (other["writes"], other["variant"]) == ({"notes": ["first"]}, "first")
    assert folder.wtb("events").out == before


REFUSED: list[tuple[tuple[str, ...], int]] = [
    (("fork", "done", "--at", "nowhere", *HELD), 3),
    (("fork", "done", "--node", "first", "--step", "1", *HELD), 2),
    (("fork", "done", "--state", "[]", *HELD), 2),
    (("fork", "done", "--variant", "nonsense", *HELD), 2),
    (("fork", "done", "--variant", "hold=agent:nothing", *HELD), 3),
    (("fork", "done", "--new-id", "done", *HELD), 4),
    (("fork", "unheard"), 3),
    (("rollback", "done"), 3),  # its graph isn't named
    (("undo", "done"), 4),
    (("edit", "done", *HELD), 2),
    (("retry", "done", *HELD), 4),
    (("skip", "done", "hold", *HELD), 4),
    (("skip", "done", "hold", "--writes", "x", *HELD), 2),
    (("run-node", "done", "nothing", *HELD), 3),
    (("lineage", "unheard"), 3),
]


def test_refusals_say_what_to_do_and_change_nothing(folder: Folder, done: str) -> None:
    before = folder.wtb("events").out
    for words, code in REFUSED:
        outcome: Outcome = folder.wtb(*words, "--json")
        assert (outcome.code, outcome.out) == (code, ""), (words, outcome.err)
        told: Any = outcome.err.splitlines()[-1]
        assert '"hint"' in told
    assert folder.wtb("events").out == before
