"""Batches: every trial is an execution, one that fails spoils no other, and all of it is in the record."""

import asyncio
import math
import threading
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage

from tests.sdk.given import asks, chain, completed, says, started
from wtb.domain.batch import Budget, Price
from wtb.domain.errors import InvalidCase, InvalidRequest
from wtb.sdk import Redaction, TestBench, WorkflowProject
from wtb.sdk.batches.outcome import Case, Outcome
from wtb.sdk.batches.progress import BatchProgress

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


def test_a_node_that_hangs_times_out_and_shuts_its_late_thread_out(bench: TestBench) -> None:
    """The trial is tried again while the first try still hangs; what that does when it wakes isn't recorded."""
    hangs, tried = threading.Event(), []

    def slow_once(state: Any) -> Any:
        tried.append(threading.current_thread())
        if len(tried) == 1:
            hangs.wait()
            return {"notes": ["late"]}
        return {"notes": ["in time"]}

    graph = chain(first=says("1"), slow=slow_once, last=says("3"))
    result = bench.batch(graph, [{"query": "q"}], timeout=0.5, attempts=2)
    [outcome] = result
    hangs.set()
    tried[0].join()
    assert (outcome.status, outcome.attempts) == ("completed", 2)
    assert bench.state(outcome.execution_id)["notes"] == ["1", "in time", "3"]
    assert completed(bench.events(outcome.execution_id)) == ["first", "slow", "last"]
    assert bench.verify().whole


def test_a_trial_that_never_ends_is_timed_out_and_the_others_go_on(bench: TestBench) -> None:
    hangs = threading.Event()

    def slow(state: Any) -> Any:
        if state["query"] == "two":
            hangs.wait()
        return {"notes": ["done"]}

    result = bench.batch(chain(slow=slow), CASES, timeout=0.5, max_concurrency=1)
    hangs.set()
    assert [o.status for o in result] == ["completed", "timed_out", "completed"]
    assert bench.execution(result.outcome("2").execution_id).status == "cancelled"


def test_a_task_that_hangs_times_out_too(quick_bench: TestBench) -> None:
    async def slow(state: Any) -> Any:
        if state["query"] == "two":
            await asyncio.Event().wait()
        return {"notes": ["done"]}

    result = quick_bench.batch(chain(slow=slow), CASES, timeout=0.5, attempts=2)
    assert result.settings.executor == "asyncio"
    assert [(o.status, o.attempts) for o in result] == [("completed", 1), ("timed_out", 2), ("completed", 1)]


def test_a_failed_trial_is_tried_again_from_the_node_that_failed(bench: TestBench) -> None:
    tries = count(1)

    def flaky(state: Any) -> Any:
        if next(tries) < 3:
            raise ValueError("not yet")
        return {"notes": ["2"]}

    [outcome] = bench.batch(chain(first=says("1"), flaky=flaky), [{"query": "q"}], attempts=3)
    assert (outcome.status, outcome.attempts) == ("completed", 3)
    assert started(bench.events(outcome.execution_id)) == ["first", "flaky", "flaky", "flaky"]


def test_the_first_failure_stops_a_batch_that_is_to_fail_fast_and_it_can_be_resumed(bench: TestBench) -> None:
    broken = [True]

    def picky(state: Any) -> Any:
        if state["query"] == "one" and broken:
            raise ValueError("not one")
        return {"notes": ["fine"]}

    graph = chain(picky=picky)
    result = bench.batch(graph, CASES, fail_fast=True, max_concurrency=1)
    assert (result.status, result.stop_reason) == ("stopped", "fail_fast")
    assert [o.status for o in result] == ["failed"]
    resumed = bench.resume_batch(result.id)
    assert (resumed.status, [o.status for o in resumed]) == ("completed", ["failed", "completed", "completed"])
    broken.clear()
    retried = bench.resume_batch(result.id, retry_failed=True)
    assert [(o.status, o.attempts) for o in retried] == [("completed", 2), ("completed", 1), ("completed", 1)]
    assert bench.resume_batch(result.id, retry_failed=True).resumed == retried.resumed


