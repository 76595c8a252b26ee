"""Travelling: a fork from any past checkpoint, the head moved back and forth again, the state edited."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START

from wtb.domain import decisions
from wtb.domain.errors import (
    CheckpointNotFound,
    ExecutionExists,
    ExecutionNotFound,
    InvalidRequest,
    InvalidState,
    NodeNotFound,
)
from wtb.domain.event_log import EMPTY_STREAM
from wtb.domain.execution import (
    CheckpointSaved,
    ExecutionPaused,
    ExecutionStarted,
    Forked,
    ForkPoint,
    RollbackUndone,
    RolledBack,
    StateEdited,
    Unknown,
    Write,
)
from wtb.domain.identifiers import Digest, ExecutionId, Namespace, execution_stream, node_path
from wtb.domain.workflow import OWN, WHOLE
from wtb.infra.event_store.journal import Journal
from wtb.infra.langgraph.branches import Brancher
from wtb.infra.langgraph.graphs import RunnableGraph
from wtb.infra.langgraph.history import config_at
from wtb.infra.langgraph.own_loop import in_a_loop
from wtb.infra.output_folder.restoring import restore
from wtb.projections import checkpoints, steps
from wtb.sdk.claims import Request, Standing, begin, claim, giving_up, recording_of, standing
from wtb.sdk.platform import Platform, new_checkpoint_id, now
from wtb.sdk.results import RunResult
from wtb.sdk.running import Run, config_of
from wtb.sdk.state import find_checkpoint, state_at


@dataclass(frozen=True, slots=True)
class Place:
    """A checkpoint of an execution, named in one of three ways; where it stands now when in none."""

    at: str | None = None
    """A checkpoint's id; a nested graph's too."""
    node: str | None = None
    """A node's path: the checkpoint it read when it last started."""
    step: int | None = None
    """A superstep of the outermost graph, newest branch first: -1 is the input, 0 before the first node."""

    def find(self, platform: Platform, execution: ExecutionId) -> CheckpointSaved:
        """Raises `CheckpointNotFound`, `NodeNotFound`, or `InvalidRequest` when it is named in two ways."""
        if sum(each is not None for each in (self.at, self.node, self.step)) > 1:
            raise InvalidRequest("at, node and step name different checkpoints", hint="Give one of them.")
        if self.node is not None:
            with platform.reading() as connection:
                started = steps.last_of(connection, execution, self.node)
            if started is None:
                raise NodeNotFound(f"node {self.node!r} hasn't started in execution {execution!r}")
            return find_checkpoint(platform, execution, started.checkpoint, started.namespace)
        if self.step is not None:
            with platform.reading() as connection:
                found = checkpoints.at_step(connection, execution, self.step)
            if found is None:
                raise CheckpointNotFound(execution, f"at step {self.step}")
            return find_checkpoint(platform, execution, found)
        return find_checkpoint(platform, execution, self.at)


@dataclass(frozen=True, slots=True)
class Changes:
    """What is different in a fork, or after an edit: channel to value, through the channels' reducers."""

    values: Mapping[str, Any]
    as_node: str | None = None
    """The path of the node that counts as having written them; LangGraph finds the last one when None."""
    reason: str = ""


# --- fork ---------------------------------------------------------------------------------------------


def fork(
    platform: Platform,
    execution: ExecutionId,
    child: ExecutionId,
    request: Request,
    place: Place,
    changes: Changes | None,
    variants: Mapping[str, str],
    batch_case: str | None = None,
    *,
    as_it_stands: bool = False,
) -> Run:
    """A new execution that begins at a checkpoint of another; durable, and not run yet.

    ``as_it_stands``: the other one stopped at the checkpoint, and what had finished
    beside it counts as finished in the fork.
    Raises `ExecutionNotFound`, `CheckpointNotFound`, `NodeNotFound`,
    `VariantNotFound`, `WorkflowNotFound`, `InvalidState` or `ExecutionExists`.
    """
    if platform.store.head(execution_stream(child)) != EMPTY_STREAM:
        raise ExecutionExists(child)
    parent = standing(platform, execution)
    before = parent.started.variants
    chosen = {**before, **variants}
    graph = request.find_graph(parent.started.model_copy(update={"variants": chosen}))
    another = chosen.get(WHOLE, OWN) != before.get(WHOLE, OWN)
    if another:
        chosen = {node: name for node, name in chosen.items() if node in {WHOLE, *variants, *graph.nodes}}
    graph.check_variants(chosen)
    original = place.find(platform, execution)
    if another:
        graph.check_going_on(original)
        if original.channels.get(START, (0, None))[1] is not None:
            graph.check_input(graph.saver.history.load({parent.started.input})[parent.started.input])
    if changes is not None:
        _check(graph, changes)
        if _is_in(changes, original.namespace):
            # Tried before the fork is there: a refused one must leave nothing.
            at = config_at(execution, original.namespace, original.checkpoint)
            graph.rehearse(at, changes.values, _node(changes))
    _refuse_folder(platform, child)
    recording = recording_of(platform, child, EMPTY_STREAM, request.origin, chosen, request.emit)
    point = ForkPoint(execution=execution, checkpoint=original.checkpoint, namespace=original.namespace)
    started = ExecutionStarted(
        workflow=parent.started.workflow,
        graph=graph.version,
        input=parent.started.input,
        worker=platform.presence.announce(),
        variants=chosen,
        parent=point,
        batch_case=batch_case,
    )
    run = Run(platform, child, started.workflow, graph, recording, None, request.options, request.emit)
    claim(run, decisions.start(child, Unknown(), started), durable=False)
    with giving_up(run):
        _brancher(run, execution, as_it_stands=as_it_stands).copy(original)
        _commit_with(run, execution, Forked(checkpoint=original.checkpoint, child=child))
        _put_files_back(run, original.files)
        if changes is not None:
            _edit(run, changes)
            recording.commit()
    return run


