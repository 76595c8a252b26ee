"""Sealing and verifying what benches record; the log is sealed by itself as it grows."""

import asyncio
from pathlib import Path
from typing import Annotated, Any

import pytest
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from typing_extensions import TypedDict

from tests.infra.event_store.given import outside
from tests.sdk.given import asks, beside, chain, says
from wtb.domain.audit import AUDIT_STREAM
from wtb.domain.errors import LogNotWhole
from wtb.infra.event_store import seal as seals
from wtb.sdk import TestBench, WorkflowProject


class Chat(TypedDict):
    messages: Annotated[list[Any], add_messages]


def chat(messages: int) -> Any:
    """A list that grows by a message big enough to be stored by itself."""
    graph: Any = StateGraph(Chat)
    graph.add_node("say", lambda state: {"messages": [HumanMessage(f"{len(state['messages'])} " + "x" * 400)]})
    graph.add_edge(START, "say")
    graph.add_conditional_edges("say", lambda state: "say" if len(state["messages"]) < messages else END)
    return graph


def writes_a_file(state: Any, config: RunnableConfig) -> Any:
    (Path(config["configurable"]["output_dir"]) / "notes.txt").write_text("noted")
    return {"notes": ["one"]}


def fails(state: Any) -> Any:
    raise ValueError("no way")


def test_whatever_was_run_is_whole(bench: TestBench) -> None:
    bench.run(chain(first=says("one"), second=asks("go on?")), {"query": "q"}, execution_id="asked")
    bench.resume("asked", "yes")
    bench.run(chain(breaks=fails), {"query": "q" * 5_000})
    inner = chain(deep=says("deep"))
    bench.run(chain(before=says("one"), sub=inner), {"query": "q"})
    bench.run(beside(left=says("l"), right=says("r")), {"query": "q"})
    bench.run(chat(80), {"messages": []}, config={"recursion_limit": 100})
    made = bench.seal(actor="auditor")
    found = bench.verify(made.digest)
    assert found.raise_for_damage().whole
    assert found.events == len(bench.log(limit=10_000))
    assert found.sealed == made.through == found.through - 1
    [sealing] = bench.platform.store.read(AUDIT_STREAM)
    assert (sealing.actor, sealing.cause, sealing.fact) == ("auditor", "seal", made)


def test_a_value_that_a_run_left_is_missed(bench: TestBench) -> None:
    bench.run(chat(80), {"messages": []}, execution_id="e", config={"recursion_limit": 100})
    with outside(bench.project.location) as session:
        session.execute("DELETE FROM wtb_values WHERE kind='list'")
    found = bench.verify()
    with pytest.raises(LogNotWhole):
        found.raise_for_damage()
    assert found.first is not None
    assert (found.first.kind, found.first.type) == ("value", "CheckpointSaved")


def test_a_piece_of_a_file_that_is_gone_is_missed(bench: TestBench) -> None:
    bench.run(chain(first=writes_a_file, second=says("two")), {"query": "q"}, execution_id="e")
    assert bench.verify().whole
    with outside(bench.project.location) as session:
        session.execute("DELETE FROM wtb_values WHERE kind IN ('bytes', 'bytes+zstd')")
    found = bench.verify()
    assert found.first is not None
    assert (found.first.kind, found.first.type) == ("value", "CheckpointSaved")
    assert "its part" in found.first.detail
    assert "notes.txt" in bench.report("e")


def test_a_log_is_whole_when_executions_were_archived_brought_back_and_erased(bench: TestBench, tmp_path: Path) -> None:
    for execution in ("a", "b"):
        bench.run(chat(80), {"messages": []}, execution_id=execution, config={"recursion_limit": 100})
    bench.run(chain(first=writes_a_file, second=says("two")), {"query": "q"}, execution_id="c")
    made = bench.seal()
    bench.archive("a", to=tmp_path / "archive", alone=True)
    assert bench.verify(made.digest).whole
    bench.import_bundle(next((tmp_path / "archive").iterdir()))
    assert bench.verify(made.digest).whole
    bench.erase(["b", "c"], reason="asked to", alone=True)
    assert bench.verify(made.digest).whole
    assert "asked to" in bench.report("b")
    with outside(bench.project.location) as session:
        session.execute("DELETE FROM wtb_values WHERE kind='list'")
    found = bench.verify(made.digest)
    assert found.first is not None
    # What was brought back isn't accounted for any more.
    assert (found.first.kind, found.first.stream) == ("value", "execution-a")


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seals are due every 20 positions."""
    monkeypatch.setattr(seals, "INTERVAL", 20)
    monkeypatch.setattr(seals, "AT_ONCE", 200)


@pytest.mark.usefixtures("often")
def test_the_log_is_sealed_by_itself_when_runs_end(bench: TestBench) -> None:
    graph = chain(first=says("one"), second=says("two"))
    positions = [bench.run(graph, {"query": "q"}).position for _ in range(12)]
    found = bench.verify()
    assert found.whole
    assert 4 <= found.seals <= 8
    assert found.through - found.sealed < 40
    assert {event.actor for event in bench.platform.store.read(AUDIT_STREAM)} == {"tester"}
    # A run's last event is its own, not a seal that came after it.
    assert all(event.type == "ExecutionCompleted" for p in positions for event in bench.log(after=p - 1, limit=1))


@pytest.mark.usefixtures("often")
async def test_runs_that_end_together_make_one_seal(bench: TestBench) -> None:
    graph = chain(first=says("one"), second=says("two"))
    await asyncio.gather(*(bench.arun(graph, {"query": "q"}) for _ in range(10)))
    found = bench.verify()
    assert found.whole
    assert 1 <= found.seals <= 4


@pytest.mark.usefixtures("often")
def test_a_log_that_cannot_be_sealed_fails_no_run(quick_bench: TestBench) -> None:
    """What ran is durable; that its log is damaged is for verify to say."""
    graph = chain(first=says("one"))
    damaged = quick_bench.events(quick_bench.run(graph, {"query": "q"}).execution_id)[1].position
    with outside(quick_bench.project.location) as session:
        session.execute("UPDATE wtb_events SET state=? WHERE position=?", (b"\x01nonsense", damaged))
    for _ in range(5):
        assert quick_bench.run(graph, {"query": "q"}).status == "completed"
    found = quick_bench.verify()
    assert found.seals == 0
    assert found.first is not None
    assert (found.first.kind, found.first.position) == ("changed", damaged)


@pytest.mark.usefixtures("often")
def test_benches_on_one_store_share_its_seals(project: WorkflowProject) -> None:
    graph = chain(first=says("one"), second=says("two"))
    with TestBench(project) as one, TestBench(project) as other:
        for _ in range(6):
            one.run(graph, {"query": "q"})
            other.run(graph, {"query": "q"})
        found = one.verify()
        assert found.whole
        assert 4 <= found.seals <= 8
