"""The shell around every node of a graph that is replayed: it serves what the node did, and runs nothing it needn't.

As with the recording shell a copy of the graph wears it, down into the graphs that
are nodes themselves: those go through their own part of the record.
"""

from collections.abc import Sequence
from typing import Any

from langchain_core.runnables import Runnable, RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.types import RetryPolicy

from wtb.domain.errors import VariantNotFound
from wtb.domain.workflow import OWN
from wtb.infra.langgraph.internals import (
    CONF,
    CONFIG_KEY_RESUMING,
    CONFIG_KEY_SEND,
    START,
    Pregel,
    PregelNode,
    edges_of,
    ensure_message_ids,
    routers_of,
    should_retry_on,
    subgraph_of,
)
from wtb.infra.langgraph.node_shell import SKIPPED
from wtb.infra.langgraph.replay.divergence import Departed, RecordedFailure, SegmentEnd
from wtb.infra.langgraph.replay.loop import following_a_record
from wtb.infra.langgraph.replay.places import PLACE, Call, Place
from wtb.infra.langgraph.replay.replaying import Replaying
from wtb.infra.langgraph.variants import Variants

Graph = Pregel[Any, Any, Any, Any]


class ServingShells:
    """Puts serving shells on graphs."""

    def __init__(self, replaying: Replaying, variants: Variants) -> None:
        self.replaying = replaying
        self.variants = variants

    def on(self, graph: Graph, saver: BaseCheckpointSaver[Any]) -> Graph:
        """A copy of the graph that goes through the record; ``saver`` says where it begins."""
        return following_a_record(self.copy(graph, "").copy({"checkpointer": saver}))

    def copy(self, graph: Graph, path: str) -> Graph:
        """A copy with shells; ``path`` is that of the node the graph is, with a slash after it."""
        return graph.copy(
            {
                "nodes": {name: ServingNode(self, path + name, node, graph) for name, node in graph.nodes.items()},
                "channels": dict(graph.channels),
                "retry_policy": self.retries(graph.retry_policy),
                "cache": None,
                "cache_policy": None,
                "interrupt_before_nodes": (),
                "interrupt_after_nodes": (),
                "step_timeout": None,
            }
        )

    def retries(self, policies: RetryPolicy | Sequence[RetryPolicy] | None) -> tuple[RetryPolicy, ...]:
        """The policies as far as they count: what was recorded was retried then."""
        if self.replaying.verifies or not policies:
            return ()
        each = (policies,) if isinstance(policies, RetryPolicy) else policies
        return tuple(policy._replace(retry_on=_unless_recorded(policy)) for policy in each)


class ServingNode(PregelNode):
    """A node whose work is served; its triggers and channels are the node's own, its policies don't count."""

    def __init__(self, shells: ServingShells, path: str, node: PregelNode, graph: Graph) -> None:
        attributes = {k: v for k, v in node.__dict__.items() if k not in ("flat_writers", "node", "input_cache_key")}
        attributes |= {
            "retry_policy": shells.retries(node.retry_policy) or None,
            "cache_policy": None,
            "timeout": None,
        }
        super().__init__(**attributes)
        self._shell = None if node.node is None else ServingShell(shells, path, node, attributes, graph.channels)

    @property
    def node(self) -> Runnable[Any, Any] | None:
        return self._shell

    def copy(self, update: dict[str, Any]) -> PregelNode:
        raise NotImplementedError("shells go on last")


