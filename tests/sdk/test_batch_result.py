"""What a batch came to, from its record alone: given facts in its stream, then a result."""

from datetime import timedelta
from typing import Any

import pytest

from tests.sdk.given_batch import (
    TWO,
    B,
    add_cases,
    batch_started,
    finished,
    no_cases,
    notes_graph,
    run_batch,
    scored,
    tell,
)
from wtb.domain.batch import (
    BatchCompleted,
    BatchResumed,
    BatchStopped,
    CasePreferred,
    CasesAdded,
    Price,
    Trial,
    Usage,
)
from wtb.domain.errors import BatchFailedError, BatchNotFound, InvalidRequest, NotFound, ValueMissing
from wtb.domain.execution import Failure
from wtb.domain.identifiers import WorkerId
from wtb.sdk import TestBench, WorkflowProject

FAILED = "no\nway"


# --- real runs -----------------------------------------------------------------------------------------


def test_another_process_sees_what_the_one_that_ran_it_saw(bench: TestBench, project: WorkflowProject) -> None:
    ids = run_batch(bench)
    mine = bench.batch_result(B)
    with TestBench(WorkflowProject("other", db_path=project.db_path, output_dir=project.output_dir)) as other:
        theirs = other.batch_result(B)
        assert theirs.to_json() == mine.to_json()
        assert [outcome.execution_id for outcome in theirs] == ids
        assert list(theirs.cases) == list(mine.cases)
        assert theirs.outcome("c0", 1).state["notes"] == ["short", "bye"]
    assert mine.outcome("c0").state["notes"] == ["long and winding", "bye"]
    assert (mine.cases[1].id, mine.cases[1].input, mine.cases[1].expected) == ("c1", {"query": "q1"}, "short")


def test_its_rows_can_be_asked_for_beside_it(bench: TestBench) -> None:
    ids = run_batch(bench)
    batch = bench.batch_info(B)
    assert [batch] == list(bench.batches(status="completed", workflow="notes"))
    assert (batch.trials, batch.finished, batch.failed) == (4, 4, 0)
    rows = bench.trials(B)
    assert [row.execution for row in rows] == ids
    assert [row.scores["exact"] for row in rows] == [True, False, False, True]
    assert "exact" in repr(rows)
    assert [row.execution for row in bench.trials(B, combination=1, case="c1")] == ids[3:]


def test_regressions_and_improvements_lead_to_the_executions_where_they_part(quick_bench: TestBench) -> None:
    ids = run_batch(quick_bench)
    result = quick_bench.batch_result(B)
    [worse], [better] = result.regressions("exact"), result.improvements("exact")
    assert (worse.case, worse.before, worse.after, worse.a, worse.b) == ("c0", 1.0, 0.0, ids[0], ids[1])
    assert (better.case, better.difference, better.a, better.b) == ("c1", 1.0, ids[2], ids[3])
    assert worse.command == f"wtb diff {ids[0]} {ids[1]}"
    assert next(step.node for step in quick_bench.diff(worse.a, worse.b).different) == "answer"
    assert result.improvements("exact", baseline=1)[0].a == ids[1]


def test_a_state_is_the_graph_s_output_where_the_graph_is_known(quick_bench: TestBench) -> None:
    run_batch(quick_bench)
    quick_bench.register(notes_graph(), workflow="notes")
    assert set(quick_bench.batch_result(B).outcomes[0].state) == {"query", "notes"}


def test_cases_are_read_when_they_are_asked_for(quick_bench: TestBench) -> None:
    """One whose value is gone is named without it, and the others are there."""
    tell(quick_bench, batch_started(2), no_cases(1))
    add_cases(quick_bench, [("kept", {"query": "q"}, None)])
    gone = no_cases(1).cases[0].model_copy(update={"id": "gone", "input": "A" * 43})
    tell(quick_bench, CasesAdded(cases=(gone,)))
    cases = quick_bench.batch_result(B).cases
    assert cases.ids == ("c0", "kept", "gone")
    assert (len(cases), cases[-2].input, cases.named("kept").input) == (3, {"query": "q"}, {"query": "q"})
    assert [case.id for case in cases[:2]] == ["c0", "kept"]
    with pytest.raises(ValueMissing):
        cases.named("gone")
    with pytest.raises(NotFound, match="other"):
        cases.named("other")


# --- how it stands ---------------------------------------------------------------------------------------


def test_there_is_no_result_of_a_batch_that_there_is_not(quick_bench: TestBench) -> None:
    for ask in (quick_bench.batch_result, quick_bench.batch_info, quick_bench.trials):
        for id in ("b9", "\0", "\ud800"):
            with pytest.raises(BatchNotFound):
                ask(id)


def test_a_batch_that_runs_has_a_result_of_what_has_ended(quick_bench: TestBench) -> None:
    tell(quick_bench, batch_started(2), no_cases(2), finished(1, 1), finished(0, 1))
    result = quick_bench.batch_result(B)
    assert (result.status, result.ended_at, result.trials, len(result)) == ("running", None, 4, 2)
    assert [outcome.trial.case for outcome in result] == ["c0", "c1"]
    assert result.unfinished == (Trial("c0", 0, 0), Trial("c1", 0, 0))
    assert result.matrix()["c0", 0] == ()
    with pytest.raises(NotFound):
        result.outcome("c0", 0)


