"""Values to bytes and back: content-addressed, compressed when it pays, growing lists stored piecewise.

A value's digest is SHA-256 over its kind, a zero byte and its serialised bytes.
A list whose elements are big enough to be worth sharing becomes a ``chunk`` of up
to 64 element digests, or a ``list`` of the digests of such chunks. Appending one
message to a thousand then stores one message, one chunk and one list of digests.

Two kinds don't come from a serializer: ``bytes`` are a piece of a file, and
``files`` is the manifest of an output folder, which names such pieces (see
`wtb.infra.output_folder.manifest`). Reading a manifest gives it as plain data.
"""

import json
import threading
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import sha256
from operator import is_
from typing import Any, NamedTuple, TypeVar

import zstandard
from langgraph.checkpoint.serde.base import SerializerProtocol

from wtb.domain.errors import NotAStore, ValueMissing
from wtb.domain.event_log import Value
from wtb.domain.identifiers import NULL_DIGEST, Digest
from wtb.infra.event_store.snapshot import IMMUTABLE, Snapshot

CHUNK = 64
SHARED_FROM_BYTES = 256
"""Lists are stored piecewise when their first and last elements average at least this."""
COMPRESSED_FROM_BYTES = 1024
REMEMBERED = 20_000
LISTS_REMEMBERED = 32

FILES = "files"
"""The kind of an output folder's manifest."""
PIECE = "bytes"
"""The kind of a piece of a file; as the serializer has it for bytes."""

_DIGEST_BYTES = 32

K = TypeVar("K")
V = TypeVar("V")


def digest_of(kind: str, data: bytes) -> Digest:
    """The name a value goes by."""
    hashed = sha256(kind.encode() + b"\0")
    hashed.update(data)
    return Digest(urlsafe_b64encode(hashed.digest())[:-1].decode())


def _raw(digest: str) -> bytes:
    return urlsafe_b64decode(digest + "=")


def _named(raw: bytes) -> Digest:
    return Digest(urlsafe_b64encode(raw)[:-1].decode())


class _Compression(threading.local):
    """zstd contexts aren't safe to share between threads."""

    def __init__(self) -> None:
        self.compress = zstandard.ZstdCompressor(level=1).compress
        self.decompress = zstandard.ZstdDecompressor().decompress


_zstd = _Compression()


def packed(kind: str, data: bytes) -> Value:
    """A value as stored."""
    if len(data) >= COMPRESSED_FROM_BYTES:
        small = _zstd.compress(data)
        if len(small) < 0.9 * len(data):
            return Value(kind + "+zstd", small)
    return Value(kind, data)


def unpacked(value: Value) -> tuple[str, bytes]:
    """Kind and bytes as they were before compression. Raises `NotAStore` when the bytes are damaged."""
    if value.kind.endswith("+zstd"):
        try:
            return value.kind.removesuffix("+zstd"), _zstd.decompress(value.data)
        except zstandard.ZstdError as damage:
            raise NotAStore(f"a stored value is damaged: {damage}") from damage
    return value


class _Element(NamedTuple):
    """An object that has been named: what it held then, its digest's bytes, and how long it was serialised."""

    itself: object
    held: Snapshot | None
    """None for what can't change."""
    name: bytes
    size: int


class _Grown:
    """A list that has been named: chances are that the next one begins with it."""

    def __init__(self) -> None:
        self.names: list[bytes] = []
        self._elements: list[object] = []
        self._held = Snapshot()

    def begins(self, elements: list[Any]) -> bool:
        return (
            len(self._elements) <= len(elements) and all(map(is_, self._elements, elements)) and self._held.unchanged()
        )

    def add(self, element: object) -> bool:
        """Grow by an element that is about to be named; False when changes to it couldn't be seen."""
        self._elements.append(element)
        return self._held.add(element)


