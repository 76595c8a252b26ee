"""The verbs: what people and programs call.

::

    from wtb.sdk import TestBench, WorkflowProject

    project = WorkflowProject(name="my-workflow", db_path="./data/wtb.db", output_dir="./outputs")
    with TestBench(project) as bench:
        result = bench.run(graph, initial_state={"query": "hello"})
"""

from wtb.domain.batch import Budget, Price
from wtb.infra.langgraph.checkpointer import EventSourcedSaver
from wtb.infra.redaction import Redaction
from wtb.projections.variants import Variant
from wtb.sdk.as_of import View
from wtb.sdk.batches.outcome import Case, Outcome
from wtb.sdk.batches.progress import BatchProgress
from wtb.sdk.batches.result import BatchResult
from wtb.sdk.changes import Change
from wtb.sdk.comparison import Comparison, FirstDifference, StepComparison
from wtb.sdk.promotion import VariantChange
from wtb.sdk.replay_report import ReplayReport
from wtb.sdk.results import Commanded, CustomStreamed, Interrupt, Recovery, RunError, RunResult, State, TokenStreamed
from wtb.sdk.test_bench import TestBench
from wtb.sdk.workflow_project import WorkflowProject

__all__ = [
    "BatchProgress",
    "BatchResult",
    "Budget",
    "Case",
    "Change",
    "Commanded",
    "Comparison",
    "CustomStreamed",
    "EventSourcedSaver",
    "FirstDifference",
    "Interrupt",
    "Outcome",
    "Price",
    "Recovery",
    "Redaction",
    "ReplayReport",
    "RunError",
    "RunResult",
    "State",
    "StepComparison",
    "TestBench",
    "TokenStreamed",
    "Variant",
    "VariantChange",
    "View",
    "WorkflowProject",
]
