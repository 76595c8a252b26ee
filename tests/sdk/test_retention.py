"""What is archived leaves its events and comes back; what is erased is gone, and the log stays whole."""

import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from langchain_core.runnables import RunnableConfig

from tests.infra.event_store.given import is_postgres
from tests.sdk.bundle_files import manifest_of
from tests.sdk.given import Notes, asks, chain, says
from tests.sdk.processes import die, dies_running, lives, wait_at_gate
from wtb.domain.audit import ExecutionArchived, ExecutionErased, ExecutionImported
from wtb.domain.digests import digests_of
from wtb.domain.errors import (
    ExecutionNotFound,
    ExecutionTaken,
    InvalidRequest,
    ValueMissing,
    WrongStatus,
)
from wtb.domain.event_log import GENESIS, Append, Origin
from wtb.domain.execution import PauseRequested
from wtb.domain.identifiers import Digest, ExecutionId, execution_stream
from wtb.infra.event_store import chain as links
from wtb.infra.event_store.removal import closure
from wtb.infra.event_store.store import CHAIN_LINE
from wtb.sdk import EventSourcedSaver, TestBench, WorkflowProject

SECRET = "a secret of one person " * 20


def graph(*texts: str) -> Any:
    nodes: dict[str, Any] = {f"n{place}": says(text) for place, text in enumerate(texts)}
    return chain(**nodes)


def run(bench: TestBench, execution: str, *texts: str) -> str:
    return bench.run(graph(*texts), {"query": "q of " + execution}, execution_id=execution).execution_id


def named(bench: TestBench, *executions: str) -> set[Digest]:
    """All values that executions name, directly or not, stored or not."""
    direct = {digest for each in executions for event in bench.events(each) for digest in digests_of(event.fact)}
    return closure(bench.platform.store, direct)


def stored(bench: TestBench) -> set[Digest]:
    return set(bench.platform.store.every_digest())


def is_whole(bench: TestBench, execution: str) -> bool:
    """Whether the chain over an execution's events still holds."""
    before = GENESIS
    for row in bench.platform.store.stored(execution_stream(execution)):
        before = links.link(before, row.stream, row.version, row.topic, row.state[CHAIN_LINE:])
        if row.state[:64].decode() != before:
            return False
    return True


def facts(bench: TestBench, *kinds: type) -> list[Any]:
    return [event.fact for event in bench.log(types=tuple(kind.__name__ for kind in kinds))]


def files_hold(project: WorkflowProject, text: str) -> bool:
    path = Path(project.location)
    return any(text.encode() in file.read_bytes() for file in path.parent.glob(path.name + "*") if file.is_file())


# --- archiving --------------------------------------------------------------------------------------


def test_an_archived_execution_leaves_its_events_and_comes_back_from_its_bundle(
    bench: TestBench, tmp_path: Path
) -> None:
    run(bench, "one", "x" * 2000, "y" * 600)
    state = dict(bench.state("one").channels)
    was, events = named(bench, "one"), bench.events("one")
    (archived,) = bench.archive(["one"], to=tmp_path / "old", reason="old", actor="ada")
    assert (archived.execution, archived.file) == ("one", tmp_path / "old" / "one.wtb.zip")
    assert not stored(bench) & was
    assert archived.values == len(was)
    assert facts(bench, ExecutionArchived) == [
        ExecutionArchived(execution=ExecutionId("one"), bundle=archived.bundle, values=len(was), reason="old")
    ]
    assert bench.events("one") == events
    assert bench.execution("one").status == "completed"
    assert len(bench.steps("one")) == 2
    assert is_whole(bench, "one")
    with pytest.raises(ValueMissing, match=f"'one' was archived to bundle {archived.bundle} on .* by ada") as gone:
        bench.state("one")
    assert "wtb audit import" in gone.value.hint
    assert bench.import_bundle(archived.file).id == "one"
    assert dict(bench.state("one").channels) == state
    assert bench.events("one") == events
    assert facts(bench, ExecutionImported)[0].events == 0


