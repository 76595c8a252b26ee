"""Cases that past executions are: their inputs, to be run again."""

from collections.abc import Iterator, Sequence
from typing import cast

from wtb.domain.batch import TrialStatus
from wtb.domain.errors import BatchNotFound, ExecutionNotFound, InvalidRequest
from wtb.domain.execution import ExecutionStarted
from wtb.domain.identifiers import BatchId, ExecutionId, known_batch, known_id
from wtb.projections import executions, trials
from wtb.projections.page import check_limit
from wtb.sdk.batches.outcome import Case
from wtb.sdk.batches.record import read_record
from wtb.sdk.batches.recorded_cases import RecordedCases
from wtb.sdk.control import KnownGraph
from wtb.sdk.platform import Platform
from wtb.sdk.results import Status
from wtb.sdk.state import started_of


def past_cases(
    platform: Platform,
    known: KnownGraph,
    named: Sequence[str] | None,
    status: str | None,
    workflow: str | None,
    batch: str | None,
    limit: int,
) -> list[Case]:
    """See `TestBench.cases_from`."""
    check_limit(limit)
    if named is not None and (status, workflow, batch) != (None, None, None):
        raise InvalidRequest("executions are named or looked for, not both", hint="Give ids, or filters.")
    if named is not None:
        found: Iterator[ExecutionId] = map(known_id, named)
    elif batch is not None:
        found = _of_batch(platform, known_batch(batch), status)
    else:
        found = _of_all(platform, status, workflow)
    cases: dict[str, Case] = {}
    batches: dict[BatchId, RecordedCases | None] = {}
    seen: set[str] = set()
    for execution in found:
        started = started_of(platform, execution)
        if started is None:
            raise ExecutionNotFound(execution)
        if batch is not None and workflow not in (None, started.workflow):
            continue
        if started.batch_case in seen:
            continue  # another trial of the same case
        if started.batch_case is not None:
            seen.add(started.batch_case)
        case = _case(platform, known, execution, started, batches)
        id = case.id if case.id not in cases else execution
        cases[id] = Case(id, case.input, case.expected, case.metadata, execution)
        if len(cases) == limit and named is None:
            break
    return [*cases.values()]


def _of_batch(platform: Platform, batch: BatchId, status: str | None) -> Iterator[ExecutionId]:
    cursor: str | None = None
    read_record(platform, batch)  # raises `BatchNotFound`
    while True:
        with platform.reading() as connection:
            page = trials.of(connection, batch, status=cast("TrialStatus | None", status), limit=500, cursor=cursor)
        yield from (row.execution for row in page)
        cursor = page.next_cursor
        if cursor is None:
            return


def _of_all(platform: Platform, status: str | None, workflow: str | None) -> Iterator[ExecutionId]:
    cursor: str | None = None
    while True:
        with platform.reading() as connection:
            page = executions.page(
                connection, status=cast("Status | None", status), workflow=workflow, limit=500, cursor=cursor
            )
        yield from (row.id for row in page)
        cursor = page.next_cursor
        if cursor is None:
            return


def _case(
    platform: Platform,
    known: KnownGraph,
    execution: ExecutionId,
    started: ExecutionStarted,
    batches: dict[BatchId, RecordedCases | None],
) -> Case:
    """The execution's input, and what else its batch knew of it."""
    graph = known(started)
    saver = platform.saver if graph is None else graph.saver
    input = saver.history.load({started.input})[started.input]
    if started.batch_case is None:
        return Case(execution, input)
    batch, _, id = started.batch_case.partition("/")
    cases = _cases_of(platform, BatchId(batch), batches)
    if cases is None or id not in cases.ids:
        return Case(execution, input)  # as when it was imported without its batch
    told = cases.named(id)
    return Case(id, input, told.expected, told.metadata)


def _cases_of(platform: Platform, batch: BatchId, batches: dict[BatchId, RecordedCases | None]) -> RecordedCases | None:
    if batch not in batches:
        try:
            batches[batch] = RecordedCases(platform, read_record(platform, batch).cases)
        except BatchNotFound:
            batches[batch] = None
    return batches[batch]
