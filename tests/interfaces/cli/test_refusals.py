"""How commands that can't do what they were asked end: the exit code, one line, and what to do."""

import json
import sqlite3
from pathlib import Path

import pytest

import wtb.infra.nats.errors  # noqa: F401  # its errors are in the tree too
from tests.interfaces.cli.support import Folder, Outcome
from wtb.domain.errors import Conflict, InvalidRequest, NotFound, StoreError, WtbError
from wtb.interfaces.cli.refusals import EXIT_CODES, exit_code


def tree(kind: type[WtbError]) -> list[type[WtbError]]:
    return [kind, *(below for each in kind.__subclasses__() for below in tree(each))]


@pytest.mark.parametrize("kind", [kind for kind in tree(WtbError) if kind.__module__.startswith("wtb.")])
def test_every_error_has_an_exit_code(kind: type[WtbError]) -> None:
    assert kind.code in EXIT_CODES


@pytest.mark.parametrize(("family", "code"), [(InvalidRequest, 2), (NotFound, 3), (Conflict, 4), (StoreError, 5)])
def test_a_family_of_errors_has_one_exit_code(family: type[WtbError], code: int) -> None:
    assert {EXIT_CODES[kind.code] for kind in tree(family) if kind.__module__.startswith("wtb.")} == {code}


def test_an_error_without_a_row_ends_like_the_one_above_it() -> None:
    class Stranger(NotFound):
        code = "stranger"

    assert exit_code(Stranger("who?")) == 3


def refused(outcome: Outcome, code: int, message: str) -> str:
    """Check a refusal's two lines; returns the hint."""
    assert outcome.code == code
    assert outcome.out == ""
    error, hint = outcome.err.splitlines()
    assert error.startswith("error: ")
    assert message in error
    assert hint.startswith("hint: ")
    return hint.removeprefix("hint: ")


@pytest.mark.parametrize("command", ["show", "steps", "checkpoints", "state", "events", "recover", "resume"])
def test_an_unknown_execution_ends_with_3(folder: Folder, command: str) -> None:
    hint = refused(folder.wtb(command, "nobody"), 3, "there is no execution 'nobody' in this store")
    assert "wtb list" in hint


def test_an_unknown_checkpoint_ends_with_3(folder: Folder) -> None:
    folder.wtb("run", "agent:plain", "-i", '{"query": "hi"}', "--execution-id", "one")
    refused(folder.wtb("state", "one", "--at", "none"), 3, "execution 'one' has no checkpoint 'none'")


def test_a_file_of_something_else_ends_with_5_and_is_left_alone(folder: Folder) -> None:
    other = Path("other.db")
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE sheep (name TEXT)")
    before = other.read_bytes()
    refused(folder.wtb("list", "--db", "other.db"), 5, "other.db is an SQLite database of something else")
    assert other.read_bytes() == before


def test_a_corrupt_file_ends_with_5_and_is_left_alone(folder: Folder) -> None:
    Path("torn.db").write_bytes(b"no database at all" * 300)
    refused(folder.wtb("list", "--db", "torn.db"), 5, "torn.db is not an SQLite database, or is damaged")
    assert Path("torn.db").read_bytes() == b"no database at all" * 300


def test_a_newer_schema_ends_with_5(folder: Folder) -> None:
    folder.wtb("list")
    with sqlite3.connect("data/wtb.db") as connection:
        connection.execute("UPDATE wtb_meta SET value='999' WHERE name='schema'")
    connection.close()
    assert refused(folder.wtb("list"), 5, "has schema 999") == "Upgrade wtb."


def test_a_store_in_a_folder_that_cannot_be_made_ends_with_5(folder: Folder) -> None:
    Path("file").write_text("")
    refused(folder.wtb("list", "--db", "file/wtb.db"), 5, "file")


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("agent:nothing", "agent has no attribute 'nothing'"),
        ("nowhere_at_all:graph", "can't import nowhere_at_all: ModuleNotFoundError"),
        ("missing.py:graph", "there is no file missing.py"),
        ("support", "'support' names no graph"),
    ],
)
def test_a_graph_that_is_not_found_ends_with_3(folder: Folder, reference: str, message: str) -> None:
    refused(folder.wtb("run", reference, "-i", "{}"), 3, message)


def test_something_that_is_no_graph_ends_with_2(folder: Folder) -> None:
    refused(folder.wtb("run", "agent:os", "-i", "{}"), 2, "agent:os is no graph, it is module")


@pytest.mark.parametrize("given", ["{", "{'query': 1}", "query"])
def test_input_that_is_not_json_ends_with_2(folder: Folder, given: str) -> None:
    refused(folder.wtb("run", "agent:plain", "--input", given), 2, "the input isn't JSON: ")


def test_input_from_a_file_that_is_not_there_ends_with_2(folder: Folder) -> None:
    outcome = folder.wtb("run", "agent:plain", "--input", "@none.json")
    refused(outcome, 2, "the input none.json can't be read: No such file or directory")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ('{"color": 1}', "the graph has no channel 'color'; it has answer, notes, query"),
        ("[1]", "the initial state must be a mapping of channels, not list"),
        ("{}", "the initial state is empty"),
    ],
)
def test_a_state_that_does_not_fit_ends_with_2(folder: Folder, given: str, message: str) -> None:
    refused(folder.wtb("run", "agent:plain", "--input", given), 2, message)
    assert folder.wtb("list", "--json").json["items"] == []


