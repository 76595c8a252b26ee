"""Why a value is gone: what the audit stream says of the executions that name it."""

from wtb.domain.audit import AUDIT_STREAM, ExecutionArchived, ExecutionErased
from wtb.domain.digests import digests_of
from wtb.domain.errors import ValueMissing
from wtb.domain.event_log import EventLog, Recorded
from wtb.domain.identifiers import Digest, execution_stream

PAGE = 1000


def missing(log: EventLog, digest: Digest, where: str) -> ValueMissing:
    """The error for a value that isn't stored, which says what happened to it as far as the log tells.

    Reads the events of those executions whose values were taken away, newest first.
    """
    what = f"value {digest} isn't stored in {where}"
    taken = log.log(types=["ExecutionArchived", "ExecutionErased"], stream=AUDIT_STREAM, limit=2**31)
    for event in reversed(taken):
        if isinstance(event.fact, ExecutionArchived | ExecutionErased) and _names(log, event.fact.execution, digest):
            return _told(what, event, event.fact)
    if taken:
        return ValueMissing(what, hint="It may be part of what was archived or erased; else the store is damaged.")
    return ValueMissing(what)


def _told(what: str, event: Recorded, fact: ExecutionArchived | ExecutionErased) -> ValueMissing:
    by = f"on {event.time:%Y-%m-%d} by {event.actor}" + (f" ({fact.reason})" if fact.reason else "")
    if isinstance(fact, ExecutionErased):
        return ValueMissing(
            f"{what}: execution {fact.execution!r} was erased {by}",
            hint="It is gone for good; its events are still here.",
        )
    return ValueMissing(
        f"{what}: execution {fact.execution!r} was archived to bundle {fact.bundle} {by}",
        hint="Bring it back: bench.import_bundle(FILE), or `wtb audit import FILE`.",
    )


def _names(log: EventLog, execution: str, digest: Digest) -> bool:
    version, stream = 0, execution_stream(execution)
    while events := log.read(stream, after=version, limit=PAGE):
        if any(digest in digests_of(event.fact) for event in events):
            return True
        version = events[-1].version
    return False
