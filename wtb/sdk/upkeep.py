"""Looking after a store: which executions' processes died, and the read models made anew."""

from dataclasses import dataclass

from wtb.domain.identifiers import Position
from wtb.sdk.test_bench import TestBench

PAGE = 500


@dataclass(frozen=True, slots=True)
class Orphan:
    """An execution whose process died while it ran; `TestBench.recover` finishes it."""

    execution_id: str
    workflow: str
    worker: str


def orphans(bench: TestBench) -> list[Orphan]:
    """Newest first."""
    found: list[Orphan] = []
    cursor = None
    while True:
        page = bench.executions(status="running", limit=PAGE, cursor=cursor)
        found += [
            Orphan(execution.id, execution.workflow, execution.worker)
            for execution in page
            if not bench.platform.presence.is_alive(execution.worker)
        ]
        cursor = page.next_cursor
        if cursor is None:
            return found


def rebuild(bench: TestBench) -> Position:
    """Make the read models anew from the log while they are read; the position they have got to."""
    return bench.platform.projector.rebuild()
