"""What comparing two executions of 1,000 steps costs, from whose middle on all states differ."""

from collections.abc import Callable
from typing import Any

from benchmarks import contenders, graphs
from benchmarks.measure import Figure, interleaved, medians, seconds
from wtb.sdk import TestBench
from wtb.sdk.comparison import Comparison


def comparison(rounds: int, steps: int) -> list[Figure]:
    """`diff` in whole, and `first_difference` where it is in the middle and where it is the very last step."""
    with contenders.bench(None, "NORMAL") as (bench, _):
        state = graphs.counting(1000)
        one, changed, changed_late = (_run(bench, steps, state, at) for at in (steps + 1, steps // 2, steps - 1))
        answers = _Answers(steps)
        same, same_late, equal = (answers.run(bench, steps, state, at) for at in (steps // 2, steps - 1, steps + 1))
        found = bench.diff(one, changed)  # the first read brings the read models up to date
        assert len(found.steps) == steps
        assert len(found.different) == steps - steps // 2

        def first(a: str, b: str) -> Callable[[], float]:
            return lambda: seconds(lambda: bench.first_difference(a, b))

        taken = interleaved(
            {
                "diff": lambda: seconds(lambda: bench.diff(one, changed)),
                "diff, and every change": lambda: seconds(lambda: _every_change(bench.diff(one, changed))),
                "first, at the middle": first(equal, same),
                "first, at the last step": first(equal, same_late),
                "first, at the middle, changed graph": first(one, changed),
                "first, at the last step, changed graph": first(one, changed_late),
            },
            rounds,
        )
    times = medians(taken, 1000)
    whole = {name: took for name, took in times.items() if name.startswith("diff")}
    firsts = {name: took for name, took in times.items() if name.startswith("first")}
    return [
        Figure(f"diff of two executions of {steps:,} steps", "ms", whole, {}, "≤ 200 ms", whole["diff"] <= 200),
        Figure("their first difference", "ms", firsts, {}, "≤ 50 ms", max(firsts.values()) <= 50),
    ]


def _every_change(found: Comparison) -> None:
    for step in found.steps:
        assert step.equal or step.saw or step.wrote


def _run(bench: TestBench, steps: int, state: dict[str, Any], apart_from: int) -> str:
    """A loop whose own code writes something else from one step on."""

    def step(state: graphs.Counting) -> dict[str, Any]:
        return _next(state, apart=state["i"] >= apart_from)

    return _execution(bench, graphs.looped(step, steps), state)


class _Answers:
    """A loop that writes what it is told from outside, as by a model: the graph stays the same."""

    def __init__(self, steps: int) -> None:
        self._apart_from = 0
        self._graph = graphs.looped(lambda state: _next(state, apart=state["i"] >= self._apart_from), steps).compile()

    def run(self, bench: TestBench, steps: int, state: dict[str, Any], apart_from: int) -> str:
        self._apart_from = apart_from
        return _execution(bench, self._graph, state)


def _next(state: graphs.Counting, apart: bool) -> dict[str, Any]:
    blob = {"blob": state["blob"][:-6] + f"{state['i']:06}"} if apart else {}
    return {"i": state["i"] + 1, **blob}


def _execution(bench: TestBench, graph: object, state: dict[str, Any]) -> str:
    return bench.run(graph, state, config={"recursion_limit": graphs.ENDLESS}).execution_id
