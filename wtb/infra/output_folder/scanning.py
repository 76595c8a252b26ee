"""An execution's output folder, kept by digest: what is in it is scanned at checkpoints, and can be put back.

A scan asks for each file's stamp (times, size, inode) and reads only what has
changed. Files are kept in pieces of 1 MiB, each stored once however often it
occurs. Symbolic links are recorded as links and never followed; what is no
file, folder or link (a socket, a pipe) is never opened.
"""

import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO

from wtb.domain.identifiers import NULL_DIGEST, Digest
from wtb.infra.output_folder.manifest import (
    FILES,
    PERMISSIONS,
    PIECE,
    STAGE,
    Entry,
    File,
    Folder,
    Link,
    Manifest,
    Unreadable,
    written,
)
from wtb.infra.redaction import Redaction

PIECE_BYTES = 1 << 20
SETTLED_NS = 50_000_000
"""A file changed more recently than this is read again: within one tick of the clock a change may leave no trace."""
SETTLED_IN_SECONDS_NS = 2_100_000_000
"""The same where the file system seems to keep whole seconds."""
NO_FILE = "neither a file nor a folder nor a link"
READS = 3
"""How often a file that changes while it is read is read before it is kept as it came."""

Keep = Callable[[str, bytes], Digest]
"""Stores bytes under a kind and tells their digest, such as `Journal.raw`."""


Stamp = tuple[int, int, int, int, int]
"""What tells that a file is as it was, without reading it: mode, inode, size, when modified, when changed."""

Status = os.stat_result | OSError
"""What is known of a path, or why nothing is."""


class OutputFolder:
    """One execution's folder. Remembers what it has scanned, so that what hasn't changed costs one look.

    Safe to share between threads. A change through a memory mapping is
    seen once the system has noted it in the file's times.
    """

    def __init__(self, path: Path, redaction: Redaction | None = None) -> None:
        """``redaction``: what must not be kept of files that are text, and of names."""
        self.path = path
        self._redaction = redaction
        self._lock = threading.Lock()
        self._known: dict[str, tuple[Stamp, Entry]] = {}
        self._manifest: Manifest = {}
        self._digest = NULL_DIGEST
        self._empty: Stamp | None = None
        """The folder's own stamp when it was found empty, if it can be relied on."""

    def scan(self, keep: Keep) -> Digest | None:
        """Keep what is in the folder now, and tell its manifest's digest.

        `NULL_DIGEST` when it is empty or missing; None when it can't be looked into.
        Raises nothing for what files do meanwhile: one that vanishes is left out, one
        that can't be read is noted as unreadable.
        """
        with self._lock:
            try:
                return self._scan(keep)
            except (FileNotFoundError, NotADirectoryError):
                return NULL_DIGEST
            except OSError:
                return None

    def _scan(self, keep: Keep) -> Digest:
        began = time.time_ns()
        itself = os.lstat(self.path)
        if self._empty is not None and self._empty == _stamp(itself):
            return NULL_DIGEST
        # A link in the folder's place leads who knows where.
        manifest = self._look(began, keep) if stat.S_ISDIR(itself.st_mode) else {}
        self._empty = _stamp(itself) if not manifest and _settled(itself, began) else None
        if manifest != self._manifest:
            self._digest = keep(FILES, written(manifest)) if manifest else NULL_DIGEST
            self._manifest = manifest
        return self._digest

    def _look(self, began: int, keep: Keep) -> Manifest:
        known: dict[str, tuple[Stamp, Entry]] = {}
        manifest: Manifest = {}
        for path, status in walk(self.path):
            if isinstance(status, OSError):
                manifest[path] = _unreadable(status)
                continue
            before = self._known.get(path)
            if before is not None and before[0] == _stamp(status):
                known[path] = before
                manifest[path] = before[1]
                continue
            found = _entry(os.path.join(self.path, path), status, keep, self._redaction)
            if found is None:
                continue
            status, manifest[path] = found
            if _settled(status, began):
                known[path] = (_stamp(status), manifest[path])
        self._known = known
        return manifest if self._redaction is None else _renamed(manifest, self._redaction)


