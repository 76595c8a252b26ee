"""What a replay hands back."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from html import escape
from typing import Any, Literal

from wtb.domain.identifiers import ExecutionId
from wtb.infra.langgraph.replay.divergence import Divergence, ReplayedStep, StepChange
from wtb.sdk.results import RunError, Status

Ending = Status | Literal["diverged", "stopped"]


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """What a replay found."""

    execution_id: ExecutionId
    workflow: str
    identical: bool
    """Whether everything came out as recorded."""
    status: Ending
    """As which it ended; ``stopped`` at a node that would have to run, or at the checkpoint asked for."""
    steps: int
    """Nodes' work that was served from the record."""
    supersteps: int
    """Those of all graphs, nested ones too."""
    nodes_called: int
    routers_called: int
    state: dict[str, Any]
    """The outermost graph's state as far as the replay got."""
    first_divergence: Divergence | None = None
    served: tuple[ReplayedStep, ...] = field(default=(), repr=False)
    ran: tuple[ReplayedStep, ...] = ()
    """Nodes that were run, in a what-if."""
    stopped_at: ReplayedStep | None = None
    """The first node that would have to run, and may not without ``live=True``."""
    changes: tuple[StepChange, ...] = ()
    """What nodes that ran wrote otherwise than recorded."""
    state_changes: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    """Channel → (as recorded, as it came out), of those that differ at the end."""
    error: RunError | None = None
    """The failure it ended with: the recorded one, or a live node's."""
    duration: timedelta = timedelta()

    def __repr__(self) -> str:
        return f"ReplayReport({', '.join(self._told())})"

    def _told(self) -> Iterator[str]:
        yield "identical" if self.identical else "not identical"
        yield self.status
        yield f"{self.steps} steps served in {self.supersteps} supersteps"
        yield f"{self.nodes_called} nodes and {self.routers_called} routers called"
        if self.first_divergence:
            yield f"first divergence: {self.first_divergence}"
        if self.stopped_at:
            yield f"stopped at {self.stopped_at.node!r}, step {self.stopped_at.step}"
        for channel, (before, after) in self.state_changes.items():
            yield f"{channel}: {before!r} → {after!r}"
        if self.error:
            yield str(self.error)
        yield f"{self.duration.total_seconds():.3f} s"

    def _repr_html_(self) -> str:
        found = self.first_divergence
        rows: list[tuple[str, object]] = [
            ("execution", self.execution_id),
            ("identical", "yes" if self.identical else "no"),
            ("status", self.status),
            ("steps served", self.steps),
            ("supersteps", self.supersteps),
            ("nodes called", self.nodes_called),
            ("routers called", self.routers_called),
            *([("first divergence", found)] if found else []),
            *([("expected", repr(found.expected)), ("found", repr(found.found))] if found and found.channel else []),
            *([("stopped at", f"{self.stopped_at.node}, step {self.stopped_at.step}")] if self.stopped_at else []),
            *((f"{step.node}, step {step.step}: ran", _changed(self, step)) for step in self.ran),
            *((f"{c}: recorded → now", f"{was!r} → {now!r}") for c, (was, now) in self.state_changes.items()),
            *([("error", self.error)] if self.error else []),
            ("duration", self.duration),
        ]
        cells = "".join(f"<tr><th>{escape(str(k))}</th><td>{escape(str(v))}</td></tr>" for k, v in rows)
        return f"<table>{cells}</table>"


def _changed(report: ReplayReport, step: ReplayedStep) -> str:
    change = next((each for each in report.changes if (each.node, each.step) == (step.node, step.step)), None)
    if change is None:
        return "as recorded"
    return "; ".join(f"{c}: {was!r} → {now!r}" for c, (was, now) in change.writes.items()) or "ended otherwise"
