"""Proving the log, reporting, bundles, archives, erasures, and upkeep."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from wtb.domain.audit import LogSealed
from wtb.domain.identifiers import Position, known_id
from wtb.projections.executions import Execution
from wtb.sdk import audit, bundles, retention
from wtb.sdk.report import report
from wtb.sdk.retention import Archived, Erasure
from wtb.sdk.verbs.asking import AskingVerbs


class KeepingVerbs(AskingVerbs):
    """Proving the log, reporting, bundles, archives, erasures, and upkeep."""

    # --- proving -----------------------------------------------------------------------------------

    def seal(self, *, actor: str | None = None) -> LogSealed:
        """Vouch for everything that is in the log now, by one digest; note it elsewhere. Raises `StoreError`."""
        return audit.seal(self.platform, actor)

    def verify(self, seal: str | None = None) -> audit.Verification:
        """Prove the log whole, or name the first event that was changed, removed, inserted or reordered.

        ``seal`` is a seal's digest that was noted elsewhere: the log must hold it.
        Raises `StoreError`, or `InvalidRequest` for what can't be a digest.
        """
        return audit.verify(self.platform, seal)

    def report(self, execution_id: str, path: str | Path | None = None) -> str:
        """The execution's record as one HTML page, also written to ``path``: who, when, which node saw and wrote what.

        Raises `ExecutionNotFound`, `StoreError`, or `OSError` when the file can't
        be written.
        """
        return report(self.platform, execution_id, path)

    # --- bundles -----------------------------------------------------------------------------------

    def export(self, execution_id: str, path: str | Path) -> Path:
        """Write an execution to a file, with everything it names, or into a folder under its id. Returns the file.

        `docs/bundles.md` describes the file. Raises `ExecutionNotFound`,
        `ValueMissing`, `InvalidRequest` or `StoreError`.
        """
        return bundles.export(self.platform, known_id(execution_id), Path(path))[0]

    def import_bundle(
        self, path: str | Path, *, most_bytes: int = bundles.MOST_BYTES, actor: str | None = None
    ) -> Execution:
        """Restore an execution from a file that `export` wrote, identical; nothing happens when it is here already.

        ``most_bytes`` bounds what the file may hold, uncompressed. Raises
        `InvalidBundle`, `ExecutionExists`, `WrongStatus` or `StoreError`.
        """
        origin = self.platform.origin(cause="import", actor=actor)
        return self.execution(bundles.import_bundle(self.platform, Path(path), origin, most_bytes))

    def archive(
        self,
        ids: str | Sequence[str] | None = None,
        *,
        to: str | Path,
        older_than: timedelta | None = None,
        reason: str = "",
        actor: str | None = None,
        alone: bool = False,
    ) -> tuple[Archived, ...]:
        """Move executions that have ended into bundles in the folder ``to``: those named, or those that ended long ago.

        Each file is read back before anything goes. Events stay; values that no other
        execution names go, and come back with `import_bundle`. Those archived before
        are left out. ``alone`` is the caller's word that no program uses the
        checkpointer alone on this store now. Raises `ExecutionNotFound`,
        `WrongStatus`, `ExecutionTaken` while anything runs, `InvalidRequest`,
        `ValueMissing`, `VersionConflict` or `StoreError`.
        """
        origin = self.platform.origin(cause="archive", actor=actor)
        return retention.archive(self.platform, ids, older_than, Path(to), reason, origin, alone=alone)

    def erase(self, ids: str | Sequence[str], *, reason: str, actor: str | None = None, alone: bool = False) -> Erasure:
        """Take executions' values and output folders away for ever, and those of all their forks.

        Events stay, with the digests of what was, so the log still proves itself
        whole. `docs/bundles.md` tells what else stays. ``alone`` as for `archive`.
        Raises `ExecutionNotFound`, `ExecutionTaken` while anything runs,
        `WrongStatus`, `InvalidRequest`, `VersionConflict` or `StoreError`.
        """
        origin = self.platform.origin(cause="erase", actor=actor)
        return retention.erase(self.platform, ids, reason, origin, alone=alone)

    # --- upkeep ------------------------------------------------------------------------------------

    def rebuild(self) -> Position:
        """Make the read models anew from the log, while they are read; the position they have got to."""
        return self.platform.projector.rebuild()
