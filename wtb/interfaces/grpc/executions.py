"""The service ``wtb.v1.Executions``: parse, one verb, reply."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Any, Protocol

from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode, aio

from wtb.domain.cloud_event import WireEvent
from wtb.domain.errors import InvalidRequest
from wtb.interfaces.grpc import executions_pb2 as wire
from wtb.interfaces.grpc.executions_pb2_grpc import ExecutionsServicer
from wtb.interfaces.grpc.statuses import refusing
from wtb.projections.executions import Execution
from wtb.sdk import TestBench

Context = aio.ServicerContext[Any, Any]

MESSAGE_BYTES = 256 * 1024
"""A message holds the events that fit, and at least one; gRPC clients refuse messages beyond 4 MiB."""

WRITE_SECONDS = 10.0
"""How long a client may leave a message unread before it counts as too slow."""

ENDS = frozenset(("ExecutionCompleted", "ExecutionFailed", "ExecutionCancelled"))
"""The events by which an execution ends."""


class Live(Protocol):
    """Events from the log and those that come."""

    def batches(self, execution: str | None = None, after: int = 0) -> AsyncGenerator[Sequence[WireEvent], None]: ...


class Executions(ExecutionsServicer):
    """See ``executions.proto``."""

    def __init__(self, bench: TestBench, live: Live) -> None:
        self._bench = bench
        self._live = live
        self._watching: set[asyncio.Task[Any]] = set()
        self._stopping = False

    async def GetExecution(self, request: wire.GetExecutionRequest, context: Context) -> wire.Execution:
        async with refusing(context):
            return message_of(await self._execution(request.execution_id))
        raise AssertionError("refused calls don't return")

    async def WatchExecution(self, request: wire.WatchExecutionRequest, context: Context) -> None:  # type: ignore[override]
        task = asyncio.current_task()
        assert task is not None
        self._watching.add(task)
        try:
            async with refusing(context):
                await self._watch(request, context)
        except asyncio.CancelledError:
            if not self._stopping:
                raise
            await _go_down(context)
        finally:
            self._watching.discard(task)

    async def _watch(self, request: wire.WatchExecutionRequest, context: Context) -> None:
        if request.after < 0:
            raise InvalidRequest("after can't be negative", hint="Give the position of an event you were sent, or 0.")
        end = await asyncio.to_thread(self._bench.platform.store.last_position)
        if request.after > end:
            raise InvalidRequest(
                f"there is no position {request.after} yet, the log ends at {end}",
                hint="Give the position of an event you were sent; this may be another store.",
            )
        execution = await self._execution(request.execution_id)
        if execution.ended_at is not None and request.after >= execution.position:
            return
        async with aclosing(self._live.batches(request.execution_id, request.after)) as batches:
            async for batch in batches:
                for message in messages(batch):
                    try:
                        async with asyncio.timeout(WRITE_SECONDS):
                            await context.write(message)
                    except TimeoutError:
                        slow = "too slow; call again with the last position received"
                        await context.abort(StatusCode.RESOURCE_EXHAUSTED, slow)
                if any(event.type in ENDS for event in batch):
                    return
        await _go_down(context)

    async def _execution(self, execution: str) -> Execution:
        if not execution or "\0" in execution:
            raise InvalidRequest("execution_id must name an execution", hint="Give the id that starting it returned.")
        return await asyncio.to_thread(self._bench.execution, execution)

    async def stop(self) -> None:
        """End every watch; clients are told to come back."""
        self._stopping = True
        watching = [*self._watching]
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)


async def _go_down(context: Context) -> None:
    await context.abort(StatusCode.UNAVAILABLE, "the server goes down; call again with the last position received")


def messages(events: Sequence[WireEvent]) -> Iterator[wire.EventBatch]:
    """Events in as few messages as they fit into."""
    batch, size = wire.EventBatch(), 0
    for event in events:
        if batch.events and size + len(event.json) > MESSAGE_BYTES:
            yield batch
            batch, size = wire.EventBatch(), 0
        batch.events.add(position=event.position, type=event.type, cloud_event=event.json)
        size += len(event.json)
    if batch.events:
        yield batch


def message_of(row: Execution) -> wire.Execution:
    """A read model's row on the wire; what it doesn't have isn't set."""
    return wire.Execution(
        id=row.id,
        workflow=row.workflow,
        graph=row.graph,
        status=wire.Status.Value(f"STATUS_{row.status.upper()}"),
        worker=row.worker,
        actor=row.actor,
        started_at=_timestamp(row.started_at),
        updated_at=_timestamp(row.updated_at),
        ended_at=None if row.ended_at is None else _timestamp(row.ended_at),
        duration_us=row.duration_us,
        error_type=row.error_type,
        error_message=row.error_message,
        failed_node=row.failed_node,
        waiting=row.waiting,
        parent_execution=row.parent_execution,
        parent_checkpoint=row.parent_checkpoint,
        variants=row.variants,
        steps=row.steps,
        checkpoints=row.checkpoints,
        version=row.version,
        position=row.position,
    )


def _timestamp(time: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(time)
    return stamp
