"""The shell around every node: it records what the node does and changes nothing it does.

A graph is never changed: a copy of it runs, whose nodes carry shells. The copy
goes down into graphs that are nodes themselves. Graphs that a node's own code
invokes are recorded by their checkpoints alone.
"""

from collections.abc import AsyncIterator, Callable
from time import perf_counter_ns
from typing import Any

from langchain_core.runnables import Runnable, RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.errors import GraphBubbleUp, GraphInterrupt, ParentCommand

from wtb.domain.identifiers import CheckpointId, Namespace, TaskId
from wtb.infra.langgraph.internals import (
    CONF,
    CONFIG_KEY_RUNTIME,
    CONFIG_KEY_SEND,
    CONFIG_KEY_TASK_ID,
    INTERRUPT,
    NO_WRITES,
    RESUME,
    START,
    Pregel,
    PregelNode,
    RunnableSeq,
    as_runnable,
    ensure_message_ids,
    subgraph_of,
    task_path_str,
)
from wtb.infra.langgraph.loops import saving_in_place
from wtb.infra.langgraph.recording import Attempt, Recording
from wtb.infra.langgraph.variants import Variants

SKIPPED = "(skipped)"
"""What is recorded as the variant of a node whose writes were given instead of its being run."""

Graph = Pregel[Any, Any, Any, Any]
FindRecording = Callable[[str, RunnableConfig], Recording]
"""Thread id, and the config of a run, to the recording of it that is under way."""


class Shells:
    """Puts shells on graphs."""

    def __init__(self, recording_of: FindRecording, serde: SerializerProtocol, variants: Variants) -> None:
        self.recording_of = recording_of
        self.serde = serde
        self.variants = variants

    def on(self, graph: Graph, saver: BaseCheckpointSaver[Any]) -> Graph:
        """A copy of the graph whose nodes are recorded and whose checkpoints go to ``saver``."""
        return saving_in_place(self.copy(graph, "").copy({"checkpointer": saver}))

    def copy(self, graph: Graph, path: str) -> Graph:
        """A copy with shells; ``path`` is that of the node the graph is, with a slash after it."""
        nodes = {
            name: node if name == START else ShelledNode(self, path + name, node, graph)
            for name, node in graph.nodes.items()
        }
        # A new graph puts a channel of its own among those it is given: not among the user's.
        return graph.copy({"nodes": nodes, "channels": dict(graph.channels)})


class ShelledNode(PregelNode):
    """A node whose executable part is wrapped in a `Shell`; all else is the node's own."""

    def __init__(self, shells: Shells, path: str, node: PregelNode, graph: Graph) -> None:
        attributes = {k: v for k, v in node.__dict__.items() if k not in ("flat_writers", "node", "input_cache_key")}
        subgraph = subgraph_of(node)
        if subgraph is not None:
            attributes["bound"] = shelled = saving_in_place(shells.copy(subgraph, f"{path}/"))
            attributes["subgraphs"] = [shelled if known is subgraph else known for known in node.subgraphs]
        super().__init__(**attributes)
        inner = super().node
        self._shell = None if inner is None else Shell(shells, path, inner, self.standing_in, graph.channels)
        self._shells = shells
        self._path = path
        self._attributes = attributes

    @property
    def node(self) -> Runnable[Any, Any] | None:
        return self._shell

    def standing_in(self, implementation: Runnable[Any, Any]) -> Runnable[Any, Any]:
        """The node's executable part with another implementation in place of its own; its edges stay."""
        if isinstance(implementation, Pregel):
            implementation = saving_in_place(self._shells.copy(implementation, f"{self._path}/"))
        executable = PregelNode(**{**self._attributes, "bound": implementation, "subgraphs": []}).node
        assert executable is not None
        return executable

    def copy(self, update: dict[str, Any]) -> PregelNode:
        raise NotImplementedError("shells go on last")


