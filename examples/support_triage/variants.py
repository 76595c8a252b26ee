"""Other implementations of the support desk's nodes, to be tried over many tickets, and how they are scored."""

from typing import Any

from examples.support_triage import prompts, retrieval
from examples.support_triage.graph import Triage
from examples.support_triage.inbox import Email
from examples.support_triage.model import chosen_model


def first_sentence(state: Triage) -> dict[str, Any]:
    """Classify by the body's first sentence alone, which costs fewer tokens."""
    email = state["email"]
    glance = Email(name=email["name"], address=email["address"], subject="", body=email["body"].split(".")[0])
    answer = chosen_model().invoke(prompts.classification(glance))
    return {"category": prompts.category_in(answer.text)}


def one_passage(state: Triage) -> dict[str, Any]:
    """Keep only the best passage."""
    return {"passages": retrieval.best(state["found"], limit=1)}


def approve(state: Triage) -> dict[str, Any]:
    """Let every reply go out, so that many can be compared without a person."""
    return {"decision": "approve"}


def right_category(case: Any, outcome: Any) -> bool:
    """Whether the e-mail was sorted as a person would."""
    return bool(outcome.state["category"] == case.expected["category"])


def reply_length(case: Any, outcome: Any) -> int:
    """Characters that the customer has to read."""
    return len(outcome.state["reply"])


reply_length.higher_is_better = False  # type: ignore[attr-defined]
