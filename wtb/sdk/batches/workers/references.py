"""The names by which another process finds an object: ``module:attribute``, or ``path/to/file.py:attribute``."""

import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from wtb.domain.errors import InvalidRequest
from wtb.infra.langgraph.loader import maker_of

MAINS = ("__main__", "__mp_main__")
"""What Python calls the module that a process was started with, which has another name for everybody else."""


def reference_of(thing: object, what: str) -> str:
    """The name of a graph or an implementation: that of a loaded module's attribute, or of the function that made it.

    Text is such a name itself. ``what`` is what the refusal calls the thing. Raises
    `InvalidRequest` when it has no name that another process could find it by.
    """
    made = thing if isinstance(thing, str) else maker_of(thing)
    if made is not None:
        return made
    for name, module in _modules(thing):
        attribute = next((key for key, value in list(vars(module).items()) if value is thing), None)
        place = None if attribute is None else _place(name, module)
        if place is not None:
            return f"{place}:{attribute}"
    raise InvalidRequest(
        f"another process can't find {what}: no module has it as an attribute",
        hint="Define it at the top level of a module, or name it as module:attribute.",
    )


def _modules(thing: object) -> Iterator[tuple[str, ModuleType]]:
    """Loaded modules: first the one that says it is the thing's own, and last the program's own file.

    Others may run that file only to find something in it.
    """
    own = getattr(thing, "__module__", None)
    order = {own: 0} | dict.fromkeys(MAINS, 2)
    loaded = [(name, module) for name, module in list(sys.modules.items()) if hasattr(module, "__dict__")]
    yield from sorted(loaded, key=lambda each: order.get(each[0], 1))


def _place(name: str, module: ModuleType) -> str | None:
    """How another process loads a module: by its name if that leads to the same file, else by the file."""
    file = getattr(module, "__file__", None)
    if name in MAINS:
        spec = getattr(module, "__spec__", None)
        name = "" if spec is None else spec.name  # as in `python -m package.program`
    if name and _leads_to(name, file):
        return name
    return str(Path(file).absolute()) if file and Path(file).suffix == ".py" and Path(file).is_file() else None


def _leads_to(name: str, file: str | None) -> bool:
    found = _found(name)
    return found is not None and found.origin is not None and (file is None or Path(found.origin) == Path(file))


def _found(name: str) -> ModuleSpec | None:
    """What an import would find in a process that hasn't loaded the module: this one may have it from elsewhere."""
    parent = name.rpartition(".")[0]
    path = None
    if parent:
        package = _found(parent)
        path = None if package is None else package.submodule_search_locations
        if path is None:
            return None
    found = (finder.find_spec(name, path) for finder in sys.meta_path)
    return next((spec for spec in found if spec is not None), None)
