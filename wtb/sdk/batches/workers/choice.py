"""Who runs a batch's trials."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Literal

from wtb.domain.errors import InvalidRequest
from wtb.sdk.batches.workers.assignment import Workers
from wtb.sdk.batches.workers.bench_spec import BenchSpec
from wtb.sdk.batches.workers.executor_workers import ExecutorWorkers, ThreadPoolWorkers
from wtb.sdk.batches.workers.loop_workers import LoopWorkers
from wtb.sdk.batches.workers.process_workers import ProcessWorkers
from wtb.sdk.batches.workers.ray_workers import RayWorkers
from wtb.sdk.batches.workers.thread_workers import ThreadWorkers
from wtb.sdk.batches.workers.trial_run import TrialRunner

ExecutorName = Literal["auto", "threads", "asyncio", "processes", "ray"]

Describe = Callable[[Iterable[Mapping[str, str]]], BenchSpec]
"""The combinations that trials run to what another process needs to run them; raises `InvalidRequest`."""


def workers_for(
    executor: ExecutorName | Executor,
    runner: TrialRunner,
    describe: Callable[[], BenchSpec],
    max_concurrency: int,
    loop: asyncio.AbstractEventLoop | None = None,
) -> Workers:
    """Those that ``executor`` names, ``auto`` having been decided; ``loop`` is the caller's.

    Raises `InvalidRequest`, also for what another process can't find, or `ExtraMissing`.
    """
    match executor:
        case "threads":
            return ThreadWorkers(runner)
        case "asyncio":
            return LoopWorkers(runner, loop)
        case "processes":
            return ProcessWorkers(runner, describe(), max_concurrency)
        case "ray":
            return RayWorkers(runner, describe(), max_concurrency)
        case ThreadPoolExecutor():
            return ThreadPoolWorkers(runner, executor)
        case Executor():
            return ExecutorWorkers(runner, describe(), max_concurrency, executor)
        case _:
            raise InvalidRequest(
                f"trials can't be run by {executor!r}",
                hint="Use auto, threads, asyncio, processes, ray or an Executor.",
            )
