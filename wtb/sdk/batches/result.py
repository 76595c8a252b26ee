"""What a batch came to: every trial's outcome, and what the scores add up to."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from wtb.domain.batch import (
    FAILED,
    BatchStarted,
    BatchStatus,
    Trial,
    Usage,
    by_model,
)
from wtb.domain.errors import BatchFailedError, InvalidRequest, NotFound
from wtb.domain.identifiers import BatchId
from wtb.sdk.batches.outcome import Outcome
from wtb.sdk.batches.recorded_cases import RecordedCases
from wtb.sdk.batches.reports.comparison_matrix import Matrix
from wtb.sdk.batches.statistics.score_statistics import (
    PreferenceStatistics,
    Preferred,
    ScoreStatistics,
    Work,
    observed,
    preference_statistics,
    score_statistics,
    work,
)
from wtb.sdk.batches.statistics.shifts import Shift, shifts
from wtb.sdk.results import RunError

if TYPE_CHECKING:
    import pandas
    import polars

SHOWN_FAILURES = 5


@dataclass(frozen=True, slots=True)
class PreferredPair:
    """Which of two outcomes of a case was preferred, and by whom."""

    name: str
    case: str
    repeat: int
    a: int
    """A combination."""
    b: int
    preferred: Literal["a", "b", "tie"] | None
    """None when it raised."""
    error: RunError | None = None


@dataclass(frozen=True, eq=False)
class BatchResult:
    """What a batch has come to: iterate over it for the outcomes of the trials that have ended.

    The same whoever asks: the process that ran the batch, one that resumed it, and
    one that only reads the store. States and cases are read from the store when
    they are asked for, as long as the bench is open.
    """

    id: BatchId
    workflow: str
    status: BatchStatus
    stop_reason: Literal["request", "fail_fast", "budget", "interrupted"] | None
    """Why it is stopped; None unless it is."""
    stop_detail: str
    actor: str
    """Who started it."""
    started_at: datetime
    ended_at: datetime | None
    """When it was stopped or completed; None while it runs."""
    elapsed: timedelta
    """How long it was at work, without what lay between a stop and the resumption."""
    resumed: int
    """How often."""
    settings: BatchStarted
    """How it was to be run."""
    combinations: tuple[Mapping[str, str], ...]
    """Node path to variant name; what isn't named in one is the node's own."""
    cases: RecordedCases = field(repr=False)
    outcomes: tuple[Outcome, ...] = field(repr=False)
    """Of the trials that have ended: case by case, and in each by combination and repeat."""
    preferences: tuple[PreferredPair, ...] = field(repr=False)

    # --- outcomes -----------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Outcome]:
        return iter(self.outcomes)

    def __len__(self) -> int:
        """How many trials have ended."""
        return len(self.outcomes)

    @property
    def trials(self) -> int:
        """How many trials there are to be."""
        return len(self.cases) * len(self.combinations) * self.settings.repeats

    @cached_property
    def names(self) -> tuple[str, ...]:
        """What the combinations are called: ``answer=short``."""
        return tuple(map(name_of, self.combinations))

    @property
    def scores(self) -> tuple[str, ...]:
        """The scores' names."""
        return self.settings.scores

    @cached_property
    def failures(self) -> tuple[Outcome, ...]:
        """Of the trials that failed, timed out or were lost."""
        return tuple(outcome for outcome in self.outcomes if outcome.status in FAILED)

    @cached_property
    def unfinished(self) -> tuple[Trial, ...]:
        """The trials that haven't ended."""
        every = (
            Trial(case, combination, repeat)
            for case in self.cases.ids
            for combination in range(len(self.combinations))
            for repeat in range(self.settings.repeats)
        )
        return tuple(trial for trial in every if trial not in self._by_trial)

    @cached_property
    def _by_trial(self) -> dict[Trial, Outcome]:
        return {outcome.trial: outcome for outcome in self.outcomes}

    def outcome(self, case: str, combination: int = 0, repeat: int = 0) -> Outcome:
        """One trial's. Raises `NotFound` for one that hasn't ended, or that there isn't."""
        trial = Trial(case, combination, repeat)
        if trial not in self._by_trial:
            raise NotFound(
                f"batch {self.id!r} has no outcome of case {case!r} under combination {combination}, repeat {repeat}",
                hint="`.unfinished` has the trials that haven't ended; combinations and repeats are counted from 0.",
            )
        return self._by_trial[trial]

    def matrix(self) -> Matrix:
        """Cases by combinations."""
        return Matrix(self.cases.ids, self.names, self.scores, self.settings.repeats, self._by_trial)

    def raise_for_status(self) -> "BatchResult":
        """Itself; raises `BatchFailedError` when a trial failed, timed out or was lost."""
        if self.failures:
            first = self.failures[0]
            told = f": {first.error}" if first.error else ""
            raise BatchFailedError(
                f"batch {self.id}: {len(self.failures)} of {len(self)} trials failed; the first is case "
                f"{first.trial.case!r}, {self.names[first.trial.combination]}, {first.status}{told}",
                hint=f"`wtb batch show {self.id}` tells which trials failed, and why.",
            )
        return self

    # --- totals -------------------------------------------------------------------------------------

    @property
    def duration(self) -> timedelta:
        """Of all trials' last attempts together."""
        return sum((outcome.duration for outcome in self.outcomes), timedelta())

    @cached_property
    def usage(self) -> tuple[Usage, ...]:
        """Tokens by model, of all trials together."""
        return by_model(used for outcome in self.outcomes for used in outcome.usage)

    @property
    def tokens(self) -> int:
        return sum(used.tokens for used in self.usage)

    @property
    def cost(self) -> float | None:
        """Of all trials together, in the unit of the batch's prices; None when it has none."""
        return self.cost_of(self.usage)

    def cost_of(self, usage: Sequence[Usage]) -> float | None:
        """What tokens cost by the batch's prices: nothing where a model has none; None when it has no prices."""
        prices = self.settings.prices
        if not prices:
            return None
        return sum(prices[used.model].of(used) for used in usage if used.model in prices)

    @cached_property
    def work(self) -> tuple[Work, ...]:
        """What each combination's trials took."""
        return work(self.outcomes, len(self.combinations))

    # --- scores -------------------------------------------------------------------------------------

    def summary(self, score: str, baseline: int = 0, *, inferred: bool = True) -> ScoreStatistics:
        """What a score says of each combination, and of each compared with the baseline.

        ``inferred``: with confidence intervals and tests, which need the extra
        ``batch``. Raises `InvalidRequest` for a score or a combination that the batch
        hasn't, and `ExtraMissing`.
        """
        if score not in self.scores:
            known = ", ".join(self.scores) or "none"
            raise InvalidRequest(f"batch {self.id!r} has no score {score!r}", hint=f"Its scores: {known}.")
        self._check(baseline)
        key = (score, baseline, inferred)
        if key not in self._summaries:
            self._summaries[key] = score_statistics(
                score,
                observed(self.outcomes, score, len(self.combinations)),
                higher_is_better=self.settings.higher_is_better.get(score, True),
                baseline=baseline,
                inferred=inferred,
            )
        return self._summaries[key]

    @cached_property
    def _summaries(self) -> dict[tuple[str, int, bool], ScoreStatistics]:
        return {}

    def preferred(self, preference: str, *, inferred: bool = True) -> tuple[PreferenceStatistics, ...]:
        """Which of two combinations is preferred, for each pair that was shown.

        Raises `InvalidRequest` for a preference that the batch hasn't, and `ExtraMissing`.
        """
        if preference not in self.settings.preferences:
            known = ", ".join(self.settings.preferences) or "none"
            raise InvalidRequest(
                f"batch {self.id!r} has no preference {preference!r}", hint=f"Its preferences: {known}."
            )
        pairs: dict[tuple[int, int], list[Preferred]] = {}
        for each in self.preferences:
            if each.name == preference:
                pairs.setdefault((each.a, each.b), []).append(Preferred(each.case, each.repeat, each.preferred))
        return preference_statistics(preference, dict(sorted(pairs.items())), inferred=inferred)

    def regressions(self, score: str, baseline: int = 0) -> tuple[Shift, ...]:
        """The cases that another combination does worse than the baseline, each with the executions to compare.

        By combination, and in each the biggest first. None of a label, or where
        neither way is better. Raises as `summary`, but for `ExtraMissing`.
        """
        return shifts(self._by_trial, self.settings.repeats, self._any_summary(score, baseline), worse=True)

    def improvements(self, score: str, baseline: int = 0) -> tuple[Shift, ...]:
        """The cases that another combination does better than the baseline, as `regressions`."""
        return shifts(self._by_trial, self.settings.repeats, self._any_summary(score, baseline), worse=False)

    def _any_summary(self, score: str, baseline: int) -> ScoreStatistics:
        """Means are enough: tested or not, whichever is at hand."""
        return self._summaries.get((score, baseline, True)) or self.summary(score, baseline, inferred=False)

    def _check(self, combination: int) -> None:
        if not 0 <= combination < len(self.combinations):
            raise InvalidRequest(
                f"batch {self.id!r} has no combination {combination}",
                hint=f"They are counted from 0 to {len(self.combinations) - 1}.",
            )

    # --- elsewhere ----------------------------------------------------------------------------------

    def to_pandas(self) -> "pandas.DataFrame":
        """A row for each trial that has ended, as ``docs/reports.md`` has it. Raises `ExtraMissing`."""
        from wtb.sdk.batches.reports.frames import pandas_frame

        return pandas_frame(self)

    def to_polars(self) -> "polars.DataFrame":
        """As `to_pandas`; needs the extra ``polars``. Raises `ExtraMissing`."""
        from wtb.sdk.batches.reports.frames import polars_frame

        return polars_frame(self)

    def to_csv(self, path: str | Path) -> Path:
        """Write the rows of `to_pandas`. Raises `OSError`."""
        from wtb.sdk.batches.reports.frames import write_csv

        return write_csv(self, Path(path))

    def to_junit(self, path: str | Path) -> Path:
        """Write JUnit XML: a suite for each combination, a test case for each trial. Raises `ExtraMissing`, `OSError`.

        A trial that failed is an error, a score that said no a failure.
        """
        from wtb.sdk.batches.reports.junit import write_junit

        return write_junit(self, Path(path))

    def to_markdown(self) -> str:
        """The summary, regressions, improvements and failures, for a pull request or a README."""
        from wtb.sdk.batches.reports.markdown import markdown

        return markdown(self)

    def to_json(self) -> str:
        """All of it but states and cases' values, as one JSON document."""
        from wtb.sdk.batches.reports.document import as_json

        return as_json(self)

    def to_html(self, path: str | Path | None = None) -> str:
        """One page that needs nothing else: no script, no font, no network; also written to ``path``.

        The same record makes the same page. Raises `ExtraMissing` or `OSError`.
        """
        from wtb.sdk.batches.reports.page import html

        page = html(self)
        if path is not None:
            Path(path).write_text(page, encoding="utf-8")
        return page

    def __repr__(self) -> str:
        from wtb.sdk.batches.reports.result_shown import as_text

        return as_text(self)

    def _repr_html_(self) -> str:
        from wtb.sdk.batches.reports.result_shown import as_html

        return as_html(self)


def name_of(combination: Mapping[str, str]) -> str:
    """``answer=short, retrieve=default``; ``default`` where nothing is chosen."""
    return ", ".join(f"{node}={variant}" for node, variant in combination.items()) or "default"
