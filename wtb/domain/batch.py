"""A batch: many cases, many combinations of variants, run and compared. Decisions are in `batch_decisions`.

Its facts are in the stream ``batch-<id>``; each trial is an ordinary execution
besides. The class and field names of the facts are the stored format, as in
`execution`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, assert_never

from pydantic import Field

from wtb.domain.execution import Fact, Failure
from wtb.domain.identifiers import BatchId, Digest, ExecutionId, WorkerId

TrialStatus = Literal["completed", "failed", "cancelled", "paused", "timed_out", "lost"]
"""How a trial ended. ``paused``: it waits for an answer; ``lost``: the process that ran it died, too often."""

FAILED: frozenset[TrialStatus] = frozenset({"failed", "timed_out", "lost"})
"""How a trial ends that failed. One that is paused or was cancelled came to no end, good or bad."""

Scored = bool | int | float | str
"""A score: whether, how much, or which label."""


class Trial(NamedTuple):
    """One case under one combination of variants, for the how-many-eth time."""

    case: str
    """The case's id, unique in its batch."""
    combination: int
    """Its place among the batch's combinations, from 0."""
    repeat: int
    """From 0."""


def trial_execution(batch: BatchId, trial: Trial, place: int) -> ExecutionId:
    """The id of the execution that is a trial; ``place`` is the case's among the batch's, from 0."""
    return ExecutionId(f"{batch}.{place}.{trial.combination}.{trial.repeat}")


def trial_place(execution: ExecutionId) -> int:
    """The place of the case among the batch's, which `trial_execution` put into the id."""
    return int(execution.rsplit(".", 3)[1])


def prefix_execution(batch: BatchId, place: int, repeat: int) -> ExecutionId:
    """The id of the execution that runs what a case's trials have in common, before they are forked from it."""
    return ExecutionId(f"{batch}.{place}.prefix.{repeat}")


# --- Facts ---------------------------------------------------------------------------------------


class Case(Fact):
    """One input, and what is known of it."""

    id: str
    input: Digest
    expected: Digest | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)
    source: ExecutionId | None = None
    """The past execution whose input it is."""


class Budget(Fact):
    """No new trial starts once the batch has used this much; None where there is no end to it."""

    seconds: float | None = None
    """Since it was started or resumed."""
    tokens: int | None = None
    cost: float | None = None
    """In the unit of ``prices``."""


class Price(Fact):
    """What a chat model costs, for a million tokens."""

    input: float
    output: float

    def of(self, used: "Usage") -> float:
        """What these tokens cost."""
        return (used.input_tokens * self.input + used.output_tokens * self.output) / 1_000_000


class Usage(Fact):
    """Tokens that a trial used of one model."""

    model: str
    input_tokens: int
    output_tokens: int

    @property
    def tokens(self) -> int:
        """Those it read and those it wrote."""
        return self.input_tokens + self.output_tokens


def by_model(used: Iterable[Usage]) -> tuple[Usage, ...]:
    """The same tokens, added up for each model; in order of the models' names."""
    sums: dict[str, tuple[int, int]] = {}
    for each in used:
        read, written = sums.get(each.model, (0, 0))
        sums[each.model] = (read + each.input_tokens, written + each.output_tokens)
    return tuple(
        Usage(model=model, input_tokens=read, output_tokens=written) for model, (read, written) in sorted(sums.items())
    )


class BatchStarted(Fact):
    workflow: str
    graph: str
    """The version of the workflow, as in `ExecutionStarted`."""
    worker: WorkerId
    cases: int
    combinations: tuple[dict[str, str], ...]
    """Node path to variant name; what isn't named in it is the node's own."""
    repeats: int = 1
    scores: tuple[str, ...] = ()
    higher_is_better: dict[str, bool | None] = Field(default_factory=dict)
    """By score, where it isn't so: false where less is better, None where neither is."""
    preferences: tuple[str, ...] = ()
    executor: str = "threads"
    max_concurrency: int = 1
    timeout_us: int | None = None
    """For one attempt at one trial."""
    attempts: int = 1
    """How often a trial may be tried."""
    fail_fast: bool = False
    share_prefix: bool = False
    budget: Budget | None = None
    prices: dict[str, Price] = Field(default_factory=dict)
    """By model."""
    description: str = ""


