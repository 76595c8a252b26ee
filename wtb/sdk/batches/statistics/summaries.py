"""What a score said of one combination: how often, how much, and how sure that is."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import fmean, median, stdev
from typing import Literal

from wtb.domain.batch import Scored
from wtb.sdk.batches.statistics.intervals import Interval, of_mean, of_share

Kind = Literal["yes_no", "number", "label"]
"""What a score's values are. Numbers among yes and no make all of them numbers, a label makes all of them labels."""


@dataclass(frozen=True, slots=True)
class Observed:
    """What a score said of one trial; None when it said nothing."""

    case: str
    repeat: int
    value: Scored | None
    failed: bool = False
    """The trial failed, timed out or was lost."""


Counted = Mapping[tuple[str, int], Scored]
"""The values that count, by case and repeat."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a score said of one combination."""

    combination: int
    kind: Kind | None
    """None when it said nothing at all, of no combination."""
    n: int
    """Trials with a value."""
    missing: int
    """Trials without."""
    cases: int
    """Cases with a value: the sample's size."""
    mean: float | None
    """Of the cases' means; for yes and no the share of yes. None for labels."""
    sd: float | None
    """Between the cases' means; None for fewer than two."""
    median: float | None
    """Of the cases' means."""
    low: float | None
    """The least of the cases' means."""
    high: float | None
    interval: Interval | None
    """Of ``mean``. None for labels, for numbers that are all the same, and where there are too few cases."""
    labels: Mapping[str, int] = field(default_factory=dict)
    """Trials by label, the most frequent first."""


def kind_of(values: Iterable[Scored | None]) -> Kind | None:
    """What they are, all together: of all combinations, so that each is told of in the same way."""
    kinds = {type(value) for value in values if value is not None}
    if not kinds:
        return None
    return "label" if str in kinds else "yes_no" if kinds == {bool} else "number"


def counted(trials: Iterable[Observed], kind: Kind | None) -> Counted:
    """The values of trials; a failed one without a value is a no where the others are yes and no."""
    said = {
        (one.case, one.repeat): False if one.value is None and one.failed and kind == "yes_no" else one.value
        for one in trials
    }
    return {trial: value for trial, value in said.items() if value is not None}


def means_of(counted: Counted) -> dict[str, float]:
    """Each case's mean of its repeats."""
    values: dict[str, list[float]] = {}
    for (case, _), value in counted.items():
        values.setdefault(case, []).append(float(value))
    return {case: fmean(repeats) for case, repeats in values.items()}


def summarize(combination: int, kind: Kind | None, counted: Counted, trials: int, confidence: float | None) -> Summary:
    """What the values of so many trials of a combination amount to; without an interval when confidence is None."""
    labels = Counter(str(value) for value in counted.values()) if kind == "label" else Counter[str]()
    means = [] if kind == "label" else list(means_of(counted).values())
    interval = None
    if confidence is not None:
        interval = of_share(means, len(counted), confidence) if kind == "yes_no" else of_mean(means, confidence)
    return Summary(
        combination=combination,
        kind=kind,
        n=len(counted),
        missing=trials - len(counted),
        cases=len({case for case, _ in counted}),
        mean=fmean(means) if means else None,
        sd=stdev(means) if len(means) > 1 else None,
        median=median(means) if means else None,
        low=min(means, default=None),
        high=max(means, default=None),
        interval=interval,
        labels=dict(sorted(labels.items(), key=lambda counted: (-counted[1], counted[0]))),
    )
