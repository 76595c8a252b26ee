"""What a batch's scores amount to: how good each combination is, and whether another is better than the baseline.

Pure: the same outcomes give the same numbers, in any order and in any process.
A case is what was drawn at random; its repeats are not, so they are averaged
first and never counted as if they were more cases. A number that can't be told
is None, never NaN.

Means and counts need nothing but Python. Intervals and tests need scipy, of the
extra ``batch``; without it every function raises `ExtraMissing` unless it is
asked for ``inferred=False``, which leaves them None.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from wtb.domain.batch import FAILED
from wtb.domain.errors import InvalidRequest
from wtb.sdk.batches.outcome import Outcome
from wtb.sdk.batches.statistics.intervals import Interval, confidence_of
from wtb.sdk.batches.statistics.paired_comparisons import CaseChange, PairedComparison, compare, judged
from wtb.sdk.batches.statistics.paired_tests import Verdict
from wtb.sdk.batches.statistics.preference_statistics import PreferenceStatistics, Preferred, preference_statistics
from wtb.sdk.batches.statistics.summaries import Kind, Observed, Summary, counted, kind_of, summarize
from wtb.sdk.batches.statistics.work import Work, work

__all__ = [
    "CaseChange",
    "Interval",
    "Kind",
    "Observed",
    "PairedComparison",
    "PreferenceStatistics",
    "Preferred",
    "ScoreStatistics",
    "Summary",
    "Verdict",
    "Work",
    "observed",
    "preference_statistics",
    "score_statistics",
    "work",
]


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


def observed(outcomes: Iterable[Outcome], score: str, combinations: int) -> tuple[tuple[Observed, ...], ...]:
    """What a score said, by combination: what `score_statistics` asks for."""
    found: list[list[Observed]] = [[] for _ in range(combinations)]
    for outcome in outcomes:
        case, combination, repeat = outcome.trial
        found[combination].append(Observed(case, repeat, outcome.scores.get(score), outcome.status in FAILED))
    return tuple(map(tuple, found))


def score_statistics(
    name: str,
    combinations: Sequence[Sequence[Observed]],
    *,
    higher_is_better: bool | None = True,
    baseline: int = 0,
    alpha: float = 0.05,
    inferred: bool = True,
) -> ScoreStatistics:
    """What a score says: ``combinations`` has each combination's trials, as `observed` gives them.

    A failed trial without a value is a no where all other values are yes and no. Raises `InvalidRequest` for a baseline
    that isn't among them and an alpha that isn't between 0 and 1.
    """
    confidence = confidence_of(alpha, inferred)
    if not 0 <= baseline < len(combinations):
        raise InvalidRequest(
            f"there is no combination {baseline} to compare with: the batch has {len(combinations)}",
            hint="Name it by its place, from 0.",
        )
    kind = kind_of(one.value for trials in combinations for one in trials)
    values = [counted(trials, kind) for trials in combinations]
    compared: list[PairedComparison] = []
    if kind in ("yes_no", "number"):
        others = [combination for combination in range(len(combinations)) if combination != baseline]
        compared = [compare(baseline, other, kind, values, higher_is_better, confidence) for other in others]
    return ScoreStatistics(
        name=name,
        kind=kind,
        higher_is_better=None if kind == "label" else higher_is_better,
        alpha=alpha,
        baseline=baseline,
        summaries=tuple(
            summarize(combination, kind, values[combination], len(trials), confidence)
            for combination, trials in enumerate(combinations)
        ),
        comparisons=judged(compared, alpha, higher_is_better),
    )
