"""Control from outside: pause, cancel and breakpoints, said in an execution's stream by any process.

Whoever runs the execution finds there what was asked when it next commits, and
obeys before the next node starts.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import cast

from wtb.domain import decisions
from wtb.domain.errors import ExecutionNotFound, VersionConflict, WrongStatus
from wtb.domain.event_log import Append, Origin
from wtb.domain.execution import (
    BreakpointsSet,
    ExecutionStarted,
    LifecycleFact,
    Running,
    State,
    Stopped,
    breakpoints,
    fold,
)
from wtb.domain.identifiers import ExecutionId, Version, execution_stream
from wtb.infra.langgraph.graphs import RunnableGraph
from wtb.sdk.claims import is_run
from wtb.sdk.platform import Platform
from wtb.sdk.results import Commanded

Decide = Callable[[State, Sequence[LifecycleFact]], list[LifecycleFact]]
KnownGraph = Callable[[ExecutionStarted], RunnableGraph | None]
"""An execution's start to its graph, where this process knows it."""


def pause(
    platform: Platform, execution: ExecutionId, reason: str, origin: Origin, if_version: int | None = None
) -> Commanded:
    """Have an execution stop before its next node. Raises `ExecutionNotFound`, `WrongStatus` or `VersionConflict`."""
    return _command(platform, execution, lambda state, _: decisions.pause(execution, state, reason), origin, if_version)


def cancel(
    platform: Platform,
    execution: ExecutionId,
    reason: str,
    origin: Origin,
    if_version: int | None = None,
    *,
    at_once: bool = False,
) -> Commanded:
    """End an execution: before its next node, or at once when nobody runs it.

    ``at_once`` though somebody may run it: nothing that they do from now on is
    recorded, and they stop when they find that out. Raises `ExecutionNotFound`, `WrongStatus` or `VersionConflict`.
    """

    def decide(state: State, _: Sequence[LifecycleFact]) -> list[LifecycleFact]:
        alive = not at_once and isinstance(state, Running) and is_run(platform, execution, state.worker)
        return decisions.cancel(execution, state, reason, alive=alive)

    return _command(platform, execution, decide, origin, if_version)


def shut_out(platform: Platform, execution: ExecutionId, reason: str, origin: Origin) -> bool:
    """End an execution that this process runs, at once, whatever its node is at; whether it ran it.

    Who runs it finds out when its node has ended, and can record nothing more.
    Nothing happens when it has ended before, or when another process runs it by now.
    """

    def decide(state: State, _: Sequence[LifecycleFact]) -> list[LifecycleFact]:
        if isinstance(state, Running) and is_run(platform, execution, state.worker):
            return []
        return decisions.cancel(execution, state, reason, alive=False)

    ran = platform.saver.give_up(execution, WrongStatus(execution, "cancelled", "go on"))
    with suppress(ExecutionNotFound, WrongStatus):
        _command(platform, execution, decide, origin, None)
    return ran


def set_breakpoints(
    platform: Platform,
    execution: ExecutionId,
    wanted: BreakpointsSet,
    known: KnownGraph,
    origin: Origin,
    if_version: int | None = None,
) -> Commanded:
    """Have an execution stop before or after these nodes, and at no others.

    Raises `ExecutionNotFound`, `VersionConflict`, or `NodeNotFound` when its graph
    is known here and has no such node.
    """

    def decide(state: State, facts: Sequence[LifecycleFact]) -> list[LifecycleFact]:
        decided = decisions.set_breakpoints(execution, state, breakpoints(facts), wanted)
        if isinstance(state, Running | Stopped) and (graph := known(state.started)) is not None:
            graph.check_nodes((*wanted.before, *wanted.after), state.started.variants)
        return decided

    return _command(platform, execution, decide, origin, if_version)


def _command(
    platform: Platform, execution: ExecutionId, decide: Decide, origin: Origin, if_version: int | None
) -> Commanded:
    """Decide on what the execution is now, and again when it has moved on meanwhile, as one that runs does.

    With ``if_version`` it is decided once, on that version of the stream.
    """
    stream = execution_stream(execution)
    while True:
        events, head = platform.store.lifecycle(stream)
        facts = [cast("LifecycleFact", event.fact) for event in events]
        if if_version is not None and head.version != if_version:
            raise VersionConflict(stream, if_version)
        state = fold(facts)
        decided = decide(state, facts)
        if not decided:
            return _commanded(execution, state, head.version, changed=False)
        now = time.time_ns() // 1000
        try:
            [made] = platform.store.append([Append(stream, head, decided, [now] * len(decided), origin)])
        except VersionConflict:
            if if_version is not None:
                raise
        else:
            return _commanded(execution, fold([*facts, *decided]), made.head.version, changed=True)


def _commanded(execution: ExecutionId, state: State, version: int, *, changed: bool) -> Commanded:
    assert isinstance(state, Running | Stopped)
    return Commanded(execution, state.status, Version(version), changed)
