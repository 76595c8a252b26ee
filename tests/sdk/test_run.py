"""`run` and `arun`: what they take, what they hand to nodes, and what they tell."""

import asyncio
import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from time import perf_counter
from typing import Any, get_type_hints

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime
from pydantic import BaseModel

from tests.sdk.given import Notes, asks, beside, chain, completed, loop, says, started, types
from wtb.domain.errors import (
    ExecutionExists,
    ExecutionFailedError,
    InvalidGraph,
    InvalidRequest,
    InvalidState,
    StoreUnavailable,
    UnserializableValue,
    WtbError,
)
from wtb.domain.execution import ExecutionCancelled, ExecutionFailed
from wtb.sdk import Interrupt, RunError, RunResult, TestBench, WorkflowProject


def test_the_first_run_as_the_documentation_shows_it(
    store_location: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    graph = chain(answer=lambda state: {"notes": [state["query"] + " yourself"]})

    project = WorkflowProject(name="my-workflow", db_path=store_location, output_dir="./outputs")
    bench = TestBench(project)
    result = bench.run(graph, initial_state={"query": "hello"})

    assert result.status == "completed"
    assert result.state == {"query": "hello", "notes": ["hello yourself"]}
    assert (result.workflow, result.error, result.interrupts) == ("my-workflow", None, ())
    assert (tmp_path / "outputs" / result.execution_id).is_dir()
    assert bench.execution(result.execution_id).workflow == "my-workflow"
    bench.close()


def test_the_documentation_s_default_folders_are_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with TestBench(WorkflowProject(name="my-workflow", db_path="./data/wtb.db")) as bench:
        result = bench.run(chain(a=says("a")), initial_state={"query": "hello"})
    assert (tmp_path / "data" / "wtb.db").is_file()
    assert (tmp_path / "outputs" / result.execution_id).is_dir()


# --- what may be run ----------------------------------------------------------------------------------


def test_a_graph_may_be_compiled_or_not(bench: TestBench) -> None:
    builder: Any = StateGraph(Notes)
    builder.add_node("a", says("a"))
    builder.add_edge(START, "a")
    for graph in (builder, builder.compile()):
        assert bench.run(graph, {"query": "q"}).state["notes"] == ["a"]


async def _answers(state: Notes) -> Notes:
    await asyncio.sleep(0)
    return {"notes": ["async"]}


@pytest.mark.parametrize("work", [says("sync"), _answers], ids=["sync nodes", "async nodes"])
async def test_sync_and_async_nodes_run_with_run_and_arun(bench: TestBench, work: Any) -> None:
    """`run` also works where the thread's event loop is busy, as in a notebook."""
    graph = chain(a=work, b=work)
    expected = ["async"] * 2 if work is _answers else ["sync"] * 2
    in_a_busy_loop = bench.run(graph, {"query": "q"})
    in_a_thread = await asyncio.to_thread(bench.run, graph, {"query": "q"})
    awaited = await bench.arun(graph, {"query": "q"})
    for result in (in_a_busy_loop, in_a_thread, awaited):
        assert (result.status, result.state["notes"]) == ("completed", expected)
        assert types(bench.events(result.execution_id)) == types(bench.events(awaited.execution_id))


def test_the_same_graph_object_runs_many_times(quick_bench: TestBench) -> None:
    """It is never changed, and its runs don't know of each other."""
    graph = chain(a=says("a"), b=says("b"))
    nodes = {name: (node, node.bound) for name, node in graph.nodes.items()}
    results = [quick_bench.run(graph, {"query": str(number)}) for number in range(20)]
    assert [result.state for result in results] == [{"query": str(n), "notes": ["a", "b"]} for n in range(20)]
    assert len({result.execution_id for result in results}) == 20
    assert len({quick_bench.execution(result.execution_id).graph for result in results}) == 1
    assert {name: (node, node.bound) for name, node in graph.nodes.items()} == nodes
    assert graph.invoke({"query": "without a bench"})["notes"] == ["a", "b"]


def test_many_threads_run_at_once(bench: TestBench) -> None:
    """All of them meet inside a node, so they really do run at once; each gets its own execution."""
    graph = chain(
        meet=lambda state: {"notes": [f"{state['query']} met {gate.wait(30) is not None}"]},
        leave=lambda state: {"notes": [state["query"]]},
    )
    gate = threading.Barrier(8)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda n: bench.run(graph, {"query": str(n)}), range(24)))
    for number, result in enumerate(results):
        assert result.state["notes"] == [f"{number} met True", str(number)]
        assert completed(bench.events(result.execution_id)) == ["meet", "leave"]
    assert len({result.execution_id for result in results}) == 24


