"""An execution is exported to a file and imported elsewhere, on either database, and is the same there."""

import json
import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, MessagesState, StateGraph

from tests.infra.event_store.test_bundle import checkpoint
from tests.sdk.bundle_files import lines, manifest_of, members
from tests.sdk.given import Notes, asks, beside, chain, completed, says
from tests.sdk.processes import die, dies_running
from wtb import __version__
from wtb.domain.audit import AUDIT_STREAM, ExecutionImported
from wtb.domain.errors import ExecutionExists, ExecutionNotFound, InvalidBundle, InvalidRequest
from wtb.domain.event_log import Append, Origin
from wtb.domain.execution import ExecutionStarted, PauseRequested
from wtb.domain.identifiers import Digest, WorkerId, execution_stream
from wtb.infra.event_store import bundle_writer
from wtb.sdk import TestBench, WorkflowProject


@pytest.fixture
def elsewhere(request: pytest.FixtureRequest, store_location: str, tmp_path: Path) -> Iterator[TestBench]:
    """A bench on a store of the other kind."""
    on_file = store_location.startswith("postgres")
    location = str(tmp_path / "elsewhere.db") if on_file else request.getfixturevalue("postgres_url")
    with TestBench(WorkflowProject("notes", db_path=location, output_dir=tmp_path / "out2", actor="importer")) as bench:
        yield bench


def nested() -> Any:
    inner = chain(first=says("inner"), ask=asks("in there?"))
    return chain(before=says("before"), sub=inner, after=says("after"))


def chat() -> Any:
    """Messages big enough to be stored piece by piece."""

    def answer(state: MessagesState) -> Any:
        return {"messages": [AIMessage(f"{len(state['messages'])} " + "blah " * 200)]}

    builder: Any = StateGraph(MessagesState)
    before = START
    for place in range(70):
        builder.add_node(f"n{place}", answer)
        builder.add_edge(before, f"n{place}")
        before = f"n{place}"
    return builder.compile()


def stored(bench: TestBench, execution: str) -> list[tuple[int, str, bytes]]:
    rows = bench.platform.store.stored(execution_stream(execution))
    return [(row.version, row.topic, row.state) for row in rows]


def shown(bench: TestBench, execution: str) -> dict[str, Any]:
    """What the bench answers about an execution, positions aside."""

    def rows(page: Any) -> list[Any]:
        return [{name: value for name, value in row_of(row).items() if name != "position"} for row in page]

    def row_of(row: Any) -> dict[str, Any]:
        return {name: getattr(row, name) for name in row.__struct_fields__}

    state = bench.state(execution)
    return {
        "execution": {**row_of(bench.execution(execution)), "position": None},
        "steps": rows(bench.steps(execution)),
        "checkpoints": rows(bench.checkpoints(execution)),
        "state": (state.checkpoint, dict(state.channels)),
        "listed": [each.id for each in bench.executions()],
    }


def imports(bench: TestBench) -> list[ExecutionImported]:
    return [e.fact for e in bench.log(types=("ExecutionImported",)) if isinstance(e.fact, ExecutionImported)]


# --- there and back ---------------------------------------------------------------------------------


def test_an_execution_goes_to_another_database_and_back_unchanged(
    bench: TestBench, elsewhere: TestBench, quick_bench: TestBench, tmp_path: Path
) -> None:
    done = bench.run(chain(one=says("x" * 3000), two=says("zwei \0 ü")), {"query": "q"})
    first = bench.export(done.execution_id, tmp_path / "first.zip")
    assert elsewhere.import_bundle(first).status == "completed"
    second = elsewhere.export(done.execution_id, tmp_path / "second.zip")
    assert second.read_bytes() == first.read_bytes()
    quick_bench.import_bundle(second)
    for other in (elsewhere, quick_bench):
        assert stored(other, done.execution_id) == stored(bench, done.execution_id)
        assert shown(other, done.execution_id) == shown(bench, done.execution_id)


