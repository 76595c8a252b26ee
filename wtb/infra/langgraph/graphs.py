"""Graphs as WTB runs them: accepted, given shells, checked for what they need."""

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import is_dataclass
from typing import Any, NamedTuple, cast

from langchain_core.runnables import Runnable, RunnableConfig
from langgraph.channels.base import BaseChannel
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.errors import InvalidUpdateError
from langgraph.graph import END, StateGraph
from langgraph.types import PregelTask, StateSnapshot
from pydantic import BaseModel, ValidationError

from wtb.domain.errors import InvalidGraph, InvalidState, InvalidVariant, NodeNotFound, WtbError
from wtb.domain.execution import CheckpointSaved
from wtb.domain.identifiers import CheckpointId, Namespace, TaskId
from wtb.domain.workflow import OWN, WHOLE
from wtb.infra.langgraph.checkpointer import EventSourcedSaver
from wtb.infra.langgraph.internals import START, Pregel, allowlist, subgraph_of, task_path_str, walk
from wtb.infra.langgraph.node_shell import Shells
from wtb.infra.langgraph.own_loop import in_a_loop
from wtb.infra.langgraph.rehearsal import AsCopied
from wtb.infra.langgraph.shapes import ROOT, Surroundings
from wtb.infra.langgraph.variants import Variants, is_async_only
from wtb.infra.langgraph.versioning import graph_version, node_code

Graph = Pregel[Any, Any, Any, Any]


class TaskAt(NamedTuple):
    """A node's work after a checkpoint: the node's path, the task, and the checkpoint it reads."""

    path: str
    task: TaskId
    task_path: str
    namespace: Namespace
    checkpoint: CheckpointId