async def test_many_tasks_run_at_once(bench: TestBench) -> None:
    gate = asyncio.Barrier(24)

    async def meet(state: Notes) -> Notes:
        await gate.wait()
        return {"notes": [state["query"]]}

    graph = chain(meet=meet, leave=says("left"))
    results = await asyncio.gather(*(bench.arun(graph, {"query": str(number)}) for number in range(24)))
    assert [result.state["notes"] for result in results] == [[str(number), "left"] for number in range(24)]


def test_a_node_may_run_another_execution(bench: TestBench) -> None:
    """The one inside is an execution of its own, whatever becomes of it; the one around it goes on."""
    inside = {
        "completed": chain(name="inside", a=says("inside")),
        "paused": chain(name="inside", a=asks("inside?")),
        "failed": chain(name="inside", a=_fails),
    }
    for status, graph in inside.items():
        ran: list[RunResult] = []

        def outside(state: Notes, graph: Any = graph, ran: list[RunResult] = ran) -> Notes:
            ran.append(bench.run(graph, {"query": "inner"}))
            return {"notes": [ran[0].status]}

        result = bench.run(chain(outside=outside), {"query": "outer"})
        assert (result.status, result.state["notes"]) == ("completed", [status])
        assert started(bench.events(result.execution_id)) == ["outside"]
        assert started(bench.events(ran[0].execution_id)) == ["a"]
        assert bench.execution(ran[0].execution_id).status == status
        assert dict(bench.state(ran[0].execution_id))["query"] == "inner"


def test_a_graph_s_own_checkpointer_is_left_alone(quick_bench: TestBench) -> None:
    own = InMemorySaver()
    builder: Any = StateGraph(Notes)
    builder.add_node("a", says("a"))
    builder.add_edge(START, "a")
    graph = builder.compile(checkpointer=own)
    result = quick_bench.run(graph, {"query": "q"})
    assert not own.storage
    assert graph.checkpointer is own
    assert dict(quick_bench.state(result.execution_id)) == result.state


@pytest.mark.parametrize("nonsense", [None, "graph", says("a"), 3, StateGraph], ids=lambda thing: type(thing).__name__)
def test_what_isn_t_a_graph_is_refused(quick_bench: TestBench, nonsense: object) -> None:
    with pytest.raises(InvalidGraph):
        quick_bench.run(nonsense, {"query": "q"})
    assert quick_bench.log() == []


@pytest.mark.parametrize(
    "nonsense", [None, {}, [], "hello", {"unknown": 1}, {"query": "q", "unknown": 1}, {1: 2}], ids=repr
)
def test_a_state_that_the_graph_can_make_nothing_of_is_refused(quick_bench: TestBench, nonsense: object) -> None:
    with pytest.raises(InvalidState):
        quick_bench.run(chain(a=says("a")), nonsense)
    assert quick_bench.log() == []


def test_a_state_that_can_t_be_stored_is_refused(bench: TestBench) -> None:
    with pytest.raises(UnserializableValue, match="input"):
        bench.run(chain(a=says("a")), {"query": threading.Lock()})
    assert bench.log() == []


def test_an_unstorable_output_blames_its_node(quick_bench: TestBench) -> None:
    result = quick_bench.run(chain(a=says("a"), b=lambda state: {"notes": [threading.Lock()]}), {"query": "q"})
    assert result.status == "failed"
    assert result.error is not None
    assert (result.error.type, result.error.node) == ("UnserializableValue", "b")
    assert "'notes'" in result.error.message


