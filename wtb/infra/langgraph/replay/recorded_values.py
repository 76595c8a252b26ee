"""The values that a record names, each proved by its digest when it is read."""

from collections.abc import Iterable
from typing import Any

from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.errors import GraphBubbleUp

from wtb.domain.errors import NotAStore, ValueMissing
from wtb.domain.identifiers import NULL_DIGEST, Digest
from wtb.infra.event_store.store import EventStore
from wtb.infra.event_store.values import Loaded, digest_of, parts, unpacked


class DamagedRecord(GraphBubbleUp):  # told as a divergence, never raised to a caller
    """An event isn't as it was written, or a value isn't what its digest says."""

    def __init__(self, message: str, digest: Digest | None = None) -> None:
        """``digest`` names the value."""
        super().__init__(message)
        self.digest = digest
        self.step: int | None = None
        self.node: str | None = None


class Values:
    """A store's values, read when they are needed, each proved by its digest."""

    def __init__(self, store: EventStore, serde: SerializerProtocol) -> None:
        self._store = store
        self._raw: dict[Digest, tuple[str, bytes]] = {}
        self._loaded = Loaded(self._raw, set(), serde)
        self._pieces: dict[Digest, Any] = {}
        self._whole: dict[Digest, Digest] = {}
        """The list that a piece was found in."""

    def read(self, digests: Iterable[Digest]) -> None:
        """Have these at hand. Raises `DamagedRecord`."""
        missing = {digest for digest in digests if digest not in self._raw} - {NULL_DIGEST}
        while missing:
            try:
                fetched = self._store.values(sorted(missing))
            except ValueMissing as gone:
                lost = next((each for each in sorted(missing) if each in str(gone)), None)
                raise DamagedRecord(str(gone), self._whole.get(lost, lost) if lost else None) from gone
            found: set[Digest] = set()
            for digest, value in fetched.items():
                try:
                    kind, data = unpacked(value)
                except NotAStore as damage:
                    raise DamagedRecord(f"value {digest}: {damage}", self._whole.get(digest, digest)) from damage
                if digest_of(kind, data) != digest:
                    flaw = f"value {digest} holds other bytes than its digest says"
                    raise DamagedRecord(flaw, self._whole.get(digest, digest))
                self._raw[digest] = (kind, data)
                for part in parts(kind, data):
                    self._whole.setdefault(part, self._whole.get(digest, digest))
                    found.add(part)
            missing = found - self._raw.keys() - {NULL_DIGEST}

    def __getitem__(self, digest: Digest) -> Any:
        """A value, made anew. Raises `DamagedRecord`."""
        if digest not in self._raw:
            self.read([digest])
        return self._loaded[digest]

    def shared(self, digest: Digest) -> Any:
        """A value to look at, not to change: pieces of a list are made once, however many lists have them."""
        if digest not in self._raw:
            self.read([digest])
        kind, data = self._raw.get(digest, ("", b""))
        if kind == "list":
            return [element for piece in parts(kind, data) for element in self.shared(piece)]
        if kind == "chunk":
            return [self._piece(piece) for piece in parts(kind, data)]
        return self._loaded[digest]

    def _piece(self, digest: Digest) -> Any:
        if digest not in self._pieces:
            self._pieces[digest] = self._loaded[digest]
        return self._pieces[digest]
