"""What the verbs hand back: frozen, typed, and readable in a REPL and in Jupyter."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from html import escape
from typing import Any, Literal

from wtb.domain.errors import ExecutionFailedError
from wtb.domain.execution import Stop
from wtb.domain.identifiers import CheckpointId, ExecutionId, Position, Version

Status = Literal["running", "paused", "completed", "failed", "cancelled"]
PauseReason = Literal["interrupt", "request", "breakpoint"]


@dataclass(frozen=True, slots=True)
class Interrupt:
    """A question a node asked; answer it with ``bench.resume(id, answer=…)``."""

    id: str
    value: Any


@dataclass(frozen=True, slots=True)
class RunError:
    """Why an execution failed: the error's class and message, and the node that raised it."""

    type: str
    message: str
    node: str | None
    exception: BaseException | None = field(default=None, repr=False, compare=False)
    """The error itself, in the process that ran the node."""

    def __str__(self) -> str:
        where = f" in node {self.node!r}" if self.node else ""
        return f"{self.type}{where}: {self.message}"


@dataclass(frozen=True, slots=True)
class RunResult:
    """How far an execution got.

    ``state`` is the graph's output when it completed, else its state as last
    recorded. ``duration`` counts this run alone, not what ran before a pause.
    """

    execution_id: ExecutionId
    workflow: str
    status: Status
    state: dict[str, Any]
    interrupts: tuple[Interrupt, ...]
    error: RunError | None
    duration: timedelta
    position: Position
    """The log's position of the run's last event."""
    pause_reason: PauseReason | None = None
    """Why it is paused: a node asked, somebody requested it, or a breakpoint stopped it."""
    stops: tuple[Stop, ...] = ()
    """The nodes before which breakpoints stopped it."""

    def raise_for_status(self) -> "RunResult":
        """Itself; raises `ExecutionFailedError` from the node's error when the execution failed."""
        if self.error is not None:
            raise ExecutionFailedError(f"execution {self.execution_id}: {self.error}") from self.error.exception
        return self

    def __repr__(self) -> str:
        shown = (
            f"RunResult({self.status}, {self.execution_id}, {self.duration.total_seconds():.3f} s, state={self.state!r}"
        )
        if self.interrupts:
            shown += f", interrupts={self.interrupts!r}"
        if self.error:
            shown += f", error={str(self.error)!r}"
        return shown + ")"

    def _repr_html_(self) -> str:
        rows: list[tuple[str, object]] = [
            ("execution", self.execution_id),
            ("workflow", self.workflow),
            ("status", self.status),
            ("duration", self.duration),
            *([("error", self.error)] if self.error else []),
            *(("interrupt " + interrupt.id, interrupt.value) for interrupt in self.interrupts),
            *self.state.items(),
        ]
        cells = "".join(f"<tr><th>{escape(str(k))}</th><td>{escape(str(v))}</td></tr>" for k, v in rows)
        return f"<table>{cells}</table>"


@dataclass(frozen=True, slots=True)
class State(Mapping[str, Any]):
    """A state as a checkpoint holds it: a mapping of the graph's channels."""

    execution_id: ExecutionId
    checkpoint: CheckpointId
    step: int
    created: datetime
    channels: dict[str, Any]

    def __getitem__(self, channel: str) -> Any:
        return self.channels[channel]

    def __iter__(self) -> Iterator[str]:
        return iter(self.channels)

    def __len__(self) -> int:
        return len(self.channels)


@dataclass(frozen=True, slots=True)
class Commanded:
    """What a command made of an execution that another process may run."""

    execution_id: ExecutionId
    status: Status
    """As it is now; one that is still running stops at its next node boundary."""
    version: Version
    """The stream's version now."""
    changed: bool
    """False when it was so already."""


@dataclass(frozen=True, slots=True)
class Unrecovered:
    """An execution that couldn't be recovered, and why."""

    execution_id: ExecutionId
    reason: str


@dataclass(frozen=True, slots=True)
class Recovery:
    """What `recover` did: the executions it finished (or brought to their next pause) and those it had to leave."""

    results: tuple[RunResult, ...]
    left: tuple[Unrecovered, ...]

    def __iter__(self) -> Iterator[RunResult]:
        return iter(self.results)

    def __len__(self) -> int:
        return len(self.results)


@dataclass(frozen=True, slots=True)
class TokenStreamed:
    """A piece of a chat model's answer, as it comes. Not stored."""

    execution_id: ExecutionId
    node: str
    text: str
    message: Any = field(repr=False)
    """LangChain's message chunk."""


@dataclass(frozen=True, slots=True)
class CustomStreamed:
    """What a node handed to LangGraph's stream writer. Not stored."""

    execution_id: ExecutionId
    data: Any
