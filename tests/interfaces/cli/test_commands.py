"""What each command prints: for people, and as JSON with the keys that are promised."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.interfaces.cli.support import Folder, Outcome
from wtb import __version__
from wtb.interfaces.cli.refusals import EXIT_CODES

HI = '{"query": "hi"}'

RESULT_KEYS = {
    "execution_id",
    "workflow",
    "status",
    "duration_us",
    "position",
    "state",
    "interrupts",
    "error",
    "pause_reason",
    "stops",
}
EXECUTION_KEYS = {
    "id", "workflow", "graph", "status", "worker", "actor", "started_at", "updated_at", "ended_at", "duration_us",
    "error_type", "error_message", "failed_node", "waiting", "parent_execution", "parent_checkpoint", "variants",
    "batch_case", "steps", "checkpoints", "version", "position",
}  # fmt: skip
STEP_KEYS = {
    "execution", "position", "task", "node", "namespace", "checkpoint", "step", "attempt", "path", "variant", "status",
    "started_at", "ended_at", "duration_us", "error_type", "error_message", "writes",
}  # fmt: skip
CHECKPOINT_KEYS = {"execution", "id", "parent", "namespace", "step", "source", "created_at", "position"}


def run(folder: Folder, graph: str, execution: str, *words: str) -> Outcome:
    return folder.wtb("run", graph, "--input", HI, "--execution-id", execution, *words)


def document(outcome: Outcome) -> Any:
    """The JSON of a command that went well."""
    assert outcome.code == 0, outcome.err
    return outcome.json


# --- run ----------------------------------------------------------------------------------------------


def test_run_tells_how_an_execution_ended(folder: Folder) -> None:
    result = document(run(folder, "agent:plain", "one", "--json"))
    assert result.keys() == RESULT_KEYS
    assert (result["execution_id"], result["status"], result["workflow"]) == ("one", "completed", "agent:plain")
    assert result["state"] == {"query": "hi", "notes": ["first"]}
    assert (result["interrupts"], result["error"]) == ([], None)
    shown = run(folder, "agent:plain", "two")
    assert shown.code == 0
    assert "completed" in shown.out


def test_with_json_what_nodes_print_goes_to_stderr(folder: Folder) -> None:
    outcome = run(folder, "agent:plain", "one", "--json")
    assert outcome.json
    assert "a node prints" in outcome.err


def test_input_comes_from_a_file_or_from_stdin(folder: Folder) -> None:
    Path("input.json").write_text('{"query": "from a file"}')
    for given, expected in (("@input.json", "from a file"), ("-", "from stdin")):
        outcome = folder.wtb("run", "agent.py:plain", "-i", given, "--json", input='{"query": "from stdin"}')
        assert document(outcome)["state"]["query"] == expected


@pytest.mark.parametrize(
    ("words", "workflow"),
    [
        (("agent.py:plain",), "agent:plain"),
        (("agent:asking",), "asking"),
        (("agent:asking", "--workflow", "mine"), "mine"),
    ],
)
def test_a_workflow_is_called_as_told_or_by_the_graphs_name_or_by_its_reference(
    folder: Folder, words: tuple[str, ...], workflow: str
) -> None:
    assert document(folder.wtb("run", *words, "-i", HI, "--json"))["workflow"] == workflow


def test_an_id_of_langgraph_json_names_graph_and_workflow(folder: Folder) -> None:
    Path("langgraph.json").write_text('{"graphs": {"helper": "./agent.py:asking"}}')
    assert document(run(folder, "helper", "one", "--json"))["workflow"] == "helper"
    assert "--graph" not in folder.wtb("show", "one").out
    assert document(folder.wtb("resume", "one", "--answer", "yes", "--json"))["state"]["answer"] == "yes"


def test_another_langgraph_json_is_named_by_the_setting(folder: Folder) -> None:
    Path("deep").mkdir()
    Path("deep/graphs.json").write_text('{"graphs": {"helper": "../agent.py:plain"}}')
    Path("wtb.toml").write_text('langgraph_json = "deep/graphs.json"')
    assert document(run(folder, "helper", "one", "--json"))["workflow"] == "helper"


def test_a_database_names_no_code_that_is_run(folder: Folder) -> None:
    """A workflow that is called like a module is not imported because a store says so."""
    run(folder, "agent:asking", "one", "--workflow", "evil:graph")
    Path("evil.py").write_text("open('imported', 'w')")
    assert folder.wtb("resume", "one", "--answer", "x").code == EXIT_CODES["workflow-not-found"]
    assert not Path("imported").exists()


# --- a pause ------------------------------------------------------------------------------------------


def test_a_paused_run_ends_with_0_and_says_how_to_go_on(folder: Folder) -> None:
    outcome = run(folder, "agent:asking", "one")
    assert outcome.code == 0
    assert '"question": "hi"' in outcome.out
    assert "wtb resume one --answer ANSWER --graph agent:asking" in outcome.out


def test_the_command_that_goes_on_names_the_store_when_it_was_named(folder: Folder) -> None:
    outcome = run(folder, "agent:asking", "one", "--db", "my own.db")
    assert "--graph agent:asking --db 'my own.db'" in outcome.out


def test_show_asks_the_question_again(folder: Folder) -> None:
    run(folder, "agent:asking", "one")
    assert '"question": "hi"' in folder.wtb("show", "one").out
    [interrupt] = document(folder.wtb("show", "one", "--json"))["interrupts"]
    assert interrupt["value"] == {"question": "hi"}


@pytest.mark.parametrize(
    ("typed", "answer"), [("yes", "yes"), ('{"a": [1]}', {"a": [1]}), ("7", 7), ('"7"', "7"), ("null", None)]
)
def test_an_answer_is_json_or_else_text(folder: Folder, typed: str, answer: object) -> None:
    run(folder, "agent:asking", "one")
    result = document(folder.wtb("resume", "one", "--answer", typed, "--graph", "agent:asking", "--json"))
    assert (result["status"], result["state"]["answer"]) == ("completed", answer)


def test_several_questions_are_answered_by_their_ids(folder: Folder) -> None:
    asked = document(run(folder, "agent:both", "one", "--json"))["interrupts"]
    answers = {each["id"]: each["value"] if isinstance(each["value"], str) else "me" for each in asked}
    result = folder.wtb("resume", "one", "--answers", json.dumps(answers), "--graph", "agent:both", "--json")
    assert document(result)["state"] == {"query": "hi", "answer": "me", "notes": ["and you?"]}


# --- asking -------------------------------------------------------------------------------------------


@pytest.fixture
def recorded(folder: Folder) -> Folder:
    """A folder whose store holds a completed, a paused and a failed execution."""
    run(folder, "agent:plain", "whole")
    run(folder, "agent:asking", "waits")
    run(folder, "agent:failing", "broke")
    return folder


def test_list_shows_executions_newest_first(recorded: Folder) -> None:
    listed = document(recorded.wtb("list", "--json"))
    assert listed.keys() == {"items", "next_cursor"}
    assert [each["id"] for each in listed["items"]] == ["broke", "waits", "whole"]
    assert all(each.keys() == EXECUTION_KEYS for each in listed["items"])
    shown = recorded.wtb("list").out
    assert [line.split()[0] for line in shown.splitlines()[2:]] == ["broke", "waits", "whole"]


def test_list_picks_by_status_and_workflow(recorded: Folder) -> None:
    def ids(*words: str) -> list[str]:
        return [each["id"] for each in document(recorded.wtb("list", "--json", *words))["items"]]

    assert ids("--status", "paused") == ["waits"]
    assert ids("--workflow", "agent:failing") == ["broke"]
    assert ids("--status", "running") == []
    assert recorded.wtb("list", "--status", "running").out == "no executions\n"


def test_list_goes_on_from_page_to_page(recorded: Folder) -> None:
    first = document(recorded.wtb("list", "--limit", "2", "--json"))
    assert f"--cursor {first['next_cursor']}" in recorded.wtb("list", "--limit", "2").out
    second = document(recorded.wtb("list", "--limit", "2", "--json", "--cursor", first["next_cursor"]))
    assert [each["id"] for each in second["items"]] == ["whole"]
    assert second["next_cursor"] is None


def test_show_tells_all_of_an_execution(recorded: Folder) -> None:
    told = document(recorded.wtb("show", "broke", "--json"))
    assert told.keys() == EXECUTION_KEYS | {"alive", "interrupts"}
    assert (told["failed_node"], told["error_type"], told["alive"]) == ("boom", "ValueError", None)
    assert datetime.fromisoformat(told["started_at"]) <= datetime.fromisoformat(told["ended_at"])
    shown = recorded.wtb("show", "broke").out
    assert "failed" in shown
    assert "ValueError: no" in shown


def test_steps_shows_every_try_at_every_node(recorded: Folder) -> None:
    trail = document(recorded.wtb("steps", "broke", "--json"))
    assert [(step["node"], step["status"]) for step in trail["items"]] == [("first", "completed"), ("boom", "failed")]
    assert all(step.keys() == STEP_KEYS for step in trail["items"])
    assert "ValueError: no way" in recorded.wtb("steps", "broke").out
    assert "More with: --cursor " in recorded.wtb("steps", "broke", "--limit", "1").out


def test_checkpoints_are_listed_newest_first(recorded: Folder) -> None:
    listed = document(recorded.wtb("checkpoints", "whole", "--json"))
    assert [each["step"] for each in listed["items"]] == [1, 0, -1]
    assert all(each.keys() == CHECKPOINT_KEYS for each in listed["items"])
    assert listed["items"][0]["id"] in recorded.wtb("checkpoints", "whole").out
    assert "More with: --cursor " in recorded.wtb("checkpoints", "whole", "--limit", "2").out


def test_state_is_the_newest_or_that_at_a_checkpoint(recorded: Folder) -> None:
    newest = document(recorded.wtb("state", "whole", "--json"))
    assert newest.keys() == {"execution_id", "checkpoint", "step", "created", "channels"}
    assert newest["channels"] == {"query": "hi", "notes": ["first"]}
    before = document(recorded.wtb("checkpoints", "whole", "--json"))["items"][1]["id"]
    assert document(recorded.wtb("state", "whole", "--at", before, "--json"))["channels"].get("notes") in (None, [])
    assert "query\nhi\n" in recorded.wtb("state", "whole").out


def test_a_value_cannot_steer_the_terminal(folder: Folder) -> None:
    folder.wtb("run", "agent:plain", "-i", json.dumps({"query": "\x1b[31m[red]x"}), "--execution-id", "one")
    shown = folder.wtb("state", "one").out
    assert "\x1b" not in shown
    assert "[31m[red]x" in shown


def test_events_are_cloud_events_a_line(recorded: Folder) -> None:
    outcome = recorded.wtb("events", "whole", "--json")
    told = [json.loads(line) for line in outcome.out.splitlines()]
    assert [event["type"] for event in told] == [
        "wtb.ExecutionStarted",
        "wtb.CheckpointSaved",
        "wtb.WritesSaved",
        "wtb.CheckpointSaved",
        "wtb.NodeStarted",
        "wtb.NodeCompleted",
        "wtb.CheckpointSaved",
        "wtb.ExecutionCompleted",
    ]
    assert all(event["specversion"] == "1.0" and event["subject"] == "whole" for event in told)
    shown = recorded.wtb("events", "whole").out.splitlines()
    assert [line.split()[0] for line in shown] == [str(event["position"]) for event in told]


def test_events_begin_after_a_position_and_without_an_id_are_everybodys(recorded: Folder) -> None:
    everything = [json.loads(line) for line in recorded.wtb("events", "--json").out.splitlines()]
    assert {event["subject"] for event in everything} == {
        *("whole", "waits", "broke"),
        *("agent:plain", "asking", "agent:failing"),
    }
    positions = [event["position"] for event in everything]
    assert positions == sorted(positions)
    later = [json.loads(line) for line in recorded.wtb("events", "--json", "--after", "9").out.splitlines()]
    assert later == [event for event in everything if event["position"] > 9]
    assert "  waits  " in recorded.wtb("events").out


def test_following_an_execution_that_has_ended_ends(recorded: Folder) -> None:
    assert len(recorded.wtb("events", "whole", "--follow").out.splitlines()) == 8
    assert recorded.wtb("events", "whole", "--follow", "--after", "1000").out == ""


# --- upkeep -------------------------------------------------------------------------------------------


def test_rebuild_says_how_far_it_got_and_changes_nothing(recorded: Folder) -> None:
    before = recorded.wtb("list", "--json").out
    last = [json.loads(line) for line in recorded.wtb("events", "--json").out.splitlines()][-1]["position"]
    assert document(recorded.wtb("rebuild", "--json")) == {"position": last}
    assert f"position {last}" in recorded.wtb("rebuild").out
    assert recorded.wtb("list", "--json").out == before


def test_recover_with_nothing_to_do_says_so(recorded: Folder) -> None:
    assert recorded.wtb("recover").out == "nothing to recover\n"
    assert document(recorded.wtb("recover", "--json")) == {"results": [], "left": []}
    assert document(recorded.wtb("recover", "whole", "--json")) == {"results": [], "left": []}


def checks(outcome: Outcome) -> dict[str, dict[str, str]]:
    return {check["name"]: check for check in outcome.json["checks"]}


def test_doctor_finds_a_healthy_store(recorded: Folder) -> None:
    position = json.loads(recorded.wtb("events", "--json").out.splitlines()[-1])["position"]
    outcome = recorded.wtb("doctor", "--json")
    told = document(outcome)
    assert told.keys() == {"ok", "checks", "settings"}
    assert told["ok"] is True
    assert all(check.keys() == {"name", "outcome", "detail", "hint"} for check in told["checks"])
    found = checks(outcome)
    assert found["store"]["outcome"] == "ok"
    assert f"last position {position}" in found["store"]["detail"]
    assert found["read models"]["outcome"] in ("ok", "note")
    assert {"python", "versions", "extra server", "extra postgres", "nats", "executions", "disk"} <= found.keys()
    assert "✓" in recorded.wtb("doctor").out


def test_doctor_makes_no_store(folder: Folder) -> None:
    assert checks(folder.wtb("doctor", "--json"))["store"]["outcome"] == "note"
    assert not Path("data").exists()


def test_doctor_ends_with_1_when_something_is_broken(folder: Folder) -> None:
    Path("torn.db").write_bytes(b"no database at all" * 300)
    outcome = folder.wtb("doctor", "--db", "torn.db", "--json")
    assert outcome.code == 1
    assert outcome.json["ok"] is False
    assert checks(outcome)["store"]["outcome"] == "failed"


def test_doctor_says_where_settings_come_from_and_hides_passwords(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("wtb.toml").write_text("port = 9000")
    monkeypatch.setenv("WTB_NATS_URL", "nats://me:s3cret@localhost")
    outcome = folder.wtb("doctor", "--db", "own.db", "--json")
    settings = {each["name"]: (each["value"], each["source"]) for each in document(outcome)["settings"]}
    assert settings["db"] == ("own.db", "--db")
    assert settings["port"] == ("9000", "wtb.toml")
    assert settings["nats_url"] == ("nats://me:***@localhost", "WTB_NATS_URL")
    assert settings["host"] == ("127.0.0.1", "default")
    assert "s3cret" not in outcome.out + folder.wtb("doctor").out


def test_the_version_is_told(folder: Folder) -> None:
    assert folder.wtb("--version").out == f"wtb {__version__}\n"


@pytest.mark.postgres
def test_the_store_may_be_a_postgres_database(folder: Folder, postgres_url: str) -> None:
    run(folder, "agent:asking", "one", "--db", postgres_url)
    resumed = folder.wtb("resume", "one", "-a", "yes", "--graph", "agent:asking", "--db", postgres_url, "--json")
    assert document(resumed)["state"]["answer"] == "yes"
    steps = document(folder.wtb("steps", "one", "--db", postgres_url, "--json"))["items"]
    assert [step["node"] for step in steps] == ["first", "ask", "ask"]
    assert folder.wtb("events", "one", "--follow", "--db", postgres_url).out.endswith("ExecutionCompleted\n")
    assert checks(folder.wtb("doctor", "--db", postgres_url, "--json"))["store"]["outcome"] == "ok"
    assert not Path("data").exists()
