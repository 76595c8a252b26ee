"""Variants as the store has them: which there are, which run when nothing is chosen, which aren't to be chosen."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from wtb.domain import workflow_decisions
from wtb.domain.errors import InvalidRequest, VariantNotFound
from wtb.domain.event_log import Origin
from wtb.domain.workflow import OWN, Workflow, WorkflowFact
from wtb.projections import variants
from wtb.sdk.platform import Platform


@dataclass(frozen=True, slots=True)
class VariantChange:
    """What became of a command about a variant."""

    workflow: str
    node: str
    name: str
    changed: bool
    """False when it was so already."""


Decision = Callable[[str, Workflow, str, str, str], Sequence[WorkflowFact]]
"""A workflow's name, the workflow, a node, a variant's name and a reason to what becomes true."""


def workflow_with(platform: Platform, node: str, name: str, preferred: str) -> str:
    """The workflow whose node has such a variant: the preferred one if it does, else the only one.

    Raises `VariantNotFound`, or `InvalidRequest` when several have it.
    """
    with platform.reading() as connection:
        found = variants.workflows(connection, node, None if name == OWN else name)
    if preferred in found:
        return preferred
    if not found:
        raise VariantNotFound(node, name)
    if len(found) > 1:
        raise InvalidRequest(
            f"several workflows have a variant {name!r} of node {node!r}: {', '.join(found)}",
            hint="Say whose is meant: workflow=…, or --workflow on the command line.",
        )
    return found[0]


def promote(platform: Platform, workflow: str, node: str, name: str, reason: str, origin: Origin) -> VariantChange:
    """Have a variant run when nothing is chosen for its node.

    Raises `WorkflowNotFound`, `VariantNotFound` or `RetiredVariant`.
    """
    return _decide(platform, workflow_decisions.promote, workflow, node, name, reason, origin)


def retire(platform: Platform, workflow: str, node: str, name: str, reason: str, origin: Origin) -> VariantChange:
    """Have a variant chosen no more. Raises `WorkflowNotFound` or `VariantNotFound`."""
    return _decide(platform, workflow_decisions.retire, workflow, node, name, reason, origin)


def restore(platform: Platform, workflow: str, node: str, name: str, reason: str, origin: Origin) -> VariantChange:
    """Let a retired variant be chosen again. Raises `WorkflowNotFound` or `VariantNotFound`."""
    return _decide(platform, workflow_decisions.restore_variant, workflow, node, name, reason, origin)


def _decide(
    platform: Platform, decision: Decision, workflow: str, node: str, name: str, reason: str, origin: Origin
) -> VariantChange:
    facts: Sequence[WorkflowFact] = ()

    def decide(state: Workflow) -> Sequence[WorkflowFact]:
        nonlocal facts
        facts = decision(workflow, state, node, name, reason)
        return facts

    platform.registry.decide(workflow, decide, origin)
    return VariantChange(workflow, node, name, changed=bool(facts))