# --- how it ends --------------------------------------------------------------------------------------


def _fails(state: Notes) -> Notes:
    raise LookupError("nothing <found> for " + state["query"])


@pytest.mark.parametrize("asynchronous", [False, True], ids=["run", "arun"])
async def test_a_node_s_error_is_the_result(bench: TestBench, asynchronous: bool) -> None:
    graph = chain(a=says("a"), broken=_fails, never=says("never"))
    if asynchronous:
        result = await bench.arun(graph, {"query": "q"})
    else:
        result = bench.run(graph, {"query": "q"})

    assert result.status == "failed"
    assert result.state == {"query": "q", "notes": ["a"]}
    assert result.error is not None
    assert (result.error.type, result.error.node) == ("LookupError", "broken")
    assert result.error.message == "nothing <found> for q"
    assert str(result.error) == "LookupError in node 'broken': nothing <found> for q"
    with pytest.raises(ExecutionFailedError, match=f"{result.execution_id}: LookupError in node 'broken'") as raised:
        result.raise_for_status()
    assert isinstance(raised.value.__cause__, LookupError)
    execution = bench.execution(result.execution_id)
    assert (execution.status, execution.failed_node) == ("failed", "broken")
    assert (execution.error_type, execution.error_message) == ("LookupError", "nothing <found> for q")
    last = bench.events(result.execution_id)[-1]
    assert isinstance(last.fact, ExecutionFailed)
    assert last.position == result.position


def test_an_error_in_a_nested_graph_names_the_way_to_its_node(quick_bench: TestBench) -> None:
    result = quick_bench.run(chain(sub=chain(broken=_fails)), {"query": "q"})
    assert result.error is not None
    assert result.error.node == "sub/broken"


def test_a_result_that_didn_t_fail_passes_raise_for_status(quick_bench: TestBench) -> None:
    for graph in (chain(a=says("a")), chain(a=asks("?"))):
        result = quick_bench.run(graph, {"query": "q"})
        assert result.raise_for_status() is result


def test_an_interrupt_pauses(bench: TestBench) -> None:
    result = bench.run(chain(a=says("a"), ask=asks("go on?"), b=says("b")), {"query": "q"})
    assert result.status == "paused"
    assert result.state == {"query": "q", "notes": ["a"]}
    assert [interrupt.value for interrupt in result.interrupts] == ["go on?"]
    execution = bench.execution(result.execution_id)
    assert (execution.status, execution.waiting) == ("paused", (result.interrupts[0].id,))
    assert started(bench.events(result.execution_id)) == ["a", "ask"]


def test_every_interrupt_of_a_superstep_is_told(bench: TestBench) -> None:
    result = bench.run(beside(a=asks("a?"), b=asks("b?"), c=says("c")), {"query": "q"})
    assert sorted(interrupt.value for interrupt in result.interrupts) == ["a?", "b?"]
    assert len({interrupt.id for interrupt in result.interrupts}) == 2
    assert completed(bench.events(result.execution_id)) == ["c"]


def test_a_breakpoint_pauses_without_a_question(bench: TestBench) -> None:
    builder: Any = StateGraph(Notes)
    builder.add_node("a", says("a"))
    builder.add_node("b", says("b"))
    builder.add_edge(START, "a")
    builder.add_edge("a", "b")
    result = bench.run(builder.compile(interrupt_before=["b"]), {"query": "q"})
    assert (result.status, result.interrupts) == ("paused", ())
    assert started(bench.events(result.execution_id)) == ["a"]
    done = bench.resume(result.execution_id)
    assert (done.status, done.state["notes"]) == ("completed", ["a", "b"])


def test_the_recursion_limit_fails_the_execution(quick_bench: TestBench) -> None:
    result = quick_bench.run(loop(), {"query": "q"}, config={"recursion_limit": 5})
    assert (result.status, result.state["notes"]) == ("failed", ["again"] * 5)
    assert result.error is not None
    assert (result.error.type, result.error.node) == ("GraphRecursionError", None)


