"""Refusals and failures as gRPC statuses, from one table."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, NoReturn

from grpc import StatusCode, aio

from wtb.domain import errors
from wtb.domain.errors import WtbError

STATUSES: dict[type[WtbError], StatusCode] = {
    errors.WtbError: StatusCode.INTERNAL,
    errors.InvalidRequest: StatusCode.INVALID_ARGUMENT,
    errors.InvalidState: StatusCode.INVALID_ARGUMENT,
    errors.UnserializableValue: StatusCode.INVALID_ARGUMENT,
    errors.InvalidAnswer: StatusCode.INVALID_ARGUMENT,
    errors.InvalidCursor: StatusCode.INVALID_ARGUMENT,
    errors.InvalidSettings: StatusCode.INTERNAL,
    errors.InvalidVariant: StatusCode.INTERNAL,
    errors.InvalidGraph: StatusCode.INTERNAL,
    errors.InvalidBundle: StatusCode.INVALID_ARGUMENT,
    errors.InvalidCase: StatusCode.INVALID_ARGUMENT,
    errors.NotFound: StatusCode.NOT_FOUND,
    errors.ExecutionNotFound: StatusCode.NOT_FOUND,
    errors.CheckpointNotFound: StatusCode.NOT_FOUND,
    errors.FileNotKept: StatusCode.NOT_FOUND,
    errors.NodeNotFound: StatusCode.NOT_FOUND,
    errors.VariantNotFound: StatusCode.NOT_FOUND,
    errors.WorkflowNotFound: StatusCode.NOT_FOUND,
    errors.GraphNotFound: StatusCode.INTERNAL,
    errors.BatchNotFound: StatusCode.NOT_FOUND,
    errors.Conflict: StatusCode.ABORTED,
    errors.VersionConflict: StatusCode.ABORTED,
    errors.ExecutionExists: StatusCode.ALREADY_EXISTS,
    errors.NotResumable: StatusCode.FAILED_PRECONDITION,
    errors.WrongStatus: StatusCode.FAILED_PRECONDITION,
    errors.NothingToUndo: StatusCode.FAILED_PRECONDITION,
    errors.ExecutionTaken: StatusCode.ABORTED,
    errors.RetiredVariant: StatusCode.FAILED_PRECONDITION,
    errors.ArchivedWorkflow: StatusCode.FAILED_PRECONDITION,
    errors.BatchExists: StatusCode.ALREADY_EXISTS,
    errors.BatchTaken: StatusCode.ABORTED,
    errors.StoreError: StatusCode.INTERNAL,
    errors.StoreUnavailable: StatusCode.UNAVAILABLE,
    errors.NotAStore: StatusCode.DATA_LOSS,
    errors.StoreTooNew: StatusCode.INTERNAL,
    errors.UnknownEvent: StatusCode.INTERNAL,
    errors.ValueMissing: StatusCode.DATA_LOSS,
    errors.LogNotWhole: StatusCode.DATA_LOSS,
    errors.ExtraMissing: StatusCode.INTERNAL,
    errors.WorkerDied: StatusCode.INTERNAL,
    errors.TrialTimedOut: StatusCode.DEADLINE_EXCEEDED,
    errors.BatchFailedError: StatusCode.FAILED_PRECONDITION,
    errors.ExecutionFailedError: StatusCode.FAILED_PRECONDITION,
}
"""Each error's status; that of the nearest class above it for one that has none here."""

LONGEST_TEXT = 400
"""Characters of a message or a hint; longer ones are cut. One takes up to 12 bytes, and clients take 8 KiB in all."""

SERVERS_FAULT = {StatusCode.INTERNAL, StatusCode.UNAVAILABLE, StatusCode.DATA_LOSS}

logger = logging.getLogger(__name__)


class Refusal(NamedTuple):
    """What a client is told: the status, a message, and the trailing metadata ``wtb-code`` and ``wtb-hint``."""

    status: StatusCode
    message: str
    code: str
    hint: str

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Metadata values may hold nothing but printable ASCII."""
        return tuple(
            (name, value.encode("ascii", "backslashreplace").decode())
            for name, value in (("wtb-code", self.code), ("wtb-hint", shortened(self.hint)))
            if value
        )


TOO_SLOW = Refusal(
    StatusCode.RESOURCE_EXHAUSTED, "too slow", "too-slow", "Call again with the last position received, and read on."
)
GOING_DOWN = Refusal(
    StatusCode.UNAVAILABLE, "the server goes down", "going-down", "Call again with the last position received."
)


def shortened(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…"


def refusal_of(error: Exception) -> Refusal:
    """What may be told about an error. An unforeseen one keeps its message to the log."""
    if isinstance(error, WtbError):
        status = next(STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES)
        return Refusal(status, str(error), error.code, error.hint)
    return Refusal(
        StatusCode.INTERNAL,
        "the server made a mistake; nothing was lost",
        "internal-error",
        "Its log tells more.",
    )


async def refuse(context: aio.ServicerContext[Any, Any], refusal: Refusal) -> NoReturn:
    """End the call with a refusal. Raises what ends its handler, once the client has taken the refusal."""
    await context.abort(refusal.status, shortened(refusal.message), refusal.metadata)


@asynccontextmanager
async def refusing(context: aio.ServicerContext[Any, Any]) -> AsyncIterator[None]:
    """End the call with an error's status. One whose client goes while it is written to counts as cancelled."""
    try:
        try:
            yield
        except (aio.AbortError, aio.InternalError):
            raise
        except Exception as error:  # the client is told, and the log
            refusal = refusal_of(error)
            if refusal.status in SERVERS_FAULT:
                logger.error("%s: %s", refusal.code, error, exc_info=None if isinstance(error, WtbError) else error)
            await refuse(context, refusal)
    except aio.InternalError as gone:
        raise asyncio.CancelledError from gone
