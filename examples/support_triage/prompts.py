"""What the model is asked: the instructions, and how an e-mail and passages are put before it.

Customers' words stand between tags and are escaped, so that none of them can pass for ours.
"""

from html import escape
from typing import Literal

from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage

from examples.support_triage.inbox import Email
from examples.support_triage.retrieval import Passage

Category = Literal["billing", "refund", "login", "bug", "feature_request", "complaint", "question"]

TOPICS: dict[Category, str] = {
    "billing": "charges, payments, invoices, VAT",
    "refund": "money back, refund of a plan, cancelling a plan",
    "login": "signing in, password, locked account, two-factor codes",
    "bug": "something broken, empty, slow or frozen",
    "feature_request": "an idea for the product, the roadmap",
    "complaint": "anger about an outage or about us, credits, speaking to a person",
    "question": "anything else",
}

CLASSIFY = "\n".join(
    [
        "You sort e-mails to the support desk of Fernboard, a planning board for small teams.",
        "Answer with one of these words and nothing else:",
        *(f"- {category}: {topic}" for category, topic in TOPICS.items()),
    ]
)

DRAFT = (
    "You write replies for the support desk of Fernboard, a planning board for small teams. Reply to the"
    " e-mail in its own language, friendly and brief. Promise only what the passages from our articles say."
)


def classification(email: Email) -> list[BaseMessage]:
    """Ask which category an e-mail belongs to."""
    return [SystemMessage(CLASSIFY), HumanMessage(_tagged_email(email))]


def category_in(answer: str) -> Category:
    """The category a model answered with; `question` if it named none."""
    return next((category for category in TOPICS if category in answer.lower()), "question")


def reply_draft(email: Email, category: Category, passages: list[Passage]) -> list[BaseMessage]:
    """Ask for a reply that rests on the given passages."""
    parts = [_tagged("category", category), _tagged_email(email)]
    parts += [_tagged("passage", f"{passage['heading']}\n{passage['text']}") for passage in passages]
    return [SystemMessage(DRAFT), HumanMessage("\n\n".join(parts))]


def _tagged_email(email: Email) -> str:
    return "\n".join(
        [_tagged("from", email["name"]), _tagged("subject", email["subject"]), _tagged("body", email["body"])]
    )


def _tagged(tag: str, text: str) -> str:
    return f"<{tag}>{escape(text, quote=False)}</{tag}>"