def test_nested_graphs_with_a_question_go_on_where_they_were(
    bench: TestBench, elsewhere: TestBench, tmp_path: Path
) -> None:
    paused = bench.run(nested(), {"query": "q"})
    elsewhere.import_bundle(bench.export(paused.execution_id, tmp_path))
    assert shown(elsewhere, paused.execution_id) == shown(bench, paused.execution_id)
    here = bench.resume(paused.execution_id, "yes")
    there = elsewhere.resume(paused.execution_id, "yes", graph=nested())
    assert there.state == here.state
    assert completed(elsewhere.events(paused.execution_id)) == completed(bench.events(paused.execution_id))


def test_a_long_conversation_comes_along_piece_by_piece(bench: TestBench, elsewhere: TestBench, tmp_path: Path) -> None:
    done = bench.run(chat(), {"messages": [HumanMessage("hello " * 200)]})
    file = bench.export(done.execution_id, tmp_path)
    assert {line["kind"] for line in lines(members(file)["values.ndjson"])} >= {"chunk", "list"}
    elsewhere.import_bundle(file)
    assert shown(elsewhere, done.execution_id) == shown(bench, done.execution_id)
    assert elsewhere.state(done.execution_id)["messages"] == bench.state(done.execution_id)["messages"]


def test_failures_and_parallel_questions_come_along(bench: TestBench, elsewhere: TestBench, tmp_path: Path) -> None:
    def fails(state: Notes) -> Any:
        raise ValueError("no\nway")

    failed = bench.run(chain(one=says("one"), fails=fails), {"query": "q"}).execution_id
    paused = bench.run(beside(a=asks("a?"), b=asks("b?"), c=says("c")), {"query": "q"}).execution_id
    for execution in (failed, paused):
        elsewhere.import_bundle(bench.export(execution, tmp_path))
        assert shown(elsewhere, execution)["steps"] == shown(bench, execution)["steps"]
        assert elsewhere.execution(execution).waiting == bench.execution(execution).waiting


def crashing() -> Any:
    return chain(one=says("one"), dies=die)


def mended() -> Any:
    return chain(one=says("again"), dies=says("mended"))


def test_an_execution_whose_process_died_can_be_recovered_where_it_was_imported(
    bench: TestBench, project: WorkflowProject, elsewhere: TestBench, tmp_path: Path
) -> None:
    dies_running(project, crashing, "crashed")
    elsewhere.import_bundle(bench.export("crashed", tmp_path))
    assert [found.id for found in elsewhere.orphans()] == ["crashed"]
    (recovered,) = elsewhere.recover("crashed", graph=mended()).results
    assert recovered.state["notes"] == ["one", "mended"]


def test_events_keep_who_caused_them_and_when_and_the_import_is_a_fact(
    bench: TestBench, elsewhere: TestBench, tmp_path: Path
) -> None:
    paused = bench.run(
        chain(ask=asks("?")), {"query": "q"}, actor="ada", trace="00-" + "a" * 32 + "-" + "b" * 16 + "-01"
    )
    bench.resume(paused.execution_id, 1, actor="bob")
    file = bench.export(paused.execution_id, tmp_path)
    elsewhere.import_bundle(file, actor="carla")
    said = [
        [(e.actor, e.cause, e.trace, e.time_us, e.chain, e.fact) for e in there.events(paused.execution_id)]
        for there in (bench, elsewhere)
    ]
    assert said[0] == said[1]
    assert {actor for actor, *_ in said[1]} == {"ada", "bob"}
    (fact,) = elsewhere.log(types=("ExecutionImported",))
    assert (fact.stream, fact.actor, fact.cause) == (AUDIT_STREAM, "carla", "import")
    manifest = members(file)["manifest.json"]
    assert fact.fact == ExecutionImported(
        execution=paused.execution_id, bundle=sha256(manifest).hexdigest(), events=len(said[0])
    )


