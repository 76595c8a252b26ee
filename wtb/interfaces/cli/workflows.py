"""The commands about workflows: ``workflows list|show|versions|diff|draw|register|archive|restore``."""

import sys
from collections.abc import Sequence
from typing import Literal

from wtb.domain.errors import GraphNotFound
from wtb.interfaces.cli.asking import more
from wtb.interfaces.cli.comparing import DIFFERENT, coloured
from wtb.interfaces.cli.output import brief, console, moment, plain, print_json, properties, table, text
from wtb.interfaces.cli.shared import Shared
from wtb.projections.workflows import Workflow
from wtb.sdk.loading import Graphs
from wtb.sdk.version_changes import verdict


def list_workflows(shared: Shared, archived: bool, limit: int, cursor: str | None) -> int:
    with shared.bench() as bench:
        page = bench.workflows(archived=archived, limit=limit, cursor=cursor)
    if shared.json:
        print_json(page)
        return 0
    out = console()
    if not page.items:
        out.print("no workflows")
        return 0
    rows = [
        (w.name, w.version, w.versions, w.variants, moment(w.last_seen), _archived(w), brief(w.description))
        for w in page
    ]
    out.print(table(("workflow", "version", "versions", "variants", "last seen", "", "description"), rows))
    more(page.next_cursor)
    return 0


def show(shared: Shared, workflow: str, version: str | None) -> int:
    with shared.bench() as bench:
        found = bench.workflow(workflow)
        shown = bench.version(workflow, version) if version or found.versions else None
    if shared.json:
        print_json({**plain(found), "shown": plain(shown)})
        return 0
    out = console()
    out.print(
        properties(
            [
                ("workflow", found.name),
                ("description", found.description),
                ("archived", "yes" if found.archived else ""),
                ("versions", found.versions),
                ("variants", found.variants),
                ("first seen", moment(found.first_seen)),
                ("last seen", moment(found.last_seen)),
                ("version", shown.version if shown else ""),
                ("seen", f"{moment(shown.first_seen)} to {moment(shown.last_seen)}" if shown else ""),
                ("loaded from", shown.reference if shown else ""),
            ]
        )
    )
    if shown is not None:
        out.print()
        out.print(table(("node", "code", ""), [(n.path, n.code, "a graph" if n.graph else "") for n in shown.nodes]))
        out.print()
        out.print(table(("channel", "type"), shown.channels.items()))
    return 0


def versions(shared: Shared, workflow: str, limit: int | None, cursor: str | None) -> int:
    with shared.bench() as bench:
        page = bench.versions(workflow, limit=limit, cursor=cursor)
    if shared.json:
        print_json(page)
        return 0
    rows = [(v.version, moment(v.first_seen), moment(v.last_seen), len(v.nodes), v.reference) for v in page]
    console().print(table(("version", "first seen", "last seen", "nodes", "loaded from"), rows))
    more(page.next_cursor)
    return 0


def diff(shared: Shared, workflow: str, a: str, b: str | None) -> int:
    with shared.bench() as bench:
        found = bench.version_changes(workflow, a, b)
    if shared.json:
        print_json(found.data())
    else:
        out = console()
        out.print(text(verdict(found), "green" if found.equal else "yellow"), soft_wrap=True)
        for line in found.lines():
            out.print(coloured(f"  {line}", line), soft_wrap=True)
    return 0 if found.equal else DIFFERENT


def draw(shared: Shared, workflow: str, version: str | None, form: Literal["mermaid", "text"]) -> int:
    with shared.bench() as bench:
        shown = bench.version(workflow, version)
        drawing = bench.draw(workflow, version=shown.version, format=form)
    if shared.json:
        print_json({"workflow": workflow, "version": shown.version, "format": form, "drawing": drawing})
    elif form == "mermaid":
        sys.stdout.write(drawing)
    else:
        console().print(text(drawing), soft_wrap=True, end="")
    return 0


def register(shared: Shared, ids: Sequence[str], description: str | None) -> int:
    graphs = Graphs(shared.settings())
    references = graphs.references
    if not references:
        raise GraphNotFound(
            "no workflow is configured", hint="Name them in [workflows] of wtb.toml, or in a langgraph.json."
        )
    with shared.output_for_json(), shared.bench() as bench:
        loaded = {id: graphs.of_workflow(id) for id in ids or references}
        for id, graph in loaded.items():
            bench.register(graph, workflow=id, description=description, reference=references[id])
        known = [bench.workflow(id) for id in loaded]
    if shared.json:
        print_json(known)
    else:
        console().print(table(("workflow", "version", "versions"), [(w.name, w.version, w.versions) for w in known]))
    return 0


def archive(shared: Shared, workflow: str, reason: str) -> int:
    with shared.bench() as bench:
        return _tell(shared, bench.archive_workflow(workflow, reason))


def restore(shared: Shared, workflow: str, reason: str) -> int:
    with shared.bench() as bench:
        return _tell(shared, bench.restore_workflow(workflow, reason))


def _tell(shared: Shared, found: Workflow) -> int:
    if shared.json:
        print_json(found)
    else:
        can = "can't be started any more" if found.archived else "can be started"
        console().print(text(f"workflow {found.name} {can}"), soft_wrap=True)
    return 0


def _archived(workflow: Workflow) -> str:
    return "archived" if workflow.archived else ""
