"""Two combinations compared case by case: which is better, by how much, and whether that may be chance."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev
from typing import Literal

from wtb.sdk.batches.statistics.intervals import Interval, of_mean, of_paired_shares
from wtb.sdk.batches.statistics.paired_tests import Verdict, binomial, holm, sign_flip, verdict
from wtb.sdk.batches.statistics.summaries import Counted, Kind, means_of


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


def compare(
    baseline: int,
    other: int,
    kind: Kind,
    counted: Sequence[Counted],
    higher_is_better: bool | None,
    confidence: float | None,
) -> PairedComparison:
    """A combination against the baseline, still without what depends on the other comparisons."""
    both = counted[baseline].keys() & counted[other].keys()
    before = means_of({trial: counted[baseline][trial] for trial in both})
    after = means_of({trial: counted[other][trial] for trial in both})
    changes = [CaseChange(case, before[case], after[case], after[case] - before[case]) for case in sorted(before)]
    differences = [change.difference for change in changes]
    up = sorted((change for change in changes if change.difference > 0), key=lambda change: -change.difference)
    down = sorted((change for change in changes if change.difference < 0), key=lambda change: change.difference)
    # Whether each case is one yes or no: then more is told by their numbers alone.
    once = kind == "yes_no" and len(both) == len(before)
    interval = p_value = None
    if confidence is not None and differences:
        interval = (
            of_paired_shares(len(up), len(down), len(changes), confidence) if once else of_mean(differences, confidence)
        )
        p_value = binomial(len(up), len(down)) if once else sign_flip(differences)
    effect = _cohen_g(len(up), len(down)) if once else _cohen_dz(differences)
    improvements, regressions = (down, up) if higher_is_better is False else (up, down)
    either = {case for trials in (counted[baseline], counted[other]) for case, _ in trials}
    return PairedComparison(
        combination=other,
        baseline=baseline,
        cases=len(changes),
        unpaired=len(either) - len(changes),
        difference=fmean(differences) if differences else None,
        interval=interval,
        test=None if p_value is None else "mcnemar" if once else "sign-flip",
        p_value=p_value,
        corrected_p=None,
        effect=_gain(effect, higher_is_better),
        effect_size=None if effect is None else "cohen-g" if once else "cohen-dz",
        verdict=None,
        wins=len(improvements),
        losses=len(regressions),
        ties=len(changes) - len(up) - len(down),
        improvements=tuple(improvements),
        regressions=tuple(regressions),
    )


def judged(
    compared: Sequence[PairedComparison], alpha: float, higher_is_better: bool | None
) -> tuple[PairedComparison, ...]:
    """With the p-values corrected for all of them, and the verdicts."""
    corrected = holm([one.p_value for one in compared])
    gains = [None if higher_is_better is None else _gain(one.difference, higher_is_better) for one in compared]
    return tuple(
        replace(one, corrected_p=p, verdict=verdict(gain, p, alpha))
        for one, p, gain in zip(compared, corrected, gains, strict=True)
    )


def _gain(difference: float | None, higher_is_better: bool | None) -> float | None:
    """The difference turned so that positive is better."""
    return None if difference is None else 0.0 - difference if higher_is_better is False else difference


def _cohen_g(up: int, down: int) -> float | None:
    """How far the share of changes that go up is from half, up to 0.5; 0.05 is small, 0.15 medium, 0.25 large (Cohen,
    Statistical Power Analysis for the Behavioral Sciences, 1988, chapter 5)."""
    return up / (up + down) - 0.5 if up + down else None


def _cohen_dz(differences: Sequence[float]) -> float | None:
    """The mean difference in standard deviations of the differences; 0.2 is small, 0.5 medium, 0.8 large (Cohen,
    chapter 2). None when all differences are the same."""
    spread = stdev(differences) if len(differences) > 1 else 0
    return fmean(differences) / spread if spread else None
