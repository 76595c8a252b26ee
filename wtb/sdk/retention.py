"""What needn't or mustn't be kept: executions archived to bundles, and executions erased.

Events stay in both cases, so the log still proves itself whole. What goes are
values, and only those that no other execution names. Nothing else is written
while they go, and nobody may be running, in any process: a running execution
may have stored values that it will name only in its next events.
"""

import shutil
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from wtb.domain.audit import AUDIT_STREAM, AuditFact, ExecutionArchived, ExecutionErased
from wtb.domain.errors import (
    ExecutionNotFound,
    ExecutionTaken,
    InvalidBundle,
    InvalidRequest,
    VersionConflict,
    WrongStatus,
)
from wtb.domain.event_log import Origin
from wtb.domain.identifiers import Digest, ExecutionId, execution_stream, known_id, new_id
from wtb.infra.event_store import bundle_reader
from wtb.infra.event_store.bundle_writer import Written
from wtb.infra.event_store.removal import Removal
from wtb.projections import executions
from wtb.projections.executions import Execution
from wtb.sdk import bundles
from wtb.sdk.claims import is_run
from wtb.sdk.lineage import lineage
from wtb.sdk.platform import Platform

ENDED = ("completed", "failed", "cancelled")

TRIES = 20
"""How often others may write to the log while it is read, before this gives up."""


@dataclass(frozen=True, slots=True)
class Archived:
    """An execution that is in a bundle now."""

    execution: ExecutionId
    file: Path
    bundle: str
    """SHA-256 of the bundle's manifest, hexadecimal."""
    values: int
    """How many of its values are no longer here."""


@dataclass(frozen=True, slots=True)
class Erasure:
    """What was erased."""

    executions: tuple[ExecutionId, ...]
    """Those asked for, and whatever was forked from them."""
    values: int
    """How many different values are gone."""
    folders: tuple[Path, ...]
    """Output folders that are gone."""
    wiped: bool
    """Whether the bytes are out of the database's files too. If not, `docs/bundles.md` says what is left to do."""


Facts = Callable[[Removal, Set[Digest]], Sequence[AuditFact]]
"""What is noted about the values that go."""


# --- archiving --------------------------------------------------------------------------------------


def archive(
    platform: Platform,
    ids: str | Sequence[str] | None,
    older_than: timedelta | None,
    to: Path,
    reason: str,
    origin: Origin,
    *,
    alone: bool,
) -> tuple[Archived, ...]:
    """Export executions that have ended, check the files, and take their values out of the store.

    Those archived before are left out. Raises `ExecutionNotFound`, `WrongStatus`,
    `ExecutionTaken`, `InvalidRequest`, `ValueMissing`, `VersionConflict` or `StoreError`.
    """
    if (ids is None) == (older_than is None):
        raise InvalidRequest("say which executions: their ids, or older_than", hint="Give one of the two.")
    chosen = _ended_before(platform, older_than) if older_than is not None else _ended(platform, _several(ids or ()))
    if not chosen:
        return ()
    _refuse_while_others_run(platform)  # before anything is written
    to = to.expanduser()
    to.mkdir(parents=True, exist_ok=True)
    written: dict[ExecutionId, tuple[Path, Written]] = {}
    for execution in chosen:
        written[execution] = bundles.export(platform, execution, to)
        file, bundle = written[execution]
        if bundle_reader.verify(file) != bundle.digest:
            raise InvalidBundle(f"{file} isn't what was written to it", hint="Check the disk, and archive again.")
    gone: dict[ExecutionId, int] = {}

    def facts(removal: Removal, lost: Set[Digest]) -> Sequence[AuditFact]:
        gone.update((execution, removal.count(execution_stream(execution), lost)) for execution in chosen)
        fates = bundles.fates(platform.store)
        for execution, (_, bundle) in written.items():
            if bundles.is_erased(fates, execution):
                raise WrongStatus(execution, "erased", "be archived")
            if platform.store.head(execution_stream(execution)) != bundle.head:
                raise VersionConflict(execution_stream(execution), bundle.head.version)
        return [
            ExecutionArchived(
                execution=execution, bundle=written[execution][1].digest, values=gone[execution], reason=reason
            )
            for execution in chosen
        ]

    _remove(platform, _removal(platform, chosen), facts, origin, alone=alone)
    return tuple(
        Archived(execution, file, bundle.digest, gone[execution]) for execution, (file, bundle) in written.items()
    )


def _ended(platform: Platform, ids: Sequence[str]) -> list[ExecutionId]:
    fates = bundles.fates(platform.store)
    chosen = []
    for found in [_known(platform, execution) for execution in dict.fromkeys(ids)]:
        if bundles.is_erased(fates, found.id):
            raise WrongStatus(found.id, "erased", "be archived")
        if found.status not in ENDED:
            raise WrongStatus(found.id, found.status, "be archived")
        if not bundles.is_archived(fates, found.id):
            chosen.append(found.id)
    return chosen


def _ended_before(platform: Platform, age: timedelta) -> list[ExecutionId]:
    fates = bundles.fates(platform.store)
    with platform.reading() as connection:
        found = executions.ended_before(connection, datetime.now(UTC) - age)
    return [each for each in found if not bundles.is_archived(fates, each) and not bundles.is_erased(fates, each)]


