"""What a replay tells of, and how it ends."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from langgraph.errors import GraphBubbleUp

Kind = Literal["graph", "reducer", "input", "record"]


@dataclass(frozen=True, slots=True)
class Divergence:
    """Where today's graph, or the record itself, first differs from what was recorded."""

    kind: Kind
    """``graph``: other nodes start. ``reducer``: the same writes make another value. ``input``: a graph begins with
    another value. ``record``: the record isn't as it was written."""
    message: str
    step: int | None = None
    """The superstep's number in its own graph; -1 is the input."""
    node: str | None = None
    """The node's path."""
    channel: str | None = None
    expected: Any = None
    """What the record has."""
    found: Any = None

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True, slots=True)
class ReplayedStep:
    """A node's work at one superstep."""

    node: str
    """The node's path."""
    step: int
    """The superstep's number in its own graph."""


@dataclass(frozen=True, slots=True)
class StepChange:
    """What a node wrote otherwise that ran instead of being served: channel → (as recorded, now).

    None stands where nothing was written, and a list where more than once. For a
    channel that leads on to another node, ``branch:to:…``, it is whether it did.
    """

    node: str
    step: int
    writes: Mapping[str, tuple[Any, Any]]


class Diverged(GraphBubbleUp):
    """A verification ends at what differs."""


class Halted(GraphBubbleUp):
    """The record ends here, or what comes next would have to be run and mayn't be."""


class SegmentEnd(GraphBubbleUp):
    """What follows in the record begins with a state that somebody gave."""


class Departed(GraphBubbleUp):
    """A node left its graph by a Command to the one around it."""


class RecordedFailure(Exception):
    """An error from the record."""

    def __init__(self, type: str, message: str) -> None:
        super().__init__(message)
        self.type = type
