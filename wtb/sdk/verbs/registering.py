"""What is known of workflows and variants, and what is decided about them."""

from wtb.domain.errors import VariantNotFound
from wtb.projections import variants, workflows
from wtb.projections.page import Page
from wtb.projections.variants import Variant
from wtb.projections.versions import WorkflowVersion
from wtb.projections.workflows import Workflow
from wtb.sdk import promotion, versions
from wtb.sdk.drawing import Format
from wtb.sdk.promotion import VariantChange
from wtb.sdk.verbs.bench import Bench
from wtb.sdk.version_changes import VersionChanges, changes_between


class RegisterVerbs(Bench):
    """What is known of workflows and variants, and what is decided about them."""

    # --- workflows ---------------------------------------------------------------------------------

    def workflows(self, *, archived: bool = False, limit: int = 50, cursor: str | None = None) -> Page[Workflow]:
        """The workflows that were ever registered or run, by name; archived ones only when asked for.

        Raises `InvalidCursor`.
        """
        with self.platform.reading() as connection:
            return workflows.page(connection, archived=archived, limit=limit, cursor=cursor)

    def workflow(self, name: str) -> Workflow:
        """Raises `WorkflowNotFound`."""
        return versions.workflow(self.platform, name)

    def versions(self, workflow: str, *, limit: int | None = None, cursor: str | None = None) -> Page[WorkflowVersion]:
        """A workflow's versions, the one first seen last first. Raises `WorkflowNotFound` or `InvalidCursor`."""
        return versions.versions_of(self.platform, workflow, limit, cursor)

    def version(self, workflow: str, version: str | None = None) -> WorkflowVersion:
        """A workflow's version; its newest when None. Raises `WorkflowNotFound`, or `GraphNotFound` for no version."""
        return versions.version(self.platform, workflow, version)

    def version_changes(self, workflow: str, a: str, b: str | None = None) -> VersionChanges:
        """What is different in version ``b`` of a workflow, or its newest, from what it was in ``a``.

        Raises `WorkflowNotFound`, or `GraphNotFound` when it has no such version.
        """
        return changes_between(self.version(workflow, a), self.version(workflow, b))

    def workflow_changes(self, execution_a: str, execution_b: str) -> VersionChanges:
        """What is different in the version that execution ``b`` ran from that which ``a`` ran.

        Raises `ExecutionNotFound`, or `WorkflowNotFound` and `GraphNotFound` for
        executions of a time when versions weren't noted yet.
        """
        return versions.changes_of_executions(self.platform, execution_a, execution_b)

    def draw(self, workflow: object, *, version: str | None = None, format: Format = "mermaid") -> str:
        """A graph, or a workflow's version, as a Mermaid flowchart or as text; its newest version if none is named.

        Raises `WorkflowNotFound`, `GraphNotFound` when it has no such version, or
        `InvalidGraph`.
        """
        return versions.draw(self.platform, workflow, version, format)

    def archive_workflow(self, name: str, reason: str = "", *, actor: str | None = None) -> Workflow:
        """Have a workflow be started no more; its executions can be read, resumed, forked and replayed as before.

        Raises `WorkflowNotFound`.
        """
        self.platform.registry.archive(name, reason, self.platform.origin(cause="archive_workflow", actor=actor))
        return self.workflow(name)

    def restore_workflow(self, name: str, reason: str = "", *, actor: str | None = None) -> Workflow:
        """Let an archived workflow be started again. Raises `WorkflowNotFound`."""
        self.platform.registry.restore(name, reason, self.platform.origin(cause="restore_workflow", actor=actor))
        return self.workflow(name)

    # --- variants ----------------------------------------------------------------------------------

    def variants(
        self,
        workflow: str | None = None,
        node: str | None = None,
        *,
        retired: bool | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Variant]:
        """The variants that were registered, by workflow, node and name; all, or only those (not) ``retired``.

        A variant is registered when a graph that has its node is, at the latest when
        it is run. Raises `InvalidCursor`.
        """
        with self.platform.reading() as connection:
            return variants.page(connection, workflow=workflow, node=node, retired=retired, limit=limit, cursor=cursor)

    def variant(self, node: str, name: str, *, workflow: str | None = None) -> Variant:
        """One of them; ``workflow`` as for `promote`. Raises `VariantNotFound` or `InvalidRequest`."""
        of = workflow or promotion.workflow_with(self.platform, node, name, self.project.name)
        with self.platform.reading() as connection:
            found = variants.get(connection, of, node, name)
        if found is None:
            raise VariantNotFound(node, name)
        return found

    def promote(
        self, node: str, name: str, *, workflow: str | None = None, reason: str = "", actor: str | None = None
    ) -> VariantChange:
        """Have a variant run wherever nothing is chosen for its node; ``default`` is the node's own again.

        Without ``workflow`` it is that of the project's name if it has the variant,
        else the only one that does. Raises `VariantNotFound`, `WorkflowNotFound`,
        `RetiredVariant`, or `InvalidRequest` when several have it.
        """
        of = workflow or promotion.workflow_with(self.platform, node, name, self.project.name)
        origin = self.platform.origin(cause="promote", actor=actor)
        return promotion.promote(self.platform, of, node, name, reason, origin)

    def retire(
        self, node: str, name: str, *, workflow: str | None = None, reason: str = "", actor: str | None = None
    ) -> VariantChange:
        """Have a variant chosen no more; past executions go on and are replayed as before.

        Where it was promoted the node's own implementation runs again. ``workflow``
        as for `promote`. Raises `VariantNotFound`, `WorkflowNotFound` or
        `InvalidRequest`.
        """
        of = workflow or promotion.workflow_with(self.platform, node, name, self.project.name)
        origin = self.platform.origin(cause="retire", actor=actor)
        return promotion.retire(self.platform, of, node, name, reason, origin)

    def restore_variant(
        self, node: str, name: str, *, workflow: str | None = None, reason: str = "", actor: str | None = None
    ) -> VariantChange:
        """Let a retired variant be chosen again; it isn't promoted thereby. Raises as `retire`."""
        of = workflow or promotion.workflow_with(self.platform, node, name, self.project.name)
        origin = self.platform.origin(cause="restore_variant", actor=actor)
        return promotion.restore(self.platform, of, node, name, reason, origin)
