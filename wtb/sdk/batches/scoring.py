"""Asking scores and preferences about outcomes, so that one that raises spoils nothing but its own answer.

What isn't an `Exception` (`KeyboardInterrupt`, say) passes through. A coroutine
function is run to its end on an event loop of its own, so everything here is
called in a thread in which none is running.
"""

import asyncio
import inspect
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeVar, cast, get_args

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
LONGEST_NAME = 100
"""Characters."""
LARGEST = 1e100
"""The squares of what is greater are no floats any more, so nothing could be told of it."""
_TOO_BIG = 2**63

Answer = TypeVar("Answer")


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

    def __post_init__(self) -> None:
        _check_name("score", self.name)
        if self.when_failed is not None:
            try:
                _scored(self.when_failed)
            except (TypeError, ValueError) as flaw:
                raise InvalidRequest(
                    f"score {self.name!r}, when_failed: {flaw}",
                    hint="Give True, False, a finite number or a short text.",
                ) from None

    def __call__(self, case: Case, outcome: Outcome) -> Scored | Awaitable[Scored]:
        return self.function(case, outcome)


@dataclass(frozen=True, slots=True)
class Preference:
    """A function of a case and two of its outcomes that says which is better."""

    function: PreferenceFunction
    name: str

    def __post_init__(self) -> None:
        _check_name("preference", self.name)

    def __call__(self, case: Case, a: Outcome, b: Outcome) -> Choice | Awaitable[Choice]:
        return self.function(case, a, b)


def as_scores(functions: Iterable[object]) -> tuple[Score, ...]:
    """Functions as a batch's scores, checked before anything runs.

    A plain function's attributes ``name``, ``when_failed`` and ``higher_is_better`` count as a `Score`'s; one that is
    annotated to return a bool scores False when the trial failed. Raises `InvalidRequest` for what can't be called with
    a case and an outcome, and for names that are missing or not unique.
    """
    return _unique("score", [as_score(function) for function in _each("score", functions)])


def as_preferences(functions: Iterable[object]) -> tuple[Preference, ...]:
    """Functions as a batch's preferences; as `as_scores`."""
    return _unique("preference", [_as_preference(function) for function in _each("preference", functions)])


def as_score(function: object, name: str | None = None) -> Score:
    """A function as a score, under a name of its own or this one. Raises `InvalidRequest`."""
    if isinstance(function, Score):
        return function
    function = _callable_with("score", function, "case, outcome")
    says_bool = getattr(function, "__annotations__", {}).get("return") in (bool, "bool")
    return Score(
        function,
        _name_of(function, name),
        getattr(function, "when_failed", False if says_bool else None),
        getattr(function, "higher_is_better", True),
    )


def score_outcome(
    case: Case, outcome: Outcome, scores: Sequence[Score]
) -> tuple[dict[str, Scored], dict[str, Failure]]:
    """What scores say of a trial, and of those that raised, or said what isn't a score, the error; by name.

    Asked about trials that completed or paused. A trial that failed scores what each says in ``when_failed``; a
    cancelled one scores nothing. Coroutines run side by side.
    """
    if outcome.status in FAILED:
        return {score.name: _scored(score.when_failed) for score in scores if score.when_failed is not None}, {}
    if outcome.status == "cancelled":
        return {}, {}
    answers = _answers([partial(score, case, outcome) for score in scores], _scored)
    named = {score.name: answer for score, answer in zip(scores, answers, strict=True)}
    return (
        {name: answer for name, answer in named.items() if not isinstance(answer, Failure)},
        {name: answer for name, answer in named.items() if isinstance(answer, Failure)},
    )


def prefer(case: Case, a: Outcome, b: Outcome, preference: Preference) -> tuple[Choice | None, Failure | None]:
    """Which of two trials is preferred; None and the error when it raised or said something else.

    One that failed is never preferred to one that completed or paused, nor asked about; two that failed are a tie. A
    cancelled one can't be compared: None, without an error.
    """
    if "cancelled" in (a.status, b.status):
        return None, None
    if {a.status, b.status} <= FAILED:
        return "tie", None
    if a.status in FAILED:
        return "b", None
    if b.status in FAILED:
        return "a", None
    [answer] = _answers([partial(preference, case, a, b)], _choice)
    return (None, answer) if isinstance(answer, Failure) else (answer, None)


# --- asking --------------------------------------------------------------------------------------


