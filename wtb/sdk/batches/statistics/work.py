"""What a combination's trials took: how they ended, how long they ran, what they used."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, fsum
from statistics import median

from wtb.domain.batch import FAILED, TrialStatus
from wtb.sdk.batches.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Work:
    """What one combination's trials took."""

    combination: int
    trials: int
    statuses: Mapping[TrialStatus, int]
    """Trials by how they ended; those that didn't occur aren't in it."""
    failures: int
    """Trials that failed, timed out or were lost."""
    failure_rate: float | None
    retried: int
    """Trials that took more than one attempt."""
    seconds: float
    """Of all trials' last attempts together."""
    median_seconds: float | None
    """Of one completed trial."""
    p95_seconds: float | None
    """19 of 20 completed trials took no longer."""
    throughput: float | None
    """Completed trials for each second of work; times the concurrency, what a batch gets done."""
    input_tokens: int
    output_tokens: int


def work(outcomes: Iterable[Outcome], combinations: int) -> tuple[Work, ...]:
    """What each combination's trials took."""
    found: list[list[Outcome]] = [[] for _ in range(combinations)]
    for outcome in outcomes:
        found[outcome.trial.combination].append(outcome)
    return tuple(_work(combination, trials) for combination, trials in enumerate(found))


def _work(combination: int, trials: Sequence[Outcome]) -> Work:
    statuses = Counter(trial.status for trial in trials)
    failures = sum(trial.status in FAILED for trial in trials)
    seconds = fsum(trial.duration.total_seconds() for trial in trials)
    took = sorted(trial.duration.total_seconds() for trial in trials if trial.status == "completed")
    return Work(
        combination=combination,
        trials=len(trials),
        statuses=dict(sorted(statuses.items())),
        failures=failures,
        failure_rate=failures / len(trials) if trials else None,
        retried=sum(trial.attempts > 1 for trial in trials),
        seconds=seconds,
        median_seconds=median(took) if took else None,
        p95_seconds=took[ceil(0.95 * len(took)) - 1] if took else None,
        throughput=len(took) / seconds if seconds else None,
        input_tokens=sum(used.input_tokens for trial in trials for used in trial.usage),
        output_tokens=sum(used.output_tokens for trial in trials for used in trial.usage),
    )