class ValueWriter:
    """Serialises values for one execution, remembering what it has named already.

    What it remembers it has handed out to be stored once, so the caller must
    store everything it is given, in order, or call `forget`.
    """

    def __init__(self) -> None:
        self.change: Callable[[Any], Any] | None = None
        """Makes what is written in a value's place when it is serialised; what is known isn't looked at again."""
        # By the object's id, which stays its own for as long as it is held here; a list's is its first element's.
        self._elements: OrderedDict[int, _Element] = OrderedDict()
        self._lists: OrderedDict[int, _Grown] = OrderedDict()
        self._handed_out: OrderedDict[Digest, None] = OrderedDict()
        self._lock = threading.Lock()

    def write(self, value: Any, serde: SerializerProtocol, into: dict[Digest, Value]) -> Digest:
        """Name a value and put what must be stored for it ``into``; raises what the serializer raises."""
        if value is None:
            return NULL_DIGEST
        with self._lock:
            if isinstance(value, IMMUTABLE):
                # The very object a node wrote is the channel's value a moment later.
                return _named(self._write_element(value, serde, into).name)
            if type(value) is list and value and not isinstance(value[0], int | float | bool):
                digest = self._write_list(value, serde, into)
                if digest is not None:
                    return digest
            return self._store(*self._serialised(value, serde), into)

    def write_raw(self, kind: str, data: bytes, into: dict[Digest, Value]) -> Digest:
        """Name bytes as they are, and put what must be stored for them ``into``."""
        with self._lock:
            return self._store(kind, data, into)

    def forget(self) -> None:
        """Drop what is remembered, because values may not have reached the store."""
        with self._lock:
            self._elements.clear()
            self._lists.clear()
            self._handed_out.clear()

    def _write_list(self, elements: list[Any], serde: SerializerProtocol, into: dict[Digest, Value]) -> Digest | None:
        first = self._write_element(elements[0], serde, into)
        last = self._write_element(elements[-1], serde, into)
        if first.size + last.size < 2 * SHARED_FROM_BYTES:
            return None
        names = self._names(elements, serde, into)
        chunks = [self._store("chunk", b"".join(names[i : i + CHUNK]), into) for i in range(0, len(names), CHUNK)]
        return chunks[0] if len(chunks) == 1 else self._store("list", b"".join(map(_raw, chunks)), into)

    def _names(self, elements: list[Any], serde: SerializerProtocol, into: dict[Digest, Value]) -> list[bytes]:
        place = id(elements[0])
        grown = self._lists.pop(place, None)
        if grown is None or not grown.begins(elements):
            grown = _Grown()
        watched = True
        for element in elements[len(grown.names) :]:
            watched &= grown.add(element)
            grown.names.append(self._write_element(element, serde, into).name)
        if watched:
            _remember(self._lists, place, grown, LISTS_REMEMBERED)
        return grown.names

    def _write_element(self, element: Any, serde: SerializerProtocol, into: dict[Digest, Value]) -> _Element:
        known = self._elements.get(id(element))
        if known is not None and known.itself is element and (known.held is None or known.held.unchanged()):
            return known
        held = None if isinstance(element, IMMUTABLE) else Snapshot()
        watched = held is None or held.add(element)
        kind, data = self._serialised(element, serde)
        named = _Element(element, held, _raw(self._store(kind, data, into)), len(data))
        if watched:
            _remember(self._elements, id(element), named, REMEMBERED)
        return named

    def _serialised(self, value: Any, serde: SerializerProtocol) -> tuple[str, bytes]:
        return serde.dumps_typed(value if self.change is None else self.change(value))

    def _store(self, kind: str, data: bytes, into: dict[Digest, Value]) -> Digest:
        digest = digest_of(kind, data)
        if digest not in self._handed_out:
            into[digest] = packed(kind, data)
            _remember(self._handed_out, digest, None, REMEMBERED)
        return digest


class ValueNamer(ValueWriter):
    """Names values as a `ValueWriter` does, and hands out nothing to be stored."""

    def name(self, value: Any, serde: SerializerProtocol) -> Digest:
        return self.write(value, serde, {})

    def _store(self, kind: str, data: bytes, into: dict[Digest, Value]) -> Digest:
        return digest_of(kind, data)


def _remember(memory: OrderedDict[K, V], key: K, value: V, most: int) -> None:
    """Put something last; what has been there longest gives way."""
    memory[key] = value
    if len(memory) > most:
        memory.popitem(last=False)


class Loaded(Mapping[Digest, Any]):
    """Values by digest, each made anew whenever it is asked for, so that nobody changes what another was given."""

    def __init__(self, raw: dict[Digest, tuple[str, bytes]], wanted: set[Digest], serde: SerializerProtocol) -> None:
        self._raw = raw
        self._wanted = wanted
        self._serde = serde

    def __getitem__(self, digest: Digest) -> Any:
        if digest == NULL_DIGEST:
            return None
        kind, data = self._raw[digest]
        if kind == "list":
            return [element for chunk in names(data) for element in self[chunk]]
        if kind == "chunk":
            return [self[element] for element in names(data)]
        if kind == FILES:
            return manifest_data(data)
        return self._serde.loads_typed((kind, data))

    def __iter__(self) -> Iterator[Digest]:
        return iter(self._wanted)

    def __len__(self) -> int:
        return len(self._wanted)


def read(
    digests: Iterable[Digest],
    fetch: Callable[[list[Digest]], dict[Digest, Value]],
    serde: SerializerProtocol,
) -> Loaded:
    """The values that digests name, read in as few fetches as lists are deep. Raises `ValueMissing`."""
    wanted = set(digests)
    raw: dict[Digest, tuple[str, bytes]] = {}
    missing = wanted - {NULL_DIGEST}
    while missing:
        fetched = fetch(sorted(missing))
        if gone := missing - fetched.keys():
            raise ValueMissing(f"value {min(gone)} isn't stored")
        raw.update((digest, unpacked(value)) for digest, value in fetched.items())
        missing = {
            name
            for digest in fetched
            if raw[digest][0] in ("list", "chunk")
            for name in names(raw[digest][1])
            if name not in raw
        }
    return Loaded(raw, wanted, serde)


def parts(kind: str, data: bytes) -> list[Digest]:
    """The values that an unpacked value is put together from; not those that these are put together from."""
    if kind in ("list", "chunk"):
        return names(data)
    if kind == FILES:
        return [Digest(piece) for entry in manifest_data(data).values() for piece in entry.get("pieces", ())]
    return []


def manifest_data(data: bytes) -> dict[str, Any]:
    """A manifest of files as the plain data it is, unchecked. Raises `NotAStore` when it is none."""
    try:
        found = json.loads(data)
        if not isinstance(found, dict) or not all(isinstance(entry, dict) for entry in found.values()):
            raise ValueError("not an object of objects")
    except (ValueError, RecursionError) as damage:
        raise NotAStore(f"a manifest of files is damaged: {damage}") from damage
    return found


def names(data: bytes) -> list[Digest]:
    """The digests that a chunk or a list is made of."""
    return [_named(data[i : i + _DIGEST_BYTES]) for i in range(0, len(data), _DIGEST_BYTES)]
