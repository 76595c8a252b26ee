"""A workflow: its versions, its variants, and how facts change them. Decisions are in `workflow_decisions`.

Its facts are in the stream ``workflow-<name>``. The class and field names of the
facts are the stored format, as in `execution`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal, assert_never

from wtb.domain.execution import Fact

OWN = "default"
"""What a node's own implementation is called, among its variants."""

WHOLE = "*"
"""The path that stands for the whole graph: its variants are other graphs."""

VariantKind = Literal["function", "coroutine", "runnable", "graph"]

# --- Facts ---------------------------------------------------------------------------------------


class NodeDescribed(Fact):
    """A node of a version, nested graphs' too, by its path."""

    path: str
    code: str
    """Digest of its implementation, of its routers and of what it waits for: 16 hexadecimal characters.

    Where it leads is no part of it: the edges say so. Nor are the nodes of a graph that it is.
    """
    graph: bool = False
    """Whether it is a graph itself."""


class EdgeDescribed(Fact):
    """A way from one node to another, both by their paths; ``__start__`` and ``__end__`` are LangGraph's.

    The target `WHOLE`, such as ``sub/*``, stands for any node of that graph: a router doesn't say which.
    """

    source: str
    target: str
    conditional: bool = False
    label: str = ""


class WorkflowRegistered(Fact):
    """A workflow became known under its name."""

    description: str = ""


class WorkflowVersioned(Fact):
    """A graph was seen under the workflow's name that wasn't seen under it before."""

    version: str
    """The digest that `ExecutionStarted.graph` names."""
    nodes: tuple[NodeDescribed, ...]
    edges: tuple[EdgeDescribed, ...]
    channels: dict[str, str]
    """Channel to its type and its reducer, as they are written."""
    input_schema: dict[str, Any] | None
    """JSON schema; None where the graph's types have none."""
    output_schema: dict[str, Any] | None
    reference: str | None = None
    """Where it was loaded from, as ``module:attribute``."""


class VariantRegistered(Fact):
    """Another implementation of a node, or a new revision of one."""

    node: str
    """The node's path; `WHOLE` for another graph."""
    name: str
    code: str
    """Digest of the implementation: 16 hexadecimal characters."""
    kind: VariantKind
    description: str = ""
    reference: str | None = None
    """Where it can be loaded from, as ``module:attribute``."""


class VariantPromoted(Fact):
    """What runs in a node from now on when nothing is chosen; `OWN` is the node's own again."""

    node: str
    name: str
    reason: str = ""


class VariantRetired(Fact):
    """A variant that isn't to be chosen any more."""

    node: str
    name: str
    reason: str = ""


class VariantRestored(Fact):
    """A retired variant that may be chosen again."""

    node: str
    name: str
    reason: str = ""


class WorkflowArchived(Fact):
    """A workflow that isn't to be run any more. Nothing of it is gone."""

    reason: str = ""


class WorkflowRestored(Fact):
    """An archived workflow that may be run again."""

    reason: str = ""


WorkflowFact = (
    WorkflowRegistered
    | WorkflowVersioned
    | VariantRegistered
    | VariantPromoted
    | VariantRetired
    | VariantRestored
    | WorkflowArchived
    | WorkflowRestored
)

# --- State ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Variant:
    """A variant as it stands."""

    fact: VariantRegistered
    retired: bool = False


@dataclass(frozen=True, slots=True)
class Workflow:
    """A workflow as it stands."""

    registered: bool = False
    archived: bool = False
    description: str = ""
    versions: Mapping[str, WorkflowVersioned] = field(default_factory=lambda: MappingProxyType({}))
    """By digest, in the order they were first seen."""
    variants: Mapping[tuple[str, str], Variant] = field(default_factory=lambda: MappingProxyType({}))
    """By node and name."""
    promoted: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Node to the variant that runs when nothing is chosen; without those whose own implementation does."""


def evolve(state: Workflow, fact: WorkflowFact) -> Workflow:
    """The state after one more fact."""
    match fact:
        case WorkflowRegistered():
            return replace(state, registered=True, description=fact.description)
        case WorkflowVersioned():
            return replace(state, versions={**state.versions, fact.version: fact})
        case VariantRegistered():
            key = (fact.node, fact.name)
            known = state.variants.get(key)
            return replace(state, variants={**state.variants, key: Variant(fact, known is not None and known.retired)})
        case VariantPromoted():
            others = {node: name for node, name in state.promoted.items() if node != fact.node}
            return replace(state, promoted=others if fact.name == OWN else {**others, fact.node: fact.name})
        case VariantRetired() | VariantRestored():
            variant = state.variants.get((fact.node, fact.name))
            if variant is None:
                return state
            changed = replace(variant, retired=isinstance(fact, VariantRetired))
            return replace(state, variants={**state.variants, (fact.node, fact.name): changed})
        case WorkflowArchived() | WorkflowRestored():
            return replace(state, archived=isinstance(fact, WorkflowArchived))
        case _:
            assert_never(fact)


def fold(facts: Sequence[WorkflowFact]) -> Workflow:
    """The state that facts add up to."""
    state = Workflow()
    for fact in facts:
        state = evolve(state, fact)
    return state
