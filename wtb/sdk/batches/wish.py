"""What a batch is asked to be, and what is refused of it."""

import os
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import timedelta

from wtb.domain.batch import Budget, Price
from wtb.domain.errors import InvalidRequest
from wtb.domain.identifiers import BatchId, new_id
from wtb.infra.langgraph.graphs import RunnableGraph
from wtb.sdk.batches.budget import check_budget
from wtb.sdk.batches.cases import Cases
from wtb.sdk.batches.matrix import Combination
from wtb.sdk.batches.workers.choice import ExecutorName
from wtb.sdk.batches.workers.ray_workers import cluster_cpus
from wtb.sdk.batches.workers.trial_run import FindGraph

LONGEST_BATCH_ID = 150
"""Bytes: its trials' ids are longer."""

MOST = 1_000_000
"""Repeats, attempts, and trials at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a batch is asked to be."""

    workflow: str
    graph: RunnableGraph
    find_graph: FindGraph
    combinations: Sequence[Combination]
    cases: Cases
    scores: Sequence[object] = ()
    preferences: Sequence[object] = ()
    repeats: int = 1
    max_concurrency: int | None = None
    executor: ExecutorName | Executor = "auto"
    timeout: float | timedelta | None = None
    attempts: int = 1
    fail_fast: bool = False
    budget: Budget | None = None
    prices: Mapping[str, Price] = field(default_factory=dict)
    share_prefix: bool = False
    batch_id: str | None = None
    description: str = ""


def most_at_once(executor: ExecutorName | Executor) -> int:
    """How many trials run at a time, where nothing else is asked. Raises `ExtraMissing`."""
    cores = os.cpu_count() or 1
    if executor == "ray":
        return cluster_cpus() or cores
    if isinstance(executor, Executor):
        return int(getattr(executor, "_max_workers", cores))
    return {"threads": min(32, cores + 4), "asyncio": 100}.get(executor, cores)


def chosen_id(batch_id: str) -> BatchId:
    if len(batch_id.encode("utf-8", "replace")) > LONGEST_BATCH_ID:
        raise InvalidRequest(
            f"a batch's id can't be longer than {LONGEST_BATCH_ID} bytes", hint="Choose a shorter one, or leave it out."
        )
    return BatchId(new_id(batch_id))


def check_wish(wish: Wish) -> list[RunnableGraph]:
    """The graphs that the combinations run. Raises `InvalidRequest`, `NodeNotFound` or `VariantNotFound`."""
    check_number("repeats", wish.repeats)
    check_number("attempts", wish.attempts)
    if wish.max_concurrency is not None:
        check_number("max_concurrency", wish.max_concurrency)
    check_timeout(wish.timeout)
    check_budget(wish.budget, wish.prices)
    return graphs_of(wish.find_graph, wish.combinations)


def check_number(name: str, number: object) -> None:
    """Raise `InvalidRequest` for what is no number of times, or more than read models hold."""
    if not isinstance(number, int) or not 1 <= number <= MOST:
        raise InvalidRequest(f"{name} can't be {number!r}", hint=f"Give a whole number from 1 to {MOST:,}.")


def check_timeout(timeout: object) -> None:
    """Raise `InvalidRequest` for one that no attempt can keep, or that is none."""
    seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
    if seconds is None:
        return
    if not isinstance(seconds, int | float) or not seconds <= threading.TIMEOUT_MAX:
        raise InvalidRequest(f"a timeout can't be {timeout!r}", hint="Give seconds or a timedelta, or leave it out.")
    if not seconds * 1e6 >= 1:
        raise InvalidRequest(f"a timeout of {timeout} leaves no time", hint="Give more, or leave it out.")


def graphs_of(find_graph: FindGraph, combinations: Sequence[Mapping[str, str]]) -> list[RunnableGraph]:
    """The graphs that combinations run. Raises `NodeNotFound` or `VariantNotFound`."""
    graphs: list[RunnableGraph] = []
    for combination in combinations:
        graph = find_graph(combination)
        graph.check_variants(combination)
        if graph not in graphs:
            graphs.append(graph)
    return graphs


def executor_for(
    asked: ExecutorName | Executor, graphs: Sequence[RunnableGraph], combinations: Sequence[Mapping[str, str]]
) -> ExecutorName | Executor:
    """What runs the trials; ``auto`` is a loop where one is needed, else threads."""
    if asked != "auto":
        return asked
    on_a_loop = any(graph.runs_on_a_loop(each) for graph in graphs for each in combinations)
    return "asyncio" if on_a_loop else "threads"


def microseconds(timeout: float | timedelta | None) -> int | None:
    if timeout is None:
        return None
    seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
    return round(seconds * 1e6)
