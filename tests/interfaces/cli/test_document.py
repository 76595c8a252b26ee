"""docs/cli.md names every command, every option and every exit code; every command has help."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer.main

from tests.interfaces.cli.support import Folder
from wtb.interfaces.cli.main import app
from wtb.interfaces.cli.refusals import EXIT_CODES, PIPE_CLOSED

DOCUMENT = (Path(__file__).parents[3] / "docs" / "cli.md").read_text(encoding="utf-8")

group: Any = typer.main.get_command(app)
GROUPS = ("audit", "variants", "workflows", "batch")
COMMANDS: dict[str, Any] = {name: command for name, command in group.commands.items() if name not in GROUPS} | {
    f"{name} {under}": command for name in GROUPS for under, command in group.commands[name].commands.items()
}

EVERYWHERE = {"--db", "--config", "--json"}


def options(command: Any) -> set[str]:
    return {name for param in command.params for name in param.opts if name.startswith("-")}


def chapter(command: str) -> str:
    """What the document says under a command's heading."""
    [text] = re.findall(rf"^### `wtb {command}[ `].*?(?=^##)", DOCUMENT, flags=re.MULTILINE | re.DOTALL)
    return str(text)


def test_the_commands_are_those_that_were_promised() -> None:
    assert set(COMMANDS) == {
        "demo", "run", "resume", "recover", "list", "show", "steps", "checkpoints", "state", "files", "events",
        "diff", "fork", "rollback", "undo", "edit", "retry", "skip", "run-node", "lineage", "replay", "rebuild",
        "doctor", "serve", "audit export", "audit import", "audit archive", "audit erase",
        "pause", "cancel", "break",
        "audit seal", "audit verify", "audit report",
        "variants list", "variants show", "variants promote", "variants retire", "variants restore",
        "workflows list", "workflows show", "workflows versions", "workflows diff", "workflows draw",
        "workflows register", "workflows archive", "workflows restore",
        "batch run", "batch resume", "batch stop", "batch list", "batch show", "batch trials", "batch report",
    }  # fmt: skip


def test_the_document_has_a_chapter_for_each_command_and_for_no_other() -> None:
    assert set(re.findall(r"^### `wtb ([a-z-]+(?: [a-z]+)?)\b", DOCUMENT, flags=re.MULTILINE)) == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_document_names_every_option_of_a_command(name: str) -> None:
    assert options(COMMANDS[name]) >= EVERYWHERE
    text = chapter(name)
    missing = {option for option in options(COMMANDS[name]) - EVERYWHERE - {"--help"} if f"`{option}" not in text}
    assert not missing


def test_the_document_names_the_options_of_all_commands() -> None:
    for option in {*options(group), *EVERYWHERE}:
        assert re.search(rf"`(wtb )?{option}\b", DOCUMENT), option


@pytest.mark.parametrize("name", COMMANDS)
def test_the_document_names_no_option_that_a_command_lacks(name: str) -> None:
    named = set(re.findall(r"^\| `(--[\w-]+)", chapter(name), flags=re.MULTILINE))
    assert named <= options(COMMANDS[name])


def test_the_document_shows_every_exit_code() -> None:
    rows = re.findall(r"^\| (\d+) \| (.*) \|$", DOCUMENT, flags=re.MULTILINE)
    shown = {code: int(row) for row, codes in rows for code in re.findall(r"`([a-z-]+)`", codes) if code != "doctor"}
    assert shown == EXIT_CODES
    assert {int(row) for row, _ in rows} == {0, PIPE_CLOSED, *EXIT_CODES.values()}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(folder: Folder, name: str) -> None:
    outcome = folder.wtb(*name.split(), "--help")
    assert outcome.code == 0
    assert f"wtb {name}" in outcome.out
    assert str(COMMANDS[name].help).strip().splitlines()[0].split(",")[0][:40] in outcome.out


def test_without_a_command_the_commands_are_shown(folder: Folder) -> None:
    outcome = folder.wtb("--help")
    assert all(name.split()[0] in outcome.out for name in COMMANDS)
