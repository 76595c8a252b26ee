"""Scores and preferences for batches: built-in ones, LLM judges, and a decorator for your own.

::

    from wtb.sdk import scores

    bench.batch(graph, cases, scores=[scores.exact_match("answer"), scores.latency()])

Each function makes a `Score`: a callable of a case and its outcome. A ``channel``
is one of the graph's; what it holds is compared as `wtb.sdk.batches.answers`
says. What a case expects under the channel's name, or under ``key``, is what it
is compared with; when what it expects isn't a mapping, it is that itself. A score
that has nothing to compare raises, which the batch notes as that score's error.
"""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, overload

from wtb.domain.batch import Price, Scored
from wtb.domain.errors import ExtraMissing, InvalidRequest
from wtb.sdk.batches.answers import answered, expected, plain, text_of
from wtb.sdk.batches.budget import check_prices
from wtb.sdk.batches.judging import judge, prefer
from wtb.sdk.batches.outcome import Case, Outcome
from wtb.sdk.batches.scoring import Choice, Preference, Score, ScoreFunction, as_score

__all__ = [
    "Choice",
    "Preference",
    "Price",
    "Score",
    "attempts",
    "close_to",
    "contains",
    "cost",
    "exact_match",
    "json_schema",
    "judge",
    "label",
    "latency",
    "matches",
    "prefer",
    "score",
    "tokens",
]


@overload
def score(function: ScoreFunction) -> Score: ...
@overload
def score(
    function: ScoreFunction,
    *,
    name: str | None = None,
    when_failed: Scored | None = None,
    higher_is_better: bool | None = True,
) -> Score: ...
@overload
def score(
    function: None = None,
    *,
    name: str | None = None,
    when_failed: Scored | None = None,
    higher_is_better: bool | None = True,
) -> Callable[[ScoreFunction], Score]: ...
def score(
    function: ScoreFunction | None = None,
    *,
    name: str | None = None,
    when_failed: Scored | None = None,
    higher_is_better: bool | None = True,
) -> Score | Callable[[ScoreFunction], Score]:
    """Your own function as a score: ``score(function, name=…)``, or a decorator with or without arguments.

    ``when_failed`` is what a failed trial scores; without it such a trial is left out, or is a no when the function
    says yes and no. Raises `InvalidRequest` for what can't be called with a case and an outcome.
    """

    def made(function: ScoreFunction) -> Score:
        plainly = as_score(function, name)
        failed = plainly.when_failed if when_failed is None else when_failed
        return replace(plainly, when_failed=failed, higher_is_better=higher_is_better)

    return made if function is None else made(function)


# --- yes or no -----------------------------------------------------------------------------------


def exact_match(channel: str | None = None, *, key: str | None = None, name: str = "exact_match") -> Score:
    """Whether the channel holds just what is expected; without a channel, whether all channels that the case expects
    something of do."""

    if channel is None:
        if key is not None:
            raise InvalidRequest(
                "exact_match: a key needs a channel to be compared with",
                hint="Name the channel too, or leave the key out.",
            )
        return Score(_all_match, name, when_failed=False)

    def same(case: Case, outcome: Outcome) -> bool:
        return bool(answered(outcome, channel) == expected(case, key or channel))

    return Score(same, name, when_failed=False)


def contains(
    channel: str,
    *,
    text: str | Sequence[str] | None = None,
    key: str | None = None,
    ignore_case: bool = False,
    name: str = "contains",
) -> Score:
    """Whether the channel's text has this text in it, or the one expected; of several, all of them."""

    def found(case: Case, outcome: Outcome) -> bool:
        wanted = expected(case, key or channel) if text is None else text
        where = _folded(answered(outcome, channel), f"channel {channel!r}", ignore_case)
        return all(
            _folded(one, "what is expected", ignore_case) in where
            for one in ([wanted] if isinstance(wanted, str) else wanted)
        )

    return Score(found, name, when_failed=False)


def matches(channel: str, *, pattern: str, flags: re.RegexFlag = re.NOFLAG, name: str = "matches") -> Score:
    """Whether the regular expression is found in the channel's text; ``^`` and ``$`` tie it to the ends."""
    try:
        compiled = re.compile(pattern, flags)
    except re.error as flaw:
        raise InvalidRequest(
            f"{pattern!r} is no regular expression: {flaw}", hint="Patterns are those of Python's re."
        ) from None

    def found(case: Case, outcome: Outcome) -> bool:
        return compiled.search(text_of(answered(outcome, channel), f"channel {channel!r}")) is not None

    return Score(found, name, when_failed=False)


