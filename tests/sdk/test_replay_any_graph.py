"""Whatever graph ran, its replay is identical and calls nothing; whatever is changed in it, a replay finds it."""

import operator
import random
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as some
from langchain_core.messages import AIMessage
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command, RetryPolicy, Send, interrupt
from typing_extensions import TypedDict

from wtb.sdk import TestBench, WorkflowProject

RETRIES = RetryPolicy(initial_interval=0.001, jitter=False, max_attempts=2)


def put_together(before: dict[str, int], more: dict[str, int]) -> dict[str, int]:
    return {**before, **{key: before.get(key, 0) + count for key, count in more.items()}}


class Any_(TypedDict, total=False):
    notes: Annotated[list[str], operator.add]
    counts: Annotated[dict[str, int], put_together]
    messages: Annotated[list[Any], add_messages]
    last: Annotated[str, lambda before, now: now]
    turns: Annotated[int, operator.add]


class Builder:
    """Builds a graph from a seed: nodes of all kinds, edges of all kinds, graphs in it to some depth."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.calls: list[str] = []

    def graph(self, depth: int, prefix: str = "") -> Any:
        builder: Any = StateGraph(Any_)
        names = [f"{prefix}n{number}" for number in range(self.random.randint(1, 4))]
        for name in names:
            self._add(builder, name, depth)
        self._join(builder, names)
        return builder.compile(checkpointer=True) if depth < 2 and self.random.random() < 0.1 else builder.compile()

    def _add(self, builder: Any, name: str, depth: int) -> None:
        if depth and self.random.random() < 0.3:
            builder.add_node(name, self.graph(depth - 1, f"{name}_"))
            return
        options: dict[str, Any] = {}
        work = self._work(name)
        kind = self.random.random()
        if kind < 0.1:
            work, options = self._flaky(name), {"retry_policy": RETRIES}
        elif kind < 0.15:
            work = self._fails
        elif kind < 0.2:
            work, options = self._fails, {"error_handler": self._witnessed(f"{name} handled", self._work(name))}
        elif kind < 0.35:
            work = self._asks(name, self.random.randint(1, 2))
        builder.add_node(name, self._witnessed(name, work), **options)

    def _witnessed(self, name: str, work: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def node(state: Any) -> Any:
            self.calls.append(name)
            return work(state)

        return node

    def _work(self, name: str) -> Callable[[Any], Any]:
        writes: list[Callable[[Any], dict[str, Any]]] = [
            lambda _: {"notes": [name]},
            lambda _: {"counts": {name: 1}},
            lambda _: {"messages": [AIMessage(name * 100)]},
            lambda _: {"last": name, "notes": [name * 300]},
            lambda state: {"notes": [f"{name} saw {len(state.get('notes', []))}"]},
            lambda _: {},
        ]
        return self.random.choice(writes)

    def _flaky(self, name: str) -> Callable[[Any], Any]:
        failures = iter(range(self.random.randint(1, 2)))

        def work(_: Any) -> Any:
            if next(failures, None) is not None:
                raise ConnectionError(name)
            return {"notes": [f"{name} at last"]}

        return work

    def _fails(self, _: Any) -> Any:
        raise ConnectionError("it always does")

    def _asks(self, name: str, questions: int) -> Callable[[Any], Any]:
        return lambda _: {"notes": [f"{name}: {interrupt(number)}" for number in range(questions)]}

    def _join(self, builder: Any, names: list[str]) -> None:
        builder.add_edge(START, names[0])
        if len(names) > 2 and self.random.random() < 0.5:
            builder.add_edge(START, names[1])
        for place, name in enumerate(names):
            later = names[place + 1 :]
            kind = self.random.random()
            if later and kind < 0.4:
                builder.add_edge(name, self.random.choice(later))
            elif later and kind < 0.6:
                self._route(builder, name, self.random.choice(later))
            elif later and kind < 0.8:
                self._send(builder, name, self.random.choice(later), self.random.randint(1, 3))
            elif kind < 0.9:
                self._turn_back(builder, name, self.random.choice(names[: place + 1]))

    def _route(self, builder: Any, name: str, to: str) -> None:
        builder.add_conditional_edges(name, self._router(lambda state: to if len(state) % 2 else END), [to, END])

    def _send(self, builder: Any, name: str, to: str, pieces: int) -> None:
        sends = self._router(lambda _: [Send(to, {"notes": [str(number)]}) for number in range(pieces)])
        builder.add_conditional_edges(name, sends, [to])

    def _turn_back(self, builder: Any, name: str, to: str) -> None:
        """By a node of its own, twice."""
        again = f"{name}_again"

        def turn(state: Any) -> Command[Any]:
            self.calls.append(again)
            return Command(goto=to if state.get("turns", 0) < 2 else END, update={"turns": 1})

        builder.add_node(again, turn, destinations=(to, END))
        builder.add_edge(name, again)

    def _router(self, way: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def router(state: Any) -> Any:
            self.calls.append("router")
            return way(state)

        return router


def check(bench: TestBench, built: Builder, execution: str) -> None:
    called = len(built.calls)
    report = bench.replay(execution)
    assert built.calls[called:] == []
    assert report.first_divergence is None, report.first_divergence
    assert report.identical
    assert report.status == bench.execution(execution).status
    assert report.state == dict(bench.state(execution))


def live(bench: TestBench, seed: int) -> None:
    """An execution of a random graph, its replay checked wherever it waits, and after what it goes through then."""
    built = Builder(seed)
    graph = built.graph(2)
    execution = f"execution-{seed}"
    result = bench.run(graph, {"notes": ["begin"]}, execution_id=execution, config={"recursion_limit": 60})
    for turn in range(12):
        check(bench, built, execution)
        if result.status == "paused":
            answers = {question.id: f"answer {turn}" for question in result.interrupts}
            result = bench.resume(execution, answers=answers) if answers else bench.resume(execution)
        elif turn < 10 and (travelled := travel(bench, built.random, execution)) is not None:
            result = travelled
        else:
            break
    check(bench, built, execution)


def travel(bench: TestBench, chance: random.Random, execution: str) -> Any:
    """Roll an execution back to any of its outermost checkpoints and go on, retry it, or let it be."""
    match chance.randint(0, 2):
        case 0:
            to = chance.choice(list(bench.checkpoints(execution, namespace="")))
            bench.rollback(execution, to.id)
            return bench.resume(execution)
        case 1 if bench.execution(execution).status == "failed":
            return bench.retry(execution)
        case _:
            return None


@pytest.mark.parametrize("seed", [*range(8), 1035, 1164, 5163])
def test_an_execution_of_any_graph_is_replayed_identically(quick_bench: TestBench, seed: int) -> None:
    live(quick_bench, seed)


@pytest.mark.soak
@settings(
    max_examples=2000,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(seed=some.integers(min_value=100, max_value=10**9))
def test_executions_of_thousands_of_graphs_are(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    folder: Path = tmp_path_factory.mktemp("any")
    project = WorkflowProject("any", db_path=folder / "wtb.db", output_dir=folder / "out")
    with TestBench(project) as bench:
        live(bench, seed)
