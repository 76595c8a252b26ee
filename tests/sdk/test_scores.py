"""The built-in scores: what each says of a case and its outcome, and what it can't say."""

import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from pydantic import BaseModel

from tests.sdk.outcomes import case, outcome
from wtb.domain.batch import Scored, Usage
from wtb.domain.errors import InvalidRequest
from wtb.sdk import scores
from wtb.sdk.batches.scoring import score_outcome
from wtb.sdk.scores import Price, Score


def said(score: Score, expected: Any = None, **state: Any) -> Scored:
    found, errors = score_outcome(case(expected), outcome(**state), [score])
    assert not errors, errors
    return found[score.name]


def failed(score: Score, expected: Any = None, **state: Any) -> str:
    """How it failed."""
    found, errors = score_outcome(case(expected), outcome(**state), [score])
    assert not found
    return f"{errors[score.name].type}: {errors[score.name].message}"


# --- exact_match ---------------------------------------------------------------------------------


class Ticket(BaseModel):
    topic: str
    tags: tuple[str, ...] = ()


@dataclass
class Place:
    city: str


@pytest.mark.parametrize(
    ("held", "expected", "same"),
    [
        ("Paris", "Paris", True),
        ("Paris", "paris", False),
        (3, 3.0, True),
        (None, "Paris", False),
        ("Paris", {"answer": "Paris", "other": 1}, True),
        ({"city": "Paris"}, {"answer": {"city": "Paris"}}, True),
        (AIMessage("Paris"), "Paris", True),
        ([HumanMessage("where?"), AIMessage("Paris")], "Paris", True),
        (AIMessage([{"type": "text", "text": "Paris"}]), HumanMessage("Paris"), True),
        (Ticket(topic="refund", tags=("a",)), {"answer": {"topic": "refund", "tags": ["a"]}}, True),
        (Place("Paris"), {"answer": {"city": "Paris"}}, True),
        ((1, 2), [1, 2], True),
    ],
)
def test_exact_match_compares_values_as_plain_data_and_messages_by_their_text(
    held: Any, expected: Any, same: bool
) -> None:
    assert said(scores.exact_match("answer"), expected, answer=held) is same


def test_exact_match_without_a_channel_compares_all_that_is_expected() -> None:
    every = scores.exact_match()
    assert said(every, {"a": 1, "b": "x"}, a=1, b="x", c=3) is True
    assert said(every, {"a": 1, "b": "x"}, a=1, b="y") is False
    assert "name the one to compare" in failed(every, "x", a="x")


def test_a_key_names_what_is_compared_with() -> None:
    assert said(scores.exact_match("answer", key="reference"), {"reference": "x", "answer": "y"}, answer="x") is True


def test_nothing_to_compare_with_is_an_error_that_says_what_there_is() -> None:
    exact = scores.exact_match("answer")
    assert failed(exact, None, answer="x") == "LookupError: case 'c' has nothing expected to compare with"
    assert "expects nothing of 'answer'; it does of: 'topic'" in failed(exact, {"topic": "x"}, answer="x")
    assert "no channel 'answer'; there are: 'topic'" in failed(exact, "x", topic="x")


# --- the other ones that say yes or no -----------------------------------------------------------


def test_contains_looks_for_a_text_or_for_what_is_expected() -> None:
    assert said(scores.contains("answer", text="par"), answer="Paris") is False
    assert said(scores.contains("answer", text="par", ignore_case=True), answer=AIMessage("Paris")) is True
    assert said(scores.contains("answer", text=["Par", "is"]), answer="Paris") is True
    assert said(scores.contains("answer", text=["Par", "x"]), answer="Paris") is False
    assert said(scores.contains("answer"), {"answer": ["Par", "is"]}, answer="Paris") is True
    assert "TypeError: channel 'answer' is no text" in failed(scores.contains("answer", text="3"), answer=3)


def test_matches_finds_a_regular_expression() -> None:
    assert said(scores.matches("answer", pattern=r"\d{4}"), answer="in 1889") is True
    assert said(scores.matches("answer", pattern=r"^\d{4}$"), answer="in 1889") is False
    with pytest.raises(InvalidRequest, match="no regular expression"):
        scores.matches("answer", pattern="(")


SCHEMA = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}


@pytest.mark.parametrize(
    ("held", "fits"),
    [
        ({"age": 3}, True),
        ('{"age": 3}', True),
        (AIMessage('{"age": 3}'), True),
        ('{"age": "3"}', False),
        ("no JSON", False),
        ([], False),
    ],
)
def test_json_schema_says_whether_a_value_or_the_json_in_a_text_fits(held: Any, fits: bool) -> None:
    assert said(scores.json_schema("answer", schema=SCHEMA), answer=held) is fits


def test_json_schema_refuses_what_is_no_schema() -> None:
    with pytest.raises(InvalidRequest, match="no JSON schema"):
        scores.json_schema("answer", schema={"type": "nonsense"})