def walk(folder: Path) -> Iterator[tuple[str, Status]]:
    """Everything in a folder, by its path in it; a folder comes before what is in it, and links are not followed.

    What can't be looked at comes with the reason, a folder that can't be listed once
    more. Raises `OSError` when that is the outermost one.
    """
    left = [""]
    while left:
        under = left.pop()
        try:
            listed = _listed(os.path.join(folder, under))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as refusal:
            if not under:
                raise
            yield under, refusal
            continue
        for name, status in listed:
            if not under and name.startswith(STAGE):
                continue
            path = f"{under}/{name}" if under else name
            yield path, status
            if not isinstance(status, OSError) and stat.S_ISDIR(status.st_mode):
                left.append(path)


def _listed(folder: str) -> list[tuple[str, Status]]:
    itself = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        with os.scandir(itself) as listing:
            return [(entry.name, status) for entry in listing if (status := _status(entry)) is not None]
    finally:
        os.close(itself)


def _status(entry: os.DirEntry[str]) -> Status | None:
    try:
        return entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    except OSError as refusal:
        return refusal


def _renamed(manifest: Manifest, redaction: Redaction) -> Manifest:
    """The manifest with redacted names; files that come to have one name are numbered."""
    renamed: Manifest = {}
    # Folders first: what is in them must find them under their name.
    for path, entry in sorted(manifest.items(), key=lambda each: not isinstance(each[1], Folder)):
        name = shown = redaction.path(path)
        number = 1
        while shown in renamed and not isinstance(entry, Folder):
            number += 1
            shown = f"{name} ({number})"
        renamed[shown] = entry
    return renamed


def _entry(
    path: str, status: os.stat_result, keep: Keep, redaction: Redaction | None
) -> tuple[os.stat_result, Entry] | None:
    """What is at a path, and the status it was read with; None when it has gone."""
    try:
        if stat.S_ISREG(status.st_mode):
            return _read(path, keep, redaction)
        if stat.S_ISDIR(status.st_mode):
            return status, Folder(stat.S_IMODE(status.st_mode) & PERMISSIONS)
        if stat.S_ISLNK(status.st_mode):
            target = os.readlink(path)
            return status, Link(target if redaction is None else redaction.path(target))
    except FileNotFoundError:
        return None
    except OSError as refusal:
        return status, _unreadable(refusal)
    return status, Unreadable(NO_FILE)


def _read(path: str, keep: Keep, redaction: Redaction | None) -> tuple[os.stat_result, Entry]:
    again = READS
    while True:
        again -= 1
        with opened(path) as file:
            before = os.fstat(file.fileno())
            if not stat.S_ISREG(before.st_mode):
                return before, Unreadable(NO_FILE)
            # Kept when all is read: what was read in vain must not be stored under no file's name.
            pieces = list(iter(partial(file.read, PIECE_BYTES), b""))
            if again and _stamp(os.fstat(file.fileno())) != _stamp(before):
                continue
        if redaction is not None:
            content = redaction.content(b"".join(pieces))
            pieces = [content[start : start + PIECE_BYTES] for start in range(0, len(content), PIECE_BYTES)]
        mode = stat.S_IMODE(before.st_mode) & PERMISSIONS
        return before, File(mode, sum(map(len, pieces)), tuple(keep(PIECE, piece) for piece in pieces))


def opened(path: str) -> BinaryIO:
    """A file to read, where it is one: a link put in its place isn't followed, a pipe isn't waited for."""
    return open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")


def _unreadable(refusal: OSError) -> Unreadable:
    return Unreadable(refusal.strerror or type(refusal).__name__)


def _stamp(status: os.stat_result) -> Stamp:
    return (status.st_mode, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _settled(status: os.stat_result, now_ns: int) -> bool:
    """Whether a later change would show in the stamp."""
    whole_seconds = status.st_ctime_ns % 1_000_000_000 == 0
    return status.st_ctime_ns < now_ns - (SETTLED_IN_SECONDS_NS if whole_seconds else SETTLED_NS)
