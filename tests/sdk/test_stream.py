"""`stream` and `astream`: what happens, while it happens, in the order of the log."""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from langgraph.config import get_stream_writer

from tests.sdk.given import Notes, asks, beside, chain, says, speaks, types
from wtb.domain.errors import ExecutionExists, InvalidState, NotResumable, StoreUnavailable
from wtb.domain.event_log import Recorded
from wtb.sdk import CustomStreamed, RunResult, TestBench, TokenStreamed, WorkflowProject


@pytest.fixture(params=["stream", "astream"])
def asynchronous(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "astream")


async def streamed(
    bench: TestBench, graph: Any, state: Any, *, asynchronous: bool, **options: Any
) -> tuple[list[Any], RunResult]:
    """All that was streamed, and the result."""
    if asynchronous:
        astream = bench.astream(graph, state, **options)
        return [progress async for progress in astream], await astream.result()

    def to_its_end() -> tuple[list[Any], RunResult]:
        stream = bench.stream(graph, state, **options)
        return list(stream), stream.result

    return await asyncio.to_thread(to_its_end)


async def test_the_events_streamed_are_the_events_recorded(bench: TestBench, asynchronous: bool) -> None:
    """The same ones, in the same order, nested graphs' too."""
    graph = chain(a=says("a"), sub=chain(b=says("b"), c=says("c")), ask=asks("?"))
    progress, result = await streamed(bench, graph, {"query": "q"}, asynchronous=asynchronous)
    assert progress == bench.events(result.execution_id)
    assert all(isinstance(event, Recorded) for event in progress)
    assert result.status == "paused"
    assert progress[-1].position == result.position


async def test_events_of_parallel_nodes_come_in_the_order_of_the_log(bench: TestBench, asynchronous: bool) -> None:
    graph = beside(**{f"node{number}": says(str(number)) for number in range(12)})
    progress, result = await streamed(bench, graph, {"query": "q"}, asynchronous=asynchronous)
    assert progress == bench.events(result.execution_id)
    assert types(progress).count("NodeStarted") == types(progress).count("NodeCompleted") == 12


async def test_a_streamed_run_ends_like_any_other(bench: TestBench, asynchronous: bool) -> None:
    for graph in (
        chain(a=says("a"), b=says("b")),
        chain(a=says("a"), ask=asks("?")),
        chain(a=says("a"), broken=_fails),
    ):
        plain = await bench.arun(graph, {"query": "q"})
        progress, result = await streamed(bench, graph, {"query": "q"}, asynchronous=asynchronous)
        assert (result.status, result.state) == (plain.status, plain.state)
        assert [i.value for i in result.interrupts] == [i.value for i in plain.interrupts]
        assert result.error == plain.error
        assert types(progress) == types(bench.events(plain.execution_id))


def _fails(state: Notes) -> Notes:
    raise LookupError("nothing found")


async def test_tokens_come_between_their_node_s_start_and_end(bench: TestBench, asynchronous: bool) -> None:
    graph = chain(a=says("a"), sub=chain(speak=speaks("one two three")))
    progress, result = await streamed(bench, graph, {"query": "q"}, asynchronous=asynchronous)
    tokens = [token for token in progress if isinstance(token, TokenStreamed)]
    assert [token.text for token in tokens if token.text] == ["one", " ", "two", " ", "three"]
    assert {(token.node, token.execution_id) for token in tokens} == {("speak", result.execution_id)}
    assert result.state["notes"][-1] == "one two three"
    kinds = [p.type if isinstance(p, Recorded) else "token" for p in progress]
    assert kinds[kinds.index("token") - 1] == "NodeStarted"
    assert [p for p in progress if isinstance(p, Recorded)] == bench.events(result.execution_id)
    assert "message" not in repr(tokens[0])


async def test_what_nodes_write_to_the_stream_comes_through(bench: TestBench, asynchronous: bool) -> None:
    def writes(state: Notes) -> Notes:
        for done in (1, 2):
            get_stream_writer()({"done": done})
        return {"notes": ["written"]}

    progress, result = await streamed(bench, chain(sub=chain(a=writes)), {"query": "q"}, asynchronous=asynchronous)
    assert [p for p in progress if isinstance(p, CustomStreamed)] == [
        CustomStreamed(result.execution_id, {"done": 1}),
        CustomStreamed(result.execution_id, {"done": 2}),
    ]
    assert [p for p in progress if isinstance(p, Recorded)] == bench.events(result.execution_id)


def test_progress_is_told_while_a_node_is_at_work(bench: TestBench) -> None:
    """The node's start is told, durably, before the node has ended."""
    told = threading.Event()

    def waits(state: Notes) -> Notes:
        return {"notes": [str(told.wait(30))]}

    stream = bench.stream(chain(a=says("a"), waits=waits), {"query": "q"})
    seen: list[Any] = []
    for progress in stream:
        seen.append(progress)
        if types(seen).count("NodeStarted") == 2:
            told.set()
    assert stream.result.state["notes"] == ["a", "True"]


