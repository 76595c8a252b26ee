"""Search in the articles of `knowledge_base/` by the words they share with a query.

An article is a markdown file; each of its `##` headings begins a section. A shared word counts the more, the
fewer sections have it, and twice when it stands in the heading.
"""

import re
from collections import Counter
from collections.abc import Iterable
from functools import cache
from math import log
from pathlib import Path
from typing import NamedTuple

from typing_extensions import TypedDict

ARTICLES = Path(__file__).parent / "knowledge_base"

STOP_WORDS = (
    "about after again also and any are because been but can could does for from had has have hello her him"
    " his how into its just more most much not now off one only our out please since some still than thanks"
    " that the their them then there they this those too two until very was way were what when where which"
    " while who will with would you your"
)


class Passage(TypedDict):
    """A section that was found, with how well it matches the query."""

    article: str
    heading: str
    text: str
    score: float


class Section(NamedTuple):
    """A part of an article as it is written."""

    heading: str
    text: str


class KnowledgeBaseTimeout(Exception):
    """The knowledge base did not answer in time; asking again helps."""


def relevant_articles(query: str, limit: int) -> list[str]:
    """The names of the articles whose best section matches best, best first; equals by name."""
    scores = {name: max(_score(section, query) for section in sections) for name, sections in _articles().items()}
    return sorted(scores, key=lambda name: (-scores[name], name))[:limit]


def search(article: str, query: str) -> list[Passage]:
    """The sections of one article that share a telling word with the query, as they stand in the article."""
    passages = [
        Passage(article=article, heading=section.heading, text=section.text, score=_score(section, query))
        for section in _articles()[article]
    ]
    return [passage for passage in passages if passage["score"] > 0]


def merge(found: list[Passage], more: list[Passage]) -> list[Passage]:
    """Join the results of searches; the order in which they arrive makes no difference, nor a repetition."""
    passages = {(passage["article"], passage["heading"]): passage for passage in [*found, *more]}
    return [passages[key] for key in sorted(passages)]


def best(passages: Iterable[Passage], limit: int) -> list[Passage]:
    """The passages with at least half the best score, best first; equals by article and heading."""
    ranked = sorted(passages, key=lambda passage: (-passage["score"], passage["article"], passage["heading"]))
    return [passage for passage in ranked[:limit] if passage["score"] >= ranked[0]["score"] / 2]


@cache
def _articles() -> dict[str, list[Section]]:
    return {path.stem: _sections(path.read_text(encoding="utf-8")) for path in ARTICLES.glob("*.md")}


def _sections(markdown: str) -> list[Section]:
    _title, *parts = markdown.split("\n## ")
    return [Section(heading, text.strip()) for heading, text in (part.split("\n", 1) for part in parts)]


@cache
def _weights() -> dict[str, float]:
    """How much each word of the knowledge base tells: the logarithm of how rare it is among the sections."""
    sections = [section for sections in _articles().values() for section in sections]
    counts = Counter(word for section in sections for word in _words(f"{section.heading} {section.text}"))
    return {word: log(len(sections) / count) for word, count in counts.items()}


def _score(section: Section, query: str) -> float:
    asked = _words(query)
    shared = sorted(_words(section.heading) & asked) + sorted(_words(f"{section.heading} {section.text}") & asked)
    return round(sum(_weights()[word] for word in shared), 3)


def _words(text: str) -> set[str]:
    """The telling words of a text, without the endings that English verbs and plurals take."""
    words = set(re.findall(r"\w{3,}", text.lower())) - set(STOP_WORDS.split())
    return {re.sub(r"(?<=\w{3})(ing|ed|es|s|e)$", "", word) for word in words}
