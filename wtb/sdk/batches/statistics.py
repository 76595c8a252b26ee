"""What a batch's scores amount to: how good each combination is, and whether another is better than the baseline.

Pure: the same outcomes give the same numbers, in any order and in any process.
A case is what was drawn at random; its repeats are not, so they are averaged
first and never counted as if they were more cases. A number that can't be told
is None, never NaN.

Means and counts need nothing but Python. Intervals and tests need scipy, of the
extra ``batch``; without it every function raises `ExtraMissing` unless it is
asked for ``inferred=False``, which leaves them None.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from wtb.domain.batch import Scored, TrialStatus
from wtb.sdk.batches.outcome import Outcome

Kind = Literal["yes_no", "number", "label"]
"""What a score's values are. Numbers among yes and no make all of them numbers, a label makes all of them labels."""

Verdict = Literal["better", "worse", "no difference shown"]
"""Better or worse: than the baseline, with a corrected p-value of at most alpha."""

# --- what goes in --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Observed:
    """What a score said of one trial; None when it said nothing."""

    case: str
    repeat: int
    value: Scored | None
    failed: bool = False
    """The trial failed, timed out or was lost."""


@dataclass(frozen=True, slots=True)
class Preferred:
    """Which of two combinations' outcomes was preferred for one case and repeat; None when that couldn't be told."""

    case: str
    repeat: int
    preferred: Literal["a", "b", "tie"] | None


def observed(outcomes: Iterable[Outcome], score: str, combinations: int) -> tuple[tuple[Observed, ...], ...]:
    """What a score said, by combination: what `score_statistics` asks for."""
    ...


# --- what comes out ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Interval:
    """Made so that it holds the true value in ``confidence`` of all batches run like this one."""

    low: float
    high: float
    confidence: float
    method: Literal["wilson", "t", "bonett-price"]


@dataclass(frozen=True, slots=True)
class Summary:
    """What a score said of one combination."""

    combination: int
    kind: Kind | None
    """None when it said nothing at all, of no combination."""
    n: int
    """Trials with a value."""
    missing: int
    """Trials without."""
    cases: int
    """Cases with a value: the sample's size."""
    mean: float | None
    """Of the cases' means; for yes and no the share of yes. None for labels."""
    sd: float | None
    """Between the cases' means; None for fewer than two."""
    median: float | None
    """Of the cases' means."""
    low: float | None
    """The least of the cases' means."""
    high: float | None
    interval: Interval | None
    """Of ``mean``. None for labels, for numbers that are all the same, and where there are too few cases."""
    labels: Mapping[str, int] = field(default_factory=dict)
    """Trials by label, the most frequent first."""


@dataclass(frozen=True, slots=True)
class CaseChange:
    """A case that another combination does better or worse than the baseline."""

    case: str
    baseline: float
    """The mean over the case's repeats, those that both combinations have."""
    other: float
    difference: float
    """``other - baseline``, in the score's unit, whichever way is better."""


@dataclass(frozen=True, slots=True)
class PairedComparison:
    """A combination against the baseline, case by case, over the cases and repeats of which both have a value."""

    combination: int
    baseline: int
    cases: int
    """Cases that both have."""
    unpaired: int
    """Cases that only one of them has, and which tell nothing here."""
    difference: float | None
    """The mean of the cases' differences, ``combination - baseline``, in the score's unit."""
    interval: Interval | None
    """Of ``difference``; not corrected for the number of comparisons."""
    test: Literal["mcnemar", "sign-flip"] | None
    p_value: float | None
    """Two-sided. None when there is no case to compare."""
    corrected_p: float | None
    """By Holm's method for all comparisons of this score."""
    effect: float | None
    """How big it is without a unit; positive when better. See ``effect_size``."""
    effect_size: Literal["cohen-g", "cohen-dz"] | None
    verdict: Verdict | None
    """By ``corrected_p``; None without one, or when neither way is better."""
    wins: int
    """Cases that this combination does better than the baseline; higher is meant when neither way is better."""
    losses: int
    ties: int
    improvements: tuple[CaseChange, ...]
    """The biggest first."""
    regressions: tuple[CaseChange, ...]
    """The biggest first."""


@dataclass(frozen=True, slots=True)
class ScoreStatistics:
    """What one score says of all combinations."""

    name: str
    kind: Kind | None
    higher_is_better: bool | None
    """None for labels, and for what is neither good nor bad."""
    alpha: float
    baseline: int
    summaries: tuple[Summary, ...]
    """By combination."""
    comparisons: tuple[PairedComparison, ...]
    """Every other combination with the baseline; empty for labels."""

    def compared(self, combination: int) -> PairedComparison | None:
        """The comparison of one combination with the baseline; None for the baseline itself and for labels."""
        return next((one for one in self.comparisons if one.combination == combination), None)


@dataclass(frozen=True, slots=True)
class PreferenceStatistics:
    """Which of two combinations is preferred. A case's repeats vote; the case counts once."""

    name: str
    a: int
    b: int
    cases: int
    """Cases of which something could be told."""
    missing: int
    """Pairs of trials of which nothing could."""
    wins_a: int
    wins_b: int
    ties: int
    share_b: float | None
    """Of the cases that aren't ties, those for b."""
    interval: Interval | None
    """Of ``share_b``."""
    p_value: float | None
    """Of the sign test, two-sided, without the ties."""
    corrected_p: float | None
    """By Holm's method for all pairs of this preference."""
    verdict: Verdict | None
    """Whether b is better than a."""


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


# --- the questions -------------------------------------------------------------------------------


def score_statistics(
    name: str,
    combinations: Sequence[Sequence[Observed]],
    *,
    higher_is_better: bool | None = True,
    baseline: int = 0,
    alpha: float = 0.05,
    inferred: bool = True,
) -> ScoreStatistics:
    """What a score says: ``combinations`` has each combination's trials, as `observed` gives them."""
    ...


def preference_statistics(
    name: str,
    pairs: Mapping[tuple[int, int], Sequence[Preferred]],
    *,
    alpha: float = 0.05,
    inferred: bool = True,
) -> tuple[PreferenceStatistics, ...]:
    """What a preference says of each pair (a, b) of combinations, in the order given."""
    ...


def work(outcomes: Iterable[Outcome], combinations: int) -> tuple[Work, ...]:
    """What each combination's trials took."""
    ...