def test_the_last_end_of_a_trial_counts_and_takes_earlier_scores_with_it(quick_bench: TestBench) -> None:
    tell(
        quick_bench,
        batch_started(1),
        no_cases(1),
        finished(0, status="failed", error=FAILED),
        scored(0, exact=False),
        finished(0, attempts=2),
    )
    [outcome] = quick_bench.batch_result(B)
    assert (outcome.status, outcome.attempts, outcome.error, outcome.scores) == ("completed", 2, None, {})


def test_what_lies_between_a_stop_and_the_resumption_is_no_work(quick_bench: TestBench) -> None:
    stopped = BatchStopped(reason="budget", detail="9 tokens")
    tell(quick_bench, batch_started(1), no_cases(1), stopped)  # seconds 1 to 3
    result = quick_bench.batch_result(B)
    assert (result.status, result.stop_reason, result.stop_detail) == ("stopped", "budget", "9 tokens")
    tell(quick_bench, BatchResumed(worker=WorkerId("bob")), finished(0), BatchCompleted(duration_us=1))  # 4 to 6
    result = quick_bench.batch_result(B)
    assert (result.status, result.stop_reason, result.resumed) == ("completed", None, 1)
    assert result.elapsed == timedelta(seconds=4)


def test_a_failure_is_told_and_raised(quick_bench: TestBench) -> None:
    ends = [
        finished(0, status="failed", error=FAILED),
        finished(0, 1, status="timed_out"),
        finished(1, status="lost"),
        finished(1, 1, status="paused"),
    ]
    tell(quick_bench, batch_started(2), no_cases(2), *ends)
    result = quick_bench.batch_result(B)
    assert [outcome.status for outcome in result.failures] == ["failed", "timed_out", "lost"]
    with pytest.raises(BatchFailedError, match=r"3 of 4 trials failed; the first is case 'c0'.*ValueError"):
        result.raise_for_status()
    assert str(FAILED.split()[0]) in repr(result)


def test_a_batch_without_failures_raises_nothing(quick_bench: TestBench) -> None:
    tell(quick_bench, batch_started(1), no_cases(1), finished(0), finished(0, 1, status="cancelled"))
    result = quick_bench.batch_result(B)
    assert result.raise_for_status() is result


def test_tokens_are_added_up_and_cost_what_their_prices_say(quick_bench: TestBench) -> None:
    prices = {"small": Price(input=2.0, output=1_000_000.0)}
    ends = [finished(0, tokens=500_000), finished(0, 1, tokens=500_000)]
    tell(quick_bench, batch_started(1, prices=prices), no_cases(1), *ends)
    result = quick_bench.batch_result(B)
    assert result.usage == (Usage(model="small", input_tokens=1_000_000, output_tokens=2),)
    assert (result.tokens, result.cost) == (1_000_002, 4.0)
    assert result.cost_of([Usage(model="other", input_tokens=5, output_tokens=5)]) == 0


def test_without_prices_nothing_is_said_of_cost(quick_bench: TestBench) -> None:
    tell(quick_bench, batch_started(1), no_cases(1), finished(0, tokens=5))
    assert quick_bench.batch_result(B).cost is None


# --- scores ----------------------------------------------------------------------------------------------


def given_scores(bench: TestBench, values: list[tuple[Any, Any]], **more: Any) -> None:
    """A case for each pair of values: under the first combination and under the second."""
    facts = [
        fact
        for place, pair in enumerate(values)
        for combination, value in enumerate(pair)
        for fact in (finished(place, combination), scored(place, combination, exact=value))
    ]
    tell(bench, batch_started(len(values), **more), no_cases(len(values)), *facts, BatchCompleted(duration_us=1))


def test_a_summary_says_whether_another_combination_is_better(quick_bench: TestBench) -> None:
    given_scores(quick_bench, [(False, True)] * 12 + [(True, True)] * 3)
    found = quick_bench.batch_result(B).summary("exact")
    assert [summary.mean for summary in found.summaries] == [0.2, 1.0]
    compared = found.compared(1)
    assert compared is not None
    assert (compared.verdict, compared.wins, compared.losses) == ("better", 12, 0)


def test_less_is_better_where_the_batch_says_so(quick_bench: TestBench) -> None:
    given_scores(quick_bench, [(1.0, 3.0), (2.0, 2.0), (3.0, 1.0)], higher_is_better={"exact": False})
    result = quick_bench.batch_result(B)
    assert [shift.case for shift in result.regressions("exact")] == ["c0"]
    assert [shift.case for shift in result.improvements("exact")] == ["c2"]


def test_where_neither_way_is_better_nothing_gets_worse(quick_bench: TestBench) -> None:
    given_scores(quick_bench, [(1.0, 3.0)], higher_is_better={"exact": None})
    result = quick_bench.batch_result(B)
    assert (result.regressions("exact"), result.improvements("exact")) == ((), ())


