"""Reads a bundle, trusting nothing: what doesn't fit is refused, and told by its first flaw.

No name in the file is used as a path, and nothing is made into objects of anybody's classes.
"""

import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import msgspec

from wtb.domain.digests import digests_of
from wtb.domain.errors import InvalidBundle, InvalidRequest, NotAStore
from wtb.domain.event_log import EMPTY_STREAM, Recorded, StreamHead, Value
from wtb.domain.execution import ExecutionFact, ExecutionStarted
from wtb.domain.identifiers import Digest, ExecutionId, Version, execution_stream, is_storable, new_id
from wtb.infra.event_store import chain, codec
from wtb.infra.event_store.bundle import (
    EVENTS,
    FORMAT,
    FORMAT_VERSION,
    MANIFEST,
    MEMBERS,
    SCHEMA_PREFIX,
    VALUES,
    BundledEvent,
    BundledValue,
    Manifest,
    Member,
    line_of,
    state_of,
)
from wtb.infra.event_store.index import entries_of
from wtb.infra.event_store.parts import parts_of
from wtb.infra.event_store.recorder import Row
from wtb.infra.event_store.store import CHAIN_LINE, Stored
from wtb.infra.event_store.values import FILES, digest_of, packed

MOST_BYTES = 2**30
"""How big a bundle's members may be together, uncompressed, unless the caller says otherwise."""
MOST_MANIFEST_BYTES = 100_000

_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    OSError,
    EOFError,
    NotImplementedError,
    ValueError,
    OverflowError,
    RecursionError,
)
"""What Python raises over a file that isn't a sound archive or holds no sound JSON."""


class Content(NamedTuple):
    """A bundle that was read and holds together."""

    manifest: Manifest
    digest: str
    """SHA-256 of the manifest, hexadecimal: the bundle's name in the log."""
    head: StreamHead
    stored: list[Stored]
    events: list[Recorded]
    """The same, decoded; their positions are their versions, for want of others."""
    values: dict[Digest, Value]

    @property
    def execution(self) -> ExecutionId:
        return ExecutionId(self.manifest.execution)


def read(path: Path, most_bytes: int = MOST_BYTES) -> Content:
    """A bundle with all that is in it, once all of it was found to hold together.

    ``most_bytes``: how big its members may be together, uncompressed. Memory
    stays in proportion to that. Raises `InvalidBundle`, naming the first flaw, or
    `UnknownEvent` for events of a later WTB.
    """
    with _opened(path, most_bytes) as bundle:
        events = [*bundle.events()]
        values = {digest: packed(kind, data) for digest, kind, data in bundle.values()}
        return Content(
            bundle.manifest, bundle.digest, bundle.head, [s for s, _ in events], [e for _, e in events], values
        )


def verify(path: Path) -> str:
    """Read a bundle of whatever size to its end, keeping little of it; its digest. Raises as `read` does."""
    with _opened(path, 2**63) as bundle:
        for _ in bundle.events():
            pass
        for _ in bundle.values():
            pass
        return bundle.digest


@contextmanager
def _opened(path: Path, most_bytes: int) -> Iterator["_Reader"]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield _Reader(archive, most_bytes)
    except _DAMAGE as damage:
        raise InvalidBundle(f"{path.name} can't be read as a bundle: {_said(damage)}") from damage
    except (InvalidBundle, NotAStore) as flaw:
        hint = flaw.hint if isinstance(flaw, InvalidBundle) else ""
        raise InvalidBundle(f"{path.name} isn't a sound bundle: {' '.join(str(flaw).split())}", hint=hint) from flaw


def _said(damage: Exception) -> str:
    reason = damage.strerror if isinstance(damage, OSError) else None
    return " ".join((reason or str(damage) or type(damage).__name__).split()).rstrip(".")


