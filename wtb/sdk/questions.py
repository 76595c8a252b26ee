"""What a paused execution waits for."""

from typing import cast

from wtb.domain.execution import LifecycleFact, Paused, fold
from wtb.domain.identifiers import execution_stream
from wtb.sdk.as_of import View
from wtb.sdk.results import Interrupt
from wtb.sdk.test_bench import TestBench


def waiting(bench: TestBench | View, execution_id: str) -> tuple[Interrupt, ...]:
    """The questions that wait for an answer now, or at the time of the view; none of what isn't paused."""
    events, _ = bench.platform.store.lifecycle(execution_stream(execution_id))
    if isinstance(bench, View):
        events = [event for event in events if event.position <= bench.position]
    state = fold([cast("LifecycleFact", event.fact) for event in events])
    questions = state.questions if isinstance(state, Paused) else ()
    values = bench.platform.saver.history.load({question.value for question in questions})
    return tuple(Interrupt(question.id, values[question.value]) for question in questions)