class RunnableGraph:
    """A graph ready to be recorded."""

    def __init__(self, graph: Graph, saver: EventSourcedSaver, variants: Variants) -> None:
        self.saver = cast("EventSourcedSaver", saver.with_allowlist(allowlist(graph)))
        self.graph: Graph = Shells(saver.recording, saver.serde, variants).on(graph, self.saver)
        self.version = graph_version(graph)
        self.nodes = frozenset(path for path, _ in walk(graph) if path.rpartition("/")[2] != START)
        """Every node's path, nested graphs' too."""
        self._variants = variants
        self._async_only = any(is_async_only(node.bound) for _, node in walk(graph))
        self.has_breakpoints = bool(graph.interrupt_before_nodes or graph.interrupt_after_nodes)
        self.source = graph
        """The user's own graph."""
        nested = ((path, subgraph_of(node)) for path, node in walk(graph))
        self._graphs = {"": graph} | {path: each for path, each in nested if each is not None}
        self._initial = {path: _initial(each) for path, each in self._graphs.items()}

    def runs_on_a_loop(self, variants: Mapping[str, str]) -> bool:
        """Whether the graph, with these variants in it, can only be run on an event loop."""
        return self._async_only or any(
            is_async_only(self._variants.find(node, name))
            for node, name in variants.items()
            if name != OWN and node != WHOLE
        )

    def check_variants(self, variants: Mapping[str, str]) -> None:
        """Raise `NodeNotFound` or `VariantNotFound` when one can't stand in for its node."""
        for node, name in variants.items():
            if node not in self.nodes and node != WHOLE:
                raise NodeNotFound(f"the graph has no node {node!r}; it has {', '.join(sorted(self.nodes))}")
            if name != OWN:
                self._variants.find(node, name)

    def check_fit(self, node: str, name: str) -> None:
        """Raise `InvalidVariant` when a variant says of itself that it can't work in its node."""
        if node == WHOLE:
            return  # a graph of its own
        around = node.split("/")[:-1]
        graphs = [self._graphs["/".join(around[:depth])] for depth in range(len(around) + 1)]
        surroundings = Surroundings(
            channels={channel for channel in graphs[-1].channels if is_users(channel) or channel == ROOT},
            targets={END, *(target for graph in graphs for target in graph.nodes)},
        )
        misfit = surroundings.misfit(self._variants.find(node, name))
        if misfit is not None:
            raise InvalidVariant(
                f"variant {name!r} of node {node!r} {misfit}",
                hint="Let it take the state and return channels of the graph that the node is in.",
            )

    def check_going_on(self, left: CheckpointSaved) -> None:
        """Raise `InvalidState` when this graph has no place for something that another one left in a checkpoint."""
        if left.namespace:
            raise InvalidState(
                f"checkpoint {left.checkpoint!r} is of a nested graph, which another graph doesn't have",
                hint="Fork from a checkpoint of the outermost graph.",
            )
        for channel, (_, digest) in left.channels.items():
            if digest is not None and channel not in self.source.channels:
                next_node = channel.rpartition(":")[2]
                lacks = (
                    f"channel {channel!r}, which holds something"
                    if is_users(channel)
                    else f"node {next_node!r}, which is next"
                )
                raise InvalidState(
                    f"the other graph can't go on from checkpoint {left.checkpoint!r}: it has no {lacks}",
                    hint="Fork from a checkpoint whose channels both graphs have, such as that of the input: step -1.",
                )

    def differing(self, other: "RunnableGraph") -> list[str]:
        """The nodes that the other graph hasn't got, or has with other code or other edges."""
        there = {path: node_code(node) for path, node in walk(other.source)}
        return [path for path, node in walk(self.source) if path in self.nodes and there.get(path) != node_code(node)]

    def within(self, node: str) -> Graph:
        """The user's graph that a node is in, by the node's path."""
        return self._graphs.get(node.rpartition("/")[0], self.source)

    def variant(self, node: str, name: str) -> Runnable[Any, Any]:
        """Raises `VariantNotFound`."""
        return self._variants.find(node, name)

    def check_update(self, values: object, node: str = "") -> None:
        """Raise `InvalidState` when these aren't channels of the graph that ``node`` is in, with values."""
        if not isinstance(values, Mapping):
            raise InvalidState(f"a change of state must be a mapping of channels, not {type(values).__name__}")
        channels = {name for name in self.within(node).channels if is_users(name)}
        if unknown := sorted(str(name) for name in values if name not in channels):
            raise InvalidState(f"the graph has no channel {unknown[0]!r}; it has {', '.join(sorted(channels))}")

    def rehearse(self, at: RunnableConfig, values: Mapping[str, Any], node: str | None) -> None:
        """Raise `InvalidState` when these values can't be written at a checkpoint as if a node had written them."""
        graph = self.graph.copy({"checkpointer": AsCopied(self.saver.history, at, at)})
        try:
            if self._async_only:
                in_a_loop(lambda: graph.aupdate_state(at, dict(values), as_node=node))
            else:
                graph.update_state(at, dict(values), as_node=node)
        except WtbError:
            raise
        except Exception as error:  # LangGraph's own refusal, or whatever a reducer or a router raises
            told = str(error) if isinstance(error, InvalidUpdateError) else f"{type(error).__name__}: {error}"
            raise InvalidState(
                f"the state can't be changed so: {told}",
                hint="Give values that the channels' reducers take, and say which node wrote them: as_node=….",
            ) from error

    def waiting(self, config: RunnableConfig) -> list[TaskAt]:
        """The nodes that have to run next where an execution stands, nested graphs' too."""
        try:
            snapshot = self.graph.get_state(config, subgraphs=True)
        except WtbError:
            raise
        except Exception as error:  # whatever a reducer raises
            raise InvalidState(
                f"what its nodes wrote last can't be put together: {type(error).__name__}: {error}",
                hint="Roll it back to before they ran.",
            ) from error
        return [*_waiting(snapshot, "")]

    def tasks(self, config: RunnableConfig, saver: BaseCheckpointSaver[Any]) -> list[TaskAt]:
        """The nodes that read a checkpoint of ``saver``, without those nested in them; none in a node's own code."""
        try:
            snapshot = self.graph.copy({"checkpointer": saver}).get_state(config)
        except ValueError:  # LangGraph finds no graph under the namespace
            return []
        return [_task(snapshot, task, "") for task in snapshot.tasks]

    def check_nodes(self, paths: Sequence[str], variants: Mapping[str, str]) -> None:
        """Raise `NodeNotFound` for a path that neither the graph nor a graph standing in for a node has."""
        unknown = [path for path in paths if path not in self.nodes]
        if not unknown:
            return
        standing_in = {
            f"{node}/{inner}"
            for node, name in variants.items()
            if name in self._variants.names(node) and isinstance(graph := self._variants.find(node, name), Pregel)
            for inner, _ in walk(graph)
        }
        for path in unknown:
            if path not in standing_in:
                raise NodeNotFound(f"the graph has no node {path!r}; it has {', '.join(sorted(self.nodes))}")

    def initial_values(self, path: str) -> dict[str, Any]:
        """What a graph's channels hold before anything is written; ``path`` is a nested one's, such as ``sub``."""
        return deepcopy(self._initial.get(path, {}))

    def check_input(self, state: Any) -> None:
        """Raise `InvalidState` when the graph could make nothing of this input."""
        schema = getattr(getattr(self.source, "builder", None), "input_schema", None)
        if schema is None:
            return
        if isinstance(schema, type) and issubclass(schema, BaseModel):
            try:
                schema.model_validate(state)
            except ValidationError as misfit:
                raise InvalidState(
                    f"the initial state doesn't fit {schema.__name__}: {_first_line(misfit)}"
                ) from misfit
            return
        if isinstance(schema, type) and is_dataclass(schema) and isinstance(state, schema):
            return
        keys = getattr(schema, "__annotations__", None)
        if not isinstance(state, Mapping):
            if keys:
                raise InvalidState(f"the initial state must be a mapping of channels, not {type(state).__name__}")
            return
        accepted = set(self.source.channels) & set(_all_annotations(schema))
        if accepted and (unknown := sorted(str(key) for key in state if key not in accepted)):
            raise InvalidState(f"the graph has no channel {unknown[0]!r}; it has {', '.join(sorted(accepted))}")
        if accepted and not state:
            raise InvalidState(f"the initial state is empty; the graph has {', '.join(sorted(accepted))}")


