"""Control from outside, from any process on the same store."""

from collections.abc import Sequence

from wtb.domain.identifiers import known_id
from wtb.sdk import control
from wtb.sdk.results import Commanded
from wtb.sdk.verbs.bench import Bench, breakpoints_at


class ControlVerbs(Bench):
    """Control from outside, from any process on the same store."""

    def pause(
        self, execution_id: str, reason: str = "", *, actor: str | None = None, if_version: int | None = None
    ) -> Commanded:
        """Have an execution stop before its next node, whichever process runs it; `resume` goes on.

        With ``if_version`` only while its stream is at that version. Raises
        `ExecutionNotFound`, `WrongStatus` when it has ended, or `VersionConflict`.
        """
        origin = self.platform.origin(cause="pause", actor=actor)
        return control.pause(self.platform, known_id(execution_id), reason, origin, if_version)

    def cancel(
        self, execution_id: str, reason: str = "", *, actor: str | None = None, if_version: int | None = None
    ) -> Commanded:
        """End an execution: before its next node, or at once when it is paused or its process is dead.

        Raises as `pause` does.
        """
        origin = self.platform.origin(cause="cancel", actor=actor)
        return control.cancel(self.platform, known_id(execution_id), reason, origin, if_version)

    def set_breakpoints(
        self,
        execution_id: str,
        *,
        before: Sequence[str] = (),
        after: Sequence[str] = (),
        actor: str | None = None,
        if_version: int | None = None,
    ) -> Commanded:
        """Have an execution stop before and after these nodes, named by path; these replace those set before.

        Raises `ExecutionNotFound`, `VersionConflict`, or `NodeNotFound` when the
        workflow's graph is known here and has no such node.
        """
        origin = self.platform.origin(cause="set_breakpoints", actor=actor)
        wanted, known = breakpoints_at(before, after), self._workflows.get
        return control.set_breakpoints(self.platform, known_id(execution_id), wanted, known, origin, if_version)
