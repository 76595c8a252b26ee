"""Where an execution comes from, what was forked from it, and where its own branches end."""

from collections.abc import Callable
from dataclasses import dataclass
from html import escape

from sqlalchemy import Connection

from wtb.domain.errors import ExecutionNotFound
from wtb.domain.identifiers import CheckpointId, ExecutionId
from wtb.projections import checkpoints, executions
from wtb.projections.checkpoints import Checkpoint
from wtb.projections.executions import Execution
from wtb.sdk.platform import Platform
from wtb.sdk.state import find_checkpoint

MANY = 500
"""Parents asked for at a time."""


@dataclass(frozen=True, slots=True)
class Lineage:
    """An execution among those it descends from and those that descend from it."""

    execution: Execution
    ancestors: tuple[Execution, ...]
    """The one it was forked from first, the first of all last."""
    descendants: tuple[Execution, ...]
    """Its forks, then their forks, and so on."""
    branches: tuple[Checkpoint, ...]
    """Where the branches of its own past end, newest first; rolling back makes one."""
    head: CheckpointId | None
    """Where it stands; None before its first checkpoint."""

    def forks_of(self, execution: ExecutionId) -> tuple[Execution, ...]:
        """Which of the descendants were forked from an execution directly, oldest first."""
        return tuple(each for each in self.descendants if each.parent_execution == execution)

    def __repr__(self) -> str:
        return "\n".join(["<Lineage>", *self._lines()])

    def _repr_html_(self) -> str:
        return f"<pre>{escape(chr(10).join(self._lines()))}</pre>"

    def _lines(self) -> list[str]:
        above = [*reversed(self.ancestors), self.execution]
        lines = [f"{'  ' * depth}{_line(each)}" for depth, each in enumerate(above)]
        return [*lines, *self._below(self.execution.id, len(above))]

    def _below(self, parent: ExecutionId, depth: int) -> list[str]:
        lines = []
        for each in self.forks_of(parent):
            lines += [f"{'  ' * depth}{_line(each)}", *self._below(each.id, depth + 1)]
        return lines


def _line(execution: Execution) -> str:
    at = f" from {execution.parent_checkpoint}" if execution.parent_checkpoint else ""
    return f"{execution.id} {execution.status}{at}"


def lineage(platform: Platform, execution: ExecutionId) -> Lineage:
    """Raises `ExecutionNotFound`."""
    with platform.reading() as connection:
        return lineage_in(connection, execution, lambda: find_checkpoint(platform, execution, None).checkpoint)


def lineage_in(connection: Connection, execution: ExecutionId, head: Callable[[], CheckpointId | None]) -> Lineage:
    """As some read models have it; ``head`` is asked when there are checkpoints. Raises `ExecutionNotFound`."""
    found = executions.get(connection, execution)
    if found is None:
        raise ExecutionNotFound(execution)
    descendants: list[Execution] = []
    generation: list[str] = [execution]
    while generation:
        children = [
            child
            for start in range(0, len(generation), MANY)
            for child in executions.forks(connection, generation[start : start + MANY])
        ]
        descendants += children
        generation = [child.id for child in children]
    branches = checkpoints.tips(connection, execution)
    return Lineage(
        found,
        executions.ancestors(connection, execution),
        tuple(descendants),
        branches,
        head() if branches else None,
    )
