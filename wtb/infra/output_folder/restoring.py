"""Putting a folder back as a manifest says: what differs is written, what isn't in it is deleted.

Nothing outside the folder is touched, whatever a manifest from elsewhere says:
its paths are checked, links in the way are removed and never followed, and a
link that leads out of the folder is not made.
"""

import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from wtb.domain.errors import NotAStore, StoreUnavailable
from wtb.domain.event_log import Value
from wtb.domain.identifiers import NULL_DIGEST, Digest
from wtb.infra.event_store.values import digest_of, unpacked
from wtb.infra.output_folder.manifest import (
    FILES,
    PIECE,
    STAGE,
    Entry,
    File,
    Folder,
    Link,
    Manifest,
    Unreadable,
    parents,
    read,
    stays_inside,
)
from wtb.infra.output_folder.scanning import PIECE_BYTES, opened, walk

Fetch = Callable[[Collection[Digest]], Mapping[Digest, Value]]
"""Stored values by digest; raises `ValueMissing`. Such as `EventStore.values`."""

OWNER = stat.S_IRWXU
PIECES_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class Restored:
    """What putting a folder back came to, by path."""

    written: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    """What couldn't be put back: links that lead out of the folder, and what couldn't be read when it was kept."""


def load_manifest(digest: Digest | None, fetch: Fetch) -> Manifest:
    """The files that a digest names; none for None and `NULL_DIGEST`. Raises `ValueMissing` or `NotAStore`."""
    if digest is None or digest == NULL_DIGEST:
        return {}
    kind, data = unpacked(fetch([digest])[digest])
    if kind != FILES or digest_of(kind, data) != digest:
        raise NotAStore(f"value {digest} is no manifest of files, or is damaged")
    return read(data)


def content(file: File, fetch: Fetch) -> bytes:
    """A file's bytes. Raises `ValueMissing` or `NotAStore`."""
    pieces = _Pieces(file.pieces, fetch)
    return b"".join(pieces.next() for _ in file.pieces)


def restore(digest: Digest | None, folder: Path, fetch: Fetch) -> Restored:
    """Make the folder as the manifest says: `NULL_DIGEST` empties it, None (nothing was kept) leaves it alone.

    Each file is replaced whole, and all that is needed is fetched before anything
    is changed. May be repeated, and then finishes what was broken off. Raises
    `ValueMissing`, `NotAStore`, or `StoreUnavailable` when the folder can't be
    written.
    """
    if digest is None:
        return Restored()
    wanted = load_manifest(digest, fetch)
    try:
        if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
            folder.unlink()
        folder.mkdir(parents=True, exist_ok=True)
        return _Restoring(folder, wanted, fetch).all()
    except OSError as refusal:
        raise StoreUnavailable(
            f"the files of {folder} can't be put back: {refusal.strerror}",
            hint="Check that the folder can be written and the disk has room, then ask again.",
        ) from refusal


