"""Batches in processes that are killed at a chosen moment, and what is left of them."""

import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from tests.sdk.given import chain
from wtb.domain.batch import BatchCompleted, BatchStarted, CaseFinished
from wtb.infra.event_store.journal import Journal
from wtb.sdk import TestBench, WorkflowProject
from wtb.sdk.batches.outcome import Case, Outcome

Moment = Literal["before any trial", "in a node", "before the first end is noted", "between ends", "before the end"]

MOMENTS: tuple[Moment, ...] = (
    "before any trial",
    "in a node",
    "before the first end is noted",
    "between ends",
    "before the end",
)

CASES = [Case(name, {"query": name}, expected=name) for name in ("one", "two", "three", "four")]
VARIED = "middle"

_forks = multiprocessing.get_context("forkserver")


def is_short(case: Case, outcome: Outcome) -> bool:
    return "short" in outcome.state["notes"]


def short(state: Any) -> Any:
    return {"notes": ["short"]}


def graph(calls: Path, *, dies_in: str | None = None) -> Any:
    """Each node appends a line to ``calls``; the last one kills its process for one query."""

    def node(name: str) -> Callable[[Any], Any]:
        def work(state: Any) -> Any:
            if name == "last" and state["query"] == dies_in:
                os.kill(os.getpid(), signal.SIGKILL)
            with calls.open("a") as file:
                file.write(f"{state['query']} {name}\n")
            return {"notes": [name]}

        return work

    return chain(first=node("first"), middle=node("middle"), last=node("last"))


def killed(project: WorkflowProject, calls: Path, moment: Moment, **asked: Any) -> None:
    """Run the batch ``b`` in a process that kills itself at a moment."""
    child = _forks.Process(target=_run, args=(project, calls, moment, asked))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL


def run(bench: TestBench, calls: Path, batch_id: str, dies_in: str | None = None, **asked: Any) -> Any:
    return bench.batch(
        graph(calls, dies_in=dies_in),
        CASES,
        variants={VARIED: ["default", short]},
        scores=[is_short],
        batch_id=batch_id,
        **asked,
    )


def _run(project: WorkflowProject, calls: Path, moment: Moment, asked: dict[str, Any]) -> None:
    _kill_at(moment)
    with TestBench(project) as bench:
        run(bench, calls, "b", "three" if moment == "in a node" else None, **asked)


def _kill_at(moment: Moment) -> None:
    """Have the process die when a fact is about to be noted, or when the one before it is durable."""
    ends = 0
    note, done = Journal.note, Journal.done

    def noted(self: Journal, fact: Any, *more: Any) -> None:
        nonlocal ends
        ends += isinstance(fact, CaseFinished)
        if isinstance(fact, CaseFinished) and (
            moment == "before the first end is noted" or (moment == "between ends" and ends == 4)
        ):
            os.kill(os.getpid(), signal.SIGKILL)
        if moment == "before the end" and isinstance(fact, BatchCompleted):
            os.kill(os.getpid(), signal.SIGKILL)
        note(self, fact, *more)

    def durable(self: Journal, append: Any, appended: Any) -> None:
        done(self, append, appended)
        if moment == "before any trial" and any(isinstance(fact, BatchStarted) for fact in append.facts):
            os.kill(os.getpid(), signal.SIGKILL)

    setattr(Journal, "note", noted)  # noqa: B010  # mypy forbids assigning methods
    setattr(Journal, "done", durable)  # noqa: B010  # as above
