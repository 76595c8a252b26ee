"""Executions as files: exported from one store, imported into another, the same there to the last digest."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

from wtb.domain.audit import AUDIT_STREAM, AuditFact, ExecutionArchived, ExecutionErased, ExecutionImported
from wtb.domain.errors import ExecutionExists, ExecutionNotFound, InvalidBundle, VersionConflict, WrongStatus
from wtb.domain.event_log import EMPTY_STREAM, Append, Origin, StreamHead
from wtb.domain.execution import ExecutionStarted
from wtb.domain.identifiers import ExecutionId, Position, StreamName, execution_stream
from wtb.infra.event_store import bundle_reader, bundle_writer
from wtb.infra.event_store.bundle_reader import Content
from wtb.infra.event_store.bundle_writer import Written
from wtb.infra.event_store.store import EventStore
from wtb.projections.rehearsal import flaw_of
from wtb.sdk.platform import Platform

ENDING = ".wtb.zip"
"""What a bundle's file is called after its execution's id, when no name was given."""

MOST_BYTES = bundle_reader.MOST_BYTES

Fate = ExecutionImported | ExecutionArchived | ExecutionErased
"""Facts about what became of an execution's values here."""


def export(platform: Platform, execution: ExecutionId, path: Path) -> tuple[Path, Written]:
    """Write an execution, as it stands now, to a file, or into a folder under its id; the file, and what is in it.

    Raises `ExecutionNotFound`, `ValueMissing`, `InvalidRequest` or `NotAStore`.
    """
    stream = execution_stream(execution)
    first = platform.store.read(stream, limit=1)
    if not first or not isinstance(first[0].fact, ExecutionStarted):
        raise ExecutionNotFound(execution)
    path = path.expanduser()
    file = path / (execution + ENDING) if path.is_dir() else path
    return file, bundle_writer.write(file, platform.store, stream)


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


def note(head: StreamHead, facts: Sequence[AuditFact], origin: Origin) -> Append:
    """An append to the audit stream, of what was decided when it stood there."""
    now = time.time_ns() // 1000
    return Append(AUDIT_STREAM, head, facts, [now] * len(facts), origin)


def fates(store: EventStore) -> dict[ExecutionId, tuple[Fate, Position]]:
    """What was done last with each execution that was brought in, archived or erased, and when; erased ones stay so."""
    found: dict[ExecutionId, tuple[Fate, Position]] = {}
    for event in store.log(types=[kind.__name__ for kind in get_args(Fate)], stream=AUDIT_STREAM, limit=2**31):
        assert isinstance(event.fact, Fate)
        if not is_erased(found, event.fact.execution):
            found[event.fact.execution] = (event.fact, event.position)
    return found


def is_erased(fates: Mapping[ExecutionId, tuple[Fate, Position]], execution: ExecutionId) -> bool:
    return execution in fates and isinstance(fates[execution][0], ExecutionErased)


def is_archived(fates: Mapping[ExecutionId, tuple[Fate, Position]], execution: ExecutionId) -> bool:
    return execution in fates and isinstance(fates[execution][0], ExecutionArchived)


def _import(store: EventStore, content: Content, origin: Origin) -> None:
    """Raises `VersionConflict` when it must be looked at again."""
    execution, stream = content.execution, execution_stream(content.execution)
    audit = store.head(AUDIT_STREAM)
    if is_erased(fates(store), execution):
        raise WrongStatus(execution, "erased", "be imported")
    stored = content.stored
    if store.head(stream) != EMPTY_STREAM:
        if not _holds(store, stream, content.head):
            raise ExecutionExists(execution)
        if not store.missing(content.values.keys()):
            return
        stored = []  # the events stayed when the values were archived
    fact = ExecutionImported(execution=execution, bundle=content.digest, events=len(stored))
    store.restore(stream, stored, content.values, [note(audit, [fact], origin)])


def _holds(store: EventStore, stream: StreamName, head: StreamHead) -> bool:
    """Whether a stream once ended at this head; it may have gone on since."""
    found = store.read(stream, after=head.version - 1, limit=1)
    return bool(found) and found[0].chain == head.chain