def test_a_batch_that_is_asked_to_stop_starts_no_further_trial(bench: TestBench) -> None:
    def stops(state: Any) -> Any:
        if state["query"] == "one":
            bench.stop_batch("b", "enough")
        return {"notes": ["fine"]}

    graph = chain(stops=stops)
    result = bench.batch(graph, [{"query": str(n)} for n in ("one", *range(40))], max_concurrency=1, batch_id="b")
    assert (result.status, result.stop_reason, result.stop_detail) == ("stopped", "request", "enough")
    assert 1 <= len(result) < 41
    assert bench.stop_batch("b").status == "stopped"
    assert len(bench.resume_batch("b")) == 41


def test_a_batch_whose_progress_can_not_be_told_is_stopped_and_may_be_resumed(bench: TestBench) -> None:
    def tells(progress: BatchProgress) -> None:
        if progress.finished:
            raise BrokenPipeError("nobody looks any more")

    graph = chain(a=says("a"))
    with pytest.raises(BrokenPipeError):
        bench.batch(graph, CASES, max_concurrency=1, batch_id="b", progress=tells)
    stopped = bench.batch_info("b")
    assert (stopped.status, stopped.stop_reason, stopped.stop_detail) == ("stopped", "interrupted", "BrokenPipeError")
    assert len(bench.resume_batch("b")) == 3


def test_a_used_up_budget_stops_a_batch(quick_bench: TestBench) -> None:
    def answers(state: Any) -> Any:
        metadata: Any = {"input_tokens": 60, "output_tokens": 40, "total_tokens": 100}
        said = AIMessage("so", usage_metadata=metadata, response_metadata={"model_name": "small"})
        return {"notes": [GenericFakeChatModel(messages=iter([said])).invoke("q").text]}

    graph = chain(answers=answers)
    cases = [{"query": str(number)} for number in range(5)]
    result = quick_bench.batch(graph, cases, budget=Budget(tokens=150), max_concurrency=1)
    assert (result.status, result.stop_reason, len(result)) == ("stopped", "budget", 2)
    cost = Budget(cost=0.25)
    prices = {"small": Price(input=1000, output=1000)}
    assert len(quick_bench.batch(graph, cases, budget=cost, prices=prices, max_concurrency=1)) == 3
    unpriced = quick_bench.batch(graph, cases, budget=cost, prices={"other": prices["small"]}, max_concurrency=1)
    assert "'small' has no price" in unpriced.stop_detail
    with pytest.raises(InvalidRequest, match="prices"):
        quick_bench.batch(graph, cases, budget=cost)


@pytest.mark.parametrize("tokens", [None, -3, 1.5, 10**30])
def test_tokens_that_can_be_no_number_of_them_count_as_none(bench: TestBench, tokens: Any) -> None:
    """Whatever a model tells, the batch goes on and the store can be read."""

    def answers(state: Any) -> Any:
        said = AIMessage("so", response_metadata={"model_name": "sm\ud800all"})
        said.usage_metadata = {"input_tokens": tokens, "output_tokens": 4, "total_tokens": 4}
        return {"notes": [GenericFakeChatModel(messages=iter([said])).invoke("q").text]}

    result = bench.batch(chain(answers=answers), CASES)
    assert [o.status for o in result] == ["completed"] * 3
    assert [(used.model, used.input_tokens, used.output_tokens) for used in result.usage] == [("sm?all", 0, 12)]
    assert bench.batch_info(result.id).output_tokens == 12


@pytest.mark.parametrize("name", ["a\0b", "a\ud800b", 3, "n" * 501], ids=["zero", "surrogate", "number", "long"])
def test_a_workflow_s_name_that_not_every_store_can_hold_is_refused(quick_bench: TestBench, name: Any) -> None:
    with pytest.raises(InvalidRequest, match="can't name a workflow"):
        quick_bench.batch(chain(a=says("a")), CASES, workflow=name)
    with pytest.raises(InvalidRequest, match="can't name a workflow"):
        quick_bench.run(chain(a=says("a")), CASES[0], workflow=name)
    assert quick_bench.platform.store.last_position() == 0


