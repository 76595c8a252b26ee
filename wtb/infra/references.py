"""Where code lies that a person's own configuration names: ``module:attribute``, or ``./file.py:attribute``.

Tables of ``wtb.toml`` that name code hold such references, each under an id:

::

    [workflows]
    triage = "agents.triage:graph"

    [variants.answer]
    short = "agents.triage:answer_shortly"
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import BeforeValidator, PlainSerializer
from pydantic_settings import NoDecode


class Reference(NamedTuple):
    """A reference, and the folder that its module is looked for in first and that its file is relative to."""

    text: str
    folder: Path | None = None
    """The working folder when None."""


def placed(table: object, folder: Path) -> object:
    """A table as it stands in a file, with its references relative to the file's folder."""
    if not isinstance(table, Mapping):
        return table
    return {
        id: Reference(entry, folder) if isinstance(entry, str) else placed(entry, folder) for id, entry in table.items()
    }


def _checked(table: object) -> Any:
    if isinstance(table, str):  # in an environment variable
        with suppress(ValueError):
            table = json.loads(table)
    if not isinstance(table, Mapping):
        raise ValueError('it is a table of references: id = "module:attribute"')
    return {str(id): _reference(str(id), entry) for id, entry in table.items()}


def _checked_tables(tables: object) -> Any:
    if not isinstance(tables, Mapping):
        raise ValueError('it holds tables of references: [variants.node] and name = "module:attribute"')
    return {str(id): _checked(table) for id, table in tables.items()}


def _reference(id: str, entry: object) -> Reference:
    reference = Reference(entry) if isinstance(entry, str) else entry
    if not isinstance(reference, Reference):
        raise ValueError(f"{id!r} names no code, give it as 'module:attribute'")
    place, colon, attribute = reference.text.rpartition(":")
    if not (id.strip() and colon and place.strip() and attribute.strip()):
        raise ValueError(f"{id!r} names no code by {reference.text!r}, give it as 'module:attribute'")
    return reference


def _texts(table: Mapping[str, Reference]) -> dict[str, str]:
    return {id: reference.text for id, reference in table.items()}


References = Annotated[Mapping[str, Reference], NoDecode, BeforeValidator(_checked), PlainSerializer(_texts)]
"""A setting that is a table of references, by id."""

ReferenceTables = Annotated[
    Mapping[str, Mapping[str, Reference]],
    NoDecode,
    BeforeValidator(_checked_tables),
    PlainSerializer(lambda tables: {id: _texts(table) for id, table in tables.items()}),
]
"""A setting that holds several such tables, by id."""