def test_the_file_is_what_its_description_says(quick_bench: TestBench, tmp_path: Path) -> None:
    done = quick_bench.run(chain(one=says("one")), {"query": "q"}, execution_id="e1")
    file = quick_bench.export("e1", tmp_path)
    assert file == tmp_path / "e1.wtb.zip"
    held = members(file)
    assert [*held] == ["events.ndjson", "values.ndjson", "manifest.json"]
    manifest = manifest_of(file)
    events = quick_bench.events("e1")
    assert (manifest["format"], manifest["format_version"], manifest["wtb"]) == ("wtb-bundle", 1, __version__)
    assert (manifest["execution"], manifest["workflow"]) == ("e1", "notes")
    assert manifest["graph"] == quick_bench.execution(done.execution_id).graph
    assert (manifest["events"], manifest["version"], manifest["chain"]) == (len(events), len(events), events[-1].chain)
    for name in ("events.ndjson", "values.ndjson"):
        assert manifest["members"][name] == {"sha256": sha256(held[name]).hexdigest(), "bytes": len(held[name])}
    assert manifest["values"] == len(lines(held["values.ndjson"]))
    line = lines(held["events.ndjson"])[0]
    assert line == {
        "specversion": "1.0",
        "id": "execution-e1/1",
        "source": "wtb",
        "type": "wtb.ExecutionStarted",
        "subject": "e1",
        "time": events[0].time.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "dataschema": "urn:wtb:fact:ExecutionStarted@2",
        "stream": "execution-e1",
        "version": 1,
        "actor": events[0].actor,
        "cause": "run",
        "chain": events[0].chain,
        "data": json.loads(events[0].fact.model_dump_json()),
    }


def test_exporting_twice_gives_the_same_bytes(bench: TestBench, tmp_path: Path) -> None:
    done = bench.run(nested(), {"query": "q"})
    one = bench.export(done.execution_id, tmp_path / "one")
    two = bench.export(done.execution_id, str(tmp_path / "two"))
    assert one.read_bytes() == two.read_bytes()


def test_files_of_the_output_folder_come_along(bench: TestBench, elsewhere: TestBench, tmp_path: Path) -> None:
    content = bytes(range(256)) * 9000  # more than two pieces

    def writes(state: Notes, config: RunnableConfig) -> Any:
        folder = Path(config["configurable"]["output_dir"])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "data.bin").write_bytes(content)
        (folder / os.fsdecode(b"not \xff utf-8")).write_text("odd")

    done = bench.run(chain(writes=writes, after=says("after")), {"query": "q"})
    file = bench.export(done.execution_id, tmp_path)
    assert "files" in {line["kind"] for line in lines(members(file)["values.ndjson"])}
    elsewhere.import_bundle(file)
    assert elsewhere.files(done.execution_id) == bench.files(done.execution_id)
    assert elsewhere.read_file(done.execution_id, "data.bin") == content
    assert elsewhere.export(done.execution_id, tmp_path / "again").read_bytes() == file.read_bytes()


def test_a_fork_comes_along_without_what_it_was_forked_from(
    bench: TestBench, elsewhere: TestBench, tmp_path: Path
) -> None:
    flow = chain(one=says("one"), two=says("two"))
    done = bench.run(flow, {"query": "q"})
    fork = bench.fork(done.execution_id, node="two", state={"notes": ["changed"]}, graph=flow)
    elsewhere.import_bundle(bench.export(fork.execution_id, tmp_path))
    assert shown(elsewhere, fork.execution_id)["state"] == shown(bench, fork.execution_id)["state"]
    assert elsewhere.execution(fork.execution_id).parent_execution == done.execution_id
    assert elsewhere.lineage(fork.execution_id).ancestors == ()
    elsewhere.import_bundle(bench.export(done.execution_id, tmp_path))
    assert [each.id for each in elsewhere.lineage(fork.execution_id).ancestors] == [done.execution_id]


def test_an_imported_execution_can_be_forked_rolled_back_and_retried(
    bench: TestBench, elsewhere: TestBench, tmp_path: Path
) -> None:
    flow = chain(one=says("one"), two=says("two"))
    done = bench.run(flow, {"query": "q"})
    bench.rollback(done.execution_id, node="two", graph=flow)
    elsewhere.import_bundle(bench.export(done.execution_id, tmp_path))
    assert shown(elsewhere, done.execution_id)["state"] == shown(bench, done.execution_id)["state"]
    fork = elsewhere.fork(done.execution_id, graph=flow)
    assert fork.state["notes"] == ["one", "two"]
    assert elsewhere.resume(done.execution_id, graph=flow).state["notes"] == ["one", "two"]


# --- what is there already --------------------------------------------------------------------------


