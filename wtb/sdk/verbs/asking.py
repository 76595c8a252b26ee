"""Reading what was recorded, and comparing it."""

from datetime import datetime
from pathlib import Path

from wtb.domain.errors import CheckpointNotFound, ExecutionNotFound
from wtb.domain.event_log import Recorded
from wtb.domain.identifiers import execution_stream, known_id
from wtb.infra.output_folder.restoring import Restored
from wtb.projections import checkpoints, executions, steps
from wtb.projections.checkpoints import Checkpoint
from wtb.projections.executions import Execution
from wtb.projections.page import Page, check_limit, check_position
from wtb.projections.steps import Step
from wtb.sdk import comparing, files
from wtb.sdk.as_of import View, as_of
from wtb.sdk.comparison import Comparison, FirstDifference
from wtb.sdk.files import File
from wtb.sdk.results import State, Status
from wtb.sdk.state import started_of, state_at
from wtb.sdk.verbs.bench import Bench


class AskingVerbs(Bench):
    """Reading what was recorded, and comparing it."""

    # --- asking ------------------------------------------------------------------------------------

    def executions(
        self,
        *,
        status: Status | None = None,
        workflow: str | None = None,
        batch: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Execution]:
        """Executions, newest first; the page's ``next_cursor`` leads on. ``batch``: only its trials.

        Raises `InvalidCursor`.
        """
        with self.platform.reading() as connection:
            return executions.page(
                connection, status=status, workflow=workflow, batch=batch, limit=limit, cursor=cursor
            )

    def execution(self, execution_id: str) -> Execution:
        """Raises `ExecutionNotFound`."""
        with self.platform.reading() as connection:
            found = executions.get(connection, known_id(execution_id))
        if found is None:
            raise ExecutionNotFound(execution_id)
        return found

    def steps(self, execution_id: str, *, limit: int | None = None, cursor: str | None = None) -> Page[Step]:
        """Every try at every node, in the order they started. Raises `ExecutionNotFound` or `InvalidCursor`."""
        self._require(execution_id)
        with self.platform.reading() as connection:
            return steps.of(connection, execution_id, limit=limit, cursor=cursor)

    def checkpoints(
        self,
        execution_id: str,
        *,
        namespace: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Page[Checkpoint]:
        """Checkpoints, newest first, nested graphs' too unless a ``namespace`` is given.

        Raises `ExecutionNotFound` or `InvalidCursor`.
        """
        self._require(execution_id)
        with self.platform.reading() as connection:
            return checkpoints.of(connection, execution_id, namespace=namespace, limit=limit, cursor=cursor)

    def state(self, execution_id: str, at: str | None = None, *, namespace: str = "") -> State:
        """The state at a checkpoint, or the newest. Raises `ExecutionNotFound` or `CheckpointNotFound`."""
        execution = known_id(execution_id)
        graph = self._workflows.get(started_of(self.platform, execution))
        try:
            return state_at(self.platform, execution, at, namespace, graph)
        except CheckpointNotFound:
            self._require(execution_id)
            raise

    def files(self, execution_id: str, at: str | None = None) -> tuple[File, ...]:
        """What was in the output folder at a checkpoint, or the newest; nothing where files weren't kept.

        Raises `ExecutionNotFound` or `CheckpointNotFound`.
        """
        self._require(execution_id)
        return files.files_at(self.platform, known_id(execution_id), at)

    def read_file(self, execution_id: str, path: str, at: str | None = None) -> bytes:
        """A file of the output folder as it was at a checkpoint. Raises `FileNotKept` and as `files`."""
        self._require(execution_id)
        return files.read_file(self.platform, known_id(execution_id), path, at)

    def copy_files(self, execution_id: str, folder: str | Path, at: str | None = None) -> Restored:
        """Put the files of a checkpoint into a new or empty folder. Raises `InvalidRequest` and as `files`."""
        self._require(execution_id)
        return files.copy_files(self.platform, known_id(execution_id), Path(folder), at)

    def events(self, execution_id: str, *, after: int = 0, limit: int | None = None) -> list[Recorded]:
        """One execution's events after a log position, oldest first. Raises `ExecutionNotFound`."""
        check_limit(limit)
        check_position(after)
        self._require(execution_id)
        stream = execution_stream(execution_id)
        return self.platform.store.log(after=after, limit=limit or 2**31, stream=stream)

    def log(self, *, after: int = 0, limit: int = 1000, types: tuple[str, ...] = ()) -> list[Recorded]:
        """All executions' events after a position, in order."""
        check_limit(limit)
        check_position(after)
        return self.platform.store.log(after=after, limit=limit, types=types)

    def as_of(self, when: int | datetime) -> View:
        """The reads, answered as the world was at a log position or at a time.

        A position beyond the log's end stands for the end. Raises `InvalidRequest`
        for a negative position and for a time without a zone.
        """
        return as_of(self.platform, self._workflows.get, when)

    # --- comparing ---------------------------------------------------------------------------------

    def diff(
        self, a: str, b: str | None = None, *, at_a: str | None = None, at_b: str | None = None, exact: bool = False
    ) -> Comparison:
        """Two executions step by step, or one at two checkpoints: ``diff(id, at_a=…, at_b=…)``.

        LangChain messages that differ in nothing but their ``id`` count as equal,
        unless ``exact``. Raises `ExecutionNotFound`, `CheckpointNotFound` or
        `InvalidRequest`.
        """
        return comparing.diff(self.platform, a, b, at_a, at_b, exact)

    def first_difference(
        self, a: str, b: str | None = None, *, at_a: str | None = None, at_b: str | None = None, exact: bool = False
    ) -> FirstDifference | None:
        """The step by which two came to differ; None when `diff` finds them equal. Raises what `diff` raises."""
        return comparing.first_difference(self.platform, a, b, at_a, at_b, exact)