class _Restoring:
    """One folder on its way to what is wanted."""

    def __init__(self, folder: Path, wanted: Manifest, fetch: Fetch) -> None:
        self.folder = folder
        self.fetch = fetch
        self.wanted: Manifest = {}
        for path, entry in sorted(wanted.items()):
            for depth in range(1, path.count("/") + 1):
                self.wanted.setdefault("/".join(path.split("/")[:depth]), Folder(0o755))
            self.wanted[path] = entry

    def all(self) -> Restored:
        for stale in self.folder.glob(f"{STAGE}*"):
            _delete(stale)
        there: dict[str, os.stat_result] = {}
        for path, status in walk(self.folder):
            if not isinstance(status, OSError):
                there[path] = status
            elif path not in there:
                there[path] = os.lstat(self.folder / path)
        missing = [path for path, entry in self.wanted.items() if not self._is_there(path, entry, there.get(path))]
        left_out = {path for path in missing if not _can_be_made(path, self.wanted[path])}
        differing = [path for path in missing if path not in left_out]
        unknown = {path for path, entry in self.wanted.items() if isinstance(entry, Unreadable)}
        surplus = [
            path
            for path in sorted(there)
            if path in left_out or (path not in self.wanted and not unknown.intersection(parents(path)))
        ]
        if differing:
            with tempfile.TemporaryDirectory(prefix=STAGE, dir=self.folder, ignore_cleanup_errors=True) as stage:
                self._change(there, surplus, differing, self._staged(Path(stage), differing))
        else:
            self._change(there, surplus, (), {})
        return Restored(tuple(differing), tuple(surplus), tuple(sorted(left_out)))

    def _is_there(self, path: str, entry: Entry, status: os.stat_result | None) -> bool:
        if status is None:
            return False
        where = self.folder / path
        match entry:
            case Folder():
                return stat.S_ISDIR(status.st_mode)
            case Link(target):
                return stat.S_ISLNK(status.st_mode) and os.readlink(where) == target
            case File(mode, size, pieces):
                is_alike = stat.S_ISREG(status.st_mode) and status.st_size == size
                return is_alike and stat.S_IMODE(status.st_mode) == mode and _holds(str(where), pieces)
            case Unreadable():
                return True

    def _staged(self, stage: Path, paths: Sequence[str]) -> dict[str, Path]:
        """Files and links made ready beside their places, under numbers."""
        staged: dict[str, Path] = {}
        pieces = _Pieces([piece for path in paths for piece in _pieces_of(self.wanted[path])], self.fetch)
        for number, path in enumerate(paths):
            entry = self.wanted[path]
            if isinstance(entry, Link):
                staged[path] = stage / str(number)
                staged[path].symlink_to(entry.target)
            elif isinstance(entry, File):
                staged[path] = stage / str(number)
                with staged[path].open("xb") as file:
                    if sum(file.write(pieces.next()) for _ in entry.pieces) != entry.size:
                        raise NotAStore(f"a manifest of files is damaged: {path!r} isn't of {entry.size} bytes")
                staged[path].chmod(entry.mode)
        return staged

    def _change(
        self,
        there: Mapping[str, os.stat_result],
        surplus: Sequence[str],
        differing: Sequence[str],
        staged: Mapping[str, Path],
    ) -> None:
        for path, status in there.items():
            if stat.S_ISDIR(status.st_mode) and status.st_mode & OWNER != OWNER:
                (self.folder / path).chmod(stat.S_IMODE(status.st_mode) | OWNER)
        for path in reversed(surplus):
            _delete(self.folder / path)
        for path in differing:
            where = self.folder / path
            if path not in staged:
                where.unlink(missing_ok=True)
                where.mkdir()
                continue
            if where.is_dir() and not where.is_symlink():
                _delete(where)
            staged[path].replace(where)
        for path, entry in reversed(self.wanted.items()):
            where = self.folder / path
            if isinstance(entry, Folder) and stat.S_IMODE(os.lstat(where).st_mode) != entry.mode:
                where.chmod(entry.mode)


def _can_be_made(path: str, entry: Entry) -> bool:
    return not (isinstance(entry, Unreadable) or (isinstance(entry, Link) and not stays_inside(path, entry.target)))


def _pieces_of(entry: Entry) -> tuple[Digest, ...]:
    return entry.pieces if isinstance(entry, File) else ()


class _Pieces:
    """Pieces of files one after the other, fetched some at a time."""

    def __init__(self, names: Sequence[Digest], fetch: Fetch) -> None:
        self._names = names
        self._fetch = fetch
        self._fetched: Mapping[Digest, Value] = {}
        self._next = 0

    def next(self) -> bytes:
        name = self._names[self._next]
        if name not in self._fetched:
            self._fetched = self._fetch(sorted(set(self._names[self._next : self._next + PIECES_AT_ONCE])))
        self._next += 1
        return _piece(name, self._fetched[name])


def _holds(path: str, pieces: Collection[Digest]) -> bool:
    """Whether a file's content is these pieces."""
    try:
        file = opened(path)
    except PermissionError:
        return False
    with file:
        return all(digest_of(PIECE, file.read(PIECE_BYTES)) == piece for piece in pieces) and not file.read(1)


def _piece(digest: Digest, stored: Value) -> bytes:
    kind, data = unpacked(stored)
    if kind != PIECE or digest_of(kind, data) != digest:
        raise NotAStore(f"value {digest} is no piece of a file, or is damaged")
    return data


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
