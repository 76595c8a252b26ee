"""One execution as it is being recorded by this process: its journal, and what LangGraph is at work on."""

import threading
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.types import Interrupt

from wtb.domain.errors import UnserializableValue, WtbError
from wtb.domain.execution import (
    Failure,
    NodeCompleted,
    NodeFailed,
    NodeInterrupted,
    NodeStarted,
    Write,
)
from wtb.domain.identifiers import CheckpointId, Digest, Namespace, TaskId
from wtb.domain.workflow import OWN
from wtb.infra.event_store.journal import Committer, Journal
from wtb.infra.langgraph.control import Control, Request
from wtb.infra.output_folder.scanning import OutputFolder

RECORDING = "__wtb_recording"
"""Where LangGraph's config of a run has its recording. Keys that begin so aren't kept in metadata."""

Channels = Mapping[str, tuple[str | int | float, Digest | None]]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at one node's work, as LangGraph describes it."""

    node: str
    task: TaskId
    namespace: Namespace
    checkpoint: CheckpointId
    step: int
    attempt: int
    path: str
    variant: str | None = None


@dataclass(frozen=True, slots=True)
class Skip:
    """A node that counts as done: its path, the checkpoints it was to read, and what it gives instead of running."""

    node: str
    checkpoints: tuple[CheckpointId, ...]
    output: Mapping[str, Any]


