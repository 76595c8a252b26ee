"""Executions and their events, asked by a real client over a real server, with NATS and the relay behind it."""

import asyncio
import functools
import json
import threading
from collections.abc import Callable

import pytest

from tests.interfaces.grpc.given import Events, Given, asking, counting, failing, read, received, until, until_end
from wtb.domain.cloud_event import WireEvent
from wtb.domain.identifiers import Position
from wtb.interfaces.grpc import executions_pb2 as wire
from wtb.interfaces.grpc.executions import LONGEST_ERROR, MESSAGE_BYTES, messages, up_to

pytestmark = pytest.mark.nats


def event(position: int, kind: str, size: int = 0) -> WireEvent:
    return WireEvent(Position(position), kind, b"x" * size)


async def test_an_execution_is_what_the_read_model_says(given: Given) -> None:
    await given.paused("one")
    row = given.bench.execution("one")
    got = await given.client.GetExecution(wire.GetExecutionRequest(execution_id="one"))
    assert (got.id, got.workflow, got.graph) == (row.id, "asking", row.graph)
    assert (got.worker, got.actor) == (row.worker, row.actor)
    assert got.status == wire.STATUS_PAUSED
    assert tuple(got.waiting) == row.waiting != ()
    assert got.started_at.ToMicroseconds() == round(row.started_at.timestamp() * 1_000_000)
    assert not got.HasField("ended_at")
    assert not got.HasField("error_message")
    assert (got.steps, got.checkpoints) == (row.steps, row.checkpoints)
    assert (got.version, got.position) == (row.version, row.position)


async def test_a_failed_execution_tells_why(given: Given) -> None:
    await given.bench.arun(failing("no such thing"), {"name": "Ada"}, execution_id="broken")
    got = await given.client.GetExecution(wire.GetExecutionRequest(execution_id="broken"))
    assert (got.status, got.failed_node) == (wire.STATUS_FAILED, "fail")
    assert (got.error_type, got.error_message) == ("ValueError", "no such thing")
    assert got.HasField("ended_at")
    assert got.duration_us > 0


async def test_watching_a_finished_execution_gives_all_its_events_and_ends(given: Given) -> None:
    await given.finished("one")
    events = await given.watched("one")
    assert events == given.in_log("one")
    assert events[-1]["type"] == "wtb.ExecutionCompleted"


async def test_watching_a_failed_execution_ends_too(given: Given) -> None:
    await given.bench.arun(failing("no"), {"name": "Ada"}, execution_id="broken")
    assert [event["type"] for event in await given.watched("broken")][-1] == "wtb.ExecutionFailed"


async def test_watching_goes_on_after_a_position(given: Given) -> None:
    await given.finished("one")
    middle = given.bench.events("one")[3].position
    assert await given.watched("one", middle) == given.in_log("one", middle) != []


async def test_watching_after_the_end_ends_at_once(given: Given) -> None:
    await given.finished("one")
    assert await given.watched("one", given.bench.events("one")[-1].position) == []


async def test_events_later_than_the_end_are_given_and_the_watch_ends_nevertheless(given: Given) -> None:
    """Wherever it begins, and however many there are: they needn't come together with the end."""
    await given.finished("one")
    end = given.bench.events("one")[-1].position
    await asyncio.to_thread(given.bench.platform.saver.delete_thread, "one")
    given.append("one", 600)
    for after in (0, end - 1, end, end + 1):
        assert await given.watched("one", after) == given.in_log("one", after)


async def test_watching_while_it_runs_misses_nothing_and_repeats_nothing(given: Given) -> None:
    """The past, the pause, what comes after the answer, and no event of anybody else's."""
    await given.paused("one")
    watch = given.watch("one")
    batches = [await read(watch)]
    await given.finished("another")
    await given.bench.aresume("one", "yes")
    batches += [batch async for batch in until_end(watch)]
    assert received(batches) == given.in_log("one")