@pytest.mark.parametrize(
    ("stop", "asynchronous"), [(KeyboardInterrupt, False), (KeyboardInterrupt, True), (SystemExit, False)]
)
def test_a_run_that_is_broken_off_is_cancelled_and_leaves_its_trail(
    bench: TestBench, stop: type[BaseException], asynchronous: bool
) -> None:
    """Ctrl-C goes through to the caller; what had finished is recorded, and nothing is left to recover."""

    def broken_off(state: Notes) -> Notes:
        raise stop

    async def abroken_off(state: Notes) -> Notes:
        raise stop

    def runs() -> RunResult:
        if asynchronous:
            graph = chain(a=says("a"), b=abroken_off)
            return asyncio.run(bench.arun(graph, {"query": "q"}, execution_id="stopped"))
        return bench.run(chain(a=says("a"), b=broken_off), {"query": "q"}, execution_id="stopped")

    with pytest.raises(stop):
        runs()

    assert bench.execution("stopped").status == "cancelled"
    events = bench.events("stopped")
    # An event loop that is broken off cancels its tasks.
    assert events[-1].fact == ExecutionCancelled(reason="CancelledError" if asynchronous else stop.__name__)
    assert (started(events), completed(events)) == (["a", "b"], ["a"])
    assert bench.state("stopped")["notes"] == ["a"]
    assert len(bench.recover()) == 0
    assert bench.run(chain(a=says("a")), {"query": "q"}).status == "completed"


async def test_a_cancelled_task_cancels_its_execution(bench: TestBench) -> None:
    inside = asyncio.Event()

    async def waits(state: Notes) -> Notes:
        inside.set()
        await asyncio.Event().wait()
        raise AssertionError

    task = asyncio.create_task(bench.arun(chain(a=says("a"), waits=waits), {"query": "q"}, execution_id="cancelled"))
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert bench.execution("cancelled").status == "cancelled"
    assert started(bench.events("cancelled")) == ["a", "waits"]


# --- the result ---------------------------------------------------------------------------------------


def test_a_result_is_frozen_and_typed(quick_bench: TestBench) -> None:
    failed = quick_bench.run(chain(broken=_fails), {"query": "q"})
    paused = quick_bench.run(chain(ask=asks("?")), {"query": "q"})
    for thing in (failed, failed.error, paused, paused.interrupts[0]):
        for field in dataclasses.fields(thing):  # type: ignore[arg-type]
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(thing, field.name, None)
    assert isinstance(failed.error, RunError)
    assert isinstance(paused.interrupts[0], Interrupt)
    assert get_type_hints(RunResult)["duration"] is timedelta
    assert isinstance(failed.duration, timedelta)
    assert isinstance(failed.execution_id, str)


def test_a_duration_fits_into_the_time_its_caller_waited(bench: TestBench) -> None:
    began = perf_counter()
    result = bench.run(chain(a=says("a")), {"query": "q"})
    waited = timedelta(seconds=perf_counter() - began)
    assert timedelta() < result.duration <= waited
    recorded = bench.execution(result.execution_id).duration_us
    assert recorded is not None
    assert 0 < recorded <= result.duration / timedelta(microseconds=1) + 1


def test_a_result_reads_well_in_a_repl(quick_bench: TestBench) -> None:
    done = quick_bench.run(chain(a=says("a")), {"query": "q"}, execution_id="done")
    assert repr(done).startswith("RunResult(completed, done, ")
    assert repr(done).endswith(" s, state={'query': 'q', 'notes': ['a']})")
    failed = quick_bench.run(chain(broken=_fails), {"query": "q"}, execution_id="failed")
    assert "LookupError in node 'broken': nothing <found> for q" in repr(failed)
    assert "at 0x" not in repr(failed)
    paused = quick_bench.run(chain(ask=asks("go on?")), {"query": "q"}, execution_id="paused")
    assert "'go on?'" in repr(paused)


