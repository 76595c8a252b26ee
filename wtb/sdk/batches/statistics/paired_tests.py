"""Tests of whether a difference may be chance: how probable one as big is when there is none. All are two-sided.

They need scipy, of the extra ``batch``. The same numbers in any order give the
same p-value.
"""

from collections.abc import Sequence
from typing import Literal

Verdict = Literal["better", "worse", "no difference shown"]
"""Of one combination against another, with a corrected p-value of at most alpha."""

EXACTLY = 16
"""Up to so many differences all signs are gone through: 65,536 ways."""
DRAWN = 9_999
"""Else so many are drawn."""
_SEED = 4
_AT_ONCE = 2_000_000


def binomial(wins: int, losses: int) -> float:
    """The exact binomial test of wins against losses, ties left out: the sign test.

    Of cases in which only one of two says yes it is McNemar's exact test.
    """
    from scipy.stats import binomtest

    return float(binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0


def sign_flip(differences: Sequence[float]) -> float:
    """Fisher's randomization test of a mean difference between pairs.

    If two combinations are the same, each difference might as well have had the other sign: the p-value is the share of
    all such ways in which the mean is at least as far from 0. It assumes no distribution and tests the very mean that
    is shown; Wilcoxon's signed-rank test throws the sizes away and may point the other way (Smucker, Allan and
    Carterette, A Comparison of Statistical Significance Tests for Information Retrieval Evaluation, CIKM 2007; Dror and
    others, The Hitchhiker's Guide to Testing Statistical Significance in Natural Language Processing, ACL 2018).

    Above `EXACTLY` differences the ways are drawn, from a fixed seed, and what was seen counts as one of them, so that
    p is never 0 (Phipson and Smyth, Permutation P-values Should Never Be Zero, 2010): at least 0.0001.
    """
    import numpy as np

    sizes = np.sort(np.abs([difference for difference in differences if difference]))
    if not len(sizes):
        return 1.0
    total = sizes.sum()
    seen = abs(sum(sorted(differences))) - 1e-9 * total  # sums that differ by their rounding are the same
    if len(sizes) <= EXACTLY:
        ways = np.arange(2 ** len(sizes))[:, None] >> np.arange(len(sizes)) & 1
        return float(np.mean(np.abs(total - 2 * (ways @ sizes)) >= seen))
    # The raw stream of a bit generator is the same for every version of numpy, what is made of it isn't.
    bits = np.random.PCG64(_SEED)
    words = -(-len(sizes) // 64)
    as_far = 0
    for rows in _chunks(DRAWN, max(1, _AT_ONCE // len(sizes))):
        raw = bits.random_raw(rows * words).astype("<u8").view(np.uint8).reshape(rows, words * 8)
        flips = np.unpackbits(raw, axis=1, count=len(sizes))
        as_far += int(np.count_nonzero(np.abs(total - 2 * (flips @ sizes)) >= seen))
    return (as_far + 1) / (DRAWN + 1)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """P-values corrected for being several, by Holm's step-down method; None stays None and isn't counted.

    With them, the chance that any of the differences called real isn't stays below alpha, whatever they have to do with
    each other (S. Holm, A Simple Sequentially Rejective Multiple Test Procedure, Scandinavian Journal of Statistics 6,
    1979).
    """
    corrected: list[float | None] = [None] * len(p_values)
    ordered = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    least = 0.0
    for rank, (p, place) in enumerate(ordered):
        least = max(least, min(1.0, (len(ordered) - rank) * p))
        corrected[place] = least
    return corrected


def verdict(gain: float | None, corrected_p: float | None, alpha: float) -> Verdict | None:
    """What a difference comes to; ``gain`` is positive when it is for the better."""
    if gain is None or corrected_p is None:
        return None
    if corrected_p > alpha:
        return "no difference shown"
    return "better" if gain > 0 else "worse"


def _chunks(count: int, most: int) -> list[int]:
    return [min(most, count - begun) for begun in range(0, count, most)]