# --- erasing ----------------------------------------------------------------------------------------


def erasable(platform: Platform, ids: str | Sequence[str]) -> tuple[Execution, ...]:
    """What erasing these executions would erase: them, and whatever was forked from them. Raises as `erase`."""
    found: dict[ExecutionId, Execution] = {}
    for execution in dict.fromkeys(_several(ids)):
        tree = lineage(platform, _known(platform, execution).id)
        found |= {each.id: each for each in (tree.execution, *tree.descendants)}
    for each in found.values():
        if each.status == "running":
            if is_run(platform, each.id, each.worker):
                raise ExecutionTaken(each.id, each.worker)
            raise WrongStatus(each.id, "running, though its process has died,", "be erased")
    return tuple(found.values())


def erase(platform: Platform, ids: str | Sequence[str], reason: str, origin: Origin, *, alone: bool) -> Erasure:
    """Take executions' values and output folders, and those of their forks, away for good.

    Erasing again finishes what was interrupted, and notes nothing new. Raises
    `ExecutionNotFound`, `ExecutionTaken`, `WrongStatus`, `InvalidRequest`,
    `VersionConflict` or `StoreError`.
    """
    if not reason.strip():
        raise InvalidRequest("an erasure needs a reason", hint="Say why: reason=…, or --reason on the CLI.")
    for _ in range(TRIES):
        erasure = _erase(platform, ids, reason, origin, alone=alone)
        if erasure is not None:
            return erasure
    raise VersionConflict("log", platform.store.last_position())


def _erase(platform: Platform, ids: str | Sequence[str], reason: str, origin: Origin, *, alone: bool) -> Erasure | None:
    """None when something was forked from them meanwhile."""
    chosen = [each.id for each in erasable(platform, ids)]
    gone: Set[Digest] = frozenset()

    def facts(removal: Removal, lost: Set[Digest]) -> Sequence[AuditFact]:
        nonlocal gone
        gone = lost
        fates = bundles.fates(platform.store)
        return [
            ExecutionErased(execution=execution, values=removal.count(execution_stream(execution), lost), reason=reason)
            for execution in chosen
            if not bundles.is_erased(fates, execution)
        ]

    def still() -> bool:
        return [each.id for each in erasable(platform, ids)] == chosen

    if not _remove(platform, _removal(platform, chosen), facts, origin, alone=alone, still=still):
        return None
    folders = tuple(folder for execution in chosen if (folder := _delete_folder(platform, execution)))
    return Erasure(tuple(chosen), len(gone), folders, platform.store.wipe())


def _delete_folder(platform: Platform, execution: ExecutionId) -> Path | None:
    """The folder, when there was one. Links in it are deleted, and what they lead to stays."""
    folder = platform.output_dir / new_id(execution)
    if folder.is_symlink() or not folder.is_dir():
        return None
    shutil.rmtree(folder)
    return folder


# --- both -------------------------------------------------------------------------------------------


def _remove(
    platform: Platform,
    removal: Removal,
    facts: Facts,
    origin: Origin,
    *,
    alone: bool,
    still: Callable[[], bool] = lambda: True,
) -> bool:
    """Take out the values that go, and note it, all of it at a moment when nobody else writes.

    False when ``still`` says that it isn't to be done any more. Raises
    `ExecutionTaken`, `InvalidRequest` or `VersionConflict`.
    """
    for _ in range(TRIES):
        removal.catch_up()
        audit = platform.store.head(AUDIT_STREAM)
        # From here on everything is judged as of that position; if the log goes beyond it, nothing is removed.
        if removal.alone and not alone:
            raise InvalidRequest(
                f"a checkpointer used alone has written to this store ({min(removal.alone)}), and may be doing so now",
                hint="Stop every program that uses EventSourcedSaver alone, then say alone=True (--alone).",
            )
        _refuse_while_others_run(platform)
        if not still():
            return False
        lost = removal.lost()
        noted = facts(removal, lost)
        if platform.store.remove(lost, removal.position, bundles.note(audit, noted, origin)):
            return True
    raise VersionConflict("log", removal.position)


def _refuse_while_others_run(platform: Platform) -> None:
    with platform.reading() as connection:
        running = executions.running(connection)
    for found in running:
        if is_run(platform, found.id, found.worker):
            raise ExecutionTaken(found.id, found.worker)


def _known(platform: Platform, execution: str) -> Execution:
    with platform.reading() as connection:
        found = executions.get(connection, known_id(execution))
    if found is None:
        raise ExecutionNotFound(execution)
    return found


def _several(ids: str | Sequence[str]) -> Sequence[str]:
    """Raises `InvalidRequest` for none at all."""
    if not ids:
        raise InvalidRequest("no execution was named", hint="Name them by their ids; `wtb list` shows them.")
    return [ids] if isinstance(ids, str) else ids


def _removal(platform: Platform, chosen: Sequence[ExecutionId]) -> Removal:
    fates = bundles.fates(platform.store)
    released = {
        execution_stream(execution): position
        for execution, (_, position) in fates.items()
        if bundles.is_archived(fates, execution) or bundles.is_erased(fates, execution)
    }
    return Removal(platform.store, [execution_stream(execution) for execution in chosen], released)
