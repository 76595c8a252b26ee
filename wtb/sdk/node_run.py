"""One node run on a recorded state: nothing of it is recorded, and the execution is left as it is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from time import perf_counter_ns
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import Send

from wtb.domain.errors import InvalidGraph, NodeNotFound
from wtb.domain.identifiers import CheckpointId, ExecutionId
from wtb.domain.workflow import OWN
from wtb.infra.langgraph.graphs import RunnableGraph
from wtb.infra.langgraph.internals import TASKS
from wtb.infra.langgraph.own_loop import in_a_loop
from wtb.projections import steps
from wtb.projections.steps import Step
from wtb.sdk.claims import Request, standing
from wtb.sdk.platform import Platform, new_execution_id
from wtb.sdk.results import Interrupt, RunError
from wtb.sdk.running import INTERRUPTS
from wtb.sdk.state import find_checkpoint, state_at


@dataclass(frozen=True, slots=True)
class NodeRun:
    """What a node did with a recorded state."""

    execution_id: ExecutionId
    checkpoint: CheckpointId
    """The checkpoint whose state it read."""
    node: str
    variant: str | None
    input: Any = field(repr=False)
    """The state it was given, or what was sent to it."""
    writes: dict[str, Any]
    """Channel to what it wrote there."""
    interrupts: tuple[Interrupt, ...]
    error: RunError | None
    duration: timedelta


def run_node(
    platform: Platform,
    execution: ExecutionId,
    request: Request,
    node: str,
    at: str | None,
    variant: str | None,
    changes: Mapping[str, Any],
) -> NodeRun:
    """Raises `ExecutionNotFound`, `CheckpointNotFound`, `NodeNotFound`, `InvalidState`, `InvalidGraph`."""
    started = standing(platform, execution).started
    graph = request.find_graph(started)
    variant = variant or started.variants.get(node)
    if node not in graph.nodes:
        raise NodeNotFound(f"the graph has no node {node!r}; it has {', '.join(sorted(graph.nodes))}")
    graph.check_update(changes, node)
    graph.check_variants({node: variant} if variant else {})
    with platform.reading() as connection:
        step = steps.last_of(connection, execution, node, checkpoint=at)
    if step is not None:
        checkpoint = find_checkpoint(platform, execution, step.checkpoint, step.namespace)
    else:
        checkpoint = find_checkpoint(platform, execution, at)
    sent = None if step is None else _sent(graph, step, checkpoint.channels.get(TASKS, (0, None))[1])
    if sent is not None:
        given: Any = {**sent.arg, **changes} if isinstance(sent.arg, Mapping) else sent.arg
    else:
        state = state_at(platform, execution, checkpoint.checkpoint, checkpoint.namespace, graph)
        given = {**state.channels, **changes}
    alone = _alone(graph, node, variant, Send(node.rpartition("/")[2], given) if sent is not None else None)
    config: RunnableConfig = {**(request.options.config or {})}
    folder = platform.output_dir / execution
    config["configurable"] = {
        **config.get("configurable", {}),
        "thread_id": new_execution_id(),
        "output_dir": str(folder),
    }
    writes: dict[str, Any] = {}
    interrupts: list[Interrupt] = []
    error = None
    began = perf_counter_ns()
    try:
        for update in _updates(graph, alone, given, config, request.options.context, variant, node):
            if INTERRUPTS in update:
                interrupts += [Interrupt(each.id, each.value) for each in update[INTERRUPTS]]
            else:
                writes.update(update.get(node.rpartition("/")[2]) or {})
    except Exception as raised:  # noqa: BLE001  # whatever the node raises is its outcome
        error = RunError(type(raised).__name__, str(raised), node, raised)
    return NodeRun(
        execution,
        checkpoint.checkpoint,
        node,
        variant,
        given,
        writes,
        tuple(interrupts),
        error,
        timedelta(microseconds=(perf_counter_ns() - began) // 1000),
    )


def _sent(graph: RunnableGraph, step: Step, tasks: Any) -> Send | None:
    """What was sent to a step that began by `Send`: its task path names the place among a checkpoint's sends."""
    kind, _, place = step.path.partition(", ")
    if "push" not in kind or tasks is None:
        return None
    sends = graph.saver.history.load({tasks})[tasks]
    sent: Send = sends[int(place.partition(", ")[0])]
    return sent


def _alone(graph: RunnableGraph, node: str, variant: str | None, sent: Send | None) -> Any:
    """A graph with the same state and that node alone."""
    builder = getattr(graph.within(node), "builder", None)
    name = node.rpartition("/")[2]
    if builder is None:
        raise InvalidGraph("a node can be run alone when its graph was made by a StateGraph")
    spec = builder.nodes[name]
    implementation = spec.runnable if variant in (None, OWN) else graph.variant(node, variant)
    single: Any = StateGraph(
        builder.state_schema, context_schema=builder.context_schema, input_schema=spec.input_schema
    )
    single.add_node(name, implementation, input_schema=spec.input_schema)
    if sent is None:
        single.add_edge(START, name)
    else:
        single.add_conditional_edges(START, lambda _: sent, [name])
    return single.compile(checkpointer=InMemorySaver())


def _updates(
    graph: RunnableGraph, alone: Any, given: Any, config: RunnableConfig, context: Any, variant: str | None, node: str
) -> list[dict[str, Any]]:
    fed = given if isinstance(given, Mapping) else {}
    if not graph.runs_on_a_loop({node: variant} if variant else {}):
        return [*alone.stream(fed, config, context=context, stream_mode="updates")]

    async def collect() -> list[dict[str, Any]]:
        return [update async for update in alone.astream(fed, config, context=context, stream_mode="updates")]

    return in_a_loop(collect)
