"""Statistics keep their promises over many made-up batches: intervals hold the truth, chance rarely looks better."""

import math
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import Generator

from tests.sdk.outcomes import once, repeated
from wtb.domain.batch import Scored
from wtb.sdk.batches.statistics.score_statistics import Observed, Preferred, preference_statistics, score_statistics

Batch = Callable[[Generator], list[Observed]]


def yes(share: float, cases: int) -> Batch:
    return lambda numbers: once((numbers.random(cases) < share).tolist())


def yes_repeated(a: float, b: float, cases: int, repeats: int) -> Batch:
    """Each case has a share of yes of its own, around ``a / (a + b)``."""

    def made(numbers: Generator) -> list[Observed]:
        shares = numbers.beta(a, b, cases)[:, None]
        return repeated((numbers.random((cases, repeats)) < shares).tolist())

    return made


def numbers_repeated(cases: int, repeats: int) -> Batch:
    """Cases differ more than the repeats of one."""

    def made(numbers: Generator) -> list[Observed]:
        return repeated((numbers.normal(0, 3, (cases, 1)) + numbers.normal(0, 1, (cases, repeats))).tolist())

    return made


def coverage(made: Batch, truth: float, times: int) -> float:
    """In how many of so many batches the interval held the truth."""
    numbers = np.random.default_rng(4)
    held = 0
    for _ in range(times):
        interval = score_statistics("s", [made(numbers)]).summaries[0].interval
        held += interval is not None and interval.low <= truth <= interval.high
    return held / times


def differences_shown(made: Batch, combinations: int, times: int) -> float:
    """In how many of so many batches of combinations that are all the same any is called better or worse."""
    numbers = np.random.default_rng(4)
    wrong = 0
    for _ in range(times):
        found = score_statistics("s", [made(numbers) for _ in range(combinations)]).comparisons
        wrong += any(one.verdict != "no difference shown" for one in found)
    return wrong / times


INTERVALS = [
    pytest.param(yes(0.5, 20), 0.5, id="half of 20 cases"),
    pytest.param(yes(0.9, 30), 0.9, id="nine tenths of 30 cases"),
    pytest.param(yes_repeated(9, 1, 20, 5), 0.9, id="20 cases five times"),
    pytest.param(yes_repeated(0.5, 0.5, 10, 3), 0.5, id="10 very different cases three times"),
    pytest.param(numbers_repeated(10, 3), 0.0, id="numbers of 10 cases three times"),
]
NO_DIFFERENCES = [
    pytest.param(yes(0.5, 20), 2, id="yes and no"),
    pytest.param(yes_repeated(2, 2, 10, 3), 2, id="yes and no three times"),
    pytest.param(numbers_repeated(12, 3), 2, id="numbers"),
    pytest.param(numbers_repeated(12, 1), 5, id="numbers of five combinations"),
]


@pytest.mark.parametrize(("made", "truth"), INTERVALS)
def test_an_interval_holds_the_truth_about_as_often_as_it_says(made: Batch, truth: float) -> None:
    assert 0.92 <= coverage(made, truth, 500) <= 0.995


@pytest.mark.parametrize(("made", "combinations"), NO_DIFFERENCES)
def test_what_is_the_same_is_seldom_called_better_or_worse(made: Batch, combinations: int) -> None:
    assert differences_shown(made, combinations, 150) <= 0.09


@pytest.mark.soak
@pytest.mark.parametrize(("made", "truth"), INTERVALS)
def test_an_interval_holds_the_truth_as_often_as_it_says(made: Batch, truth: float) -> None:
    assert 0.935 <= coverage(made, truth, 10_000) <= 0.985


@pytest.mark.soak
@pytest.mark.parametrize(("made", "combinations"), NO_DIFFERENCES)
def test_what_is_the_same_is_called_better_or_worse_no_more_often_than_alpha(made: Batch, combinations: int) -> None:
    assert differences_shown(made, combinations, 3_000) <= 0.055


def test_what_is_better_is_found() -> None:
    numbers = np.random.default_rng(4)
    better = [
        score_statistics("s", [yes(0.5, 100)(numbers), yes(0.8, 100)(numbers)]).comparisons[0].verdict == "better"
        for _ in range(50)
    ]
    assert sum(better) > 45


