"""Following the log in the calling thread: what is there, then what comes, whichever process wrote it."""

from collections.abc import Callable, Iterator
from typing import cast

from wtb.domain.event_log import Recorded
from wtb.domain.execution import LifecycleFact, fold
from wtb.domain.identifiers import execution_stream
from wtb.sdk.test_bench import TestBench

PAGE = 1000
WAIT_SECONDS = 0.1
"""How long a quiet log is waited on before ``enough`` is asked again."""


def follow(
    bench: TestBench,
    execution_id: str | None = None,
    *,
    after: int = 0,
    enough: Callable[[], bool] = lambda: False,
) -> Iterator[Recorded]:
    """All events after a position, or one execution's, in order, without end until ``enough``.

    What was acknowledged before ``enough`` came true is still handed out. An
    execution may be followed before it exists.
    """
    store = bench.platform.store
    stream = execution_stream(execution_id) if execution_id is not None else None
    while True:
        last = enough()
        end = store.last_position()
        while after < end and (page := store.log(after=after, limit=PAGE, stream=stream)):
            yield from page
            after = page[-1].position
        after = max(after, end)
        if last:
            return
        store.wait(after, WAIT_SECONDS)


def has_ended(bench: TestBench, execution_id: str) -> bool:
    """Whether an execution has completed, failed or been cancelled."""
    events, _ = bench.platform.store.lifecycle(execution_stream(execution_id))
    return fold([cast("LifecycleFact", event.fact) for event in events]).status in ("completed", "failed", "cancelled")
