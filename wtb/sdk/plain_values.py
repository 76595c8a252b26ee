"""Stored values as plain data, to be compared: nothing they are made of is imported or built.

An object is a mapping of its fields with its class's name under ``__class__``.
LangChain gives messages ids by chance, so a message's ``id`` is left out unless
asked for; an interrupt's, which LangGraph makes of the task's, always is.
"""

from collections.abc import Collection, Iterable
from hashlib import blake2b
from typing import Any

import msgspec
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.jsonplus import (
    EXT_CONSTRUCTOR_KW_ARGS,
    EXT_CONSTRUCTOR_POS_ARGS,
    EXT_CONSTRUCTOR_SINGLE_ARG,
    EXT_DELTA_SNAPSHOT,
    EXT_METHOD_SINGLE_ARG,
    EXT_NUMPY_ARRAY,
    EXT_PYDANTIC_V1,
    EXT_PYDANTIC_V2,
    JsonPlusSerializer,
)

from wtb.domain.identifiers import NULL_DIGEST, Digest
from wtb.infra.event_store.store import EventStore
from wtb.infra.event_store.values import parts, unpacked

CLASS = "__class__"
HELD_BYTES = 64_000_000
"""So much of what was read is kept; beyond it values are read again when they are asked for."""

Mark = bytes
"""Equal for equal data, and for no other."""


class PlainValues:
    """The values of one store, as one comparison sees them.

    Not safe to share between threads.
    """

    def __init__(self, store: EventStore, serde: SerializerProtocol, *, exact: bool) -> None:
        """``exact``: messages' ids count."""
        self._store = store
        self._serde = serde
        self._decoder = _decoder(exact=exact)
        self._raw: dict[Digest, tuple[str, bytes]] = {}
        self._held = 0
        self._marks: dict[Digest, Mark] = {}
        self._pieces: dict[Digest, bytes] = {}

    def same(self, a: Digest, b: Digest) -> bool:
        """Whether two values are equal. `learn` both before, many at a time."""
        return a == b or self.mark(a) == self.mark(b)

    def learn(self, digests: Iterable[Digest]) -> None:
        """Read what these values' marks are made of, in as few fetches as lists are deep. Raises `ValueMissing`."""
        wanted = {_base(digest) for digest in digests} - self._marks.keys()
        self._fetch(wanted)
        for digest in wanted:
            self.mark(digest)
        if self._held > HELD_BYTES:
            self._raw.clear()
            self._held = 0

    def mark(self, digest: Digest) -> Mark:
        known = self._marks.get(digest)
        if known is None:
            kind, _ = self._read(digest)
            piecewise = kind in ("list", "chunk")
            known = _of_list(self._joined(digest)) if piecewise else mark(self.plain(digest))
            self._marks[digest] = known
        return known

    def plain(self, digest: Digest) -> Any:
        """A value, or one element of a list of values (see `element`), made anew at each call."""
        base = _base(digest)
        if base != digest:
            held = self.plain(base)
            place = int(digest[len(base) + 1 : -1])
            return held[place] if isinstance(held, list) and place < len(held) else None
        kind, data = self._read(digest)
        if kind == "list":
            self._fetch(parts(kind, data))
            return [element for chunk in parts(kind, data) for element in self.plain(chunk)]
        if kind == "chunk":
            self._fetch(parts(kind, data))
            return [self.plain(element) for element in parts(kind, data)]
        if kind == "msgpack":
            return self._decoder.decode(data)
        if kind == "null":
            return None
        loaded = self._serde.loads_typed((kind, data))
        return loaded if isinstance(loaded, bytes | bytearray) else self._decoder.decode(_dump([loaded])[1])[0]

    def _joined(self, digest: Digest) -> bytes:
        """The marks of a list's elements, one after the other, however it was cut when it was stored."""
        kind, data = self._read(digest)
        if kind == "list":
            return b"".join(map(self._joined, parts(kind, data)))
        known = self._pieces.get(digest)
        if known is None:
            self._fetch(parts(kind, data))
            known = self._pieces[digest] = b"".join(map(self.mark, parts(kind, data)))
        return known

    def _read(self, digest: Digest) -> tuple[str, bytes]:
        base = _base(digest)
        if base != digest or digest == NULL_DIGEST:
            return "null", b""
        if digest not in self._raw:
            self._fetch([digest])
        return self._raw[digest]

    def _fetch(self, digests: Collection[Digest]) -> None:
        """Read values, and the elements of those that are lists."""
        missing = set(digests) - self._raw.keys() - {NULL_DIGEST}
        while missing:
            fetched = {digest: unpacked(value) for digest, value in self._store.values(sorted(missing)).items()}
            self._raw.update(fetched)
            self._held += sum(len(data) for _, data in fetched.values())
            missing = {
                name for kind, data in fetched.values() if kind in ("list", "chunk") for name in parts(kind, data)
            } - self._raw.keys()


