"""What was in a folder: a manifest of its files, as bytes and back, and none that could reach out of the folder.

A manifest's bytes are canonical JSON, ``{path: entry}``, paths relative and with
slashes. An entry is one of::

    {"mode": 420, "pieces": [digest, …], "size": 12}    a file, in pieces of 1 MiB
    {"folder": 493}                                     a folder's mode
    {"link": "target"}                                  a symbolic link
    {"unreadable": "Permission denied"}                 what couldn't be read

It is stored as a value of the kind ``files``, the pieces as values of the kind ``bytes``.
"""

import json
import os
from dataclasses import dataclass
from typing import Any

from wtb.domain.errors import NotAStore
from wtb.domain.identifiers import Digest
from wtb.infra.event_store.values import FILES, PIECE, digest_of, manifest_data

__all__ = [
    "FILES",
    "PIECE",
    "STAGE",
    "Entry",
    "File",
    "Folder",
    "Link",
    "Manifest",
    "Unreadable",
    "is_inside",
    "parents",
    "read",
    "stays_inside",
    "written",
]

PERMISSIONS = 0o777
"""The mode bits that are kept: no set-user-id bit comes back from a store."""
STAGE = ".wtb-restoring-"
"""How the folder's name begins in which files wait until all of them are there; never kept itself."""


@dataclass(frozen=True, slots=True)
class File:
    mode: int
    size: int
    pieces: tuple[Digest, ...]

    @property
    def digest(self) -> Digest:
        """Names the content: the one piece's digest, or a digest over the digests of several."""
        return self.pieces[0] if len(self.pieces) == 1 else digest_of("pieces", "".join(self.pieces).encode())


@dataclass(frozen=True, slots=True)
class Folder:
    mode: int


@dataclass(frozen=True, slots=True)
class Link:
    target: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    reason: str


Entry = File | Folder | Link | Unreadable
Manifest = dict[str, Entry]
"""Path in the folder, with slashes → what is there. A name that isn't UTF-8 has surrogate escapes."""


def written(manifest: Manifest) -> bytes:
    """A manifest's bytes: the same files always make the same bytes."""
    shown = {path: _shown(entry) for path, entry in manifest.items()}
    return json.dumps(shown, sort_keys=True, separators=(",", ":")).encode()


def _shown(entry: Entry) -> dict[str, Any]:
    match entry:
        case File(mode, size, pieces):
            return {"mode": mode, "pieces": pieces, "size": size}
        case Folder(mode):
            return {"folder": mode}
        case Link(target):
            return {"link": target}
        case Unreadable(reason):
            return {"unreadable": reason}


def read(data: bytes) -> Manifest:
    """A manifest from its bytes. Raises `NotAStore` when they are damaged, or name a place outside the folder."""
    try:
        manifest = {path: _entry(shown) for path, shown in manifest_data(data).items()}
    except (ValueError, TypeError, KeyError) as damage:
        raise NotAStore(f"a manifest of files is damaged: {damage!r}") from damage
    for path in manifest:
        if not is_inside(path):
            raise NotAStore(f"a manifest of files names {path!r}, which isn't a place inside its folder")
        for parent in parents(path):
            if not isinstance(manifest.get(parent, _IMPLIED), Folder):
                raise NotAStore(f"a manifest of files has {path!r} inside {parent!r}, which is no folder")
    return manifest


_IMPLIED = Folder(0o777)
"""A folder that a manifest doesn't name but has files in."""


def _entry(shown: dict[str, Any]) -> Entry:
    if "pieces" in shown:
        pieces = tuple(Digest(_of(str, piece)) for piece in _of(list, shown["pieces"]))
        return File(_of(int, shown["mode"]) & PERMISSIONS, _of(int, shown["size"]), pieces)
    if "folder" in shown:
        return Folder(_of(int, shown["folder"]) & PERMISSIONS)
    if "link" in shown:
        return Link(_of(str, shown["link"]))
    return Unreadable(_of(str, shown["unreadable"]))


def _of(kind: Any, found: Any) -> Any:
    if type(found) is not kind:
        raise TypeError(f"{found!r} isn't a {kind.__name__}")
    return found


def is_inside(path: str) -> bool:
    """Whether a path is relative, goes down only, and can be a name here."""
    parts = path.split("/")
    return _is_a_name(path) and all(part not in ("", ".", "..") and not part.startswith(STAGE) for part in parts)


def _is_a_name(text: str) -> bool:
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False


def parents(path: str) -> list[str]:
    """The folders that a path is in, outermost first."""
    parts = path.split("/")
    return ["/".join(parts[:depth]) for depth in range(1, len(parts))]


def stays_inside(path: str, target: str) -> bool:
    """Whether a link at a path leads to a place inside the folder, whatever other such links are in it.

    ``..`` may only stand before everything else: there each one leads from a
    folder that is no link to the one above it.
    """
    if not target or not _is_a_name(target) or target.startswith("/"):
        return False
    parts = [part for part in target.split("/") if part not in ("", ".")]
    ups = 0
    while ups < len(parts) and parts[ups] == "..":
        ups += 1
    return ups <= path.count("/") and ".." not in parts[ups:]
