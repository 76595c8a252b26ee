"""A working folder for each test."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interfaces.cli.support import AGENT, Folder, environment_without_settings


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Folder]:
    """The working folder, with the agent in it and no settings around it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name in list(environment_without_settings()):
        monkeypatch.delenv(name)
    (tmp_path / "agent.py").write_text(AGENT)
    yield Folder(tmp_path)
    sys.modules.pop("agent", None)
