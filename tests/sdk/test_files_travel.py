"""A fork and a rollback find the output folder as it was."""

from pathlib import Path
from typing import Any

from langchain_core.runnables import RunnableConfig

from tests.sdk.given import Notes, chain
from wtb.sdk import TestBench


def writes(name: str) -> Any:
    """A node that writes a file of its own and adds to one that all share."""

    def node(state: Notes, config: RunnableConfig) -> Notes:
        folder = Path(config["configurable"]["output_dir"])
        (folder / f"{name}.txt").write_text(name)
        with (folder / "all.txt").open("a") as shared:
            shared.write(name)
        return {"notes": [name]}

    return node


def kept(bench: TestBench, execution: str) -> dict[str, str]:
    folder = bench.platform.output_dir / execution
    return {path.name: path.read_text() for path in folder.iterdir()}


ABC: dict[str, Any] = {name: writes(name) for name in "abc"}
WHOLE = {"a.txt": "a", "b.txt": "b", "c.txt": "c", "all.txt": "abc"}


def test_a_fork_begins_with_the_files_of_its_checkpoint(bench: TestBench) -> None:
    whole = bench.run(chain(**ABC), {"query": "q"})
    fork = bench.fork(whole.execution_id, node="b", run=False)
    assert kept(bench, fork.execution_id) == {"a.txt": "a", "all.txt": "a"}
    bench.resume(fork.execution_id)
    assert kept(bench, fork.execution_id) == kept(bench, whole.execution_id) == WHOLE


def test_a_fork_from_inside_a_nested_graph_begins_with_its_files(bench: TestBench) -> None:
    whole = bench.run(chain(sub=chain(**ABC)), {"query": "q"})
    fork = bench.fork(whole.execution_id, node="sub/c", run=False)
    assert kept(bench, fork.execution_id) == {"a.txt": "a", "b.txt": "b", "all.txt": "ab"}


def test_a_rollback_puts_the_folder_back_and_its_undoing_too(bench: TestBench) -> None:
    whole = bench.run(chain(**ABC), {"query": "q"}).execution_id
    by_hand = bench.platform.output_dir / whole / "by hand.txt"
    by_hand.write_text("kept")
    bench.rollback(whole, node="c")
    assert kept(bench, whole) == {"a.txt": "a", "b.txt": "b", "all.txt": "ab"}
    bench.rollback(whole, step=0)
    assert kept(bench, whole) == {}
    bench.undo_rollback(whole)
    assert kept(bench, whole) == {**WHOLE, "by hand.txt": "kept"}
    bench.rollback(whole, node="b")
    bench.resume(whole)
    assert kept(bench, whole) == WHOLE


def test_a_rollback_whose_process_died_before_the_files_were_back_is_finished_by_another(bench: TestBench) -> None:
    whole = bench.run(chain(**ABC), {"query": "q"}).execution_id
    at = bench.checkpoints(whole)[1].id
    bench.rollback(whole, at)
    (bench.platform.output_dir / whole / "c.txt").write_text("not gone yet")
    bench.rollback(whole, at)
    assert kept(bench, whole) == {"a.txt": "a", "b.txt": "b", "all.txt": "ab"}


def test_an_undoing_whose_process_died_before_the_files_were_back_is_finished_by_another(bench: TestBench) -> None:
    whole = bench.run(chain(**ABC), {"query": "q"}).execution_id
    bench.rollback(whole, step=1)
    bench.undo_rollback(whole)
    (bench.platform.output_dir / whole / "c.txt").unlink()
    position = bench.platform.store.last_position()
    bench.undo_rollback(whole)
    assert (kept(bench, whole), bench.platform.store.last_position()) == (WHOLE, position)
