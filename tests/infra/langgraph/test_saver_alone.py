"""The saver without the engine: a checkpointer in a plain LangGraph app, on both databases."""

import operator
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import pytest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.channels import DeltaChannel
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.graph import END, START, StateGraph, add_messages
from langgraph.types import Command, Send, interrupt
from pydantic import BaseModel
from typing_extensions import TypedDict

from wtb.infra.langgraph.checkpointer import EventSourcedSaver
from wtb.infra.langgraph.serializer import strict_serializer

PARALLEL = 12


class Log(TypedDict):
    log: Annotated[list[str], operator.add]


def writes(word: str) -> Callable[[Log], dict[str, Any]]:
    """A node that adds one word to the log."""
    return lambda state: {"log": [word]}


def line(*names: str, saver: EventSourcedSaver | None = None, nodes: dict[str, Any] | None = None) -> Any:
    """A compiled graph whose nodes come one after the other; each logs its name unless ``nodes`` has another for it."""
    builder: Any = StateGraph(Log)
    for name in names:
        builder.add_node(name, (nodes or {}).get(name) or writes(name))
    for before, after in zip((START, *names), (*names, END), strict=True):
        builder.add_edge(before, after)
    return builder.compile(checkpointer=saver)


def on(thread: str, checkpoint: str | None = None) -> RunnableConfig:
    configurable = {"thread_id": thread}
    return {"configurable": configurable | ({"checkpoint_id": checkpoint} if checkpoint else {})}


def url(location: str) -> str:
    """A store's location as connection strings write it."""
    return location if "://" in location else f"sqlite:///{location}"


@pytest.fixture
def saver(store_location: str) -> Iterator[EventSourcedSaver]:
    with EventSourcedSaver.from_conn_string(url(store_location)) as saver:
        yield saver


def test_what_one_saver_kept_another_finds(store_location: str) -> None:
    with EventSourcedSaver.from_conn_string(url(store_location)) as saver:
        line("a", "b", saver=saver).invoke({"log": ["in"]}, on("t"))

    with EventSourcedSaver.from_conn_string(url(store_location)) as saver:
        graph = line("a", "b", saver=saver)
        history = [(state.metadata["step"], state.values["log"]) for state in graph.get_state_history(on("t"))]

        assert graph.get_state(on("t")).values == {"log": ["in", "a", "b"]}
        assert history == [(2, ["in", "a", "b"]), (1, ["in", "a"]), (0, ["in"]), (-1, [])]


async def test_sync_and_async_calls_share_one_saver_and_one_thread(saver: EventSourcedSaver) -> None:
    async def awaits(state: Log) -> dict[str, Any]:
        return {"log": [f"{state['log'][-1]} and on"]}

    asynchronous, synchronous = line("a", "b", saver=saver, nodes={"a": awaits}), line("a", "b", saver=saver)

    assert await asynchronous.ainvoke({"log": ["1"]}, on("t")) == {"log": ["1", "1 and on", "b"]}
    assert synchronous.invoke({"log": ["2"]}, on("t"))["log"][3:] == ["2", "a", "b"]
    assert (await asynchronous.aget_state(on("t"))) == synchronous.get_state(on("t"))
    assert [state async for state in asynchronous.aget_state_history(on("t"))] == [
        *synchronous.get_state_history(on("t"))
    ]

    await asynchronous.aupdate_state(on("t"), {"log": ["by hand"]}, as_node="a")
    assert synchronous.get_state(on("t")).next == ("b",)
    assert synchronous.invoke(None, on("t"))["log"][-2:] == ["by hand", "b"]


