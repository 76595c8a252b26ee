"""Executions that travelled are replayed as they went: forks, rollbacks, edits, retries, nodes passed by."""

from typing import Any

import pytest
from langgraph.types import interrupt

from tests.sdk.test_replay import INPUT, went
from tests.sdk.witnessed import Witness, around, asking, asking_within, failing, fanned_out, nested, straight
from wtb.sdk import TestBench


@pytest.fixture
def witness() -> Witness:
    return Witness()


def check(bench: TestBench, witness: Witness, execution: str) -> None:
    """It comes out the same, and nothing is called."""
    called = len(witness.calls)

    report = bench.replay(execution)

    assert witness.calls[called:] == []
    assert report.first_divergence is None
    assert report.identical
    assert report.status == bench.execution(execution).status
    assert report.state == dict(bench.state(execution))


def test_a_fork_begins_where_it_was_forked(bench: TestBench, witness: Witness) -> None:
    execution = went(bench, straight(witness, one=None, two=None, three=None))
    fork = bench.fork(execution, node="two")

    check(bench, witness, fork.execution_id)
    check(bench, witness, execution)
    assert [step.node for step in bench.replay(fork.execution_id).served] == ["two", "three"]


def test_a_fork_with_another_state(quick_bench: TestBench, witness: Witness) -> None:
    execution = went(quick_bench, straight(witness, one=None, two=None, three=None))
    fork = quick_bench.fork(execution, node="three", state={"notes": ["edited"]}, as_node="two")

    check(quick_bench, witness, fork.execution_id)


def test_a_fork_from_within_a_nested_graph(quick_bench: TestBench, witness: Witness) -> None:
    execution = went(quick_bench, nested(witness))
    fork = quick_bench.fork(execution, node="sub/two")

    check(quick_bench, witness, fork.execution_id)
    assert [step.node for step in quick_bench.replay(fork.execution_id).served] == ["sub/two", "sub", "last"]


def test_a_fork_within_a_nested_graph_whose_sibling_had_ended(quick_bench: TestBench, witness: Witness) -> None:
    """What the sibling wrote is carried over to the fork, and served from there."""
    execution = went(quick_bench, asking_within(witness))
    fork = quick_bench.fork(execution, node="sub/two")
    check(quick_bench, witness, fork.execution_id)
    quick_bench.resume(fork.execution_id, "yes")

    check(quick_bench, witness, fork.execution_id)


def test_a_fork_with_a_variant(quick_bench: TestBench, witness: Witness) -> None:
    execution = went(quick_bench, straight(witness, one=None, two=None))
    fork = quick_bench.fork(execution, node="one", variants={"two": lambda state: {"notes": ["other"]}})

    check(quick_bench, witness, fork.execution_id)


def test_a_rollback_and_what_ran_after_it(bench: TestBench, witness: Witness) -> None:
    execution = went(bench, straight(witness, one=None, two=None, three=None))
    bench.rollback(execution, node="two")
    check(bench, witness, execution)

    bench.resume(execution)
    check(bench, witness, execution)


def test_a_rollback_within_a_nested_graph(quick_bench: TestBench, witness: Witness) -> None:
    execution = went(quick_bench, nested(witness))
    quick_bench.rollback(execution, node="sub/two")
    check(quick_bench, witness, execution)

    quick_bench.resume(execution)
    check(quick_bench, witness, execution)


def test_a_rollback_that_was_undone(quick_bench: TestBench, witness: Witness) -> None:
    execution = went(quick_bench, straight(witness, one=None, two=None))
    quick_bench.rollback(execution, node="two")
    quick_bench.undo_rollback(execution)

    check(quick_bench, witness, execution)


def test_an_edit_and_what_ran_after_it(bench: TestBench, witness: Witness) -> None:
    asked = bench.run(asking(witness), INPUT)
    bench.edit(asked.execution_id, {"notes": ["edited"]}, as_node="one")
    check(bench, witness, asked.execution_id)

    result = bench.resume(asked.execution_id)
    while result.status == "paused":
        result = bench.resume(asked.execution_id, "yes")
    check(bench, witness, asked.execution_id)


def test_an_edit_within_a_nested_graph(quick_bench: TestBench, witness: Witness) -> None:
    inner = straight(witness, one=None, two=lambda _: {"notes": [interrupt("?")]}, three=None)
    asked = quick_bench.run(around(witness, inner), INPUT)
    quick_bench.edit(asked.execution_id, {"notes": ["edited"]}, as_node="sub/two")
    check(quick_bench, witness, asked.execution_id)

    quick_bench.resume(asked.execution_id)
    check(quick_bench, witness, asked.execution_id)


def test_a_retry_after_a_failure(quick_bench: TestBench, witness: Witness) -> None:
    failures = iter([ConnectionError("no answer")])

    def work(state: Any) -> Any:
        for failure in failures:
            raise failure
        return {"notes": ["two"]}

    for graph in (straight(witness, one=None, two=work), around(witness, straight(witness, one=None, two=work))):
        failures = iter([ConnectionError("no answer")])
        failed = quick_bench.run(graph, INPUT)
        assert failed.status == "failed"
        assert quick_bench.retry(failed.execution_id).status == "completed"

        check(quick_bench, witness, failed.execution_id)


def test_a_node_that_was_passed_by(quick_bench: TestBench, witness: Witness) -> None:
    failed = quick_bench.run(failing(witness), INPUT)
    quick_bench.skip(failed.execution_id, "two", {"notes": ["given"]})

    check(quick_bench, witness, failed.execution_id)


def test_a_nested_graph_that_was_passed_by(quick_bench: TestBench, witness: Witness) -> None:
    graph = around(witness, straight(witness, one=None, two=lambda _: 1 / 0))
    failed = quick_bench.run(graph, INPUT)
    quick_bench.skip(failed.execution_id, "sub", {"notes": ["given"]})

    check(quick_bench, witness, failed.execution_id)


def test_pieces_of_work_after_a_fork_among_them(quick_bench: TestBench, witness: Witness) -> None:
    execution = went(quick_bench, fanned_out(witness))
    fork = quick_bench.fork(execution, node="work")

    check(quick_bench, witness, fork.execution_id)


def test_a_what_if_of_a_fork(quick_bench: TestBench, witness: Witness) -> None:
    execution = went(quick_bench, straight(witness, one=None, two=None, three=None))
    fork = quick_bench.fork(execution, node="two").execution_id

    report = quick_bench.replay(fork, variants={"two": lambda state: {"notes": ["other"]}}, live=True)

    assert [step.node for step in report.ran] == ["two", "three"]
    assert report.state["notes"] == ["one", "other", "three"]


def test_a_what_if_goes_on_with_a_recorded_edit_as_long_as_it_comes_to_it(
    quick_bench: TestBench, witness: Witness
) -> None:
    asked = quick_bench.run(asking(witness), INPUT)
    quick_bench.edit(asked.execution_id, {"notes": ["edited"]}, as_node="two")
    quick_bench.resume(asked.execution_id)

    same = quick_bench.replay(asked.execution_id, variants={"one": lambda state: {"notes": ["one"]}})

    assert same.identical
    assert [step.node for step in same.served] == ["three"]