@pytest.mark.parametrize(
    "flaw",
    [
        {"prices": {"small": Price(input=math.nan, output=1)}},
        {"prices": {"small": Price(input=1, output=math.inf)}},
        {"prices": {"small": Price(input=-1, output=1)}},
        {"prices": {"small": 1}},
        {"prices": 1},
        {"budget": 3},
        {"timeout": math.nan},
        {"timeout": math.inf},
        {"timeout": 1e300},
        {"timeout": 1e-9},
        {"timeout": "30"},
        {"repeats": 1.5},
        {"repeats": "2"},
        {"repeats": 3_000_000_000},
        {"max_concurrency": 0},
        {"attempts": 2.0},
        {"attempts": 10**20},
        {"variants": 3},
        {"cases": 3},
        {"cases": [Case(3, {"query": "q"})]},  # type: ignore[arg-type]
        {"cases": [Case("é" * 251, {"query": "q"})]},
        {"batch_id": "b" * 200},
        {"scores": [3]},
        {"preferences": [3]},
    ],
    ids=str,
)
def test_a_batch_that_can_not_be_run_as_asked_is_refused_with_a_hint_before_anything_is_written(
    quick_bench: TestBench, flaw: dict[str, Any]
) -> None:
    asked = {"cases": [{"query": "q"}], **flaw}
    with pytest.raises((InvalidRequest, InvalidCase)) as refused:
        quick_bench.batch(chain(a=says("a")), **asked)
    assert refused.value.hint
    assert quick_bench.platform.store.last_position() == 0


def test_a_trial_that_asks_something_is_paused_and_told_as_ended_once_it_was_answered(bench: TestBench) -> None:
    graph = chain(asks=asks("really?"))
    result = bench.batch(graph, [{"query": "q"}])
    [outcome] = result
    assert (result.status, outcome.status) == ("completed", "paused")
    bench.resume(outcome.execution_id, "yes")
    [outcome] = bench.resume_batch(result.id)
    assert outcome.status == "completed"


def test_past_failures_are_cases_again(bench: TestBench) -> None:
    def picky(state: Any) -> Any:
        if state["query"] == "two":
            raise ValueError("not two")
        return {"notes": ["fine"]}

    cases = [Case(name, {"query": name}, expected=name, metadata={"from": "me"}) for name in ("one", "two")]
    first = bench.batch(chain(picky=picky), cases, variants={"picky": ["default", picky]})
    again = bench.cases_from(batch=first.id, status="failed")
    assert [(c.id, c.input, c.expected, c.metadata) for c in again] == [
        ("two", {"query": "two"}, "two", {"from": "me"})
    ]
    assert again[0].source == first.outcome("two").execution_id
    assert [c.id for c in bench.cases_from(status="failed")] == ["two"]
    lone = bench.run(chain(picky=says("x")), {"query": "alone"})
    assert bench.cases_from([lone.execution_id])[0].input == {"query": "alone"}
    assert bench.batch(chain(picky=says("x")), again).cases[0].source == again[0].source


async def test_a_batch_runs_on_the_running_loop(quick_bench: TestBench) -> None:
    loops = set()

    async def node(state: Any) -> Any:
        loops.add(asyncio.get_running_loop())
        return {"notes": ["done"]}

    result = await quick_bench.abatch(chain(node=node), CASES)
    assert [o.status for o in result] == ["completed"] * 3
    assert loops == {asyncio.get_running_loop()}


