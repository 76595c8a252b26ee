"""A batch's result as one JSON document."""

from datetime import timedelta
from typing import Any

import msgspec

from wtb.sdk.batches.outcome import Outcome
from wtb.sdk.batches.reports.result_shown import preferences_of, statistics_of
from wtb.sdk.batches.result import BatchResult
from wtb.sdk.results import RunError

RESOLUTION = timedelta(microseconds=1)


def document(result: BatchResult, *, outcomes: bool = True) -> dict[str, Any]:
    """As JSON can say it; without ``outcomes`` only those of the trials that failed."""
    found = {
        "id": result.id,
        "workflow": result.workflow,
        "status": result.status,
        "stop_reason": result.stop_reason,
        "stop_detail": result.stop_detail,
        "actor": result.actor,
        "started_at": result.started_at,
        "ended_at": result.ended_at,
        "elapsed_us": result.elapsed // RESOLUTION,
        "duration_us": result.duration // RESOLUTION,
        "resumed": result.resumed,
        "settings": result.settings.model_dump(mode="json"),
        "combinations": [
            {"name": name, "variants": v} for name, v in zip(result.names, result.combinations, strict=True)
        ],
        "trials": result.trials,
        "finished": len(result),
        "failed": len(result.failures),
        "usage": [used.model_dump() for used in result.usage],
        "cost": result.cost,
        "scores": statistics_of(result),
        "preferences": preferences_of(result),
        "work": result.work,
        "regressions": [shift for score in result.scores for shift in result.regressions(score)],
        "improvements": [shift for score in result.scores for shift in result.improvements(score)],
        "failures": [_outcome(outcome) for outcome in result.failures],
        **({"outcomes": [_outcome(outcome) for outcome in result.outcomes]} if outcomes else {}),
    }
    plain: dict[str, Any] = msgspec.to_builtins(found, str_keys=True, enc_hook=str)
    return plain


def as_json(result: BatchResult) -> str:
    return msgspec.json.format(msgspec.json.encode(document(result)), indent=2).decode() + "\n"


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "case": outcome.trial.case,
        "combination": outcome.trial.combination,
        "repeat": outcome.trial.repeat,
        "execution_id": outcome.execution_id,
        "status": outcome.status,
        "duration_us": outcome.duration // RESOLUTION,
        "attempts": outcome.attempts,
        "error": _error(outcome.error) if outcome.error else None,
        "usage": [used.model_dump() for used in outcome.usage],
        "scores": outcome.scores,
        "score_errors": {name: _error(error) for name, error in outcome.score_errors.items()},
    }


def _error(error: RunError) -> dict[str, Any]:
    return {"type": error.type, "message": error.message, "node": error.node}
