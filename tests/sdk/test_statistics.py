"""Statistics of a batch: the answers that books give, and what is said where nothing can be told."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy
import pytest
from scipy import stats

from tests.sdk.outcomes import once, outcome, repeated
from wtb.domain.batch import Scored, Trial, TrialStatus, Usage
from wtb.domain.errors import ExtraMissing, InvalidRequest
from wtb.sdk.batches.statistics.intervals import of_mean, of_paired_shares, of_share, wilson
from wtb.sdk.batches.statistics.paired_tests import binomial, holm, sign_flip
from wtb.sdk.batches.statistics.score_statistics import (
    Interval,
    Observed,
    PairedComparison,
    Preferred,
    ScoreStatistics,
    Summary,
    observed,
    preference_statistics,
    score_statistics,
    work,
)

SLEEP = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4]
"""Hours that one drug gave ten people more than another (Student, The Probable Error of a Mean, 1908)."""
MAIZE = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]
"""Darwin's pairs of plants, in eighths of an inch (Fisher, The Design of Experiments, 1935, chapter 3)."""


def ends(interval: Interval | None) -> tuple[float, float]:
    assert interval is not None
    return interval.low, interval.high


def near(value: object, *, abs: float | None = None) -> Any:
    return pytest.approx(value, abs=abs)


def summary(values: Sequence[Observed], **settings: Any) -> Summary:
    return score_statistics("s", [values], **settings).summaries[0]


def comparison(before: Sequence[Observed], after: Sequence[Observed], **settings: Any) -> PairedComparison:
    [found] = score_statistics("s", [before, after], **settings).comparisons
    return found


# --- intervals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("yes", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_a_proportion_has_wilsons_interval(yes: int, n: int, low: float, high: float) -> None:
    """Newcombe, Two-Sided Confidence Intervals for the Single Proportion, Statistics in Medicine 17, 1998, table I."""
    found = of_share([1.0] * yes + [0.0] * (n - yes), n, 0.95)
    assert ends(found) == near((low, high), abs=5e-5)
    assert ends(found) == near(tuple(stats.binomtest(yes, n).proportion_ci(0.95, method="wilson")))
    assert found is not None
    assert found.method == "wilson"


def test_what_was_seen_is_in_its_interval() -> None:
    for n in range(1, 40):
        for yes in range(n + 1):
            low, high = ends(wilson(yes / n, n, 0.95))
            assert 0 <= low <= yes / n <= high <= 1


def test_repeats_make_a_proportion_surer_but_never_as_sure_as_cases_would() -> None:
    five_cases = ends(of_share([1, 1, 0, 1, 0], 5, 0.95))
    same_repeats = ends(of_share([1, 1, 0, 1, 0], 50, 0.95))
    spread_repeats = ends(of_share([0.9, 0.7, 0.3, 0.6, 0.5], 50, 0.95))
    fifty_cases = ends(of_share([1.0] * 30 + [0.0] * 20, 50, 0.95))
    assert same_repeats == five_cases
    assert five_cases[0] < spread_repeats[0] < fifty_cases[0]
    assert five_cases[1] > spread_repeats[1] > fifty_cases[1]


def test_a_mean_has_students_interval() -> None:
    """The sleep data, as every book and R's ``t.test`` has it."""
    found = of_mean(SLEEP, 0.95)
    assert ends(found) == near((0.7001142, 2.4598858))
    assert ends(found) == near(tuple(stats.ttest_1samp(SLEEP, 0).confidence_interval(0.95)))


def test_a_paired_difference_of_proportions_has_bonett_and_prices_interval() -> None:
    """Of 21 children 1 was better only before and 7 only after; worked out by hand from the paper's formula."""
    assert ends(of_paired_shares(1, 7, 21, 0.95)) == near((-0.5084, -0.0134), abs=1e-4)


# --- tests ---------------------------------------------------------------------------------------