async def test_a_cancelled_batch_cancels_what_is_under_way(quick_bench: TestBench) -> None:
    begun = asyncio.Event()

    async def node(state: Any) -> Any:
        begun.set()
        await asyncio.Event().wait()

    working = asyncio.create_task(quick_bench.abatch(chain(node=node), CASES, batch_id="b"))
    await begun.wait()
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    result = quick_bench.batch_result("b")
    assert (result.status, result.stop_reason, len(result)) == ("stopped", "interrupted", 0)
    assert {e.status for e in quick_bench.executions(batch="b")} <= {"cancelled"}


@pytest.mark.parametrize("pool", [ProcessPoolExecutor, ThreadPoolExecutor])
def test_trials_run_on_any_executor(bench: TestBench, pool: Callable[[int], Executor]) -> None:
    with pool(2) as executor:
        result = bench.batch("tests.sdk.batches.elsewhere:obedient", CASES, executor=executor)
    assert [o.status for o in result] == ["completed"] * 3


def test_trials_run_in_processes_of_which_one_may_die(bench: TestBench, tmp_path: Path) -> None:
    cases = [{"query": "die " + str(tmp_path / "died")}, {"query": "one"}, {"query": "raise"}]
    asked: dict[str, Any] = {"executor": "processes", "max_concurrency": 2, "workflow": "w"}
    result = bench.batch("tests.sdk.batches.elsewhere:obedient", cases, attempts=2, **asked)
    assert [(o.status, o.attempts) for o in result] == [("completed", 2), ("completed", 1), ("failed", 2)]
    hanging = [{"query": "hang " + str(tmp_path / "hung")}]
    [outcome] = bench.batch("tests.sdk.batches.elsewhere:obedient", hanging, timeout=1, **asked)
    assert outcome.status == "timed_out"
    assert bench.execution(outcome.execution_id).status == "cancelled"


def test_ctrl_c_cancels_what_is_under_way_and_the_batch_can_be_resumed(bench: TestBench) -> None:
    hangs = threading.Event()

    def node(state: Any) -> Any:
        if state["query"] == "two":
            hangs.wait()
        return {"notes": ["done"]}

    def interrupt(progress: BatchProgress) -> None:
        if progress.finished == 1:
            raise KeyboardInterrupt

    graph = chain(node=node)
    with pytest.raises(KeyboardInterrupt):
        bench.batch(graph, CASES, max_concurrency=2, batch_id="b", progress=interrupt)
    stopped = bench.batch_result("b")
    assert (stopped.status, stopped.stop_reason, len(stopped)) == ("stopped", "interrupted", 1)
    assert "running" not in {execution.status for execution in bench.executions(batch="b")}
    hangs.set()
    resumed = bench.resume_batch("b")
    assert [(o.status, o.attempts) for o in resumed] == [("completed", 1)] * 3


def test_what_the_store_hides_of_a_case_is_not_hidden_from_what_runs(tmp_path: Path) -> None:
    seen = []

    def node(state: Any) -> Any:
        seen.append(state["query"])
        return {"notes": ["done"]}

    project = WorkflowProject(
        "secrets", db_path=tmp_path / "wtb.db", output_dir=tmp_path / "out", redact=Redaction(patterns=("sk-[a-z]+",))
    )
    with TestBench(project) as bench:
        result = bench.batch(chain(node=node), [{"query": "sk-abc"}])
        assert seen == ["sk-abc"]
        assert result.cases[0].input == {"query": "[redacted]"}
    assert b"sk-abc" not in (tmp_path / "wtb.db").read_bytes()


def test_trials_that_were_tried_again_are_compared_again(bench: TestBench) -> None:
    def longer(case: Case, a: Outcome, b: Outcome) -> str:
        return "a" if len(a.state["notes"][-1]) > len(b.state["notes"][-1]) else "b"

    broken = [True]

    def answers(state: Any) -> Any:
        if broken:
            raise ValueError("broken")
        return {"notes": ["answer"]}

    variants = {"answers": ["default", says("no")]}
    first = bench.batch(chain(answers=answers), CASES, variants=variants, preferences=[longer])
    assert [pair.preferred for pair in first.preferences] == ["b"] * 3
    broken.clear()
    again = bench.resume_batch(first.id, retry_failed=True, preferences=[longer])
    assert [pair.preferred for pair in again.preferences] == ["a"] * 3


