"""Values that are made of values: which others each one names, by its kind."""

from collections.abc import Callable

from wtb.domain.errors import NotAStore
from wtb.domain.identifiers import Digest
from wtb.infra.event_store import values
from wtb.infra.event_store.values import FILES

_DIGEST_BYTES = 32


def _names(data: bytes) -> list[Digest]:
    if len(data) % _DIGEST_BYTES:
        raise ValueError("its length isn't that of whole digests")
    return values.names(data)


def _pieces(data: bytes) -> list[Digest]:
    """The pieces of all files in the manifest of an output folder."""
    pieces = values.parts(FILES, data)
    if not all(isinstance(piece, str) for piece in pieces):
        raise ValueError("its pieces aren't named by digests")
    return pieces


PARTS: dict[str, Callable[[bytes], list[Digest]]] = {"chunk": _names, "list": _names, FILES: _pieces}
"""Kind of value to how its parts' digests are found in its bytes; other kinds have no parts."""


def parts_of(kind: str, data: bytes) -> list[Digest]:
    """The digests that a value names, in order. Raises `NotAStore` when its bytes aren't what its kind says."""
    find = PARTS.get(kind)
    if find is None:
        return []
    try:
        return find(data)
    except (ValueError, TypeError) as damage:
        raise NotAStore(f"a stored value of kind {kind!r} is damaged: {damage}") from damage
