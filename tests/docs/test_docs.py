"""The documentation is true: its code runs, its links lead somewhere, its commands exist."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser, SkipParser

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/**/*.md")], key=lambda path: path.as_posix()
)
SHOWN_ONLY = {"text", "mermaid", "proto"}
"""Languages that show something and run nothing."""


def _run_commands(example: Example) -> None:
    """Run the lines after ``$``, as a reader would who has installed WTB; one that ends in a backslash goes on."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    for line in str(example.parsed).replace("\\\n", "").splitlines():
        if line.startswith("$ "):
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", line[2:]],
                env=environment,
                capture_output=True,
                text=True,
                timeout=60,
            )
            assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"


def _parse_toml(example: Example) -> None:
    tomllib.loads(str(example.parsed))


def _parse_json(example: Example) -> None:
    json.loads(str(example.parsed))


def _names(paths: list[Path]) -> list[str]:
    return [path.relative_to(ROOT).as_posix() for path in paths]


@pytest.mark.parametrize("path", DOCUMENTS, ids=_names(DOCUMENTS))
def test_the_code_blocks_of_a_document_run(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Top to bottom in a folder that has the examples; a block that can't run here says ``skip: next`` above itself."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    sybil = Sybil(
        parsers=[
            PythonCodeBlockParser(),
            CodeBlockParser("console", _run_commands),
            CodeBlockParser("toml", _parse_toml),
            CodeBlockParser("json", _parse_json),
            SkipParser(),
        ],
        path=str(path.parent),
    )
    for example in sybil.parse(path).examples():
        example.evaluate()


@pytest.mark.parametrize("path", DOCUMENTS, ids=_names(DOCUMENTS))
def test_a_document_has_no_block_that_nobody_checks(path: Path) -> None:
    languages = set(re.findall(r"^```(\S*)\n(?:.*\n)*?```$", path.read_text(), re.MULTILINE))
    assert languages <= {"python", "console", "toml", "json"} | SHOWN_ONLY


@pytest.mark.parametrize("path", DOCUMENTS, ids=_names(DOCUMENTS))
def test_links_and_named_files_exist(path: Path) -> None:
    text = path.read_text()
    linked = [link for link in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", text) if "://" not in link]
    assert [link for link in linked if not (path.parent / link).exists()] == []
    named = re.findall(r"`((?:wtb|tests|docs|examples|benchmarks)/[\w/.-]+\.\w+)`", text)
    assert [name for name in named if not (ROOT / name).exists()] == []
