"""What was noted of workflows: which there are, their versions, what changed between two, how they are drawn."""

from wtb.domain.errors import ExecutionNotFound, GraphNotFound, WorkflowNotFound
from wtb.domain.identifiers import is_storable, known_id
from wtb.infra.langgraph.describing import described
from wtb.infra.langgraph.graphs import compiled
from wtb.infra.langgraph.versioning import graph_version
from wtb.projections import executions, versions, workflows
from wtb.projections.executions import Execution
from wtb.projections.page import Page
from wtb.projections.versions import WorkflowVersion
from wtb.projections.workflows import Workflow
from wtb.sdk.drawing import Format, drawn
from wtb.sdk.platform import Platform
from wtb.sdk.version_changes import VersionChanges, changes_between


def workflow(platform: Platform, name: str) -> Workflow:
    """Raises `WorkflowNotFound`."""
    with platform.reading() as connection:
        found = workflows.get(connection, name) if is_storable(name) else None
    if found is None:
        raise _unknown(name)
    return found


def versions_of(platform: Platform, name: str, limit: int | None, cursor: str | None) -> Page[WorkflowVersion]:
    """Raises `WorkflowNotFound` and `InvalidCursor`."""
    workflow(platform, name)
    with platform.reading() as connection:
        return versions.of(connection, name, limit=limit, cursor=cursor)


def version(platform: Platform, name: str, digest: str | None) -> WorkflowVersion:
    """A version of a workflow; the newest when None. Raises `WorkflowNotFound`, or `GraphNotFound` for no version."""
    workflow(platform, name)
    with platform.reading() as connection:
        found = versions.get(connection, name, digest) if digest is None or is_storable(digest) else None
    if found is None:
        which = "no version" if digest is None else f"no version {digest!r}"
        raise GraphNotFound(
            f"workflow {name!r} has {which}", hint="bench.versions(…) and `wtb workflows versions` list them."
        )
    return found


def changes_of_executions(platform: Platform, a: str, b: str) -> VersionChanges:
    """Raises `ExecutionNotFound`, or as `version` where what ran wasn't noted, as by a WTB that noted no versions."""
    with platform.reading() as connection:
        before, after = (executions.get(connection, known_id(each)) for each in (a, b))
    if before is None:
        raise ExecutionNotFound(a)
    if after is None:
        raise ExecutionNotFound(b)
    return changes_between(_ran(platform, before), _ran(platform, after))


def known_changes(platform: Platform, a: Execution, b: Execution) -> VersionChanges | None:
    """What changed between the versions that two executions ran; None when they ran the same, or one isn't known."""
    if (a.workflow, a.graph) == (b.workflow, b.graph):
        return None
    with platform.reading() as connection:
        before, after = (versions.get(connection, each.workflow, each.graph) for each in (a, b))
    return None if before is None or after is None else changes_between(before, after)


def draw(platform: Platform, drawing: object, digest: str | None, form: Format) -> str:
    """A workflow's version, or a graph as it is. Raises as `version`, `InvalidGraph` or `InvalidRequest`."""
    if isinstance(drawing, str):
        return drawn(version(platform, drawing, digest), form)
    graph = compiled(drawing)
    return drawn(described(graph, graph_version(graph)), form)


def _ran(platform: Platform, execution: Execution) -> WorkflowVersion:
    return version(platform, execution.workflow, execution.graph)


def _unknown(name: str) -> WorkflowNotFound:
    refusal = WorkflowNotFound(name)
    refusal.hint = "bench.workflows() and `wtb workflows list` show those that this store knows."
    return refusal
