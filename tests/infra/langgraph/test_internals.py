"""What the node shell and the loops take for granted about LangGraph's inside; read this first after an upgrade."""

import ast
import threading
from collections.abc import Iterator
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import ExecutionInfo
from langgraph.types import RetryPolicy, TimeoutPolicy, interrupt
from pydantic import BaseModel, model_serializer
from typing_extensions import TypedDict

import wtb
from wtb.infra.langgraph import internals, loops, node_shell
from wtb.infra.langgraph.checkpointer import EventSourcedSaver
from wtb.infra.langgraph.internals import (
    CONF,
    CONFIG_KEY_RUNTIME,
    CONFIG_KEY_SEND,
    AsyncPregelLoop,
    Pregel,
    PregelNode,
    RunnableSeq,
    SyncPregelLoop,
)
from wtb.sdk import TestBench, WorkflowProject

THE_ONE_PLACE = Path(internals.__file__)
COMPUTED = {"flat_writers", "node", "input_cache_key"}
"""What a node finds out about itself when it is first asked, and keeps."""


class State(TypedDict, total=False):
    n: int
    asked: str


def add(state: State) -> State:
    return {"n": state["n"] + 1}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[TestBench]:
    project = WorkflowProject("internals", db_path=tmp_path / "wtb.db", output_dir=tmp_path / "out")
    with TestBench(project) as bench:
        yield bench


# --- what is imported, and from where ---------------------------------------------------------------


def private_imports(module: Path) -> list[str]:
    """LangGraph's private modules and names that a module imports."""
    imported: list[str] = []
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            imported += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            imported += [f"{node.module}.{alias.name}" for alias in node.names]
    return [
        name
        for name in imported
        if name.startswith(("langgraph.", "langchain_core.", "langchain."))
        and any(part.startswith("_") for part in name.split("."))
    ]


def test_private_parts_of_langgraph_are_imported_in_one_place() -> None:
    modules = {*Path(wtb.__file__).parent.rglob("*.py")} - {THE_ONE_PLACE}

    assert len(modules) > 20
    assert {str(module): found for module in modules if (found := private_imports(module))} == {}


def test_the_one_place_imports_these_private_parts() -> None:
    assert sorted(private_imports(THE_ONE_PLACE)) == [
        "langgraph._internal._constants.CONF",
        "langgraph._internal._constants.CONFIG_KEY_RESUMING",
        "langgraph._internal._constants.CONFIG_KEY_RUNTIME",
        "langgraph._internal._constants.CONFIG_KEY_SCRATCHPAD",
        "langgraph._internal._constants.CONFIG_KEY_SEND",
        "langgraph._internal._constants.CONFIG_KEY_TASK_ID",
        "langgraph._internal._constants.ERROR",
        "langgraph._internal._constants.ERROR_SOURCE_NODE",
        "langgraph._internal._constants.INTERRUPT",
        "langgraph._internal._constants.NO_WRITES",
        "langgraph._internal._constants.NULL_TASK_ID",
        "langgraph._internal._constants.RESUME",
        "langgraph._internal._constants.TASKS",
        "langgraph._internal._runnable.RunnableCallable",
        "langgraph._internal._runnable.RunnableSeq",
        "langgraph._internal._runnable.coerce_to_runnable",
        "langgraph._internal._serde.build_serde_allowlist",
        "langgraph._internal._typing.MISSING",
        "langgraph.checkpoint.serde.types._DeltaSnapshot",
        "langgraph.graph._branch.BranchSpec",
        "langgraph.pregel._algo.sanitize_untracked_values_in_send",
        "langgraph.pregel._algo.task_path_str",
        "langgraph.pregel._loop.AsyncPregelLoop",
        "langgraph.pregel._loop.SyncPregelLoop",
        "langgraph.pregel._messages.ensure_message_ids",
        "langgraph.pregel._read.PregelNode",
        "langgraph.pregel._retry._should_retry_on",
        "langgraph.pregel._write.ChannelWrite",
        "langgraph.pregel._write.ChannelWriteEntry",
        "langgraph.pregel._write.ChannelWriteTupleEntry",
        "langgraph.pregel._write.PASSTHROUGH",
    ]


# --- what the shell relies on -----------------------------------------------------------------------