def test_scores_that_were_not_asked_are_asked_on_resuming(bench: TestBench) -> None:
    def raises(case: Case, outcome: Outcome) -> bool:
        raise ValueError("no opinion")

    async def waits(case: Case, outcome: Outcome) -> float:
        await asyncio.sleep(0)
        return 0.5

    broken = [True]

    def fails_once(state: Any) -> Any:
        if broken:
            raise ValueError("broken")
        return {"notes": ["answer"]}

    graph = chain(answer=fails_once)
    scores = [raises, waits]
    variants = {"answer": ["default", says("no")]}
    stopped = bench.batch(graph, CASES, variants=variants, scores=scores, fail_fast=True, max_concurrency=1)
    assert (stopped.status, len(stopped)) == ("stopped", 1)
    broken.clear()
    unscored = bench.resume_batch(stopped.id, retry_failed=True)
    assert unscored.status == "completed"
    assert not any(o.scores for o in unscored)
    whole = bench.resume_batch(stopped.id, scores=scores)
    assert [dict(o.scores) for o in whole] == [{"waits": 0.5}] * 6
    assert {name for o in whole for name in o.score_errors} == {"raises"}
    with pytest.raises(InvalidRequest, match="scores are raises, waits"):
        bench.resume_batch(stopped.id, scores=[exact])


@pytest.mark.parametrize("most", [-1, 0, 1.5])
def test_a_batch_is_not_resumed_at_a_concurrency_at_which_nothing_runs(quick_bench: TestBench, most: Any) -> None:
    """Else it would be completed without its trials."""
    stopped = quick_bench.batch(chain(a=says("a")), CASES, budget=Budget(seconds=1e-9))
    with pytest.raises(InvalidRequest, match="max_concurrency can't be"):
        quick_bench.resume_batch(stopped.id, max_concurrency=most)
    assert quick_bench.batch_info(stopped.id).status == "stopped"


def test_a_whole_graph_may_be_compared_with_variants_of_nodes_that_it_has_not(quick_bench: TestBench) -> None:
    variants: list[dict[str, object]] = [
        {"answer": "default"},
        {"answer": says("short")},
        {"*": chain(other=says("other"))},
    ]
    result = quick_bench.batch(chain(answer=says("long")), CASES[:1], variants=variants)
    assert [o.state["notes"] for o in result] == [["long"], ["short"], ["other"]]
    assert "answer" not in result.combinations[2]


def test_what_is_promoted_runs_where_nothing_is_chosen_and_default_stays_the_nodes_own(quick_bench: TestBench) -> None:
    graph = chain(first=says("own first"), answer=says("own"))
    quick_bench.project.variant("first", "better", says("better"))
    quick_bench.project.variant("answer", "short", says("short"))
    quick_bench.register(graph)
    for node, name in (("first", "better"), ("answer", "short")):
        quick_bench.promote(node, name)
    result = quick_bench.batch(graph, CASES[:1], variants={"answer": ["default", "short"]})
    assert [o.state["notes"] for o in result] == [["better", "own"], ["better", "short"]]
    assert [dict(each) for each in result.combinations] == [
        {"first": "better", "answer": "default"},
        {"first": "better", "answer": "short"},
    ]


def test_the_longest_names_that_are_taken_can_be_read_again(bench: TestBench) -> None:
    longest = "".join(chr(33 + (37 * place * place) % 90) for place in range(500)).strip()
    bench.project.variant("a", longest, says("b"))
    result = bench.batch(
        chain(a=says("a")), [Case(longest, {"query": "q"})], variants={"a": [longest]}, workflow=longest
    )
    assert [row.case for row in bench.trials(result.id)] == [longest]
    assert [row.name for row in bench.variants(longest)] == [longest]
    assert [row.name for row in bench.workflows()] == [longest]
