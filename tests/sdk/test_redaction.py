"""What is to be redacted is nowhere in the database: every table is searched, values and events uncompressed."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command, Send, interrupt
from pydantic import BaseModel
from sqlalchemy import inspect, text
from typing_extensions import TypedDict

from wtb.domain.event_log import Recorded, Value
from wtb.domain.execution import CancelRequested
from wtb.domain.identifiers import execution_stream
from wtb.infra.event_store.compaction import expand
from wtb.infra.event_store.journal import Journal
from wtb.infra.event_store.values import unpacked
from wtb.infra.redaction import MASK
from wtb.sdk import Redaction, TestBench, WorkflowProject

SSN = "078-05-1120"
CARD = "4111111111111111"
PATTERN = r"\b\d{3}-\d{2}-\d{4}\b"
REDACTION = Redaction(channels=("card",), patterns=(PATTERN,))


class Customer(BaseModel):
    name: str
    ssn: str
    card: str = CARD


@dataclass(frozen=True)
class Account:
    holder: Customer
    notes: tuple[str, ...]


class Case(TypedDict, total=False):
    query: str
    card: str
    count: int
    seen: Annotated[list[Any], lambda old, new: old + new]
    messages: Annotated[list[Any], add_messages]
    account: Account


def told() -> str:
    return f"my number is {SSN}, thank you"


def looks_up(state: Case) -> dict[str, Any]:
    customer = Customer(name="Jane", ssn=SSN)
    return {"account": Account(customer, (told(),)), "card": CARD, "seen": [{"deep": [{"er": (told(), {told()})}]}]}


def talks(state: Case) -> dict[str, Any]:
    call = {"name": "charge", "args": {"ssn": SSN, "card": CARD}, "id": "call-1", "type": "tool_call"}
    return {
        "messages": [
            HumanMessage(told()),
            HumanMessage([{"type": "text", "text": told()}]),
            AIMessage("", tool_calls=[call], additional_kwargs={"raw": told()}, response_metadata={"echo": told()}),
            ToolMessage(told(), tool_call_id="call-1", artifact={"of": told()}),
        ]
    }


def spreads(state: Case) -> Command[Any]:
    return Command(goto=[Send("takes", {"query": told(), "card": CARD}), Send("takes", {"query": told()})])


def takes(state: Case) -> dict[str, Any]:
    return {"seen": [state["query"]]}


def files(state: Case, config: RunnableConfig) -> dict[str, Any]:
    folder = Path(config["configurable"]["output_dir"])
    (folder / f"{SSN}.txt").write_text(told())
    (folder / "link").symlink_to(f"{SSN}.txt")
    return {}


def asks(state: Case) -> dict[str, Any]:
    return {"seen": [interrupt({"question": told(), "card": CARD})]}


def fails(state: Case) -> dict[str, Any]:
    raise ValueError(f"no customer has {SSN}")


def graph(*nodes: Any) -> Any:
    builder: Any = StateGraph(Case)
    before = START
    for name, node in nodes:
        builder.add_node(name, node)
        builder.add_edge(before, name)
        before = name
    return builder


def whole() -> Any:
    """Nodes, messages, a nested graph, `Send`, files, a question and an error, one after the other."""
    inner = graph(("looks_up", looks_up), ("talks", talks)).compile()
    builder = graph(("looks_up", looks_up), ("inner", inner), ("files", files), ("spreads", spreads))
    builder.add_node("takes", takes)
    builder.add_node("asks", asks)
    builder.add_node("fails", fails)
    builder.add_edge("takes", "asks")
    builder.add_edge("asks", "fails")
    return builder.compile()


def everything(bench: TestBench) -> str:
    """All that is in the database, as text."""
    found: list[str] = []
    engine = bench.platform.read_models
    with bench.platform.reading() as connection:
        for table in inspect(engine).get_table_names():
            for row in connection.execute(text(f'SELECT * FROM "{table}"')).mappings():
                cells: dict[str, Any] = {name: bytes(v) if isinstance(v, memoryview) else v for name, v in row.items()}
                if table == "wtb_values":
                    cells["data"] = unpacked(Value(cells["kind"], cells["data"]))[1]
                elif table == "wtb_events":
                    cells["state"] = expand(cells["state"])
                found.extend(
                    cell.decode("utf-8", "ignore") if isinstance(cell, bytes) else str(cell) for cell in cells.values()
                )
    return "\n".join(found)


@pytest.fixture
def secretive(store_location: str, tmp_path: Path) -> Iterator[TestBench]:
    project = WorkflowProject("notes", db_path=store_location, output_dir=tmp_path / "out", redact=REDACTION)
    with TestBench(project) as bench:
        yield bench


def run(bench: TestBench) -> list[Any]:
    """The whole graph: to its question, and with the answer to its error. All that was streamed."""
    stream = bench.stream(
        whole(), {"query": told(), "card": CARD, "messages": [HumanMessage(told())]}, execution_id="e1",
        config={"metadata": {"who": told(), "card": CARD}},
    )  # fmt: skip
    progress = list(stream)
    assert stream.result.status == "paused"
    assert stream.result.interrupts[0].value["card"] == CARD
    stream = bench.stream_resume("e1", answer={"said": told(), "card": CARD})
    progress += list(stream)
    assert stream.result.status == "failed"
    assert SSN in str(stream.result.error and stream.result.error.exception)
    return [each for each in progress if isinstance(each, Recorded)]


def test_a_secret_is_nowhere_in_the_database(secretive: TestBench) -> None:
    streamed = run(secretive)
    found = everything(secretive)
    assert MASK in found
    assert SSN not in found
    assert CARD not in found
    assert SSN not in repr(streamed)
    assert streamed == secretive.events("e1")


def test_without_redaction_it_is_there(bench: TestBench) -> None:
    """So the search finds what there is to find."""
    run(bench)
    found = everything(bench)
    assert SSN in found
    assert CARD in found
    assert MASK not in found


def test_nodes_work_with_what_is_not_redacted(secretive: TestBench) -> None:
    seen: list[Case] = []

    def looks(state: Case) -> dict[str, Any]:
        seen.append(state)
        return {}

    result = secretive.run(graph(("one", looks_up), ("two", talks), ("three", looks)), {"query": told(), "card": CARD})
    assert (seen[0]["query"], seen[0]["card"], seen[0]["account"].holder.ssn) == (told(), CARD, SSN)
    assert seen[0]["messages"][0].text == told()
    assert result.state["card"] == CARD
    kept = secretive.state(result.execution_id)
    assert (kept["query"], kept["card"]) == (f"my number is {MASK}, thank you", MASK)
    assert kept["messages"][2].tool_calls[0]["args"] == {"ssn": MASK, "card": MASK}


def test_a_resumed_execution_goes_on_with_what_was_kept(secretive: TestBench) -> None:
    """What was never stored can't be had back."""
    given: list[Any] = []

    def last(state: Case) -> dict[str, Any]:
        given.append((state["query"], state["card"]))
        return {}

    builder = graph(("ask", asks), ("last", last))
    paused = secretive.run(builder, {"query": told(), "card": CARD})
    secretive.resume(paused.execution_id, answer="yes")
    assert given == [(f"my number is {MASK}, thank you", MASK)]


