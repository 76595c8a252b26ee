"""What nodes write into their execution's folder is kept at each checkpoint."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from langchain_core.runnables import RunnableConfig

from tests.sdk.given import Notes, asks, beside, chain, says
from wtb.domain.errors import CheckpointNotFound, ExecutionNotFound, FileNotKept, InvalidRequest
from wtb.domain.execution import CheckpointSaved
from wtb.domain.identifiers import NULL_DIGEST
from wtb.infra.output_folder.restoring import restore
from wtb.sdk import TestBench, WorkflowProject


def writes(name: str, text: str) -> Callable[..., Any]:
    """A node that writes a file."""

    def node(state: Notes, config: RunnableConfig) -> Notes:
        path = Path(config["configurable"]["output_dir"], name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return {"notes": [text]}

    return node


def kept_at_each(bench: TestBench, execution: str) -> list[dict[str, bytes]]:
    """The files of each checkpoint, oldest first."""
    return [
        {f.path: bench.read_file(execution, f.path, at.id) for f in bench.files(execution, at.id) if f.kind == "file"}
        for at in reversed(bench.checkpoints(execution).items)
    ]


def test_each_checkpoint_holds_the_files_as_they_were_then(bench: TestBench) -> None:
    graph = chain(one=writes("a", "1"), two=writes("a", "2"), three=writes("sub/b", "3"))
    result = bench.run(graph, {"query": "?"})
    assert kept_at_each(bench, result.execution_id) == [
        {},
        {},
        {"a": b"1"},
        {"a": b"2"},
        {"a": b"2", "sub/b": b"3"},
    ]


async def test_coroutines_files_are_kept_too(bench: TestBench) -> None:
    async def node(state: Notes, config: RunnableConfig) -> Notes:
        await asyncio.to_thread(writes("a", "1"), state, config)
        return {"notes": ["1"]}

    result = await bench.arun(chain(one=node), {"query": "?"})
    assert bench.read_file(result.execution_id, "a") == b"1"


def test_nodes_side_by_side_and_in_nested_graphs_share_the_folder(bench: TestBench) -> None:
    nested = chain(inner=writes("inner", "i"), further=says("further"))
    result = bench.run(beside(left=writes("left", "l"), right=writes("right", "r"), nested=nested), {"query": "?"})
    assert {file.path for file in bench.files(result.execution_id)} == {"inner", "left", "right"}
    within = [c for c in bench.checkpoints(result.execution_id) if c.namespace]
    assert "inner" in {file.path for file in bench.files(result.execution_id, within[0].id)}


def test_a_resumed_execution_goes_on_keeping(bench: TestBench) -> None:
    graph = chain(one=writes("a", "1"), ask=asks("?"), two=writes("b", "2"))
    paused = bench.run(graph, {"query": "?"})
    bench.resume(paused.execution_id, "yes")
    assert kept_at_each(bench, paused.execution_id)[-1] == {"a": b"1", "b": b"2"}


def test_a_folder_is_put_back_as_it_was_at_a_checkpoint(bench: TestBench, project: WorkflowProject) -> None:
    result = bench.run(chain(one=writes("a", "1"), two=writes("b/c", "2")), {"query": "?"})
    saved = [e.fact for e in bench.events(result.execution_id) if isinstance(e.fact, CheckpointSaved)]
    folder = Path(project.output_dir) / result.execution_id
    restore(saved[-2].files, folder, bench.platform.store.values)
    assert [path.name for path in folder.rglob("*")] == ["a"]
    restore(saved[-1].files, folder, bench.platform.store.values)
    assert (folder / "b" / "c").read_text() == "2"


def test_a_state_is_read_as_ever_beside_files(bench: TestBench) -> None:
    result = bench.run(chain(one=writes("a", "1")), {"query": "?"})
    saved = [e.fact for e in bench.events(result.execution_id) if isinstance(e.fact, CheckpointSaved)]
    assert saved[0].files == NULL_DIGEST
    assert saved[-1].files is not None
    loaded = bench.platform.saver.history.load({saved[-1].files})
    assert loaded[saved[-1].files]["a"]["size"] == 1


def test_files_are_not_kept_where_that_is_switched_off(tmp_path: Path) -> None:
    project = WorkflowProject("notes", db_path=tmp_path / "wtb.db", output_dir=tmp_path / "out", keep_files=False)
    with TestBench(project) as bench:
        result = bench.run(chain(one=writes("a", "1")), {"query": "?"})
        saved = [e.fact for e in bench.events(result.execution_id) if isinstance(e.fact, CheckpointSaved)]
        assert {fact.files for fact in saved} == {None}
        assert bench.files(result.execution_id) == ()
        folder = tmp_path / "out" / result.execution_id
        restore(saved[0].files, folder, bench.platform.store.values)
        assert (folder / "a").exists()


def test_where_files_are_not_kept_a_rollback_leaves_them_alone(bench: TestBench, project: WorkflowProject) -> None:
    """What they would give way to could never be brought back."""
    graph = chain(one=writes("a", "1"), two=writes("b", "2"))
    result = bench.run(graph, {"query": "?"})
    with TestBench(replace(project, keep_files=False)) as careless:
        careless.rollback(result.execution_id, node="one", graph=graph)
    assert (Path(project.output_dir) / result.execution_id / "b").exists()


def test_what_was_not_kept_is_a_refusal(bench: TestBench) -> None:
    result = bench.run(chain(one=writes("sub/a", "1")), {"query": "?"})
    for path in ("b", "sub", "../a", "/etc/passwd"):
        with pytest.raises(FileNotKept):
            bench.read_file(result.execution_id, path)
    with pytest.raises(ExecutionNotFound):
        bench.files("nobody")
    with pytest.raises(CheckpointNotFound):
        bench.read_file(result.execution_id, "sub/a", at="never")


def test_files_are_copied_only_into_a_folder_that_holds_nothing(bench: TestBench, tmp_path: Path) -> None:
    result = bench.run(chain(one=writes("a", "1")), {"query": "?"})
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "precious").touch()
    with pytest.raises(InvalidRequest, match="empty"):
        bench.copy_files(result.execution_id, tmp_path / "full")
    assert bench.copy_files(result.execution_id, tmp_path / "new").written == ("a",)
    assert (tmp_path / "new" / "a").read_text() == "1"
