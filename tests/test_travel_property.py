"""Random graphs under random forks, rollbacks, edits and crashes: replay is the run, branches never meet."""

import itertools
import random
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.random_graphs import Part, answers, build, parts
from wtb.domain.errors import InvalidState
from wtb.domain.event_log import EMPTY_STREAM, Append, Origin
from wtb.domain.execution import Claim, ExecutionPaused, StateEdited
from wtb.domain.identifiers import WorkerId, execution_stream
from wtb.sdk import RunResult, TestBench, WorkflowProject

DEAD = WorkerId("host.0.dead")
ACTS = 6
"""How many things are done to the executions of one graph."""


class World:
    """Executions of one graph, and what is known of each."""

    def __init__(self, bench: TestBench, graph: Any, chance: random.Random) -> None:
        self.bench = bench
        self.graph = graph
        self.chance = chance
        self.numbers = itertools.count()
        self.ends: dict[str, dict[str, Any]] = {}
        """Execution to the state it ended in."""
        self.end: dict[str, Any] = {}
        """What the graph comes to."""
        self.untouched: set[str] = set()
        """Those whose state nobody edited, nor an ancestor's: they all come to the same end."""

    def to_the_end(self, result: RunResult) -> RunResult:
        while result.status == "paused":
            result = self.bench.resume(result.execution_id, answers=answers(result) or None)
        assert result.status == "completed", result
        return result

    def begin(self) -> None:
        result = self.to_the_end(self.bench.run(self.graph, {"log": []}, execution_id="root"))
        self.ends["root"] = self.end = result.state
        self.untouched.add("root")

    def ended(self, result: RunResult, untouched: bool) -> None:
        done = self.to_the_end(result)
        self.ends[done.execution_id] = done.state
        if untouched:
            self.untouched.add(done.execution_id)
        else:
            self.untouched.discard(done.execution_id)

    def check(self) -> None:
        """What nobody acted on is as it was, and what nobody edited is alike."""
        for execution, end in self.ends.items():
            assert dict(self.bench.state(execution)) == {**end}, execution
            assert self.bench.execution(execution).status == "completed"
            replayed = self.bench.replay(execution, graph=self.graph)
            assert (replayed.identical, replayed.nodes_called, replayed.routers_called) == (True, 0, 0), replayed
            assert replayed.state == end
        assert all(self.ends[execution] == self.end for execution in self.untouched)
        assert self.bench.verify().whole

    # --- what may be done -----------------------------------------------------------------------------

    def some_execution(self) -> str:
        return self.chance.choice(sorted(self.ends))

    def some_checkpoint(self, execution: str) -> str:
        return self.chance.choice(list(self.bench.checkpoints(execution))).id

    def fork(self) -> None:
        execution = self.some_execution()
        forked = self.bench.fork(execution, at=self.some_checkpoint(execution), graph=self.graph)
        self.ended(forked, execution in self.untouched)

    def fork_with_another_state(self) -> None:
        execution = self.some_execution()
        at = self.some_checkpoint(execution)
        try:
            forked = self.bench.fork(execution, at=at, state={"asked": "edited"}, graph=self.graph)
        except InvalidState:
            return  # LangGraph can't tell which node should count as having written it
        self.ended(forked, False)

    def roll_back(self) -> None:
        execution = self.some_execution()
        before = dict(self.bench.state(execution))
        self.bench.rollback(execution, self.some_checkpoint(execution))
        if self.chance.random() < 0.3:
            self.bench.undo_rollback(execution)
            assert dict(self.bench.state(execution)) == before
            return
        # Of an edited one's past there may be some that is older than the edit.
        self.ended(self.bench.resume(execution), execution in self.untouched)

    def edit(self) -> None:
        execution = self.some_execution()
        try:
            self.bench.edit(execution, {"log": ["edited"]})
        except InvalidState:
            return
        self.ended(self.bench.resume(execution), False)

    def crash(self) -> None:
        """Another execution stands where this one's process might have died, and is recovered."""
        execution = self.some_execution()
        events = self.bench.events(execution)
        number = self.chance.randrange(1, len(events))
        # An edit, with the checkpoint that it makes, is one commit.
        while number < len(events) and (
            isinstance(events[number].fact, StateEdited) or getattr(events[number].fact, "source", "") == "update"
        ):
            number += 1
        name = f"cut-{next(self.numbers)}"
        facts: list[Any] = [
            event.fact.model_copy(update={"worker": DEAD}) if isinstance(event.fact, Claim) else event.fact
            for event in events[:number]
        ]
        self.bench.platform.store.append(
            [Append(execution_stream(name), EMPTY_STREAM, facts, [0] * len(facts), Origin("before"))]
        )
        recovered = self.bench.recover(name, graph=self.graph).results
        if recovered:
            self.ended(recovered[0], execution in self.untouched)
        elif isinstance(facts[-1], ExecutionPaused):
            questions = {q.id: None for q in facts[-1].questions}
            given = self.bench.platform.saver.history.load({q.value for q in facts[-1].questions})
            told = {q.id: f"yes, {given[q.value]}" for q in facts[-1].questions} if questions else None
            self.ended(self.bench.resume(name, answers=told), execution in self.untouched)


def live_through(made_of: tuple[Part, ...], seed: int) -> None:
    with TemporaryDirectory() as folder:
        project = WorkflowProject("random", db_path=Path(folder) / "wtb.db", output_dir=Path(folder) / "out")
        with TestBench(project) as bench:
            world = World(bench, build(made_of), random.Random(seed))
            world.begin()
            acts: list[Callable[[], None]] = [
                world.fork, world.fork_with_another_state, world.roll_back, world.edit, world.crash,
            ]  # fmt: skip
            for _ in range(ACTS):
                world.chance.choice(acts)()
                world.check()


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(made_of=parts, seed=st.integers(0, 2**16))
def test_branches_never_touch_one_another(made_of: tuple[Part, ...], seed: int) -> None:
    live_through(made_of, seed)


@pytest.mark.soak
@settings(max_examples=1500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(made_of=parts, seed=st.integers(0, 2**16))
def test_branches_never_touch_one_another_in_thousands_of_cases(made_of: tuple[Part, ...], seed: int) -> None:
    live_through(made_of, seed)
