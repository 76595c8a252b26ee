"""A batch's result, read from its record: the same whoever ran it and whoever asks."""

from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Any

from wtb.domain.batch import (
    CaseFinished,
    CaseScored,
    Trial,
    TrialStatus,
)
from wtb.domain.errors import CheckpointNotFound
from wtb.domain.execution import Failure
from wtb.domain.identifiers import BatchId, ExecutionId
from wtb.sdk.as_of import FindGraph
from wtb.sdk.batches.outcome import Outcome
from wtb.sdk.batches.output import output_of
from wtb.sdk.batches.record import read_record
from wtb.sdk.batches.recorded_cases import RecordedCases
from wtb.sdk.batches.result import BatchResult, PreferredPair
from wtb.sdk.platform import Platform
from wtb.sdk.results import RunError
from wtb.sdk.state import started_of, state_at


def batch_result(platform: Platform, batch: BatchId, find_graph: FindGraph) -> BatchResult:
    """What a batch has come to so far; ``find_graph`` is asked when a state is. Raises `BatchNotFound`."""
    record = read_record(platform, batch)
    places = {case.id: place for place, case in enumerate(record.cases)}
    combinations = record.started.combinations
    stopped = record.stopped
    return BatchResult(
        id=batch,
        workflow=record.started.workflow,
        status=record.status,
        stop_reason=stopped.reason if stopped else None,
        stop_detail=stopped.detail if stopped else "",
        actor=record.actor,
        started_at=record.began,
        ended_at=record.ended,
        elapsed=record.elapsed,
        resumed=record.resumed,
        settings=record.started,
        combinations=combinations,
        cases=RecordedCases(platform, record.cases),
        outcomes=tuple(
            _outcome(
                platform,
                find_graph,
                trial,
                record.finished[trial],
                record.scored.get(trial),
                combinations[trial.combination],
            )
            for trial in sorted(record.finished, key=lambda each: (places[each.case], *each[1:]))
        ),
        preferences=tuple(
            PreferredPair(each.preference, each.case, each.repeat, each.a, each.b, each.preferred, _error(each.error))
            for each in record.preferred.values()
        ),
    )


def _outcome(
    platform: Platform,
    find_graph: FindGraph,
    trial: Trial,
    ended: CaseFinished,
    scored: CaseScored | None,
    variants: Mapping[str, str],
) -> Outcome:
    return Outcome(
        trial=trial,
        execution_id=ended.execution,
        status=ended.status,
        variants=variants,
        duration=timedelta(microseconds=ended.duration_us),
        attempts=ended.attempts,
        error=_error(ended.error),
        usage=ended.usage,
        scores=scored.scores if scored else {},
        score_errors={name: _told(error) for name, error in scored.errors.items()} if scored else {},
        load=partial(_state, platform, find_graph, ended.execution, ended.status),
    )


def _error(failure: Failure | None) -> RunError | None:
    return None if failure is None else _told(failure)


def _told(failure: Failure) -> RunError:
    return RunError(failure.type, failure.message, None)


def _state(platform: Platform, find_graph: FindGraph, execution: ExecutionId, status: TrialStatus) -> Mapping[str, Any]:
    """As `output_of` has it where the graph is known; else all of the state as plain data.

    Nothing when the execution never got so far.
    """
    try:
        graph = find_graph(started_of(platform, execution))
        if graph is not None:
            return output_of(platform, execution, status, graph)
        return state_at(platform, execution, None, "", None).channels
    except CheckpointNotFound:
        return {}
