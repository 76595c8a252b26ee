"""``wtb workflows …``, and graphs that ``wtb.toml`` names."""

from pathlib import Path

import pytest

from tests.interfaces.cli.support import Folder


@pytest.fixture
def configured(folder: Folder) -> Folder:
    """A folder whose settings name two workflows."""
    Path("wtb.toml").write_text('[workflows]\nplain = "agent:plain"\nasking = "./agent.py:asking"\n')
    return folder


def test_what_is_configured_is_registered_and_listed(configured: Folder) -> None:
    assert configured.wtb("workflows", "list").out == "no workflows\n"
    outcome = configured.wtb("workflows", "register", "--description", "an agent", "--json")
    assert outcome.code == 0, outcome.err
    assert [each["name"] for each in outcome.json] == ["plain", "asking"]
    listed = configured.wtb("workflows", "list", "--json").json["items"]
    assert [(each["name"], each["versions"], each["description"]) for each in listed] == [
        ("asking", 1, "an agent"),
        ("plain", 1, "an agent"),
    ]
    assert "an agent" in configured.wtb("workflows", "list").out
    assert "agent:plain" in configured.wtb("workflows", "versions", "plain").out
    more = configured.wtb("workflows", "list", "--limit", "1")
    assert "--cursor" in more.out


def test_one_is_registered_by_its_id_and_others_are_not_imported(configured: Folder) -> None:
    Path("wtb.toml").write_text('[workflows]\nplain = "agent:plain"\nbroken = "nowhere:graph"\n')
    assert configured.wtb("workflows", "register", "plain").code == 0
    assert configured.wtb("workflows", "register").code == 3
    assert configured.wtb("workflows", "register", "unknown").code == 3


def test_nothing_to_register_is_told(folder: Folder) -> None:
    outcome = folder.wtb("workflows", "register")
    assert outcome.code == 3
    assert "[workflows]" in outcome.err


def test_a_configured_workflow_runs_resumes_and_is_shown(configured: Folder) -> None:
    run = configured.wtb("run", "asking", "--input", '{"query": "q"}', "--json").json
    assert (run["workflow"], run["status"]) == ("asking", "paused")
    assert configured.wtb("resume", run["execution_id"], "--answer", "yes").code == 0
    shown = configured.wtb("workflows", "show", "asking", "--json").json
    assert [node["path"] for node in shown["shown"]["nodes"]] == ["first", "ask"]
    assert shown["version"] == configured.wtb("show", run["execution_id"], "--json").json["graph"]
    assert "reduced by operator.add" in configured.wtb("workflows", "show", "asking").out


def test_references_are_relative_to_the_settings_file(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("conf").mkdir()
    Path("conf/local.py").write_text(Path("agent.py").read_text())
    Path("conf/wtb.toml").write_text('[workflows]\nplain = "./local.py:plain"\nnamed = "local:plain"\n')
    for name in ("plain", "named"):
        outcome = folder.wtb("run", name, "--input", '{"query": "q"}', "--config", "conf/wtb.toml")
        assert outcome.code == 0, outcome.err


def test_an_id_in_both_files_is_refused(configured: Folder) -> None:
    Path("langgraph.json").write_text('{"graphs": {"plain": "./agent.py:held", "held": "./agent.py:held"}}')
    for words in (["run", "plain"], ["workflows", "register"]):
        outcome = configured.wtb(*words)
        assert outcome.code == 2
        assert "'plain' is in [workflows] of the settings and in " in outcome.err
    Path("langgraph.json").write_text('{"graphs": {"held": "./agent.py:held"}}')
    assert configured.wtb("workflows", "register", "--json").json[0]["name"] == "held"


def test_versions_are_compared(configured: Folder) -> None:
    configured.wtb("workflows", "register", "plain")
    Path("wtb.toml").write_text('[workflows]\nplain = "agent:held"\n')
    configured.wtb("workflows", "register", "plain")
    newest, oldest = (v["version"] for v in configured.wtb("workflows", "versions", "plain", "--json").json["items"])
    outcome = configured.wtb("workflows", "diff", "plain", oldest)
    assert outcome.code == 1
    assert "+ node hold" in outcome.out
    told = configured.wtb("workflows", "diff", "plain", oldest, newest, "--json")
    assert (told.code, told.json["added"]) == (1, ["hold"])
    assert configured.wtb("workflows", "diff", "plain", newest, newest).code == 0
    assert configured.wtb("workflows", "diff", "plain", "nothing").code == 3


def test_executions_of_different_versions_are_told_apart(folder: Folder) -> None:
    folder.wtb("run", "agent:plain", "--workflow", "w", "--execution-id", "one", "--input", '{"query": "q"}')
    folder.wtb("run", "agent:held", "--workflow", "w", "--execution-id", "two", "--input", '{"query": "q"}')
    assert "they ran different versions: added hold" in folder.wtb("diff", "one", "two").out
    assert folder.wtb("diff", "one", "two", "--json").json["versions"]["added"] == ["hold"]


def test_a_workflow_is_drawn(configured: Folder) -> None:
    configured.wtb("workflows", "register")
    assert configured.wtb("workflows", "draw", "plain").out == "start  → first\nfirst  → end\n"
    mermaid = configured.wtb("workflows", "draw", "plain", "--format", "mermaid").out
    assert mermaid.startswith("flowchart TD\n")
    document = configured.wtb("workflows", "draw", "plain", "--format", "mermaid", "--json").json
    assert document["drawing"] == mermaid
    version = document["version"]
    assert configured.wtb("workflows", "draw", "plain", "--version", version).code == 0
    assert configured.wtb("workflows", "draw", "plain", "--version", "nothing").code == 3


def test_an_archived_workflow_is_not_started_until_it_is_restored(configured: Folder) -> None:
    configured.wtb("workflows", "register")
    assert "can't be started" in configured.wtb("workflows", "archive", "plain", "--reason", "old").out
    refused = configured.wtb("run", "plain", "--input", '{"query": "q"}')
    assert refused.code == 4
    assert "workflow 'plain' is archived" in refused.err
    assert "plain" not in configured.wtb("workflows", "list").out
    assert "archived" in configured.wtb("workflows", "list", "--archived").out
    assert "yes" in configured.wtb("workflows", "show", "plain").out
    assert configured.wtb("workflows", "restore", "plain", "--json").json["archived"] is False
    assert configured.wtb("run", "plain", "--input", '{"query": "q"}').code == 0
    assert configured.wtb("workflows", "archive", "nobody").code == 3


def test_the_log_names_the_workflow_and_says_what_happened(configured: Folder) -> None:
    configured.wtb("workflows", "register", "plain", "--description", "an agent")
    configured.wtb("workflows", "archive", "plain", "--reason", "old")
    lines = configured.wtb("events").out.splitlines()
    assert [line.split()[2:4] for line in lines] == [
        ["plain", "WorkflowRegistered"],
        ["plain", "WorkflowVersioned"],
        ["plain", "WorkflowArchived"],
    ]
    assert lines[0].endswith("an agent")
    assert lines[1].endswith(", 1 node")
    assert lines[2].endswith("old")


def test_the_doctor_knows_what_is_configured(configured: Folder) -> None:
    assert "plain, asking" in configured.wtb("doctor").out
    Path("langgraph.json").write_text('{"graphs": {"plain": "./agent.py:held"}}')
    assert configured.wtb("doctor").code == 1
