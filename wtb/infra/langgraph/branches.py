"""Where a branch begins: copies of checkpoints, nested graphs' with those of the graphs around them.

LangGraph makes a task's id, and so a nested graph's namespace, from the id of the
checkpoint it reads. A copy has an id of its own, so what runs from it never meets
what ran from the original.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from wtb.domain.errors import CheckpointNotFound, InvalidRequest
from wtb.domain.execution import CheckpointSaved, NodeCompleted, NodeInterrupted, WritesSaved
from wtb.domain.identifiers import CheckpointId, ExecutionId, Namespace, TaskId, execution_stream
from wtb.infra.event_store.index import CHECKPOINT_SCOPE, WRITES_SCOPE
from wtb.infra.langgraph.graphs import RunnableGraph
from wtb.infra.langgraph.history import COPY_OF, config_at
from wtb.infra.langgraph.recording import Recording
from wtb.infra.langgraph.rehearsal import AsCopied

NewId = Callable[[int], CheckpointId]
"""A step to the id of a new checkpoint there."""


@dataclass(frozen=True, slots=True)
class Brancher:
    """Notes in ``recording``, which is ``target``'s, copies of ``source``'s checkpoints, and commits nothing.

    Takes as long however many checkpoints there are.
    """

    graph: RunnableGraph
    recording: Recording
    source: ExecutionId
    target: ExecutionId
    new_id: NewId
    created: str
    """ISO 8601, UTC."""
    as_it_stands: bool = False
    """Whether nodes that finished after the checkpoint count too, beside it and beside the graphs around it: when the
    source stopped there, and the branch is to go on where it stands."""

    def copy(self, original: CheckpointSaved) -> CheckpointId:
        """Copy a checkpoint and those around it; the outermost graph's copy, at which the target then stands.

        Where graphs are nested, siblings that had finished when the checkpoint was
        saved count as finished in the branch too. Raises `CheckpointNotFound`,
        `ValueMissing` for what was archived or erased, or `InvalidRequest` for a graph that a node's own code called.
        """
        around = sorted(original.metadata.get("parents", {}).items(), key=lambda at: len(at[0]))
        levels = [(Namespace(ns), CheckpointId(id)) for ns, id in around]
        levels.append((original.namespace, original.checkpoint))
        outermost: CheckpointId | None = None
        namespace, parents = Namespace(""), dict[str, str]()
        for (of, checkpoint), (inner, _) in zip(levels, [*levels[1:], levels[-1]], strict=True):
            made = self._copied(of, checkpoint, namespace, parents)
            outermost = outermost or made
            parents[namespace] = made
            if (of, checkpoint) == levels[-1]:
                if self.as_it_stands:
                    before, after = self._tasks(of, checkpoint, namespace, made)
                    self._carry(of, checkpoint, None, before, after, namespace, made, original)
            else:
                namespace = self._inside(of, checkpoint, inner, namespace, made, original)
        assert outermost is not None
        return outermost

    def _copied(
        self, of: Namespace, checkpoint: CheckpointId, namespace: Namespace, parents: dict[str, str]
    ) -> CheckpointId:
        history = self.graph.saver.history
        original = history.checkpoint(execution_stream(self.source), of, checkpoint)
        if original is None:
            raise CheckpointNotFound(self.source, checkpoint)
        history.check_values([original])
        follows = self.source == self.target and of == namespace
        metadata = {k: v for k, v in original.metadata.items() if k != "run_id"}
        copy = original.model_copy(
            update={
                "checkpoint": self.new_id(original.step),
                "parent": checkpoint if follows else None,
                "namespace": namespace,
                "source": "fork",
                "created": self.created,
                "metadata": {
                    **metadata,
                    "source": "fork",
                    "parents": dict(parents),
                    COPY_OF: [self.source, of, checkpoint],
                },
            }
        )
        self.recording.journal.note(copy)
        self.recording.channels[namespace] = (copy.checkpoint, copy.channels)
        return copy.checkpoint

    def _inside(
        self,
        of: Namespace,
        checkpoint: CheckpointId,
        inner: Namespace,
        namespace: Namespace,
        made: CheckpointId,
        original: CheckpointSaved,
    ) -> Namespace:
        """The namespace in the branch of a graph nested at a copied checkpoint; its siblings' work is carried over."""
        # Further calls in one task are numbered behind it; in the branch it is the task's first.
        node, _, task = inner.removeprefix(of).lstrip("|").partition("|")[0].partition(":")
        before, after = self._tasks(of, checkpoint, namespace, made)
        if TaskId(task) not in before or before[TaskId(task)] not in after:
            raise InvalidRequest(
                f"checkpoint {original.checkpoint!r} is of a graph that node {node!r} called in its own code",
                hint="Branch from a checkpoint of the graph around it.",
            )
        self._carry(of, checkpoint, TaskId(task), before, after, namespace, made, original)
        return Namespace(f"{namespace}{'|' if namespace else ''}{node}:{after[before[TaskId(task)]]}")

    def _tasks(
        self, of: Namespace, checkpoint: CheckpointId, namespace: Namespace, made: CheckpointId
    ) -> tuple[dict[TaskId, str], dict[str, TaskId]]:
        """The paths of the tasks that read a checkpoint, and the tasks with these paths that read its copy."""
        at, copied = config_at(self.source, of, checkpoint), config_at(self.target, namespace, made)
        history = self.graph.saver.history
        before = {task.task: task.task_path for task in self.graph.tasks(at, AsCopied(history, at, at))}
        after = {task.task_path: task.task for task in self.graph.tasks(copied, AsCopied(history, at, copied))}
        return before, after

    def _carry(
        self,
        of: Namespace,
        checkpoint: CheckpointId,
        inside: TaskId | None,
        before: dict[TaskId, str],
        after: dict[str, TaskId],
        namespace: Namespace,
        made: CheckpointId,
        original: CheckpointSaved,
    ) -> None:
        stream, store = execution_stream(self.source), self.graph.saver.store
        saved = store.find(
            stream, CHECKPOINT_SCOPE, namespace=original.namespace, key=original.checkpoint, newest_first=True, limit=1
        )
        for _, event in store.find(stream, WRITES_SCOPE, namespace=of, key=checkpoint):
            fact = cast("NodeCompleted | NodeInterrupted | WritesSaved", event.fact)
            later = event.version > saved[0][1].version and not self.as_it_stands
            if later or fact.task == inside or isinstance(fact, NodeInterrupted):
                continue
            task = after.get(before.get(fact.task, ""))
            if task is not None:
                self.recording.journal.note(
                    WritesSaved(task=task, namespace=namespace, checkpoint=made, path=fact.path, writes=fact.writes)
                )
