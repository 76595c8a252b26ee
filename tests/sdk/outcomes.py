"""Cases and outcomes as a batch hands them to scores."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from wtb.domain.batch import Scored, Trial, TrialStatus, Usage
from wtb.domain.identifiers import ExecutionId
from wtb.sdk.batches.outcome import Case, Outcome
from wtb.sdk.batches.statistics.score_statistics import Observed


def case(expected: Any = None, *, input: Any = None) -> Case:
    return Case("c", {"query": "why"} if input is None else input, expected)


def outcome(
    status: TrialStatus = "completed",
    *,
    trial: Trial = Trial("c", 0, 0),  # noqa: B008  # a tuple
    seconds: float = 1.0,
    attempts: int = 1,
    usage: Sequence[Usage] = (),
    scores: dict[str, Scored] | None = None,
    **state: Any,
) -> Outcome:
    """One whose channels hold what is named."""
    return Outcome(
        trial=trial,
        execution_id=ExecutionId("e"),
        status=status,
        variants={},
        duration=timedelta(seconds=seconds),
        attempts=attempts,
        usage=tuple(usage),
        scores=scores or {},
        load=lambda: state,
    )


def once(values: Sequence[Scored | None]) -> list[Observed]:
    """A value for each case, run once."""
    return [Observed(f"c{place:04}", 0, value) for place, value in enumerate(values)]


def repeated(values: Sequence[Sequence[Scored | None]]) -> list[Observed]:
    """The values of each case's repeats."""
    return [
        Observed(f"c{place:04}", repeat, value)
        for place, repeats in enumerate(values)
        for repeat, value in enumerate(repeats)
    ]