async def test_an_interrupt_is_answered_sync_or_async_and_by_another_process_as_well(store_location: str) -> None:
    def asks(state: Log) -> dict[str, Any]:
        return {"log": [f"told {interrupt('what?')}", f"and {interrupt('what else?')}"]}

    async with EventSourcedSaver.afrom_conn_string(url(store_location)) as saver:
        graph = line("a", "ask", "b", saver=saver, nodes={"ask": asks})
        await graph.ainvoke({"log": []}, on("t"))
        assert [question.value for question in graph.get_state(on("t")).interrupts] == ["what?"]

    with EventSourcedSaver.from_conn_string(url(store_location)) as saver:
        graph = line("a", "ask", "b", saver=saver, nodes={"ask": asks})
        graph.invoke(Command(resume="one"), on("t"))
        assert [question.value for question in graph.get_state(on("t")).interrupts] == ["what else?"]
        assert graph.invoke(Command(resume="two"), on("t")) == {"log": ["a", "told one", "and two", "b"]}


def test_threads_at_once_keep_their_own_states(saver: EventSourcedSaver) -> None:
    graph = line("a", "b", "c", saver=saver)
    at_once = threading.Barrier(PARALLEL)

    def run(name: str) -> list[str]:
        at_once.wait()
        for turn in range(3):
            graph.invoke({"log": [f"{name}.{turn}"]}, on(name))
        return [word for word in graph.get_state(on(name)).values["log"] if word not in "abc"]

    names = [f"t{number}" for number in range(PARALLEL)]
    with ThreadPoolExecutor(PARALLEL) as pool:
        found = dict(zip(names, pool.map(run, names), strict=True))

    assert found == {name: [f"{name}.{turn}" for turn in range(3)] for name in names}
    assert all(len([*graph.get_state_history(on(name))]) == 15 for name in names)


def test_writes_of_nodes_that_end_at_once_are_all_kept(saver: EventSourcedSaver) -> None:
    """Every parallel node ends at the same moment, so the writes are saved from as many pool threads."""
    at_once = threading.Barrier(PARALLEL, timeout=30)

    def scatter(state: Log) -> list[Send]:
        return [Send("piece", {"log": [str(number)]}) for number in range(PARALLEL)]

    def piece(state: Log) -> dict[str, Any]:
        at_once.wait()
        return {"log": [f"piece {state['log'][0]}"]}

    def fails(state: Log) -> dict[str, Any]:
        raise RuntimeError("after the fan-out")

    builder: Any = StateGraph(Log)
    builder.add_node("piece", piece)
    builder.add_node("after", fails)
    builder.add_conditional_edges(START, scatter, ["piece"])
    builder.add_edge("piece", "after")
    graph = builder.compile(checkpointer=saver)

    with pytest.raises(RuntimeError, match="after the fan-out"):
        graph.invoke({"log": []}, {**on("t"), "max_concurrency": PARALLEL})

    fanned_out = next(found for found in saver.list(on("t")) if (found.metadata or {}).get("step") == 0)
    assert graph.get_state(on("t")).values["log"] == [f"piece {number}" for number in range(PARALLEL)]
    assert len({task for task, _, _ in fanned_out.pending_writes or []}) == PARALLEL


def test_pool_threads_that_put_at_once_on_one_thread_lose_nothing(saver: EventSourcedSaver) -> None:
    start = saver.put(on("t"), empty_checkpoint(), {"source": "input", "step": -1}, {})
    at_once = threading.Barrier(PARALLEL)

    def put(worker: int) -> str:
        at_once.wait()
        checkpoint = empty_checkpoint()
        checkpoint["channel_values"], checkpoint["channel_versions"] = {"worker": worker}, {"worker": f"1.{worker}"}
        for number in range(10):
            saver.put_writes(start, [("log", f"{worker}.{number}")], f"task {worker}.{number}")
        saver.put(start, checkpoint, {"source": "fork", "step": worker}, {"worker": f"1.{worker}"})
        return checkpoint["id"]

    with ThreadPoolExecutor(PARALLEL) as pool:
        ids = [*pool.map(put, range(PARALLEL))]

    first = saver.get_tuple(start)
    assert first is not None
    expected = sorted(f"{worker}.{number}" for worker in range(PARALLEL) for number in range(10))
    assert sorted(value for _, _, value in first.pending_writes or []) == expected
    for worker, checkpoint_id in enumerate(ids):
        found = saver.get_tuple(on("t", checkpoint_id))
        assert found is not None
        assert found.checkpoint["channel_values"] == {"worker": worker}
        assert found.parent_config == start


