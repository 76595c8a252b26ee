"""A Postgres store is served as an SQLite file is."""

from pathlib import Path

import pytest

from tests.interfaces.grpc.given import read, received, served, until_end
from wtb.interfaces.grpc import executions_pb2 as wire

pytestmark = [pytest.mark.nats, pytest.mark.postgres]


async def test_an_execution_is_got_and_watched_while_it_runs(tmp_path: Path, postgres_url: str) -> None:
    async with served(tmp_path, postgres_url) as given:
        await given.paused("one")
        watch = given.watch("one")
        batches = [await read(watch)]
        middle = batches[0].events[0].position
        await given.finished("another")
        await given.bench.aresume("one", "yes")
        batches += [batch async for batch in until_end(watch)]
        assert received(batches) == given.in_log("one")
        assert await given.watched("one", middle) == given.in_log("one", middle)
        got = await given.client.GetExecution(wire.GetExecutionRequest(execution_id="one"))
        assert (got.status, got.position) == (wire.STATUS_COMPLETED, given.bench.events("one")[-1].position)
