"""Graphs by name: ``module:attribute``, ``path/to/file.py:attribute``, or an id of a ``langgraph.json``.

Loading runs the named module's code. So only what a person or the process's own
configuration names is loaded, never what a request or the database says.
"""

import asyncio
import importlib
import importlib.util
import inspect
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary

from dotenv import dotenv_values
from langgraph.graph import StateGraph

from wtb.domain.errors import GraphNotFound, InvalidGraph
from wtb.domain.workflow import WHOLE
from wtb.infra.langgraph.internals import Pregel

LANGGRAPH_JSON = "langgraph.json"

_MADE: WeakKeyDictionary[object, str] = WeakKeyDictionary()
"""Graphs that functions made, and the functions' references."""


def load_graph(reference: str, folder: Path | None = None) -> object:
    """The `StateGraph` or compiled graph that ``reference`` names.

    Modules are looked for in ``folder`` first and files are relative to it (the
    working folder when None). A function that takes no argument, async or not, is
    called for its graph. Raises `GraphNotFound`, whose message is one line with
    the cause, or `InvalidGraph` when something else has that name.
    """
    found = load_attribute(reference, folder)
    graph = _graph(found, reference)
    if graph is not found:
        _MADE[graph] = _absolute(reference, folder)
    return graph


def maker_of(graph: object) -> str | None:
    """The reference of the function that `load_graph` called for a graph, wherever the working folder is."""
    return _MADE.get(graph) if isinstance(graph, StateGraph | Pregel) else None


def load_attribute(reference: str, folder: Path | None = None) -> object:
    """Whatever ``reference`` names, found as by `load_graph`. Raises `GraphNotFound`."""
    place, colon, attribute = reference.rpartition(":")
    if not (colon and place and attribute):
        raise GraphNotFound(f"{reference!r} names no graph")
    folder = (folder or Path.cwd()).absolute()
    module = _file_module(folder / place, place) if _is_file(place) else _module(place, folder)
    try:
        found: object = getattr(module, attribute)
    except AttributeError:
        raise GraphNotFound(f"{place} has no attribute {attribute!r}", hint=_those_there(module)) from None
    return found


def load_implementation(node: str, reference: str, folder: Path | None = None) -> object:
    """What ``reference`` names to stand in for a node; for the whole graph as `load_graph` finds it.

    Raises `GraphNotFound` or `InvalidGraph`.
    """
    return load_graph(reference, folder) if node == WHOLE else load_attribute(reference, folder)


def workflow_name(reference: str) -> str:
    """What a graph that has no name of its own is called when it is loaded by this reference: no folders in it."""
    place, _, attribute = reference.rpartition(":")
    return f"{Path(place).stem if _is_file(place) else place}:{attribute}"


# --- langgraph.json -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class GraphFile:
    """A ``langgraph.json``: graphs by id, where their code lies, and the variables it wants set."""

    path: Path
    graphs: Mapping[str, str]
    """Id to reference; files and modules are relative to the file's folder."""
    folders: tuple[Path, ...]
    """Its local dependencies; packages to install are not WTB's business."""
    variables: Mapping[str, str]

    @classmethod
    def read(cls, path: Path) -> "GraphFile":
        """Raises `GraphNotFound` when the file can't be read or isn't a ``langgraph.json``."""
        path = path.expanduser().absolute()
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except OSError as refusal:
            raise GraphNotFound(f"{path} can't be read: {refusal.strerror}") from refusal
        except ValueError as damage:
            raise GraphNotFound(f"{path} isn't JSON: {damage}") from damage
        graphs = content.get("graphs") if isinstance(content, dict) else None
        if not isinstance(graphs, dict):
            raise GraphNotFound(f'{path} has no "graphs"', hint='Give it {"graphs": {"id": "./file.py:attribute"}}.')
        return cls(
            path=path,
            graphs={str(id): _reference_in(path, str(id), entry) for id, entry in graphs.items()},
            folders=tuple(_folders(path.parent, content.get("dependencies"))),
            variables=_variables(path.parent, content.get("env")),
        )

    def load(self, id: str) -> object:
        """The graph with this id. Variables that are set already stay as they are. Raises as `load_graph` does."""
        reference = self.graphs.get(id)
        if reference is None:
            known = ", ".join(self.graphs) or "none"
            raise GraphNotFound(f"{self.path} has no graph {id!r}", hint=f"Its graphs: {known}.")
        for name, value in self.variables.items():
            os.environ.setdefault(name, value)
        for folder in reversed(self.folders):
            _look_in(folder)
        return load_graph(reference, self.path.parent)