def test_importing_what_is_there_changes_nothing(bench: TestBench, elsewhere: TestBench, tmp_path: Path) -> None:
    done = bench.run(chain(one=says("one")), {"query": "q"})
    file = bench.export(done.execution_id, tmp_path)
    for there in (bench, elsewhere, elsewhere):
        assert there.import_bundle(file).id == done.execution_id
    assert imports(bench) == []
    assert len(imports(elsewhere)) == 1


def test_an_execution_that_has_gone_on_since_its_export_is_left_as_it_is(bench: TestBench, tmp_path: Path) -> None:
    paused = bench.run(chain(ask=asks("?")), {"query": "q"})
    file = bench.export(paused.execution_id, tmp_path)
    bench.resume(paused.execution_id, "yes")
    assert bench.import_bundle(file).status == "completed"
    assert imports(bench) == []


def test_another_execution_under_the_same_id_stays(bench: TestBench, elsewhere: TestBench, tmp_path: Path) -> None:
    bench.run(chain(one=says("mine")), {"query": "q"}, execution_id="e1")
    elsewhere.run(chain(one=says("yours")), {"query": "q"}, execution_id="e1")
    before = stored(elsewhere, "e1")
    with pytest.raises(ExecutionExists):
        elsewhere.import_bundle(bench.export("e1", tmp_path))
    assert stored(elsewhere, "e1") == before


def test_an_import_does_not_take_over_an_execution_that_has_only_begun_here(
    quick_bench: TestBench, tmp_path: Path
) -> None:
    paused = quick_bench.run(chain(ask=asks("?")), {"query": "q"}, execution_id="e1")
    with TestBench(WorkflowProject("notes", db_path=tmp_path / "b.db", output_dir=tmp_path / "o")) as other:
        other.import_bundle(quick_bench.export(paused.execution_id, tmp_path / "short"))
        quick_bench.resume("e1", "yes")
        with pytest.raises(ExecutionExists):
            other.import_bundle(quick_bench.export("e1", tmp_path / "long"))


# --- refusals ---------------------------------------------------------------------------------------


def test_what_is_no_execution_is_not_exported(quick_bench: TestBench, tmp_path: Path) -> None:
    thread = execution_stream("thread")
    quick_bench.platform.store.append(
        [Append(thread, quick_bench.platform.store.head(thread), [PauseRequested()], [0], Origin("x"))]
    )
    for execution in ("nobody", "thread", "../x", "\0"):
        with pytest.raises(ExecutionNotFound):
            quick_bench.export(execution, tmp_path)
    assert [*tmp_path.glob("*.zip")] == []


def test_a_place_that_can_not_be_written_is_refused(quick_bench: TestBench, tmp_path: Path) -> None:
    done = quick_bench.run(chain(one=says("one")), {"query": "q"})
    with pytest.raises(InvalidRequest, match="can't be written"):
        quick_bench.export(done.execution_id, tmp_path / "no" / "such" / "folder")


def test_an_export_replaces_the_file_that_is_there(quick_bench: TestBench, tmp_path: Path) -> None:
    done = quick_bench.run(chain(one=says("one")), {"query": "q"})
    (tmp_path / "file").write_bytes(b"x" * 100_000)
    quick_bench.export(done.execution_id, tmp_path / "file")
    assert manifest_of(tmp_path / "file")["execution"] == done.execution_id
    assert {path.name for path in tmp_path.iterdir() if path.name.startswith(".")} == set()


def test_numbers_that_read_models_can_not_hold_are_refused_before_they_are_in_the_log(
    quick_bench: TestBench, tmp_path: Path
) -> None:
    """A read model that can't be brought level would answer nothing any more, about any execution."""
    stream = execution_stream("odd")
    store = quick_bench.platform.store
    begun = ExecutionStarted(workflow="w", graph="g", input=Digest("null"), worker=WorkerId("w"))
    odd = checkpoint("1").model_copy(update={"step": 10**30})
    store.append([Append(stream, store.head(stream), [begun, odd], [0, 0], Origin("x"))])
    bundle_writer.write(tmp_path / "file", store, stream)
    with TestBench(WorkflowProject("notes", db_path=tmp_path / "b.db", output_dir=tmp_path / "o")) as other:
        with pytest.raises(InvalidBundle, match="can't be shown"):
            other.import_bundle(tmp_path / "file")
        assert other.log() == []
