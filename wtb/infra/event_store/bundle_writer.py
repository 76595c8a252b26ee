"""Writes an execution to a bundle; the same execution gives the same bytes each time."""

import os
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import IO, NamedTuple

import msgspec

from wtb import __version__
from wtb.domain.digests import digests_of
from wtb.domain.errors import InvalidRequest, NotAStore
from wtb.domain.event_log import EMPTY_STREAM, Recorded, StreamHead
from wtb.domain.execution import ExecutionStarted
from wtb.domain.identifiers import Digest, StreamName, execution_of
from wtb.infra.event_store import chain, codec
from wtb.infra.event_store.bundle import EVENTS, MANIFEST, VALUES, BundledValue, Manifest, Member, line_of
from wtb.infra.event_store.parts import parts_of
from wtb.infra.event_store.recorder import Row
from wtb.infra.event_store.store import CHAIN_LINE, EventStore
from wtb.infra.event_store.values import unpacked

_EVENTS_AT_A_TIME = 500
_VALUES_AT_A_TIME = 50
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)

Put = Callable[[bytes], None]
"""Writes one more line."""


class Written(NamedTuple):
    """A bundle that was written."""

    digest: str
    """SHA-256 of its manifest, hexadecimal."""
    head: StreamHead
    """Where the execution's stream ended."""


def write(path: Path, store: EventStore, stream: StreamName) -> Written:
    """Write an execution, as it stands now, to a file, in place of one that is there.

    Raises `ValueMissing` when a value is no longer here, `NotAStore` when the
    chain doesn't hold, and `InvalidRequest` when the file can't be written.
    """
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        unfinished = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                written = _write(file, store, stream)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
    except OSError as refusal:
        raise InvalidRequest(
            f"{path} can't be written: {refusal.strerror}", hint="Name a file in a folder that is there."
        ) from refusal
    return written


def _write(file: IO[bytes], store: EventStore, stream: StreamName) -> Written:
    head = store.head(stream)
    members: dict[str, Member] = {}
    named: set[Digest] = set()
    started: ExecutionStarted | None = None
    with zipfile.ZipFile(file, "w") as archive:
        with _writing(archive, EVENTS, members) as put:
            for row, event in _chained(store, stream, head):
                started = event.fact if isinstance(event.fact, ExecutionStarted) else started
                named.update(digests_of(event.fact))
                put(line_of(row, event))
        if started is None:
            raise NotAStore(f"stream {stream!r} holds no execution")
        with _writing(archive, VALUES, members) as put:
            count = 0
            for value in _closure(store, named):
                put(value)
                count += 1
        manifest = msgspec.json.format(
            msgspec.json.encode(
                Manifest(
                    execution=execution_of(stream),
                    workflow=started.workflow,
                    graph=started.graph,
                    events=head.version,
                    version=head.version,
                    chain=head.chain,
                    values=count,
                    members=members,
                    wtb=__version__,
                )
            ),
            indent=2,
        )
        with _writing(archive, MANIFEST, {}) as put:
            put(manifest)
    return Written(sha256(manifest + b"\n").hexdigest(), head)


@contextmanager
def _writing(archive: zipfile.ZipFile, name: str, members: dict[str, Member]) -> Iterator[Put]:
    """Write lines to a member; what it has come to is put among ``members``."""
    info = zipfile.ZipInfo(name, _ZIP_TIME)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    info.create_system = 3  # or the bytes would differ between operating systems
    hashed, size = sha256(), 0
    with archive.open(info, "w", force_zip64=True) as member:

        def put(line: bytes) -> None:
            nonlocal size
            size += len(line) + 1
            for part in (line, b"\n"):
                hashed.update(part)
                member.write(part)

        yield put
    members[name] = Member(hashed.hexdigest(), size)


def _chained(store: EventStore, stream: StreamName, head: StreamHead) -> Iterator[tuple[Row, Recorded]]:
    """A stream's events up to a head. Raises `NotAStore` when they aren't what was appended."""
    version, before = EMPTY_STREAM
    while version < head.version:
        rows = store.stored(stream, after=version, limit=min(_EVENTS_AT_A_TIME, head.version - version))
        for row in rows:
            event = codec.decode(*row)
            before = chain.link(before, stream, row.version, row.topic, row.state[CHAIN_LINE:])
            if row.version != version + 1 or event.chain != before:
                raise NotAStore(f"event {event.position} isn't what was appended: the chain of {stream!r} breaks there")
            version = event.version
            yield row, event
        if not rows:
            raise NotAStore(f"stream {stream!r} ends before its head")


def _closure(store: EventStore, named: set[Digest]) -> Iterator[bytes]:
    """A line for each value that is named, or that one of them is made of; always in one order."""
    known, wanted = set(named), sorted(named)
    while wanted:
        parts: set[Digest] = set()
        for start in range(0, len(wanted), _VALUES_AT_A_TIME):
            some = wanted[start : start + _VALUES_AT_A_TIME]
            found = store.values(some)
            for digest in some:
                kind, data = unpacked(found[digest])
                parts.update(parts_of(kind, data))
                yield msgspec.json.encode(BundledValue(digest, kind, data))
        wanted = sorted(parts - known)
        known |= parts
