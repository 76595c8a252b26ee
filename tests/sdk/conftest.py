"""A bench on each back end."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from wtb.sdk import TestBench, WorkflowProject


@pytest.fixture
def project(store_location: str, tmp_path: Path) -> WorkflowProject:
    return WorkflowProject("notes", db_path=store_location, output_dir=tmp_path / "out", actor="tester")


@pytest.fixture
def bench(project: WorkflowProject) -> Iterator[TestBench]:
    with TestBench(project) as bench:
        yield bench


@pytest.fixture
def quick_bench(tmp_path: Path) -> Iterator[TestBench]:
    """A bench on a file, for what has nothing to do with the back end."""
    with TestBench(WorkflowProject("notes", db_path=tmp_path / "wtb.db", output_dir=tmp_path / "out")) as bench:
        yield bench