def plain_data(value: Any, *, exact: bool = False) -> Any:
    """A value that isn't stored, as plain data. Raises what LangGraph's serializer raises for what can't be stored."""
    return _decoder(exact=exact).decode(_dump([value])[1])[0]


def _decoder(*, exact: bool) -> msgspec.msgpack.Decoder[Any]:
    decoder: msgspec.msgpack.Decoder[Any]

    def made(code: int, data: memoryview) -> Any:
        return _object(code, decoder.decode(data), exact=exact)

    decoder = msgspec.msgpack.Decoder(ext_hook=made)
    return decoder


def _object(code: int, held: Any, *, exact: bool) -> Any:
    """LangGraph's extensions of msgpack: see its `jsonplus`."""
    if code == EXT_DELTA_SNAPSHOT:
        return held
    module, name, *rest = held
    match code:
        case _ if code in (EXT_PYDANTIC_V2, EXT_PYDANTIC_V1, EXT_CONSTRUCTOR_KW_ARGS):
            fields = rest[0]
            by_chance = str(module).startswith("langchain_core.messages") and not exact
            if by_chance or (module, name) == ("langgraph.types", "Interrupt"):
                fields.pop("id", None)
            return {CLASS: name, **fields}
        case _ if code == EXT_CONSTRUCTOR_SINGLE_ARG and name in ("set", "frozenset"):
            return {CLASS: name, "values": sorted(rest[0], key=mark)}
        case _ if code in (EXT_CONSTRUCTOR_SINGLE_ARG, EXT_METHOD_SINGLE_ARG):
            return {CLASS: name, "value": rest[0]}
        case _ if code == EXT_CONSTRUCTOR_POS_ARGS and name == "Send":
            return {CLASS: name, "node": rest[0][0], "arg": rest[0][1]}
        case _ if code == EXT_CONSTRUCTOR_POS_ARGS:
            return {CLASS: name, "values": rest[0]}
        case _ if code == EXT_NUMPY_ARRAY:
            return {CLASS: "ndarray", "type": module, "shape": name, "values": rest[-1]}
        case _:
            return {CLASS: f"extension {code}", "values": held}


def element(digest: Digest, place: int) -> Digest:
    """A name for one element of a stored list."""
    return Digest(f"{digest}[{place}]")


def _base(digest: Digest) -> Digest:
    return Digest(digest.partition("[")[0]) if digest.endswith("]") else digest


_dump = JsonPlusSerializer().dumps_typed
_encode = msgspec.msgpack.Encoder(order="deterministic").encode


def mark(data: Any) -> Mark:
    """Of plain data; the order of a mapping's keys doesn't count."""
    if type(data) is list:
        return _of_list(b"".join(map(mark, data)))
    try:
        encoded = _encode(data)
    except TypeError:  # keys that aren't texts have no order of their own
        encoded = _encode(_with_pairs(data))
    return blake2b(encoded, digest_size=16).digest()


def _of_list(marks: bytes) -> Mark:
    return blake2b(marks, digest_size=16, person=b"list").digest()


def _with_pairs(data: Any) -> Any:
    if isinstance(data, dict):
        pairs = [(_with_pairs(key), _with_pairs(value)) for key, value in data.items()]
        return ["pairs", sorted(pairs, key=lambda pair: _encode(pair[0]))]
    if isinstance(data, list | tuple):
        return [_with_pairs(part) for part in data]
    return data
