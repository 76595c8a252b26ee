"""Asking scores: what is a score, what isn't, and that none spoils another."""

import asyncio
from collections.abc import Callable
from enum import StrEnum
from functools import partial
from typing import Any

import numpy
import pytest

from tests.sdk.outcomes import case, outcome
from wtb.domain.batch import TrialStatus
from wtb.domain.errors import InvalidRequest
from wtb.sdk import scores
from wtb.sdk.batches.outcome import Case, Outcome
from wtb.sdk.batches.scoring import Choice, as_preferences, as_score, as_scores, prefer, score_outcome


def says(value: Any) -> Callable[[Case, Outcome], Any]:
    def score(case: Case, outcome: Outcome) -> Any:
        return value

    return score


def test_one_that_raises_spoils_nothing_but_its_own_answer() -> None:
    def broken(case: Case, outcome: Outcome) -> bool:
        raise KeyError("answer")

    async def slow(case: Case, outcome: Outcome) -> float:
        await asyncio.sleep(0)
        return 0.5

    async def broken_too(case: Case, outcome: Outcome) -> float:
        await asyncio.sleep(0)
        raise OSError("no judge")

    found, errors = score_outcome(
        case(), outcome(), as_scores([broken, slow, broken_too, scores.score(says("x"), name="last")])
    )
    assert found == {"slow": 0.5, "last": "x"}
    assert {name: (error.type, error.message) for name, error in errors.items()} == {
        "broken": ("KeyError", "'answer'"),
        "broken_too": ("OSError", "no judge"),
    }


def test_coroutines_run_side_by_side() -> None:
    met = asyncio.Barrier(2)

    async def one(case: Case, outcome: Outcome) -> bool:
        await asyncio.wait_for(met.wait(), 30)
        return True

    async def other(case: Case, outcome: Outcome) -> bool:
        await asyncio.wait_for(met.wait(), 30)
        return True

    assert score_outcome(case(), outcome(), as_scores([one, other])) == ({"one": True, "other": True}, {})


def test_what_is_no_exception_passes_through() -> None:
    def interrupted(case: Case, outcome: Outcome) -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_outcome(case(), outcome(), as_scores([interrupted]))


class Colour(StrEnum):
    RED = "red"


@pytest.mark.parametrize("value", [True, 0, -3, 1.5, "label", 2**63 - 1])
def test_bools_numbers_and_labels_are_scores(value: Any) -> None:
    found, _ = score_outcome(case(), outcome(), [as_score(says(value))])
    assert (found["score"], type(found["score"])) == (value, type(value))


def test_scalars_and_enums_are_taken_for_what_they_hold() -> None:
    for value, plain in (
        (numpy.bool_(True), True),
        (numpy.int64(3), 3),
        (numpy.float64(0.5), 0.5),
        (Colour.RED, "red"),
    ):
        found, _ = score_outcome(case(), outcome(), [as_score(says(value))])
        assert (found["score"], type(found["score"])) == (plain, type(plain))


@pytest.mark.parametrize(
    "value",
    [
        *(float("nan"), float("inf"), -float("inf"), 1e101, 2**63),
        *(None, [1], {"a": 1}, b"x", 1j),
        *("", " ", "x" * 201, "\0", "\ud800"),
    ],
    ids=ascii,
)
def test_anything_else_is_an_error(value: Any) -> None:
    found, errors = score_outcome(case(), outcome(), [as_score(says(value))])
    assert found == {}
    assert errors["score"].type in ("TypeError", "ValueError")


def test_an_errors_message_can_be_stored_whatever_it_holds() -> None:
    def broken(case: Case, outcome: Outcome) -> bool:
        raise ValueError("\0 and \ud800")

    _, errors = score_outcome(case(), outcome(), [as_score(broken)])
    assert errors["broken"].message == r"'\x00 and \ud800'"


# --- trials that didn't complete -----------------------------------------------------------------


