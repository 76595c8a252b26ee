"""A batch's stream as the process that runs it writes it: much in few commits, and stop requests heard in time."""

from collections.abc import Sequence
from time import monotonic

from wtb.domain.batch import (
    BatchCompleted,
    BatchFact,
    BatchLifecycleFact,
    BatchResumed,
    BatchStarted,
    BatchStopped,
    BatchStopRequested,
    Running,
    State,
    evolve,
)
from wtb.domain.batch_decisions import finish
from wtb.domain.errors import BatchExists, BatchTaken, VersionConflict
from wtb.domain.event_log import Origin, Recorded, StreamHead
from wtb.domain.identifiers import BatchId, WorkerId, batch_stream
from wtb.infra.event_store.journal import Journal
from wtb.sdk.platform import Platform

MOST_PENDING = 16
"""Facts that may wait for a commit, while it isn't time for one."""
SECONDS_BETWEEN_COMMITS = 1.0


class Ledger:
    """For the one thread that runs the batch.

    What is noted is durable a second after the last commit, or when sixteen facts
    wait: a killed process loses no more than that, and what it loses can be read
    from the executions. A commit hears what others asked meanwhile.
    """

    def __init__(self, platform: Platform, batch: BatchId, head: StreamHead, state: State, origin: Origin) -> None:
        self.platform = platform
        self.batch = batch
        self.state = state
        self.worker: WorkerId = platform.presence.announce()
        self._committer = platform.saver.committer
        self.journal = Journal(batch_stream(batch), head, origin, admit=self._hear)
        self.journal.redact(platform.store.redaction)
        self._held = False
        self._pending = 0
        self._committed = monotonic()

    @property
    def stop_requested(self) -> bool:
        """Also when somebody stopped it who took this process for dead."""
        return not isinstance(self.state, Running) or self.state.stop_requested

    @property
    def stop_detail(self) -> str:
        return self.state.stop_detail if isinstance(self.state, Running) else ""

    def take(self, facts: Sequence[BatchFact]) -> None:
        """Begin or take over the batch by these facts, durably.

        Raises `BatchExists`, or `VersionConflict` when it is no longer as it was
        when that was decided.
        """
        for fact in facts:
            self._note(fact)
        self.commit()
        self._held = True

    def note(self, *facts: BatchFact) -> None:
        """Note what happened. Raises as `commit` does, when it is time for one."""
        for fact in facts:
            self._note(fact)
        if self.is_due:
            self.commit()

    def _note(self, fact: BatchFact) -> None:
        self.journal.note(fact)
        self._pending += 1
        if isinstance(fact, BatchLifecycleFact):
            self.state = evolve(self.state, fact)

    @property
    def is_due(self) -> bool:
        return self._pending > MOST_PENDING or (self._pending > 0 and self.due_in <= 0)

    @property
    def due_in(self) -> float:
        """Seconds until the next commit may be made."""
        return self._committed + SECONDS_BETWEEN_COMMITS - monotonic()

    @property
    def pending(self) -> bool:
        return self._pending > 0

    def commit(self) -> None:
        """Make everything noted durable. Raises `StoreError`, or `BatchTaken` when another process runs it now."""
        self._committer.commit(self.journal)
        self._pending, self._committed = 0, monotonic()

    def close(self, fact: BatchStopped | BatchCompleted) -> None:
        """Note that no trial is under way any more, unless somebody did, and make it durable."""
        for each in finish(self.state, fact):
            self._note(each)
        self.commit()

    def _hear(self, added: Sequence[Recorded]) -> None:
        for event in added:
            fact = event.fact
            if isinstance(fact, BatchStarted):
                raise BatchExists(self.batch)
            if not self._held:
                raise VersionConflict(event.stream, event.version - 1)
            if isinstance(fact, BatchResumed) and fact.worker != self.worker:
                raise BatchTaken(self.batch, fact.worker)
            if isinstance(fact, BatchStopRequested | BatchStopped):
                self.state = evolve(self.state, fact)