def test_a_node_is_made_of_these_parts() -> None:
    """A part that is new here must be copied onto the shelled node, or known to be computed."""
    graph: Any = StateGraph(State).add_node("add", add).add_edge(START, "add").compile()
    node = graph.nodes["add"]

    assert sorted(node.__dict__) == [
        "bound",
        "cache_policy",
        "channels",
        "error_handler_node",
        "is_error_handler",
        "mapper",
        "metadata",
        "retry_policy",
        "subgraphs",
        "tags",
        "timeout",
        "trace_policy",
        "triggers",
        "writers",
    ]
    assert {name for name, part in vars(PregelNode).items() if isinstance(part, cached_property)} == COMPUTED
    assert isinstance(node.node, RunnableSeq)


def test_constants_have_the_values_that_are_stored() -> None:
    """These stand in the events of every store there is."""
    named = (internals.ERROR, internals.ERROR_SOURCE_NODE, internals.INTERRUPT, internals.RESUME, internals.NO_WRITES)
    assert named == ("__error__", "__error_source_node__", "__interrupt__", "__resume__", "__no_writes__")
    assert internals.START == "__start__"
    assert internals.task_path_str(("__pregel_push", 2, False)) == "~__pregel_push, 0000000002, 0000000000"
    assert internals.task_path_str(("__pregel_pull", "plan")) == "~__pregel_pull, plan"


def test_a_running_node_is_told_where_it_is(tmp_path: Path) -> None:
    seen: list[Any] = []

    def look(state: State, config: RunnableConfig) -> State:
        inside: Any = config[CONF]
        seen.append((config["metadata"], inside[CONFIG_KEY_RUNTIME].execution_info, inside[CONFIG_KEY_SEND]))
        return {"n": 1}

    with EventSourcedSaver.from_conn_string(str(tmp_path / "wtb.db")) as saver:
        builder: Any = StateGraph(State)
        builder.add_node("look", look)
        builder.add_edge(START, "look")
        builder.compile(checkpointer=saver).invoke({"n": 0}, {"configurable": {"thread_id": "t"}})

    metadata, info, send = seen[0]
    assert {name: metadata[name] for name in ("langgraph_node", "langgraph_step", "langgraph_path")} == {
        "langgraph_node": "look",
        "langgraph_step": 1,
        "langgraph_path": ("__pregel_pull", "look"),
    }
    assert isinstance(info, ExecutionInfo)
    assert (info.thread_id, info.node_attempt, info.checkpoint_ns) == ("t", 1, f"look:{info.task_id}")
    assert info.checkpoint_id
    assert next(iter(send.__self__)) == ("n", 1)


async def test_a_task_keeps_its_writes_in_a_queue_that_can_be_found_also_behind_a_timeout(bench: TestBench) -> None:
    """A `TimeoutPolicy` stands between the node and its queue."""

    async def slow(state: State) -> State:
        return {"n": 41}

    builder: Any = StateGraph(State)
    builder.add_node("slow", slow, timeout=TimeoutPolicy(run_timeout=timedelta(seconds=60)))
    builder.add_node("add", add)
    builder.add_edge(START, "slow")
    builder.add_edge("slow", "add")

    result = await bench.arun(builder.compile(), {"n": 0})

    assert result.state == {"n": 42}
    assert [(step.node, step.status) for step in bench.steps(result.execution_id).items] == [
        ("slow", "completed"),
        ("add", "completed"),
    ]


# --- what the loops rely on -------------------------------------------------------------------------


def test_stream_and_astream_name_their_loops_as_globals() -> None:
    for stream, loop in ((Pregel.stream, "SyncPregelLoop"), (Pregel.astream, "AsyncPregelLoop")):
        assert loop in stream.__code__.co_names
        assert stream.__globals__[loop] is getattr(internals, loop)
        assert stream.__closure__ is None


def test_loops_submit_their_saves_under_these_names() -> None:
    for loop, put in ((SyncPregelLoop, "put"), (AsyncPregelLoop, "aput")):
        base = loop.__mro__[1]
        assert {"submit", "checkpointer", "checkpointer_put_writes", "config"} <= base.__annotations__.keys()
        assert "submit" not in vars(loop)
        assert "submit" not in vars(base)
        assert "_checkpointer_put_after_previous" in vars(loop)
        assert put in vars(loop)["_checkpointer_put_after_previous"].__code__.co_names
        arguments = vars(loop)["_checkpointer_put_after_previous"].__code__
        assert arguments.co_varnames[: arguments.co_argcount] == (
            "self",
            "prev",
            "delta_write_futs",
            "config",
            "checkpoint",
            "metadata",
            "new_versions",
        )
    assert issubclass(loops.RecordedLoop, SyncPregelLoop)
    assert issubclass(loops.AsyncRecordedLoop, AsyncPregelLoop)