class ServingShell(Runnable[Any, Any]):
    """Stands where a node's executable part does."""

    def __init__(
        self, shells: ServingShells, path: str, node: PregelNode, attributes: dict[str, Any], channels: Any
    ) -> None:
        self.name = path.rpartition("/")[2]
        self._shells = shells
        self._replaying = shells.replaying
        self._path = path
        self._node = node
        self._attributes = attributes
        self._channels = channels
        self._edges = edges_of(node)
        self._graphs: dict[str, Graph | None] = {}

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        assert config is not None
        call = self._replaying.call(self._path, config)
        same = self._replaying.verifies or self._has_same_input(call, input)
        graph = self._graph_within(call, same)
        if graph is None:
            if self._runs(call, same):
                return self._run(call, input, config)
        else:
            for place in self._replaying.places_within(call):
                try:
                    for _ in graph.stream(*_begin(place, input, config), **_quietly(graph)):
                        pass
                except SegmentEnd:
                    continue
                except Departed:
                    break
                if self._goes_on(call, place, same):
                    self._executable(WRITERS).invoke(place.output, config)
                    self._replaying.note_outcome(call, config[CONF][CONFIG_KEY_SEND].__self__, None, self._channels)
                    return None
        self._replaying.serve(call, config, self._edges)
        return None

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        assert config is not None
        call = self._replaying.call(self._path, config)
        same = self._replaying.verifies or self._has_same_input(call, input)
        graph = self._graph_within(call, same)
        if graph is None:
            if self._runs(call, same):
                return await self._arun(call, input, config)
        else:
            for place in self._replaying.places_within(call):
                try:
                    async for _ in graph.astream(*_begin(place, input, config), **_quietly(graph)):
                        pass
                except SegmentEnd:
                    continue
                except Departed:
                    break
                if self._goes_on(call, place, same):
                    await self._executable(WRITERS).ainvoke(place.output, config)
                    self._replaying.note_outcome(call, config[CONF][CONFIG_KEY_SEND].__self__, None, self._channels)
                    return None
        self._replaying.serve(call, config, self._edges)
        return None

    # --- what is to be done --------------------------------------------------------------------------

    def _has_same_input(self, call: Call, input: Any) -> bool:
        return self._replaying.has_same_input(call, self._node.channels, input)

    def _graph_within(self, call: Call, same: bool) -> Graph | None:
        """The graph that the node is, where its own part of the record has to be gone through."""
        replaying = self._replaying
        if self._path in replaying.wanted:
            return None
        if not replaying.verifies and same:
            within = f"{self._path}/"
            if not any(path.startswith(within) for path in replaying.wanted):
                return None
        variant = replaying.record.started.variants.get(self._path, OWN)
        if call.recorded is not None and call.recorded.variant == SKIPPED:
            return None
        if variant not in self._graphs:
            found = self._implementation(variant)
            self._graphs[variant] = (
                following_a_record(self._shells.copy(found, f"{self._path}/")) if isinstance(found, Pregel) else None
            )
        return self._graphs[variant]

    def _implementation(self, variant: str) -> Any:
        if variant == OWN:
            return subgraph_of(self._node)
        try:
            return self._shells.variants.find(self._path, variant)
        except VariantNotFound:  # it isn't needed to serve what it did
            return None

    def _runs(self, call: Call, same: bool) -> bool:
        """Whether the node is run. Raises `Halted` when it would have to be and mayn't."""
        if self._replaying.verifies:
            return False
        if self._path in self._replaying.wanted:
            return True
        if same:
            return False
        if self.name != START:
            self._replaying.may_run(call)
        return True

    def _goes_on(self, call: Call, place: Place, same: bool) -> bool:
        """Whether a graph within came out otherwise, so that its node's edges have to be asked."""
        unrecorded = call.recorded is None or call.recorded.end == "unfinished"
        if self._replaying.verifies or not (place.deviated or unrecorded or not same):
            return False
        self._replaying.routers.extend([self._path] * len(routers_of(self._node)))
        return True

    # --- running -----------------------------------------------------------------------------------------

    def _run(self, call: Call, input: Any, config: RunnableConfig) -> Any:
        executable, live = self._prepared(call, config)
        try:
            output = executable.invoke(input, live)
            ensure_message_ids(self._channels, _queue(config))
        except BaseException as error:
            self._ran(call, config, error)
            raise
        self._ran(call, config, None)
        return output

    async def _arun(self, call: Call, input: Any, config: RunnableConfig) -> Any:
        executable, live = self._prepared(call, config)
        try:
            output = await executable.ainvoke(input, live)
            ensure_message_ids(self._channels, _queue(config))
        except BaseException as error:
            self._ran(call, config, error)
            raise
        self._ran(call, config, None)
        return output

    def _prepared(self, call: Call, config: RunnableConfig) -> tuple[Runnable[Any, Any], RunnableConfig]:
        self._replaying.answer(call, config)
        chosen = self._replaying.wanted.get(self._path)
        variant = chosen or self._replaying.record.started.variants.get(self._path, OWN)
        # What the node runs within itself has no part in the record.
        return self._executable(variant), {**config, CONF: {**config[CONF], PLACE: None}}

    def _executable(self, variant: str) -> Runnable[Any, Any]:
        if variant == OWN:
            executable = self._node.node
        else:
            bound = None if variant == WRITERS else self._shells.variants.find(self._path, variant)
            executable = PregelNode(**{**self._attributes, "bound": bound, "subgraphs": []}).node
        assert executable is not None
        return executable

    def _ran(self, call: Call, config: RunnableConfig, error: BaseException | None) -> None:
        routers = 0 if error is not None else len(routers_of(self._node))
        if self.name == START:
            self._replaying.routers.extend([self._path] * routers)
            self._replaying.note_outcome(call, _queue(config), error, self._channels)
        else:
            self._replaying.note_run(call, _queue(config), routers, error, self._channels)


WRITERS = ""
"""Stands for a node without its work: its edges alone."""


def _queue(config: RunnableConfig) -> Any:
    """The task's own queue of writes."""
    return config[CONF][CONFIG_KEY_SEND].__self__


def _begin(place: Place, input: Any, config: RunnableConfig) -> tuple[Any, RunnableConfig]:
    """What a graph within is run with, from where its part of the record begins."""
    given = place.index >= 0
    configurable = {**config[CONF], PLACE: place, CONFIG_KEY_RESUMING: given}
    return (None if given else input), {**config, CONF: configurable}


def _quietly(graph: Graph) -> dict[str, Any]:
    return {"stream_mode": [], "output_keys": graph.output_channels}


def _unless_recorded(policy: RetryPolicy) -> Any:
    return lambda error: not isinstance(error, RecordedFailure) and should_retry_on(policy, error)