def json_schema(channel: str, *, schema: Mapping[str, Any], name: str = "json_schema") -> Score:
    """Whether what the channel holds fits a JSON schema; text is read as JSON, and doesn't fit when it isn't.

    A reference leads within the schema; nothing is fetched. Raises `InvalidRequest` for what is no schema, and
    `ExtraMissing` without the extra ``batch``.
    """
    try:
        from jsonschema.exceptions import SchemaError
        from jsonschema.validators import Draft202012Validator, validator_for
        from referencing import Registry
    except ImportError:
        raise ExtraMissing("the score json_schema", "batch") from None

    kind = validator_for(dict(schema), default=Draft202012Validator)
    try:
        kind.check_schema(dict(schema))
    except SchemaError as flaw:
        raise InvalidRequest(
            f"no JSON schema: {flaw.message}", hint="Give a schema of JSON Schema 2020-12 or earlier."
        ) from None
    validator = kind(dict(schema), registry=Registry())

    def fits(case: Case, outcome: Outcome) -> bool:
        held = answered(outcome, channel)
        if isinstance(held, str):
            try:
                held = json.loads(held)
            except ValueError:
                return False
        return bool(validator.is_valid(held))

    return Score(fits, name, when_failed=False)


def close_to(
    channel: str,
    *,
    tolerance: float,
    relative: bool = False,
    key: str | None = None,
    name: str = "close_to",
) -> Score:
    """Whether the channel's number is at most ``tolerance`` away from the one expected; text is read as a number.

    ``relative``: the tolerance is a share of the expected number, as 0.01 for a hundredth.
    """
    if not tolerance >= 0:
        raise InvalidRequest(f"close_to: a tolerance is at least 0, and this is {tolerance}", hint="Give 0 or more.")

    def close(case: Case, outcome: Outcome) -> bool:
        wanted = _number(expected(case, key or channel), "what is expected")
        held = _number(answered(outcome, channel), f"channel {channel!r}")
        return abs(held - wanted) <= (tolerance * abs(wanted) if relative else tolerance)

    return Score(close, name, when_failed=False)


# --- how much ------------------------------------------------------------------------------------


def latency(*, name: str = "latency") -> Score:
    """Seconds that the trial's last attempt took; less is better."""
    return Score(lambda case, outcome: outcome.duration.total_seconds(), name, higher_is_better=False)


def attempts(*, name: str = "attempts") -> Score:
    """How often the trial was tried; less is better."""
    return Score(lambda case, outcome: outcome.attempts, name, higher_is_better=False)


def tokens(*, name: str = "tokens") -> Score:
    """Tokens read and written, of all models together, as they tell LangChain; 0 when none did. Less is better."""

    def used(case: Case, outcome: Outcome) -> int:
        return sum(one.tokens for one in outcome.usage)

    return Score(used, name, higher_is_better=False)


def cost(prices: Mapping[str, Price], *, name: str = "cost") -> Score:
    """What the tokens cost, in the unit of the prices, which are for a million tokens; less is better.

    Raises `LookupError` for a model without a price, rather than count it as free. Raises `InvalidRequest` for what is
    no price.
    """
    check_prices(prices)

    def spent(case: Case, outcome: Outcome) -> float:
        unknown = [used.model for used in outcome.usage if used.model not in prices]
        if unknown:
            raise LookupError(f"there is no price for model {unknown[0]!r}")
        return math.fsum(prices[used.model].of(used) for used in outcome.usage)

    return Score(spent, name, higher_is_better=False)


# --- which ---------------------------------------------------------------------------------------


def label(channel: str, *, name: str | None = None) -> Score:
    """The channel's text as a label, to be counted: the route a router took, the topic a classifier found."""

    def labelled(case: Case, outcome: Outcome) -> str:
        return text_of(answered(outcome, channel), f"channel {channel!r}").strip()

    return Score(labelled, name or channel, higher_is_better=None)


# --- reading -------------------------------------------------------------------------------------


def _all_match(case: Case, outcome: Outcome) -> bool:
    wanted = plain(case.expected)
    if not isinstance(wanted, dict) or not wanted:
        raise LookupError(f"case {case.id!r} expects no channels by name; name the one to compare")
    return all(answered(outcome, channel) == held for channel, held in wanted.items())


def _folded(value: Any, what: str, ignore_case: bool) -> str:
    held = text_of(value, what)
    return held.casefold() if ignore_case else held


def _number(value: Any, what: str) -> float:
    """Raises `ValueError` or `TypeError` for what isn't one."""
    if isinstance(value, bool):
        raise TypeError(f"{what} is no number but {value}")
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{what} is no finite number but {value}")
    return number