class Shell(RunnableSeq):
    """Runs a node's executable part and records start, end, failure and interrupt.

    A `RunnableSeq` in name, so that LangGraph looks into its steps (for native
    async support, for subgraphs) as it would without the shell.
    """

    def __init__(
        self,
        shells: Shells,
        path: str,
        inner: Runnable[Any, Any],
        standing_in: Callable[[Runnable[Any, Any]], Runnable[Any, Any]],
        channels: Any,
    ) -> None:
        self.steps = inner.steps if isinstance(inner, RunnableSeq) else [inner]
        self.name = path.rpartition("/")[2]
        self.trace_policy = None  # type: ignore[assignment]  # as RunnableSeq itself has it by default
        self._path = path
        self._inner = inner
        self._standing_in = standing_in
        self._channels = channels
        self._recording_of = shells.recording_of
        self._serde = shells.serde
        self._variants = shells.variants
        self._variant_parts: dict[str, Runnable[Any, Any]] = {}

    def _variant(self, recording: Recording, checkpoint: CheckpointId) -> str | None:
        skip = recording.skip
        if skip is not None and skip.node == self._path and checkpoint in skip.checkpoints:
            return SKIPPED
        return recording.variants.get(self._path)

    def _executable(self, recording: Recording, attempt: Attempt) -> Runnable[Any, Any]:
        variant = attempt.variant
        if variant is None:
            return self._inner
        if variant == SKIPPED:
            assert recording.skip is not None
            output = dict(recording.skip.output)
            return self._standing_in(as_runnable(lambda _: output, attempt.node))
        known = self._variant_parts.get(variant)
        if known is None:
            known = self._variant_parts[variant] = self._standing_in(self._variants.find(self._path, variant))
        return known

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        assert config is not None
        recording, attempt = self._attempt(config)
        if not self._starts(recording, attempt):
            recording.commit()  # which brings what others said since, such as that the breakpoint is gone
            self._starts_or_stops(recording, attempt)
        recording.commit()
        if recording.withdrew(attempt):
            raise GraphInterrupt(())
        began = perf_counter_ns()
        try:
            output = self._executable(recording, attempt).invoke(input, config, **kwargs)
        except BaseException as error:
            if self._stopped(recording, attempt, began, error, config):
                recording.commit()
            raise
        if self._completed(recording, attempt, began, config):
            recording.commit()
        return output

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        assert config is not None
        recording, attempt = self._attempt(config)
        if not self._starts(recording, attempt):
            await recording.acommit()
            self._starts_or_stops(recording, attempt)
        await recording.acommit()
        if recording.withdrew(attempt):
            raise GraphInterrupt(())
        began = perf_counter_ns()
        try:
            output = await self._executable(recording, attempt).ainvoke(input, config, **kwargs)
        except BaseException as error:
            if self._stopped(recording, attempt, began, error, config):
                await recording.acommit()
            raise
        if self._completed(recording, attempt, began, config):
            await recording.acommit()
        return output

    async def astream(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> AsyncIterator[Any]:
        assert config is not None
        recording, attempt = self._attempt(config)
        if not self._starts(recording, attempt):
            await recording.acommit()
            self._starts_or_stops(recording, attempt)
        await recording.acommit()
        if recording.withdrew(attempt):
            raise GraphInterrupt(())
        began = perf_counter_ns()
        try:
            async for chunk in self._executable(recording, attempt).astream(input, config, **kwargs):
                yield chunk
        except BaseException as error:
            if self._stopped(recording, attempt, began, error, config):
                await recording.acommit()
            raise
        if self._completed(recording, attempt, began, config):
            await recording.acommit()

    def _attempt(self, config: RunnableConfig) -> tuple[Recording, Attempt]:
        info = config[CONF][CONFIG_KEY_RUNTIME].execution_info
        metadata = config["metadata"]
        recording = self._recording_of(info.thread_id, config)
        checkpoint = CheckpointId(info.checkpoint_id)
        attempt = Attempt(
            node=metadata["langgraph_node"],
            # Not the runtime's: for a handler of errors that is still the failed task's.
            task=TaskId(config[CONF][CONFIG_KEY_TASK_ID]),
            namespace=Namespace(info.checkpoint_ns.rpartition("|")[0]),
            checkpoint=checkpoint,
            step=metadata["langgraph_step"],
            attempt=info.node_attempt,
            path=task_path_str(metadata["langgraph_path"]),
            variant=self._variant(recording, checkpoint),
        )
        return recording, attempt

    def _starts(self, recording: Recording, attempt: Attempt) -> bool:
        return recording.note_start(attempt, self._path)

    def _starts_or_stops(self, recording: Recording, attempt: Attempt) -> None:
        if not self._starts(recording, attempt):
            recording.note_stop(attempt, self._path)
            # Without a question LangGraph writes nothing, lets siblings finish, and leaves all the graphs around this.
            raise GraphInterrupt(())

    def _completed(self, recording: Recording, attempt: Attempt, began: int, config: RunnableConfig) -> bool:
        duration = (perf_counter_ns() - began) // 1000
        written = _writes(config)
        try:
            ensure_message_ids(self._channels, written)
            return recording.note_completion(attempt, self._path, duration, written or [(NO_WRITES, None)], self._serde)
        except Exception as error:
            recording.note_failure(attempt, duration, error, self._serde)
            raise

    def _stopped(
        self, recording: Recording, attempt: Attempt, began: int, error: BaseException, config: RunnableConfig
    ) -> bool:
        duration = (perf_counter_ns() - began) // 1000
        if isinstance(error, GraphInterrupt):
            interrupts = error.args[0] if error.args else ()
            answered = [write for write in _writes(config) if write[0] == RESUME]
            asked = [(INTERRUPT, interrupts)] if interrupts else []
            return recording.note_interrupt(attempt, duration, interrupts, [*asked, *answered], self._serde)
        if isinstance(error, ParentCommand):
            return recording.note_departure(attempt, self._path, duration)
        if isinstance(error, GraphBubbleUp):
            return False
        return recording.note_failure(attempt, duration, error, self._serde)


def _writes(config: RunnableConfig) -> Any:
    """The task's own queue of writes, as far as it has got."""
    send = config[CONF][CONFIG_KEY_SEND]
    queue = getattr(send, "__self__", None)
    if queue is None:
        # A TimeoutPolicy guards the queue's `extend` in a closure.
        queue = next(
            cell.cell_contents for cell in send.__closure__ if hasattr(cell.cell_contents, "__self__")
        ).__self__
    return queue