class CasesAdded(Fact):
    """Some of a batch's cases, in order; all of them are there before any trial starts."""

    cases: tuple[Case, ...]


class BatchResumed(Fact):
    """A stopped batch goes on, or another process took over from one that died: what isn't finished runs."""

    worker: WorkerId


class BatchStopRequested(Fact):
    """Whoever runs the batch starts no further trial."""

    reason: str = ""


class CaseFinished(Fact):
    """A trial ended. One that is tried again later, as after a resume, has another; the last counts."""

    case: str
    combination: int
    repeat: int
    execution: ExecutionId
    status: TrialStatus
    duration_us: int
    """From the start of its last attempt; what it shares with others, before it was forked, isn't in it."""
    attempts: int = 1
    error: Failure | None = None
    usage: tuple[Usage, ...] = ()


class CaseScored(Fact):
    """What the scores said of a trial. Those that raised are among the errors."""

    case: str
    combination: int
    repeat: int
    scores: dict[str, Scored]
    errors: dict[str, Failure] = Field(default_factory=dict)


class CasePreferred(Fact):
    """Which of two trials of a case was preferred."""

    case: str
    repeat: int
    a: int
    """A combination."""
    b: int
    preference: str
    """The name of who prefers."""
    preferred: Literal["a", "b", "tie"] | None
    """None when it raised."""
    error: Failure | None = None


class BatchStopped(Fact):
    """No trial is under way, and not all are finished."""

    reason: Literal["request", "fail_fast", "budget", "interrupted"]
    detail: str = ""


class BatchCompleted(Fact):
    """Every trial is finished."""

    duration_us: int
    """Since it was started, or last resumed."""


BatchLifecycleFact = BatchStarted | BatchResumed | BatchStopRequested | BatchStopped | BatchCompleted
"""Facts that decide what may happen next."""

BatchRecordFact = CasesAdded | CaseFinished | CaseScored | CasePreferred
"""Facts that record the work."""

BatchFact = BatchLifecycleFact | BatchRecordFact

# --- States --------------------------------------------------------------------------------------

BatchStatus = Literal["running", "stopped", "completed"]


@dataclass(frozen=True, slots=True)
class Unknown:
    status: Literal["unknown"] = "unknown"


@dataclass(frozen=True, slots=True)
class Running:
    started: BatchStarted
    worker: WorkerId
    stop_requested: bool = False
    stop_detail: str = ""
    """Why, in the words of who asked."""
    status: Literal["running"] = "running"


@dataclass(frozen=True, slots=True)
class Stopped:
    started: BatchStarted
    status: Literal["stopped"] = "stopped"


@dataclass(frozen=True, slots=True)
class Completed:
    started: BatchStarted
    status: Literal["completed"] = "completed"


State = Unknown | Running | Stopped | Completed


def evolve(state: State, fact: BatchLifecycleFact) -> State:
    """The state after one more fact."""
    if isinstance(fact, BatchStarted):
        return Running(fact, fact.worker)
    if isinstance(state, Unknown):
        return state
    match fact:
        case BatchResumed():
            return Running(state.started, fact.worker)
        case BatchStopRequested():
            return Running(state.started, state.worker, True, fact.reason) if isinstance(state, Running) else state
        case BatchStopped():
            return Stopped(state.started)
        case BatchCompleted():
            return Completed(state.started)
        case _:
            assert_never(fact)


def fold(facts: Sequence[BatchLifecycleFact]) -> State:
    """The state that facts add up to."""
    state: State = Unknown()
    for fact in facts:
        state = evolve(state, fact)
    return state
