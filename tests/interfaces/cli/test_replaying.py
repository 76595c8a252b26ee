"""`wtb replay`."""

from typing import Any

import pytest

from tests.interfaces.cli.support import Folder
from tests.interfaces.cli.test_commands import document, run

HELD = ("--graph", "agent:held")
REPORT_KEYS = {
    "execution_id", "workflow", "identical", "status", "steps", "supersteps", "nodes_called", "routers_called",
    "duration_us", "state", "first_divergence", "ran", "stopped_at", "changes", "state_changes", "error",
}  # fmt: skip


@pytest.fixture
def done(folder: Folder) -> str:
    assert run(folder, "agent:held", "done").code == 0
    return "done"


def test_a_replay_calls_nothing(folder: Folder, done: str) -> None:
    report = document(folder.wtb("replay", done, *HELD, "--json"))
    assert report.keys() == REPORT_KEYS
    assert (report["identical"], report["status"], report["steps"]) == (True, "completed", 2)
    assert (report["nodes_called"], report["routers_called"]) == (0, 0)
    shown = folder.wtb("replay", done, *HELD)
    assert (shown.code, "2 steps in 3 supersteps" in shown.out) == (0, True)
    assert folder.ran() == ["first", "hold"]


def test_a_changed_graph_is_an_exit_code_of_its_own(folder: Folder, done: str) -> None:
    outcome = folder.wtb("replay", done, "--graph", "agent:plain", "--json")
    assert (outcome.code, outcome.json["status"]) == (1, "diverged")
    divergence: dict[str, Any] = outcome.json["first_divergence"]
    assert divergence.keys() == {"kind", "message", "step", "node", "channel", "expected", "found"}
    assert (divergence["kind"], divergence["step"], divergence["node"]) == ("graph", 2, "hold")
    shown = folder.wtb("replay", done, "--graph", "agent:plain")
    assert (shown.code, "First divergence: at step 2" in shown.out) == (1, True)


def test_what_if_is_asked_with_a_variant(folder: Folder, done: str) -> None:
    other = ("--variant", "first=agent:hold")
    stopped = folder.wtb("replay", done, *other, *HELD, "--json")
    assert (stopped.code, stopped.json["stopped_at"]) == (1, {"node": "hold", "step": 2})
    live = folder.wtb("replay", done, *other, *HELD, "--live")
    assert live.code == 1
    assert '["hold","hold"]' in live.out
    same = folder.wtb("replay", done, "--variant", "first=default", *HELD, "--json")
    assert (same.code, same.json["ran"]) == (0, [{"node": "first", "step": 1}])


def test_a_replay_may_end_at_a_checkpoint(folder: Folder, done: str) -> None:
    items = document(folder.wtb("checkpoints", done, "--json"))["items"]
    at = next(item["id"] for item in items if item["step"] == 1)
    report = document(folder.wtb("replay", done, "--at", at, *HELD, "--json"))
    assert (report["status"], report["state"]["notes"]) == ("stopped", ["first"])


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("unheard", *HELD), 3),
        (("done",), 3),  # its graph isn't named
        (("done", "--at", "nowhere", *HELD), 3),
        (("done", "--variant", "nonsense", *HELD), 2),
        (("done", "--variant", "nothing=agent:hold", *HELD), 3),
        (("done", "--variant", "first=unheard", *HELD), 3),
    ],
)
def test_refusals(folder: Folder, done: str, words: tuple[str, ...], code: int) -> None:
    assert folder.wtb("replay", *words).code == code
