"""Which of two combinations is preferred, and whether that may be chance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from wtb.sdk.batches.statistics.intervals import Interval, confidence_of, wilson
from wtb.sdk.batches.statistics.paired_tests import Verdict, binomial, holm, verdict

_VOTES = {"a": -1, "tie": 0, "b": 1}


@dataclass(frozen=True, slots=True)
class Preferred:
    """Which of two combinations' outcomes was preferred for one case and repeat; None when that couldn't be told."""

    case: str
    repeat: int
    preferred: Literal["a", "b", "tie"] | None


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


def preference_statistics(
    name: str,
    pairs: Mapping[tuple[int, int], Sequence[Preferred]],
    *,
    alpha: float = 0.05,
    inferred: bool = True,
) -> tuple[PreferenceStatistics, ...]:
    """What a preference says of each pair (a, b) of combinations, in the order given. Raises as `score_statistics`."""
    confidence = confidence_of(alpha, inferred)
    told = [_preferred(name, a, b, trials, confidence) for (a, b), trials in pairs.items()]
    corrected = holm([one.p_value for one in told])
    return tuple(
        replace(one, corrected_p=p, verdict=verdict(one.wins_b - one.wins_a, p, alpha))
        for one, p in zip(told, corrected, strict=True)
    )


def _preferred(
    name: str, a: int, b: int, trials: Sequence[Preferred], confidence: float | None
) -> PreferenceStatistics:
    """Without what depends on the other pairs."""
    votes: dict[str, int] = {}
    for trial in trials:
        if trial.preferred is not None:
            votes[trial.case] = votes.get(trial.case, 0) + _VOTES[trial.preferred]
    wins_a, wins_b = sum(vote < 0 for vote in votes.values()), sum(vote > 0 for vote in votes.values())
    decided = wins_a + wins_b
    share = wins_b / decided if decided else None
    return PreferenceStatistics(
        name=name,
        a=a,
        b=b,
        cases=len(votes),
        missing=sum(trial.preferred is None for trial in trials),
        wins_a=wins_a,
        wins_b=wins_b,
        ties=len(votes) - decided,
        share_b=share,
        interval=None if share is None or confidence is None else wilson(share, decided, confidence),
        p_value=binomial(wins_b, wins_a) if votes and confidence is not None else None,
        corrected_p=None,
        verdict=None,
    )
