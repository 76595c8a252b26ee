"""The service ``wtb.v1.Executions``: parse, one verb, reply."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Any, Protocol

from google.protobuf.timestamp_pb2 import Timestamp
from grpc import aio

from wtb.domain.cloud_event import CloudEvent, WireEvent
from wtb.domain.errors import InvalidRequest
from wtb.domain.identifiers import Position
from wtb.interfaces.grpc import executions_pb2 as wire
from wtb.interfaces.grpc.executions_pb2_grpc import ExecutionsServicer
from wtb.interfaces.grpc.statuses import GOING_DOWN, TOO_SLOW, Refusal, refuse, refusing
from wtb.projections.executions import Execution
from wtb.sdk import TestBench

Context = aio.ServicerContext[Any, Any]

MESSAGE_BYTES = 256 * 1024
"""A message holds the events that fit, and at least one; gRPC clients refuse messages beyond 4 MiB."""

EVENT_BYTES = 3 * 1024 * 1024
"""A bigger event goes without its data; nobody could get past it otherwise."""

LONGEST_ERROR = 64 * 1024
"""Characters of an execution's error message; longer ones are cut."""

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
        self._feeding: set[asyncio.Task[Any]] = set()
        self._stopping = False

    async def GetExecution(self, request: wire.GetExecutionRequest, context: Context) -> wire.Execution:
        async with refusing(context):
            return message_of(await self._execution(request.execution_id))
        raise AssertionError("refused calls don't return")

    async def WatchExecution(self, request: wire.WatchExecutionRequest, context: Context) -> None:  # type: ignore[override]
        async with refusing(context):
            await self._check_position(request.after)
            execution = await self._execution(request.execution_id)
            end = execution.position if execution.ended_at is not None else None
            if end is not None and request.after >= end:
                return
            refusal = await self._feed(request, end, context)
            if refusal is not None:  # told when the feed is closed: a client that doesn't read delays it for ever
                await refuse(context, refusal)

    async def _check_position(self, after: int) -> None:
        if after < 0:
            raise InvalidRequest("after can't be negative", hint="Give the position of an event you were sent, or 0.")
        end = await asyncio.to_thread(self._bench.platform.store.last_position)
        if after > end:
            raise InvalidRequest(
                f"there is no position {after} yet, the log ends at {end}",
                hint="Give the position of an event you were sent; this may be another store.",
            )

    async def _feed(
        self, request: wire.WatchExecutionRequest, end: Position | None, context: Context
    ) -> Refusal | None:
        """Write events up to a position, or to the execution's end; returns why it broke off, if it did."""
        if self._stopping:
            return GOING_DOWN
        task = asyncio.current_task()
        assert task is not None
        self._feeding.add(task)
        try:
            async with aclosing(self._live.batches(request.execution_id, request.after)) as batches:
                async for batch in batches:
                    events, ended = up_to(batch, end)
                    for message in messages(events):
                        try:
                            async with asyncio.timeout(WRITE_SECONDS):
                                await context.write(message)
                        except TimeoutError:
                            return TOO_SLOW
                    if ended:
                        return None
            return GOING_DOWN
        except asyncio.CancelledError:
            if not self._stopping:
                raise  # the client has gone
            return GOING_DOWN
        finally:
            self._feeding.discard(task)

    async def _execution(self, execution: str) -> Execution:
        if not execution or "\0" in execution:
            raise InvalidRequest("execution_id must name an execution", hint="Give the id that starting it returned.")
        return await asyncio.to_thread(self._bench.execution, execution)

    def go_down(self) -> None:
        """Break off every watch; clients are told to come back."""
        self._stopping = True
        for task in self._feeding:
            task.cancel()


def up_to(events: Sequence[WireEvent], end: Position | None) -> tuple[Sequence[WireEvent], bool]:
    """Events up to a position, or to the one by which the execution ends; and whether that was among them."""
    for count, event in enumerate(events, 1):
        if event.position >= end if end is not None else event.type in ENDS:
            return events[:count], True
    return events, False


def messages(events: Sequence[WireEvent]) -> Iterator[wire.EventBatch]:
    """Events in as few messages as they fit into."""
    batch, size = wire.EventBatch(), 0
    for event in events:
        told = event.json if len(event.json) <= EVENT_BYTES else without_data(event)
        if batch.events and size + len(told) > MESSAGE_BYTES:
            yield batch
            batch, size = wire.EventBatch(), 0
        batch.events.add(position=event.position, type=event.type, cloud_event=told.decode())
        size += len(told)
    if batch.events:
        yield batch


def without_data(event: WireEvent) -> bytes:
    """The envelope, with a reference to the whole event."""
    return CloudEvent.model_validate_json(event.json).without_data().model_dump_json().encode()


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
        error_message=row.error_message and row.error_message[:LONGEST_ERROR],
        failed_node=row.failed_node,
        waiting=row.waiting,
        parent_execution=row.parent_execution,
        parent_checkpoint=row.parent_checkpoint,
        variants=row.variants,
        batch_case=row.batch_case,
        steps=row.steps,
        checkpoints=row.checkpoints,
        version=row.version,
        position=row.position,
    )


def _timestamp(time: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(time)
    return stamp