def test_a_result_in_jupyter_escapes_what_its_state_holds(quick_bench: TestBench) -> None:
    evil = "<script>alert('state')</script>"
    done = quick_bench.run(chain(a=says(evil)), {"query": evil}, execution_id="<b>bold<b>")._repr_html_()
    failed = quick_bench.run(chain(broken=_fails), {"query": evil})._repr_html_()
    paused = quick_bench.run(chain(ask=asks(evil)), {"query": "q"})._repr_html_()
    for html in (done, failed, paused):
        assert html.startswith("<table>")
        assert html.endswith("</table>")
        assert "<script" not in html
        assert "<b>" not in html
        assert "<found>" not in html
        assert "&lt;" in html


# --- what is handed to nodes --------------------------------------------------------------------------


@pytest.mark.parametrize("asynchronous", [False, True], ids=["run", "arun"])
async def test_each_execution_has_a_folder_that_its_nodes_are_told(
    bench: TestBench, tmp_path: Path, asynchronous: bool
) -> None:
    def writes(state: Notes, config: RunnableConfig) -> Notes:
        folder = Path(config["configurable"]["output_dir"])
        (folder / "report.txt").write_text(state["query"])
        return {"notes": [str(folder)]}

    graph = chain(a=writes, sub=chain(b=writes))
    for query in ("one", "two"):
        result = await bench.arun(graph, {"query": query}) if asynchronous else bench.run(graph, {"query": query})
        folder = tmp_path / "out" / result.execution_id
        assert set(result.state["notes"]) == {str(folder)}
        assert (folder / "report.txt").read_text() == query


def test_the_folder_is_the_same_after_an_answer(bench: TestBench, tmp_path: Path) -> None:
    def folder(state: Notes, config: RunnableConfig) -> Notes:
        return {"notes": [config["configurable"]["output_dir"]]}

    paused = bench.run(chain(a=folder, ask=asks("?"), b=folder), {"query": "q"})
    done = bench.resume(paused.execution_id, "yes")
    own = str(tmp_path / "out" / paused.execution_id)
    assert done.state["notes"] == [own, "yes", own]


UNSAFE = [
    *("", " ", ".", "..", "...", "/", "a/b", "../x", "x/..", "/tmp/x", "a\\b", "..\\x", "C:\\x"),
    *("a\0b", "a\nb", "a\x1bb", "a\ud800b", "x" * 201, "x" * 100_000, "ü" * 101),
]


@pytest.mark.parametrize("unsafe", UNSAFE, ids=lambda unsafe: ascii(unsafe[:10]))
def test_an_id_that_can_t_name_a_folder_is_refused(tmp_path: Path, unsafe: str) -> None:
    """And nothing is written anywhere, least of all outside the output folder."""
    project = WorkflowProject("notes", db_path=tmp_path / "store" / "wtb.db", output_dir=tmp_path / "deep" / "out")
    with TestBench(project) as bench:
        for start in (bench.run, bench.stream):
            with pytest.raises(InvalidRequest, match="can't be an execution's id") as refusal:
                start(chain(a=says("a")), {"query": "q"}, execution_id=unsafe)
            assert len(str(refusal.value)) < 1000
        with pytest.raises(InvalidRequest):
            asyncio.run(bench.arun(chain(a=says("a")), {"query": "q"}, execution_id=unsafe))
        assert bench.log() == []
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_any_id_that_names_a_folder_may_be_chosen(bench: TestBench, tmp_path: Path) -> None:
    ids = ["7", "order-7", "order.7_b", "Bestellung für Käthe", "..x", "x" * 200, "-h", "工作"]
    for chosen in ids:
        assert bench.run(chain(a=says("a")), {"query": chosen}, execution_id=chosen).execution_id == chosen
        assert bench.execution(chosen).status == "completed"
        assert bench.state(chosen)["query"] == chosen
    assert {path.name for path in (tmp_path / "out").iterdir()} == set(ids)


def test_an_id_is_given_once(bench: TestBench) -> None:
    bench.run(chain(a=says("a")), {"query": "first"}, execution_id="taken")
    before = bench.events("taken")
    with pytest.raises(ExecutionExists):
        bench.run(chain(a=says("a")), {"query": "second"}, execution_id="taken")
    assert bench.events("taken") == before
    assert bench.state("taken")["query"] == "first"


