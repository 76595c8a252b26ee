"""What a batch came to, from its record alone."""

import pytest

from tests.sdk.given_batch import B, TWO, batch_started, finished, no_cases, run_batch, scored, tell
from wtb.domain.batch import (
    BatchCompleted,
    BatchResumed,
    BatchStopped,
    CasePreferred,
    Price,
    Trial,
)
from wtb.domain.errors import BatchFailedError, BatchNotFound, InvalidRequest, NotFound
from wtb.domain.identifiers import WorkerId
from wtb.sdk import TestBench, WorkflowProject


def test_try(quick_bench: TestBench) -> None:
    run_batch(quick_bench)
    result = quick_bench.batch_result(B)
    print(result)
    print(result.matrix())
    print(result.to_markdown())
    print(result.to_json())
    print(result.to_pandas())
    print(result.to_polars())
    result.to_junit("/tmp/j.xml")
    print(open("/tmp/j.xml").read())
    print(len(result.to_html("/tmp/b.html")))
    print(quick_bench.batches(), quick_bench.batch_info(B), quick_bench.trials(B), quick_bench.executions(batch=B))
    print(result.outcomes[1].state, result.cases[1])
    print(result.improvements("exact"), result.regressions("exact"))
    print(result._repr_html_())