def _reference_in(path: Path, id: str, entry: object) -> str:
    reference = entry.get("path") if isinstance(entry, dict) else entry
    if not isinstance(reference, str):
        raise GraphNotFound(f"graph {id!r} of {path} has no path", hint='Give it as "./file.py:attribute".')
    return reference


def _folders(base: Path, dependencies: object) -> Iterator[Path]:
    for dependency in dependencies if isinstance(dependencies, list) else []:
        folder = (base / str(dependency)).resolve()
        if folder.is_dir():
            yield folder


def _variables(base: Path, env: object) -> dict[str, str]:
    """A mapping as it is, or a file of them; a file that isn't there (it is seldom checked in) sets nothing."""
    if isinstance(env, dict):
        return {str(name): str(value) for name, value in env.items()}
    if isinstance(env, str) and (base / env).is_file():
        return {name: value for name, value in dotenv_values(base / env).items() if value is not None}
    return {}


# --- importing ----------------------------------------------------------------------------------------


def _is_file(place: str) -> bool:
    return place.endswith(".py") or "/" in place


def _module(name: str, folder: Path) -> ModuleType:
    _look_in(folder)
    with _import_errors_of(name):
        return importlib.import_module(name)


def _file_module(path: Path, shown: str) -> ModuleType:
    """A file as the module it would be for those who import it, so that its classes are the same ones."""
    path = path.resolve()
    if not path.is_file():
        raise GraphNotFound(f"there is no file {shown}")
    root, parts = path.parent, [] if path.name == "__init__.py" else [path.stem]
    while (root / "__init__.py").is_file():
        parts.insert(0, root.name)
        root = root.parent
    _look_in(root)
    with _import_errors_of(shown):
        name = ".".join(parts)
        module = importlib.import_module(name) if all(part.isidentifier() for part in parts) else None
        if module is not None and module.__file__ and Path(module.__file__).resolve() == path:
            return module
        # Another module has the name, as when the file is called like one of the standard library.
        return _alone(path, f"{path.stem}_{sha256(str(path).encode()).hexdigest()[:8]}")


def _alone(path: Path, name: str) -> ModuleType:
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _absolute(reference: str, folder: Path | None) -> str:
    place, _, attribute = reference.rpartition(":")
    return f"{(folder or Path.cwd()).absolute() / place}:{attribute}" if _is_file(place) else reference


def _look_in(folder: Path) -> None:
    """Let imports find what lies in a folder, before what is installed."""
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
        importlib.invalidate_caches()


@contextmanager
def _import_errors_of(what: str) -> Iterator[None]:
    try:
        yield
    except (Exception, SystemExit) as error:
        raise GraphNotFound(f"can't import {what}: {_told(error)}") from error


# --- attributes ---------------------------------------------------------------------------------------


def _graph(found: object, reference: str) -> object:
    if isinstance(found, StateGraph | Pregel):
        return found
    if not callable(found):
        raise InvalidGraph(f"{reference} is no graph, it is {type(found).__name__}")
    if _wants_arguments(found):
        raise InvalidGraph(
            f"{reference} takes arguments", hint="Name a graph, or a function that makes one without arguments."
        )
    try:
        made = found()
        if inspect.iscoroutine(made):
            with ThreadPoolExecutor(1, "wtb-graph") as thread:  # this thread may have a loop that is busy
                made = thread.submit(asyncio.run, made).result()
    except Exception as error:  # whatever the user's code raises
        raise GraphNotFound(f"{reference} made no graph: {_told(error)}") from error
    if not isinstance(made, StateGraph | Pregel):
        raise InvalidGraph(f"{reference} returned no graph but {type(made).__name__}")
    return made


def _wants_arguments(factory: Callable[..., Any]) -> bool:
    try:
        inspect.signature(factory).bind()
    except ValueError:  # a builtin that doesn't tell
        return False
    except TypeError:
        return True
    return False


def _those_there(module: ModuleType) -> str:
    graphs = [name for name, value in vars(module).items() if isinstance(value, StateGraph | Pregel)]
    return f"Its graphs: {', '.join(graphs)}." if graphs else ""


def _told(error: BaseException) -> str:
    """An error in one line, with the place it came from if that isn't Python's import machinery."""
    lines = str(error).strip().splitlines()
    told = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    if isinstance(error, SyntaxError):
        return told  # says the place itself
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<frozen") and frame.filename not in (__file__, importlib.__file__)
    ]
    return f"{told} ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else told