@pytest.mark.parametrize("status", ["failed", "timed_out", "lost"])
def test_a_failed_trial_gets_what_each_score_says_and_none_is_asked(status: TrialStatus) -> None:
    def unasked(case: Case, outcome: Outcome) -> float:
        raise AssertionError

    def annotated(case: Case, outcome: Outcome) -> bool:
        raise AssertionError

    def attributed(case: Case, outcome: Outcome) -> float:
        raise AssertionError

    attributed.when_failed = -1.0  # type: ignore[attr-defined]
    checked = as_scores([scores.exact_match("a"), unasked, annotated, attributed, scores.latency()])
    assert score_outcome(case("x"), outcome(status), checked) == (
        {"exact_match": False, "annotated": False, "attributed": -1.0},
        {},
    )


def test_a_paused_trial_is_scored_and_a_cancelled_one_is_not() -> None:
    exact = as_scores([scores.exact_match("a")])
    assert score_outcome(case("x"), outcome("paused", a="x"), exact) == ({"exact_match": True}, {})
    assert score_outcome(case("x"), outcome("cancelled", a="x"), exact) == ({}, {})


# --- preferences ---------------------------------------------------------------------------------


def longer(case: Case, a: Outcome, b: Outcome) -> Choice:
    one, other = len(a.state["text"]), len(b.state["text"])
    return "a" if one > other else "b" if other > one else "tie"


async def later(case: Case, a: Outcome, b: Outcome) -> Choice:
    await asyncio.sleep(0)
    return longer(case, a, b)


def test_a_function_prefers_at_once_or_later() -> None:
    for preference in as_preferences([longer, later]):
        assert prefer(case(), outcome(text="xx"), outcome(text="x"), preference) == ("a", None)
        assert prefer(case(), outcome(text="x"), outcome(text="xx"), preference) == ("b", None)
        assert prefer(case(), outcome(text="x"), outcome(text="y"), preference) == ("tie", None)


def test_a_preference_that_raises_or_says_something_else_is_an_error() -> None:
    def nonsense(case: Case, a: Outcome, b: Outcome) -> Any:
        return "c"

    [raising, talking] = as_preferences([longer, nonsense])
    choice, error = prefer(case(), outcome(), outcome(), raising)
    assert (choice, error and error.type) == (None, "KeyError")
    choice, error = prefer(case(), outcome(), outcome(), talking)
    assert (choice, error and error.message) == (None, "a preference is 'a', 'b' or 'tie', and this is 'c'")


def test_a_failed_trial_is_never_preferred() -> None:
    [preference] = as_preferences([longer])
    completed, failed = outcome(text="x"), outcome("failed")
    assert prefer(case(), completed, failed, preference) == ("a", None)
    assert prefer(case(), failed, completed, preference) == ("b", None)
    assert prefer(case(), failed, outcome("lost"), preference) == ("tie", None)
    assert prefer(case(), completed, outcome("cancelled"), preference) == (None, None)


# --- what is refused before anything runs --------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ([3], "is a function of"),
        ([scores.exact_match], "can't be called with"),
        ([scores.Score], "is a function of"),
        ([lambda outcome: True], "can't be called with"),
        ([partial(says(1))], "name is 1 to 100"),
        ([scores.latency(), scores.latency()], "more than one score is called 'latency'"),
        ([lambda c, o: 1, lambda c, o: 2], "more than one score is called '<lambda>'"),
    ],
)
def test_what_is_no_score_is_refused_before_anything_runs(given: list[object], why: str) -> None:
    with pytest.raises(InvalidRequest, match=why):
        as_scores(given)


def test_scores_come_in_a_list() -> None:
    with pytest.raises(InvalidRequest, match="come in a list"):
        as_scores(scores.latency())  # type: ignore[arg-type]


@pytest.mark.parametrize("name", [" ", "x" * 101, "a\nb", "\0"])
def test_a_name_can_be_shown(name: str) -> None:
    with pytest.raises(InvalidRequest, match="name is 1 to 100"):
        scores.latency(name=name)


def test_what_a_failed_trial_gets_is_a_score() -> None:
    with pytest.raises(InvalidRequest, match="when_failed"):
        scores.score(says(1), when_failed=float("nan"))


def test_what_is_no_preference_is_refused_before_anything_runs() -> None:
    with pytest.raises(InvalidRequest, match="more than one preference is called 'longer'"):
        as_preferences([longer, longer])
    with pytest.raises(InvalidRequest, match="can't be called with"):
        as_preferences([says(1)])
