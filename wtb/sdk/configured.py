"""A bench as the settings describe it."""

import os
import tomllib
from functools import partial
from pathlib import Path

from wtb.infra.langgraph.loader import load_implementation
from wtb.infra.redaction import Redaction
from wtb.infra.settings import CONFIG_FILE, CONFIG_VARIABLE, PREFIX, Settings, load_settings, without_secrets
from wtb.sdk.test_bench import TestBench
from wtb.sdk.workflow_project import WorkflowProject

__all__ = ["Settings", "configured_bench", "load_settings", "sources", "without_secrets"]

UNNAMED_PROJECT = "workflow"


def configured_bench(settings: Settings) -> TestBench:
    """A bench whose project has the settings' variants, loaded when they are needed first.

    Raises `StoreError`, or `InvalidVariant` for a name that can't be a variant's.
    """
    project = WorkflowProject(
        name=UNNAMED_PROJECT,
        db_path=settings.db,
        output_dir=settings.output_dir,
        actor=settings.actor,
        synchronous=settings.synchronous,
        keep_files=settings.keep_files,
        redact=Redaction(settings.redact_channels, settings.redact_patterns),
    )
    for node, named in settings.variants.items():
        for name, reference in named.items():
            project.variants.name(node, name, reference.text, partial(load_implementation, node, *reference))
    return TestBench(project)


def sources(config: str | Path | None = None) -> dict[str, str]:
    """Where `load_settings` reads each setting that isn't left to its default: a variable's or a file's name."""
    path = Path(config or os.environ.get(CONFIG_VARIABLE) or CONFIG_FILE)
    in_file = tomllib.loads(path.read_text()) if path.is_file() else {}
    variables = {name: PREFIX + name.upper() for name in Settings.model_fields}
    return {
        **dict.fromkeys(in_file, str(path)),
        **{name: variable for name, variable in variables.items() if os.environ.get(variable)},
    }
