"""The comparison matrix: cases by combinations."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

from wtb.domain.batch import Scored, Trial
from wtb.sdk.batches.outcome import Outcome

MOST_ROWS = 50
"""A REPL shows so many cases; the matrix holds them all."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """Cases by combinations; ``matrix[case, combination]`` has the outcomes, a repeat each."""

    cases: tuple[str, ...]
    """Ids."""
    combinations: tuple[str, ...]
    """Names."""
    scores: tuple[str, ...]
    repeats: int
    _outcomes: Mapping[Trial, Outcome] = field(repr=False)

    def __getitem__(self, cell: tuple[str, int]) -> tuple[Outcome, ...]:
        """The outcomes of a case under a combination; those of repeats that haven't ended are left out."""
        case, combination = cell
        trials = (Trial(case, combination, repeat) for repeat in range(self.repeats))
        return tuple(self._outcomes[trial] for trial in trials if trial in self._outcomes)

    def __iter__(self) -> Iterator[tuple[str, tuple[tuple[Outcome, ...], ...]]]:
        """Each case with its cells."""
        for case in self.cases:
            yield case, tuple(self[case, combination] for combination in range(len(self.combinations)))

    def __len__(self) -> int:
        return len(self.cases)

    def __repr__(self) -> str:
        rows = [("", *self.combinations), *self._rows()]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join([f"<Matrix of {len(self)} cases by {len(self.combinations)} combinations>", *lines])

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{escape(name)}</th>" for name in ("", *self.combinations))
        body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in self._rows())
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def _rows(self) -> Iterator[tuple[str, ...]]:
        for case in self.cases[:MOST_ROWS]:
            columns = range(len(self.combinations))
            yield (case, *(cell_text(self[case, combination], self.scores) for combination in columns))
        if len(self.cases) > MOST_ROWS:
            yield (f"… {len(self.cases) - MOST_ROWS} more", *[""] * len(self.combinations))


def cell_text(outcomes: Sequence[Outcome], scores: Sequence[str]) -> str:
    """A cell in one line: what the scores say, or how the trials ended when they don't say anything; ``/`` between
    repeats."""
    return " / ".join(outcome_text(outcome, scores) for outcome in outcomes) or "…"


def outcome_text(outcome: Outcome, scores: Sequence[str]) -> str:
    if outcome.status != "completed":
        return outcome.status
    told = [f"{score} {value_text(outcome.scores[score])}" for score in scores if score in outcome.scores]
    told += [f"{score} raised" for score in scores if score in outcome.score_errors]
    return ", ".join(told) or "completed"


def value_text(value: Scored) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.4g}"
        case _:
            return " ".join(str(value).split())
