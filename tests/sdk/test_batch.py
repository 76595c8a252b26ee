"""Batches: every trial is an execution, one that fails spoils no other, and all of it is in the record."""

from typing import Any

import pytest

from tests.sdk.given import chain, says
from wtb.domain.errors import InvalidCase
from wtb.sdk import TestBench
from wtb.sdk.batches.outcome import Case, Outcome

CASES = [{"query": name} for name in ("one", "two", "three")]


def exact(case: Case, outcome: Outcome) -> bool:
    return bool(outcome.state["notes"][-1] == case.expected)


def echo(state: Any) -> Any:
    return {"notes": [state["query"]]}


def test_every_case_runs_under_every_combination_as_an_execution_of_its_own(bench: TestBench) -> None:
    cases = [Case(name, {"query": name}, expected=name) for name in ("one", "two", "three")]
    result = bench.batch(
        chain(first=says("1"), answer=echo), cases, variants={"answer": ["default", says("short")]}, scores=[exact]
    )
    assert result.status == "completed"
    assert [(o.trial.case, o.trial.combination, o.status, o.scores) for o in result] == [
        (name, place, "completed", {"exact": place == 0}) for name in ("one", "two", "three") for place in (0, 1)
    ]
    for outcome in result:
        execution = bench.execution(outcome.execution_id)
        assert execution.variants == result.combinations[outcome.trial.combination]
        assert execution.status == "completed"


def test_a_case_that_fails_is_told_and_spoils_no_other(bench: TestBench) -> None:
    def picky(state: Any) -> Any:
        if state["query"] == "two":
            raise ValueError("not two")
        return {"notes": ["fine"]}

    result = bench.batch(chain(picky=picky), CASES, variants=None)
    assert [o.status for o in result] == ["completed", "failed", "completed"]
    assert result.outcome("2").error is not None
    assert "not two" in str(result.outcome("2").error)


def test_a_case_that_does_not_fit_is_refused_before_anything_is_written(bench: TestBench) -> None:
    before = bench.platform.store.last_position()
    with pytest.raises(InvalidCase, match="case number 2"):
        bench.batch(chain(first=says("1")), [{"query": "q"}, {"nonsense": 1}])
    assert bench.platform.store.last_position() == before
