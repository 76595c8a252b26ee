"""Asking scores and preferences about outcomes, so that one that raises spoils nothing but its own answer.

What isn't an `Exception` (`KeyboardInterrupt`, say) passes through. A coroutine
function is run to its end on an event loop of its own, so everything here is
called in a thread in which none is running.
"""

import asyncio
import inspect
import math
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from wtb.domain.batch import FAILED, Scored
from wtb.domain.errors import InvalidRequest
from wtb.domain.execution import Failure
from wtb.domain.identifiers import is_storable
from wtb.sdk.batches.outcome import Case, Outcome

Choice = Literal["a", "b", "tie"]

ScoreFunction = Callable[[Case, Outcome], Scored | Awaitable[Scored]]
PreferenceFunction = Callable[[Case, Outcome, Outcome], Choice | Awaitable[Choice]]

LONGEST_LABEL = 200
"""Characters. What is longer is an answer, not a label."""
_ENDED = frozenset({"completed", "paused"})
_EXACT = 2**63


@dataclass(frozen=True, slots=True)
class Score:
    """A function of a case and its outcome that says whether, how much, or which label."""

    function: ScoreFunction
    name: str
    when_failed: Scored | None = None
    """What a failed trial scores: the function isn't asked then. None leaves it out; but where all of a score's values
    are yes or no, what is left out of a failed trial counts as no."""
    higher_is_better: bool | None = True
    """None when neither way is better. Labels have no way."""

    def __call__(self, case: Case, outcome: Outcome) -> Scored | Awaitable[Scored]:
        return self.function(case, outcome)


@dataclass(frozen=True, slots=True)
class Preference:
    """A function of a case and two of its outcomes that says which is better."""

    function: PreferenceFunction
    name: str

    def __call__(self, case: Case, a: Outcome, b: Outcome) -> Choice | Awaitable[Choice]:
        return self.function(case, a, b)


def as_scores(functions: Iterable[object]) -> tuple[Score, ...]:
    """Functions as a batch's scores, checked before anything runs.

    A plain function's attributes ``name``, ``when_failed`` and ``higher_is_better`` count as a `Score`'s; one that is
    annotated to return a bool scores False when the trial failed. Raises `InvalidRequest` for what can't be called with
    a case and an outcome, and for names that are missing or not unique.
    """
    return _unique("score", [as_score(function) for function in functions])


def as_preferences(functions: Iterable[object]) -> tuple[Preference, ...]:
    """Functions as a batch's preferences; as `as_scores`."""
    return _unique("preference", [_as_preference(function) for function in functions])


def as_score(
    function: object,
    name: str | None = None,
    when_failed: Scored | None = None,
    higher_is_better: bool | None = None,
) -> Score:
    """A function as a score; what isn't given is the function's own. Raises `InvalidRequest`."""
    ...


def score_outcome(
    case: Case, outcome: Outcome, scores: Sequence[Score]
) -> tuple[dict[str, Scored], dict[str, Failure]]:
    """What scores say of a trial, and of those that raised, or said what isn't a score, the error; by name.

    Asked about trials that completed or paused. A trial that failed scores what each says in ``when_failed``; a
    cancelled one scores nothing. Coroutines run side by side.
    """
    ...


def prefer(case: Case, a: Outcome, b: Outcome, preference: Preference) -> tuple[Choice | None, Failure | None]:
    """Which of two trials is preferred; None and the error when it raised or said something else.

    One that failed is never preferred to one that completed or paused, nor asked about; two that failed are a tie. A
    cancelled one can't be compared: None, without an error.
    """
    ...