class Recording:
    """Notes what happens in one execution; decides what must be durable at once.

    A start is durable before its node runs. An end waits for the next commit
    when it is the last of its superstep, since the next start or the end of the
    execution follows at once; while siblings still run it is committed right
    away, so that it is never lost to their length.
    """

    def __init__(
        self,
        journal: Journal,
        committer: Committer,
        *,
        engine: bool,
        fresh: bool,
        variants: Mapping[str, str] | None = None,
        files: OutputFolder | None = None,
        control: Control | None = None,
    ) -> None:
        """``engine``: shells say when to commit. ``fresh``: the stream was empty when this began.

        ``variants``: node path to the name of the variant that stands in for it.
        ``files``: the output folder whose files are kept at each checkpoint.
        ``control``: what others have asked of the execution.
        """
        self.journal = journal
        journal.redact(committer.store.redaction)
        self.committer = committer
        self.engine = engine
        self.fresh = fresh
        self.variants = {node: name for node, name in (variants or {}).items() if name != OWN}
        self.files = files
        self.control = control or Control()
        self.channels: dict[Namespace, tuple[CheckpointId, Channels]] = {}
        """Each namespace's newest checkpoint and the digests of its values."""
        self.skip: Skip | None = None
        """A node that isn't run in this stretch, whose work is given."""
        self.interrupts: list[Interrupt] = []
        """What the outermost graph's nodes asked, in this stretch."""
        self._failures: dict[TaskId, tuple[BaseException, Attempt]] = {}
        self._lock = threading.Lock()
        self._running: dict[CheckpointId, set[TaskId]] = {}
        self._ended: dict[TaskId, CheckpointId] = {}

    # --- a node's attempt -----------------------------------------------------------------------

    def note_start(self, attempt: Attempt, node: str) -> bool:
        """Note that a node, by its path, starts; False when it should not, and then nothing is noted."""
        # Under the lock, so that a request is heard either before it or in time to take it back.
        with self._lock:
            if self.control.keeps_back(node, attempt.checkpoint, attempt.attempt):
                return False
            self._running.setdefault(attempt.checkpoint, set()).add(attempt.task)
            self._ended.pop(attempt.task, None)
            self.journal.note(
                NodeStarted(
                    node=attempt.node,
                    task=attempt.task,
                    namespace=attempt.namespace,
                    checkpoint=attempt.checkpoint,
                    step=attempt.step,
                    attempt=attempt.attempt,
                    path=attempt.path,
                    variant=attempt.variant,
                )
            )
        return True

    def note_stop(self, attempt: Attempt, node: str) -> None:
        """Note that a node, by its path, doesn't start."""
        with self._lock:
            self.control.keep_back(node, attempt.checkpoint, attempt.attempt)

    def hear(self, request: Request) -> None:
        """Take to heart what somebody asked in the execution's stream."""
        with self._lock:
            self.control.hear(request)

    def withdrew(self, attempt: Attempt) -> bool:
        """Whether the start that was noted was taken back before it was durable, so that the node must not run."""
        if attempt.task not in self.control.withdrawn:
            return False
        with self._lock:
            self._running.get(attempt.checkpoint, set()).discard(attempt.task)
        return True

    def note_completion(
        self,
        attempt: Attempt,
        node: str,
        duration_us: int,
        writes: Sequence[tuple[str, Any]],
        serde: SerializerProtocol,
    ) -> bool:
        """Note a node's end with its writes, ``node`` being its path; True when it must be committed at once.

        Raises `UnserializableValue`, and then nothing is noted.
        """
        named = self.name_writes(attempt.node, writes, serde)
        self.control.completed(node)
        self.journal.note(
            NodeCompleted(
                node=attempt.node,
                task=attempt.task,
                namespace=attempt.namespace,
                checkpoint=attempt.checkpoint,
                attempt=attempt.attempt,
                path=attempt.path,
                duration_us=duration_us,
                writes=named,
            )
        )
        return self._end(attempt, covered=True)

    def note_departure(self, attempt: Attempt, node: str, duration_us: int) -> bool:
        """Note that a node, by its path, ended its graph by a Command to the parent graph."""
        self.control.completed(node)
        self.journal.note(
            NodeCompleted(
                node=attempt.node,
                task=attempt.task,
                namespace=attempt.namespace,
                checkpoint=attempt.checkpoint,
                attempt=attempt.attempt,
                path=attempt.path,
                duration_us=duration_us,
                writes=(),
                left_graph=True,
            )
        )
        return self._end(attempt, covered=False)

    def note_interrupt(
        self,
        attempt: Attempt,
        duration_us: int,
        asked: Sequence[Interrupt],
        writes: Sequence[tuple[str, Any]],
        serde: SerializerProtocol,
    ) -> bool:
        """Note that a node asked something; a nested graph's questions are its node's too."""
        if not attempt.namespace:
            self.interrupts.extend(asked)
        named = self.name_writes(attempt.node, writes, serde)
        self.journal.note(
            NodeInterrupted(
                node=attempt.node,
                task=attempt.task,
                namespace=attempt.namespace,
                checkpoint=attempt.checkpoint,
                attempt=attempt.attempt,
                path=attempt.path,
                duration_us=duration_us,
                questions=tuple(interrupt.id for interrupt in asked),
                writes=named,
            )
        )
        return self._end(attempt, covered=True)

    def note_failure(self, attempt: Attempt, duration_us: int, error: BaseException, serde: SerializerProtocol) -> bool:
        self._failures[attempt.task] = (error, attempt)
        self.journal.note(
            NodeFailed(
                node=attempt.node,
                task=attempt.task,
                namespace=attempt.namespace,
                checkpoint=attempt.checkpoint,
                attempt=attempt.attempt,
                duration_us=duration_us,
                error=self.failure(error, serde),
            )
        )
        return self._end(attempt, covered=False)

    def failed_attempt(self, error: BaseException) -> Attempt | None:
        """The innermost attempt that raised this very error."""
        return next((attempt for raised, attempt in self._failures.values() if raised is error), None)

    def _end(self, attempt: Attempt, *, covered: bool) -> bool:
        with self._lock:
            siblings = self._running.get(attempt.checkpoint, set())
            siblings.discard(attempt.task)
            if covered:
                self._ended[attempt.task] = attempt.checkpoint
                self._failures.pop(attempt.task, None)
            return bool(siblings)

    # --- what the checkpointer asks --------------------------------------------------------------

    def covers(self, task: TaskId) -> bool:
        """Whether a shell has noted this task's writes, so that LangGraph's copy of them is no news."""
        return task in self._ended

    def superseded(self, checkpoint: CheckpointId | None) -> None:
        """A checkpoint has a child: its superstep is over."""
        with self._lock:
            if checkpoint is not None and self._running.pop(checkpoint, None) is not None:
                self._ended = {task: of for task, of in self._ended.items() if of != checkpoint}

    # --- values ----------------------------------------------------------------------------------

    def name_writes(self, node: str, writes: Sequence[tuple[str, Any]], serde: SerializerProtocol) -> tuple[Write, ...]:
        return tuple(
            Write(channel=channel, value=self.name_value(node, channel, value, serde)) for channel, value in writes
        )

    def name_value(self, node: str, channel: str, value: Any, serde: SerializerProtocol) -> Digest:
        """A value's digest, its bytes queued. Raises `UnserializableValue` with the node's name."""
        try:
            return self.journal.value(value, serde, channel)
        except WtbError:
            raise
        except Exception as reason:  # whatever a serializer raises: the node and channel are what helps
            raise UnserializableValue(
                node=node, channel=channel, kind=type(value).__name__, reason=str(reason)
            ) from reason

    def keep_files(self) -> Digest | None:
        """The digest of what is in the output folder now, its bytes queued; None when files aren't kept."""
        return None if self.files is None else self.files.scan(self.journal.raw)

    def failure(self, error: BaseException, serde: SerializerProtocol) -> Failure:
        """An error as a fact tells it."""
        text = _storable("".join(traceback.format_exception(error)))
        message = _storable(str(error))
        return Failure(type=type(error).__name__, message=message, traceback=self.journal.value(text, serde))

    # --- durability ------------------------------------------------------------------------------

    def commit(self) -> None:
        self.committer.commit(self.journal)

    async def acommit(self) -> None:
        await self.committer.acommit(self.journal)


def _storable(text: str) -> str:
    """Text that UTF-8 can hold: an error may quote half an emoji, which is then shown escaped."""
    return text.encode("utf-8", "backslashreplace").decode()