class Told(BaseModel):
    """A value that tells which threads serialise it."""

    n: int

    @model_serializer
    def plain(self) -> dict[str, int]:
        threads.append(threading.get_ident())
        return {"n": self.n}


threads: list[int] = []


class Telling(TypedDict):
    told: Annotated[Told, lambda old, new: Told(n=new.n)]
    """The reducer makes a new object, so that it is the checkpoint that must be serialised."""


async def test_a_recorded_graph_saves_in_the_thread_it_runs_in(bench: TestBench) -> None:
    builder: Any = StateGraph(Telling)
    builder.add_node("one", lambda state: {"told": Told(n=state["told"].n + 1)})
    builder.add_node("two", lambda state: {"told": Told(n=state["told"].n + 1)})
    builder.add_edge(START, "one")
    builder.add_edge("one", "two")

    def found() -> tuple[int, set[int]]:
        saved = len(threads), set(threads)
        threads.clear()
        return saved

    found()
    bench.run(builder.compile(), {"told": Told(n=0)})
    count, by_run = found()

    async def one(state: Telling) -> Telling:
        return {"told": Told(n=state["told"].n + 1)}

    asynchronous: Any = StateGraph(Telling).add_node("one", one).add_edge(START, "one").compile()
    await bench.arun(asynchronous, {"told": Told(n=0)})
    _, by_arun = found()
    plain = builder.compile(checkpointer=bench.platform.saver)
    plain.invoke({"told": Told(n=0)}, {"configurable": {"thread_id": "plain"}})
    _, by_langgraph = found()

    assert count >= 5
    assert by_run == by_arun == {threading.get_ident()}
    assert threading.get_ident() not in by_langgraph


# --- the user's own graph ---------------------------------------------------------------------------


def shape(graph: Any) -> dict[str, Any]:
    """All that a graph is made of, down into its nodes' parts and the graphs inside; objects as themselves."""
    parts = {f".{name}": value for name, value in vars(graph).items()}
    for holder in ("nodes", "channels"):
        parts |= {f".{holder}[{name}]": value for name, value in getattr(graph, holder).items()}
    for name, node in graph.nodes.items():
        parts |= {f"{name}.{part}": value for part, value in vars(node).items() if part not in COMPUTED}
        for kind in ("writers", "subgraphs", "triggers"):
            parts |= {f"{name}.{kind}[{i}]": part for i, part in enumerate(getattr(node, kind))}
        if isinstance(node.bound, Pregel):
            parts |= {f"{name}/{part}": value for part, value in shape(node.bound).items()}
    return parts


async def test_a_users_graph_is_never_changed_by_being_run(bench: TestBench) -> None:
    inner: Any = StateGraph(State)
    inner.add_node("inside", add)
    inner.add_node("ask", lambda state: {"asked": interrupt("?")})
    inner.add_edge(START, "inside")
    inner.add_edge("inside", "ask")
    outer: Any = StateGraph(State)
    outer.add_node("add", add, retry_policy=RetryPolicy())
    outer.add_node("sub", inner.compile())
    outer.add_edge(START, "add")
    outer.add_edge("add", "sub")
    outer.add_edge("sub", END)
    graph = outer.compile()
    before = shape(graph)

    paused = bench.run(graph, {"n": 0})
    bench.resume(paused.execution_id, "yes")
    await bench.aresume((await bench.arun(graph, {"n": 0})).execution_id, "yes")
    assert [*bench.stream(graph, {"n": 0})]
    after = shape(graph)

    assert after.keys() == before.keys()
    assert [name for name, part in after.items() if part is not before[name]] == []
    assert not {"stream", "astream", "invoke"} & vars(graph).keys()
    assert graph.checkpointer is None
    assert not any(isinstance(node, node_shell.ShelledNode) for node in graph.nodes.values())
    recorded = bench.platform.store.last_position()
    assert graph.invoke({"n": 0})["n"] == 1
    assert bench.platform.store.last_position() == recorded


def test_langgraphs_own_functions_and_classes_are_left_alone() -> None:
    assert Pregel.stream.__globals__["SyncPregelLoop"] is SyncPregelLoop
    assert Pregel.astream.__globals__["AsyncPregelLoop"] is AsyncPregelLoop
    assert Pregel.stream.__module__ == "langgraph.pregel.main"
    assert PregelNode.node.func.__module__ == "langgraph.pregel._read"  # type: ignore[attr-defined]
