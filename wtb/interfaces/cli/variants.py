"""The commands about variants: ``variants list|show|promote|retire|restore``."""

from wtb.domain.workflow import OWN
from wtb.interfaces.cli.asking import more
from wtb.interfaces.cli.output import console, moment, print_json, properties, table, text
from wtb.interfaces.cli.shared import Shared
from wtb.projections.variants import Variant
from wtb.sdk import VariantChange


def list_variants(
    shared: Shared, workflow: str | None, node: str | None, retired: bool | None, limit: int, cursor: str | None
) -> int:
    with shared.bench() as bench:
        page = bench.variants(workflow, node, retired=retired, limit=limit, cursor=cursor)
    if shared.json:
        print_json(page)
        return 0
    out = console()
    if not page.items:
        out.print("no variants")
        return 0
    rows = [(v.workflow, v.node, v.name, _standing(v), v.kind, v.revisions, v.description) for v in page]
    out.print(table(("workflow", "node", "variant", "", "kind", "revisions", "description"), rows))
    more(page.next_cursor)
    return 0


def show(shared: Shared, node: str, name: str, workflow: str | None) -> int:
    with shared.bench() as bench:
        found = bench.variant(node, name, workflow=workflow)
    if shared.json:
        print_json(found)
        return 0
    console().print(
        properties(
            [
                ("workflow", found.workflow),
                ("node", found.node),
                ("variant", found.name),
                ("", _standing(found)),
                ("kind", found.kind),
                ("description", found.description),
                ("code", found.code),
                ("reference", found.reference),
                ("revisions", found.revisions),
                ("registered", f"{moment(found.registered_at)} by {found.by}"),
                ("position", found.position),
            ]
        )
    )
    return 0


def promote(shared: Shared, node: str, name: str, workflow: str | None, reason: str) -> int:
    with shared.bench() as bench:
        done = bench.promote(node, name, workflow=workflow, reason=reason)
    what = "its own implementation" if name == OWN else f"variant {name}"
    return _tell(shared, done, f"node {node} of workflow {done.workflow} runs {what} where nothing is chosen")


def retire(shared: Shared, node: str, name: str, workflow: str | None, reason: str) -> int:
    with shared.bench() as bench:
        done = bench.retire(node, name, workflow=workflow, reason=reason)
    return _tell(shared, done, f"variant {name} of node {node} of workflow {done.workflow} is retired")


def restore(shared: Shared, node: str, name: str, workflow: str | None, reason: str) -> int:
    with shared.bench() as bench:
        done = bench.restore_variant(node, name, workflow=workflow, reason=reason)
    return _tell(shared, done, f"variant {name} of node {node} of workflow {done.workflow} may be chosen")


def _standing(variant: Variant) -> str:
    return "promoted" if variant.promoted else "retired" if variant.retired else ""


def _tell(shared: Shared, done: VariantChange, what: str) -> int:
    if shared.json:
        print_json(done)
    else:
        console().print(text(what + ("" if done.changed else "; so it was already")), soft_wrap=True)
    return 0