def test_what_another_execution_names_stays(bench: TestBench, tmp_path: Path) -> None:
    """A long list of the one holds a text that the other wrote by itself."""
    shared = "shared " * 100
    run(bench, "one", shared, "only one " * 100)
    run(bench, "two", shared, "only two " * 100)
    both, mine = named(bench, "two"), named(bench, "one") - named(bench, "two")
    bench.archive("one", to=tmp_path)
    assert stored(bench) >= both
    assert not stored(bench) & mine
    assert bench.state("two")["notes"] == [shared, "only two " * 100]


def test_parts_of_a_value_stay_while_another_value_is_made_of_them(bench: TestBench, tmp_path: Path) -> None:
    """Two lists share their first elements, and nothing else names these."""
    texts = [f"{place} " * 200 for place in range(5)]
    bench.run(graph("end " * 200), {"notes": texts}, execution_id="one")
    bench.run(graph("other end " * 200), {"notes": texts}, execution_id="two")
    bench.archive("one", to=tmp_path)
    assert bench.state("two")["notes"] == [*texts, "other end " * 200]
    bench.archive("two", to=tmp_path)
    assert stored(bench) == set()


def test_a_fork_keeps_what_it_got_from_an_archived_execution(bench: TestBench, tmp_path: Path) -> None:
    flow = graph("a" * 600, "b" * 600)
    bench.run(flow, {"query": "q"}, execution_id="one")
    bench.fork("one", node="n1", new_id="two", graph=flow)
    bench.archive("one", to=tmp_path)
    assert bench.state("two")["notes"] == ["a" * 600, "b" * 600]


def test_executions_that_ended_long_enough_ago_are_archived_once(bench: TestBench, tmp_path: Path) -> None:
    run(bench, "one", "1")
    run(bench, "two", "2")
    bench.run(chain(ask=asks("?")), {"query": "q"}, execution_id="paused")
    assert bench.archive(older_than=timedelta(days=1), to=tmp_path) == ()
    archived = bench.archive(older_than=timedelta(0), to=tmp_path)
    assert [each.execution for each in archived] == ["one", "two"]
    assert bench.archive(older_than=timedelta(0), to=tmp_path) == ()
    assert bench.archive(["one"], to=tmp_path) == ()
    assert bench.import_bundle(tmp_path / "one.wtb.zip").id == "one"
    assert [each.execution for each in bench.archive(older_than=timedelta(0), to=tmp_path)] == ["one"]
    assert bench.state("paused")["query"] == "q"


def test_only_what_has_ended_is_archived_and_nothing_goes_when_one_can_not(
    quick_bench: TestBench, tmp_path: Path
) -> None:
    run(quick_bench, "one", "1")
    quick_bench.run(chain(ask=asks("?")), {"query": "q"}, execution_id="paused")
    before = stored(quick_bench)
    with pytest.raises(WrongStatus):
        quick_bench.archive(["one", "paused"], to=tmp_path)
    with pytest.raises(ExecutionNotFound):
        quick_bench.archive(["one", "nobody"], to=tmp_path)
    with pytest.raises(InvalidRequest):
        quick_bench.archive(to=tmp_path)
    with pytest.raises(InvalidRequest):
        quick_bench.archive(["one"], older_than=timedelta(0), to=tmp_path)
    with pytest.raises(InvalidRequest):
        quick_bench.archive([], to=tmp_path)
    assert stored(quick_bench) == before
    assert facts(quick_bench, ExecutionArchived) == []


def test_a_bundle_of_an_archive_is_that_of_an_export(quick_bench: TestBench, tmp_path: Path) -> None:
    run(quick_bench, "one", "1")
    exported = quick_bench.export("one", tmp_path / "exported")
    (archived,) = quick_bench.archive("one", to=tmp_path)
    assert archived.file.read_bytes() == exported.read_bytes()
    assert manifest_of(archived.file)["execution"] == "one"


