"""``wtb diff``, ``--as-of`` and ``--cursor`` on real stores."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.interfaces.cli.support import Folder


def run(folder: Folder, graph: str, name: str, query: str = "q") -> None:
    folder.wtb("run", graph, "--execution-id", name, "--input", json.dumps({"query": query}))


def document(folder: Folder, *words: str) -> Any:
    outcome = folder.wtb(*words, "--json")
    assert outcome.code == 0, outcome.err
    return outcome.json


def test_two_that_did_the_same_end_with_0(folder: Folder) -> None:
    run(folder, "agent:plain", "one")
    run(folder, "agent:plain", "two")
    outcome = folder.wtb("diff", "one", "two")
    assert outcome.code == 0
    assert "equal, 1 step" in outcome.out
    told = document(folder, "diff", "one", "two")
    assert (told["equal"], told["first_difference"], told["state"]) == (True, None, [])


def test_two_that_differ_end_with_1_and_are_told_apart(folder: Folder) -> None:
    run(folder, "agent:plain", "one")
    run(folder, "agent:failing", "two")
    outcome = folder.wtb("diff", "one", "two")
    assert outcome.code == 1
    assert "first difference: writes of first" in outcome.out
    assert "boom" in outcome.out
    assert "ValueError" in outcome.out
    outcome = folder.wtb("diff", "one", "two", "--json")
    assert outcome.code == 1
    assert outcome.json["first_difference"]["node"] == "first"
    assert [step["node"] for step in outcome.json["steps"]] == ["first", "boom"]
    assert outcome.json["differs"] == ["status", "error"]


def test_one_at_two_checkpoints(folder: Folder) -> None:
    run(folder, "agent:held", "one")
    newest, older = (saved["id"] for saved in document(folder, "checkpoints", "one", "--limit", "2")["items"])
    outcome = folder.wtb("diff", "one", "--at-a", older, "--at-b", newest)
    assert outcome.code == 1
    assert '+ notes[1]: "hold"' in outcome.out
    assert folder.wtb("diff", "one", "--at-a", newest, "--exact").code == 0


def test_what_can_t_be_compared_is_refused(folder: Folder) -> None:
    run(folder, "agent:plain", "one")
    assert folder.wtb("diff", "one").code == 2
    assert folder.wtb("diff", "one", "unknown").code == 3
    assert folder.wtb("diff", "one", "--at-a", "unknown").code == 3


def test_every_question_can_be_asked_of_the_past(folder: Folder) -> None:
    run(folder, "agent:asking", "one")
    paused = document(folder, "show", "one")
    folder.wtb("resume", "one", "-a", "yes", "--graph", "agent:asking")
    run(folder, "agent:plain", "two")
    then = ("--as-of", str(paused["position"]))
    assert [each["id"] for each in document(folder, "list", *then)["items"]] == ["one"]
    assert document(folder, "show", "one", *then) == paused
    assert [step["status"] for step in document(folder, "steps", "one", *then)["items"]] == ["completed", "interrupted"]
    assert len(document(folder, "checkpoints", "one", *then)["items"]) == 3
    assert "answer" not in document(folder, "state", "one", *then)["channels"]
    assert document(folder, "state", "one")["channels"]["answer"] == "yes"
    lines = folder.wtb("events", *then, "--json").out.splitlines()
    assert len(lines) == paused["position"]
    assert folder.wtb("events", "one", *then).out.splitlines()[-1].endswith("interrupt")
    assert "paused" in folder.wtb("show", "one", *then).out
    assert folder.wtb("show", "two", *then).code == 3


def test_a_time_is_local_unless_it_names_its_zone(folder: Folder) -> None:
    run(folder, "agent:plain", "one")
    for time in ("2020-01-01", "2020-01-01 12:00:00", "2020-01-01T12:00:00Z"):
        assert document(folder, "list", "--as-of", time)["items"] == []
    assert len(document(folder, "list", "--as-of", "9999-12-01T00:00:00+00:00")["items"]) == 1
    assert len(document(folder, "list", "--as-of", "1000000")["items"]) == 1
    for nonsense in ("yesterday", "", "-1"):
        assert folder.wtb("list", "--as-of", nonsense).code == 2
    assert folder.wtb("events", "--follow", "--as-of", "1").code == 2


def test_steps_and_checkpoints_lead_on_by_cursor(folder: Folder) -> None:
    run(folder, "agent:held", "one")
    for listing, past in (
        ("steps", ()),
        ("checkpoints", ()),
        ("steps", ("--as-of", "100")),
        ("checkpoints", ("--as-of", "100")),
    ):
        whole = document(folder, listing, "one", *past)["items"]
        page = document(folder, listing, "one", *past, "--limit", "1")
        assert f"--cursor {page['next_cursor']}" in folder.wtb(listing, "one", *past, "--limit", "1").out
        rest = document(folder, listing, "one", *past, "--cursor", page["next_cursor"])
        assert page["items"] + rest["items"] == whole
        assert folder.wtb(listing, "one", *past, "--cursor", "nonsense").code == 2


@pytest.mark.postgres
def test_the_store_may_be_a_postgres_database(folder: Folder, postgres_url: str) -> None:
    for name, graph in (("one", "agent:plain"), ("two", "agent:failing")):
        folder.wtb("run", graph, "--execution-id", name, "--db", postgres_url, "--input", '{"query": "q"}')
    assert folder.wtb("diff", "one", "two", "--db", postgres_url).code == 1
    assert folder.wtb("diff", "one", "one", "--db", postgres_url).code == 0
    listed = folder.wtb("list", "--as-of", "4", "--db", postgres_url, "--json").json["items"]
    assert [(each["id"], each["status"]) for each in listed] == [("one", "running")]
    assert not Path("data").exists()