async def test_progress_is_told_while_an_async_node_is_at_work(bench: TestBench) -> None:
    told = asyncio.Event()

    async def waits(state: Notes) -> Notes:
        await asyncio.wait_for(told.wait(), 30)
        return {"notes": ["told"]}

    stream = bench.astream(chain(a=says("a"), waits=waits), {"query": "q"})
    seen: list[Any] = []
    async for progress in stream:
        seen.append(progress)
        if types(seen).count("NodeStarted") == 2:
            told.set()
    assert (await stream.result()).state["notes"] == ["a", "told"]


def test_a_loop_left_early_doesn_t_stop_the_run(bench: TestBench) -> None:
    stream = bench.stream(chain(a=says("a"), b=says("b")), {"query": "q"})
    for progress in stream:
        assert isinstance(progress, Recorded)
        break
    assert stream.result.state["notes"] == ["a", "b"]
    assert bench.execution(stream.execution_id).status == "completed"


async def test_an_async_loop_left_early_doesn_t_stop_the_run(bench: TestBench) -> None:
    stream = bench.astream(chain(a=says("a"), b=says("b")), {"query": "q"})
    async for progress in stream:
        assert isinstance(progress, Recorded)
        break
    assert (await stream.result()).state["notes"] == ["a", "b"]
    assert bench.execution(stream.execution_id).status == "completed"


def test_a_stream_nobody_reads_runs_to_its_end(bench: TestBench) -> None:
    stream = bench.stream(chain(a=says("a")), {"query": "q"}, execution_id="unread")
    assert stream.execution_id == "unread"
    assert stream.result.status == "completed"


def test_an_iteration_goes_on_where_the_one_before_was_left(quick_bench: TestBench) -> None:
    stream = quick_bench.stream(chain(a=says("a")), {"query": "q"})
    first = next(iter(stream))
    assert [first, *stream] == quick_bench.events(stream.execution_id)
    assert list(stream) == []


async def test_an_async_iteration_goes_on_where_the_one_before_was_left(quick_bench: TestBench) -> None:
    stream = quick_bench.astream(chain(a=says("a")), {"query": "q"})
    reading: AsyncIterator[Any] = aiter(stream)
    first = await anext(reading)
    assert [first, *[progress async for progress in stream]] == quick_bench.events(stream.execution_id)
    assert [progress async for progress in stream] == []


async def test_what_is_refused_is_refused_before_anything_streams(quick_bench: TestBench) -> None:
    graph = chain(a=says("a"))
    quick_bench.run(graph, {"query": "q"}, execution_id="taken")
    before = quick_bench.log()
    for start in (quick_bench.stream, quick_bench.astream):
        with pytest.raises(ExecutionExists):
            start(graph, {"query": "q"}, execution_id="taken")
        with pytest.raises(InvalidState):
            start(graph, {"unknown": "q"})
    with pytest.raises(NotResumable):
        quick_bench.stream_resume("taken", "yes")
    assert quick_bench.log() == before


async def test_an_error_of_the_record_is_raised_by_the_loop_and_by_the_result(tmp_path: Path) -> None:
    """The run can't go on when it can't be recorded; a node's own error isn't raised at all."""

    def close_it(state: Notes) -> Notes:
        bench.platform.store.close()
        return {"notes": ["closed"]}

    def project(name: str) -> WorkflowProject:
        return WorkflowProject("notes", db_path=tmp_path / name, output_dir=tmp_path / "out")

    with TestBench(project("one.db")) as bench:
        stream = bench.stream(chain(a=close_it, b=says("b")), {"query": "q"})
        with pytest.raises(StoreUnavailable):
            list(stream)
        with pytest.raises(StoreUnavailable):
            _ = stream.result
    with TestBench(project("two.db")) as bench:
        astream = bench.astream(chain(a=close_it, b=says("b")), {"query": "q"})
        with pytest.raises(StoreUnavailable):
            _ = [progress async for progress in astream]
        with pytest.raises(StoreUnavailable):
            await astream.result()


def test_an_interrupt_inside_the_run_reaches_the_reader(quick_bench: TestBench) -> None:
    def broken_off(state: Notes) -> Notes:
        raise KeyboardInterrupt

    stream = quick_bench.stream(chain(a=broken_off), {"query": "q"})
    with pytest.raises(KeyboardInterrupt):
        list(stream)
    assert quick_bench.execution(stream.execution_id).status == "cancelled"


async def test_many_streams_at_once_tell_each_its_own(bench: TestBench) -> None:
    graph = chain(a=says("a"), speak=speaks("one two"))
    streams = [bench.astream(graph, {"query": str(number)}) for number in range(8)]

    async def read(stream: Any) -> list[Any]:
        return [progress async for progress in stream]

    for stream, progress in zip(streams, await asyncio.gather(*map(read, streams)), strict=True):
        assert {p.execution_id for p in progress if not isinstance(p, Recorded)} == {stream.execution_id}
        assert [p for p in progress if isinstance(p, Recorded)] == bench.events(stream.execution_id)


def test_an_answer_is_streamed_too(bench: TestBench) -> None:
    paused = bench.run(chain(ask=asks("?"), b=says("b")), {"query": "q"})
    stream = bench.stream_resume(paused.execution_id, "yes")
    progress = list(stream)
    assert progress == bench.events(paused.execution_id, after=paused.position)
    assert types(progress)[0] == "ExecutionResumed"
    assert stream.result.state["notes"] == ["yes", "b"]