def rest(run: Run) -> RunResult:
    """Leave an execution where it is, to be resumed."""
    try:
        run.recording.journal.note(ExecutionPaused(reason="request"))
        run.recording.commit()
    finally:
        run.platform.saver.end(run.execution, run.recording)
    return RunResult(
        execution_id=run.execution,
        workflow=run.workflow,
        status="paused",
        state=dict(state_at(run.platform, run.execution, None, "", run.graph)),
        interrupts=(),
        error=None,
        duration=timedelta(),
        position=run.recording.journal.position,
    )


def _commit_with(run: Run, parent: ExecutionId, forked: Forked) -> None:
    """Make the fork durable, and let its parent know."""
    store = run.platform.store
    stream = execution_stream(parent)
    told = Journal(stream, store.head(stream), run.recording.journal.origin)
    told.note(forked)
    run.platform.saver.committer.commit_together(run.recording.journal, told)


# --- roll back, undo, edit ----------------------------------------------------------------------------


def roll_back(platform: Platform, execution: ExecutionId, request: Request, place: Place, reason: str) -> None:
    """Move the head to a copy of an earlier checkpoint; nothing is erased.

    Raises `ExecutionNotFound`, `ExecutionTaken`, `CheckpointNotFound`,
    `WorkflowNotFound`, or `VersionConflict` when another was first.
    """
    stands = _started(platform, execution)
    target = place.find(platform, execution)
    head = find_checkpoint(platform, execution, None)
    run = _held(platform, stands, request)
    fact = RolledBack(
        to=target.checkpoint,
        head=target.checkpoint,
        left=head.checkpoint,
        namespace=target.namespace,
        reason=reason,
        files=run.recording.keep_files(),
    )
    facts = decisions.roll_back(execution, stands.state, fact)
    if facts:
        with _taking(run):
            copy = _brancher(run, execution).copy(target)
            run.recording.journal.note(facts[0].model_copy(update={"head": copy}))
            run.recording.commit()
            _put_files_back(run, target.files)
    else:
        # It was rolled back already: the process that did so may have died before the files were back.
        _put_files_back(run, target.files)


def undo_rollback(platform: Platform, execution: ExecutionId, request: Request, reason: str) -> None:
    """Move the head back to where it was before the last rollback.

    Raises `ExecutionNotFound`, `ExecutionTaken`, `NothingToUndo` or `VersionConflict`.
    """
    stands = standing(platform, execution)
    moved = next((fact for fact in reversed(stands.facts) if isinstance(fact, RolledBack)), None)
    if stands.facts and isinstance(stands.facts[-1], RollbackUndone):
        assert moved is not None
        # It is undone already: the process that did so may have died before the files were back.
        _restore(platform, execution, moved.files)
        return
    facts = decisions.undo_rollback(execution, stands.state, reason)
    assert moved is not None
    recording = recording_of(platform, execution, stands.head, request.origin, {})
    begin(platform, execution, recording, facts)
    try:
        _restore(platform, execution, moved.files)
    finally:
        platform.saver.end(execution, recording)


def edit(platform: Platform, execution: ExecutionId, request: Request, changes: Changes) -> None:
    """Change the state where an execution stands; it is paused then, and can be resumed.

    Raises `ExecutionNotFound`, `ExecutionTaken`, `InvalidState`, `NodeNotFound`,
    `WorkflowNotFound`, or `VersionConflict` when another was first.
    """
    stands = _started(platform, execution)
    here = find_checkpoint(platform, execution, None).checkpoint
    decisions.edit(execution, stands.state, StateEdited(checkpoint=here, as_node=changes.as_node, writes=()))
    run = _held(platform, stands, request)
    _check(run.graph, changes)
    with _taking(run):
        _edit(run, changes)
        run.recording.commit()


