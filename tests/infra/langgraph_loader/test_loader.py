"""Graphs by name, out of modules, files and a ``langgraph.json``; what can't be loaded says why in one line."""

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest
from langgraph.graph import StateGraph
from langgraph.graph.state import CompiledStateGraph

from wtb.domain.errors import GraphNotFound, InvalidGraph
from wtb.infra.langgraph.loader import GraphFile, load_graph, workflow_name

AGENT = """
    from typing import TypedDict

    from langgraph.graph import START, StateGraph


    class Question(TypedDict, total=False):
        query: str


    builder = StateGraph(Question)
    builder.add_node("answer", lambda state: {})
    builder.add_edge(START, "answer")
    graph = builder.compile(name="asker")

    def make():
        return builder

    async def make_later():
        return graph

    def needs(config):
        return graph

    def breaks():
        raise RuntimeError("no key\\nfor the model")

    def makes_nothing():
        return 7

    number = 7
"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working folder, with an agent in it; what a test imports is forgotten after it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    known = set(sys.modules)
    write(tmp_path / "loader_agent.py", AGENT)
    yield tmp_path
    for name in set(sys.modules) - known:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", None)):
            del sys.modules[name]


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dedent(text))
    return path


def refusal(reference: str) -> GraphNotFound:
    with pytest.raises(GraphNotFound) as caught:
        load_graph(reference)
    assert "\n" not in str(caught.value)
    assert caught.value.hint
    return caught.value


def test_a_graph_is_found_in_a_module_of_the_working_folder() -> None:
    assert isinstance(load_graph("loader_agent:graph"), CompiledStateGraph)


def test_a_graph_is_found_in_a_file() -> None:
    assert isinstance(load_graph("./loader_agent.py:builder"), StateGraph)


def test_a_file_and_its_module_are_the_same_module() -> None:
    assert load_graph("loader_agent.py:graph") is load_graph("loader_agent:graph")


@pytest.mark.parametrize(("name", "kind"), [("make", StateGraph), ("make_later", CompiledStateGraph)])
def test_a_function_without_arguments_is_called_for_its_graph(name: str, kind: type) -> None:
    assert isinstance(load_graph(f"loader_agent:{name}"), kind)


def test_an_async_function_is_called_where_a_loop_runs_already() -> None:
    async def load() -> object:
        return load_graph("loader_agent:make_later")

    assert isinstance(asyncio.run(load()), CompiledStateGraph)


def test_a_file_in_a_package_may_import_its_siblings(project: Path) -> None:
    write(project / "pack" / "__init__.py", "")
    write(project / "pack" / "nodes.py", AGENT)
    write(project / "pack" / "agent.py", "from .nodes import graph")
    assert isinstance(load_graph("pack/agent.py:graph"), CompiledStateGraph)
    assert load_graph("pack/agent.py:graph") is load_graph("pack.nodes:graph")


def test_a_file_named_like_a_module_of_the_standard_library_is_loaded_all_the_same(project: Path) -> None:
    write(project / "json.py", AGENT)
    assert isinstance(load_graph("json.py:graph"), CompiledStateGraph)
    assert sys.modules["json"] is json


def test_two_files_of_one_name_are_two_modules(project: Path) -> None:
    write(project / "one" / "loader_same.py", AGENT)
    write(project / "two" / "loader_same.py", AGENT)
    assert load_graph("one/loader_same.py:graph") is not load_graph("two/loader_same.py:graph")
    assert load_graph("two/loader_same.py:graph") is load_graph("two/loader_same.py:graph")


@pytest.mark.parametrize(
    ("reference", "cause"),
    [
        ("loader_agent", "'loader_agent' names no graph"),
        (":graph", "':graph' names no graph"),
        ("nowhere_at_all:graph", "can't import nowhere_at_all: ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("missing.py:graph", "there is no file missing.py"),
        ("loader_agent:agent", "loader_agent has no attribute 'agent'"),
        ("loader_agent:breaks", "loader_agent:breaks made no graph: RuntimeError: no key (loader_agent.py, line 26)"),
    ],
)
def test_what_leads_nowhere_says_where_it_ends(reference: str, cause: str) -> None:
    assert str(refusal(reference)) == cause


def test_an_attribute_that_is_missing_comes_with_the_graphs_that_are_there() -> None:
    assert refusal("loader_agent:agent").hint == "Its graphs: builder, graph."


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        ("import not_there", "ModuleNotFoundError: No module named 'not_there' (broken.py, line 1)"),
        ("\n1/0", "ZeroDivisionError: division by zero (broken.py, line 2)"),
        ("def", "SyntaxError: invalid syntax (broken.py, line 1)"),
        ("import sys\nsys.exit('bye')", "SystemExit: bye (broken.py, line 2)"),
        ("raise ValueError('a\\nb')", "ValueError: a (broken.py, line 1)"),
    ],
)
def test_code_that_fails_at_import_is_told_in_one_line_with_its_place(project: Path, code: str, cause: str) -> None:
    write(project / "broken.py", code)
    for reference in ("broken.py:graph", "broken:graph"):
        assert str(refusal(reference)).endswith(cause)
        sys.modules.pop("broken", None)


@pytest.mark.parametrize(
    ("name", "what"), [("number", "is int"), ("needs", "takes arguments"), ("makes_nothing", "no graph but int")]
)
def test_something_else_of_that_name_is_no_graph(name: str, what: str) -> None:
    with pytest.raises(InvalidGraph, match=what):
        load_graph(f"loader_agent:{name}")


@pytest.mark.parametrize(
    ("reference", "name"),
    [("pkg.mod:graph", "pkg.mod:graph"), ("path/to/agent.py:graph", "agent:graph"), ("./agent.py:g", "agent:g")],
)
def test_a_workflow_named_after_its_reference_has_no_folder_in_its_name(reference: str, name: str) -> None:
    assert workflow_name(reference) == name


# --- langgraph.json -----------------------------------------------------------------------------------


def graph_file(folder: Path, **content: object) -> GraphFile:
    return GraphFile.read(write(folder / "langgraph.json", json.dumps(content)))


def test_a_graph_is_found_by_its_id_relative_to_the_file(project: Path) -> None:
    write(project / "deep" / "loader_deep.py", AGENT)
    file = graph_file(project / "deep", graphs={"a": "./loader_deep.py:graph", "b": {"path": "loader_deep:make"}})
    assert list(file.graphs) == ["a", "b"]
    assert isinstance(file.load("a"), CompiledStateGraph)
    assert isinstance(file.load("b"), StateGraph)


def test_reading_a_file_imports_nothing(project: Path) -> None:
    write(project / "broken.py", "raise RuntimeError")
    file = graph_file(project, graphs={"a": "./broken.py:graph"})
    assert "broken" not in sys.modules
    with pytest.raises(GraphNotFound, match=r"can't import \./broken\.py: RuntimeError"):
        file.load("a")


def test_local_dependencies_can_be_imported_and_packages_are_left_to_others(project: Path) -> None:
    write(project / "libs" / "loader_lib.py", AGENT)
    write(project / "app" / "loader_app.py", "from loader_lib import graph")
    file = graph_file(
        project / "app", dependencies=["../libs", "langchain_openai"], graphs={"a": "./loader_app.py:graph"}
    )
    assert isinstance(file.load("a"), CompiledStateGraph)


def test_variables_are_set_from_a_mapping_unless_they_are_set(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOADER_SET", "mine")
    monkeypatch.setenv("LOADER_NEW", "")
    monkeypatch.delenv("LOADER_NEW")
    file = graph_file(project, env={"LOADER_SET": "theirs", "LOADER_NEW": 7}, graphs={"a": "loader_agent:graph"})
    assert "LOADER_NEW" not in os.environ
    file.load("a")
    assert (os.environ["LOADER_SET"], os.environ["LOADER_NEW"]) == ("mine", "7")


def test_variables_are_set_from_a_file_before_the_graph_is_imported(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOADER_SECRET", "")
    monkeypatch.delenv("LOADER_SECRET")
    write(project / ".env", "# a comment\nexport LOADER_SECRET='s3cret'\n")
    write(project / "loader_wants.py", AGENT + "\n    import os\n    os.environ['LOADER_SECRET']\n")
    file = graph_file(project, env=".env", graphs={"a": "./loader_wants.py:graph"})
    assert isinstance(file.load("a"), CompiledStateGraph)
    assert os.environ["LOADER_SECRET"] == "s3cret"


def test_an_env_file_that_is_not_there_sets_nothing(project: Path) -> None:
    assert graph_file(project, env=".env", graphs={"a": "loader_agent:graph"}).variables == {}


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("{", "isn't JSON"),
        ("[]", 'has no "graphs"'),
        ('{"graphs": []}', 'has no "graphs"'),
        ('{"graphs": {"a": 7}}', "graph 'a' of .* has no path"),
        ('{"graphs": {"a": {}}}', "graph 'a' of .* has no path"),
    ],
)
def test_a_file_that_is_no_langgraph_json_is_refused(project: Path, text: str, cause: str) -> None:
    with pytest.raises(GraphNotFound, match=cause):
        GraphFile.read(write(project / "langgraph.json", text))


def test_a_file_that_is_not_there_is_refused(project: Path) -> None:
    with pytest.raises(GraphNotFound, match="can't be read: No such file or directory"):
        GraphFile.read(project / "langgraph.json")


def test_an_id_that_is_not_there_comes_with_those_that_are(project: Path) -> None:
    with pytest.raises(GraphNotFound, match="has no graph 'c'") as caught:
        graph_file(project, graphs={"a": "x:y", "b": "x:y"}).load("c")
    assert caught.value.hint == "Its graphs: a, b."


def test_the_example_of_this_repository_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WTB_DEMO_MODEL", raising=False)
    example = Path(__file__).parents[3] / "examples" / "support_triage" / "langgraph.json"
    graph = GraphFile.read(example).load("support_triage")
    assert isinstance(graph, CompiledStateGraph)
    assert "review" in graph.nodes
