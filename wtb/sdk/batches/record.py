"""What a batch's stream says, put together: which trials ended and how, and where the batch stands."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import cast

from wtb.domain.batch import (
    BatchCompleted,
    BatchFact,
    BatchResumed,
    BatchStarted,
    BatchStatus,
    BatchStopped,
    BatchStopRequested,
    Case,
    CaseFinished,
    CasePreferred,
    CasesAdded,
    CaseScored,
    Trial,
)
from wtb.domain.errors import BatchNotFound
from wtb.domain.event_log import Recorded
from wtb.domain.identifiers import BatchId, batch_stream
from wtb.sdk.platform import Platform

Pair = tuple[str, str, int, int, int]
"""Preference, case, repeat, and the combinations a and b."""


@dataclass(slots=True)
class Record:
    """A batch as its facts tell it. Of a trial that ended more than once the last end counts."""

    started: BatchStarted
    actor: str
    began_us: int
    status: BatchStatus = "running"
    stopped: BatchStopped | None = None
    """Why it is stopped; None unless it is."""
    resumed: int = 0
    """How often."""
    cases: list[Case] = field(default_factory=list)
    finished: dict[Trial, CaseFinished] = field(default_factory=dict)
    scored: dict[Trial, CaseScored] = field(default_factory=dict)
    preferred: dict[Pair, CasePreferred] = field(default_factory=dict)
    until_us: int = 0
    """When the last fact came."""
    worked_us: int = 0
    """How long it was at work up to its last resumption."""
    since_us: int = 0
    """When it was started or last resumed."""

    @property
    def began(self) -> datetime:
        return datetime.fromtimestamp(self.began_us / 1_000_000, UTC)

    @property
    def ended(self) -> datetime | None:
        """When it was stopped or completed; None while it runs."""
        return None if self.status == "running" else datetime.fromtimestamp(self.until_us / 1_000_000, UTC)

    @property
    def elapsed(self) -> timedelta:
        """How long it was at work; what lay between a stop, or a death, and the resumption isn't in it."""
        return timedelta(microseconds=self.worked_us + self.until_us - self.since_us)

    def take(self, fact: BatchFact, time_us: int) -> None:
        """Add what comes next."""
        match fact:
            case CaseFinished():
                trial = Trial(fact.case, fact.combination, fact.repeat)
                if trial in self.finished:
                    self._forget(trial)
                self.finished[trial] = fact
            case CaseScored():
                self.scored[Trial(fact.case, fact.combination, fact.repeat)] = fact
            case CasePreferred():
                self.preferred[fact.preference, fact.case, fact.repeat, fact.a, fact.b] = fact
            case CasesAdded():
                self.cases += fact.cases
            case BatchResumed():
                self.worked_us += self.until_us - self.since_us
                self.since_us = time_us
                self.status, self.stopped, self.resumed = "running", None, self.resumed + 1
            case BatchStopped():
                self.status, self.stopped = "stopped", fact
            case BatchCompleted():
                self.status = "completed"
            case BatchStarted() | BatchStopRequested():
                pass
        self.until_us = time_us

    def _forget(self, trial: Trial) -> None:
        """What was said of a trial that has ended anew."""
        self.scored.pop(trial, None)
        case, combination, repeat = trial
        self.preferred = {
            pair: fact
            for pair, fact in self.preferred.items()
            if pair[1:3] != (case, repeat) or combination not in pair[3:]
        }


def record_of(events: Iterable[Recorded]) -> Record | None:
    """What a batch's events add up to; None when there are none."""
    record: Record | None = None
    for event in events:
        if record is None:
            record = _begun(event)
        record.take(cast("BatchFact", event.fact), event.time_us)
    return record


def _begun(event: Recorded) -> Record:
    started = cast("BatchStarted", event.fact)
    return Record(started, event.actor, event.time_us, until_us=event.time_us, since_us=event.time_us)


def read_record(platform: Platform, batch: BatchId) -> Record:
    """A batch's record as it stands. Raises `BatchNotFound`."""
    record = record_of(platform.store.read(batch_stream(batch)))
    if record is None:
        raise BatchNotFound(batch)
    return record
