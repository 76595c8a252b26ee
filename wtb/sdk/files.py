"""Files of output folders, as they were kept at checkpoints."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from wtb.domain.errors import FileNotKept, InvalidRequest
from wtb.domain.execution import CheckpointSaved
from wtb.domain.identifiers import Digest, ExecutionId
from wtb.infra.output_folder import manifest as manifests
from wtb.infra.output_folder.manifest import Entry, Folder, Link, Unreadable
from wtb.infra.output_folder.restoring import Restored, content, load_manifest, restore
from wtb.sdk.platform import Platform
from wtb.sdk.state import find_checkpoint


@dataclass(frozen=True, slots=True)
class File:
    """Something in an execution's output folder."""

    path: str
    """In the folder, with slashes."""
    kind: Literal["file", "folder", "link", "unreadable"]
    size: int = 0
    """Bytes."""
    mode: int = 0
    """Permission bits."""
    digest: Digest | None = None
    """Equal for equal contents."""
    note: str = ""
    """Where a link leads; why something couldn't be read."""


def files_at(platform: Platform, execution: ExecutionId, checkpoint: str | None) -> tuple[File, ...]:
    """What was in the folder at a checkpoint, or the newest, by path; nothing where files weren't kept.

    Raises `CheckpointNotFound`, `ValueMissing` or `NotAStore`.
    """
    return files_of(platform, find_checkpoint(platform, execution, checkpoint))


def files_of(platform: Platform, saved: CheckpointSaved) -> tuple[File, ...]:
    """What was in the folder at a checkpoint. Raises `ValueMissing` or `NotAStore`."""
    manifest = load_manifest(saved.files, platform.store.values)
    return tuple(_file(path, entry) for path, entry in sorted(manifest.items()))


def _file(path: str, entry: Entry) -> File:
    match entry:
        case manifests.File(mode, size, _):
            return File(path, "file", size, mode, entry.digest)
        case Folder(mode):
            return File(path, "folder", mode=mode)
        case Link(target):
            return File(path, "link", note=target)
        case Unreadable(reason):
            return File(path, "unreadable", note=reason)


def read_file(platform: Platform, execution: ExecutionId, path: str, checkpoint: str | None) -> bytes:
    """A file's content as it was. Raises `FileNotKept` and as `files_at`."""
    saved = find_checkpoint(platform, execution, checkpoint)
    found = load_manifest(saved.files, platform.store.values).get(path)
    if not isinstance(found, manifests.File):
        raise FileNotKept(execution, saved.checkpoint, path)
    return content(found, platform.store.values)


def copy_files(platform: Platform, execution: ExecutionId, folder: Path, checkpoint: str | None) -> Restored:
    """Put the files as they were into a new or empty folder. Raises `InvalidRequest` for another, and as `files_at`."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InvalidRequest(f"{folder} isn't an empty folder", hint="Name a folder that is new or empty.")
    saved = find_checkpoint(platform, execution, checkpoint)
    return restore(saved.files, folder.absolute(), platform.store.values)