def test_wins_against_losses_are_tested_exactly() -> None:
    """McNemar's exact test, 1 against 7: 0.0703 (Fagerland, Lydersen and Laake, BMC Medical Research Methodology 13,
    2013)."""
    assert binomial(1, 7) == binomial(7, 1) == near(0.0703, abs=5e-5)
    assert binomial(5, 5) == binomial(0, 0) == 1


def test_a_mean_difference_is_tested_by_fishers_randomization() -> None:
    """Of the 32,768 ways 863 lie as far out on either side."""
    assert sign_flip(MAIZE) == sign_flip([-difference for difference in MAIZE]) == 2 * 863 / 2**15


def test_many_differences_are_drawn_and_come_near_the_exact_answer() -> None:
    numbers = numpy.random.default_rng(1)
    for shift in (0.0, 0.1, 0.2, 0.3):
        differences = list(numbers.normal(shift, 1, 100))
        assert sign_flip(differences) == sign_flip(differences[::-1])
        assert sign_flip(differences) == near(stats.ttest_1samp(differences, 0).pvalue, abs=0.02)
    assert sign_flip([1.0] * 100) == 1 / 10_000
    assert sign_flip([0.0] * 100) == 1


def test_ways_that_come_to_the_same_are_the_same_whatever_rounding_makes_of_them() -> None:
    tenths = [1, 2, 3, 4, 5, 6, 7, -3, -6, 1, 2]
    assert sign_flip([tenth / 10 for tenth in tenths]) == sign_flip(tenths)
    assert sign_flip([tenth / 10 for tenth in tenths * 3]) == sign_flip(tenths * 3)


def test_differences_that_are_zero_change_nothing() -> None:
    assert sign_flip([*MAIZE, *[0.0] * 20]) == sign_flip(MAIZE)


def test_several_p_values_are_corrected_by_holms_method() -> None:
    """As R's ``p.adjust(method = "holm")``; what there is no test of isn't counted."""
    assert holm([0.04, 0.01, 0.03, 0.02]) == near([0.06, 0.04, 0.06, 0.06])
    assert holm([0.5, None, 0.6]) == [1.0, None, 1.0]
    assert holm([]) == []


# --- one combination -----------------------------------------------------------------------------


def test_yes_and_no_are_summarized_by_their_share() -> None:
    found = summary(once([True, True, False, True, None]))
    assert (found.kind, found.n, found.missing, found.cases, found.mean) == ("yes_no", 4, 1, 4, 0.75)
    assert ends(found.interval) == near(tuple(stats.binomtest(3, 4).proportion_ci(0.95, method="wilson")))


def test_numbers_are_summarized_by_mean_median_and_spread() -> None:
    found = summary(once(SLEEP))
    assert (found.kind, found.n, found.mean, found.median) == ("number", 10, near(1.58), 1.3)
    assert (found.sd, found.low, found.high) == (near(1.2300, abs=1e-4), 0.0, 4.6)
    assert ends(found.interval) == near((0.7001142, 2.4598858))
    assert found.interval is not None
    assert (found.interval.method, found.interval.confidence) == ("t", 0.95)


def test_labels_are_counted_the_most_frequent_first() -> None:
    found = summary(once(["b", "a", "c", "c", None]))
    assert (found.kind, found.n, found.missing) == ("label", 4, 1)
    assert list(found.labels.items()) == [("c", 2), ("a", 1), ("b", 1)]
    assert (found.mean, found.sd, found.interval) == (None, None, None)
    assert score_statistics("s", [once(["a"]), once(["b"])]).comparisons == ()


def test_repeats_count_as_one_case() -> None:
    found = summary(repeated([[1, 2, 3], [4, None, 6]]))
    assert (found.n, found.missing, found.cases, found.mean, found.median) == (5, 1, 2, 3.5, 3.5)
    assert ends(found.interval) == near(ends(of_mean([2, 5], 0.95)))


