"""What goes to whoever runs a trial, and what comes back: plain data, so that it may cross any boundary as JSON."""

from concurrent.futures import Future
from typing import Protocol

import msgspec

from wtb.domain.batch import Trial, TrialStatus, Usage
from wtb.domain.identifiers import BatchId, CheckpointId, Digest, ExecutionId


class Fork(msgspec.Struct, frozen=True):
    """Where a trial begins that shares its first steps with others."""

    execution: ExecutionId
    checkpoint: CheckpointId
    failed: bool = False
    """What they share failed: the trial ends as it did, without running."""


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """A trial to be brought to its end, from wherever its execution stands: not begun, broken off, failed."""

    batch: BatchId
    trial: Trial
    execution: ExecutionId
    workflow: str
    variants: dict[str, str]
    input: Digest
    """The case's, as it is stored."""
    fork: Fork | None = None
    """Where it begins instead of with its input."""
    break_before: tuple[str, ...] = ()
    """Nodes before which it is to stop; then it is what other trials are forked from."""
    attempts: int = 1
    """How often it may fail; one whose record says that it did isn't tried again."""


class Trouble(msgspec.Struct, frozen=True):
    """An error, told to another process."""

    type: str
    message: str
    node: str | None = None


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How far an attempt at a trial got."""

    execution: ExecutionId
    status: TrialStatus
    duration_us: int
    attempts: int = 1
    """That its record tells of."""
    error: Trouble | None = None
    usage: list[tuple[str, int, int]] = []
    """Model, input tokens, output tokens."""

    @property
    def tokens(self) -> tuple[Usage, ...]:
        return tuple(
            Usage(model=model, input_tokens=read, output_tokens=written) for model, read, written in self.usage
        )


class Workers(Protocol):
    """Run assignments side by side, out of the way of whoever hands them out."""

    def submit(self, assignment: Assignment) -> "Future[Ended]":
        """Begin it, at once. The future raises `WorkerDied` when its process died, and what kept it from being run."""
        ...

    def give_up(self, assignment: Assignment, future: "Future[Ended]") -> bool:
        """Stop caring for one that takes too long: its process is killed where there is one, its execution cancelled.

        Afterwards the execution isn't run by anybody any more, and can be
        retried. False when it is just about to begin, and can't be kept from it.
        """
        ...

    def close(self) -> None:
        """Let go of processes and threads. Nothing is under way any more but what was given up."""
        ...