def test_labels_are_counted(quick_bench: TestBench) -> None:
    given_scores(quick_bench, [("kind", "rude"), ("kind", "kind")])
    result = quick_bench.batch_result(B)
    assert result.summary("exact").summaries[0].labels == {"kind": 2}
    assert "kind 1, rude 1" in repr(result)
    assert result.regressions("exact") == ()


def test_of_several_repeats_those_farthest_apart_are_shown(quick_bench: TestBench) -> None:
    values = {(0, 0): 1.0, (0, 1): 5.0, (1, 0): 1.0, (1, 1): 2.0}
    facts = [
        fact
        for (combination, repeat), value in values.items()
        for fact in (finished(0, combination, repeat), scored(0, combination, repeat, exact=value))
    ]
    tell(quick_bench, batch_started(1, repeats=2), no_cases(1), *facts)
    [worse] = quick_bench.batch_result(B).regressions("exact")
    assert (worse.before, worse.after) == (3.0, 1.5)
    assert (worse.a, worse.b) == ("b1.0.0.1", "b1.0.1.1")


def test_a_score_that_raised_is_told_beside_the_others(quick_bench: TestBench) -> None:
    started = batch_started(1, scores=("exact", "judge"))
    tell(quick_bench, started, no_cases(1), finished(0), scored(0, exact=True, raised="judge"), finished(0, 1))
    result = quick_bench.batch_result(B)
    assert str(result.outcome("c0").score_errors["judge"]) == "TimeoutError: no answer"
    assert result.outcome("c0").scores == {"exact": True}
    assert repr(result.matrix()).splitlines()[-1].split("  ")[1:] == ["exact yes, judge raised", "completed"]


def test_a_score_or_a_combination_that_the_batch_has_not_is_refused(quick_bench: TestBench) -> None:
    given_scores(quick_bench, [(True, True)])
    result = quick_bench.batch_result(B)
    for ask in (result.summary, result.regressions, result.improvements):
        for asked in (("other",), ("exact", 2), ("exact", -1)):
            with pytest.raises(InvalidRequest, match="b1"):
                ask(*asked)
    with pytest.raises(InvalidRequest, match="other"):
        result.preferred("other")


def test_preferences_say_which_is_better(quick_bench: TestBench) -> None:
    told = [
        CasePreferred(case=f"c{place}", repeat=0, a=0, b=1, preference="judge", preferred="b") for place in range(10)
    ]
    raised = CasePreferred(
        case="c10",
        repeat=0,
        a=0,
        b=1,
        preference="judge",
        preferred=None,
        error=Failure(type="ValueError", message="neither"),
    )
    tell(quick_bench, batch_started(11, preferences=("judge",)), no_cases(11), *told, raised)
    result = quick_bench.batch_result(B)
    [found] = result.preferred("judge")
    assert (found.wins_b, found.missing, found.verdict) == (10, 1, "better")
    assert str(result.preferences[-1].error) == "ValueError: neither"
    assert "b is better" in repr(result)


def test_preferences_are_told_in_the_order_of_the_combinations_however_they_came(quick_bench: TestBench) -> None:
    told = [CasePreferred(case="c0", repeat=0, a=0, b=b, preference="judge", preferred="b") for b in (3, 1, 2)]
    combinations = [{"answer": name} for name in ("default", "x", "y", "z")]
    tell(quick_bench, batch_started(1, combinations, preferences=("judge",)), no_cases(1), *told)
    assert [pair.b for pair in quick_bench.batch_result(B).preferred("judge")] == [1, 2, 3]


# --- as people see it ------------------------------------------------------------------------------------


def test_a_result_and_its_matrix_are_readable_in_a_repl_and_in_jupyter(quick_bench: TestBench) -> None:
    given_scores(quick_bench, [(True, False)], description="<b>")
    result = quick_bench.batch_result(B)
    assert repr(result).startswith("<BatchResult b1: completed, 2 of 2 trials>\n\nscore ")
    assert "answer=short" in result._repr_html_()
    assert "<td>exact yes</td><td>exact no</td>" in result.matrix()._repr_html_()
    assert "exact yes" in repr(result.matrix())
    assert [case for case, _ in result.matrix()] == ["c0"]


def test_a_batch_of_ten_thousand_trials_is_handled_without_reading_a_state(quick_bench: TestBench) -> None:
    """Nothing of them is in the store but the batch's own facts."""
    number = 5_000
    facts = [
        fact
        for place in range(number)
        for combination in (0, 1)
        for fact in (
            finished(place, combination, status="failed" if place % 100 == 0 else "completed", error="no"),
            scored(place, combination, exact=place % 3 == combination),
        )
    ]
    tell(quick_bench, batch_started(number), no_cases(number), *facts, BatchCompleted(duration_us=1), apart_us=1)
    result = quick_bench.batch_result(B)
    assert (len(result), len(result.failures), result.unfinished) == (10_000, 100, ())
    assert result.summary("exact").summaries[0].cases == number
    assert f"… {len(result.failures) - 5} more" in repr(result)
    assert quick_bench.batch_info(B).failed == 100
    assert len(quick_bench.trials(B, limit=10)) == 10
    assert [*result.combinations] == [*TWO]
