"""``wtb events``: the log, for people a line each, for programs a CloudEvent a line."""

import sys
from datetime import datetime

from rich.console import Console

from wtb.domain.batch import BatchStarted, BatchStopped, CaseFinished, CasePreferred, CasesAdded, CaseScored
from wtb.domain.cloud_event import WireEvent
from wtb.domain.errors import InvalidRequest
from wtb.domain.event_log import Recorded
from wtb.domain.execution import (
    CheckpointSaved,
    ExecutionFailed,
    ExecutionPaused,
    ExecutionStarted,
    NodeCompleted,
    NodeFailed,
    NodeInterrupted,
    NodeStarted,
)
from wtb.domain.identifiers import node_path, subject_of
from wtb.domain.workflow import (
    VariantPromoted,
    VariantRegistered,
    VariantRestored,
    VariantRetired,
    WorkflowArchived,
    WorkflowRegistered,
    WorkflowRestored,
    WorkflowVersioned,
)
from wtb.interfaces.cli.output import brief, console, duration, text
from wtb.interfaces.cli.shared import Shared
from wtb.sdk.following import PAGE, follow, has_ended


def events(shared: Shared, execution_id: str | None, after: int, followed: bool, as_of: str | None = None) -> int:
    """``followed``: until the execution has ended, or for ever when none is named."""
    if as_of is not None:
        if followed:
            raise InvalidRequest("the past can't be followed", hint="Leave out --follow or --as-of.")
        return past_events(shared, execution_id, after, as_of)
    out = console()
    with shared.bench() as bench:
        if execution_id is not None:
            bench.events(execution_id, limit=1)  # refuses an id that nothing is known of

        def enough() -> bool:
            return not followed or (execution_id is not None and has_ended(bench, execution_id))

        for event in follow(bench, execution_id, after=after, enough=enough):
            tell(shared, out, event, named=execution_id is None)
    return 0


def past_events(shared: Shared, execution_id: str | None, after: int, as_of: str) -> int:
    out = console()
    with shared.world(as_of) as view:
        while page := (
            view.log(after=after, limit=PAGE)
            if execution_id is None
            else view.events(execution_id, after=after, limit=PAGE)
        ):
            for event in page:
                tell(shared, out, event, named=execution_id is None)
            after = page[-1].position
    return 0


def tell(shared: Shared, out: Console, event: Recorded, *, named: bool) -> None:
    if shared.json:
        sys.stdout.write(WireEvent.of(event).json.decode() + "\n")
    else:
        out.print(text(line(event, named=named)), soft_wrap=True)
    sys.stdout.flush()


def line(event: Recorded, *, named: bool) -> str:
    """Position, local time, the execution, workflow or batch if it has to be ``named``, what happened."""
    time: datetime = event.time.astimezone()
    parts = [f"{event.position:>6}", time.strftime("%H:%M:%S.") + f"{time.microsecond // 1000:03}"]
    if named:
        parts.append(subject_of(event.stream))
    return "  ".join([*parts, f"{event.type:<18}", summary(event)]).rstrip()


def summary(event: Recorded) -> str:
    match event.fact:
        case ExecutionStarted(workflow=workflow):
            return workflow
        case NodeStarted() | NodeCompleted() | NodeFailed() | NodeInterrupted() as fact:
            told = node_path(fact.namespace, fact.node) + (f", attempt {fact.attempt}" if fact.attempt > 1 else "")
            if not isinstance(fact, NodeStarted):
                told += f", {duration(fact.duration_us)}"
            return f"{told}, {fact.error.type}: {brief(fact.error.message)}" if isinstance(fact, NodeFailed) else told
        case CheckpointSaved(checkpoint=checkpoint, step=step):
            return f"step {step}, {checkpoint}"
        case ExecutionPaused(reason=reason):
            return reason
        case ExecutionFailed(error=error):
            return f"{error.type}: {brief(error.message)}"
        case WorkflowRegistered(description=description):
            return brief(description)
        case WorkflowVersioned(version=version, nodes=nodes):
            return f"{version}, {len(nodes)} node" + ("" if len(nodes) == 1 else "s")
        case VariantRegistered() | VariantPromoted() | VariantRetired() | VariantRestored() as fact:
            return f"{fact.node}={fact.name}"
        case WorkflowArchived(reason=reason) | WorkflowRestored(reason=reason):
            return brief(reason)
        case BatchStarted(workflow=workflow, cases=cases, combinations=combinations):
            return f"{workflow}, {cases} cases, {len(combinations)} combinations"
        case CasesAdded(cases=added):
            return f"{len(added)} cases"
        case CaseFinished() | CaseScored() as fact:
            told = f"{fact.case}, combination {fact.combination}, repeat {fact.repeat}"
            return f"{told}, {fact.status}" if isinstance(fact, CaseFinished) else told
        case CasePreferred() as fact:
            return f"{fact.case}, {fact.preference}: {fact.preferred or 'raised'}"
        case BatchStopped() as fact:
            return brief(": ".join(part for part in (fact.reason, fact.detail) if part))
        case _:
            return ""
