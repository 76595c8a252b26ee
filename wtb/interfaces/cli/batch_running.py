"""The commands that run batches: ``batch run`` and ``batch resume``."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any, get_args

from wtb.domain.batch import Budget, Price, TrialStatus
from wtb.domain.errors import InvalidCase, InvalidRequest
from wtb.interfaces.cli.batch_display import outlook, resume_command, show_result
from wtb.interfaces.cli.batch_progress import batch_progress
from wtb.interfaces.cli.options import ExecutorName, Status
from wtb.interfaces.cli.output import print_json
from wtb.interfaces.cli.refusals import INTERRUPTED
from wtb.interfaces.cli.running import Choice
from wtb.interfaces.cli.shared import Shared
from wtb.sdk import TestBench, scores
from wtb.sdk.batches.reports.document import document
from wtb.sdk.batches.result import BatchResult
from wtb.sdk.loading import Graphs, load_attribute, load_implementation
from wtb.sdk.platform import new_batch_id

STATUSES = frozenset(get_args(Status)) | frozenset(get_args(TrialStatus))
"""What past executions may be looked for by; anything else is an id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A batch as it is asked for on a command line."""

    graph: str
    cases: Path | None
    from_executions: tuple[str, ...]
    from_batch: str | None
    limit: int
    variants: tuple[str, ...]
    combinations: tuple[str, ...]
    scores: tuple[str, ...]
    preferences: tuple[str, ...]
    repeats: int
    max_concurrency: int | None
    executor: ExecutorName
    timeout: float | None
    attempts: int
    fail_fast: bool
    budget_seconds: float | None
    budget_tokens: int | None
    budget_cost: float | None
    prices: tuple[str, ...]
    share_prefix: bool
    workflow: str | None
    id: str | None
    description: str


def run(shared: Shared, wish: Wish, quiet: bool) -> int:
    prices = prices_given(wish.prices)
    with shared.output_for_json():
        name, graph = Graphs(shared.settings()).named(wish.graph)
        varied = varied_by(wish.variants, wish.combinations)
        asked = [score_given(each, prices) for each in wish.scores]
        preferences = [attribute_given(each, "--preference") for each in wish.preferences]
        with shared.bench() as bench:
            batch = wish.id or new_batch_id()
            workflow = bench.register(graph, workflow=wish.workflow or name)
            given = ["--graph", wish.graph, *_named_again(wish)]
            with attended(shared, batch, given), batch_progress(shown=not (shared.json or quiet)) as progress:
                result = bench.batch(
                    graph,
                    _cases(bench, wish, workflow),
                    variants=varied,
                    scores=asked,
                    preferences=preferences,
                    repeats=wish.repeats,
                    max_concurrency=wish.max_concurrency,
                    executor=wish.executor,
                    timeout=wish.timeout,
                    attempts=wish.attempts,
                    fail_fast=wish.fail_fast,
                    budget=_budget(wish),
                    prices=prices or None,
                    share_prefix=wish.share_prefix,
                    workflow=workflow,
                    batch_id=batch,
                    description=wish.description,
                    progress=progress,
                )
    return tell(shared, result)


def resume(
    shared: Shared,
    batch_id: str,
    reference: str | None,
    score: Sequence[str],
    preference: Sequence[str],
    retry_failed: bool,
    concurrency: int | None,
    executor: ExecutorName | None,
    quiet: bool,
) -> int:
    with shared.output_for_json(), shared.bench() as bench:
        row = bench.batch_info(batch_id)
        prices = bench.batch_result(batch_id).settings.prices
        graph = Choice(shared, reference).for_execution(row.workflow)
        again = ["--graph", reference] if reference else []
        with attended(shared, batch_id, again), batch_progress(shown=not (shared.json or quiet)) as progress:
            result = bench.resume_batch(
                batch_id,
                graph=graph,
                scores=[score_given(each, prices) for each in score] or None,
                preferences=[attribute_given(each, "--preference") for each in preference] or None,
                executor=executor,
                max_concurrency=concurrency,
                retry_failed=retry_failed,
                progress=progress,
            )
    return tell(shared, result)


@contextmanager
def attended(shared: Shared, batch: str, again: Sequence[str]) -> Iterator[None]:
    """Ctrl-C stops the batch and says how to go on with it."""
    try:
        yield
    except KeyboardInterrupt as stop:
        go_on = resume_command(shared, batch, *again)
        raise KeyboardInterrupt(f"interrupted; batch {batch} is stopped. Go on with: {go_on}") from stop


def tell(shared: Shared, result: BatchResult) -> int:
    """Print a result; the exit code."""
    if shared.json:
        print_json(document(result, outcomes=False))
    else:
        show_result(result)
        outlook(shared, result, alive=None)
    if result.status == "stopped" and result.stop_reason in ("request", "interrupted"):
        return INTERRUPTED
    return 1 if result.failures or result.status != "completed" else 0


# --- reading what is asked for ------------------------------------------------------------------------


def _cases(bench: TestBench, wish: Wish, workflow: str) -> Any:
    """A file's, or those that past executions began with."""
    past = bool(wish.from_executions) or wish.from_batch is not None
    if (wish.cases is not None) == past:
        raise InvalidCase(
            "a batch needs cases",
            hint="Give a .jsonl or .csv file, or --from-executions or --from-batch, but not both.",
        )
    if wish.cases is not None:
        return wish.cases
    named = [each for each in wish.from_executions if each not in STATUSES]
    if named and (len(named) < len(wish.from_executions) or wish.from_batch is not None):
        raise InvalidRequest(
            "executions are named or looked for, not both", hint="Give ids, or one status; --from-batch takes a status."
        )
    if len(wish.from_executions) > 1 and not named:
        raise InvalidRequest("executions are looked for by one status", hint="Give one, or ids.")
    if named:
        return bench.cases_from(named)
    status = wish.from_executions[0] if wish.from_executions else None
    return bench.cases_from(status=status, workflow=workflow, batch=wish.from_batch, limit=wish.limit)


