"""What a paused execution waits for."""

from wtb.domain.execution import ExecutionPaused
from wtb.domain.identifiers import execution_stream
from wtb.sdk.as_of import View
from wtb.sdk.results import Interrupt
from wtb.sdk.test_bench import TestBench


def waiting(bench: TestBench | View, execution_id: str) -> tuple[Interrupt, ...]:
    """The questions of an execution's last pause; the execution is known to be paused, at the time of the view."""
    events, _ = bench.platform.store.lifecycle(execution_stream(execution_id))
    if isinstance(bench, View):
        events = [event for event in events if event.position <= bench.position]
    paused = [event.fact for event in events if isinstance(event.fact, ExecutionPaused)]
    questions = paused[-1].questions if paused else ()
    values = bench.platform.saver.history.load({question.value for question in questions})
    return tuple(Interrupt(question.id, values[question.value]) for question in questions)
