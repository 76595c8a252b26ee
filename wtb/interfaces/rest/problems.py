"""Refusals and failures as problem documents (RFC 9457), from one table."""

import logging
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException

from wtb.domain import errors
from wtb.domain.errors import WtbError

MEDIA_TYPE = "application/problem+json"

RETRY_SECONDS = 1

STATUS: dict[type[WtbError], int] = {
    errors.WtbError: 500,
    errors.InvalidRequest: 400,
    errors.InvalidState: 422,
    errors.UnserializableValue: 422,
    errors.InvalidAnswer: 422,
    errors.InvalidCursor: 400,
    errors.InvalidSettings: 500,
    errors.InvalidVariant: 500,
    errors.InvalidGraph: 500,
    errors.InvalidBundle: 422,
    errors.InvalidCase: 422,
    errors.NotFound: 404,
    errors.ExecutionNotFound: 404,
    errors.CheckpointNotFound: 404,
    errors.FileNotKept: 404,
    errors.NodeNotFound: 404,
    errors.VariantNotFound: 404,
    errors.WorkflowNotFound: 404,
    errors.GraphNotFound: 500,
    errors.BatchNotFound: 404,
    errors.Conflict: 409,
    errors.VersionConflict: 409,
    errors.ExecutionExists: 409,
    errors.NotResumable: 409,
    errors.WrongStatus: 409,
    errors.NothingToUndo: 409,
    errors.ExecutionTaken: 409,
    errors.RetiredVariant: 409,
    errors.ArchivedWorkflow: 409,
    errors.BatchExists: 409,
    errors.BatchTaken: 409,
    errors.StoreError: 500,
    errors.StoreUnavailable: 503,
    errors.NotAStore: 500,
    errors.StoreTooNew: 500,
    errors.UnknownEvent: 500,
    errors.ValueMissing: 500,
    errors.LogNotWhole: 500,
    errors.ExtraMissing: 500,
    errors.WorkerDied: 500,
    errors.TrialTimedOut: 500,
    errors.BatchFailedError: 500,
    errors.ExecutionFailedError: 500,
}
"""Each error's HTTP status; that of the nearest class above it for one that has none here."""

CODES = {
    400: "invalid-request",
    404: "no-such-resource",
    405: "method-not-allowed",
    413: "body-too-big",
    429: "too-many-executions",
}
"""What the framework refuses, by status."""

HINTS = {
    404: "The routes are listed in /schema/openapi.json.",
    405: "The header Allow names the methods of this resource.",
    413: "Keep what is big in files, and send their paths or URLs.",
    429: "Wait until some of the executions have ended.",
}

logger = logging.getLogger(__name__)


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Why something wasn't done. ``code`` is the error's stable name, ``hint`` says what to do."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    hint: str


def problem_of(error: Exception) -> Problem:
    """What may be told about an error. An unforeseen one keeps its message to the log."""
    if isinstance(error, WtbError):
        status = next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
        return _problem(status, error.code, str(error), error.hint)
    if isinstance(error, HTTPException) and error.status_code in CODES:
        status = error.status_code
        return _problem(status, CODES[status], "; ".join(_details(error)), HINTS.get(status, ""))
    if isinstance(error, HTTPException) and error.status_code < 500:
        phrase = HTTPStatus(error.status_code).phrase
        return _problem(error.status_code, phrase.lower().replace(" ", "-"), error.detail, "")
    if isinstance(error, RecursionError):
        return _problem(400, CODES[400], "the body is nested too deep", "")
    return _problem(500, "internal-error", "the server made a mistake; nothing was lost", "Its log tells more.")


def _problem(status: int, code: str, detail: str, hint: str) -> Problem:
    title = code.replace("-", " ").capitalize()
    return Problem(type=f"urn:wtb:problem:{code}", title=title, status=status, detail=detail, code=code, hint=hint)


def _details(error: HTTPException) -> Iterator[str]:
    """The framework's findings, one for each field."""
    if not isinstance(error.extra, list) or not error.extra:
        yield error.detail
        return
    for finding in error.extra:
        source = getattr(finding.get("source"), "value", finding.get("source"))
        where = " ".join(part for part in (source, finding.get("key")) if part)
        yield f"{where}: {finding['message']}" if where else finding["message"]


def told(error: Exception) -> Problem:
    """`problem_of`, and a line in the log when it is the server's."""
    problem = problem_of(error)
    if problem.status >= 500:
        logger.error("%s: %s", problem.code, error, exc_info=None if isinstance(error, WtbError) else error)
    return problem


def respond(_: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    """The exception handler of every route."""
    problem = told(error)
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    if problem.status in (429, 503):
        headers["Retry-After"] = str(RETRY_SECONDS)
    return Response(problem, status_code=problem.status, media_type=MEDIA_TYPE, headers=headers)
