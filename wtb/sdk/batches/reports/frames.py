"""A batch's outcomes as data frames: a row for each trial that has ended."""

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wtb.domain.errors import ExtraMissing
from wtb.sdk.batches.result import BatchResult

if TYPE_CHECKING:
    import pandas
    import polars


def columns(result: BatchResult) -> dict[str, list[Any]]:
    """Column to values. Each varied node has a column ``variant.<node>``, each score ``score.<name>``."""
    nodes = list(dict.fromkeys(node for combination in result.combinations for node in combination))
    outcomes = result.outcomes
    costs = [result.cost_of(outcome.usage) for outcome in outcomes]
    return {
        "case": [outcome.trial.case for outcome in outcomes],
        "combination": [result.names[outcome.trial.combination] for outcome in outcomes],
        "repeat": [outcome.trial.repeat for outcome in outcomes],
        **{f"variant.{node}": [o.variants.get(node, "default") for o in outcomes] for node in nodes},
        "status": [outcome.status for outcome in outcomes],
        **{f"score.{name}": _alike([outcome.scores.get(name) for outcome in outcomes]) for name in result.scores},
        "seconds": [outcome.duration.total_seconds() for outcome in outcomes],
        "attempts": [outcome.attempts for outcome in outcomes],
        "input_tokens": [sum(used.input_tokens for used in outcome.usage) for outcome in outcomes],
        "output_tokens": [sum(used.output_tokens for used in outcome.usage) for outcome in outcomes],
        **({"cost": costs} if result.settings.prices else {}),
        "error": [str(outcome.error) if outcome.error else None for outcome in outcomes],
        "execution_id": [outcome.execution_id for outcome in outcomes],
    }


def _alike(values: list[Any]) -> list[Any]:
    """Values of one kind, as a column must have them: numbers where yes and no are among numbers, else texts."""
    kinds = {type(value) for value in values if value is not None}
    if len(kinds) <= 1:
        return values
    kind: type = str if str in kinds else float
    return [None if value is None else kind(value) for value in values]


def write_csv(result: BatchResult, path: Path) -> Path:
    """A row for each trial under a line of names; what is missing is left empty."""
    named = columns(result)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(named)
        writer.writerows(zip(*named.values(), strict=True))
    return path


def pandas_frame(result: BatchResult) -> "pandas.DataFrame":
    try:
        import pandas
    except ImportError as missing:
        raise ExtraMissing("to_pandas", "batch") from missing
    # Types that know a missing value, so that yes and no stay what they are.
    return pandas.DataFrame(columns(result)).convert_dtypes()


def polars_frame(result: BatchResult) -> "polars.DataFrame":
    try:
        import polars
    except ImportError as missing:
        raise ExtraMissing("to_polars", "polars") from missing
    return polars.DataFrame(columns(result))