class _Reader:
    """What is in an archive, looked through once: first `events`, then `values`, each to its end."""

    def __init__(self, archive: zipfile.ZipFile, most_bytes: int) -> None:
        self._archive = archive
        self._members = _members(archive, most_bytes)
        self._most_bytes = most_bytes
        with archive.open(self._members[MANIFEST]) as member:
            text = member.read()
        self.digest = sha256(text).hexdigest()
        self.manifest = _manifest(text)
        self.head = EMPTY_STREAM
        self._named: set[Digest] = set()

    def events(self) -> Iterator[tuple[Stored, Recorded]]:
        """Raises what stands for damage, `InvalidBundle`, `NotAStore` or `UnknownEvent`."""
        stream = execution_stream(self.manifest.execution)
        for text in self._lines(EVENTS):
            line = msgspec.json.decode(text, type=BundledEvent)
            version, before = self.head
            topic = line.dataschema.removeprefix(SCHEMA_PREFIX)
            state = state_of(line)
            if line.version != version + 1:
                raise InvalidBundle(f"event {line.version} stands where event {version + 1} belongs")
            if chain.link(before, stream, line.version, topic, state[CHAIN_LINE:]) != line.chain:
                raise InvalidBundle(f"event {line.version} isn't what its chain digest says")
            event = codec.decode(line.version, stream, line.version, topic, state)
            # What the chain doesn't cover must follow from what it does.
            if text != line_of(Row(0, stream, event.version, topic, state), event):
                raise InvalidBundle(f"event {line.version} contradicts itself")
            _check(event)
            started = event.fact if isinstance(event.fact, ExecutionStarted) else None
            if (line.version == 1) != (started is not None):
                raise InvalidBundle("an execution starts once, with its first event")
            if started and (started.workflow, started.graph) != (self.manifest.workflow, self.manifest.graph):
                raise InvalidBundle("the manifest names another workflow or graph than the first event")
            self._named.update(digests_of(event.fact))
            self.head = StreamHead(event.version, line.chain)
            yield Stored(topic, state), event
        said = (self.manifest.events, StreamHead(Version(self.manifest.version), self.manifest.chain))
        if said != (self.head.version, self.head):
            raise InvalidBundle("the events don't end where the manifest says")

    def values(self) -> Iterator[tuple[Digest, str, bytes]]:
        """Raises what stands for damage, `InvalidBundle` or `NotAStore`."""
        found: set[Digest] = set()
        named = set(self._named)
        sizes: dict[Digest, tuple[str, int]] = {}
        made_of: dict[Digest, list[Digest]] = {}
        for text in self._lines(VALUES):
            line = msgspec.json.decode(text, type=BundledValue)
            digest = Digest(line.digest)
            if digest_of(line.kind, line.data) != digest:
                raise InvalidBundle(f"value {digest} isn't what its digest says")
            if digest in found:
                raise InvalidBundle(f"value {digest} comes twice")
            if line.kind.endswith("+zstd") or line.kind.startswith("pickle") or not is_storable(line.kind):
                raise InvalidBundle(f"value {digest} is of a kind that no bundle holds: {line.kind!r}")
            found.add(digest)
            parts = parts_of(line.kind, line.data)
            named.update(parts)
            sizes[digest] = (line.kind, len(line.data))
            if parts:
                made_of[digest] = parts
            yield digest, line.kind, line.data
        if missing := named - found:
            raise InvalidBundle(f"value {min(missing)} is missing")
        if more := found - named:
            raise InvalidBundle(f"value {min(more)} is named by no event")
        if len(found) != self.manifest.values:
            raise InvalidBundle("the manifest says another number of values")
        _check_expansion(sizes, made_of, self._most_bytes)

    def _lines(self, name: str) -> Iterator[bytes]:
        """A member's lines, without their ends; its digest is checked at the end."""
        said, hashed = self.manifest.members[name], sha256()
        with self._archive.open(self._members[name]) as member:
            for line in member:
                hashed.update(line)
                if not line.endswith(b"\n"):
                    raise InvalidBundle(f"{name} breaks off")
                yield line[:-1]
        if Member(hashed.hexdigest(), self._members[name].file_size) != said:
            raise InvalidBundle(f"{name} isn't what its digest in the manifest says")


