"""Who runs a batch's trials."""

import asyncio
from concurrent.futures import Executor
from typing import Literal

from wtb.domain.errors import InvalidRequest
from wtb.sdk.batches.assignment import Workers
from wtb.sdk.batches.loop_workers import LoopWorkers
from wtb.sdk.batches.thread_workers import ThreadWorkers
from wtb.sdk.batches.trial_run import TrialRunner

ExecutorName = Literal["auto", "threads", "asyncio", "processes", "ray"]


def workers_for(
    executor: ExecutorName | Executor, runner: TrialRunner, loop: asyncio.AbstractEventLoop | None = None
) -> Workers:
    """Those that ``executor`` names; ``auto`` was decided before. Raises `InvalidRequest` or `ExtraMissing`."""
    match executor:
        case "threads":
            return ThreadWorkers(runner)
        case "asyncio":
            return LoopWorkers(runner, loop)
        case _:
            raise InvalidRequest(
                f"trials can't be run by {executor!r}",
                hint="Use auto, threads, asyncio, processes, ray or an Executor.",
            )