def test_of_many_who_choose_the_same_id_one_runs(project: WorkflowProject) -> None:
    """The others are refused before any node of theirs has run, in one process or in several."""
    ran: list[str] = []

    def runs(state: Notes) -> Notes:
        ran.append(state["query"])
        return {"notes": ["a"]}

    graph, gate = chain(a=runs), threading.Barrier(8)

    def attempt(bench: TestBench, number: int) -> str:
        gate.wait()
        try:
            return str(bench.run(graph, {"query": str(number)}, execution_id="wanted").state["query"])
        except WtbError as refusal:
            return type(refusal).__name__

    with TestBench(project) as one, TestBench(project) as other, ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(lambda n: attempt((one, other)[n % 2], n), range(8)))
        winners = [outcome for outcome in outcomes if outcome.isdigit()]
        assert ran == winners
        assert len(winners) == 1
        assert set(outcomes) - set(winners) <= {"ExecutionExists", "ExecutionTaken"}
        assert types(one.events("wanted")).count("ExecutionStarted") == 1
        assert one.state("wanted")["query"] == winners[0]


class Told(BaseCallbackHandler):
    def __init__(self) -> None:
        self.chains = 0

    def on_chain_start(self, *args: Any, **kwargs: Any) -> None:
        self.chains += 1


@dataclasses.dataclass
class Customer:
    name: str


@pytest.mark.parametrize("asynchronous", [False, True], ids=["run", "arun"])
async def test_config_and_context_are_handed_on(quick_bench: TestBench, asynchronous: bool) -> None:
    def node(state: Notes, config: RunnableConfig, runtime: Runtime[Customer]) -> Notes:
        return {"notes": [config["configurable"]["region"], *config["tags"], runtime.context.name]}

    builder: Any = StateGraph(Notes, context_schema=Customer)
    builder.add_node("a", node)
    builder.add_edge(START, "a")
    graph, told = builder.compile(), Told()
    given: RunnableConfig = {"configurable": {"region": "eu"}, "tags": ["night"], "callbacks": [told]}
    context = Customer("Ada")
    if asynchronous:
        result = await quick_bench.arun(graph, {"query": "q"}, config=given, context=context)
    else:
        result = quick_bench.run(graph, {"query": "q"}, config=given, context=context)

    assert result.state["notes"] == ["eu", "night", "Ada"]
    assert told.chains > 0
    assert given == {"configurable": {"region": "eu"}, "tags": ["night"], "callbacks": [told]}


def test_the_config_can_t_redirect_the_record(quick_bench: TestBench, tmp_path: Path) -> None:
    elsewhere: RunnableConfig = {"configurable": {"thread_id": "elsewhere", "output_dir": "/elsewhere"}}

    def node(state: Notes, config: RunnableConfig) -> Notes:
        return {"notes": [config["configurable"]["thread_id"], config["configurable"]["output_dir"]]}

    result = quick_bench.run(chain(a=node), {"query": "q"}, config=elsewhere)
    assert result.state["notes"] == [result.execution_id, str(tmp_path / "out" / result.execution_id)]
    told = {event.stream for event in quick_bench.log()}
    assert told == {f"execution-{result.execution_id}", "workflow-notes"}


class Order(BaseModel):
    query: str
    count: int = 1


def test_a_pydantic_state_is_checked_before_anything_runs(bench: TestBench) -> None:
    builder: Any = StateGraph(Order)
    builder.add_node("a", lambda state: {"count": state.count + 1})
    builder.add_edge(START, "a")
    assert bench.run(builder, {"query": "q"}).state["count"] == 2
    assert bench.run(builder, Order(query="q", count=5)).state["count"] == 6
    before = bench.log()
    with pytest.raises(InvalidState, match="count"):
        bench.run(builder, {"query": "q", "count": "many"})
    assert bench.log() == before


# --- who, and under which name ------------------------------------------------------------------------


