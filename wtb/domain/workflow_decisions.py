"""What may be decided about a workflow: command and state to facts; an empty list means "already so"."""

from collections.abc import Mapping

from wtb.domain.errors import ArchivedWorkflow, RetiredVariant, VariantNotFound, WorkflowNotFound
from wtb.domain.workflow import (
    OWN,
    VariantPromoted,
    VariantRegistered,
    VariantRestored,
    VariantRetired,
    Workflow,
    WorkflowArchived,
    WorkflowFact,
    WorkflowRegistered,
    WorkflowRestored,
    WorkflowVersioned,
)


def register(state: Workflow, description: str | None = None) -> list[WorkflowFact]:
    """Make a workflow known; ``description`` None leaves the one it has."""
    if state.registered and description in (None, state.description):
        return []
    return [WorkflowRegistered(description=description or "")]


def version(state: Workflow, fact: WorkflowVersioned) -> list[WorkflowFact]:
    """Note a graph that wasn't seen under the workflow's name before."""
    return [] if fact.version in state.versions else [fact]


def register_variant(state: Workflow, fact: VariantRegistered) -> list[WorkflowFact]:
    """Note a variant, or that it is another than before under its name."""
    known = state.variants.get((fact.node, fact.name))
    return [] if known is not None and known.fact == fact else [fact]


def promote(workflow: str, state: Workflow, node: str, name: str, reason: str) -> list[WorkflowFact]:
    """Have a variant run when nothing is chosen.

    Refuses with `WorkflowNotFound`, `VariantNotFound` or `RetiredVariant`.
    """
    _known(workflow, state)
    if name != OWN and _variant(state, node, name):
        raise RetiredVariant(node, name)
    if state.promoted.get(node, OWN) == name:
        return []
    return [VariantPromoted(node=node, name=name, reason=reason)]


def retire(workflow: str, state: Workflow, node: str, name: str, reason: str) -> list[WorkflowFact]:
    """Have a variant chosen no more; where it was promoted, the node's own runs again.

    Refuses with `WorkflowNotFound` or `VariantNotFound`.
    """
    _known(workflow, state)
    if _variant(state, node, name):
        return []
    demoted: list[WorkflowFact] = []
    if state.promoted.get(node) == name:
        demoted.append(VariantPromoted(node=node, name=OWN, reason=reason))
    return [*demoted, VariantRetired(node=node, name=name, reason=reason)]


def restore_variant(workflow: str, state: Workflow, node: str, name: str, reason: str) -> list[WorkflowFact]:
    """Let a retired variant be chosen again. Refuses with `WorkflowNotFound` or `VariantNotFound`."""
    _known(workflow, state)
    return [VariantRestored(node=node, name=name, reason=reason)] if _variant(state, node, name) else []


def archive(workflow: str, state: Workflow, reason: str) -> list[WorkflowFact]:
    """Have a workflow run no more. Refuses with `WorkflowNotFound`."""
    _known(workflow, state)
    return [] if state.archived else [WorkflowArchived(reason=reason)]


def restore(workflow: str, state: Workflow, reason: str) -> list[WorkflowFact]:
    """Let an archived workflow be run again. Refuses with `WorkflowNotFound`."""
    _known(workflow, state)
    return [WorkflowRestored(reason=reason)] if state.archived else []


def choose(workflow: str, state: Workflow, choices: Mapping[str, str]) -> dict[str, str]:
    """What runs in which node: what was promoted, and over it what is chosen for one run.

    Refuses with `ArchivedWorkflow` or `RetiredVariant`.
    """
    if state.archived:
        raise ArchivedWorkflow(workflow)
    check_choices(state, choices)
    return {**state.promoted, **choices}


def check_choices(state: Workflow, choices: Mapping[str, str]) -> None:
    """Raise `RetiredVariant` for one that isn't to be chosen any more."""
    for node, name in choices.items():
        variant = state.variants.get((node, name))
        if variant is not None and variant.retired:
            raise RetiredVariant(node, name)


def _known(workflow: str, state: Workflow) -> None:
    if not state.registered:
        raise WorkflowNotFound(workflow)


def _variant(state: Workflow, node: str, name: str) -> bool:
    """Whether a variant is retired. Raises `VariantNotFound`."""
    found = state.variants.get((node, name))
    if found is None:
        raise VariantNotFound(node, name)
    return found.retired
