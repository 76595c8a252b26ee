"""Batches whose trials run elsewhere."""

import multiprocessing
from concurrent.futures import Executor, ProcessPoolExecutor
from pathlib import Path
from typing import Any, Literal

import pytest

from tests.sdk.batches.elsewhere import obedient, other
from tests.sdk.given import chain, says
from wtb.domain.errors import InvalidRequest
from wtb.sdk import TestBench


def test_a_broken_pool_ends_the_batch_which_goes_on_elsewhere(quick_bench: TestBench, tmp_path: Path) -> None:
    cases = [{"query": query} for query in ("a", f"die {tmp_path / 'died'}", "b", "c")]
    with (
        ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool,
        pytest.raises(InvalidRequest, match="takes no more trials"),
    ):
        quick_bench.batch(obedient, cases, variants={"told": ["default", other]}, executor=pool, batch_id="b")
    result = quick_bench.resume_batch("b", executor="threads", retry_failed=True)
    assert result.status == "completed"
    assert [o.status for o in result] == ["completed"] * 8


@pytest.mark.parametrize("executor", ["processes", "ray", "own"])
def test_what_others_cannot_find_is_refused_before_anything_is_written(
    quick_bench: TestBench, executor: Literal["processes", "ray", "own"]
) -> None:
    chosen: Any = Inert() if executor == "own" else executor
    with pytest.raises(InvalidRequest, match="can't find the graph of workflow 'notes'"):
        quick_bench.batch(chain(only=says("here")), [{"query": "a"}], executor=chosen)
    with pytest.raises(InvalidRequest, match="can't find variant 'lambda' of node 'told'"):
        quick_bench.batch(obedient, [{"query": "a"}], variants={"told": [lambda state: {}]}, executor=chosen)
    with pytest.raises(InvalidRequest, match="context can't be handed to another process"):
        quick_bench.batch(obedient, [{"query": "a"}], executor=chosen, context=object())
    assert quick_bench.batches().items == ()
    assert quick_bench.executions().items == ()


class Inert(Executor):
    """Never asked for anything."""


def test_what_is_no_executor_is_refused(quick_bench: TestBench) -> None:
    nonsense: Any = 3
    with pytest.raises(InvalidRequest, match="trials can't be run by 3"):
        quick_bench.batch(obedient, [{"query": "a"}], executor=nonsense)
