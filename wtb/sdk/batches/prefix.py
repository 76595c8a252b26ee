"""What a case's trials have in common runs once, up to the first varied node; they are forked from there."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import msgspec

from wtb.domain.batch import prefix_execution
from wtb.domain.errors import CheckpointNotFound
from wtb.domain.execution import ExecutionPaused, Failed, Unknown
from wtb.domain.identifiers import CheckpointId, ExecutionId
from wtb.domain.workflow import OWN, WHOLE
from wtb.projections import steps
from wtb.sdk.batches.coordinator import Job
from wtb.sdk.batches.workers.assignment import Ended, Fork
from wtb.sdk.claims import standing
from wtb.sdk.platform import Platform
from wtb.sdk.state import find_checkpoint

Combinations = Sequence[Mapping[str, str]]


def varied(combinations: Combinations) -> tuple[str, ...]:
    """The nodes that aren't the same in all combinations."""
    named = {node for each in combinations for node in each}
    return tuple(sorted(node for node in named if len({each.get(node, OWN) for each in combinations}) > 1))


def is_shareable(combinations: Combinations) -> bool:
    """Whether trials have anything in common that can run once; whole graphs that stand in have not."""
    nodes = varied(combinations)
    return bool(nodes) and WHOLE not in nodes


def shared(platform: Platform, combinations: Combinations, place: int, trials: Sequence[Job]) -> Job:
    """What trials of one case and repeat have in common; they follow."""
    nodes, first = varied(combinations), trials[0].assignment
    common = msgspec.structs.replace(
        first,
        execution=prefix_execution(first.batch, place, first.trial.repeat),
        variants={node: name for node, name in first.variants.items() if node not in nodes},
        break_before=nodes,
    )
    return Job(common, then=lambda ended: _forks(platform, ended, trials))


def _forks(platform: Platform, ended: Ended, trials: Sequence[Job]) -> list[Job]:
    now = standing(platform, ended.execution)
    if isinstance(now.state, Unknown):
        return [*trials]  # it never began: each trial finds out for itself why
    paused = [fact for fact in now.facts if isinstance(fact, ExecutionPaused)]
    stops = {stop.checkpoint for stop in paused[-1].stops} if ended.status == "paused" and paused else set()
    failed = isinstance(now.state, Failed)
    try:
        fork = Fork(execution=ended.execution, checkpoint=_place(platform, ended, stops), failed=failed)
    except CheckpointNotFound:
        return [*trials]  # as above: it never got so far as to have one
    return [
        replace(
            job,
            assignment=msgspec.structs.replace(
                job.assignment, fork=fork, attempts=job.attempts + 1 if failed else job.assignment.attempts
            ),
        )
        for job in trials
    ]


def _place(platform: Platform, ended: Ended, stops: set[CheckpointId]) -> CheckpointId:
    """Where all of it stopped, also in a nested graph; where the outermost graph stands, when that was in several."""
    places = stops or _unfinished(platform, ended.execution)
    if len(places) == 1:
        return next(iter(places))
    return find_checkpoint(platform, ended.execution, None).checkpoint


def _unfinished(platform: Platform, execution: ExecutionId) -> set[CheckpointId]:
    """What was read by the nodes that asked or failed, without the graphs around them, which did so too."""
    with platform.reading() as connection:
        last = {step.task: step for step in steps.of(connection, execution)}
    left = [step for step in last.values() if step.status in ("interrupted", "failed")]
    around = {part.partition(":")[2] for step in left for part in step.namespace.split("|")}
    return {step.checkpoint for step in left if step.task not in around}
