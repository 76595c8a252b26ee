"""What others ask of an execution that this process runs, and where it stops because of that."""

from collections.abc import Sequence

from wtb.domain.execution import (
    BreakpointsSet,
    CancelRequested,
    ExecutionCancelled,
    ExecutionFact,
    ExecutionPaused,
    LifecycleFact,
    NodeCompleted,
    NodeStarted,
    PauseRequested,
    Running,
    Stop,
    breakpoints,
    fold,
)
from wtb.domain.identifiers import CheckpointId, TaskId, node_path

Request = PauseRequested | CancelRequested | BreakpointsSet
"""What others may say in the stream of an execution that runs."""


class Control:
    """Says which nodes may start, in one stretch of an execution.

    Nodes that run are left alone: they finish, and what they wrote is kept. What
    stands here is read and changed under the recording's lock, but for
    `amended`, which only adds to sets.
    """

    def __init__(
        self,
        held: BreakpointsSet | None = None,
        passes: Sequence[Stop] = (),
        *,
        pause: bool = False,
        cancel: CancelRequested | None = None,
    ) -> None:
        """``passes``: where breakpoints have stopped it; these nodes may start there now, and again when they must."""
        held = held or BreakpointsSet()
        self.pause = pause
        self.cancel = cancel
        self.before = frozenset(held.before)
        self.after = frozenset(held.after)
        self.stops: list[Stop] = []
        """The nodes that may pass when the execution is resumed."""
        self.kept_back = False
        """Whether a node was kept from starting."""
        self.withdrawn: set[TaskId] = set()
        """Tasks whose start was noted, and taken back before it was durable."""
        self.cut_short = False
        """Whether the pause that was about to be recorded became the end."""
        self._passes = frozenset((stop.node, stop.checkpoint) for stop in passes)
        self._ended: set[str] = set()
        """Nodes after which it is to stop."""

    @classmethod
    def left_by(cls, facts: Sequence[LifecycleFact]) -> "Control":
        """What still holds after these facts."""
        state = fold(facts)
        running = state if isinstance(state, Running) else None
        cancels = [fact for fact in facts if isinstance(fact, CancelRequested)]
        return cls(
            breakpoints(facts),
            [stop for fact in facts if isinstance(fact, ExecutionPaused) for stop in fact.stops],
            pause=running is not None and running.pause_requested,
            cancel=cancels[-1] if running is not None and running.cancel_requested else None,
        )

    def hear(self, request: Request) -> None:
        match request:
            case PauseRequested():
                self.pause = True
            case CancelRequested():
                self.cancel = request
            case BreakpointsSet():
                self.before, self.after = frozenset(request.before), frozenset(request.after)

    def keeps_back(self, node: str, checkpoint: CheckpointId, attempt: int) -> bool:
        """Whether a node, by its path, must not start now."""
        asked = self.pause or self.cancel is not None
        return asked or not self._ended.isdisjoint(self.after) or self._breaks(node, checkpoint, attempt)

    def keep_back(self, node: str, checkpoint: CheckpointId, attempt: int) -> None:
        """Remember that a node didn't start."""
        self.kept_back = True
        asked = self.pause or self.cancel is not None
        if not asked and self._breaks(node, checkpoint, attempt):
            stop = Stop(node=node, checkpoint=checkpoint)
            if stop not in self.stops:
                self.stops.append(stop)

    def _breaks(self, node: str, checkpoint: CheckpointId, attempt: int) -> bool:
        # A node that is tried again has begun.
        return node in self.before and attempt == 1 and (node, checkpoint) not in self._passes

    def completed(self, node: str) -> None:
        """Hear that a node, by its path, has completed."""
        if node in self.after:
            self._ended.add(node)

    def amended(self, fact: ExecutionFact) -> ExecutionFact | None:
        """What becomes of a fact that isn't durable yet, after what was heard; None when it mustn't be written."""
        match fact:
            case NodeCompleted():
                self.completed(node_path(fact.namespace, fact.node))
            case NodeStarted():
                node = node_path(fact.namespace, fact.node)
                if self.keeps_back(node, fact.checkpoint, fact.attempt):
                    self.keep_back(node, fact.checkpoint, fact.attempt)
                    self.withdrawn.add(fact.task)
                    return None
            case ExecutionPaused() if self.cancel is not None:
                self.cut_short = True
                return ExecutionCancelled(reason=self.cancel.reason)
        return fact
