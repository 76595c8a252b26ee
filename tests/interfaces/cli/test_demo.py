"""``wtb demo``, end to end: a real kill, a recovery, an answer, a mail."""

import os
from collections import Counter
from pathlib import Path

import pytest

from tests.interfaces.cli.support import Folder
from wtb.domain.execution import NodeCompleted, NodeStarted
from wtb.sdk import TestBench, WorkflowProject


def test_the_demo_kills_recovers_and_answers(folder: Folder) -> None:
    outcome = folder.finish("demo", "--json")
    assert outcome.code == 0, outcome.err
    told = outcome.json
    assert told["killed"]["signal"] == 9
    with pytest.raises(ProcessLookupError):
        os.kill(told["killed"]["pid"], 0)

    before = [(step["node"], step["status"]) for step in told["steps_when_killed"]]
    assert before[:4] == [
        ("read", "completed"),
        ("classify", "completed"),
        ("retrieve", "failed"),
        ("retrieve", "completed"),
    ]
    assert sorted(before[4:]) == [("search", "completed"), ("search", "completed"), ("search", "running")]
    assert told["recovered"]["status"] == "paused"
    assert told["ran_again"] == []
    assert told["result"]["status"] == "completed"
    sent = told["result"]["state"]["sent"]
    assert sent["to"] == "mara@lindqvist-keramik.example"

    # The events say the same: what had ended never began again, and what ran when it was killed did once.
    with TestBench(WorkflowProject("demo", db_path="data/demo.db")) as bench:
        events = bench.events(told["execution_id"])
        starts = Counter((e.fact.task, e.fact.attempt) for e in events if isinstance(e.fact, NodeStarted))
        ends = Counter(e.fact.task for e in events if isinstance(e.fact, NodeCompleted))
        assert len(bench.checkpoints(told["execution_id"])) == told["checkpoints"]
    assert set(ends.values()) == {1}
    lost = [step["task"] for step in told["steps"] if step["status"] == "lost"]
    asked = [step["task"] for step in told["steps"] if step["node"] == "review"]
    assert {task for (task, _), count in starts.items() if count > 1} == {*lost, *asked}
    assert len(lost) == 1
    assert sent["body"] in Path("outputs", told["execution_id"], "reply.txt").read_text()


def test_the_demo_tells_its_story_and_can_be_told_again(folder: Folder) -> None:
    """Both on one store, which already holds the first one's execution."""
    for answer, end in (
        ("approve", "To: j.weber@fastmail.example"),
        ("reject", "Nothing was sent; the decision was reject."),
    ):
        outcome = folder.wtb("demo", "--ticket", "lost_password", "--answer", answer, "--db", "own.db")
        assert outcome.code == 0, outcome.err
        for line in ("kill -9", "6 steps had ended; running: search.", "Finished nodes that ran again: none.", end):
            assert line in outcome.out
        assert "wtb show" in outcome.out
    assert len(folder.wtb("list", "--db", "own.db", "--json").json["items"]) == 2


def test_an_answer_the_example_does_not_understand_leaves_the_question_open(folder: Folder) -> None:
    outcome = folder.wtb("demo", "--answer", '{"action": "shred"}')
    assert outcome.code == 0
    assert '"not_understood"' in outcome.out
    assert "Go on with: wtb resume" in outcome.out


def test_a_ticket_that_is_not_there_fails_before_the_kill(folder: Folder) -> None:
    outcome = folder.wtb("demo", "--ticket", "lost_luggage")
    assert outcome.code == 1
    assert "no ticket 'lost_luggage'; there are:" in outcome.err