def test_what_only_archived_executions_name_goes_with_the_last_of_them(bench: TestBench, tmp_path: Path) -> None:
    run(bench, "one", "shared " * 100)
    run(bench, "two", "shared " * 100)
    bench.archive("one", to=tmp_path)
    bench.archive("two", to=tmp_path)
    assert stored(bench) == set()
    for execution in ("one", "two"):
        bench.import_bundle(tmp_path / f"{execution}.wtb.zip")
    bench.archive("one", to=tmp_path)
    assert bench.state("two")["notes"] == ["shared " * 100]
    bench.archive("two", to=tmp_path)
    assert stored(bench) == set()


def test_an_archived_execution_that_has_gone_on_keeps_what_it_has(bench: TestBench, tmp_path: Path) -> None:
    """All it needed was another's too, so it could be taken up again without its bundle."""

    def fails(state: Notes) -> Any:
        raise ValueError

    flow = chain(one=says("one " * 200), two=fails)
    for execution in ("one", "two"):
        bench.run(flow, {"query": "q"}, execution_id=execution)
    bench.archive("one", to=tmp_path)
    bench.retry("one", graph=chain(one=says("one " * 200), two=says("mended")))
    bench.archive("two", to=tmp_path)
    assert bench.state("one")["notes"] == ["one " * 200, "mended"]


# --- erasing ----------------------------------------------------------------------------------------


def test_an_erased_execution_is_gone_for_good_while_its_events_still_prove_themselves(
    bench: TestBench, tmp_path: Path
) -> None:
    run(bench, "one", SECRET, "and more")
    run(bench, "two", "innocent " * 100)
    file, events = bench.export("one", tmp_path), bench.events("one")
    mine = named(bench, "one") - named(bench, "two")
    erasure = bench.erase(["one"], reason="asked for", actor="ada")
    assert erasure.executions == ("one",)
    assert stored(bench) == named(bench, "two")
    assert facts(bench, ExecutionErased) == [
        ExecutionErased(execution=ExecutionId("one"), values=len(mine), reason="asked for")
    ]
    assert bench.events("one") == events
    assert is_whole(bench, "one")
    assert bench.execution("one").status == "completed"
    with pytest.raises(ValueMissing, match=r"'one' was erased on .* by ada \(asked for\)"):
        bench.state("one")
    with pytest.raises(WrongStatus, match="erased"):
        bench.import_bundle(file)
    with pytest.raises(WrongStatus, match="erased"):
        bench.archive(["one"], to=tmp_path)
    with pytest.raises(ValueMissing):
        bench.export("one", tmp_path)
    assert bench.state("two")["notes"] == ["innocent " * 100]


def test_values_that_were_stored_but_never_named_go_too(bench: TestBench) -> None:
    """The first and the last thing of each short list are stored by themselves, and nothing names them."""
    run(bench, "one", "short secret")
    assert stored(bench) > named(bench, "one")
    bench.erase("one", reason="r")
    assert stored(bench) == set()


def test_forks_and_their_forks_are_erased_along(bench: TestBench) -> None:
    flow = graph("a" * 600, "b" * 600)
    bench.run(flow, {"query": "q"}, execution_id="one")
    bench.fork("one", node="n1", new_id="two", graph=flow)
    bench.fork("two", state={"notes": [SECRET]}, new_id="three", graph=flow, as_node="n1")
    run(bench, "other", "other")
    erasure = bench.erase("one", reason="r")
    assert erasure.executions == ("one", "two", "three")
    assert {fact.execution for fact in facts(bench, ExecutionErased)} == {"one", "two", "three"}
    assert stored(bench) == named(bench, "other")


def test_a_forks_origin_stays_when_the_fork_is_erased(bench: TestBench) -> None:
    flow = graph("a" * 600, "b" * 600)
    bench.run(flow, {"query": "q"}, execution_id="one")
    bench.fork("one", node="n1", new_id="two", graph=flow)
    assert bench.erase("two", reason="r").executions == ("two",)
    assert bench.state("one")["notes"] == ["a" * 600, "b" * 600]