def test_json_schema_fetches_nothing(tmp_path: Path) -> None:
    """Not even a schema that is there."""
    (tmp_path / "schema.json").write_text("{}")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=tmp_path)) as server:
        serving = Thread(target=server.serve_forever)
        serving.start()
        elsewhere = {"$ref": f"http://127.0.0.1:{server.server_port}/schema.json"}
        try:
            assert "Unresolvable" in failed(scores.json_schema("answer", schema=elsewhere), answer={})
        finally:
            server.shutdown()
            serving.join()


def test_close_to_compares_numbers() -> None:
    close = scores.close_to("answer", tolerance=0.5)
    assert said(close, 3, answer=3.5) is True
    assert said(close, {"answer": 3}, answer="3.51") is False
    assert said(scores.close_to("answer", tolerance=0.01, relative=True), 200, answer=202) is True
    assert failed(close, 3, answer="three").startswith("ValueError")
    assert failed(close, 3, answer=float("nan")).startswith("ValueError")
    assert failed(close, 3, answer=True).startswith("TypeError")
    with pytest.raises(InvalidRequest):
        scores.close_to("answer", tolerance=float("nan"))


# --- how much, and which -------------------------------------------------------------------------

USED = (
    Usage(model="small", input_tokens=1_000, output_tokens=200),
    Usage(model="big", input_tokens=10, output_tokens=5),
)


def test_latency_attempts_and_tokens_are_the_trials() -> None:
    ended = outcome(seconds=2.5, attempts=3, usage=USED)
    found, _ = score_outcome(case(), ended, [scores.latency(), scores.attempts(), scores.tokens()])
    assert found == {"latency": 2.5, "attempts": 3, "tokens": 1_215}


def test_cost_is_by_a_million_tokens_and_an_unknown_model_is_an_error() -> None:
    small, big = Price(input=1.0, output=2.0), Price(input=10.0, output=40.0)
    ended = outcome(usage=USED)
    found, _ = score_outcome(case(), ended, [scores.cost({"small": small, "big": big})])
    assert found == {"cost": pytest.approx(0.0014 + 0.0003)}
    _, errors = score_outcome(case(), ended, [scores.cost({"small": small})])
    assert errors["cost"].message == "there is no price for model 'big'"


def test_a_label_is_a_channels_text() -> None:
    assert said(scores.label("topic"), topic=" refund\n") == "refund"
    assert scores.label("topic").name == "topic"


def test_scores_say_which_way_is_better_and_what_a_failed_trial_gets() -> None:
    assert {score.name: (score.higher_is_better, score.when_failed) for score in (
        scores.exact_match("a"),
        scores.contains("a"),
        scores.matches("a", pattern="x"),
        scores.json_schema("a", schema={}),
        scores.close_to("a", tolerance=1),
        scores.latency(),
        scores.attempts(),
        scores.tokens(),
        scores.cost({}),
        scores.label("topic"),
    )} == {
        "exact_match": (True, False),
        "contains": (True, False),
        "matches": (True, False),
        "json_schema": (True, False),
        "close_to": (True, False),
        "latency": (False, None),
        "attempts": (False, None),
        "tokens": (False, None),
        "cost": (False, None),
        "topic": (None, None),
    }  # fmt: skip


# --- one's own -----------------------------------------------------------------------------------


def test_a_function_is_made_a_score_by_call_or_decorator() -> None:
    @scores.score
    def short(case: object, outcome: object) -> bool:
        return True

    @scores.score(name="words", higher_is_better=False, when_failed=100)
    def counted(case: object, outcome: object) -> int:
        return 3

    lambda_ = scores.score(lambda case, outcome: "x", name="which", higher_is_better=None)
    assert (short.name, short.when_failed, short.higher_is_better) == ("short", False, True)
    assert (counted.name, counted.when_failed, counted.higher_is_better) == ("words", 100, False)
    assert (lambda_.name, lambda_.when_failed, lambda_.higher_is_better) == ("which", None, None)


def test_the_rest_works_without_the_extra() -> None:
    """Only json_schema and the inferences need it."""
    script = """
import sys
for missing in ("jsonschema", "referencing", "scipy", "numpy", "pandas"):
    sys.modules[missing] = None
from wtb.domain.errors import ExtraMissing
from wtb.sdk import scores
from wtb.sdk.batches.statistics.score_statistics import Observed, score_statistics
scores.exact_match("answer")
try:
    scores.json_schema("answer", schema={})
except ExtraMissing as error:
    print(error.hint)
told = score_statistics("s", [[Observed("c", 0, 1.0), Observed("d", 0, 2.0)]] * 2, inferred=False)
print(told.summaries[0].mean, told.summaries[0].interval, told.comparisons[0].p_value, told.comparisons[0].verdict)
try:
    score_statistics("s", [[]])
except ExtraMissing as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "Install them: pip install 'wtb[batch]'.",
        "1.5 None None None",
        "confidence intervals needs packages that aren't installed",
    ]


@pytest.mark.parametrize("amount", [float("nan"), float("inf"), -1.0])
def test_a_cost_needs_prices_that_are_some(amount: float) -> None:
    with pytest.raises(InvalidRequest, match="the price of model 'small' can't be"):
        scores.cost({"small": Price(input=1, output=amount)})