async def test_whoever_joins_in_the_middle_of_a_run_goes_on_from_where_it_says(given: Given) -> None:
    gate = threading.Event()
    run = asyncio.create_task(
        given.bench.arun(counting(gate), {"rounds": 200}, execution_id="one", config={"recursion_limit": 1000})
    )
    watchers: list[tuple[int, asyncio.Task[Events]]] = []
    last = given.bench.platform.store.last_position
    try:
        for position in (1, 150, 300, 450):
            await until(functools.partial(reached, last, position))
            begin = last()
            watchers.append((begin, asyncio.create_task(given.watched("one", begin))))
    finally:
        gate.set()
    await run
    for after, watcher in watchers:
        assert await watcher == given.in_log("one", after) != []


def reached(last: Callable[[], int], position: int) -> bool:
    return last() >= position


async def test_many_watch_alike(given: Given) -> None:
    await given.paused("one")
    watchers = [asyncio.create_task(given.watched("one")) for _ in range(10)]
    await given.bench.aresume("one", "yes")
    assert await asyncio.gather(*watchers) == [given.in_log("one")] * 10


async def test_a_client_that_cancels_leaves_nothing_behind(given: Given) -> None:
    await given.paused("one")
    watch = given.watch("one")
    await read(watch)
    assert given.live.followers == 1
    watch.cancel()
    await until(lambda: given.live.followers == 0)


async def test_nobody_is_stopped_by_an_error_beyond_what_a_message_holds(given: Given) -> None:
    """The event comes without its data, and says where the whole is; the execution's error is cut."""
    message = "x" * 5_000_000
    await given.bench.arun(failing(message), {"name": "Ada"}, execution_id="broken")
    whole = given.in_log("broken")
    assert message in json.dumps(whole)
    for told, event in zip(await given.watched("broken"), whole, strict=True):
        if "data" in told:
            assert told == event
        else:
            where = told.pop("dataref")
            assert where == f"/api/v1/events?after={event['position'] - 1}&limit=1"
            assert message in json.dumps(event.pop("data"))
            assert told == event
    got = await given.client.GetExecution(wire.GetExecutionRequest(execution_id="broken"))
    assert got.error_message == message[:LONGEST_ERROR]


async def test_an_id_that_means_something_in_nats_is_watched_alike(given: Given) -> None:
    execution = "a.b *é>"
    await given.bench.arun(asking(), {"name": "Ada"}, execution_id=execution)
    watch = given.watch(execution)
    batches = [await read(watch)]
    await given.bench.aresume(execution, "yes")
    batches += [batch async for batch in until_end(watch)]
    assert received(batches) == given.in_log(execution)


def test_events_share_messages_up_to_a_size() -> None:
    small = [event(n, "NodeStarted", MESSAGE_BYTES // 4) for n in range(1, 10)]
    big = event(10, "NodeStarted", 2 * MESSAGE_BYTES)
    sent = [[told.position for told in message.events] for message in messages([*small, big, small[0]])]
    assert sent == [[1, 2, 3, 4], [5, 6, 7, 8], [9], [10], [1]]


@pytest.mark.parametrize("kind", ["ExecutionCompleted", "ExecutionFailed", "ExecutionCancelled"])
def test_what_comes_together_with_the_end_but_later_is_left_out(kind: str) -> None:
    before, end, later = event(1, "NodeCompleted"), event(3, kind), event(4, "CheckpointsDeleted")
    assert up_to([before, end, later], None) == ([before, end], True)
    assert up_to([before], None) == ([before], False)


def test_an_execution_that_had_ended_is_given_up_to_where_it_stood() -> None:
    end, later, new = event(3, "ExecutionCompleted"), event(4, "CheckpointsDeleted"), event(6, "CheckpointsDeleted")
    assert up_to([end], Position(4)) == ([end], False)
    assert up_to([end, later, new], Position(4)) == ([end, later], True)