def test_the_bytes_are_out_of_the_databases_files(bench: TestBench, project: WorkflowProject) -> None:
    """Whatever pages they were moved through before."""
    plain = "".join(chr(65 + place * 7 % 26) for place in range(500))  # too short to be compressed
    for place in range(30):
        run(bench, f"filler-{place}", f"filler {place} " * 30)
        run(bench, f"secret-{place}", f"{plain} {place}")
    on_file = not is_postgres(project.location)
    assert not on_file or files_hold(project, plain)
    erasure = bench.erase([f"secret-{place}" for place in range(30)], reason="r")
    assert erasure.wiped == on_file
    assert not on_file or not files_hold(project, plain)
    assert bench.state("filler-29")["notes"] == ["filler 29 " * 30]


def test_output_folders_go_and_what_links_in_them_lead_to_stays(bench: TestBench, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept.txt").write_text("kept")

    def writes(state: Notes, config: RunnableConfig) -> Any:
        folder = Path(config["configurable"]["output_dir"])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "letter.txt").write_text(SECRET)
        (folder / "link").symlink_to(outside)

    flow = chain(writes=writes)
    bench.run(flow, {"query": "q"}, execution_id="one")
    bench.run(flow, {"query": "q"}, execution_id="two")
    erasure = bench.erase("one", reason="r")
    assert [folder.name for folder in erasure.folders] == ["one"]
    assert not erasure.folders[0].exists()
    assert (erasure.folders[0].parent / "two" / "letter.txt").exists()
    assert (outside / "kept.txt").read_text() == "kept"


def test_erasing_again_notes_nothing_new_and_finishes_what_was_left(bench: TestBench) -> None:
    run(bench, "one", SECRET)
    first = bench.erase("one", reason="r")
    left = bench.platform.output_dir / "one"
    left.mkdir(parents=True, exist_ok=True)
    again = bench.erase("one", reason="again")
    assert (first.values > 0, again.values, again.folders) == (True, 0, (left,))
    assert len(facts(bench, ExecutionErased)) == 1


def test_an_archived_execution_can_be_erased_and_does_not_come_back(bench: TestBench, tmp_path: Path) -> None:
    run(bench, "one", SECRET)
    (archived,) = bench.archive("one", to=tmp_path)
    bench.erase("one", reason="r")
    with pytest.raises(WrongStatus, match="erased"):
        bench.import_bundle(archived.file)
    with pytest.raises(ValueMissing, match="was erased"):
        bench.state("one")


def test_erasing_nobody_or_somebody_unknown_changes_nothing(quick_bench: TestBench) -> None:
    run(quick_bench, "one", "1")
    before = stored(quick_bench)
    with pytest.raises(ExecutionNotFound):
        quick_bench.erase(["one", "nobody"], reason="r")
    with pytest.raises(InvalidRequest):
        quick_bench.erase([], reason="r")
    assert stored(quick_bench) == before


# --- while others are at work -----------------------------------------------------------------------


def gated() -> Any:
    return chain(first=says("first"), wait=wait_at_gate)


def test_nothing_goes_while_another_process_runs_anything(
    bench: TestBench, project: WorkflowProject, tmp_path: Path
) -> None:
    run(bench, "one", SECRET)
    before = stored(bench)
    with lives(project, gated, "running", tmp_path / "gate"):
        for act in (
            lambda: bench.erase("one", reason="r"),
            lambda: bench.archive("one", to=tmp_path / "old"),
            lambda: bench.erase("running", reason="r"),
        ):
            with pytest.raises(ExecutionTaken, match="running"):
                act()
    assert stored(bench) >= before
    assert facts(bench, ExecutionErased, ExecutionArchived) == []
    bench.erase("one", reason="r")
    assert bench.state("running")["notes"] == ["first", "waited"]


def test_nothing_goes_while_this_process_runs_anything(bench: TestBench) -> None:
    run(bench, "one", SECRET)
    refused: list[str] = []

    def erases(state: Notes) -> Any:
        with pytest.raises(ExecutionTaken) as refusal:
            bench.erase("one", reason="r")
        refused.append(str(refusal.value))

    bench.run(chain(erases=erases), {"query": "q"}, execution_id="busy")
    assert "busy" in refused[0]
    assert bench.state("one")["notes"] == [SECRET]


