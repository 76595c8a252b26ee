"""Values that may go: those that nothing names but the executions that are to lose theirs.

A batch names its cases' inputs, and that keeps none of them: an execution that
is to lose its values loses those that its batch names too. What only a batch
names, such as the inputs of cases that haven't run, stays.

What is named is found by reading the whole log, and by following values into
the values they are made of. So it is exact, and needs memory for the digests
that are kept: some 200 bytes for each different value.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Set

from wtb.domain.audit import ExecutionImported
from wtb.domain.digests import digests_of
from wtb.domain.execution import ExecutionStarted, Forked
from wtb.domain.identifiers import Digest, Position, StreamName, execution_stream, is_batch
from wtb.infra.event_store.parts import parts_of
from wtb.infra.event_store.store import EventStore
from wtb.infra.event_store.values import unpacked

PAGE = 1000


class Removal:
    """What the values of some streams' executions are, and which of the stored ones everything else names.

    Values that nothing names go too: a node that failed has left some, and
    each list the first and the last thing in it.
    """

    def __init__(
        self, store: EventStore, doomed: Collection[StreamName], released: Mapping[StreamName, Position]
    ) -> None:
        """``doomed``: the streams whose values are to go. ``released``: those whose values went before, and when.

        What is still here of these others keep, unless the execution has gone on since.
        """
        self.position = Position(0)
        """How far the log has been read."""
        self.alone: set[StreamName] = set()
        """Streams that a checkpointer used alone has written. It may have stored what it will name only later."""
        self._store = store
        self._doomed = frozenset(doomed)
        self._released = {stream: since for stream, since in released.items() if stream not in self._doomed}
        self._kept: set[Digest] = set()
        self._by_batches: set[Digest] = set()
        self._named: dict[StreamName, set[Digest]] = {stream: set() for stream in doomed}

    def catch_up(self) -> None:
        """Read what has come to the log since."""
        kept: set[Digest] = set()
        revived: set[StreamName] = set()
        while events := self._store.log(after=self.position, limit=PAGE):
            for event in events:
                if event.stream in self._doomed:
                    self._named[event.stream].update(digests_of(event.fact))
                elif is_batch(event.stream):
                    self._by_batches.update(digests_of(event.fact))
                elif event.position > self._released.get(event.stream, -1):
                    kept.update(digests_of(event.fact))
                    if not isinstance(event.fact, Forked):
                        revived.add(event.stream)
                if isinstance(event.fact, ExecutionImported):
                    stream = execution_stream(event.fact.execution)
                    if event.position > self._released.get(stream, -1):
                        revived.add(stream)
                if event.version == 1 and not isinstance(event.fact, ExecutionStarted) and _is_execution(event.stream):
                    self.alone.add(event.stream)
            self.position = events[-1].position
        for stream in revived & self._released.keys():
            kept.update(digest for event in self._store.read(stream) for digest in digests_of(event.fact))
            del self._released[stream]
        self._kept |= closure(self._store, kept - self._kept, self._kept)

    def lost(self) -> set[Digest]:
        """The stored values that go."""
        by_batches_alone = self._by_batches.difference(self._kept, *self._named.values())
        kept = self._kept | closure(self._store, by_batches_alone, self._kept)
        return {digest for digest in self._store.every_digest() if digest not in kept}

    def count(self, stream: StreamName, lost: Set[Digest]) -> int:
        """How many of the values that go are a stream's."""
        return len(closure(self._store, self._named[stream]) & lost)


def _is_execution(stream: StreamName) -> bool:
    return stream.startswith(execution_stream(""))


def closure(store: EventStore, digests: Set[Digest], known: Set[Digest] = frozenset()) -> set[Digest]:
    """These values and all that they are made of, as far as they are stored, but for what is ``known`` already."""
    found = set(digests)
    wanted = set(digests)
    while wanted:
        values = (value for page in _pages(wanted) for value in store.composites(page))
        wanted = {part for value in values for part in parts_of(*unpacked(value))} - found - known
        found |= wanted
    return found


def _pages(digests: Iterable[Digest]) -> Iterator[list[Digest]]:
    ordered = sorted(digests)
    for start in range(0, len(ordered), PAGE):
        yield ordered[start : start + PAGE]
