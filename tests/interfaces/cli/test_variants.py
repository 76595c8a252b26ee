"""`wtb variants …`, and variants that `wtb.toml` names."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interfaces.cli.support import Folder
from tests.interfaces.cli.test_commands import document
from wtb.interfaces.cli.refusals import EXIT_CODES
from wtb.sdk.configured import configured_bench, load_settings

PLAIN = ("agent:plain", "--input", '{"query": "q"}')
CHANGE_KEYS = {"workflow", "node", "name", "changed"}
ROW_KEYS = {
    "workflow", "node", "name", "kind", "description", "code", "reference", "promoted", "retired", "revisions",
    "registered_at", "by", "position",
}  # fmt: skip

CODE = '''
"""What stands in for the agent's nodes."""

from agent import failing, held


def briefly(state):
    """Says it in a word."""
    return {"notes": ["brief"]}


def astray(state) -> "Astray":
    pass


def longer():
    return held


class Astray(dict):
    pass
'''

CONFIG = """
[variants.first]
brief = "others:briefly"

[variants."sub/first"]
never = "there_is_no_such_module:attribute"

[variants."*"]
longer = "others:longer"
"""


@pytest.fixture(autouse=True)
def others(folder: Folder) -> Iterator[None]:
    (folder.path / "others.py").write_text(CODE)
    yield
    sys.modules.pop("others", None)


def configure(folder: Folder) -> None:
    (folder.path / "wtb.toml").write_text(CONFIG)


def notes(folder: Folder, *words: str) -> object:
    return document(folder.wtb("run", *PLAIN, "--workflow", "w", "--json", *words))["state"]["notes"]


def test_a_run_takes_variants_that_are_named_or_configured(folder: Folder) -> None:
    assert notes(folder, "--variant", "first=others:briefly") == ["brief"]
    assert folder.wtb("run", *PLAIN, "--variant", "first=brief").code == EXIT_CODES["variant-not-found"]
    configure(folder)
    assert notes(folder, "--variant", "first=brief") == ["brief"]
    assert notes(folder, "--variant", "*=longer") == ["first", "hold"]
    assert notes(folder, "--variant", "first=default") == ["first"]


def test_configured_variants_are_promoted_retired_and_restored(folder: Folder) -> None:
    configure(folder)
    assert folder.wtb("variants", "list").out.strip() == "no variants"
    assert notes(folder) == ["first"]
    page = document(folder.wtb("variants", "list", "--node", "first", "--json"))
    [row] = page["items"]
    assert row.keys() == ROW_KEYS
    assert (row["name"], row["reference"], row["description"]) == ("brief", "others:briefly", "Says it in a word.")

    promoted = document(folder.wtb("variants", "promote", "first", "brief", "--reason", "better", "--json"))
    assert promoted.keys() == CHANGE_KEYS
    assert promoted == {"workflow": "w", "node": "first", "name": "brief", "changed": True}
    assert "already" in folder.wtb("variants", "promote", "first", "brief").out
    assert "promoted" in folder.wtb("variants", "list").out
    assert notes(folder) == ["brief"]

    assert "is retired" in folder.wtb("variants", "retire", "first", "brief", "--workflow", "w").out
    assert notes(folder) == ["first"]
    refused = folder.wtb("run", *PLAIN, "--workflow", "w", "--variant", "first=brief")
    assert refused.code == EXIT_CODES["variant-retired"]
    assert document(folder.wtb("variants", "list", "--not-retired", "--node", "first", "--json"))["items"] == []
    shown = folder.wtb("variants", "show", "first", "brief").out
    assert "retired" in shown
    assert "others:briefly" in shown
    assert document(folder.wtb("variants", "restore", "first", "brief", "--json"))["changed"]
    assert document(folder.wtb("variants", "show", "first", "brief", "--json"))["retired"] is False
    assert "own implementation" in folder.wtb("variants", "promote", "first", "default").out


def test_what_is_not_there_is_refused(folder: Folder) -> None:
    assert notes(folder) == ["first"]
    for verb in ("show", "promote", "retire", "restore"):
        assert folder.wtb("variants", verb, "first", "brief").code == EXIT_CODES["variant-not-found"]


def test_a_variant_from_the_file_goes_on_when_it_is_resumed(folder: Folder) -> None:
    configure(folder)
    (folder.path / "wtb.toml").write_text('[variants.first]\nbrief = "others:briefly"\n')
    words = ("--variant", "first=brief", "--break-before", "first", "--execution-id", "one")
    folder.wtb("run", *PLAIN, "--workflow", "w", *words)
    assert document(folder.wtb("resume", "one", "--graph", "agent:plain", "--json"))["state"]["notes"] == ["brief"]


def test_nothing_is_loaded_before_it_is_needed(folder: Folder) -> None:
    configure(folder)
    assert folder.wtb("list").code == 0
    assert notes(folder) == ["first"]  # its graph has no node sub/first
    with configured_bench(load_settings(folder.path / "wtb.toml", db=str(folder.path / "x.db"))) as bench:
        assert bench.project.variants.names("sub/first") == ("never",)
    refused = folder.wtb("run", *PLAIN, "--variant", "sub/first=never")
    assert refused.code == EXIT_CODES["graph-not-found"]


@pytest.mark.parametrize(
    "config",
    [
        'variants = "x"',
        '[variants]\nfirst = "others:briefly"',
        "[variants.first]\nbrief = 7",
        '[variants.first]\nx = "y"',
    ],
)
def test_a_table_that_names_no_code_is_refused(folder: Folder, config: str) -> None:
    (folder.path / "wtb.toml").write_text(config)
    refused = folder.wtb("list")
    assert refused.code == EXIT_CODES["invalid-settings"]
    assert "variants" in refused.err


def test_references_are_relative_to_the_file(folder: Folder, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "standing_in_elsewhere.py").write_text(CODE)
    (elsewhere / "conf.toml").write_text('[variants.first]\nbrief = "./standing_in_elsewhere.py:briefly"\n')
    words = ("--config", str(elsewhere / "conf.toml"), "--variant", "first=brief")
    assert notes(folder, *words) == ["brief"]