def _answers(
    questions: Sequence[Callable[[], object]], understood: Callable[[object], Answer]
) -> list[Answer | Failure]:
    """The answer to each, or how it failed."""

    def asked(question: Callable[[], object]) -> Answer | Failure | Awaitable[object]:
        try:
            answer = question()
            return answer if inspect.isawaitable(answer) else understood(answer)
        except Exception as error:  # noqa: BLE001  # whatever a score raises is told in the record
            return _failure(error)

    async def awaited(answer: Awaitable[object]) -> Answer | Failure:
        try:
            return understood(await answer)
        except Exception as error:  # noqa: BLE001  # as above
            return _failure(error)

    async def all_awaited() -> list[Answer | Failure]:
        return await asyncio.gather(*(awaited(answer) for answer in waiting))

    answers = [asked(question) for question in questions]
    waiting = [answer for answer in answers if inspect.isawaitable(answer)]
    came = iter(asyncio.run(all_awaited()) if waiting else ())
    return [next(came) if inspect.isawaitable(answer) else answer for answer in answers]


def _scored(answer: object) -> Scored:
    """What was answered, as a score; numpy's and torch's scalars count as Python's."""
    if not isinstance(answer, bool | int | float | str) and callable(item := getattr(answer, "item", None)):
        answer = item()
    match answer:
        case bool():
            return answer
        case int():
            if abs(answer) >= _TOO_BIG:
                raise ValueError("a whole number is less than 2**63; return a float")
            return int(answer)
        case float():
            if not math.isfinite(answer) or abs(answer) > LARGEST:
                raise ValueError(f"a score is a finite number up to {LARGEST:g}, and this is {answer}")
            return float(answer)
        case str():
            if not answer.strip() or len(answer) > LONGEST_LABEL or not is_storable(answer):
                raise ValueError(f"a label is a text of 1 to {LONGEST_LABEL} characters, without zero characters")
            return str.__str__(answer)
        case _:
            raise TypeError(f"a score is a bool, a number or a short text, and this is {_a(answer)}")


def _choice(answer: object) -> Choice:
    if isinstance(answer, str) and answer in get_args(Choice):
        return cast("Choice", answer)
    raise ValueError(f"a preference is 'a', 'b' or 'tie', and this is {_a(answer)}")


def _a(answer: object) -> str:
    return "None" if answer is None else repr(answer)[:50] if isinstance(answer, str) else f"of {type(answer)}"


def _failure(error: Exception) -> Failure:
    message = str(error)
    return Failure(type=type(error).__name__, message=message if is_storable(message) else ascii(message))


# --- checking ------------------------------------------------------------------------------------


def _each(kind: str, functions: object) -> Iterable[object]:
    if not isinstance(functions, Iterable):
        raise InvalidRequest(f"{kind}s come in a list, and {functions!r} is none", hint="Put it into a list.")
    return functions


def _as_preference(function: object) -> Preference:
    if isinstance(function, Preference):
        return function
    function = _callable_with("preference", function, "case, a, b")
    return Preference(function, _name_of(function))


def _callable_with(kind: str, function: object, parameters: str) -> Callable[..., Any]:
    """The function; one that asks for something else is refused now, not once for each trial."""
    if not callable(function) or isinstance(function, type):
        raise InvalidRequest(
            f"a {kind} is a function of ({parameters}), and {function!r} isn't",
            hint="Give a function, a coroutine function, or one of wtb.sdk.scores.",
        )
    try:
        signature = inspect.signature(function)
    except ValueError:  # some functions written in C don't tell
        return function
    try:
        signature.bind(*parameters.split(", "))
    except TypeError as flaw:
        raise InvalidRequest(
            f"{kind} {getattr(function, '__name__', function)!r} can't be called with ({parameters}): {flaw}",
            hint="Built-in scores are made first: scores.exact_match('answer'), not scores.exact_match.",
        ) from None
    return function


def _name_of(function: Callable[..., Any], name: str | None = None) -> str:
    return str(name or getattr(function, "name", None) or getattr(function, "__name__", ""))


def _check_name(kind: str, name: str) -> None:
    if not name.strip() or not name.isprintable() or len(name) > LONGEST_NAME:
        raise InvalidRequest(
            f"a {kind}'s name is 1 to {LONGEST_NAME} characters, and this isn't: {name[:50]!r}",
            hint="Give it a short name: scores.score(function, name=…).",
        )


Named = TypeVar("Named", Score, Preference)


def _unique(kind: str, named: Sequence[Named]) -> tuple[Named, ...]:
    twice = [name for name, times in Counter(one.name for one in named).items() if times > 1]
    if twice:
        raise InvalidRequest(
            f"more than one {kind} is called {twice[0]!r}",
            hint="Give each a name of its own: scores.score(function, name=…), or name=… where it is made.",
        )
    return tuple(named)
