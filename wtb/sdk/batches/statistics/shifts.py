"""Regressions and improvements: cases that came out otherwise than under the baseline, with the two to compare."""

from collections.abc import Mapping
from dataclasses import dataclass

from wtb.domain.batch import Trial
from wtb.domain.identifiers import ExecutionId
from wtb.sdk.batches.outcome import Outcome
from wtb.sdk.batches.statistics.score_statistics import ScoreStatistics


@dataclass(frozen=True, slots=True)
class Shift:
    """A case that a combination does better or worse than the baseline."""

    score: str
    case: str
    baseline: int
    """A combination."""
    combination: int
    before: float
    """Under the baseline: the mean over the case's repeats."""
    after: float
    """Under the combination."""
    a: ExecutionId
    """Under the baseline, in the repeat in which the two are farthest apart."""
    b: ExecutionId
    """Under the combination, in the same repeat."""

    @property
    def difference(self) -> float:
        return self.after - self.before

    @property
    def command(self) -> str:
        """What shows where the two part; in Python it is ``bench.diff(shift.a, shift.b)``."""
        return f"wtb diff {self.a} {self.b}"

    def __str__(self) -> str:
        return f"{self.case}: {self.score} {self.before:g} → {self.after:g} ({self.command})"


def shifts(
    outcomes: Mapping[Trial, Outcome], repeats: int, found: ScoreStatistics, *, worse: bool
) -> tuple[Shift, ...]:
    """The cases that others than the baseline do worse, or better; none where neither way is better."""
    if found.higher_is_better is None:
        return ()
    told: list[Shift] = []
    for compared in found.comparisons:
        for change in compared.regressions if worse else compared.improvements:
            pairs = [
                (outcomes[a], outcomes[b])
                for repeat in range(repeats)
                if (a := Trial(change.case, found.baseline, repeat)) in outcomes
                and (b := Trial(change.case, compared.combination, repeat)) in outcomes
            ]
            a_far, b_far = max(pairs, key=lambda pair: abs(_number(pair[0], found.name) - _number(pair[1], found.name)))
            told.append(
                Shift(
                    found.name,
                    change.case,
                    found.baseline,
                    compared.combination,
                    change.baseline,
                    change.other,
                    a_far.execution_id,
                    b_far.execution_id,
                )
            )
    return tuple(told)


def _number(outcome: Outcome, score: str) -> float:
    value = outcome.scores.get(score, 0)
    return 0.0 if isinstance(value, str) else float(value)