def test_what_is_caused_says_by_whom_and_by_which_command(bench: TestBench) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    by_project = bench.run(chain(a=says("a")), {"query": "q"})
    by_name = bench.run(chain(a=says("a")), {"query": "q"}, actor="ada", trace=trace)
    for result, origin in ((by_project, ("tester", "run", None)), (by_name, ("ada", "run", trace))):
        assert {(e.actor, e.cause, e.trace) for e in bench.events(result.execution_id)} == {origin}


def test_a_workflow_goes_by_the_name_given_or_the_graph_s_or_the_project_s(quick_bench: TestBench) -> None:
    unnamed, named = chain(a=says("a")), chain(name="letters", a=says("a"))
    assert quick_bench.run(unnamed, {"query": "q"}).workflow == "notes"
    assert quick_bench.run(named, {"query": "q"}).workflow == "letters"
    assert quick_bench.run(named, {"query": "q"}, workflow="mail").workflow == "mail"
    assert quick_bench.register(named) == "letters"


@pytest.mark.parametrize("name", ["", " ", "a/b", " a", "a "])
def test_a_project_s_name_is_a_name(name: str) -> None:
    with pytest.raises(InvalidRequest):
        WorkflowProject(name)


def test_a_project_s_promise_about_power_cuts_is_one_of_two() -> None:
    with pytest.raises(InvalidRequest, match="synchronous can't be 'OFF'"):
        WorkflowProject("notes", synchronous="OFF")  # type: ignore[arg-type]


# --- closing ------------------------------------------------------------------------------------------


def test_after_its_context_a_bench_refuses_everything(project: WorkflowProject) -> None:
    with TestBench(project) as bench:
        done = bench.run(chain(a=says("a")), {"query": "q"}).execution_id
        paused = bench.run(chain(ask=asks("?")), {"query": "q"}).execution_id
    for verb in (
        lambda: bench.resume(paused, "yes"),
        lambda: bench.recover(),
        lambda: bench.executions(),
        lambda: bench.execution(done),
        lambda: bench.steps(done),
        lambda: bench.checkpoints(done),
        lambda: bench.state(done),
        lambda: bench.events(done),
        lambda: bench.log(),
    ):
        with pytest.raises(StoreUnavailable):
            verb()
    bench.close()
    with TestBench(project) as again:
        assert again.execution(paused).status == "paused"
        assert len(again.executions()) == 2


def test_after_its_context_a_bench_runs_nothing(tmp_path: Path) -> None:
    ran: list[str] = []
    graph = chain(a=lambda state: {"notes": [ran.append("a")]})  # type: ignore[func-returns-value]
    with TestBench(WorkflowProject("notes", db_path=tmp_path / "wtb.db", output_dir=tmp_path / "out")) as bench:
        pass
    with pytest.raises(StoreUnavailable):
        bench.run(graph, {"query": "q"})
    with pytest.raises(StoreUnavailable):
        asyncio.run(bench.arun(graph, {"query": "q"}))
    with pytest.raises(StoreUnavailable):
        _ = bench.stream(graph, {"query": "q"}).result
    assert ran == []


def test_a_context_that_ends_in_an_error_closes_too(project: WorkflowProject) -> None:
    def fails_inside() -> TestBench:
        with TestBench(project) as bench:
            opened.append(bench)
            raise RuntimeError("inside")

    opened: list[TestBench] = []
    with pytest.raises(RuntimeError, match="inside"):
        fails_inside()
    with pytest.raises(StoreUnavailable):
        opened[0].log()


def test_nodes_that_write_the_same_plain_channel_at_once_fail_the_execution(bench: TestBench) -> None:
    graph = beside(a=lambda state: {"query": "a"}, b=lambda state: {"query": "b"})
    failed = bench.run(graph, {"query": "q"})
    assert (failed.status, failed.state["query"]) == ("failed", "q")
    assert failed.error is not None
    assert failed.error.type == "InvalidUpdateError"
    assert bench.retry(failed.execution_id).status == "failed"
    assert bench.replay(failed.execution_id).identical
    assert bench.state(failed.execution_id)["query"] == "q"