def crashing() -> Any:
    return chain(one=says("one"), dies=die)


def test_an_execution_whose_process_died_must_be_recovered_before_it_is_erased(
    bench: TestBench, project: WorkflowProject
) -> None:
    run(bench, "one", SECRET)
    dies_running(project, crashing, "crashed")
    with pytest.raises(WrongStatus, match="process has died"):
        bench.erase("crashed", reason="r")
    bench.erase("one", reason="r")
    (recovered,) = bench.recover("crashed", graph=chain(one=says("one"), dies=says("mended"))).results
    assert recovered.state["notes"] == ["one", "mended"]


def test_what_is_written_while_the_log_is_read_is_taken_into_account(
    bench: TestBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another execution names a value of the erased one after the log was read, and before anything went."""
    run(bench, "one", SECRET)
    store, remove = bench.platform.store, bench.platform.store.remove
    tries: list[bool] = []

    def late(*args: Any) -> bool:
        if not tries:
            run(bench, "two", SECRET)
        tries.append(remove(*args))
        return tries[-1]

    monkeypatch.setattr(store, "remove", late)
    bench.erase("one", reason="r")
    assert tries == [False, True]
    assert bench.state("two")["notes"] == [SECRET]


def test_what_is_forked_while_the_log_is_read_is_erased_along(
    bench: TestBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = graph(SECRET, "end")
    bench.run(flow, {"query": "q"}, execution_id="one")
    store, remove = bench.platform.store, bench.platform.store.remove
    tries: list[bool] = []

    def late(*args: Any) -> bool:
        if not tries:
            bench.fork("one", node="n1", new_id="two", graph=flow)
        tries.append(remove(*args))
        return tries[-1]

    monkeypatch.setattr(store, "remove", late)
    assert bench.erase("one", reason="r").executions == ("one", "two")
    assert stored(bench) == set()


def test_executions_that_run_at_the_same_time_lose_nothing(bench: TestBench) -> None:
    """Erasing is refused or waits its turn, while other threads run executions that write the same values."""
    for place in range(6):
        run(bench, f"old-{place}", SECRET, "shared " * 100)
    done, outcomes = threading.Event(), []

    def erase() -> None:
        for place in range(6):
            while not done.is_set():
                try:
                    outcomes.append(bench.erase(f"old-{place}", reason="r").values)
                    break
                except ExecutionTaken:
                    outcomes.append(-1)

    eraser = threading.Thread(target=erase)
    eraser.start()
    for place in range(8):
        run(bench, f"new-{place}", SECRET, "shared " * 100, f"own {place}")
    done.set()
    eraser.join()
    for place in range(8):
        assert bench.state(f"new-{place}")["notes"] == [SECRET, "shared " * 100, f"own {place}"]


def test_a_checkpointer_used_alone_must_be_told_to_rest(bench: TestBench, project: WorkflowProject) -> None:
    run(bench, "one", SECRET)
    with EventSourcedSaver.from_conn_string(project.location) as saver:
        compiled = graph("alone").builder.compile(checkpointer=saver)
        compiled.invoke({"query": "q"}, {"configurable": {"thread_id": "thread"}})
        with pytest.raises(InvalidRequest, match="execution-thread"):
            bench.erase("one", reason="r")
    bench.erase("one", reason="r", alone=True)
    with EventSourcedSaver.from_conn_string(project.location) as saver:
        found = saver.get_tuple({"configurable": {"thread_id": "thread"}})
        assert found is not None
        assert found.checkpoint["channel_values"]["notes"] == ["alone"]


# --- every kind of value is known -------------------------------------------------------------------


def test_a_missing_value_of_an_execution_nobody_touched_is_told_as_damage(bench: TestBench) -> None:
    stream = execution_stream("odd")
    bench.platform.store.append(
        [Append(stream, bench.platform.store.head(stream), [PauseRequested()], [0], Origin("x"))]
    )
    with pytest.raises(ValueMissing, match="isn't stored") as gone:
        bench.platform.store.values([Digest("A" * 43)])
    assert gone.value.hint == ValueMissing.hint