# --- crashes ----------------------------------------------------------------------------------------


@contextmanager
def process(work: str, location: str) -> Iterator["subprocess.Popen[str]"]:
    """This module's function ``work`` in a process of its own, which is gone afterwards."""
    program = (
        "import importlib.util, sys\n"
        f"spec = importlib.util.spec_from_file_location('crashing', {str(Path(__file__))!r})\n"
        "crashing = importlib.util.module_from_spec(spec); sys.modules['crashing'] = crashing\n"
        "spec.loader.exec_module(crashing)\n"
        f"crashing.{work}({location!r})\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    ) as it:
        try:
            yield it
        finally:
            it.kill()


def acknowledge_and_wait(location: str) -> None:
    with EventSourcedSaver.from_conn_string(location) as saver:
        graph = line("a", "b", saver=saver)
        for turn in range(5):
            graph.invoke({"log": [f"turn {turn}"]}, on("t"))
            print(f"acknowledged {turn}", flush=True)
        sys.stdin.read()


def die_in_the_third_node(location: str) -> None:
    def dies(state: Log) -> dict[str, Any]:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    with EventSourcedSaver.from_conn_string(location) as saver:
        line("a", "b", "c", saver=saver, nodes={"c": dies}).invoke({"log": []}, on("t"), durability="sync")


def test_an_acknowledged_invoke_survives_the_kill_of_its_process(store_location: str) -> None:
    with process("acknowledge_and_wait", url(store_location)) as working:
        assert working.stdout is not None
        assert [working.stdout.readline() for _ in range(5)] == [f"acknowledged {turn}\n" for turn in range(5)]
        working.kill()

    with EventSourcedSaver.from_conn_string(url(store_location)) as saver:
        graph = line("a", "b", saver=saver)
        kept = graph.get_state(on("t")).values["log"]
        assert kept == [word for turn in range(5) for word in (f"turn {turn}", "a", "b")]
        assert graph.invoke({"log": ["after"]}, on("t"))["log"] == [*kept, "after", "a", "b"]


def test_after_a_kill_inside_a_node_the_graph_goes_on_with_that_node(store_location: str) -> None:
    with process("die_in_the_third_node", url(store_location)) as dying:
        assert dying.wait(30) == -signal.SIGKILL

    with EventSourcedSaver.from_conn_string(url(store_location)) as saver:
        graph = line("a", "b", "c", saver=saver)
        left = graph.get_state(on("t"))
        assert (left.values, left.next) == ({"log": ["a", "b"]}, ("c",))
        assert graph.invoke(None, on("t")) == {"log": ["a", "b", "c"]}


def die_beside_a_finished_node(location: str) -> None:
    """Of two parallel nodes one has ended, and its writes can be seen from outside, when the other one dies."""

    def dies(state: Log) -> dict[str, Any]:
        with EventSourcedSaver.from_conn_string(location) as outside:
            while True:
                position = outside.store.last_position()
                if any(
                    value == ["quick"] for found in outside.list(on("t")) for *_, value in found.pending_writes or []
                ):
                    break
                outside.store.wait(position, 1)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    with EventSourcedSaver.from_conn_string(location) as saver:
        beside(saver, writes("quick"), dies).invoke({"log": []}, on("t"), durability="sync")


def beside(saver: EventSourcedSaver, quick: Any, slow: Any) -> Any:
    builder: Any = StateGraph(Log)
    builder.add_node("quick", quick)
    builder.add_node("slow", slow)
    builder.add_edge(START, "quick")
    builder.add_edge(START, "slow")
    return builder.compile(checkpointer=saver)


def test_a_node_that_ended_beside_one_that_was_killed_is_not_run_again(store_location: str) -> None:
    with process("die_beside_a_finished_node", url(store_location)) as dying:
        assert dying.wait(30) == -signal.SIGKILL

    def never(state: Log) -> dict[str, Any]:
        raise AssertionError("ran again")

    with EventSourcedSaver.from_conn_string(url(store_location)) as saver:
        graph = beside(saver, never, writes("slow"))
        assert graph.invoke(None, on("t")) == {"log": ["quick", "slow"]}


# --- forks ------------------------------------------------------------------------------------------


def test_branches_from_one_checkpoint_keep_their_own_values(saver: EventSourcedSaver) -> None:
    graph = line("a", "b", "c", saver=saver)
    graph.invoke({"log": ["in"]}, on("t"))
    main = graph.get_state(on("t"))
    after_a = next(state for state in graph.get_state_history(on("t")) if state.next == ("b",))

    left = graph.update_state(after_a.config, {"log": ["left"]})
    right = graph.update_state(after_a.config, {"log": ["right"]})
    assert graph.get_state(on("t")).config["configurable"] == right["configurable"]
    graph.invoke(None, left)
    left_head = graph.get_state(on("t"))
    graph.invoke(None, right)
    right_head = graph.get_state(on("t"))

    assert left_head.values["log"] == ["in", "a", "left", "b", "c"]
    assert right_head.values["log"] == ["in", "a", "right", "b", "c"]
    assert graph.get_state(left_head.config).values == left_head.values
    assert graph.get_state(main.config).values["log"] == ["in", "a", "b", "c"]
    assert graph.get_state(after_a.config).values["log"] == ["in", "a"]
    assert next(graph.get_state_history(on("t"))).config == right_head.config


def test_no_two_checkpoints_give_different_values_the_same_version(saver: EventSourcedSaver) -> None:
    graph = line("a", "b", saver=saver)
    graph.invoke({"log": ["in"]}, on("t"))
    root = next(state for state in graph.get_state_history(on("t")) if state.next == ("a",))
    for number in range(20):
        graph.invoke(None, graph.update_state(root.config, {"log": [f"fork {number}"]}))

    values: dict[tuple[str, Any], set[str]] = {}
    for found in saver.list(on("t")):
        for channel, version in found.checkpoint["channel_versions"].items():
            held = repr(found.checkpoint["channel_values"].get(channel))
            values.setdefault((channel, version), set()).add(held)
    log_versions = [version for channel, version in values if channel == "log"]

    assert all(len(held) == 1 for held in values.values())
    assert len(log_versions) > 40
    assert all(re.fullmatch(r"[0-9a-f]{8}\.[0-9a-f]{8}", version) for version in log_versions)


def test_versions_count_up_as_text_and_never_repeat(saver: EventSourcedSaver) -> None:
    version: str | None = None
    for count in range(1, 300):
        later, other = saver.get_next_version(version, None), saver.get_next_version(version, None)
        assert later != other
        assert int(later.split(".")[0], 16) == count
        assert version is None or later > version
        version = later
    assert saver.get_next_version("7", None).startswith("00000008.")


# --- delta channels ---------------------------------------------------------------------------------


def append_all(held: list[str] | None, added: Sequence[list[str]]) -> list[str]:
    return [*(held or []), *(word for words in added for word in words)]


class Delta(TypedDict):
    log: Annotated[list[str], DeltaChannel(append_all, snapshot_frequency=4)]
    other: int


@pytest.mark.filterwarnings("ignore:.*[Bb]eta")
async def test_delta_channels_are_rebuilt_at_every_checkpoint_and_in_every_branch(saver: EventSourcedSaver) -> None:
    builder: Any = StateGraph(Delta)
    builder.add_node("a", lambda state: {"log": [f"a{len(state['log'])}"]})
    builder.add_node("b", lambda state: {"log": [f"b{len(state['log'])}"], "other": 1})
    builder.add_edge(START, "a")
    builder.add_edge("a", "b")
    graph = builder.compile(checkpointer=saver)
    for turn in range(4):
        await graph.ainvoke({"log": [f"in{turn}"]}, on("t"))

    whole = [word for turn in range(4) for word in (f"in{turn}", f"a{3 * turn + 1}", f"b{3 * turn + 2}")]
    history = [*graph.get_state_history(on("t"))]
    assert graph.get_state(on("t")).values["log"] == whole
    assert (await graph.aget_state(on("t"))).values["log"] == whole
    assert {len(state.values.get("log", [])) for state in history} == set(range(13))
    assert all(state.values.get("log", []) == whole[: len(state.values.get("log", []))] for state in history)
    stored = [found.checkpoint["channel_values"].get("log") for found in saver.list(on("t"))]
    assert 0 < sum(value is not None for value in stored) < len(stored) / 2

    middle = next(state for state in history if state.next == ("b",) and len(state.values["log"]) == 5)
    fork = graph.update_state(middle.config, {"log": ["fork"]})
    assert graph.invoke(None, fork)["log"] == [*whole[:5], "fork", "b6"]
    assert graph.get_state(history[0].config).values["log"] == whole

    saver.prune(["t"])
    assert len([*saver.list(on("t"))]) < len(history)
    assert graph.get_state(on("t")).values["log"] == [*whole[:5], "fork", "b6"]


# --- graphs inside graphs ---------------------------------------------------------------------------


def nested(saver: EventSourcedSaver, *, remembers: bool) -> Any:
    """A graph whose node ``sub`` is a graph that asks; one that ``remembers`` keeps its own state between turns."""

    def asks(state: Any) -> dict[str, Any]:
        return {"inner": [f"{interrupt('inner?')} after {len(state.get('inner', []))}"]}

    class Inner(TypedDict):
        log: Annotated[list[str], operator.add]
        inner: Annotated[list[str], operator.add]

    inner: Any = StateGraph(Inner)
    inner.add_node("first", lambda state: {"inner": ["first"]})
    inner.add_node("ask", asks)
    inner.add_edge(START, "first")
    inner.add_edge("first", "ask")

    outer: Any = StateGraph(Log)
    outer.add_node("before", writes("before"))
    outer.add_node("sub", inner.compile(checkpointer=True if remembers else None))
    outer.add_edge(START, "before")
    outer.add_edge("before", "sub")
    return outer.compile(checkpointer=saver)


@pytest.mark.parametrize("remembers", [False, True])
def test_graphs_inside_keep_their_checkpoints_in_a_namespace_of_their_own(
    saver: EventSourcedSaver, remembers: bool
) -> None:
    graph = nested(saver, remembers=remembers)
    graph.invoke({"log": ["in"]}, on("t"))

    waiting = graph.get_state(on("t"), subgraphs=True)
    inside = waiting.tasks[0].state
    namespace = inside.config["configurable"]["checkpoint_ns"]
    assert waiting.values == {"log": ["in", "before"]}
    assert (inside.values["inner"], inside.next) == (["first"], ("ask",))
    assert namespace.partition(":")[0] == "sub"
    assert (":" in namespace) is not remembers
    assert {found.config["configurable"]["checkpoint_ns"] for found in saver.list(on("t"))} == {"", namespace}
    of_inside = [
        found.metadata or {} for found in saver.list({"configurable": {"thread_id": "t", "checkpoint_ns": namespace}})
    ]
    assert [found["step"] for found in of_inside] == [1, 0, -1]
    assert all(found["parents"][""] == waiting.config["configurable"]["checkpoint_id"] for found in of_inside)

    graph.invoke(Command(resume="yes"), on("t"))
    graph.invoke({"log": ["again"]}, on("t"))
    second = graph.get_state(on("t"), subgraphs=True).tasks[0].state
    assert second.values["inner"] == (["first", "yes after 1", "first"] if remembers else ["first"])
    assert (second.config["configurable"]["checkpoint_ns"] == namespace) is remembers


# --- serializers ------------------------------------------------------------------------------------

SECRET = "the launch code is 8731-quartz-heron"


class Secrets(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]
    note: str


def test_an_encrypted_store_holds_no_word_of_the_state(tmp_path: Path) -> None:
    """Held back by the serializer: states, growing lists, writes that wait, answers and errors."""

    def tells(state: Secrets) -> dict[str, Any]:
        return {"messages": [AIMessage(f"{SECRET}, again and again: {SECRET * 20}")], "note": SECRET}

    def asks(state: Secrets) -> dict[str, Any]:
        return {"note": interrupt({"question": SECRET})}

    def fails(state: Secrets) -> dict[str, Any]:
        raise RuntimeError(SECRET)

    builder: Any = StateGraph(Secrets)
    for name, node in (("tells", tells), ("asks", asks), ("fails", fails)):
        builder.add_node(name, node)
    for before, after in ((START, "tells"), ("tells", "asks"), ("asks", "fails")):
        builder.add_edge(before, after)
    key = os.urandom(32)

    def keep(folder: Path, serde: Any) -> tuple[Any, bytes]:
        folder.mkdir()
        with EventSourcedSaver.from_conn_string(f"sqlite:///{folder / 'wtb.db'}", serde=serde) as saver:
            graph = builder.compile(checkpointer=saver)
            graph.invoke({"messages": [HumanMessage(SECRET)]}, on("t"))
            with pytest.raises(RuntimeError, match="quartz"):
                graph.invoke(Command(resume=SECRET), on("t"))
            values = graph.get_state(on("t")).values
            return values, b"".join(file.read_bytes() for file in folder.iterdir())

    values, stored = keep(tmp_path / "encrypted", EncryptedSerializer.from_pycryptodome_aes(key=key))
    _, plain = keep(tmp_path / "plain", None)

    assert [message.text[:36] for message in values["messages"]] == [SECRET[:36]] * 2
    assert values["note"] == SECRET
    assert b"quartz" in plain
    assert b"quartz" not in stored
    with (
        EventSourcedSaver.from_conn_string(
            f"sqlite:///{tmp_path / 'encrypted' / 'wtb.db'}",
            serde=EncryptedSerializer.from_pycryptodome_aes(key=os.urandom(32)),
        ) as saver,
        pytest.raises(ValueError, match="MAC"),
    ):
        saver.get_tuple(on("t"))


class Address(BaseModel):
    street: str


def test_an_allowlist_gives_a_saver_on_the_same_store_that_builds_the_allowed_types(store_location: str) -> None:
    with EventSourcedSaver.from_conn_string(url(store_location), serde=strict_serializer()) as saver:
        allowing = saver.with_allowlist({(Address.__module__, "Address")})
        checkpoint = empty_checkpoint()
        checkpoint["channel_values"], checkpoint["channel_versions"] = {"to": Address(street="Elm")}, {"to": "1.1"}
        kept = allowing.put(on("t"), checkpoint, {"source": "input", "step": -1}, {"to": "1.1"})
        allowing.put_writes(kept, [("to", Address(street="Oak"))], "task")

        known, unknown = allowing.get_tuple(kept), saver.get_tuple(kept)

        assert allowing is not saver
        assert isinstance(allowing, EventSourcedSaver)
        assert allowing.store is saver.store
        assert known is not None
        assert unknown is not None
        assert known.checkpoint["channel_values"] == {"to": Address(street="Elm")}
        assert known.pending_writes == [("task", "to", Address(street="Oak"))]
        assert unknown.checkpoint["channel_values"] == {"to": {"street": "Elm"}}
        # Either may go on where the other left off.
        for turn, of in enumerate((saver, allowing, saver)):
            of.put_writes(kept, [("to", turn)], f"another {turn}")
        assert [len(found.pending_writes or []) for found in (*saver.list(on("t")), *allowing.list(on("t")))] == [4, 4]
