"""What the handlers reach: the bench, the graphs that may be run, and how events get out."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from wtb.domain.cloud_event import WireEvent
from wtb.domain.errors import WorkflowNotFound
from wtb.interfaces.rest.background import Background
from wtb.sdk import TestBench


class Relay(Protocol):
    """Passes events on to NATS; ``position`` is the newest that got there."""

    position: int


class Live(Protocol):
    """Events from the log and from NATS; ``listening`` while new ones arrive."""

    listening: bool

    def batches(self, execution: str | None = None, after: int = 0) -> AsyncGenerator[Sequence[WireEvent], None]: ...


@dataclass(frozen=True, slots=True)
class Served:
    """One process's bench and all that serves it."""

    bench: TestBench
    graphs: Mapping[str, object]
    """Workflow to graph: the server's own configuration names them, never a request."""
    background: Background
    relay: Relay
    live: Live

    def graph(self, workflow: str) -> object:
        """Raises `WorkflowNotFound`."""
        if workflow not in self.graphs:
            raise WorkflowNotFound(workflow)
        return self.graphs[workflow]
