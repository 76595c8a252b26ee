"""How far a batch has got, told as it works."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class BatchProgress:
    """What shows of a batch at one moment."""

    total: int
    """How many trials it has."""
    finished: int
    """Those that have ended, whichever way."""
    failed: int
    """Those of them that failed, timed out or were lost."""
    running: int
    """Those under way now."""
    elapsed: timedelta
    """Since it was started or resumed."""
    tokens: int
    """That finished trials used."""
    scores: Mapping[str, float] = field(default_factory=dict)
    """Running means of the scores that are numbers or yes and no, over all combinations."""


Progress = Callable[[BatchProgress], None]
"""Called in the thread that runs the batch: at its start, after each trial, at its end."""