def is_users(channel: str) -> bool:
    """Whether a channel is the graph's own, not LangGraph's machinery."""
    return not channel.startswith(("__", "branch:to:", "join:"))


def _waiting(snapshot: StateSnapshot, path: str) -> Iterator[TaskAt]:
    for task in snapshot.tasks:
        if task.name in snapshot.next and task.result is None:
            yield _task(snapshot, task, path)
            if isinstance(task.state, StateSnapshot):
                yield from _waiting(task.state, f"{path}{task.name}/")


def _task(snapshot: StateSnapshot, task: PregelTask, path: str) -> TaskAt:
    configurable = snapshot.config["configurable"]
    return TaskAt(
        path + task.name,
        TaskId(task.id),
        task_path_str(task.path),
        Namespace(configurable.get("checkpoint_ns", "")),
        CheckpointId(configurable["checkpoint_id"]),
    )


def _initial(graph: Graph) -> dict[str, Any]:
    return {
        name: channel.get()
        for name, channel in graph.channels.items()
        if isinstance(channel, BaseChannel) and channel.is_available()
    }


def _all_annotations(schema: Any) -> set[str]:
    return {name for cls in getattr(schema, "__mro__", (schema,)) for name in getattr(cls, "__annotations__", {})}


def _first_line(misfit: ValidationError) -> str:
    first = misfit.errors()[0]
    return f"{'.'.join(map(str, first['loc'])) or 'it'}: {first['msg']}"


def compiled(graph: object) -> Graph:
    """The compiled graph of what a user gave. Raises `InvalidGraph`."""
    if isinstance(graph, Pregel):
        return graph
    if isinstance(graph, StateGraph):
        try:
            return graph.compile()
        except ValueError as flaw:
            raise InvalidGraph(f"the graph doesn't compile: {flaw}") from flaw
    raise InvalidGraph(f"{type(graph).__name__} is not a graph")