def _edit(run: Run, changes: Changes) -> None:
    """Have LangGraph write the values, and note who wanted it."""
    config: RunnableConfig = {"configurable": {"thread_id": run.execution, "checkpoint_ns": _nested_in(run, changes)}}
    here = run.graph.graph.get_state(config)
    node = _node(changes)
    in_part = 0 < len(here.next) < len(here.tasks)
    if in_part and node is None:
        raise InvalidState(
            "the state can't be changed so: nodes that run side by side have finished in part",
            hint="Say which of them counts as having written it: as_node=….",
        )
    run.graph.rehearse(here.config, changes.values, node)
    if in_part:
        # LangGraph's update would drop what is done of the superstep: a checkpoint of its own keeps it.
        _note_edit(run, changes, {}, _update(run, config, None, END))
    _note_edit(run, changes, changes.values, _update(run, config, dict(changes.values), node))


def _note_edit(run: Run, changes: Changes, values: Mapping[str, Any], written: RunnableConfig) -> None:
    name, serde = run.recording.name_value, run.graph.saver.serde
    run.recording.journal.note(
        StateEdited(
            checkpoint=written["configurable"]["checkpoint_id"],
            as_node=changes.as_node,
            writes=tuple(Write(channel=c, value=name("(edit)", c, v, serde)) for c, v in values.items()),
            reason=changes.reason,
        )
    )


def _update(run: Run, config: RunnableConfig, values: Any, node: str | None) -> RunnableConfig:
    graph = run.graph.graph
    if run.graph.runs_on_a_loop(run.recording.variants):
        return in_a_loop(lambda: graph.aupdate_state(config, values, as_node=node))
    return graph.update_state(config, values, as_node=node)


def _check(graph: RunnableGraph, changes: Changes) -> None:
    """Raise `NodeNotFound` or `InvalidState` for what the graph doesn't have."""
    if changes.as_node is not None and changes.as_node not in graph.nodes:
        raise NodeNotFound(f"the graph has no node {changes.as_node!r}; it has {', '.join(sorted(graph.nodes))}")
    graph.check_update(changes.values, changes.as_node or "")


def _node(changes: Changes) -> str | None:
    """The writing node's name in its own graph."""
    return None if changes.as_node is None else changes.as_node.rpartition("/")[2]


def _is_in(changes: Changes, namespace: Namespace) -> bool:
    """Whether the graph that changes are meant for is the one of this namespace."""
    return changes.as_node is None or changes.as_node.rpartition("/")[0] == node_path(namespace, "").rstrip("/")


def _refuse_folder(platform: Platform, child: ExecutionId) -> None:
    """Raise `InvalidRequest` when what is in a fork's folder isn't the fork's."""
    folder = platform.output_dir / child
    if folder.exists() and any(folder.iterdir()):
        raise InvalidRequest(f"{folder} holds something already", hint="Choose another id for the fork.")


def _nested_in(run: Run, changes: Changes) -> Namespace:
    """The namespace of the graph that the node that counts as writer is in."""
    around = (changes.as_node or "").rpartition("/")[0]
    if not around:
        return Namespace("")
    inside = [task.namespace for task in run.graph.waiting(config_of(run)) if task.path.rpartition("/")[0] == around]
    if not inside:
        raise NodeNotFound(f"execution {run.execution!r} doesn't stand in graph {around!r}")
    return inside[0]


def _started(platform: Platform, execution: ExecutionId) -> Standing:
    """How an execution stands, of which there is one. Raises `ExecutionNotFound`."""
    stands = standing(platform, execution)
    if isinstance(stands.state, Unknown):
        raise ExecutionNotFound(execution)
    return stands


def _held(platform: Platform, stands: Standing, request: Request) -> Run:
    """An execution that is about to be changed without being run."""
    graph = request.find_graph(stands.started)
    recording = recording_of(
        platform, stands.execution, stands.head, request.origin, stands.started.variants, request.emit
    )
    return Run(platform, stands.execution, stands.started.workflow, graph, recording, None, request.options)


@contextmanager
def _taking(run: Run) -> Iterator[None]:
    """Keep an execution from being run in this process while it is changed."""
    run.platform.saver.begin(run.execution, run.recording)
    try:
        yield
    finally:
        run.platform.saver.end(run.execution, run.recording)


def _put_files_back(run: Run, manifest: Digest | None) -> None:
    _restore(run.platform, run.execution, manifest)


def _restore(platform: Platform, execution: ExecutionId, manifest: Digest | None) -> None:
    if platform.keep_files:  # else what is there now wasn't kept
        restore(manifest, platform.output_dir / execution, platform.store.values)


def _brancher(run: Run, source: ExecutionId, *, as_it_stands: bool = False) -> Brancher:
    return Brancher(run.graph, run.recording, source, run.execution, new_checkpoint_id, now(), as_it_stands)