def test_a_kind_is_that_of_all_combinations_together() -> None:
    def kinds(*combinations: Sequence[Scored | None]) -> set[Any]:
        return {one.kind for one in score_statistics("s", [once(values) for values in combinations]).summaries}

    assert kinds([True], [False]) == {"yes_no"}
    assert kinds([True], [0.5]) == {"number"}
    assert kinds([True], ["x"]) == {"label"}
    assert kinds([True], [None]) == {"yes_no"}
    assert kinds([None], [None]) == {None}


def test_a_failed_trial_is_a_no_and_no_number() -> None:
    failed = [Observed("c9", 0, None, failed=True), Observed("c8", 0, None)]
    yes = summary([*once([True, True]), *failed])
    assert (yes.n, yes.missing, yes.mean) == (3, 1, near(2 / 3))
    number = summary([*once([1.0, 3.0]), *failed])
    assert (number.n, number.missing, number.mean) == (2, 2, 2.0)


@pytest.mark.parametrize(
    ("values", "mean", "sd"), [([], None, None), ([None, None], None, None), ([3], 3, None), ([3, 3, 3], 3, 0)]
)
def test_numbers_that_tell_nothing_have_no_interval(
    values: list[Scored | None], mean: float | None, sd: float | None
) -> None:
    found = summary(once(values))
    assert (found.mean, found.sd, found.interval) == (mean, sd, None)


# --- two combinations ----------------------------------------------------------------------------


def test_numbers_are_compared_case_by_case() -> None:
    found = comparison(once([0.0] * 15), once([float(difference) for difference in MAIZE]))
    assert (found.test, found.p_value, found.verdict) == ("sign-flip", 2 * 863 / 2**15, "no difference shown")
    assert (found.cases, found.difference, found.wins, found.losses, found.ties) == (
        15,
        near(20.9333, abs=1e-4),
        13,
        2,
        0,
    )
    assert ends(found.interval) == near((0.0312, 41.8355), abs=1e-3)  # R's t.test
    assert (found.effect_size, found.effect) == ("cohen-dz", near(0.5546, abs=1e-3))


def test_yes_and_no_are_compared_by_the_cases_that_changed() -> None:
    before = [False] * 7 + [True] + [True] * 12 + [False]
    after = [True] * 7 + [False] + [True] * 12 + [False]
    found = comparison(once(before), once(after))
    assert (found.test, found.p_value) == ("mcnemar", near(0.0703, abs=5e-5))
    assert (found.wins, found.losses, found.ties, found.difference) == (7, 1, 13, near(6 / 21))
    assert ends(found.interval) == near((0.0134, 0.5084), abs=1e-4)
    assert (found.effect_size, found.effect) == ("cohen-g", 0.375)


def test_repeats_of_a_case_are_one_difference() -> None:
    found = comparison(repeated([[False] * 10] * 4), repeated([[True] * 10] * 4))
    assert (found.cases, found.test, found.p_value) == (4, "sign-flip", 2 / 2**4)
    assert (found.interval, found.effect, found.effect_size) == (None, None, None)


def test_only_what_both_have_is_compared() -> None:
    before = [*repeated([[1, 100], [1, 1]]), Observed("only", 0, 5)]
    after = repeated([[2, None], [1, 1]])
    found = comparison(before, after)
    assert (found.cases, found.unpaired, found.difference) == (2, 1, 0.5)
    assert [(change.case, change.baseline, change.other) for change in found.improvements] == [("c0000", 1, 2)]


def test_changes_are_listed_the_biggest_first() -> None:
    found = comparison(once([5, 5, 5, 5, 5]), once([6, 9, 5, 4, 1]))
    assert [change.case for change in found.improvements] == ["c0001", "c0000"]
    assert [change.case for change in found.regressions] == ["c0004", "c0003"]
    assert [change.difference for change in found.regressions] == [-4, -1]
    same = comparison(once([0.0] * 50), once([1.0] * 50))
    assert [change.case for change in same.improvements] == [f"c{place:04}" for place in range(50)]