def _members(archive: zipfile.ZipFile, most_bytes: int) -> dict[str, zipfile.ZipInfo]:
    """The archive's files by name. Raises `InvalidBundle` when they aren't a bundle's, or are too big."""
    infos = archive.infolist()
    if sorted(info.filename for info in infos) != sorted(MEMBERS):
        raise InvalidBundle(f"it must hold {', '.join(MEMBERS)} and nothing else")
    for info in infos:
        if info.flag_bits & 0x1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise InvalidBundle(f"{info.filename} is encrypted, or compressed in another way than by deflate")
    total = sum(info.file_size for info in infos)
    if total > most_bytes:
        raise InvalidBundle(
            f"its files say they are {total} bytes, and {most_bytes} is the most that is taken",
            hint="If you trust it, allow more: most_bytes=…, or --most-bytes on the CLI.",
        )
    members = {info.filename: info for info in infos}
    if members[MANIFEST].file_size > MOST_MANIFEST_BYTES:
        raise InvalidBundle(f"{MANIFEST} is longer than {MOST_MANIFEST_BYTES} bytes")
    return members


def _manifest(text: bytes) -> Manifest:
    known = msgspec.json.decode(text)
    if isinstance(known, dict) and known.get("format") == FORMAT and known.get("format_version") != FORMAT_VERSION:
        raise InvalidBundle(
            f"it is of format version {known.get('format_version')!r}, and this wtb reads {FORMAT_VERSION}",
            hint="Import it with the wtb that wrote it, or a later one.",
        )
    manifest = msgspec.json.decode(text, type=Manifest)
    if manifest.members.keys() != {EVENTS, VALUES}:
        raise InvalidBundle("the manifest doesn't vouch for the events and the values")
    try:
        new_id(manifest.execution)  # it names a folder where it is imported
    except InvalidRequest as refusal:
        raise InvalidBundle(str(refusal)) from refusal
    return manifest


def _check(event: Recorded) -> None:
    """Raise `InvalidBundle` for what no recording writes and a database might not take."""
    if not isinstance(event.fact, ExecutionFact):
        raise InvalidBundle(f"event {event.version} is no execution's: {event.type}")
    texts = [text for entry in entries_of("", event.version, event.fact, lifecycle=True) for text in entry[2:4]]
    if not all(map(is_storable, texts)):
        raise InvalidBundle(f"event {event.version} holds text that can't be stored")


_PARTS_OF = {"list": {"chunk"}}
"""What a value of a kind is made of; a chunk of anything that isn't made of others itself."""


def _check_expansion(
    sizes: Mapping[Digest, tuple[str, int]], made_of: Mapping[Digest, Sequence[Digest]], most_bytes: int
) -> None:
    """Raise `InvalidBundle` for few bytes that would become very many when they are put together."""
    expanded = {digest: size for digest, (_, size) in sizes.items()}
    # Chunks first: lists are made of them.
    for digest in sorted(made_of, key=lambda each: sizes[each][0] != "chunk"):
        kind, parts = sizes[digest][0], made_of[digest]
        allowed = _PARTS_OF.get(kind)
        for part in parts:
            made = sizes[part][0]
            if made not in allowed if allowed is not None else made in ("list", "chunk", FILES):
                raise InvalidBundle(f"value {digest} is a {kind} that is made of a {made}")
        expanded[digest] = sum(expanded[part] for part in parts)
        if expanded[digest] > most_bytes:
            raise InvalidBundle(
                f"value {digest} would be {expanded[digest]} bytes, and {most_bytes} is the most that is taken",
                hint="If you trust it, allow more: most_bytes=…, or --most-bytes on the CLI.",
            )