# --- whatever comes ------------------------------------------------------------------------------

VALUES = st.one_of(
    st.lists(st.booleans() | st.none()),
    st.lists(st.integers(-(2**63), 2**63 - 1) | st.floats(-1e100, 1e100) | st.none()),
    st.lists(st.sampled_from([0.1, 0.2, 0.3]) | st.none()),
    st.lists(st.text("ab", min_size=1) | st.booleans() | st.floats(0, 1)),
)


@st.composite
def batches(draw: st.DrawFn) -> list[list[Observed]]:
    """Up to four combinations; cases and repeats may lack anywhere, and trials have failed."""
    return [
        [
            Observed(f"c{place % 5}", place // 5, value, failed=value is None and draw(st.booleans()))
            for place, value in enumerate(values)
        ]
        for values in draw(st.lists(VALUES, min_size=1, max_size=4))
    ]


def flaws(thing: Any) -> list[float]:
    """All that isn't finite, anywhere in it."""
    if isinstance(thing, float):
        return [] if math.isfinite(thing) else [thing]
    if is_dataclass(thing):
        return [flaw for field in fields(thing) for flaw in flaws(getattr(thing, field.name))]
    if isinstance(thing, tuple):
        return [flaw for one in thing for flaw in flaws(one)]
    return []


@settings(deadline=None)
@given(batches(), st.sampled_from([True, False, None]), st.randoms())
def test_whatever_was_scored_numbers_are_finite_and_the_order_of_trials_is_nothing(
    combinations: list[list[Observed]], higher_is_better: bool | None, random: Any
) -> None:
    found = score_statistics("s", combinations, higher_is_better=higher_is_better)
    assert flaws(found) == []
    shuffled = [random.sample(trials, len(trials)) for trials in combinations]
    assert score_statistics("s", shuffled, higher_is_better=higher_is_better) == found
    for one in found.comparisons:
        assert one.wins + one.losses + one.ties == one.cases
        assert (len(one.improvements), len(one.regressions)) == (one.wins, one.losses)
        assert one.p_value is None or 0 < one.p_value <= (one.corrected_p or 0) <= 1


@settings(deadline=None)
@given(batches())
def test_turned_round_a_win_is_a_loss_of_the_same_size(combinations: list[list[Observed]]) -> None:
    pair = [*combinations, *combinations][:2]
    there, back = score_statistics("s", pair), score_statistics("s", pair, baseline=1)
    for one, other in zip(there.comparisons, back.comparisons, strict=True):
        assert (one.wins, one.losses, one.p_value) == (other.losses, other.wins, other.p_value)
        assert {change.case for change in one.improvements} == {change.case for change in other.regressions}
        assert (one.verdict, other.verdict) in (
            ("better", "worse"),
            ("worse", "better"),
            ("no difference shown", "no difference shown"),
            (None, None),
        )


@settings(deadline=None)
@given(st.lists(st.sampled_from(["a", "b", "tie", None])))
def test_whatever_is_preferred_it_is_told_from_either_side(choices: list[Any]) -> None:
    turned = {"a": "b", "b": "a", "tie": "tie", None: None}
    pairs: dict[tuple[int, int], list[Preferred]] = {
        (0, 1): [Preferred(f"c{place % 5}", place // 5, choice) for place, choice in enumerate(choices)],
        (1, 0): [Preferred(f"c{place % 5}", place // 5, turned[choice]) for place, choice in enumerate(choices)],  # type: ignore[arg-type]
    }
    one, other = preference_statistics("p", pairs)
    assert flaws((one, other)) == []
    assert (one.wins_a, one.wins_b, one.ties, one.p_value) == (other.wins_b, other.wins_a, other.ties, other.p_value)


def test_a_drawn_p_value_is_the_same_for_ever() -> None:
    """Pinned: whoever makes a report again from the record gets the same one."""
    numbers = np.random.default_rng(4)
    before: list[Scored | None] = [float(value) for value in numbers.normal(0, 1, 100)]
    after: list[Scored | None] = [float(value) for value in numbers.normal(0.1, 1, 100)]
    assert score_statistics("s", [once(before), once(after)]).comparisons[0].p_value == 0.0132