def test_less_may_be_better() -> None:
    found = comparison(once([9.0] * 8), once([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 10.0]), higher_is_better=False)
    assert (found.verdict, found.wins, found.losses) == ("better", 7, 1)
    assert found.difference is not None
    assert found.effect is not None
    assert found.difference < 0 < found.effect
    assert found.improvements[0].case == "c0000"
    assert found.regressions[0].case == "c0007"
    assert comparison(once([1.0] * 8), once([9.0] * 8), higher_is_better=False).verdict == "worse"


def test_where_neither_way_is_better_there_is_a_difference_and_no_verdict() -> None:
    found = comparison(once([1.0] * 8), once([9.0] * 8), higher_is_better=None)
    assert (found.difference, found.p_value, found.verdict) == (8, 2 / 2**8, None)


def test_a_verdict_allows_for_the_number_of_comparisons() -> None:
    """7 wins to none come to p = 0.0156: enough once, not in one of four comparisons."""
    baseline, better, same = once([False] * 7), once([True] * 7), once([False] * 7)
    assert comparison(baseline, better).verdict == "better"
    several = score_statistics("s", [baseline, better, same, same, same])
    first = several.compared(1)
    assert first is not None
    assert (first.corrected_p, first.verdict) == (4 * first.p_value if first.p_value else None, "no difference shown")


def test_any_combination_may_be_the_baseline() -> None:
    found = score_statistics("s", [once([False] * 8), once([True] * 8)], baseline=1)
    assert found.compared(1) is None
    first = found.compared(0)
    assert first is not None
    assert (first.baseline, first.verdict) == (1, "worse")
    with pytest.raises(InvalidRequest, match="no combination 2"):
        score_statistics("s", [[], []], baseline=2)


def test_alpha_decides_and_widens() -> None:
    found = comparison(once([0.0] * 15), once([float(difference) for difference in MAIZE]), alpha=0.1)
    assert found.verdict == "better"
    assert found.interval is not None
    assert found.interval.confidence == 0.9
    with pytest.raises(InvalidRequest, match="alpha"):
        score_statistics("s", [[]], alpha=1)


def test_combinations_that_are_the_same_show_no_difference() -> None:
    for values in ([True, False, True], [1.0, 2.0, 3.0], [[True, False], [True, True]]):
        trials = repeated(values) if isinstance(values[0], list) else once(values)
        found = comparison(trials, trials)
        assert (found.difference, found.p_value, found.verdict) == (0, 1, "no difference shown")
        assert (found.wins, found.losses, found.ties, found.effect) == (0, 0, len(values), None)


def test_nothing_in_common_is_nothing_to_compare() -> None:
    found = comparison(once([1.0, None]), once([None, 1.0]))
    assert (found.cases, found.unpaired, found.difference, found.interval) == (0, 2, None, None)
    assert (found.test, found.p_value, found.corrected_p, found.verdict) == (None, None, None, None)


def test_without_inferences_there_are_means_and_counts() -> None:
    full = score_statistics("s", [once([1.0, 2.0]), once([2.0, 4.0])])
    plain = score_statistics("s", [once([1.0, 2.0]), once([2.0, 4.0])], inferred=False)
    assert plain.summaries == tuple(replace(one, interval=None) for one in full.summaries)
    assert plain.comparisons == tuple(
        replace(one, interval=None, test=None, p_value=None, corrected_p=None, verdict=None) for one in full.comparisons
    )


def test_what_is_inferred_needs_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy", None)
    for ask in (lambda: score_statistics("s", [[]]), lambda: preference_statistics("p", {})):
        with pytest.raises(ExtraMissing, match="confidence intervals") as refused:
            ask()
        assert "wtb[batch]" in refused.value.hint


# --- preferences ---------------------------------------------------------------------------------


def preferred(*choices: str | None) -> list[Preferred]:
    return [Preferred(f"c{place}", 0, choice) for place, choice in enumerate(choices)]  # type: ignore[arg-type]


