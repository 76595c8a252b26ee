"""Having trials scored, and compared with each other, off the thread that runs the batch."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta

from wtb.domain.batch import BatchFact, BatchStarted, CaseFinished, CasePreferred, CaseScored, Trial
from wtb.domain.errors import CheckpointNotFound
from wtb.sdk.batches.outcome import Outcome
from wtb.sdk.batches.output import output_of
from wtb.sdk.batches.record import Record
from wtb.sdk.batches.recorded_cases import RecordedCases
from wtb.sdk.batches.scoring import Preference, Score, prefer, score_outcome
from wtb.sdk.batches.workers.trial_run import FindGraph
from wtb.sdk.platform import Platform
from wtb.sdk.results import RunError

MOST_THREADS = 32

Verdict = Future[Sequence[BatchFact]]
"""Facts to come."""


class Assessment:
    """Asks scores about trials, and preferences about each combination beside the first. For one thread."""

    def __init__(
        self,
        platform: Platform,
        cases: RecordedCases,
        started: BatchStarted,
        find_graph: FindGraph,
        scores: Sequence[Score],
        preferences: Sequence[Preference],
    ) -> None:
        self._platform = platform
        self._cases = cases
        self._combinations = started.combinations
        self._find_graph = find_graph
        self._scores = scores
        self._preferences = preferences if len(started.combinations) > 1 else ()
        threads = min(started.max_concurrency, MOST_THREADS)
        self._ended: dict[tuple[str, int], dict[int, CaseFinished]] = {}
        self._pool = ThreadPoolExecutor(threads, "wtb-score") if scores or preferences else None

    def of(self, fact: CaseFinished) -> Iterator[Verdict]:
        """What is to be said now that a trial has ended."""
        if self._scores:
            yield self._submit(self._scored, fact)
        for preference, one, other in self._pairs(fact):
            yield self._submit(self._preferred, preference, one, other)

    def left_over(self, record: Record) -> Iterator[Verdict]:
        """What wasn't said before a batch was stopped."""
        for trial, fact in record.finished.items():
            if self._scores and trial not in record.scored:
                yield self._submit(self._scored, fact)
            for preference, one, other in self._pairs(fact):
                said = (preference.name, fact.case, fact.repeat, one.combination, other.combination)
                if said not in record.preferred:
                    yield self._submit(self._preferred, preference, one, other)

    def _pairs(self, fact: CaseFinished) -> Iterator[tuple[Preference, CaseFinished, CaseFinished]]:
        """What is to be compared once all combinations of a case have ended."""
        if not self._preferences:
            return
        group = self._ended.setdefault((fact.case, fact.repeat), {})
        group[fact.combination] = fact
        if len(group) < len(self._combinations):
            return
        del self._ended[fact.case, fact.repeat]
        first = group.pop(0)
        for other in sorted(group):
            for preference in self._preferences:
                yield preference, first, group[other]

    def _submit(self, work: Callable[..., Sequence[BatchFact]], *args: object) -> Verdict:
        assert self._pool is not None
        return self._pool.submit(work, *args)

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    # --- in the pool's threads --------------------------------------------------------------------

    def _scored(self, fact: CaseFinished) -> Sequence[BatchFact]:
        said, errors = score_outcome(self._cases.named(fact.case), self._outcome(fact), self._scores)
        return [
            CaseScored(case=fact.case, combination=fact.combination, repeat=fact.repeat, scores=said, errors=errors)
        ]

    def _preferred(self, preference: Preference, one: CaseFinished, other: CaseFinished) -> Sequence[BatchFact]:
        case = self._cases.named(one.case)
        choice, error = prefer(case, self._outcome(one), self._outcome(other), preference)
        return [
            CasePreferred(
                case=one.case,
                repeat=one.repeat,
                a=one.combination,
                b=other.combination,
                preference=preference.name,
                preferred=choice,
                error=error,
            )
        ]

    def _outcome(self, fact: CaseFinished) -> Outcome:
        variants, error = self._combinations[fact.combination], fact.error
        return Outcome(
            trial=Trial(fact.case, fact.combination, fact.repeat),
            execution_id=fact.execution,
            status=fact.status,
            variants=variants,
            duration=timedelta(microseconds=fact.duration_us),
            attempts=fact.attempts,
            error=None if error is None else RunError(error.type, error.message, None),
            usage=fact.usage,
            load=lambda: self._state(fact, variants),
        )

    def _state(self, fact: CaseFinished, variants: Mapping[str, str]) -> Mapping[str, object]:
        try:
            return output_of(self._platform, fact.execution, fact.status, self._find_graph(variants))
        except CheckpointNotFound:  # it never got so far
            return {}
