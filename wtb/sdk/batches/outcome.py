"""A case and what became of it: what scores are asked about, and what a batch's result is made of."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import Any

from wtb.domain.batch import Scored, Trial, TrialStatus, Usage
from wtb.domain.identifiers import ExecutionId
from wtb.sdk.results import RunError


@dataclass(frozen=True, slots=True)
class Case:
    """One input to a workflow, and what is known of it."""

    id: str
    """Unique in its batch."""
    input: Any
    """The graph's initial state."""
    expected: Any = None
    """What scores may compare with; None when there is nothing to compare with."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """Plain data about it, such as where it comes from."""
    source: ExecutionId | None = None
    """The past execution whose input it is."""


@dataclass(frozen=True)
class Outcome:
    """How a trial ended."""

    trial: Trial
    execution_id: ExecutionId
    status: TrialStatus
    variants: Mapping[str, str]
    """Node path to variant name: the combination."""
    duration: timedelta
    """Of its last attempt, without what it shares with others."""
    attempts: int = 1
    error: RunError | None = None
    usage: tuple[Usage, ...] = ()
    """Tokens by model."""
    scores: Mapping[str, Scored] = field(default_factory=dict)
    score_errors: Mapping[str, RunError] = field(default_factory=dict)
    """Scores that raised, by name."""
    load: Callable[[], Mapping[str, Any]] = field(default=dict, repr=False, compare=False)
    """Reads ``state``."""

    @cached_property
    def state(self) -> Mapping[str, Any]:
        """The graph's output when it completed, else its state as last recorded. Raises `ValueMissing`."""
        return self.load()
