"""What changed between two versions of a workflow, as far as their descriptions tell."""

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import Any

import msgspec

from wtb.domain.workflow import EdgeDescribed
from wtb.projections.versions import WorkflowVersion
from wtb.sdk.changes import Change, between, changes


@dataclass(frozen=True, slots=True)
class VersionChanges:
    """Two versions beside each other. Readable in a REPL and in Jupyter; `data` has it as plain data.

    Nodes are named by their paths. Versions may differ though nothing here does:
    in code that no node's own digest sees, such as a nested graph's order of writes.
    """

    a: WorkflowVersion
    b: WorkflowVersion
    added: tuple[str, ...]
    """Nodes that only ``b`` has."""
    removed: tuple[str, ...]
    """Nodes that only ``a`` has."""
    changed: tuple[str, ...]
    """Nodes whose code, routers' code included, isn't the same."""
    edges_added: tuple[EdgeDescribed, ...]
    edges_removed: tuple[EdgeDescribed, ...]
    channels: tuple[Change, ...]
    """Of the state: their types and reducers."""
    schemas: tuple[Change, ...]
    """Of the input's and the output's JSON schemas, such as ``input.properties.query.type``."""

    @property
    def equal(self) -> bool:
        """Whether both are the same version."""
        return self.a.version == self.b.version

    def __bool__(self) -> bool:
        return not self.equal

    def data(self) -> dict[str, Any]:
        """As JSON can say it, as ``wtb workflows diff --json`` prints it."""
        found: dict[str, Any] = msgspec.to_builtins(
            {
                "equal": self.equal,
                "a": {"workflow": self.a.workflow, "version": self.a.version},
                "b": {"workflow": self.b.workflow, "version": self.b.version},
                "added": self.added,
                "removed": self.removed,
                "changed": self.changed,
                "edges_added": [edge.model_dump() for edge in self.edges_added],
                "edges_removed": [edge.model_dump() for edge in self.edges_removed],
                "channels": self.channels,
                "schemas": self.schemas,
            },
            str_keys=True,
            enc_hook=str,
        )
        return found

    def lines(self) -> list[str]:
        """A line for each change: ``+`` added, ``-`` removed, ``~`` changed."""
        return [*_lines(self)]

    def __repr__(self) -> str:
        return "\n".join([f"<VersionChanges: {verdict(self)}>", *(f"  {line}" for line in self.lines())])

    def _repr_html_(self) -> str:
        listed = "".join(f"<li><code>{escape(line)}</code></li>" for line in self.lines())
        return f"<p><b>{escape(verdict(self))}</b></p><ul>{listed}</ul>"


def changes_between(a: WorkflowVersion, b: WorkflowVersion) -> VersionChanges:
    """What is different in ``b``."""
    before = {node.path: node for node in a.nodes}
    after = {node.path: node for node in b.nodes}
    return VersionChanges(
        a=a,
        b=b,
        added=tuple(path for path in after if path not in before),
        removed=tuple(path for path in before if path not in after),
        changed=tuple(path for path, node in after.items() if path in before and before[path] != node),
        edges_added=tuple(edge for edge in b.edges if edge not in a.edges),
        edges_removed=tuple(edge for edge in a.edges if edge not in b.edges),
        channels=tuple(between(a.channels, b.channels)),
        schemas=(
            *changes("input", a.input_schema, b.input_schema),
            *changes("output", a.output_schema, b.output_schema),
        ),
    )


def verdict(found: VersionChanges) -> str:
    if found.equal:
        return f"both are {named(found.a)}"
    between_them = f"{named(found.a)} → {named(found.b)}"
    counts = [
        (len(found.added), "added"),
        (len(found.removed), "removed"),
        (len(found.changed), "changed"),
    ]
    nodes = ", ".join(f"{count} {what}" for count, what in counts if count)
    return f"{between_them}: nodes {nodes}" if nodes else f"{between_them}: the nodes are the same"


def named(version: WorkflowVersion) -> str:
    return f"{version.workflow} {version.version}"


def way(edge: EdgeDescribed) -> str:
    """An edge as text."""
    return f"{edge.source} {'⇢' if edge.conditional else '→'} {edge.target}" + (
        f" ({edge.label})" if edge.label else ""
    )


def _lines(found: VersionChanges) -> Iterator[str]:
    yield from (f"+ node {path}" for path in found.added)
    yield from (f"- node {path}" for path in found.removed)
    yield from (f"~ node {path}" for path in found.changed)
    yield from (f"+ edge {way(edge)}" for edge in found.edges_added)
    yield from (f"- edge {way(edge)}" for edge in found.edges_removed)
    yield from (f"{str(change)[:2]}channel {str(change)[2:]}" for change in found.channels)
    yield from (str(change) for change in found.schemas)
