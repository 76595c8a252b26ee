"""Executions as files: exported from one store, imported into another, the same there to the last digest."""

import time
from pathlib import Path

from wtb.domain.audit import AUDIT_STREAM, AuditFact, ExecutionErased, ExecutionImported
from wtb.domain.errors import ExecutionExists, ExecutionNotFound, InvalidBundle, VersionConflict, WrongStatus
from wtb.domain.event_log import EMPTY_STREAM, Append, Origin, StreamHead
from wtb.domain.execution import ExecutionStarted
from wtb.domain.identifiers import ExecutionId, StreamName, execution_stream
from wtb.infra.event_store import bundle_reader, bundle_writer
from wtb.infra.event_store.bundle_reader import Content
from wtb.infra.event_store.store import EventStore
from wtb.projections.rehearsal import flaw_of
from wtb.sdk.platform import Platform

ENDING = ".wtb.zip"
"""What a bundle's file is called after its execution's id, when no name was given."""

MOST_BYTES = bundle_reader.MOST_BYTES


def export(platform: Platform, execution: ExecutionId, path: Path) -> Path:
    """Write an execution, as it stands now, to a file, or into a folder under its id; the file.

    Raises `ExecutionNotFound`, `ValueMissing`, `InvalidRequest` or `NotAStore`.
    """
    stream = execution_stream(execution)
    first = platform.store.read(stream, limit=1)
    if not first or not isinstance(first[0].fact, ExecutionStarted):
        raise ExecutionNotFound(execution)
    path = path.expanduser()
    file = path / (execution + ENDING) if path.is_dir() else path
    bundle_writer.write(file, platform.store, stream)
    return file


def import_bundle(platform: Platform, path: Path, origin: Origin, most_bytes: int = MOST_BYTES) -> ExecutionId:
    """Restore the execution that a bundle holds: its events, their order and digests, and its values.

    Nothing is written when it is here already; values that are gone come back.
    Raises `InvalidBundle`, `UnknownEvent`, `ExecutionExists`, `WrongStatus` for
    an execution that was erased here, or `StoreError`.
    """
    content = bundle_reader.read(path.expanduser(), most_bytes)
    if flaw := flaw_of(content.events):
        raise InvalidBundle(f"{path.name} isn't a sound bundle: {' '.join(flaw.split())}")
    while True:
        try:
            _import(platform.store, content, origin)
        except VersionConflict:
            continue  # somebody wrote to its stream or to the audit stream meanwhile: look again
        return content.execution


def note(store: EventStore, fact: AuditFact, origin: Origin) -> Append:
    """An append to the audit stream as it stands now."""
    return Append(AUDIT_STREAM, store.head(AUDIT_STREAM), [fact], [time.time_ns() // 1000], origin)


def _import(store: EventStore, content: Content, origin: Origin) -> None:
    """Raises `VersionConflict` when it must be looked at again."""
    execution, stream = content.execution, execution_stream(content.execution)
    imported = note(
        store, ExecutionImported(execution=execution, bundle=content.digest, events=len(content.stored)), origin
    )
    if _is_erased(store, execution):
        raise WrongStatus(execution, "erased", "be imported")
    stored = content.stored
    if store.head(stream) != EMPTY_STREAM:
        if not _holds(store, stream, content.head):
            raise ExecutionExists(execution)
        if not store.missing(content.values.keys()):
            return
        stored = []  # the events stayed when the values were archived
    store.restore(stream, stored, content.values, [imported])


def _holds(store: EventStore, stream: StreamName, head: StreamHead) -> bool:
    """Whether a stream once ended at this head; it may have gone on since."""
    found = store.read(stream, after=head.version - 1, limit=1)
    return bool(found) and found[0].chain == head.chain


def _is_erased(store: EventStore, execution: ExecutionId) -> bool:
    erased = store.log(types=["ExecutionErased"], stream=AUDIT_STREAM, limit=2**31)
    return any(isinstance(event.fact, ExecutionErased) and event.fact.execution == execution for event in erased)
