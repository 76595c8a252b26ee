"""``wtb files``."""

import json

from tests.interfaces.cli.support import Folder

WRITER = """
from pathlib import Path
from typing import TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, StateGraph


class Work(TypedDict, total=False):
    query: str


def write(state: Work, config: RunnableConfig):
    folder = Path(config["configurable"]["output_dir"])
    (folder / "report.md").write_text(state["query"])
    (folder / "out").symlink_to("/usr")


graph = StateGraph(Work).add_node(write).add_edge(START, "write")
"""


def test_what_was_in_the_folder_is_shown_and_put_elsewhere(folder: Folder) -> None:
    (folder.path / "writer.py").write_text(WRITER)
    folder.wtb("run", "writer.py:graph", "--execution-id", "e1", "--input", '{"query": "hello"}')
    shown = folder.wtb("files", "e1")
    assert (shown.code, "report.md" in shown.out, "/usr" in shown.out) == (0, True, True)
    put = folder.wtb("files", "e1", "--output", "elsewhere")
    assert (put.code, "left out: out" in put.out) == (0, True)
    assert (folder.path / "elsewhere" / "report.md").read_text() == "hello"


def test_for_programs_files_are_json(folder: Folder) -> None:
    (folder.path / "writer.py").write_text(WRITER)
    folder.wtb("run", "writer.py:graph", "--execution-id", "e1", "--input", '{"query": "hello"}')
    first = json.loads(folder.wtb("checkpoints", "e1", "--json").out)["items"][-1]["id"]
    assert folder.wtb("files", "e1", "--at", first, "--json").json == {"files": [], "left_out": []}
    [link, report] = folder.wtb("files", "e1", "--json").json["files"]
    assert (link["kind"], link["note"]) == ("link", "/usr")
    assert (report["path"], report["size"], len(report["digest"])) == ("report.md", 5, 43)


def test_a_folder_with_something_in_it_and_an_unknown_execution_are_refused(folder: Folder) -> None:
    (folder.path / "writer.py").write_text(WRITER)
    folder.wtb("run", "writer.py:graph", "--execution-id", "e1", "--input", '{"query": "hello"}')
    assert folder.wtb("files", "e1", "--output", ".").code == 2
    assert (folder.path / "writer.py").exists()
    assert folder.wtb("files", "nobody").code == 3


def test_without_files_there_is_nothing_to_show(folder: Folder) -> None:
    folder.wtb("run", "agent.py:plain", "--execution-id", "e1", "--input", '{"query": "hello"}')
    assert folder.wtb("files", "e1").out == "no files\n"