def test_a_completed_execution_cannot_be_resumed_and_ends_with_4(folder: Folder) -> None:
    folder.wtb("run", "agent:plain", "-i", '{"query": "hi"}', "--execution-id", "one")
    refused(folder.wtb("resume", "one", "--answer", "x"), 4, "execution 'one' can't be resumed: it is completed")


def test_an_execution_id_that_is_taken_ends_with_4(folder: Folder) -> None:
    run = ("run", "agent:plain", "-i", '{"query": "hi"}', "--execution-id", "one")
    assert folder.wtb(*run).code == 0
    refused(folder.wtb(*run), 4, "execution 'one' exists already")


def test_a_paused_execution_without_its_graph_ends_with_3_and_says_what_to_do(folder: Folder) -> None:
    folder.wtb("run", "agent:asking", "-i", '{"query": "hi"}', "--execution-id", "one")
    hint = refused(folder.wtb("resume", "one", "--answer", "x"), 3, "no graph is known for workflow 'asking'")
    assert "--graph module:attribute" in hint
    assert "langgraph.json under 'asking'" in hint
    assert folder.wtb("show", "one", "--json").json["status"] == "paused"


def test_resuming_without_the_answer_ends_with_2(folder: Folder) -> None:
    folder.wtb("run", "agent:asking", "-i", '{"query": "hi"}', "--execution-id", "one")
    hint = refused(folder.wtb("resume", "one", "--graph", "agent:asking"), 2, "waits for 1 answer(s) and got none")
    assert "--answer" in hint


def test_an_answer_to_no_question_ends_with_2(folder: Folder) -> None:
    folder.wtb("run", "agent:asking", "-i", '{"query": "hi"}', "--execution-id", "one")
    outcome = folder.wtb("resume", "one", "--answers", '{"nobody": 1}', "--graph", "agent:asking")
    refused(outcome, 2, "has no interrupt 'nobody' waiting")


@pytest.mark.parametrize("answers", ["[]", "{", "7"])
def test_answers_that_are_no_json_object_end_with_2(folder: Folder, answers: str) -> None:
    refused(folder.wtb("resume", "one", "--answers", answers), 2, "--answers")


def test_both_kinds_of_answer_at_once_end_with_2(folder: Folder) -> None:
    assert folder.wtb("resume", "one", "--answers", "{}", "--answer", "x").code == 2


@pytest.mark.parametrize("cursor", ["nonsense", "W10"])
def test_a_cursor_that_is_none_ends_with_2(folder: Folder, cursor: str) -> None:
    refused(folder.wtb("list", "--cursor", cursor), 2, "cursor")


def test_a_setting_that_is_wrong_ends_with_2(folder: Folder) -> None:
    Path("own.toml").write_text("port = 'high'")
    refused(folder.wtb("list", "--config", "own.toml"), 2, "setting port (WTB_PORT) can't be 'high'")


def test_a_langgraph_json_that_is_not_there_ends_with_3(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WTB_LANGGRAPH_JSON", "none.json")
    refused(folder.wtb("run", "agent", "-i", "{}"), 3, "none.json can't be read")


def test_a_value_that_cannot_be_stored_fails_the_execution_and_names_its_node(folder: Folder) -> None:
    outcome = folder.wtb("run", "agent:unstorable", "-i", '{"query": "hi"}')
    assert outcome.code == 1
    assert "node 'lock' wrote a function to channel 'answer' that can't be stored" in outcome.err


def test_a_failed_execution_ends_with_1_and_its_result_is_printed(folder: Folder) -> None:
    outcome = folder.wtb("run", "agent:failing", "-i", '{"query": "hi"}', "--json")
    assert outcome.code == 1
    assert outcome.json["status"] == "failed"
    assert outcome.json["error"] == {"type": "ValueError", "message": "no\nway", "node": "boom"}
    assert "ValueError in node 'boom': no way" in json.loads(outcome.err.splitlines()[-1])["message"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("show",), "Missing argument 'ID'."),
        (("list", "--limit", "0"), "Invalid value for '--limit'"),
        (("list", "--status", "asleep"), "Invalid value for '--status'"),
        (("list", "--color"), "No such option: --color"),
        (("lsit",), "No such command 'lsit'. Did you mean 'list'?"),
        (("events", "--after", "-1"), "Invalid value for '--after'"),
    ],
)
def test_arguments_that_make_no_sense_end_with_2(folder: Folder, words: tuple[str, ...], message: str) -> None:
    hint = refused(folder.wtb(*words), 2, message)
    assert hint.endswith("--help` shows what it takes.")


def test_with_json_a_refusal_is_an_object_on_stderr(folder: Folder) -> None:
    outcome = folder.wtb("show", "nobody", "--json")
    assert outcome.out == ""
    assert json.loads(outcome.err) == {
        "code": "execution-not-found",
        "message": "there is no execution 'nobody' in this store",
        "hint": "`wtb list` shows the executions in this store.",
        "exit_code": 3,
    }


def test_with_json_senseless_arguments_are_an_object_too(folder: Folder) -> None:
    told = json.loads(folder.wtb("list", "--json", "--color").err)
    assert (told["code"], told["exit_code"]) == ("usage", 2)
