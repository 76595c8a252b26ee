"""Values to bytes and back: content-addressed, compressed when it pays, growing lists stored piecewise.

A value's digest is SHA-256 over its kind, a zero byte and its serialised bytes.
A list whose elements are big enough to be worth sharing becomes a tree: a
``list`` of ``chunk``s of up to 64 element digests each. Appending one message to
a thousand then stores one message, one chunk and one list of digests.
"""

import threading
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Callable, Iterable
from hashlib import sha256
from operator import is_
from typing import Any

import zstandard
from langgraph.checkpoint.serde.base import SerializerProtocol
from pydantic import BaseModel

from wtb.domain.errors import ValueMissing
from wtb.domain.event_log import Value
from wtb.domain.identifiers import NULL_DIGEST, Digest

CHUNK = 64
SHARED_FROM_BYTES = 256
"""Lists are stored piecewise when their first and last elements average at least this."""
COMPRESSED_FROM_BYTES = 1024
REMEMBERED = 20_000

_IMMUTABLE = (str, bytes, int, float, bool, type(None), complex)
_DIGEST_BYTES = 32


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
    """Kind and bytes as they were before compression."""
    if value.kind.endswith("+zstd"):
        return value.kind.removesuffix("+zstd"), _zstd.decompress(value.data)
    return value


def _fingerprint(obj: object) -> tuple[object, ...] | None:
    """What shows whether an object has changed since, found without serialising it; None when nothing can.

    The keys, immutable leaves and sizes of all it holds, to be compared by
    identity: whatever a node changes in place shows.
    """
    found: list[object] = []
    return tuple(found) if _trace(obj, found) else None


def _trace(value: object, found: list[object]) -> bool:
    if isinstance(value, _IMMUTABLE):
        found.append(value)
        return True
    if isinstance(value, dict):
        found.append(len(value))
        for key, item in value.items():
            found.append(key)
            if not _trace(item, found):
                return False
        return True
    if isinstance(value, list):
        found.append(len(value))
        return all(_trace(item, found) for item in value)
    if isinstance(value, BaseModel):
        return _trace(value.__dict__, found) and _trace(value.__pydantic_extra__, found)
    return False


def _same(before: tuple[object, ...], now: tuple[object, ...] | None) -> bool:
    return now is not None and len(before) == len(now) and all(map(is_, before, now))


class ValueWriter:
    """Serialises values for one execution, remembering what it has named already.

    What it remembers it has handed out to be stored once, so the caller must
    store everything it is given, in order, or call `forget`.
    """

    def __init__(self) -> None:
        self._elements: OrderedDict[int, tuple[object, tuple[object, ...], Digest, int]] = OrderedDict()
        self._handed_out: OrderedDict[Digest, None] = OrderedDict()
        self._lock = threading.Lock()

    def write(self, value: Any, serde: SerializerProtocol, into: dict[Digest, Value]) -> Digest:
        """Name a value and put what must be stored for it ``into``; raises what the serializer raises."""
        if value is None:
            return NULL_DIGEST
        with self._lock:
            if isinstance(value, _IMMUTABLE):
                # The very object a node wrote is the channel's value a moment later.
                return self._write_element(value, serde, into)[0]
            if type(value) is list and value and not isinstance(value[0], int | float | bool):
                digest = self._write_list(value, serde, into)
                if digest is not None:
                    return digest
            return self._store(*serde.dumps_typed(value), into)

    def forget(self) -> None:
        """Drop what is remembered, because values may not have reached the store."""
        with self._lock:
            self._elements.clear()
            self._handed_out.clear()

    def _write_list(self, elements: list[Any], serde: SerializerProtocol, into: dict[Digest, Value]) -> Digest | None:
        first = self._write_element(elements[0], serde, into)
        last = self._write_element(elements[-1], serde, into)
        if first[1] + last[1] < 2 * SHARED_FROM_BYTES:
            return None
        names = [_raw(self._write_element(element, serde, into)[0]) for element in elements]
        chunks = [self._store("chunk", b"".join(names[i : i + CHUNK]), into) for i in range(0, len(names), CHUNK)]
        return self._store("list", b"".join(map(_raw, chunks)), into)

    def _write_element(self, element: Any, serde: SerializerProtocol, into: dict[Digest, Value]) -> tuple[Digest, int]:
        known = self._elements.get(id(element))
        if known is not None and known[0] is element and _same(known[1], _fingerprint(element)):
            return known[2], known[3]
        seen = _fingerprint(element)
        kind, data = serde.dumps_typed(element)
        digest = self._store(kind, data, into)
        if seen is not None:
            # Holding the element keeps its id from being given to another object.
            self._elements[id(element)] = (element, seen, digest, len(data))
            if len(self._elements) > REMEMBERED:
                self._elements.popitem(last=False)
        return digest, len(data)

    def _store(self, kind: str, data: bytes, into: dict[Digest, Value]) -> Digest:
        digest = digest_of(kind, data)
        if digest not in self._handed_out:
            into[digest] = packed(kind, data)
            self._handed_out[digest] = None
            if len(self._handed_out) > REMEMBERED:
                self._handed_out.popitem(last=False)
        return digest


def read(
    digests: Iterable[Digest],
    fetch: Callable[[list[Digest]], dict[Digest, Value]],
    serde: SerializerProtocol,
) -> dict[Digest, Any]:
    """The values that digests name, read in as few fetches as lists are deep.

    Raises `ValueMissing` when one isn't stored. Equal digests give one object each
    time they are asked for, so callers that hand values out separately load them
    separately.
    """
    wanted = {digest for digest in digests if digest != NULL_DIGEST}
    raw: dict[Digest, tuple[str, bytes]] = {}
    missing = wanted
    while missing:
        fetched = fetch(sorted(missing))
        if gone := missing - fetched.keys():
            raise ValueMissing(f"value {min(gone)} isn't stored")
        raw.update((digest, unpacked(value)) for digest, value in fetched.items())
        missing = {
            name
            for digest in fetched
            if raw[digest][0] in ("list", "chunk")
            for name in _names(raw[digest][1])
            if name not in raw
        }

    def load(digest: Digest) -> Any:
        kind, data = raw[digest]
        if kind == "list":
            return [load(element) for chunk in _names(data) for element in _names(raw[chunk][1])]
        return serde.loads_typed((kind, data))

    return {digest: load(digest) for digest in wanted} | {NULL_DIGEST: None}


def _names(data: bytes) -> list[Digest]:
    return [_named(data[i : i + _DIGEST_BYTES]) for i in range(0, len(data), _DIGEST_BYTES)]