def test_preferences_are_counted_and_tested_without_the_ties() -> None:
    [found] = preference_statistics("p", {(0, 1): preferred(*"bbbbbbbba", "tie", "tie", None)})
    assert (found.a, found.b, found.cases, found.missing) == (0, 1, 11, 1)
    assert (found.wins_a, found.wins_b, found.ties, found.share_b) == (1, 8, 2, near(8 / 9))
    assert found.p_value == found.corrected_p == near(stats.binomtest(8, 9).pvalue)
    assert found.verdict == "better"
    assert ends(found.interval) == near(tuple(stats.binomtest(8, 9).proportion_ci(0.95, method="wilson")))


def test_a_cases_repeats_vote() -> None:
    votes = [Preferred("c", repeat, choice) for repeat, choice in enumerate(("a", "b", "b", None))]  # type: ignore[arg-type]
    votes += [Preferred("d", repeat, choice) for repeat, choice in enumerate(("a", "b", "tie"))]  # type: ignore[arg-type]
    [found] = preference_statistics("p", {(0, 1): votes})
    assert (found.cases, found.wins_a, found.wins_b, found.ties) == (2, 0, 1, 1)


def test_several_pairs_are_corrected_together() -> None:
    first, second = preference_statistics("p", {(0, 1): preferred(*"aaaaaaa"), (0, 2): preferred(*"ab")})
    assert first.p_value is not None
    assert (first.corrected_p, first.verdict) == (2 * first.p_value, "worse")
    assert (second.corrected_p, second.verdict) == (1, "no difference shown")


def test_ties_alone_show_no_difference_and_nothing_tells_nothing() -> None:
    ties, nothing = preference_statistics("p", {(0, 1): preferred("tie", "tie"), (0, 2): preferred(None)})
    assert (ties.share_b, ties.interval, ties.p_value, ties.verdict) == (None, None, 1, "no difference shown")
    assert (nothing.cases, nothing.missing, nothing.p_value, nothing.verdict) == (0, 1, None, None)
    assert preference_statistics("p", {(0, 1): preferred("a")}, inferred=False)[0].p_value is None


# --- from outcomes -------------------------------------------------------------------------------


def test_outcomes_are_sorted_by_combination() -> None:
    outcomes = [
        outcome(trial=Trial("c", 1, 0), scores={"s": 2}),
        outcome(trial=Trial("c", 0, 1), scores={"s": 1, "t": 5}),
        outcome("lost", trial=Trial("d", 0, 0)),
    ]
    assert observed(outcomes, "s", 3) == (
        (Observed("c", 1, 1), Observed("d", 0, None, failed=True)),
        (Observed("c", 0, 2),),
        (),
    )


def test_work_is_what_trials_took() -> None:
    used = (Usage(model="m", input_tokens=10, output_tokens=3), Usage(model="n", input_tokens=1, output_tokens=1))
    statuses: list[TrialStatus] = ["failed", "timed_out", "cancelled"]
    outcomes = [outcome(seconds=float(second), usage=used) for second in range(1, 21)]
    outcomes += [outcome(status, seconds=10.0, attempts=2) for status in statuses]
    first, second = work(outcomes, 2)
    assert first.statuses == {"completed": 20, "failed": 1, "timed_out": 1, "cancelled": 1}
    assert (first.trials, first.failures, first.retried) == (23, 2, 3)
    assert first.failure_rate == near(2 / 23)
    assert (first.seconds, first.median_seconds, first.p95_seconds) == (240, 10.5, 19)
    assert first.throughput == near(20 / 240)
    assert (first.input_tokens, first.output_tokens) == (220, 80)
    assert (second.trials, second.failure_rate, second.median_seconds, second.throughput) == (0, None, None, None)


def test_statistics_of_nothing_are_nothing() -> None:
    found = score_statistics("s", [[], []])
    assert isinstance(found, ScoreStatistics)
    assert (found.kind, found.comparisons) == (None, ())
    assert [(one.n, one.mean, one.interval) for one in found.summaries] == [(0, None, None)] * 2
