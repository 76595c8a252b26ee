"""Given facts, when a command, then facts or a refusal."""

from collections.abc import Callable
from dataclasses import dataclass

from wtb.domain.errors import WtbError
from wtb.domain.execution import LifecycleFact, State, fold
from wtb.domain.identifiers import ExecutionId

EXECUTION = ExecutionId("e1")

Command = Callable[[ExecutionId, State], list[LifecycleFact]]
"""A decision that waits for the execution and its state."""


@dataclass(frozen=True)
class Given:
    """An execution with a past."""

    facts: tuple[LifecycleFact, ...]

    def when(self, command: Command) -> "Outcome":
        state = fold(self.facts)
        try:
            return Outcome(self, command(EXECUTION, state))
        except WtbError as refusal:
            return Outcome(self, refusal)


@dataclass(frozen=True)
class Outcome:
    """What a command came to."""

    before: Given
    came_to: list[LifecycleFact] | WtbError

    def then(self, *facts: LifecycleFact) -> Given:
        """It led to these facts, no more and no fewer; the execution as it stands after them."""
        assert self.came_to == list(facts)
        return Given((*self.before.facts, *facts))

    def then_already_so(self) -> None:
        assert self.came_to == []

    def then_refused(self, kind: type[WtbError], says: str) -> None:
        """It was refused with this very kind of error, whose message names ``says``."""
        assert type(self.came_to) is kind, self.came_to
        assert says in str(self.came_to)


def given(*facts: LifecycleFact) -> Given:
    return Given(facts)