def _budget(wish: Wish) -> Budget | None:
    budget = Budget(seconds=wish.budget_seconds, tokens=wish.budget_tokens, cost=wish.budget_cost)
    return None if budget == Budget() else budget


def varied_by(
    variants: Sequence[str], combinations: Sequence[str]
) -> Mapping[str, list[object]] | list[dict[str, object]] | None:
    """What is varied: every choice with every other, or just these combinations. Raises `InvalidRequest`."""
    if variants and combinations:
        raise InvalidRequest("--variant and --combination can't both be given", hint="Give one of them.")
    if combinations:
        return [_combination(each) for each in combinations]
    varied: dict[str, list[object]] = {}
    for given in variants:
        node, equals, choices = given.partition("=")
        if not (node and equals and choices.strip(",")):
            raise InvalidRequest(f"{given!r} names no variants", hint="Give them as node=default,short.")
        varied.setdefault(node.strip(), []).extend(_choice(node.strip(), each) for each in choices.split(",") if each)
    return varied or None


def _combination(given: str) -> dict[str, object]:
    chosen: dict[str, object] = {}
    for part in given.split(","):
        node, equals, choice = part.partition("=")
        if not (node.strip() and equals and choice.strip()):
            raise InvalidRequest(f"{given!r} is no combination", hint="Give it as node=short,other=default.")
        chosen[node.strip()] = _choice(node.strip(), choice)
    return chosen


def _choice(node: str, given: str) -> object:
    return load_implementation(node, given.strip()) if ":" in given else given.strip()


def prices_given(given: Sequence[str]) -> dict[str, Price]:
    """``model=input,output``. Raises `InvalidRequest`."""
    prices: dict[str, Price] = {}
    for each in given:
        model, _, amounts = each.rpartition("=")
        try:
            read, written = map(float, amounts.split(","))
        except ValueError as nonsense:
            raise _no_price(each) from nonsense
        if not (model and 0 <= read < inf and 0 <= written < inf):
            raise _no_price(each)
        prices[model] = Price(input=read, output=written)
    return prices


def _no_price(given: str) -> InvalidRequest:
    return InvalidRequest(
        f"{given!r} is no price", hint="Give it as model=0.5,1.5: for a million tokens read, and written."
    )


_OF_CHANNELS: dict[str, Callable[[str], object]] = {
    "exact_match": scores.exact_match,
    "contains": scores.contains,
    "label": scores.label,
}
_OF_TRIALS: dict[str, Callable[[], object]] = {
    "exact_match": scores.exact_match,
    "latency": scores.latency,
    "attempts": scores.attempts,
    "tokens": scores.tokens,
}
BUILT_IN = tuple(dict.fromkeys((*_OF_CHANNELS, *_OF_TRIALS, "cost")))


def score_given(given: str, prices: Mapping[str, Price]) -> Any:
    """A built-in score, or one of the user's as module:attribute. Raises `InvalidRequest` or `GraphNotFound`."""
    name, colon, channel = given.partition(":")
    if given == "cost":
        if not prices:
            raise InvalidRequest("the score cost needs the models' prices", hint="Give --price MODEL=IN,OUT.")
        return scores.cost(prices)
    if not colon and given in _OF_TRIALS:
        return _OF_TRIALS[given]()
    if name in _OF_CHANNELS and channel:
        return _OF_CHANNELS[name](channel)
    if name in BUILT_IN or not colon:
        raise InvalidRequest(
            f"{given!r} is no score",
            hint="Give exact_match[:CHANNEL], contains:CHANNEL, label:CHANNEL, latency, attempts, tokens, cost, or "
            "module:attribute.",
        )
    return attribute_given(given, "--score")


def attribute_given(given: str, option: str) -> Any:
    """Raises `InvalidRequest` or `GraphNotFound`."""
    if ":" not in given:
        raise InvalidRequest(f"{option} {given!r} names nothing", hint="Give it as module:attribute.")
    return load_attribute(given)


def _named_again(wish: Wish) -> list[str]:
    """The options of ``run`` that ``resume`` needs again: nothing that is recorded is imported."""
    variants = [
        f"{node}={choice}"
        for given in wish.variants
        for node, _, choices in [given.partition("=")]
        for choice in choices.split(",")
        if ":" in choice
    ]
    variants += [part for given in wish.combinations for part in given.split(",") if ":" in part]
    options = [("--variant", variants), ("--score", wish.scores), ("--preference", wish.preferences)]
    return [word for option, values in options for value in dict.fromkeys(values) for word in (option, value)]
