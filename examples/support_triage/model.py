"""The chat model: a small local one that needs no network, or any other by name.

The local model has no canned answers: it reads the prompt as any model would and computes its answer from it,
by keywords and templates. The same prompt always gets the same answer.
"""

import os
import re
from collections.abc import Iterator
from html import unescape
from typing import Any, NamedTuple

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from examples.support_triage.prompts import CLASSIFY, Category

KEYWORDS: dict[Category, str] = {
    "billing": "bill charge invoice payment vat rechnung factura",
    "refund": "refund money renewed cancel erstattung kündig reembolso cancelar dinero",
    "login": "log login sign password code locked authenticator anmeld passwort contraseña",
    "bug": "bug broken crash error freeze frozen empty kaputt fehler",
    "feature_request": "feature idea roadmap vote wish love great",
    "complaint": "unacceptable furious ridiculous outage manager angry worst",
}
"""Beginnings of words that speak for a category. The first wins a tie; without any it is a `question`."""


class Voice(NamedTuple):
    """The phrases of a reply in one language, and some words an e-mail in it is known by."""

    known_by: str
    greeting: str
    thanks: str
    apology: str
    advice: str
    no_advice: str
    closing: str


VOICES = [
    Voice(
        known_by="the and we is to of our",
        greeting="Hello {name},",
        thanks="thank you for writing to us about “{subject}”.",
        apology="we are sorry for the trouble with “{subject}”.",
        advice="This is what should help:",
        no_advice="A colleague will look into it and come back to you within one working day.",
        closing="Kind regards\nThe Fernboard support desk",
    ),
    Voice(
        known_by="ich und nicht das die ist bitte auf",
        greeting="Guten Tag {name},",
        thanks="vielen Dank für Ihre Nachricht „{subject}“.",
        apology="bitte entschuldigen Sie den Ärger mit „{subject}“.",
        advice="Unsere Hilfeseiten gibt es bisher nur auf Englisch; diese Stellen passen:",
        no_advice="Eine Kollegin sieht es sich an und meldet sich binnen eines Arbeitstags.",
        closing="Mit freundlichen Grüßen\nIhr Fernboard-Support",
    ),
    Voice(
        known_by="el la del y es de lo se nuestro",
        greeting="Buenos días, {name}:",
        thanks="muchas gracias por su mensaje «{subject}».",
        apology="sentimos las molestias con «{subject}».",
        advice="Nuestra ayuda solo existe en inglés por ahora; estos pasajes responden a su consulta:",
        no_advice="Una persona del equipo lo revisará y le escribirá en un día laborable.",
        closing="Un cordial saludo\nEl equipo de soporte de Fernboard",
    ),
]


class LocalSupportModel(BaseChatModel):
    """Sorts e-mails by keyword and drafts replies from the passages in the prompt, streaming word by word."""

    @property
    def _llm_type(self) -> str:
        return "local-support-model"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=AIMessage(content=_answer(messages)))])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        for token in re.findall(r"\s*\S+", _answer(messages)):
            chunk = ChatGenerationChunk(message=AIMessageChunk(content=token))
            if run_manager:
                run_manager.on_llm_new_token(token, chunk=chunk)
            yield chunk


def chosen_model() -> BaseChatModel:
    """The model named by `WTB_DEMO_MODEL`, such as `openai:gpt-5-mini`, or the local one when it is not set.

    Another model needs `langchain` and the package of its provider.
    """
    if name := os.environ.get("WTB_DEMO_MODEL"):
        from langchain.chat_models import init_chat_model

        return init_chat_model(name)
    return LocalSupportModel()


def _answer(messages: list[BaseMessage]) -> str:
    instructions, request = messages
    return _classify(request.text) if instructions.text == CLASSIFY else _draft(request.text)


def _classify(request: str) -> Category:
    words = _words(" ".join(_tagged("subject", request) + _tagged("body", request)))
    scores = {
        category: sum(word.startswith(tuple(beginnings.split())) for word in words)
        for category, beginnings in KEYWORDS.items()
    }
    likeliest = max(scores, key=lambda category: scores[category])
    return likeliest if scores[likeliest] else "question"


def _draft(request: str) -> str:
    [name], [subject], [body] = (_tagged(tag, request) for tag in ("from", "subject", "body"))
    voice = max(VOICES, key=lambda voice: sum(word in voice.known_by.split() for word in _words(body)))
    sorry = _tagged("category", request)[0] in ("bug", "complaint", "login")
    passages = [passage.split("\n", 1) for passage in _tagged("passage", request)]
    return "\n\n".join(
        [
            voice.greeting.format(name=name),
            (voice.apology if sorry else voice.thanks).format(subject=subject),
            voice.advice if passages else voice.no_advice,
            *(f"{heading}: {text}" for heading, text in passages),
            voice.closing,
        ]
    )


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _tagged(tag: str, text: str) -> list[str]:
    """What stands between each `<tag>` and `</tag>`, as it was before it was escaped."""
    return [unescape(inner) for inner in re.findall(f"<{tag}>(.*?)</{tag}>", text, flags=re.DOTALL)]
