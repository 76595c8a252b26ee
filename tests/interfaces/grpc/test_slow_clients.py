"""A client that doesn't read is told so, holds nobody up, and goes on where it was."""

import logging
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from grpc import StatusCode

from tests.interfaces.grpc.given import (
    Given,
    Watch,
    channel_to,
    metadata,
    read,
    received,
    refusal_of_watch,
    until,
    until_refused,
)
from wtb.interfaces.grpc import executions
from wtb.interfaces.grpc import executions_pb2 as wire
from wtb.interfaces.grpc.executions_pb2_grpc import ExecutionsStub

pytestmark = pytest.mark.nats

SMALL_WINDOW = ("grpc.http2.bdp_probe", 0)
"""gRPC doesn't take in more and more for a client that doesn't read."""


@pytest_asyncio.fixture
async def sluggish(given: Given) -> AsyncIterator[Watch]:
    """A watch that has read one message and doesn't read on, of more than fits on the way."""
    await given.finished("one")
    given.append("one", 400, "x" * 5000)
    async with channel_to(given.server, SMALL_WINDOW) as channel:
        watch = ExecutionsStub(channel).WatchExecution(wire.WatchExecutionRequest(execution_id="one"))
        yield watch


async def test_it_holds_nobody_up(given: Given, sluggish: Watch) -> None:
    await read(sluggish)
    assert await given.watched("one") == given.in_log("one")
    assert given.live.followers == 1


async def test_it_is_told_and_goes_on_where_it_was(
    given: Given, sluggish: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as impatient:
        impatient.setattr(executions, "WRITE_SECONDS", 0.1)
        batches = [await read(sluggish)]
        await until(lambda: given.live.followers == 0)
    rest, refusal = await until_refused(sluggish)
    assert refusal.code() == StatusCode.RESOURCE_EXHAUSTED
    assert metadata(refusal)["wtb-code"] == "too-slow"
    seen = received([*batches, *rest])
    missed = await given.watched("one", seen[-1]["position"])
    assert missed != []
    assert [*seen, *missed] == given.in_log("one")


async def test_it_can_not_keep_the_server_from_going_down(
    given: Given, sluggish: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    await read(sluggish)
    await given.server.stop(0.1)
    assert given.live.followers == 0
    assert (await refusal_of_watch(sluggish)).code() == StatusCode.UNAVAILABLE
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_one_that_gives_up_leaves_nothing_behind(
    given: Given, sluggish: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    await read(sluggish)
    sluggish.cancel()
    await until(lambda: given.live.followers == 0)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