async def test_coroutines_are_redacted_too(secretive: TestBench) -> None:
    async def speaks(state: Case) -> dict[str, Any]:
        return {"seen": [told()]}

    await secretive.arun(graph(("speaks", speaks)), {"query": told()})
    assert SSN not in everything(secretive)


def test_a_growing_conversation_is_kept_piecewise_as_ever(secretive: TestBench) -> None:
    def again(state: Case) -> dict[str, Any]:
        return {"messages": [HumanMessage(f"{len(state['messages'])} {SSN} " + "x" * 1000)]}

    nodes = [(f"n{number}", again) for number in range(30)]
    result = secretive.run(graph(*nodes), {"messages": [HumanMessage("first" + "x" * 1000)]})
    assert SSN not in everything(secretive)
    with secretive.platform.reading() as connection:
        messages = connection.execute(text("SELECT count(*) FROM wtb_values WHERE kind LIKE 'msgpack%'")).scalar_one()
    assert messages < 100
    assert len(secretive.state(result.execution_id)["messages"]) == 31


def test_reasons_are_redacted_whoever_appends_them(secretive: TestBench) -> None:
    """Another process that asks for something has no recording."""
    result = secretive.run(graph(("files", files)), {"query": "?"})
    stream = execution_stream(result.execution_id)
    store = secretive.platform.store
    journal = Journal(stream, store.head(stream), secretive.platform.origin())
    journal.note(CancelRequested(reason=told()))
    secretive.platform.saver.committer.commit(journal)
    assert SSN not in everything(secretive)
    [asked] = [e.fact for e in secretive.events(result.execution_id) if isinstance(e.fact, CancelRequested)]
    assert asked.reason == f"my number is {MASK}, thank you"


def travel(bench: TestBench) -> None:
    """Everything a person can do to a failed execution, each with a reason and a state that tell too much."""
    run(bench)
    changes = {"query": told(), "card": CARD}
    bench.fork("e1", node="files", state=changes, new_id="e2", run=False)
    bench.edit("e2", changes, reason=told())
    bench.rollback("e1", node="files", reason=told())
    bench.undo_rollback("e1", reason=told())
    bench.skip("e1", "fails", {"seen": [told()], "card": CARD}, reason=told())


def test_what_people_do_afterwards_is_redacted_too(secretive: TestBench) -> None:
    travel(secretive)
    found = everything(secretive)
    assert SSN not in found
    assert CARD not in found


def test_without_redaction_what_people_do_afterwards_is_there(bench: TestBench) -> None:
    travel(bench)
    asked = [getattr(event.fact, "reason", "") for event in [*bench.events("e1"), *bench.events("e2")]]
    assert asked.count(told()) == 4


def test_files_come_back_redacted(secretive: TestBench, tmp_path: Path) -> None:
    result = secretive.run(graph(("files", files), ("talks", talks)), {"query": "?"})
    secretive.fork(result.execution_id, node="talks", new_id="e2", run=False)
    assert (tmp_path / "out" / "e2" / f"{MASK}.txt").read_text() == f"my number is {MASK}, thank you"


def test_files_are_redacted_in_the_store_and_not_in_the_folder(secretive: TestBench, tmp_path: Path) -> None:
    result = secretive.run(graph(("files", files)), {"query": "?"})
    assert (tmp_path / "out" / result.execution_id / f"{SSN}.txt").read_text() == told()
    assert [file.path for file in secretive.files(result.execution_id)] == [f"{MASK}.txt", "link"]
    assert secretive.read_file(result.execution_id, f"{MASK}.txt").decode() == f"my number is {MASK}, thank you"
