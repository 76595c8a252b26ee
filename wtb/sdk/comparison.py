"""Two executions beside each other, or one at two checkpoints: what both did, step by step, and where they part.

Two are equal when they did the same: visited the same nodes in the same order
with the same number of tries, from the same state to the same writes and errors,
and ended alike. Times don't count, nor which variant or which version of the
graph did it; both are shown.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import msgspec

from wtb.domain.identifiers import CheckpointId, Digest, Position
from wtb.projections.executions import Execution
from wtb.projections.steps import Step
from wtb.sdk.changes import Change, between, changed, unequal, written
from wtb.sdk.plain_values import PlainValues
from wtb.sdk.version_changes import VersionChanges

Difference = Literal["path", "attempts", "input", "writes", "error", "status", "state"]
"""What differs: which node ran, how often it was tried, the state it saw, what it wrote, how it failed, how it ended;
``state`` is that of a whole execution."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two: an execution, and the checkpoint it is looked at."""

    execution: Execution
    checkpoint: CheckpointId | None
    """None before the first one was saved."""
    step: int | None
    named: bool
    """Whether the checkpoint was asked for; else it is where the execution stands."""

    @property
    def status(self) -> str:
        return "at a checkpoint" if self.named else self.execution.status


@dataclass(frozen=True)
class StepComparison:
    """A node's visit in both, or in one of them. Its changes are worked out when they are asked for."""

    node: str
    """The node's path."""
    a: Step | None
    """Its last try; None where the path of ``a`` has no such visit."""
    b: Step | None
    tries: tuple[int, int]
    """How often it was tried in each; tries that died with their process among them."""
    differs: tuple[Difference, ...]
    _saw: tuple[Mapping[str, Digest], Mapping[str, Digest]] = field(repr=False, compare=False)
    _wrote: tuple[Mapping[str, Sequence[Digest]], Mapping[str, Sequence[Digest]]] = field(repr=False, compare=False)
    _values: PlainValues = field(repr=False, compare=False)

    @property
    def equal(self) -> bool:
        return not self.differs

    @property
    def unlike(self) -> tuple[str, ...]:
        """The channels of the state that the node saw which differ; empty unless both visited it."""
        return unequal(self._values, *self._saw) if "input" in self.differs else ()

    @cached_property
    def saw(self) -> tuple[Change, ...]:
        """How the state that the node saw differs, channel by channel; empty unless both visited it."""
        if self.a is None or self.b is None:
            return ()
        return changed(self._values, *self._saw)

    @cached_property
    def wrote(self) -> tuple[Change, ...]:
        """How what it wrote differs, channel by channel."""
        return tuple(between(*(written(self._values, wrote) for wrote in self._wrote)))


@dataclass(frozen=True)
class Comparison:
    """Two executions beside each other, step by step.

    Readable in a REPL and in Jupyter; `data` has it as plain data.
    """

    a: Side
    b: Side
    steps: tuple[StepComparison, ...]
    """The visits of both, aligned by node; where the paths part, those of ``a`` come first."""
    differs: tuple[Difference, ...]
    """What differs in how they ended: ``status``, ``error``, ``state``."""
    versions: VersionChanges | None
    """How the versions that they ran differ; None where they ran the same one, or where one isn't known."""
    _state: tuple[Mapping[str, Digest], Mapping[str, Digest]] = field(repr=False, compare=False)
    _values: PlainValues = field(repr=False, compare=False)

    @property
    def equal(self) -> bool:
        """Whether both did the same."""
        return not self.differs and all(step.equal for step in self.steps)

    @cached_property
    def state(self) -> tuple[Change, ...]:
        """How the states differ at which both are looked at, channel by channel."""
        return changed(self._values, *self._state)

    @property
    def different(self) -> tuple[StepComparison, ...]:
        """The steps that differ."""
        return tuple(step for step in self.steps if not step.equal)

    def data(self) -> dict[str, Any]:
        """As JSON can say it, as ``wtb diff --json`` prints it.

        Of the state that a step saw only the channels that differ are named: in
        a conversation that goes on, what differs once differs in every step after.
        """
        steps = [
            {
                "node": step.node,
                "equal": step.equal,
                "differs": step.differs,
                "a": step.a,
                "b": step.b,
                "tries": step.tries,
                "saw": step.unlike,
                "wrote": step.wrote if {"writes", "path"} & {*step.differs} else (),
            }
            for step in self.steps
        ]
        return _plain(
            {
                "equal": self.equal,
                "a": self.a,
                "b": self.b,
                "differs": self.differs,
                "versions": None if self.versions is None else self.versions.data(),
                "steps": steps,
                "state": self.state,
            }
        )

    def __repr__(self) -> str:
        from wtb.sdk.comparison_shown import as_text

        return as_text(self)

    def _repr_html_(self) -> str:
        from wtb.sdk.comparison_shown import as_html

        return as_html(self)


@dataclass(frozen=True, slots=True)
class FirstDifference:
    """The step by which two executions came to differ."""

    what: Difference
    """When no step differs: how the executions ended, or the ``state`` they were brought to from outside."""
    node: str | None
    """The node's path, in ``a`` if it ran there; None when no step differs."""
    a: Step | None
    b: Step | None
    positions: tuple[Position | None, Position | None]
    """Of the step's last start in each; None where it didn't run."""
    wrote: tuple[dict[str, Any], dict[str, Any]]
    """What it wrote in each, by channel, as plain data."""
    changes: tuple[Change, ...]
    """How what differs differs: the state it saw, or else what it wrote."""

    def data(self) -> dict[str, Any]:
        """As JSON can say it."""
        return _plain({name: getattr(self, name) for name in self.__slots__})

    def __repr__(self) -> str:
        from wtb.sdk.comparison_shown import first_as_text

        return first_as_text(self)


def _plain(data: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(data, str_keys=True, enc_hook=str)
    return found
